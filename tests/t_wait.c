/* SPDX-License-Identifier: MIT */
/*
 * Waiting in evq_receive: what ends a wait, in this process and from another, what does not, and how long it may
 * last. Interrupts are in t_interrupt.c; the window in which a batch goes on filling, and waiting for something
 * to become due, in t_window.c.
 */
#include "waiter.h"

/* ---- what wakes -------------------------------------------------------------------------------- */

static evq_receipt held;

static evq_receipt
take_with(evq_queue *q, int64_t visibility_ms)
{
	evq_batch *b = batch();
	ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.visibility_ms = visibility_ms), b));
	return evq_batch_at(b, 0)->receipt;
}

static void
by_send(evq_queue *q)
{
	send(q, "x");
}

static void
by_send_batch(evq_queue *q)
{
	const evq_buf bodies[] = { { "x", 1 }, { "y", 1 } };
	ck_ok(evq_send_batch(q, NULL, bodies, 2, NULL, NULL));
}

static void
by_commit(evq_queue *q)
{
	evq_txn *txn = NULL;
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_send(q, txn, "x", 1, NULL, NULL));
	nap_ms(20);
	ck_ok(evq_commit(txn));
}

static void
lease(evq_queue *q)
{
	send(q, "x");
	held = take_with(q, 0);
}

static void
by_release(evq_queue *q)
{
	ck_ok(evq_release(q, NULL, &held, 0, 0));
}

static void
by_shortening(evq_queue *q)
{
	ck_ok(evq_extend(q, NULL, &held, 20, &held));
	clock_advance_ms(20);
}

/* The rest move it here, the dead letter of source. */
static evq_queue *source;

static void
fill_source(evq_queue *q)
{
	(void)q;
	source = queue_with("source", EVQ_QUEUE_ATTRS(.dead_letter = "q", .max_receives = 1, .flags = EVQ_EXPIRE_TO_DEAD_LETTER));
	send_with(source, "x", EVQ_SEND_OPTS(.expires_ms = 100000));
	held = take_with(source, 1000);
}

static void
by_bury(evq_queue *q)
{
	(void)q;
	ck_ok(evq_bury(source, NULL, &held, "why"));
}

static void
by_last_release(evq_queue *q)
{
	(void)q;
	ck_ok(evq_release(source, NULL, &held, EVQ_BACKOFF, 0));
}

static void
by_receive_over_the_limit(evq_queue *q)
{
	(void)q;
	clock_advance_ms(1000);
	expect_empty(source);
}

static void
by_expiry(evq_queue *q)
{
	(void)q;
	clock_advance_ms(100000);
	expect_empty(source);
}

static void
by_redrive(evq_queue *q)
{
	size_t moved = 0;
	(void)q;
	ck_ok(evq_release(source, NULL, &held, 0, EVQ_UNCOUNTED));
	ck_ok(evq_redrive(source, NULL, EVQ_REDRIVE_OPTS(.to = "q"), &moved));
	ck_assert_uint_eq(moved, 1);
}

static const struct {
	void (*before)(evq_queue *q);
	void (*act)(evq_queue *q);
} wakers[] = {
	{ NULL, by_send },
	{ NULL, by_send_batch },
	{ NULL, by_commit },
	{ lease, by_release },
	{ lease, by_shortening },
	{ fill_source, by_bury },
	{ fill_source, by_last_release },
	{ fill_source, by_receive_over_the_limit },
	{ fill_source, by_expiry },
	{ fill_source, by_redrive },
};

START_TEST(whatever_makes_a_message_visible_wakes_a_waiter)
{
	struct waiter w;
	evq_queue *q = queue("q");
	if (wakers[_i].before)
		wakers[_i].before(q);
	start_waiting(&w, q, WAIT(.count = 1));
	wakers[_i].act(q);
	expect_woken(&w, 0, "x");
}
END_TEST

