/* SPDX-License-Identifier: MIT */
/*
 * The one thread that an open store has of its own, and what a program may do beside it: it is there only where it
 * was asked for, costs nothing while there is nothing to do, and does not stand in the way of a fork, an exec, an
 * exit, or a close while others sleep.
 */
#include "own_store.h"
#include "procs.h"
#include "tasks.h"

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>

#define SOON_MS 1000
#define THREADS 3

extern char **environ;

static evq_env *e;
static evq_queue *q;

static struct {
	_Atomic uint32_t stop, sent, woken, ready;
} *told;

static int
open_kept(int keeper, int durability)
{
	int rc = evq_env_open(path, EVQ_ENV_OPTS(.durability = durability, .keeper = keeper, .journal_size = 1 << 20), &e);
	return rc ? rc : evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q);
}

static int
open_own(void)
{
	return open_kept(0, EVQ_DURABLE_RELAXED);
}

static void
close_here(void)
{
	evq_queue_close(q);
	evq_env_close(e);
}

static void
setup_told(void)
{
	setup();
	told = proc_shared(sizeof *told);
}

static void *
send_until_told(void *arg)
{
	while (!atomic_load(&told->stop)) {
		if (evq_send(q, NULL, "x", 1, NULL, NULL))
			return arg;
		atomic_fetch_add(&told->sent, 1);
	}
	return NULL;
}

static void
await_count(_Atomic uint32_t *count, uint32_t least)
{
	for (int64_t start = real_ms(); atomic_load(count) < least; nap_ms(1))
		ck_assert_int_lt(real_ms() - start, 20 * SOON_MS);
}

static int
start_senders(pthread_t *threads)
{
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, send_until_told, told))
			return 1;
	return 0;
}

static void
end_senders(const pthread_t *threads)
{
	void *failed;
	atomic_store(&told->stop, 1);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
		ck_assert_ptr_null(failed);
	}
}

/* ---- that it is there, and what it costs ------------------------------------------------------------------- */

static void
await_tasks(long count)
{
	for (int64_t start = real_ms(); tasks_count(getpid()) != count && real_ms() - start < SOON_MS;)
		nap_ms(1);
	ck_assert_int_eq(tasks_count(getpid()), count);
}

START_TEST(store_has_one_thread_and_none_without_a_keeper)
{
	long before = tasks_count(getpid());
	ck_ok(open_kept(0, _i));
	ck_assert_int_eq(tasks_count(getpid()), before + 1);
	send(q, "x");
	take_one(q, "x");
	ck_assert_int_eq(tasks_count(getpid()), before + 1);
	close_here();
	await_tasks(before); /* the system may take a moment to forget it */
	ck_ok(open_kept(EVQ_NONE, _i));
	send(q, "x");
	take_one(q, "x");
	ck_ok(evq_sync(e));
	ck_assert_int_eq(tasks_count(getpid()), before);
	close_here();
}
END_TEST

static int64_t
processor_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
expect_idle_for_a_while(void)
{
	long switches = tasks_sum(getpid(), task_switches_of_others);
	int64_t ms = processor_ms();
	nap_ms(300);
	ck_assert_int_le(tasks_sum(getpid(), task_switches_of_others) - switches, 2);
	ck_assert_int_le(processor_ms() - ms, 10);
}

START_TEST(open_store_costs_nothing_while_there_is_nothing_to_do)
{
	ck_ok(open_kept(0, _i));
	nap_ms(100);
	expect_idle_for_a_while();
	for (int i = 0; i < 10; i++)
		send(q, "x");
	take(q, 3);
	nap_ms(200); /* the tree is committed, and the journal flushed */
	expect_idle_for_a_while();
	close_here();
}
END_TEST

static int
send_in_a_child(void *arg)
{
	(void)arg;
	EXPECT(open_own(), 0);
	EXPECT(send_until_told(told) != NULL, 0);
	close_here();
	return 0;
}

START_TEST(busy_process_costs_an_idle_one_nothing)
{
	ck_ok(open_kept(0, _i));
	send(q, "x");
	pid_t pid = proc_start(send_in_a_child, NULL);
	await_count(&told->sent, 10);
	nap_ms(100);
	uint32_t sent = atomic_load(&told->sent);
	expect_idle_for_a_while();
	ck_assert_uint_gt(atomic_load(&told->sent), sent + 10);
	atomic_store(&told->stop, 1);
	ck_assert_int_eq(proc_wait(pid), 0);
	close_here();
}
END_TEST

