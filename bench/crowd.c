/* SPDX-License-Identifier: MIT */
/*
 * Starts callers, gives the start, waits for them all. Only the main thread
 * of the first process hears signals; a child dies with its parent, and one
 * that does not come to an end is killed and reported.
 */
#include "crowd.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define PATIENCE (30 * SECOND) /* for opening a store, and for the last call */
#define HEAD_START 5000000     /* Units: ns; until every caller has seen the start */

struct job {
	struct crowd *crowd;
	size_t i;
	crowd_fn *fn;
	void *arg;
};

void *
crowd_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void
crowd_unmap(void *memory, size_t size)
{
	if (memory != NULL)
		(void)munmap(memory, size);
}

void
crowd_sleep_us(int64_t us)
{
	struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	(void)nanosleep(&t, NULL);
}

/* ---- a caller --------------------------------------------------------------- */

bool
crowd_begin(struct crowd *c)
{
	int64_t start, left;

	(void)atomic_fetch_add(&c->ready, 1);
	while ((start = atomic_load(&c->start)) == 0) {
		if (atomic_load(&c->stop))
			return false;
		crowd_sleep_us(500);
	}
	while ((left = start - measure_ns()) > 0)
		crowd_sleep_us(left / 1000 + 1);
	return true;
}

bool
crowd_over(const struct crowd *c, int64_t now)
{
	return now >= atomic_load_explicit(&c->end, memory_order_relaxed) ||
	    atomic_load_explicit(&c->stop, memory_order_relaxed);
}

static int
call(const struct job *j)
{
	struct caller *self = &j->crowd->callers[j->i];

	place_mute();
	self->doing = "start";
	self->rc = j->fn(j->crowd, j->i, j->arg);
	if (self->rc != 0 && !atomic_exchange(&j->crowd->stop, true))
		(void)bench_fail(j->crowd->name, self->doing, self->rc);
	return self->rc;
}

/* ---- all of them ------------------------------------------------------------ */

static void
reset(struct crowd *c)
{
	atomic_store(&c->ready, 0);
	atomic_store(&c->stop, false);
	atomic_store(&c->start, 0);
	atomic_store(&c->end, 0);
	memset(c->callers, 0, sizeof(c->callers));
}

static int
await_ready(struct crowd *c, size_t count)
{
	int64_t until = measure_ns() + PATIENCE;

	while (atomic_load(&c->ready) < count && !atomic_load(&c->stop)) {
		if (place_interrupted())
			return bench_fail(c->name, "start", EINTR);
		if (measure_ns() > until)
			return bench_fail(c->name, "start", ETIMEDOUT);
		crowd_sleep_us(500);
	}
	return 0;
}

/* Returns when the time is over. */
static int
fire(struct crowd *c, size_t count, int64_t ms)
{
	int64_t start, end;
	int rc = await_ready(c, count);

	if (rc != 0)
		return rc;
	start = measure_ns() + HEAD_START;
	end = start + ms * 1000000;
	atomic_store(&c->end, end);
	atomic_store(&c->start, start);
	while (measure_ns() < end && !atomic_load(&c->stop)) {
		if (place_interrupted())
			return bench_fail(c->name, "run", EINTR);
		crowd_sleep_us(5000);
	}
	return 0;
}

static int
first_error(const struct crowd *c, size_t count)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = c->callers[i].rc;
	return rc;
}

/* ---- threads ---------------------------------------------------------------- */

static void *
thread_main(void *job)
{
	(void)call(job);
	return NULL;
}

int
crowd_threads(struct crowd *c, size_t count, int64_t ms, crowd_fn *fn, void *arg)
{
	pthread_t threads[CROWD_MOST];
	struct job jobs[CROWD_MOST];
	size_t started = 0;
	int rc = 0;

	reset(c);
	while (rc == 0 && started < count) {
		jobs[started] = (struct job){ c, started, fn, arg };
		rc = bench_fail(c->name, "pthread_create",
		    pthread_create(&threads[started], NULL, thread_main, &jobs[started]));
		if (rc == 0)
			started++;
	}
	if (rc == 0)
		rc = fire(c, count, ms);
	if (rc != 0)
		atomic_store(&c->stop, true);
	for (size_t i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL);
	return rc != 0 ? rc : first_error(c, count);
}

/* ---- processes -------------------------------------------------------------- */

static pid_t
spawn(const struct job *j)
{
	pid_t parent = getpid(), pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(getppid() == parent && call(j) == 0 ? 0 : 1);
}

/* Waits for one child. */
static int
reap(const struct crowd *c, pid_t pid, int64_t until)
{
	int status = 0;
	bool late = false;
	pid_t got;

	while ((got = waitpid(pid, &status, WNOHANG)) != pid) {
		if (got < 0 && errno != EINTR)
			return bench_fail(c->name, "waitpid", errno);
		if (!late && measure_ns() > until) {
			late = true;
			(void)kill(pid, SIGKILL);
		}
		crowd_sleep_us(500);
	}
	if (late)
		return bench_fail(c->name, "a process did not end", ETIMEDOUT);
	return WIFSIGNALED(status) ? bench_fail(c->name, strsignal(WTERMSIG(status)), ECANCELED) : 0;
}

int
crowd_processes(struct crowd *c, size_t count, int64_t ms, crowd_fn *fn, void *arg)
{
	pid_t pids[CROWD_MOST];
	size_t started = 0;
	int64_t until;
	int rc = 0;

	reset(c);
	while (rc == 0 && started < count) {
		pids[started] = spawn(&(struct job){ c, started, fn, arg });
		if (pids[started] < 0)
			rc = bench_fail(c->name, "fork", errno);
		else
			started++;
	}
	if (rc == 0)
		rc = fire(c, count, ms);
	if (rc != 0)
		atomic_store(&c->stop, true);
	until = measure_ns() + PATIENCE;
	for (size_t i = 0; i < started; i++) {
		int ended = reap(c, pids[i], until);

		rc = rc != 0 ? rc : ended;
	}
	return rc != 0 ? rc : first_error(c, count);
}
