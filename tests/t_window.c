/* SPDX-License-Identifier: MIT */
/*
 * Waiting and the clock: a waiter sleeps until something is due and no longer, on the real clock; and window_ms,
 * in which a batch that has its first message goes on filling.
 */
#include "waiter.h"

#define REAL EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED)
#define SLACK 5 /* ms by which wall and monotonic clock may disagree here */

/* ---- due while waiting, on the real clock ------------------------------------------------------ */

START_TEST(a_waiter_gets_a_delayed_message_when_it_is_due)
{
	store_open_opts(REAL);
	evq_queue *q = queue("q");
	int64_t start = real_ms();
	send_with(q, "x", EVQ_SEND_OPTS(.delay_ms = 150));
	ck_assert_int_lt(receive_ms(q, WAIT(.count = 1), 0), SOON);
	ck_assert_int_ge(real_ms() - start, 150 - SLACK);
}
END_TEST

START_TEST(a_waiter_gets_a_message_when_its_lease_ends)
{
	store_open_opts(REAL);
	evq_queue *q = queue("q");
	send(q, "x");
	int64_t start = real_ms();
	receive_ms(q, EVQ_RECEIVE_OPTS(.visibility_ms = 150), 0);
	ck_assert_int_lt(receive_ms(q, EVQ_RECEIVE_OPTS(.wait_ms = EVQ_NONE), 0), SOON);
	ck_assert_int_ge(real_ms() - start, 150 - SLACK);
}
END_TEST

START_TEST(a_lower_priority_that_is_due_first_ends_the_wait)
{
	store_open_opts(REAL);
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	send_with(q, "later", EVQ_SEND_OPTS(.delay_ms = PATIENCE, .priority = 100));
	send_with(q, "first", EVQ_SEND_OPTS(.delay_ms = 100, .priority = -100));
	send_with(q, "later", EVQ_SEND_OPTS(.delay_ms = PATIENCE, .priority = 0));
	int64_t start = real_ms();
	ck_ok(evq_receive(q, NULL, WAIT(.count = 3), b));
	ck_assert_int_lt(real_ms() - start, SOON);
	ck_assert_uint_eq(evq_batch_count(b), 1);
	ck_assert_str_eq(evq_batch_at(b, 0)->body, "first");
}
END_TEST

START_TEST(a_send_due_earlier_brings_the_waking_forward)
{
	struct waiter w;
	store_open_opts(REAL);
	evq_queue *q = queue("q");
	send_with(q, "later", EVQ_SEND_OPTS(.delay_ms = PATIENCE));
	start_waiting(&w, q, WAIT(.count = 1));
	send_with(q, "sooner", EVQ_SEND_OPTS(.delay_ms = 100));
	expect_woken(&w, 0, "s");
}
END_TEST

START_TEST(a_release_with_delay_or_an_extend_to_less_brings_it_forward_too)
{
	struct waiter w;
	store_open_opts(REAL);
	evq_queue *q = queue("q");
	send(q, "x");
	evq_receipt r = take_one(q, "x");
	start_waiting(&w, q, WAIT(.visibility_ms = PATIENCE));
	if (_i)
		ck_ok(evq_release(q, NULL, &r, 100, 0));
	else
		ck_ok(evq_extend(q, NULL, &r, 100, &r));
	expect_woken(&w, 0, "x");
}
END_TEST

/* ---- the window -------------------------------------------------------------------------------- */

START_TEST(the_window_closes_when_the_batch_is_full)
{
	struct waiter w;
	evq_queue *q = queue("q");
	start_waiting(&w, q, WAIT(.count = 4, .window_ms = PATIENCE));
	send(q, "a");
	nap_ms(20);
	send(q, "b");
	ck_ok(evq_send_batch(q, NULL, (evq_buf[]){ { "c", 1 }, { "d", 1 }, { "e", 1 } }, 3, NULL, NULL));
	expect_woken(&w, 0, "abcd");
	expect_counts(q, 1, 0, 4);
}
END_TEST

START_TEST(the_window_closes_in_time_with_what_there_is)
{
	evq_queue *q = queue("q");
	send(q, "x");
	int64_t took = receive_ms(q, EVQ_RECEIVE_OPTS(.count = 5, .window_ms = 150), 0);
	ck_assert_int_ge(took, 149);
	ck_assert_int_lt(took, SOON);
}
END_TEST

START_TEST(the_window_does_not_open_without_a_first_message)
{
	evq_queue *q = queue("q");
	ck_assert_int_lt(receive_ms(q, EVQ_RECEIVE_OPTS(.count = 5, .window_ms = PATIENCE), EVQ_EMPTY), SOON);
	int64_t took = receive_ms(q, EVQ_RECEIVE_OPTS(.count = 5, .wait_ms = 80, .window_ms = PATIENCE), EVQ_EMPTY);
	ck_assert_int_ge(took, 79);
	ck_assert_int_lt(took, SOON);
}
END_TEST

