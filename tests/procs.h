/* SPDX-License-Identifier: MIT */
/*
 * Other processes for a test: a function run in a forked child, and a turn to pass between the two.
 *
 * A child ends with _exit(what the function returned), so that it runs none of the parent's exit
 * handlers, and is killed by an alarm where it hangs. It must not use check's assertions: they would
 * end it half way. It has EXPECT instead, which ends it with status 99.
 */
#ifndef EVQ_TESTS_PROCS_H
#define EVQ_TESTS_PROCS_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <evq.h>

#define PROC_LIMIT_SECONDS 30

/* In a child: where call does not return want, say so and give up with status 99. */
#define EXPECT(call, want)                                                                                  \
	do {                                                                                                \
		int got_ = (call);                                                                          \
		int want_ = (want);                                                                         \
		if (got_ != want_) {                                                                        \
			fprintf(stderr, "%s:%d: child: %s: %s (%d), wanted %s (%d)\n", __FILE__, __LINE__, #call, \
			        evq_errname(got_), got_, evq_errname(want_), want_);                        \
			return 99;                                                                          \
		}                                                                                           \
	} while (0)

static inline int64_t
real_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline void
nap_ms(int64_t ms)
{
	struct timespec left = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

typedef int proc_fn(void *arg);

static inline pid_t
proc_start(proc_fn *fn, void *arg)
{
	fflush(NULL);
#if defined(__SANITIZE_ADDRESS__)
	nap_ms(40); /* its allocator does not survive a fork beside a keeper at work: it is not, soon */
#endif
	pid_t pid = fork();
	if (pid < 0) { /* never to be waited for or killed: -1 is everybody */
		perror("fork");
		abort();
	}
	if (pid == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(PROC_LIMIT_SECONDS);
		_exit(fn(arg));
	}
	return pid;
}

/* Its exit status, or 1000 + the signal that ended it; -1 where there is no such child. */
static inline int
proc_wait(pid_t pid)
{
	int status;
	pid_t got;
	while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		;
	if (got != pid)
		return -1;
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline int
proc_run(proc_fn *fn, void *arg)
{
	return proc_wait(proc_start(fn, arg));
}

/* 1 when it has stopped (SIGSTOP), 0 when it ended instead. */
static inline int
proc_wait_stopped(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, WUNTRACED) < 0 && errno == EINTR)
		;
	return WIFSTOPPED(status) ? 1 : 0;
}

/* Stops it wherever it is: 1, or 0 when it ended instead. */
static inline int
proc_stop(pid_t pid)
{
	kill(pid, SIGSTOP);
	return proc_wait_stopped(pid);
}

static inline int
proc_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	return proc_wait(pid);
}

/* A turn: made before the fork; one side passes it, the other awaits it. 0, or -1 when the other side is gone. */
struct turn {
	int fd[2];
};

static inline int
turn_make(struct turn *t)
{
	return pipe(t->fd);
}

static inline int
turn_pass(struct turn *t)
{
	ssize_t n;
	while ((n = write(t->fd[1], "x", 1)) < 0 && errno == EINTR)
		;
	return n == 1 ? 0 : -1;
}

static inline int
turn_await(struct turn *t)
{
	char c;
	ssize_t n;
	while ((n = read(t->fd[0], &c, 1)) < 0 && errno == EINTR)
		;
	return n == 1 ? 0 : -1;
}

static inline void
turn_close(struct turn *t)
{
	close(t->fd[0]);
	close(t->fd[1]);
}

/* Zeros, that children share. */
static inline void *
proc_shared(size_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED) {
		perror("mmap");
		abort();
	}
	return at;
}

#endif
