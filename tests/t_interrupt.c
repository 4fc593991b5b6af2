/* SPDX-License-Identifier: MIT */
/*
 * evq_env_interrupt ends the waits that are in progress, all of them and nothing later, also from a signal
 * handler; a signal that does not call it ends none. The interrupts are repeated until the waiters are done,
 * since one that comes before a wait has begun has no effect on it.
 */
#include "waiter.h"

START_TEST(an_interrupt_ends_every_wait_of_the_store)
{
	enum { N = 4 };
	struct waiter w[N];
	evq_queue *q = queue("q"), *other = queue("other");
	for (int i = 0; i < N; i++)
		start_waiting(&w[i], i % 2 ? q : other, EVQ_RECEIVE_OPTS(.wait_ms = i / 2 ? EVQ_NONE : PATIENCE));
	for (int64_t start = real_ms(); real_ms() - start < SOON && w[0].done + w[1].done + w[2].done + w[3].done < N;) {
		evq_env_interrupt(env);
		nap_ms(5);
	}
	for (int i = 0; i < N; i++)
		expect_woken(&w[i], EVQ_INTERRUPTED, "");
}
END_TEST

START_TEST(an_interrupt_does_not_reach_later_calls)
{
	evq_queue *q = queue("q");
	evq_env_interrupt(env);
	evq_env_interrupt(env);
	ck_assert_int_ge(receive_ms(q, EVQ_RECEIVE_OPTS(.wait_ms = 60), EVQ_EMPTY), 59);
	evq_env_interrupt(env);
	send(q, "x");
	receive_ms(q, WAIT(.count = 1), 0);
	evq_env_interrupt(NULL);
}
END_TEST

static atomic_int signals;

static void
on_signal(int number)
{
	signals++;
	if (number == SIGUSR1)
		evq_env_interrupt(env);
}

static void
handle(int number)
{
	struct sigaction act = { .sa_handler = on_signal };
	ck_assert_int_eq(sigaction(number, &act, NULL), 0);
}

START_TEST(an_interrupt_from_a_signal_handler_ends_the_wait)
{
	struct waiter w;
	handle(SIGUSR1);
	start_waiting(&w, queue("q"), WAIT(.count = 1));
	for (int64_t start = real_ms(); !w.done && real_ms() - start < SOON; nap_ms(5))
		pthread_kill(w.thread, SIGUSR1);
	expect_woken(&w, EVQ_INTERRUPTED, "");
}
END_TEST

START_TEST(a_signal_alone_does_not_end_the_wait)
{
	struct waiter w;
	evq_queue *q = queue("q");
	handle(SIGUSR2);
	signals = 0;
	start_waiting(&w, q, WAIT(.count = 1));
	for (int i = 0; i < 10; i++) {
		pthread_kill(w.thread, SIGUSR2);
		nap_ms(5);
	}
	ck_assert_int_gt(signals, 0);
	ck_assert_int_eq(w.done, 0);
	send(q, "x");
	expect_woken(&w, 0, "x");
}
END_TEST

Suite *
interrupt_suite(void)
{
	Suite *s = suite_create("interrupt");
	TCase *t = tcase_create("interrupt");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_test(t, an_interrupt_ends_every_wait_of_the_store);
	tcase_add_test(t, an_interrupt_does_not_reach_later_calls);
	tcase_add_test(t, an_interrupt_from_a_signal_handler_ends_the_wait);
	tcase_add_test(t, a_signal_alone_does_not_end_the_wait);
	suite_add_tcase(s, t);
	return s;
}
