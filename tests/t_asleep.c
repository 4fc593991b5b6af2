/* SPDX-License-Identifier: MIT */
/*
 * A receive that waits is asleep: it makes no context switch until there is something for it, and no more are woken
 * than there are messages, wherever they sleep. What wakes is in t_woken.c.
 */
#include "sleeper.h"

/* ---- a process with sleepers ---------------------------------------------------------------------------------- */

struct host {
	int first, count, keeper;
};

static int
host_sleepers(void *arg)
{
	const struct host *h = arg;
	evq_env *own = NULL;
	evq_queue *at = NULL;
	EXPECT(open_store(h->keeper, &own, &at), 0);
	for (int i = h->first; i < h->first + h->count; i++)
		EXPECT(sleeper_start(&told->sleepers[i], at), 0);
	atomic_fetch_add(&told->ready, 1);
	while (!atomic_load(&told->stop))
		nap_ms(5);
	for (int i = h->first; i < h->first + h->count; i++)
		EXPECT(sleeper_end(&told->sleepers[i]), 0);
	evq_queue_close(at);
	evq_env_close(own);
	return 0;
}

static void
await_ready(int count)
{
	for (int64_t start = real_ms(); atomic_load(&told->ready) < count; nap_ms(1))
		ck_assert_int_lt(real_ms() - start, SOON_MS);
}

/* ---- asleep ------------------------------------------------------------------------------------------------ */

enum { FAR_MS = 3600000 };

static evq_queue *
open_queue(const char *name)
{
	evq_queue *at = NULL;
	ck_ok(evq_queue_open(e, name, EVQ_QUEUE_ATTRS(), &at));
	return at;
}

/* _i: with another process that has the store open, and sleeps too. */
START_TEST(receive_that_waits_makes_no_switch)
{
	struct host other = { 3, 1, 0 };
	pid_t pid = 0;
	ck_ok(open_store(0, &e, &q));
	if (_i) {
		pid = proc_start(host_sleepers, &other);
		await_ready(1);
	}
	evq_queue *delayed = open_queue("delayed"), *leased = open_queue("leased");
	send_with(delayed, "x", EVQ_SEND_OPTS(.delay_ms = FAR_MS));
	send(leased, "x");
	ck_ok(evq_receive(leased, NULL, EVQ_RECEIVE_OPTS(.visibility_ms = FAR_MS), batch()));
	evq_queue *at[] = { q, delayed, leased };
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(sleeper_start(&told->sleepers[i], at[i]), 0);
	for (int i = 0; i < 3 + _i; i++)
		await_sleep(&told->sleepers[i], i < 3 ? getpid() : pid);
	nap_ms(1000);
	ck_assert_int_eq(count_done(), 0);
	for (int i = 0; i < 3 + _i; i++) {
		long switches = task_switches(i < 3 ? getpid() : pid, told->sleepers[i].tid);
		ck_assert_msg(switches - told->sleepers[i].switches <= 2, "sleeper %d: %ld switches", i,
		              switches - told->sleepers[i].switches);
	}
	for (int i = 0; i < 3; i++)
		send(at[i], "y");
	if (_i)
		send(q, "y");
	await_done(3 + _i);
	atomic_store(&told->stop, 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(sleeper_end(&told->sleepers[i]), 0);
		ck_rc(told->sleepers[i].rc, 0);
	}
	if (_i)
		ck_assert_int_eq(proc_wait(pid), 0);
	evq_queue_close(delayed);
	evq_queue_close(leased);
	close_here();
}
END_TEST

/* ---- how many -------------------------------------------------------------------------------------------------- */

/* Of the sleepers, so many are in each of two other processes; the rest are here, where it is sent. */
static const int places[][2] = { { 0, 0 }, { SLEEPERS, 0 }, { 3, 3 }, { 4, 4 } };

static pid_t
start_host(struct host *h, int number, int count)
{
	*h = (struct host){ .first = number, .count = count, .keeper = 0 };
	return count ? proc_start(host_sleepers, h) : 0;
}

static void
send_count(int count)
{
	static const evq_buf bodies[SLEEPERS] = { { "x", 1 }, { "x", 1 }, { "x", 1 }, { "x", 1 },
		                                  { "x", 1 }, { "x", 1 }, { "x", 1 }, { "x", 1 } };
	ck_ok(evq_send_batch(q, NULL, bodies, (size_t)count, NULL, NULL));
}

