/* SPDX-License-Identifier: MIT */
/*
 * Transactions: every call that changes something, run in a table, joins one whole or not at all and
 * is seen by nobody before the commit; the wrong thread, the wrong store, a second transaction and a
 * wait are refused. With databases of the user's own: t_user.c.
 */
#include "snapshot.h"

#include <pthread.h>

static evq_queue *q, *dead;
static evq_receipt leased;

/* One message visible, one leased, one dead letter, one queue to drop. */
static void
setup(void)
{
	store_setup();
	q = queue_with("q", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	dead = queue("dead");
	queue("spare");
	send(q, "dies");
	leased = take_one(q, "dies");
	ck_ok(evq_bury(q, NULL, &leased, "bad"));
	send(q, "leased");
	leased = take_one(q, "leased");
	send(q, "visible");
	clock_advance_ms(1);
	seen_count = 0;
}

static int
op_send(evq_txn *txn)
{
	return evq_send(q, txn, "new", 3, NULL, NULL);
}

static int
op_send_batch(evq_txn *txn)
{
	const evq_buf bodies[] = { { "x", 1 }, { "y", 1 } };
	evq_id ids[2];
	return evq_send_batch(q, txn, bodies, 2, NULL, ids);
}

static int
op_receive(evq_txn *txn)
{
	return evq_receive(q, txn, NULL, batch());
}

static int
op_delete(evq_txn *txn)
{
	return evq_delete(q, txn, &leased);
}

static int
op_delete_batch(evq_txn *txn)
{
	int rcs[1] = { -1 };
	int rc = evq_delete_batch(q, txn, &leased, 1, rcs);
	ck_assert_int_eq(rcs[0], rc ? -1 : 0);
	return rc;
}

static int
op_extend(evq_txn *txn)
{
	evq_receipt out;
	return evq_extend(q, txn, &leased, 99000, &out);
}

static int
op_release(evq_txn *txn)
{
	return evq_release(q, txn, &leased, 5000, 0);
}

static int
op_bury(evq_txn *txn)
{
	return evq_bury(q, txn, &leased, "worse");
}

static int
op_redrive(evq_txn *txn)
{
	size_t moved;
	return evq_redrive(dead, txn, NULL, &moved);
}

static int
op_purge(evq_txn *txn)
{
	size_t purged;
	return evq_purge(q, txn, &purged);
}

static int
op_set_attrs(evq_txn *txn)
{
	return evq_queue_set_attrs(q, txn, EVQ_QUEUE_ATTRS(.visibility_ms = 5000, .dead_letter = "newly-made"));
}

static int
op_drop(evq_txn *txn)
{
	return evq_queue_drop(env, txn, "spare");
}

static const struct {
	const char *name;
	int (*run)(evq_txn *txn);
} ops[] = {
	{ "send", op_send },       { "send_batch", op_send_batch },
	{ "receive", op_receive }, { "delete", op_delete },
	{ "extend", op_extend },   { "delete_batch", op_delete_batch },
	{ "release", op_release }, { "bury", op_bury },
	{ "redrive", op_redrive }, { "purge", op_purge },
	{ "drop", op_drop },       { "set_attrs", op_set_attrs },
};

static struct snapshot before, after;

static evq_txn *
begin(void)
{
	evq_txn *txn = NULL;
	ck_ok(evq_begin(env, &txn));
	ck_assert_ptr_nonnull(txn);
	return txn;
}

START_TEST(call_in_a_transaction_is_undone_by_abort)
{
	snap_take(&before);
	evq_txn *txn = begin();
	ck_ok(ops[_i].run(txn));
	snap_expect(&before);
	evq_abort(txn);
	snap_expect(&before);
	ck_assert_uint_eq(seen_count, 0);
	verify_clean();
	ck_ok(ops[_i].run(NULL));
}
END_TEST

START_TEST(call_in_a_transaction_is_done_at_commit)
{
	snap_take(&before);
	evq_txn *txn = begin();
	ck_ok(ops[_i].run(txn));
	snap_expect(&before);
	ck_ok(evq_commit(txn));
	snap_take(&after);
	ck_assert_str_ne(after.text, before.text);
	store_reopen();
	snap_expect(&after);
}
END_TEST

START_TEST(call_of_its_own_is_refused_while_the_thread_has_a_transaction)
{
	snap_take(&before);
	evq_txn *txn = begin();
	ck_rc(ops[_i].run(NULL), EDEADLK);
	snap_expect(&before);
	ck_ok(ops[_i].run(txn));
	ck_ok(evq_commit(txn));
}
END_TEST

START_TEST(transaction_of_another_store_is_refused)
{
	char dir[256];
	evq_env *other;
	evq_txn *txn;
	temp_dir(dir);
	ck_ok(evq_env_open(dir, NULL, &other));
	snap_take(&before);
	ck_ok(evq_begin(other, &txn));
	ck_rc(ops[_i].run(txn), EINVAL);
	ck_ok(evq_commit(txn));
	evq_env_close(other);
	snap_expect(&before);
}
END_TEST

struct call {
	int op;
	evq_txn *txn;
	int rc;
};

static void *
run_call(void *arg)
{
	struct call *call = arg;
	call->rc = ops[call->op].run(call->txn);
	return NULL;
}

static int
run_elsewhere(struct call *call)
{
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, run_call, call), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	return call->rc;
}

