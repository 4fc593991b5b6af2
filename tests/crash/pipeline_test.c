/* SPDX-License-Identifier: MIT */
/*
 * Kills the example that claims to work exactly once: tests/examples/pipeline, a feeder and some workers of it on one
 * store. One of them is killed with SIGKILL at a random moment, wherever it is, and another takes its place; a feeder that
 * was killed sends all of its orders again. At the end the queues run dry, and the program itself has to find that
 * each order was billed once and paid once. It also ends by itself where an order comes out of turn.
 *
 *   pipeline_test PROGRAM [--kills N] [--seed N] [--dir DIR]
 *
 * DIR is kept; without it a temporary one is made, and kept where something is wrong. Exit status 0 or 1.
 */
#include "trees.h"

#include <errno.h>
#include <evq.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FEEDER, PROCESSES = 4, FEED_MAX = 400, PAUSE_MAX_MS = 140, STUCK_MS = 20000, STEP_MS = 20 };

static const char *program;
static char dir[4000], store[4096];
static unsigned kills = 200;
static uint32_t seed;
static pid_t pids[PROCESSES];
static uint64_t fed_from = 1, fed_to; /* the orders of the feeder at work, or the last */

/* Not one of them is to outlive this. */
static void
die(const char *what, int rc)
{
	fprintf(stderr, "pipeline_test: %s%s%s (seed %u, kept %s)\n", what, rc ? ": " : "", rc ? evq_strerror(rc) : "", seed,
	        dir);
	for (int i = 0; i < PROCESSES; i++)
		if (pids[i] > 0)
			kill(pids[i], SIGKILL);
	exit(1);
}

static void
must(int rc, const char *what)
{
	if (rc)
		die(what, rc);
}
#define MUST(call) must((call), #call)

static uint32_t
any(uint32_t below)
{
	static uint32_t state;
	state = (state ? state : seed | 1) * 1664525 + 1013904223;
	return (state >> 8) % below;
}

static void
nap_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

/* ---- the processes --------------------------------------------------------------------------------------- */

static pid_t
run(const char *what, const char *first, const char *second)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0) /* never to be killed: -1 is everybody */
		die("fork", errno);
	if (pid == 0) {
		execl(program, program, store, what, first, second, (char *)NULL);
		perror(program);
		_exit(127);
	}
	return pid;
}

static void
start(int which)
{
	char from[24], to[24];
	if (which != FEEDER) {
		pids[which] = run("work", NULL, NULL);
		return;
	}
	snprintf(from, sizeof(from), "%" PRIu64, fed_from);
	snprintf(to, sizeof(to), "%" PRIu64, fed_to);
	pids[FEEDER] = run("feed", from, to);
}

static int
is_well(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The feeder has sent all of its orders: so the next ones. */
static void
feed_on(int status)
{
	if (!is_well(status))
		die("the feeder ended badly", 0);
	fed_from = fed_to + 1;
	fed_to += 1 + any(FEED_MAX);
	start(FEEDER);
}

static void
look_after(void)
{
	int status;
	if (pids[FEEDER] > 0 && waitpid(pids[FEEDER], &status, WNOHANG) == pids[FEEDER])
		feed_on(status);
	for (int i = FEEDER + 1; i < PROCESSES; i++)
		if (waitpid(pids[i], &status, WNOHANG) == pids[i]) {
			pids[i] = 0;
			die("a worker ended by itself", 0);
		}
}

/* Whether it was killed; it may have ended before. */
static int
kill_one(int which)
{
	int status;
	kill(pids[which], SIGKILL);
	if (waitpid(pids[which], &status, 0) != pids[which])
		die("waitpid", errno);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		start(which);
		return 1;
	}
	if (which != FEEDER)
		die("a worker ended by itself", 0);
	feed_on(status);
	return 0;
}

