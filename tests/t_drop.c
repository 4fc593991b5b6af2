/* SPDX-License-Identifier: MIT */
/*
 * How queues end, and how dead letters tie them: a dead letter comes into being with its source and can't be
 * dropped before it, the ties never form a ring, and a handle on a dropped queue is dead for ever, also when
 * the name lives again.
 */
#include "support.h"

static int
exists(const char *name)
{
	evq_queue *q = NULL;
	int rc = evq_queue_open(env, name, NULL, &q);
	evq_queue_close(q);
	ck_assert_msg(rc == 0 || rc == EVQ_NOQUEUE, "open: %s", evq_errname(rc));
	return rc == 0;
}

static int
set_dead(evq_queue *q, const char *dead)
{
	return evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.dead_letter = dead));
}

static int
open_with_dead(const char *name, const char *dead)
{
	evq_queue *q = NULL;
	int rc = evq_queue_open(env, name, EVQ_QUEUE_ATTRS(.dead_letter = dead), &q);
	evq_queue_close(q);
	return rc;
}

/* ---- dead letters ------------------------------------------------------------------------------ */

START_TEST(a_missing_dead_letter_is_created_with_defaults)
{
	queue_with("q", EVQ_QUEUE_ATTRS(.visibility_ms = 5, .retention_ms = 6, .max_messages = 7, .dead_letter = "dead"));
	evq_queue_attrs a = { .size = sizeof(a) };
	ck_ok(evq_queue_get_attrs(queue_with("dead", NULL), &a));
	ck_assert_int_eq(a.visibility_ms, 30000);
	ck_assert_int_eq(a.retention_ms, 0);
	ck_assert_uint_eq(a.max_messages, 0);
	ck_assert_ptr_null(a.dead_letter);
}
END_TEST

START_TEST(an_existing_dead_letter_keeps_its_attributes_and_messages)
{
	evq_queue *dead = queue_with("dead", EVQ_QUEUE_ATTRS(.visibility_ms = 9, .dead_letter = "deader"));
	send(dead, "old");
	queue_with("q", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	ck_ok(set_dead(queue("r"), "dead"));
	evq_queue_attrs a = { .size = sizeof(a) };
	ck_ok(evq_queue_get_attrs(dead, &a));
	ck_assert_int_eq(a.visibility_ms, 9);
	ck_assert_str_eq(a.dead_letter, "deader");
	take_one(dead, "old");
}
END_TEST

START_TEST(an_aborted_set_attrs_creates_no_dead_letter)
{
	evq_queue *q = queue("q");
	evq_txn *txn = NULL;
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_queue_set_attrs(q, txn, EVQ_QUEUE_ATTRS(.dead_letter = "dead", .visibility_ms = 5)));
	evq_abort(txn);
	ck_assert(!exists("dead"));
	evq_queue_attrs a = { .size = sizeof(a) };
	ck_ok(evq_queue_get_attrs(q, &a));
	ck_assert_int_eq(a.visibility_ms, 30000);
	ck_assert_ptr_null(a.dead_letter);
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_queue_set_attrs(q, txn, EVQ_QUEUE_ATTRS(.dead_letter = "dead")));
	ck_ok(evq_commit(txn));
	ck_assert(exists("dead"));
}
END_TEST

START_TEST(dead_letters_never_form_a_ring)
{
	enum { LINKS = 40 };
	evq_queue *q[LINKS];
	char name[LINKS][16];
	for (int i = 0; i < LINKS; i++) {
		snprintf(name[i], sizeof(name[i]), "link%d", i);
		q[i] = queue(name[i]);
	}
	for (int i = 0; i + 1 < LINKS; i++)
		ck_ok(set_dead(q[i], name[i + 1]));
	for (int i = 0; i < LINKS; i++)
		ck_rc(set_dead(q[LINKS - 1], name[i]), EINVAL);
	ck_rc(set_dead(q[LINKS / 2], name[0]), EINVAL);
	ck_ok(set_dead(q[LINKS / 2], NULL));
	ck_ok(set_dead(q[LINKS - 1], name[0]));
	ck_rc(set_dead(q[LINKS / 2], name[LINKS / 2 + 1]), EINVAL);
}
END_TEST