START_TEST(no_wake_is_lost_in_a_hundred_turns)
{
	evq_queue *q = queue("q");
	int64_t start = real_ms();
	for (int i = 0; i < 100; i++) {
		struct waiter w = { .q = q, .opts = *EVQ_RECEIVE_OPTS(.wait_ms = EVQ_NONE) };
		ck_assert_int_eq(pthread_create(&w.thread, NULL, wait_main, &w), 0);
		if (i % 4)
			nap_ms(i % 4);
		send(q, "x");
		expect_woken(&w, 0, "x");
	}
	ck_assert_int_lt(real_ms() - start, 3 * SOON);
}
END_TEST

START_TEST(one_message_ends_one_wait)
{
	struct waiter w[2];
	evq_queue *q = queue("q");
	for (int i = 0; i < 2; i++)
		start_waiting(&w[i], q, WAIT(.count = 1));
	send(q, "x");
	for (int64_t start = real_ms(); !w[0].done && !w[1].done && real_ms() - start < SOON;)
		nap_ms(1);
	nap_ms(50);
	ck_assert_int_eq(w[0].done + w[1].done, 1);
	send(q, "x");
	for (int i = 0; i < 2; i++)
		expect_woken(&w[i], 0, "x");
}
END_TEST

START_TEST(a_batch_wakes_as_many_waiters_as_it_has_messages)
{
	enum { N = 6 };
	static const evq_buf bodies[N] = { { "x", 1 }, { "x", 1 }, { "x", 1 }, { "x", 1 }, { "x", 1 }, { "x", 1 } };
	struct waiter w[N];
	evq_queue *q = queue("q");
	for (int i = 0; i < N; i++)
		start_waiting(&w[i], q, WAIT(.count = 1));
	ck_ok(evq_send_batch(q, NULL, bodies, N, NULL, NULL));
	for (int i = 0; i < N; i++)
		expect_woken(&w[i], 0, "x");
}
END_TEST

START_TEST(a_drop_ends_the_wait_even_when_the_name_lives_again)
{
	struct waiter w;
	start_waiting(&w, queue("q"), WAIT(.count = 1));
	ck_ok(evq_queue_drop(env, NULL, "q"));
	queue("q");
	expect_woken(&w, EVQ_NOQUEUE, "");
}
END_TEST

/* ---- another process --------------------------------------------------------------------------- */

enum { CHILD_SENDS, CHILD_RELEASES, CHILD_DROPS };

static int
wake_in_child(void *arg)
{
	const int *what = arg;
	evq_env *own = NULL;
	evq_queue *q = NULL;
	evq_batch *b = NULL;
	EXPECT(evq_env_open(store_dir, EVQ_ENV_OPTS(.clock = fake_clock), &own), 0);
	EXPECT(evq_queue_open(own, "q", NULL, &q), 0);
	EXPECT(evq_batch_new(&b), 0);
	if (*what == CHILD_RELEASES)
		EXPECT(evq_receive(q, NULL, NULL, b), 0);
	nap_ms(100);
	if (*what == CHILD_SENDS)
		EXPECT(evq_send(q, NULL, "x", 1, NULL, NULL), 0);
	else if (*what == CHILD_RELEASES)
		EXPECT(evq_release(q, NULL, &evq_batch_at(b, 0)->receipt, 0, 0), 0);
	else
		EXPECT(evq_queue_drop(own, NULL, "q"), 0);
	evq_batch_free(b);
	evq_queue_close(q);
	evq_env_close(own);
	return 0;
}

START_TEST(a_call_in_another_process_ends_the_wait)
{
	int what = _i;
	evq_queue *q = queue("q");
	if (what == CHILD_RELEASES)
		send(q, "x");
	pid_t child = proc_start(wake_in_child, &what);
	if (what == CHILD_RELEASES)
		for (int64_t start = real_ms(); stats(q).leased == 0 && real_ms() - start < SOON;)
			nap_ms(1);
	int64_t took = receive_ms(q, WAIT(.count = 1), what == CHILD_DROPS ? EVQ_NOQUEUE : 0);
	ck_assert_int_eq(proc_wait(child), 0);
	ck_assert_int_lt(took, SOON);
}
END_TEST

