/* SPDX-License-Identifier: MIT */
/*
 * Queue operations and the user's own LMDB data in one commit: both or neither, which makes
 * processing exactly-once; how many databases there may be; and what is left of a transaction in
 * which there was no room any more.
 */
#include "support.h"

#include <lmdb.h>

static evq_txn *
begin(void)
{
	evq_txn *txn = NULL;
	ck_ok(evq_begin(env, &txn));
	return txn;
}

static MDB_dbi
open_db(evq_txn *txn, const char *name)
{
	MDB_dbi dbi;
	ck_assert_int_eq(mdb_dbi_open(evq_txn_mdb(txn), name, MDB_CREATE, &dbi), 0);
	return dbi;
}

static int
put(evq_txn *txn, MDB_dbi dbi, const void *key, size_t key_len, const void *data, size_t len)
{
	MDB_val k = { key_len, (void *)(uintptr_t)key }, v = { len, (void *)(uintptr_t)data };
	return mdb_put(evq_txn_mdb(txn), dbi, &k, &v, 0);
}

static long
get_long(evq_txn *txn, MDB_dbi dbi, const char *key)
{
	MDB_val k = { strlen(key), (void *)(uintptr_t)key }, v;
	long value = 0;
	int rc = mdb_get(evq_txn_mdb(txn), dbi, &k, &v);
	if (rc == MDB_NOTFOUND)
		return 0;
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(v.mv_size, sizeof value);
	memcpy(&value, v.mv_data, sizeof value);
	return value;
}

static void
put_long(evq_txn *txn, MDB_dbi dbi, const char *key, long value)
{
	ck_assert_int_eq(put(txn, dbi, key, strlen(key), &value, sizeof value), 0);
}

START_TEST(own_data_and_messages_are_committed_together)
{
	evq_queue *q = queue("q");
	evq_txn *txn = begin();
	put_long(txn, open_db(txn, "mine"), "k", 42);
	ck_ok(evq_send(q, txn, "a", 1, NULL, NULL));
	ck_ok(evq_commit(txn));
	store_reopen();
	take_one(queue("q"), "a");
	txn = begin();
	ck_assert_int_eq(get_long(txn, open_db(txn, "mine"), "k"), 42);
	evq_abort(txn);
}
END_TEST

START_TEST(own_data_and_messages_are_aborted_together)
{
	evq_queue *q = queue("q");
	evq_txn *txn = begin();
	MDB_dbi dbi = open_db(txn, "mine");
	ck_ok(evq_commit(txn));
	txn = begin();
	put_long(txn, dbi, "k", 42);
	ck_ok(evq_send(q, txn, "a", 1, NULL, NULL));
	evq_abort(txn);
	expect_empty(q);
	txn = begin();
	ck_assert_int_eq(get_long(txn, dbi, "k"), 0);
	evq_abort(txn);
}
END_TEST

START_TEST(own_data_alone_may_be_committed)
{
	evq_txn *txn = begin();
	MDB_dbi dbi = open_db(txn, "mine");
	put_long(txn, dbi, "k", 1);
	ck_ok(evq_commit(txn));
	MDB_txn *reader;
	ck_assert_int_eq(mdb_txn_begin(evq_env_mdb(env), NULL, MDB_RDONLY, &reader), 0);
	MDB_val key = { 1, "k" }, value;
	ck_assert_int_eq(mdb_get(reader, dbi, &key, &value), 0);
	mdb_txn_abort(reader);
}
END_TEST

START_TEST(own_data_survives_the_drop_of_every_queue)
{
	send(queue("q"), "a");
	evq_txn *txn = begin();
	MDB_dbi dbi = open_db(txn, "mine");
	put_long(txn, dbi, "k", 5);
	ck_ok(evq_queue_drop(env, txn, "q"));
	ck_ok(evq_commit(txn));
	verify_clean();
	txn = begin();
	ck_assert_int_eq(get_long(txn, dbi, "k"), 5);
	evq_abort(txn);
}
END_TEST