START_TEST(transaction_of_another_thread_is_refused)
{
	struct call call = { .op = _i, .txn = begin() };
	ck_rc(run_elsewhere(&call), EPERM);
	ck_ok(ops[_i].run(call.txn));
	ck_ok(evq_commit(call.txn));
}
END_TEST

static void *
commit_elsewhere(void *arg)
{
	static int rc;
	evq_abort(arg); /* nothing, from here */
	rc = evq_commit(arg);
	return &rc;
}

START_TEST(only_its_own_thread_can_end_a_transaction)
{
	pthread_t thread;
	void *rc;
	evq_txn *txn = begin();
	ck_ok(op_send(txn));
	ck_assert_int_eq(pthread_create(&thread, NULL, commit_elsewhere, txn), 0);
	ck_assert_int_eq(pthread_join(thread, &rc), 0);
	ck_rc(*(int *)rc, EPERM);
	expect_counts(q, 1, 0, 1);
	ck_ok(evq_commit(txn));
	expect_counts(q, 2, 0, 1);
}
END_TEST

static void *
mdb_of(void *arg)
{
	return evq_txn_mdb(arg);
}

START_TEST(lmdb_transaction_is_for_its_own_thread)
{
	pthread_t thread;
	void *got = &thread;
	evq_txn *txn = begin();
	ck_assert_int_eq(pthread_create(&thread, NULL, mdb_of, txn), 0);
	ck_assert_int_eq(pthread_join(thread, &got), 0);
	ck_assert_ptr_null(got);
	ck_assert_ptr_nonnull(evq_txn_mdb(txn));
	evq_abort(txn);
}
END_TEST

START_TEST(another_thread_waits_for_the_commit)
{
	pthread_t thread;
	struct call call = { .op = 0 };
	evq_txn *txn = begin();
	ck_ok(op_send(txn));
	ck_assert_int_eq(pthread_create(&thread, NULL, run_call, &call), 0);
	ck_ok(op_send(txn));
	ck_ok(evq_commit(txn));
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_ok(call.rc);
	expect_counts(q, 4, 0, 1);
}
END_TEST

START_TEST(second_transaction_of_a_thread_is_refused)
{
	evq_txn *txn = begin(), *second = txn;
	ck_rc(evq_begin(env, &second), EDEADLK);
	ck_assert_ptr_eq(second, txn);
	evq_abort(txn);
	evq_abort(begin());
}
END_TEST

START_TEST(store_wide_calls_are_refused_while_the_thread_has_a_transaction)
{
	char dir[256];
	evq_queue *opened = NULL;
	temp_dir(dir);
	evq_txn *txn = begin();
	ck_rc(evq_sync(env), EDEADLK);
	ck_rc(evq_env_copy(env, dir, 0), EDEADLK);
	ck_rc(evq_queue_open(env, "missing", EVQ_QUEUE_ATTRS(), &opened), EDEADLK);
	ck_assert_ptr_null(opened);
	ck_ok(evq_queue_open(env, "q", EVQ_QUEUE_ATTRS(), &opened));
	evq_queue_close(opened);
	ck_ok(evq_verify(env, NULL, NULL));
	evq_abort(txn);
	ck_ok(evq_sync(env));
}
END_TEST

static const evq_receive_opts waits[] = {
	{ .size = sizeof(evq_receive_opts), .wait_ms = 1 },
	{ .size = sizeof(evq_receive_opts), .wait_ms = EVQ_NONE },
	{ .size = sizeof(evq_receive_opts), .window_ms = 1 },
};

START_TEST(wait_in_a_transaction_is_refused)
{
	evq_batch *b = batch();
	evq_txn *txn = begin();
	ck_rc(evq_receive(q, txn, &waits[_i], b), EINVAL);
	ck_assert_uint_eq(evq_batch_count(b), 0);
	ck_ok(evq_receive(q, txn, NULL, b));
	ck_ok(evq_commit(txn));
	expect_counts(q, 0, 0, 2);
}
END_TEST