/* ---- fork, exec, exit ---------------------------------------------------------------------------------------- */

/* Its parent's store is out of reach; that same store can be opened, as by any other process. */
static int
give_up_and_open(void *arg)
{
	(void)arg;
	EXPECT(evq_send(q, NULL, "x", 1, NULL, NULL), EVQ_FORKED);
	EXPECT(evq_sync(e), EVQ_FORKED);
	close_here();
	EXPECT(open_own(), 0);
	EXPECT(evq_send(q, NULL, "x", 1, NULL, NULL), 0);
	atomic_fetch_add(&told->sent, 1);
	close_here();
	return 0;
}

START_TEST(forks_beside_a_busy_keeper_disturb_nobody)
{
	pthread_t threads[THREADS];
	ck_ok(open_kept(0, _i));
	ck_assert_int_eq(start_senders(threads), 0);
	for (uint32_t i = 0; i < 15; i++) {
		await_count(&told->sent, atomic_load(&told->sent) + 7);
		ck_assert_int_eq(proc_run(give_up_and_open, NULL), 0);
	}
	end_senders(threads);
	ck_assert_uint_eq(stats(q).sent, atomic_load(&told->sent));
	ck_ok(evq_verify(e, NULL, NULL));
	close_here();
}
END_TEST

/* The descriptors of a program that we start, as it sees them; how many lines. */
static int
list_descriptors(char *text, size_t room)
{
	char name[PATH_MAX + 32];
	char *const argv[] = { "ls", "-l", "/proc/self/fd", NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int lines = 0;
	snprintf(name, sizeof name, "%s/descriptors", dir);
	ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
	ck_assert_int_eq(posix_spawn_file_actions_addopen(&actions, 1, name, O_WRONLY | O_CREAT | O_TRUNC, 0600), 0);
	ck_assert_int_eq(posix_spawnp(&pid, "ls", &actions, NULL, argv, environ), 0);
	ck_assert_int_eq(proc_wait(pid), 0);
	posix_spawn_file_actions_destroy(&actions);
	FILE *f = fopen(name, "r");
	ck_assert_ptr_nonnull(f);
	size_t len = fread(text, 1, room - 1, f);
	text[len] = 0;
	fclose(f);
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	return lines;
}

START_TEST(program_that_is_started_inherits_nothing_of_the_store)
{
	static char text[20000];
	pthread_t threads[THREADS];
	int fd, before = list_descriptors(text, sizeof text);
	ck_ok(open_kept(_i ? EVQ_NONE : 0, EVQ_DURABLE_RELAXED));
	ck_ok(evq_queue_fd(q, &fd));
	ck_assert_int_eq(start_senders(threads), 0);
	for (uint32_t i = 0; i < 5; i++) {
		await_count(&told->sent, atomic_load(&told->sent) + 7);
		int lines = list_descriptors(text, sizeof text);
		ck_assert_msg(lines == before, "%d lines before:\n%s", before, text);
		ck_assert_msg(!strstr(text, path), "%s", text);
	}
	end_senders(threads);
	close_here();
}
END_TEST

/* It returns from main, as it were, with everything open and threads in their calls. */
static int
exit_without_closing(void *arg)
{
	const int *round = arg;
	pthread_t threads[THREADS];
	EXPECT(open_kept(0, *round % 2), 0);
	EXPECT(start_senders(threads), 0);
	nanosleep(&(struct timespec){ .tv_nsec = 5000000 + *round * 317000 }, NULL);
	exit(0);
}

START_TEST(exit_without_a_close_loses_nothing)
{
	for (int round = 0; round < 15; round++) {
		remove_tree(path);
		atomic_store(&told->sent, 0);
		ck_assert_int_eq(proc_run(exit_without_closing, &round), 0);
		ck_ok(open_own());
		ck_ok(evq_verify(e, NULL, NULL));
		uint64_t sent = stats(q).sent, least = atomic_load(&told->sent);
		ck_assert_msg(sent >= least && sent <= least + THREADS, "%d sent, %d acknowledged", (int)sent, (int)least);
		close_here();
	}
}
END_TEST

/* ---- a close, and a thread that ends -------------------------------------------------------------------------- */

static int
wait_in_a_child(void *arg)
{
	evq_batch *b = NULL;
	(void)arg;
	EXPECT(open_own(), 0);
	EXPECT(evq_batch_new(&b), 0);
	while (!atomic_load(&told->stop)) {
		atomic_fetch_add(&told->ready, 1);
		EXPECT(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.wait_ms = EVQ_NONE), b), 0);
		EXPECT(evq_delete(q, NULL, &evq_batch_at(b, 0)->receipt), 0);
		atomic_fetch_add(&told->woken, 1);
	}
	evq_batch_free(b);
	close_here();
	return 0;
}

