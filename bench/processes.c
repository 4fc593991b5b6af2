/* SPDX-License-Identifier: MIT */
/*
 * Processes of one thread each on one queue of one store, fully durable: how
 * many calls all of them make together, against one process alone, and
 * against as many processes that do the same work on plain LMDB with a
 * commit for each call.
 *
 * The stores are made and shut before the first fork; each child opens its
 * store for itself. At the end the stores are opened again and counted.
 */
#include "crowd.h"

#include <stdio.h>

enum { EVQ, LMDB, SIDES };
enum { EVQ_1, EVQ_2, EVQ_8, LMDB_8, GANGS };

static int
measure(struct bench *b, struct lane lanes[SIDES], struct gang gangs[GANGS])
{
	const struct cell cell = { 100, 1, MODE_FULL, BENCH_WAITING, NULL };
	int rc = lane_open(b, &lanes[EVQ], &queue_side, &cell);

	if (rc == 0)
		rc = lane_open(b, &lanes[LMDB], &crowd_side, &cell);
	if (rc != 0)
		return rc;
	for (int i = 0; i < SIDES; i++)
		lane_shut(&lanes[i]);
	rc = gang_turns(b, "processes", gangs, GANGS);
	for (int i = 0; rc == 0 && i < SIDES; i++) {
		rc = lane_reopen(&lanes[i]);
		if (rc == 0)
			rc = lane_check(&lanes[i]);
	}
	return rc;
}

static void
report(struct bench *b, const struct gang gangs[GANGS])
{
	gang_head("processes: lives of 1 x 100 bytes on one queue, 1,000 waiting", "processes");
	for (int i = 0; i < LMDB_8; i++)
		gang_print(&gangs[i], &gangs[EVQ_1]);
	gang_print(&gangs[LMDB_8], NULL);
	bench_target(b, "processes: calls of 8 to those of one, full",
	    series_ratio(&gangs[EVQ_8].rate, &gangs[EVQ_1].rate), ">=", 0.6);
	bench_target(b, "processes: calls of 8, full, to 8 on plain LMDB",
	    series_ratio(&gangs[EVQ_8].rate, &gangs[LMDB_8].rate), ">=", 1.5);
}

int
processes_run(struct bench *b)
{
	struct lane lanes[SIDES] = { { .store = NULL }, { .store = NULL } };
	struct gang gangs[GANGS] = {
		{ .lane = &lanes[EVQ], .count = 1, .start = crowd_processes },
		{ .lane = &lanes[EVQ], .count = 2, .start = crowd_processes },
		{ .lane = &lanes[EVQ], .count = 8, .start = crowd_processes },
		{ .lane = &lanes[LMDB], .count = 8, .start = crowd_processes },
	};
	int rc = measure(b, lanes, gangs);

	if (rc == 0)
		report(b, gangs);
	for (int i = 0; i < SIDES; i++)
		lane_close(&lanes[i]);
	return rc;
}