static void
expect_only_so_many_woken(int count, const pid_t *pid_of)
{
	await_done(count);
	nap_ms(50);
	ck_assert_int_eq(count_done(), count);
	for (int i = 0; i < SLEEPERS; i++) {
		const struct sleeper *s = &told->sleepers[i];
		long switches = task_switches(pid_of[i], s->tid) - s->switches;
		ck_assert_msg(s->is_done || switches <= 1, "sleeper %d, for whom there was nothing: %ld switches", i, switches);
	}
}

static void
run_crowd(const int place[2], int messages)
{
	struct host hosts[2];
	pid_t pids[2], pid_of[SLEEPERS];
	int here = place[0] + place[1];
	pids[0] = start_host(&hosts[0], 0, place[0]);
	pids[1] = start_host(&hosts[1], place[0], place[1]);
	await_ready((place[0] > 0) + (place[1] > 0));
	ck_ok(open_store(0, &e, &q));
	for (int i = here; i < SLEEPERS; i++)
		ck_assert_int_eq(sleeper_start(&told->sleepers[i], q), 0);
	for (int i = 0; i < SLEEPERS; i++) {
		pid_of[i] = i < place[0] ? pids[0] : i < here ? pids[1] : getpid();
		await_sleep(&told->sleepers[i], pid_of[i]);
	}
	send_count(messages);
	expect_only_so_many_woken(messages, pid_of);
	send_count(SLEEPERS - messages);
	await_done(SLEEPERS);
	atomic_store(&told->stop, 1);
	for (int i = here; i < SLEEPERS; i++)
		ck_assert_int_eq(sleeper_end(&told->sleepers[i]), 0);
	for (int i = 0; i < 2; i++)
		ck_assert(!pids[i] || proc_wait(pids[i]) == 0);
	close_here();
}

START_TEST(one_message_wakes_one_of_eight)
{
	run_crowd(places[_i], 1);
}
END_TEST

START_TEST(three_messages_wake_three_of_eight)
{
	run_crowd(places[_i], 3);
}
END_TEST

START_TEST(interrupt_ends_every_sleep_of_its_own_process)
{
	struct host other = { 4, 4, 0 };
	pid_t pid = proc_start(host_sleepers, &other);
	await_ready(1);
	ck_ok(open_store(0, &e, &q));
	for (int i = 0; i < SLEEPERS; i++) {
		if (i < 4)
			ck_assert_int_eq(sleeper_start(&told->sleepers[i], q), 0);
		await_sleep(&told->sleepers[i], i < 4 ? getpid() : pid);
	}
	evq_env_interrupt(e);
	await_done(4);
	nap_ms(50);
	ck_assert_int_eq(count_done(), 4);
	for (int i = 0; i < 4; i++)
		ck_rc(told->sleepers[i].rc, EVQ_INTERRUPTED);
	send_count(4);
	await_done(SLEEPERS);
	atomic_store(&told->stop, 1);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(sleeper_end(&told->sleepers[i]), 0);
	ck_assert_int_eq(proc_wait(pid), 0);
	close_here();
}
END_TEST

/* ---- stopped ------------------------------------------------------------------------------------------------- */

/* Which of the two is woken is the system's choice. A stopped one costs the other its lock's timeout, or a second. */
START_TEST(message_is_not_lost_with_a_sleeper_that_is_stopped)
{
	struct host hosts[2] = { { 0, 1, 0 }, { 1, 1, 0 } };
	pid_t pids[2];
	lock_ms = 200;
	for (int i = 0; i < 2; i++) {
		pids[i] = proc_start(host_sleepers, &hosts[i]);
		await_ready(i + 1);
		await_sleep(&told->sleepers[i], pids[i]);
	}
	ck_assert(proc_stop(pids[_i]));
	ck_ok(open_store(0, &e, &q));
	send(q, "x");
	await_done(1);
	ck_assert_int_eq(told->sleepers[!_i].is_done, 1);
	ck_assert_int_eq(kill(pids[_i], SIGCONT), 0);
	send(q, "y");
	await_done(2);
	atomic_store(&told->stop, 1);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(proc_wait(pids[i]), 0);
		ck_rc(told->sleepers[i].rc, 0);
	}
	close_here();
}
END_TEST

Suite *
asleep_suite(void)
{
	Suite *s = suite_create("asleep");
	TCase *t = tcase_create("asleep");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup_told, store_teardown);
	tcase_add_loop_test(t, receive_that_waits_makes_no_switch, 0, 2);
	tcase_add_loop_test(t, one_message_wakes_one_of_eight, 0, COUNT(places));
	tcase_add_loop_test(t, three_messages_wake_three_of_eight, 0, COUNT(places));
	tcase_add_test(t, interrupt_ends_every_sleep_of_its_own_process);
	tcase_add_loop_test(t, message_is_not_lost_with_a_sleeper_that_is_stopped, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