START_TEST(the_window_closes_when_max_bytes_stops_the_batch)
{
	struct waiter w;
	evq_queue *q = queue("q");
	start_waiting(&w, q, WAIT(.count = 10, .window_ms = PATIENCE, .max_bytes = 5));
	send(q, "two");
	send(q, "in");
	send(q, "over");
	expect_woken(&w, 0, "ti");
	expect_counts(q, 1, 0, 2);
}
END_TEST

START_TEST(the_window_closes_too_when_max_bytes_stops_it_later)
{
	struct waiter w;
	evq_queue *q = queue("q");
	start_waiting(&w, q, WAIT(.count = 10, .window_ms = PATIENCE, .max_bytes = 5));
	send(q, "two");
	send(q, "in");
	for (int64_t start = real_ms(); stats(q).leased < 2 && real_ms() - start < SOON;)
		nap_ms(1);
	send(q, "over"); /* alone: the look that finds it takes nothing */
	expect_woken(&w, 0, "ti");
	expect_counts(q, 1, 0, 2);
}
END_TEST

START_TEST(each_lease_taken_in_a_window_runs_from_its_own_receive)
{
	struct waiter w;
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	start_waiting(&w, q, WAIT(.count = 2, .window_ms = PATIENCE, .visibility_ms = 1000));
	send(q, "a");
	for (int64_t start = real_ms(); stats(q).leased == 0 && real_ms() - start < SOON;)
		nap_ms(1);
	clock_advance_ms(600);
	send(q, "b");
	expect_woken(&w, 0, "ab");
	clock_advance_ms(400);
	ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 2), b));
	ck_assert_uint_eq(evq_batch_count(b), 1);
	ck_assert_str_eq(evq_batch_at(b, 0)->body, "a");
}
END_TEST

START_TEST(waiting_inside_a_transaction_is_refused)
{
	static const evq_receive_opts refused[] = {
		{ .size = sizeof(evq_receive_opts), .wait_ms = 1 },
		{ .size = sizeof(evq_receive_opts), .wait_ms = EVQ_NONE },
		{ .size = sizeof(evq_receive_opts), .window_ms = 1, .count = 2 },
	};
	evq_queue *q = queue("q");
	evq_txn *txn = NULL;
	send(q, "x");
	ck_ok(evq_begin(env, &txn));
	ck_rc(evq_receive(q, txn, &refused[_i], batch()), EINVAL);
	ck_ok(evq_receive(q, txn, NULL, batch()));
	ck_ok(evq_commit(txn));
	expect_counts(q, 0, 0, 1);
}
END_TEST

START_TEST(a_window_longer_than_the_lease_does_not_take_its_own_message_again)
{
	store_teardown(); /* time must go by itself */
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED));
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	send(q, "once");
	ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 5, .visibility_ms = 10, .window_ms = 100), b));
	ck_assert_uint_eq(evq_batch_count(b), 1);
	ck_assert_uint_eq(evq_batch_at(b, 0)->receives, 1);
}
END_TEST

START_TEST(a_wait_without_its_transaction_is_a_deadlock_told)
{
	evq_queue *q = queue("q");
	evq_txn *txn = NULL;
	ck_ok(evq_begin(env, &txn));
	ck_assert_int_lt(receive_ms(q, WAIT(.count = 1), EDEADLK), SOON);
	evq_abort(txn);
}
END_TEST

Suite *
window_suite(void)
{
	Suite *s = suite_create("window");
	TCase *t = tcase_create("window");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_test(t, a_waiter_gets_a_delayed_message_when_it_is_due);
	tcase_add_test(t, a_waiter_gets_a_message_when_its_lease_ends);
	tcase_add_test(t, a_lower_priority_that_is_due_first_ends_the_wait);
	tcase_add_test(t, a_send_due_earlier_brings_the_waking_forward);
	tcase_add_loop_test(t, a_release_with_delay_or_an_extend_to_less_brings_it_forward_too, 0, 2);
	tcase_add_test(t, the_window_closes_when_the_batch_is_full);
	tcase_add_test(t, the_window_closes_in_time_with_what_there_is);
	tcase_add_test(t, the_window_does_not_open_without_a_first_message);
	tcase_add_test(t, the_window_closes_when_max_bytes_stops_the_batch);
	tcase_add_test(t, the_window_closes_too_when_max_bytes_stops_it_later);
	tcase_add_test(t, each_lease_taken_in_a_window_runs_from_its_own_receive);
	tcase_add_test(t, a_window_longer_than_the_lease_does_not_take_its_own_message_again);
	tcase_add_loop_test(t, waiting_inside_a_transaction_is_refused, 0, 3);
	tcase_add_test(t, a_wait_without_its_transaction_is_a_deadlock_told);
	suite_add_tcase(s, t);
	return s;
}