START_TEST(a_queue_created_into_a_ring_is_not_created)
{
	ck_ok(open_with_dead("a", "b"));
	ck_rc(open_with_dead("c", "c"), EINVAL);
	ck_assert(!exists("c"));
	ck_rc(open_with_dead("b", "b"), EINVAL);
	ck_rc(set_dead(queue("b"), "a"), EINVAL);
	ck_ok(open_with_dead("c", "a"));
	ck_ok(open_with_dead("d", "a"));
	ck_rc(set_dead(queue("b"), "d"), EINVAL);
}
END_TEST

START_TEST(a_ring_is_refused_inside_one_transaction_too)
{
	evq_queue *a = queue("a"), *b = queue("b");
	evq_txn *txn = NULL;
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_queue_set_attrs(a, txn, EVQ_QUEUE_ATTRS(.dead_letter = "b")));
	ck_rc(evq_queue_set_attrs(b, txn, EVQ_QUEUE_ATTRS(.dead_letter = "a")), EINVAL);
	ck_rc(evq_queue_drop(env, txn, "b"), EBUSY);
	ck_ok(evq_queue_set_attrs(a, txn, EVQ_QUEUE_ATTRS()));
	ck_ok(evq_queue_set_attrs(b, txn, EVQ_QUEUE_ATTRS(.dead_letter = "a")));
	ck_ok(evq_commit(txn));
	ck_rc(set_dead(a, "b"), EINVAL);
}
END_TEST

/* ---- dropping ---------------------------------------------------------------------------------- */

START_TEST(a_dead_letter_cannot_be_dropped_before_every_source_lets_go)
{
	evq_queue *a = queue_with("a", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	queue_with("b", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	send(queue("dead"), "kept");
	ck_rc(evq_queue_drop(env, NULL, "dead"), EBUSY);
	ck_ok(set_dead(a, NULL));
	ck_rc(evq_queue_drop(env, NULL, "dead"), EBUSY);
	expect_counts(queue("dead"), 1, 0, 0);
	ck_ok(evq_queue_drop(env, NULL, "b"));
	ck_ok(evq_queue_drop(env, NULL, "dead"));
	ck_assert(!exists("dead"));
}
END_TEST

START_TEST(drop_of_a_missing_queue_is_noqueue)
{
	queue("q");
	ck_rc(evq_queue_drop(env, NULL, "r"), EVQ_NOQUEUE);
	ck_ok(evq_queue_drop(env, NULL, "q"));
	ck_rc(evq_queue_drop(env, NULL, "q"), EVQ_NOQUEUE);
}
END_TEST

/* More messages than a slice, in every state, with bodies of many parts: verify finds leftovers at teardown. */
START_TEST(drop_takes_all_messages_and_nothing_of_other_queues)
{
	static char big[100000];
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS()), *other = queue("other");
	memset(big, 'b', sizeof(big) - 1);
	send(other, "kept");
	for (int i = 0; i < 350; i++)
		send_with(q, i % 50 ? "small" : big, EVQ_SEND_OPTS(.delay_ms = i % 3 ? 0 : 1000, .priority = i % 5));
	take(q, 100);
	send(other, "kept too");
	ck_ok(evq_queue_drop(env, NULL, "q"));
	expect_counts(other, 2, 0, 0);
	take_one(other, "kept");
	take_one(other, "kept too");
}
END_TEST

static const uint32_t kinds[] = { EVQ_FIFO, EVQ_FAIR, EVQ_FIFO | EVQ_CONTENT_DEDUP, EVQ_FAIR | EVQ_CONTENT_DEDUP };

START_TEST(drop_takes_all_of_every_kind_and_the_name_may_be_of_another)
{
	char body[16];
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = kinds[_i]));
	for (int i = 0; i < 350; i++) {
		snprintf(body, sizeof(body), "%d", i);
		send_with(q, body, EVQ_SEND_OPTS(.group = i % 3 ? "a" : "b", .priority = i % 5, .dedup_id = i % 2 ? body : NULL));
	}
	take(q, 100);
	ck_ok(evq_queue_drop(env, NULL, "q"));
	verify_clean();
	q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = kinds[(_i + 1) % COUNT(kinds)]));
	for (int i = 0; i < 2; i++)
		send_with(q, i ? "1" : "0", EVQ_SEND_OPTS(.group = "a", .dedup_id = i ? "1" : NULL));
	take(q, 2);
	ck_assert_uint_eq(stats(q).duplicates, 0);
}
END_TEST

