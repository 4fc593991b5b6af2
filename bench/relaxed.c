/* SPDX-License-Identifier: MIT */
/*
 * Relaxed durability against LMDB at its cheapest. At batch 1, against the
 * same work in transactions of their own that are never flushed
 * (MDB_NOSYNC): such a store may not survive a power loss at all, and still
 * pays a commit for each call. At batch 100, against the floor inside long
 * transactions, on whose clock no commit is: what is lost there is all that
 * evq adds, durability included.
 */
#include "bench.h"

#include <stdio.h>

enum { EVQ, OTHER, SIDES };

static int
measure(struct bench *b, struct lane lanes[SIDES], size_t batch, const struct side *side, enum mode mode)
{
	struct cell cell = { 100, batch, MODE_RELAXED, BENCH_WAITING, NULL };
	int rc = lane_open(b, &lanes[EVQ], &queue_side, &cell);

	cell.mode = mode;
	if (rc == 0)
		rc = lane_open(b, &lanes[OTHER], side, &cell);
	if (rc == 0)
		rc = lane_turns(b, lanes, SIDES, b->options.slot_ms * BENCH_LONG, b->options.cell_ms * 2);
	if (rc == 0)
		rc = lane_check(&lanes[EVQ]);
	return rc != 0 ? rc : lane_check(&lanes[OTHER]);
}

static double
report(const struct lane lanes[SIDES], const char *what)
{
	const struct series *evq = &lanes[EVQ].tally->rate[LIFE], *other = &lanes[OTHER].tally->rate[LIFE];
	char mine[32], theirs[32];
	double ratio = series_ratio(evq, other);

	table_number(mine, series_median(evq));
	table_number(theirs, series_median(other));
	(void)printf("%-9zu %14s %14s %8.2f  %s\n", lanes[EVQ].cell.batch, mine, theirs, ratio, what);
	(void)fflush(stdout);
	return ratio;
}

static int
one_by_one(struct bench *b)
{
	struct lane lanes[SIDES] = { { .store = NULL }, { .store = NULL } };
	int rc = measure(b, lanes, 1, &nosync_side, MODE_RELAXED);

	if (rc == 0) {
		double ratio = report(lanes, "LMDB, a commit a call, MDB_NOSYNC");

		bench_target(b, "relaxed: lives/s, batch 1", series_median(&lanes[EVQ].tally->rate[LIFE]), ">=", 100000);
		bench_target(b, "relaxed: lives, batch 1, to LMDB with MDB_NOSYNC", ratio, ">=", 3);
	}
	lane_close(&lanes[EVQ]);
	lane_close(&lanes[OTHER]);
	return rc;
}

static int
by_the_hundred(struct bench *b)
{
	struct lane lanes[SIDES] = { { .store = NULL }, { .store = NULL } };
	int rc = measure(b, lanes, 100, &floor_side, MODE_TXN);

	if (rc == 0)
		bench_target(b, "relaxed: lives, batch 100, to the floor without commits",
		    report(lanes, "floor in transactions of 10,000 lives, commits not timed"), ">=", 0.6);
	lane_close(&lanes[EVQ]);
	lane_close(&lanes[OTHER]);
	return rc;
}

int
relaxed_run(struct bench *b)
{
	int rc;

	(void)printf("\nrelaxed: lives per second, 100 bytes\n");
	(void)printf("%-9s %14s %14s %8s  %s\n", "batch", "evq relaxed", "other", "ratio", "the other");
	rc = one_by_one(b);
	return rc != 0 ? rc : by_the_hundred(b);
}