/* user_dbs asked for, and how many there may be */
static const struct {
	unsigned asked;
	int room;
} rooms[] = { { 0, 16 }, { 1, 1 }, { 3, 3 }, { 100, 100 } };

START_TEST(there_is_room_for_so_many_databases_and_no_more)
{
	char name[16];
	MDB_dbi dbi;
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .user_dbs = rooms[_i].asked,
	                             .clock = fake_clock));
	evq_txn *txn = begin();
	for (int i = 0; i < rooms[_i].room; i++) {
		snprintf(name, sizeof name, "db-%d", i);
		put_long(txn, open_db(txn, name), "k", i);
	}
	ck_assert_int_eq(mdb_dbi_open(evq_txn_mdb(txn), "more", MDB_CREATE, &dbi), MDB_DBS_FULL);
	evq_abort(txn);
}
END_TEST

/*
 * Accounts are credited by messages, in a process that gives up every third time after all its work
 * and before the commit, and dies (closes, opens again) every tenth: each credit counts once.
 */
static void
credit_one(evq_queue *q, evq_txn *txn)
{
	evq_batch *b = batch();
	ck_ok(evq_receive(q, txn, NULL, b));
	const evq_delivery *d = evq_batch_at(b, 0);
	MDB_dbi accounts = open_db(txn, "accounts");
	put_long(txn, accounts, "total", get_long(txn, accounts, "total") + atol(d->body));
	put_long(txn, accounts, "count", get_long(txn, accounts, "count") + 1);
	evq_receipt receipt = d->receipt;
	ck_ok(evq_delete(q, txn, &receipt));
	ck_ok(evq_send(queue("done"), txn, d->body, d->body_len, NULL, NULL));
}

START_TEST(processing_is_exactly_once_whatever_fails)
{
	enum { CREDITS = 60 };
	char body[16];
	queue("done");
	for (int i = 1; i <= CREDITS; i++) {
		snprintf(body, sizeof body, "%d", i);
		send(queue("q"), body);
	}
	for (int turn = 1; stats(queue("q")).messages > 0; turn++) {
		evq_txn *txn = begin();
		credit_one(queue("q"), txn);
		if (turn % 3 == 0)
			evq_abort(txn);
		else
			ck_ok(evq_commit(txn));
		if (turn % 10 == 0)
			store_reopen();
	}
	evq_txn *txn = begin();
	ck_assert_int_eq(get_long(txn, open_db(txn, "accounts"), "count"), CREDITS);
	ck_assert_int_eq(get_long(txn, open_db(txn, "accounts"), "total"), CREDITS * (CREDITS + 1) / 2);
	evq_abort(txn);
	expect_counts(queue("done"), CREDITS, 0, 0);
	ck_assert_uint_eq(stats(queue("q")).received, CREDITS);
}
END_TEST

/* ---- no room ------------------------------------------------------------------------------------ */

enum { WAITING = 3000 };

static void
open_small(void)
{
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .map_size = 4 << 20, .clock = fake_clock,
	                             .on_event = record_event));
}

/* Rows of a page each until LMDB has no more, or until there are that many; how many there were. */
static int
fill(evq_txn *txn, int most)
{
	static const char page[3000];
	MDB_dbi dbi = open_db(txn, "filler");
	for (int i = 0; i < most; i++)
		if (put(txn, dbi, &i, sizeof i, page, sizeof page))
			return i;
	return most;
}

static void
send_waiting(evq_queue *q)
{
	static evq_buf bodies[WAITING];
	static evq_id ids[WAITING];
	for (size_t i = 0; i < WAITING; i++)
		bodies[i] = (evq_buf){ "waiting", 7 };
	ck_ok(evq_send_batch(q, NULL, bodies, WAITING, NULL, ids));
}