START_TEST(an_aborted_drop_leaves_everything)
{
	evq_queue *q = queue("q");
	send(q, "one");
	send(q, "two");
	evq_receipt r = take_one(q, "one");
	evq_txn *txn = NULL;
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_queue_drop(env, txn, "q"));
	ck_rc(evq_send(q, txn, "x", 1, NULL, NULL), EVQ_NOQUEUE);
	evq_abort(txn);
	expect_counts(q, 1, 0, 1);
	ck_ok(evq_delete(q, NULL, &r));
	take_one(q, "two");
}
END_TEST

START_TEST(a_name_lives_again_as_a_new_queue)
{
	evq_queue *old = queue_with("q", EVQ_QUEUE_ATTRS(.visibility_ms = 5, .dead_letter = "dead"));
	evq_id last = send(old, "gone");
	evq_receipt r = take_one(old, "gone");
	ck_ok(evq_queue_drop(env, NULL, "q"));
	evq_queue *new = queue("q");
	evq_queue_attrs a = { .size = sizeof(a) };
	ck_ok(evq_queue_get_attrs(new, &a));
	ck_assert_int_eq(a.visibility_ms, 30000);
	ck_assert_ptr_null(a.dead_letter);
	evq_stats s = stats(new);
	ck_assert_uint_eq(s.messages + s.sent + s.received + s.purged, 0);
	ck_rc(evq_delete(new, NULL, &r), EINVAL);
	ck_assert_uint_gt(send(new, "first"), last);
	ck_rc(evq_send(old, NULL, "x", 1, NULL, NULL), EVQ_NOQUEUE);
	expect_counts(new, 1, 0, 0);
	ck_ok(evq_queue_drop(env, NULL, "dead"));
}
END_TEST

/* ---- handles on a dropped queue ---------------------------------------------------------------- */

static evq_receipt held; /* a lease of the queue that was dropped */

static int
do_send(evq_queue *q)
{
	return evq_send(q, NULL, "x", 1, NULL, NULL);
}

static int
do_send_batch(evq_queue *q)
{
	const evq_buf bodies[] = { { "x", 1 }, { "y", 1 } };
	return evq_send_batch(q, NULL, bodies, 2, NULL, NULL);
}

static int
do_receive(evq_queue *q)
{
	return evq_receive(q, NULL, NULL, batch());
}

static int
do_receive_waiting(evq_queue *q)
{
	return evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.wait_ms = 60000), batch());
}

static int
do_peek(evq_queue *q)
{
	return evq_peek(q, NULL, batch());
}

static int
do_delete(evq_queue *q)
{
	return evq_delete(q, NULL, &held);
}

static int
do_delete_batch(evq_queue *q)
{
	int rcs[] = { 4711 };
	int rc = evq_delete_batch(q, NULL, &held, 1, rcs);
	ck_assert_int_eq(rcs[0], 4711);
	return rc;
}

static int
do_extend(evq_queue *q)
{
	evq_receipt out;
	return evq_extend(q, NULL, &held, 0, &out);
}

