/* SPDX-License-Identifier: MIT */
/*
 * One durable call against one LMDB commit: a send of one message of 100
 * bytes, fully durable, and on the other side the same two puts in a
 * transaction of their own. Both stores are open at once and the sides
 * alternate call by call, so that each pair finds the disk in one mood.
 *
 * After every hundred pairs both queues are drained again, untimed: files
 * that grow pay for their new length at each flush.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>

#define PAIRS 100

enum { EVQ, FLOOR, SIDES };

static int
one_call(struct lane *l)
{
	int64_t start = measure_ns();
	int rc = l->side->send(l->store, 1);

	hist_add(&l->tally->calls[CALL_SEND], measure_ns() - start);
	return bench_fail(l->side->name, "send", rc);
}

static int
pairs(struct lane lanes[SIDES])
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < PAIRS; i++) {
		rc = one_call(&lanes[i % 2 == 0 ? EVQ : FLOOR]);
		if (rc == 0)
			rc = one_call(&lanes[i % 2 == 0 ? FLOOR : EVQ]);
		if (rc == 0 && place_interrupted())
			rc = EINTR;
	}
	for (int i = 0; rc == 0 && i < SIDES; i++)
		rc = lane_drain(&lanes[i], PAIRS);
	return rc;
}

static int
measure(struct bench *b, struct lane lanes[SIDES])
{
	const struct cell cell = { 100, 1, MODE_FULL, BENCH_WAITING };
	int64_t end;
	int rc = lane_open(b, &lanes[EVQ], &queue_side, &cell);

	if (rc == 0)
		rc = lane_open(b, &lanes[FLOOR], &floor_side, &cell);
	if (rc == 0)
		rc = pairs(lanes);
	if (rc != 0)
		return rc;
	place_settle(b->root);
	lane_reset(&lanes[EVQ], MODE_FULL);
	lane_reset(&lanes[FLOOR], MODE_FULL);
	end = measure_ns() + b->options.cell_ms * 2 * 1000000;
	while (rc == 0 && measure_ns() < end)
		rc = pairs(lanes);
	for (int i = 0; rc == 0 && i < SIDES; i++)
		rc = lane_check(&lanes[i]);
	return rc;
}

static void
report(struct bench *b, const struct lane lanes[SIDES])
{
	const struct hist *evq = &lanes[EVQ].tally->calls[CALL_SEND];
	const struct hist *floor = &lanes[FLOOR].tally->calls[CALL_SEND];
	double ratio = hist_at_us(evq, 0.5) / hist_at_us(floor, 0.5);

	(void)printf("\n%-40s %8s %9s %9s %9s\n", "commit", "calls", "p50 us", "p90 us", "p99 us");
	(void)printf("%-40s %8llu %9.1f %9.1f %9.1f\n", "evq_send, full, 1 x 100 bytes", (unsigned long long)evq->total,
	    hist_at_us(evq, 0.5), hist_at_us(evq, 0.9), hist_at_us(evq, 0.99));
	(void)printf("%-40s %8llu %9.1f %9.1f %9.1f\n", "LMDB commit of the same two puts",
	    (unsigned long long)floor->total, hist_at_us(floor, 0.5), hist_at_us(floor, 0.9),
	    hist_at_us(floor, 0.99));
	(void)printf("%-40s %8s %9.2f\n", "ratio", "", ratio);
	bench_target(b, "commit: one durable call, p50, to one LMDB commit", ratio, "<=", 1.15);
}

int
commit_run(struct bench *b)
{
	struct lane lanes[SIDES] = { { .store = NULL }, { .store = NULL } };
	int rc = measure(b, lanes);

	if (rc == 0)
		report(b, lanes);
	lane_close(&lanes[EVQ]);
	lane_close(&lanes[FLOOR]);
	return rc;
}
