/* SPDX-License-Identifier: MIT */
/*
 * One durable call against what the disk asks for it: a send of one message
 * of 100 bytes, fully durable; the same two puts in an LMDB transaction of
 * their own; one write and one flush on a raw file. All are open at once and
 * take turns call by call, in each of the six orders, so that they find the
 * disk in one mood. Then evq receives the message and deletes it.
 *
 * After every hundred turns the floor's queue is drained again, untimed:
 * files that grow pay for their new length at each flush.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>

#define TURNS 102 /* each order as often */

enum { EVQ, FLOOR, RAW, SIDES };

static int
one_call(struct lane *l, enum call call, int (*fn)(void *store, size_t count))
{
	int64_t start = measure_ns();
	int rc = fn(l->store, 1);

	hist_add(&l->tally->calls[call], measure_ns() - start);
	return bench_fail(l->side->name, "durable call", rc);
}

static int
turn(struct lane lanes[SIDES], size_t i)
{
	size_t step = i / SIDES % 2 + 1;
	struct lane *evq = &lanes[EVQ];
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < SIDES; k++) {
		struct lane *l = &lanes[(i + k * step) % SIDES];

		rc = one_call(l, CALL_SEND, l->side->send);
	}
	if (rc == 0)
		rc = one_call(evq, CALL_RECEIVE, evq->side->receive);
	if (rc == 0)
		rc = one_call(evq, CALL_DELETE, evq->side->settle);
	return rc;
}

static int
turns(struct lane lanes[SIDES])
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < TURNS; i++) {
		rc = turn(lanes, i);
		if (rc == 0 && place_interrupted())
			rc = EINTR;
	}
	return rc != 0 ? rc : lane_drain(&lanes[FLOOR], TURNS);
}

static int
measure(struct bench *b, struct lane lanes[SIDES])
{
	static const struct side *const sides[SIDES] = { &queue_side, &floor_side, &raw_side };
	const struct cell cell = { 100, 1, MODE_FULL, BENCH_WAITING, NULL };
	int64_t end;
	int rc = 0;

	for (int i = 0; rc == 0 && i < SIDES; i++)
		rc = lane_open(b, &lanes[i], sides[i], &cell);
	if (rc == 0)
		rc = turns(lanes);
	if (rc != 0)
		return rc;
	place_settle(b->root);
	for (int i = 0; i < SIDES; i++)
		lane_reset(&lanes[i], MODE_FULL);
	end = measure_ns() + b->options.cell_ms * 3 * 1000000;
	while (rc == 0 && measure_ns() < end)
		rc = turns(lanes);
	for (int i = 0; rc == 0 && i < SIDES; i++)
		rc = lane_check(&lanes[i]);
	return rc;
}

static void
print_call(const char *what, const struct hist *h, const struct hist *raw)
{
	(void)printf("%-40s %8llu %9.1f %9.1f %9.1f %9.2f\n", what, (unsigned long long)h->total,
	    hist_at_us(h, 0.5), hist_at_us(h, 0.9), hist_at_us(h, 0.99), hist_at_us(h, 0.5) / hist_at_us(raw, 0.5));
}

static void
report(struct bench *b, const struct lane lanes[SIDES])
{
	const struct hist *evq = lanes[EVQ].tally->calls;
	const struct hist *floor = &lanes[FLOOR].tally->calls[CALL_SEND];
	const struct hist *raw = &lanes[RAW].tally->calls[CALL_SEND];
	double send = hist_at_us(&evq[CALL_SEND], 0.5), flush = hist_at_us(raw, 0.5);

	(void)printf("\n%-40s %8s %9s %9s %9s %9s\n", "commit", "calls", "p50 us", "p90 us", "p99 us", "p50/raw");
	print_call("evq_send, full, 1 x 100 bytes", &evq[CALL_SEND], raw);
	print_call("evq_receive, full, 1", &evq[CALL_RECEIVE], raw);
	print_call("evq_delete, full, 1", &evq[CALL_DELETE], raw);
	print_call("LMDB commit of the same two puts", floor, raw);
	print_call("raw: 4 KiB pwrite + fdatasync", raw, raw);
	(void)fflush(stdout);
	bench_target(b, "commit: one durable call, p50, to one LMDB commit", send / hist_at_us(floor, 0.5), "<=", 1.15);
	bench_target(b, "commit: one durable call, p50, to one raw flush", send / flush, "<=", 1.25);
	bench_target(b, "commit: a receive, full, p50, to one raw flush", hist_at_us(&evq[CALL_RECEIVE], 0.5) / flush,
	    "<=", 0.15);
}

int
commit_run(struct bench *b)
{
	struct lane lanes[SIDES] = { { .store = NULL }, { .store = NULL }, { .store = NULL } };
	int rc = measure(b, lanes);

	if (rc == 0) {
		report(b, lanes);
		rc = tail_run(b, &lanes[EVQ], &lanes[RAW]);
	}
	for (int i = 0; i < SIDES; i++)
		lane_close(&lanes[i]);
	return rc;
}