START_TEST(transaction_that_ran_out_of_room_in_the_middle_answers_one_error_to_the_end)
{
	open_small();
	evq_queue *q = queue("q");
	send_waiting(q);
	evq_txn *txn = begin();
	int room = fill(txn, INT32_MAX);
	evq_abort(txn);
	ck_assert_int_gt(room, 100);
	txn = begin();
	ck_assert_int_eq(fill(txn, room - 4), room - 4);
	evq_batch *b = batch();
	int rc = evq_receive(q, txn, EVQ_RECEIVE_OPTS(.count = WAITING), b);
	ck_assert_int_ne(rc, 0);
	ck_assert_int_ne(rc, EVQ_EMPTY);
	ck_assert_uint_eq(evq_batch_count(b), 0);
	ck_rc(evq_receive(q, txn, NULL, b), rc);
	ck_rc(evq_send(q, txn, "a", 1, NULL, NULL), rc);
	ck_rc(evq_commit(txn), rc);
	expect_counts(q, WAITING, 0, 0);
	ck_assert_uint_eq(seen_count, 0);
	take(q, WAITING);
	txn = begin();
	ck_assert_int_eq(fill(txn, 3), 3);
	ck_ok(evq_commit(txn));
}
END_TEST

START_TEST(transaction_spoilt_by_the_user_cannot_be_committed)
{
	open_small();
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	send(q, "a");
	send(q, "held");
	evq_batch *held = take(q, 2);
	evq_receipt a = evq_batch_at(held, 0)->receipt, other = evq_batch_at(held, 1)->receipt;
	ck_ok(evq_release(q, NULL, &a, 0, 0));
	evq_txn *txn = begin();
	ck_ok(evq_send(q, txn, "b", 1, NULL, NULL));
	ck_ok(evq_bury(q, txn, &other, "never told"));
	fill(txn, INT32_MAX);
	ck_assert_int_ne(evq_receive(q, txn, NULL, batch()), 0);
	ck_assert_int_ne(evq_send(q, txn, "c", 1, NULL, NULL), 0);
	ck_assert_int_ne(evq_commit(txn), 0);
	ck_assert_uint_eq(seen_count, 0);
	expect_counts(q, 1, 0, 1);
	take_one(q, "a");
}
END_TEST

START_TEST(send_refused_for_room_does_not_spoil_the_transaction)
{
	static const char body[2000];
	open_small();
	evq_queue *q = queue("q");
	evq_txn *txn = begin();
	uint64_t sent = 0;
	int rc;
	while ((rc = evq_send(q, txn, body, sizeof body, NULL, NULL)) == 0)
		sent++;
	ck_rc(rc, EVQ_FULL);
	ck_assert_uint_gt(sent, 100);
	evq_batch *b = batch();
	ck_ok(evq_receive(q, txn, NULL, b));
	evq_receipt receipt = evq_batch_at(b, 0)->receipt;
	ck_ok(evq_delete(q, txn, &receipt));
	ck_ok(evq_commit(txn));
	expect_counts(q, sent - 1, 0, 0);
}
END_TEST

Suite *
user_suite(void)
{
	Suite *suite = suite_create("user");
	TCase *tc = tcase_create("user");
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_test(tc, own_data_and_messages_are_committed_together);
	tcase_add_test(tc, own_data_and_messages_are_aborted_together);
	tcase_add_test(tc, own_data_alone_may_be_committed);
	tcase_add_test(tc, own_data_survives_the_drop_of_every_queue);
	tcase_add_loop_test(tc, there_is_room_for_so_many_databases_and_no_more, 0,
	                    (int)(sizeof rooms / sizeof *rooms));
	tcase_add_test(tc, processing_is_exactly_once_whatever_fails);
	tcase_add_test(tc, transaction_that_ran_out_of_room_in_the_middle_answers_one_error_to_the_end);
	tcase_add_test(tc, transaction_spoilt_by_the_user_cannot_be_committed);
	tcase_add_test(tc, send_refused_for_room_does_not_spoil_the_transaction);
	suite_add_tcase(suite, tc);
	return suite;
}
