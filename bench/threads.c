/* SPDX-License-Identifier: MIT */
/*
 * Threads of one process on one queue of one store: how many calls all of
 * them make together, against one thread alone. Fully durable, where they
 * may share flushes, and relaxed, where they can only get in each other's
 * way.
 */
#include "crowd.h"

#include <stdio.h>

enum { FULL_1, FULL_4, FULL_16, FULL_64, FULLS };
enum { RELAXED_1, RELAXED_8, RELAXEDS };

static int
measure(struct bench *b, struct lane *l, enum mode mode, struct gang *gangs, size_t count)
{
	const struct cell cell = { 100, 1, mode, BENCH_WAITING, NULL };
	int rc = lane_open(b, l, &queue_side, &cell);

	if (rc == 0)
		rc = gang_turns(b, "threads", gangs, count);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count; i++)
		gang_print(&gangs[i], &gangs[0]);
	return lane_check(l);
}

static int
run_full(struct bench *b)
{
	static const size_t counts[FULLS] = { 1, 4, 16, 64 };
	struct lane l = { .store = NULL };
	struct gang gangs[FULLS] = { { .count = 0 } };
	int rc;

	for (int i = 0; i < FULLS; i++)
		gangs[i] = (struct gang){ .lane = &l, .count = counts[i], .start = crowd_threads };
	rc = measure(b, &l, MODE_FULL, gangs, FULLS);
	if (rc == 0) {
		bench_target(b, "threads: calls of 16 to those of one, full",
		    series_ratio(&gangs[FULL_16].rate, &gangs[FULL_1].rate), ">=", 4);
		bench_target(b, "threads: calls of 64 to those of one, full",
		    series_ratio(&gangs[FULL_64].rate, &gangs[FULL_1].rate), ">=", 5);
	}
	lane_close(&l);
	return rc;
}

static int
run_relaxed(struct bench *b)
{
	struct lane l = { .store = NULL };
	struct gang gangs[RELAXEDS] = {
		{ .lane = &l, .count = 1, .start = crowd_threads },
		{ .lane = &l, .count = 8, .start = crowd_threads },
	};
	int rc = measure(b, &l, MODE_RELAXED, gangs, RELAXEDS);

	if (rc == 0)
		bench_target(b, "threads: calls of 8 to those of one, relaxed",
		    series_ratio(&gangs[RELAXED_8].rate, &gangs[RELAXED_1].rate), ">=", 0.6);
	lane_close(&l);
	return rc;
}

int
threads_run(struct bench *b)
{
	int rc;

	gang_head("threads: lives of 1 x 100 bytes on one queue, 1,000 waiting", "threads");
	rc = run_full(b);
	return rc != 0 ? rc : run_relaxed(b);
}