/* ---- how long ---------------------------------------------------------------------------------- */

START_TEST(a_wait_for_nothing_lasts_as_long_as_asked)
{
	static const int64_t waits[] = { 0, 1, 80, 300 };
	evq_queue *q = queue("q");
	for (int i = 0; i < COUNT(waits); i++) {
		int64_t took = receive_ms(q, EVQ_RECEIVE_OPTS(.wait_ms = waits[i]), EVQ_EMPTY);
		ck_assert_int_ge(took, waits[i] - 1);
		ck_assert_int_lt(took, SOON);
	}
}
END_TEST

START_TEST(a_wait_does_not_start_where_there_is_a_message)
{
	evq_queue *q = queue("q");
	send(q, "x");
	ck_assert_int_lt(receive_ms(q, WAIT(.count = 10), 0), SOON);
}
END_TEST

START_TEST(messages_of_another_queue_do_not_end_the_wait)
{
	struct waiter w;
	evq_queue *other = queue("other");
	start_waiting(&w, queue("q"), EVQ_RECEIVE_OPTS(.wait_ms = 300));
	for (int i = 0; i < 20; i++)
		send(other, "y");
	expect_woken(&w, EVQ_EMPTY, "");
	ck_assert_int_ge(w.took_ms, 299);
}
END_TEST

/* Under a clock that stands still, what is not due does not become due by waiting. */
START_TEST(a_wait_is_real_time_and_what_is_due_is_store_time)
{
	evq_queue *q = queue("q");
	send_with(q, "x", EVQ_SEND_OPTS(.delay_ms = 20));
	int64_t took = receive_ms(q, EVQ_RECEIVE_OPTS(.wait_ms = 150), EVQ_EMPTY);
	ck_assert_int_ge(took, 149);
	clock_advance_ms(20);
	ck_assert_int_lt(receive_ms(q, WAIT(.count = 1), 0), SOON);
}
END_TEST

START_TEST(waiting_burns_no_processor_time)
{
	struct timespec ts;
	evq_queue *q = queue("q");
	send_with(q, "x", EVQ_SEND_OPTS(.delay_ms = 100));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	int64_t before = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	receive_ms(q, EVQ_RECEIVE_OPTS(.wait_ms = 1500), EVQ_EMPTY);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	ck_assert_int_lt((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 - before, 500);
}
END_TEST

Suite *
wait_suite(void)
{
	Suite *s = suite_create("wait");
	TCase *t = tcase_create("wait");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_loop_test(t, whatever_makes_a_message_visible_wakes_a_waiter, 0, COUNT(wakers));
	tcase_add_test(t, no_wake_is_lost_in_a_hundred_turns);
	tcase_add_test(t, one_message_ends_one_wait);
	tcase_add_test(t, a_batch_wakes_as_many_waiters_as_it_has_messages);
	tcase_add_test(t, a_drop_ends_the_wait_even_when_the_name_lives_again);
#if !defined(__SANITIZE_THREAD__) /* which knows no threads in a child of a process that has some */
	tcase_add_loop_test(t, a_call_in_another_process_ends_the_wait, CHILD_SENDS, CHILD_DROPS + 1);
#endif
	tcase_add_test(t, a_wait_for_nothing_lasts_as_long_as_asked);
	tcase_add_test(t, a_wait_does_not_start_where_there_is_a_message);
	tcase_add_test(t, messages_of_another_queue_do_not_end_the_wait);
	tcase_add_test(t, a_wait_is_real_time_and_what_is_due_is_store_time);
	tcase_add_test(t, waiting_burns_no_processor_time);
	suite_add_tcase(s, t);
	return s;
}