static void
run_and_kill(void)
{
	fed_to = 1 + any(FEED_MAX);
	for (int i = 0; i < PROCESSES; i++)
		start(i);
	for (unsigned killed = 0; killed < kills;) {
		nap_ms(1 + any(PAUSE_MAX_MS));
		look_after();
		killed += (unsigned)kill_one((int)any(PROCESSES));
	}
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

static evq_stats
stats_of(evq_queue *q)
{
	evq_stats s = { .size = sizeof(s) };
	MUST(evq_queue_stats(q, &s));
	return s;
}

/* The workers are at it. */
static void
wait_until_dry(evq_queue *orders, evq_queue *payments)
{
	uint64_t deleted = 0, before = 0;
	for (long still_ms = 0;; still_ms += STEP_MS, nap_ms(STEP_MS)) {
		evq_stats o = stats_of(orders), p = stats_of(payments);
		look_after();
		if (o.messages == 0 && p.messages == 0)
			return;
		deleted = o.deleted + p.deleted;
		if (deleted != before)
			still_ms = 0;
		before = deleted;
		if (still_ms > STUCK_MS)
			die("nothing moves, and there are messages", 0);
	}
}

static void
tell_finding(const evq_finding *f, void *arg)
{
	(void)arg;
	fprintf(stderr, "evq_verify: %s, message %" PRIu64 ": %s\n", f->queue ? f->queue : "-", f->id, f->what);
}

static void
stop_workers(void)
{
	int status;
	for (int i = FEEDER + 1; i < PROCESSES; i++)
		kill(pids[i], SIGTERM);
	for (int i = FEEDER + 1; i < PROCESSES; i++) {
		pid_t pid = pids[i];
		if (waitpid(pid, &status, 0) != pid)
			die("waitpid", errno);
		pids[i] = 0;
		/* One that has just taken another's place may not have come to listen. */
		if (!is_well(status) && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM))
			die("a worker ended badly", 0);
	}
}

/* The last feeder is not killed. */
static void
let_it_end(evq_stats *orders_out)
{
	evq_env *env = NULL;
	evq_queue *orders = NULL, *payments = NULL;
	int status;
	if (waitpid(pids[FEEDER], &status, 0) != pids[FEEDER] || !is_well(status))
		die("the last feeder ended badly", 0);
	pids[FEEDER] = 0;
	MUST(evq_env_open(store, NULL, &env));
	MUST(evq_queue_open(env, "orders", NULL, &orders));
	MUST(evq_queue_open(env, "payments", NULL, &payments));
	wait_until_dry(orders, payments);
	stop_workers();
	MUST(evq_verify(env, tell_finding, NULL));
	*orders_out = stats_of(orders);
	evq_queue_close(orders);
	evq_queue_close(payments);
	evq_env_close(env);
}

static void
check(void)
{
	char count[24];
	int status;
	snprintf(count, sizeof(count), "%" PRIu64, fed_to);
	pid_t pid = run("check", count, NULL);
	if (waitpid(pid, &status, 0) != pid || !is_well(status))
		die("the check failed", 0);
}

/* ---- the command line -------------------------------------------------------------------------------------- */

static int
usage(void)
{
	fprintf(stderr, "usage: pipeline_test program [--kills N] [--seed N] [--dir DIR]\n");
	return 2;
}

static int
take_options(int argc, char **argv)
{
	for (int i = 2; i < argc; i += 2) {
		if (i + 1 == argc)
			return usage();
		if (!strcmp(argv[i], "--kills"))
			kills = (unsigned)strtoul(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--seed"))
			seed = (uint32_t)strtoul(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--dir"))
			snprintf(dir, sizeof(dir), "%s", argv[i + 1]);
		else
			return usage();
	}
	return 0;
}

int
main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	struct timespec begun, ended;
	evq_stats s;
	seed = (uint32_t)time(NULL) ^ (uint32_t)getpid();
	if (argc < 2 || take_options(argc, argv))
		return argc < 2 ? usage() : 2;
	program = argv[1];
	int is_kept = dir[0] != '\0';
	if (!is_kept)
		snprintf(dir, sizeof(dir), "%s/evq-pipeline-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (is_kept ? mkdir(dir, 0700) != 0 && errno != EEXIST : !mkdtemp(dir))
		die(dir, errno);
	snprintf(store, sizeof(store), "%s/store", dir);
	clock_gettime(CLOCK_MONOTONIC, &begun);
	run_and_kill();
	let_it_end(&s);
	check();
	clock_gettime(CLOCK_MONOTONIC, &ended);
	printf("pipeline_test: seed %u, %u killed in %d s: %" PRIu64 " orders, each billed and paid once, %" PRIu64
	       " sent again: ok\n",
	       seed, kills, (int)(ended.tv_sec - begun.tv_sec), fed_to, s.duplicates);
	if (!is_kept)
		remove_tree(dir);
	return 0;
}