START_TEST(calls_in_a_transaction_see_each_other)
{
	evq_batch *b = batch();
	evq_id id;
	evq_txn *txn = begin();
	ck_ok(evq_receive(q, txn, NULL, b));
	ck_assert_str_eq(evq_batch_at(b, 0)->body, "visible");
	ck_rc(evq_receive(q, txn, NULL, b), EVQ_EMPTY);
	ck_ok(evq_send(q, txn, "in", 2, NULL, &id));
	ck_ok(evq_receive(q, txn, NULL, b));
	ck_assert_uint_eq(evq_batch_at(b, 0)->id, id);
	evq_receipt receipt = evq_batch_at(b, 0)->receipt;
	ck_ok(evq_extend(q, txn, &receipt, 0, &receipt));
	ck_ok(evq_release(q, txn, &receipt, 0, 0));
	ck_ok(evq_receive(q, txn, NULL, b));
	ck_assert_uint_eq(evq_batch_at(b, 0)->receives, 2);
	receipt = evq_batch_at(b, 0)->receipt;
	ck_ok(evq_delete(q, txn, &receipt));
	ck_rc(evq_delete(q, txn, &receipt), EVQ_STALE);
	ck_ok(evq_commit(txn));
	expect_counts(q, 0, 0, 2);
}
END_TEST

START_TEST(receipts_from_an_aborted_receive_are_stale)
{
	evq_batch *b = batch();
	evq_txn *txn = begin();
	ck_ok(evq_receive(q, txn, NULL, b));
	evq_receipt receipt = evq_batch_at(b, 0)->receipt;
	evq_abort(txn);
	ck_rc(evq_delete(q, NULL, &receipt), EVQ_STALE);
	expect_counts(q, 1, 0, 1);
}
END_TEST

START_TEST(attributes_set_then_aborted_are_not_in_force)
{
	evq_txn *txn = begin();
	ck_ok(evq_queue_set_attrs(q, txn, EVQ_QUEUE_ATTRS(.max_body_len = 2, .visibility_ms = 7)));
	ck_rc(evq_send(q, txn, "abc", 3, NULL, NULL), EVQ_TOOBIG);
	evq_abort(txn);
	send(q, "abc");
	ck_assert_int_eq(evq_batch_at(take(q, 1), 0)->visible_at_ms, clock_now_ms() + 30000);
}
END_TEST

START_TEST(queue_dropped_then_aborted_lives_on)
{
	evq_queue *spare = queue("spare");
	evq_txn *txn = begin();
	ck_ok(evq_queue_drop(env, txn, "spare"));
	ck_rc(evq_send(spare, txn, "a", 1, NULL, NULL), EVQ_NOQUEUE);
	ck_rc(evq_queue_drop(env, txn, "spare"), EVQ_NOQUEUE);
	evq_abort(txn);
	send(spare, "a");
	txn = begin();
	ck_ok(evq_queue_drop(env, txn, "spare"));
	ck_ok(evq_commit(txn));
	ck_rc(evq_send(spare, NULL, "a", 1, NULL, NULL), EVQ_NOQUEUE);
}
END_TEST

START_TEST(refused_call_leaves_the_transaction_whole)
{
	evq_receipt stale = { { 0, 0, 0, 0 } };
	evq_txn *txn = begin();
	ck_ok(op_send(txn));
	ck_rc(evq_send(q, txn, NULL, 1, NULL, NULL), EINVAL);
	ck_rc(evq_delete(q, txn, &stale), EINVAL);
	ck_rc(evq_queue_drop(env, txn, "dead"), EBUSY);
	ck_rc(evq_delete(dead, txn, &leased), EINVAL);
	ck_ok(op_delete(txn));
	ck_ok(evq_commit(txn));
	expect_counts(q, 2, 0, 0);
}
END_TEST

Suite *
txn_suite(void)
{
	Suite *suite = suite_create("txn");
	TCase *tc = tcase_create("txn");
	tcase_add_checked_fixture(tc, setup, store_teardown);
	tcase_add_loop_test(tc, call_in_a_transaction_is_undone_by_abort, 0, COUNT(ops));
	tcase_add_loop_test(tc, call_in_a_transaction_is_done_at_commit, 0, COUNT(ops));
	tcase_add_loop_test(tc, call_of_its_own_is_refused_while_the_thread_has_a_transaction, 0, COUNT(ops));
	tcase_add_loop_test(tc, transaction_of_another_store_is_refused, 0, COUNT(ops));
	tcase_add_loop_test(tc, transaction_of_another_thread_is_refused, 0, COUNT(ops));
	tcase_add_test(tc, only_its_own_thread_can_end_a_transaction);
	tcase_add_test(tc, lmdb_transaction_is_for_its_own_thread);
	tcase_add_test(tc, another_thread_waits_for_the_commit);
	tcase_add_test(tc, second_transaction_of_a_thread_is_refused);
	tcase_add_test(tc, store_wide_calls_are_refused_while_the_thread_has_a_transaction);
	tcase_add_loop_test(tc, wait_in_a_transaction_is_refused, 0, COUNT(waits));
	tcase_add_test(tc, calls_in_a_transaction_see_each_other);
	tcase_add_test(tc, receipts_from_an_aborted_receive_are_stale);
	tcase_add_test(tc, attributes_set_then_aborted_are_not_in_force);
	tcase_add_test(tc, queue_dropped_then_aborted_lives_on);
	tcase_add_test(tc, refused_call_leaves_the_transaction_whole);
	suite_add_tcase(suite, tc);
	return suite;
}
