/* SPDX-License-Identifier: MIT */
/*
 * A receive with a window, in queues with groups: it goes on with the group that it took from last, and with no other,
 * as long as that is its own.
 */
#include "groups.h"
#include "waiter.h"

static evq_queue *q;

static void
setup(void)
{
	store_setup();
	q = fifo("q");
}

START_TEST(window_goes_on_with_the_run_of_the_last_group)
{
	struct waiter w;
	put(q, "a1 b1");
	start_waiting(&w, q, EVQ_RECEIVE_OPTS(.count = 4, .window_ms = PATIENCE));
	put(q, "b2");
	nap_ms(30);
	put(q, "c1");
	ck_assert_int_eq(pthread_join(w.thread, NULL), 0);
	ck_rc(w.rc, 0);
	ck_assert_uint_eq(w.count, 4);
	ck_assert_str_eq(w.letters, "abbc");
	ck_assert_int_lt(w.took_ms, SOON);
	expect_blocked(q, 0, 0, 4, 0);
}
END_TEST

/* One that comes back to its group, before what the window holds, is somebody else's now. */
START_TEST(window_does_not_go_on_where_another_has_an_earlier_one)
{
	struct waiter w;
	size_t moved = 0;
	evq_queue *work = queue_with("work", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO, .dead_letter = "dead")), *dead = queue("dead");
	put(work, "a1");
	ck_ok(evq_bury(work, NULL, &evq_batch_at(take(work, 1), 0)->receipt, "why"));
	put(work, "a2");
	start_waiting(&w, work, EVQ_RECEIVE_OPTS(.count = 2 + (uint32_t)_i, .window_ms = PATIENCE));
	for (int64_t start = real_ms(); stats(work).leased == 0 && real_ms() - start < SOON;)
		nap_ms(1);
	evq_txn *txn = NULL; /* so that the window sees nothing before a1 is taken */
	evq_batch *other = batch();
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_redrive(dead, txn, NULL, &moved));
	ck_ok(evq_receive(work, txn, NULL, other));
	ck_assert_str_eq(bodies_of(other), "a1");
	ck_ok(evq_send(work, txn, "a3", 2, EVQ_SEND_OPTS(.group = "a"), NULL));
	ck_ok(evq_send(work, txn, "b1", 2, EVQ_SEND_OPTS(.group = "b"), NULL));
	ck_ok(evq_commit(txn));
	nap_ms(50);
	if (_i) /* a3 is to come no sooner than a1 is settled and a2, too: not in this window */
		PUT(work, "c1", .priority = 0);
	ck_assert_int_eq(pthread_join(w.thread, NULL), 0);
	ck_assert_str_eq(w.letters, _i ? "abc" : "ab");
	expect_blocked(work, 0, 0, 3 + (uint64_t)_i, 1);
}
END_TEST

Suite *
group_window_suite(void)
{
	Suite *s = suite_create("group_window");
	TCase *t = tcase_create("group_window");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, window_goes_on_with_the_run_of_the_last_group);
	tcase_add_loop_test(t, window_does_not_go_on_where_another_has_an_earlier_one, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