static int
do_release(evq_queue *q)
{
	return evq_release(q, NULL, &held, 0, 0);
}

static int
do_bury(evq_queue *q)
{
	return evq_bury(q, NULL, &held, "why");
}

static int
do_redrive(evq_queue *q)
{
	size_t moved = 0;
	return evq_redrive(q, NULL, NULL, &moved);
}

static int
do_redrive_to(evq_queue *q)
{
	size_t moved = 0;
	return evq_redrive(q, NULL, EVQ_REDRIVE_OPTS(.to = "other"), &moved);
}

static int
do_purge(evq_queue *q)
{
	size_t purged = 0;
	return evq_purge(q, NULL, &purged);
}

static int
do_stats(evq_queue *q)
{
	evq_stats s = { .size = sizeof(s) };
	return evq_queue_stats(q, &s);
}

static int
do_get_attrs(evq_queue *q)
{
	evq_queue_attrs a = { .size = sizeof(a) };
	return evq_queue_get_attrs(q, &a);
}

static int
do_set_attrs(evq_queue *q)
{
	return evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.dead_letter = "not-to-be"));
}

static int (*const calls[])(evq_queue *q) = {
	do_send,    do_send_batch, do_receive, do_receive_waiting, do_peek,  do_delete, do_delete_batch, do_extend,
	do_release, do_bury,       do_redrive, do_redrive_to,      do_purge, do_stats,  do_get_attrs,    do_set_attrs,
};

START_TEST(every_call_on_a_dropped_queue_is_noqueue_for_ever)
{
	evq_queue *other = queue("other");
	evq_queue *one = queue_with("q", EVQ_QUEUE_ATTRS(.dead_letter = "dead")), *two = queue("q");
	send(one, "m");
	held = take_one(one, "m");
	ck_ok(evq_queue_drop(env, NULL, "q"));
	ck_rc(calls[_i](one), EVQ_NOQUEUE);
	evq_queue *new = queue_with("q", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	send(new, "kept");
	ck_rc(calls[_i](one), EVQ_NOQUEUE);
	ck_rc(calls[_i](two), EVQ_NOQUEUE);
	ck_ok(evq_queue_drop(env, NULL, "q"));
	ck_rc(calls[_i](two), EVQ_NOQUEUE);
	ck_rc(calls[_i](new), EVQ_NOQUEUE);
	expect_counts(other, 0, 0, 0);
	ck_assert(!exists("not-to-be"));
}
END_TEST

Suite *
drop_suite(void)
{
	Suite *s = suite_create("drop");
	TCase *t = tcase_create("drop");
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_test(t, a_missing_dead_letter_is_created_with_defaults);
	tcase_add_test(t, an_existing_dead_letter_keeps_its_attributes_and_messages);
	tcase_add_test(t, an_aborted_set_attrs_creates_no_dead_letter);
	tcase_add_test(t, dead_letters_never_form_a_ring);
	tcase_add_test(t, a_queue_created_into_a_ring_is_not_created);
	tcase_add_test(t, a_ring_is_refused_inside_one_transaction_too);
	tcase_add_test(t, a_dead_letter_cannot_be_dropped_before_every_source_lets_go);
	tcase_add_test(t, drop_of_a_missing_queue_is_noqueue);
	tcase_add_test(t, drop_takes_all_messages_and_nothing_of_other_queues);
	tcase_add_loop_test(t, drop_takes_all_of_every_kind_and_the_name_may_be_of_another, 0, COUNT(kinds));
	tcase_add_test(t, an_aborted_drop_leaves_everything);
	tcase_add_test(t, a_name_lives_again_as_a_new_queue);
	tcase_add_loop_test(t, every_call_on_a_dropped_queue_is_noqueue_for_ever, 0, COUNT(calls));
	suite_add_tcase(s, t);
	return s;
}
