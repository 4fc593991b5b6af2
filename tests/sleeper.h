/* SPDX-License-Identifier: MIT */
/*
 * Threads that wait in evq_receive for ever, of one process or of several, and a look at whether they sleep.
 *
 * Time is real here: what comes due by itself has to wake a sleeper too. A test begins when its sleepers have gone
 * to sleep; one that has not yet must come to the same end. What wakes nobody would be found at the next look,
 * which is LOCK_MS away: so a wake that is lost is seen.
 */
#ifndef EVQ_TESTS_SLEEPER_H
#define EVQ_TESTS_SLEEPER_H

#include "own_store.h"
#include "procs.h"
#include "tasks.h"

#include <pthread.h>
#include <stdatomic.h>

#define SOON_MS 2000
#define LOCK_MS 20000
#define SLEEPERS 8

struct sleeper {
	_Atomic pid_t tid;
	_Atomic int is_done, rc;
	long switches; /* when it was asleep */
	evq_queue *q;
	evq_batch *b;
	pthread_t thread;
};

/* Between the test and its children. */
static struct {
	_Atomic int stop, ready;
	struct sleeper sleepers[SLEEPERS];
} *told;

static evq_env *e;
static evq_queue *q;
static int64_t lock_ms = LOCK_MS;
static evq_queue_attrs q_attrs = { .size = sizeof(evq_queue_attrs) };

static inline void
setup_told(void)
{
	setup();
	told = proc_shared(sizeof *told);
}

static inline int
open_store(int keeper, evq_env **env_out, evq_queue **q_out)
{
	int rc = evq_env_open(path,
	                      EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .keeper = keeper, .journal_size = 1 << 20,
	                                   .lock_timeout_ms = lock_ms),
	                      env_out);
	return rc ? rc : evq_queue_open(*env_out, "q", &q_attrs, q_out);
}

static inline void
close_here(void)
{
	evq_queue_close(q);
	evq_env_close(e);
}

/* ---- sleepers ---------------------------------------------------------------------------------------------- */

static inline void *
sleep_main(void *arg)
{
	struct sleeper *s = arg;
	s->tid = task_self();
	s->rc = evq_receive(s->q, NULL, EVQ_RECEIVE_OPTS(.wait_ms = EVQ_NONE), s->b);
	s->is_done = 1;
	while (!atomic_load(&told->stop)) /* so that its switches can be read */
		nap_ms(5);
	return NULL;
}

static inline int
sleeper_start(struct sleeper *s, evq_queue *at)
{
	s->q = at;
	s->is_done = 0;
	s->tid = 0;
	EXPECT(evq_batch_new(&s->b), 0);
	EXPECT(pthread_create(&s->thread, NULL, sleep_main, s), 0);
	return 0;
}

static inline int
sleeper_end(struct sleeper *s)
{
	int rc = pthread_join(s->thread, NULL);
	evq_batch_free(s->b);
	return rc;
}

/* In the test's process: until it sleeps, wherever it is. */
static inline void
await_sleep(struct sleeper *s, pid_t pid)
{
	for (int64_t start = real_ms(); !s->tid; nap_ms(1))
		ck_assert_int_lt(real_ms() - start, SOON_MS);
	task_await_sleep(pid, s->tid);
	s->switches = task_switches(pid, s->tid);
	ck_assert_int_ge(s->switches, 0);
}

static inline int
count_done(void)
{
	int done = 0;
	for (int i = 0; i < SLEEPERS; i++)
		done += atomic_load(&told->sleepers[i].is_done);
	return done;
}

static inline void
await_done(int count)
{
	for (int64_t start = real_ms(); count_done() < count; nap_ms(1))
		ck_assert_msg(real_ms() - start < SOON_MS, "%d of %d are awake after %d ms", count_done(), count, SOON_MS);
}

#endif