/* What is sent last is seen by sleepers of other processes although the store is closed at once; _i: or not at all. */
START_TEST(close_wakes_whom_a_send_should_and_nobody_else)
{
	pid_t pid = proc_start(wait_in_a_child, NULL);
	for (uint32_t i = 0; i < 20; i++) {
		await_count(&told->ready, i + 1);
		task_await_sleep(pid, pid);
		ck_ok(open_own());
		close_here();
		ck_assert_uint_eq(atomic_load(&told->woken), i);
		ck_ok(open_kept(_i ? EVQ_NONE : 0, i % 2));
		if (i == 19)
			atomic_store(&told->stop, 1);
		send(q, "x");
		close_here();
		int64_t start = real_ms();
		await_count(&told->woken, i + 1);
		ck_assert_int_lt(real_ms() - start, SOON_MS);
	}
	ck_assert_int_eq(proc_wait(pid), 0);
}
END_TEST

static evq_txn *lost;

static void *
begin_and_end(void *arg)
{
	return evq_begin(e, &lost) ? arg : NULL;
}

static int
send_at_once(void *arg)
{
	int64_t start = real_ms();
	(void)arg;
	EXPECT(open_own(), 0);
	EXPECT(evq_send(q, NULL, "x", 1, NULL, NULL), 0);
	EXPECT(real_ms() - start < SOON_MS, 1);
	close_here();
	return 0;
}

/* To its own process it costs a reopening: that is tried in t_kept.c. */
START_TEST(thread_that_ends_with_a_transaction_open_costs_other_processes_nothing)
{
	pthread_t thread;
	void *failed;
	ck_ok(open_kept(0, _i));
	send(q, "x");
	ck_assert_int_eq(pthread_create(&thread, NULL, begin_and_end, told), 0);
	ck_assert_int_eq(pthread_join(thread, &failed), 0);
	ck_assert_ptr_null(failed);
	ck_assert_int_eq(proc_run(send_at_once, NULL), 0);
	close_here();
	evq_abort(lost);
	ck_ok(open_own());
	ck_assert_uint_eq(stats(q).sent, 2);
	ck_ok(evq_verify(e, NULL, NULL));
	close_here();
}
END_TEST

Suite *
keeper_suite(void)
{
	Suite *s = suite_create("keeper");
	TCase *t = tcase_create("keeper");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup_told, store_teardown);
	tcase_add_loop_test(t, store_has_one_thread_and_none_without_a_keeper, EVQ_DURABLE_FULL, EVQ_DURABLE_RELAXED + 1);
	tcase_add_loop_test(t, open_store_costs_nothing_while_there_is_nothing_to_do, EVQ_DURABLE_FULL, EVQ_DURABLE_RELAXED + 1);
	tcase_add_loop_test(t, busy_process_costs_an_idle_one_nothing, EVQ_DURABLE_FULL, EVQ_DURABLE_FULL + 1);
#if !defined(__SANITIZE_ADDRESS__) /* whose allocator does not survive a fork beside busy threads */
	tcase_add_loop_test(t, forks_beside_a_busy_keeper_disturb_nobody, EVQ_DURABLE_FULL, EVQ_DURABLE_RELAXED + 1);
#endif
	tcase_add_loop_test(t, program_that_is_started_inherits_nothing_of_the_store, 0, 2);
	tcase_add_test(t, exit_without_a_close_loses_nothing);
	tcase_add_loop_test(t, close_wakes_whom_a_send_should_and_nobody_else, 0, 2);
	tcase_add_loop_test(t, thread_that_ends_with_a_transaction_open_costs_other_processes_nothing, EVQ_DURABLE_FULL,
	                    EVQ_DURABLE_RELAXED + 1);
	suite_add_tcase(s, t);
	return s;
}
