/* SPDX-License-Identifier: MIT */
/*
 * The slow ones among durable calls: whole lives in full durability, batch
 * 1, one after another without a pause, so that whatever the store puts off
 * until later falls into a call that is timed. What the disk itself does to
 * a flush now and then is told by raw flushes just before and just after.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TAIL_LIVES 30000 /* two durable calls each */
#define RAW_CALLS 1000

static int
flushes(struct lane *raw)
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < RAW_CALLS && !place_interrupted(); i++) {
		int64_t start = measure_ns();

		rc = raw->side->send(raw->store, 1);
		hist_add(&raw->tally->calls[CALL_SEND], measure_ns() - start);
	}
	return bench_fail(raw->side->name, "flush", rc);
}

static int
measure(struct bench *b, struct lane *evq, struct lane *raw)
{
	int rc;

	place_settle(b->root);
	lane_reset(evq, MODE_FULL);
	lane_reset(raw, MODE_FULL);
	rc = flushes(raw);
	if (rc == 0)
		rc = lane_lives(evq, TAIL_LIVES, b->options.cell_ms * 5);
	if (rc == 0)
		rc = flushes(raw);
	return rc != 0 ? rc : lane_check(evq);
}

static double
print_tail(const char *what, const struct hist *h)
{
	double ratio = hist_at_us(h, 0.99) / hist_at_us(h, 0.5);

	(void)printf("%-40s %8llu %9.1f %9.1f %9.1f %9.1f %9.1f %9.2f\n", what, (unsigned long long)h->total,
	    hist_at_us(h, 0.5), hist_at_us(h, 0.9), hist_at_us(h, 0.99), hist_at_us(h, 0.999), hist_at_us(h, 1),
	    ratio);
	return ratio;
}

static void
report(struct bench *b, const struct lane *evq, const struct lane *raw, struct hist *durable)
{
	const struct hist *calls = evq->tally->calls;

	hist_merge(durable, &calls[CALL_SEND]);
	hist_merge(durable, &calls[CALL_DELETE]);
	(void)printf("\n%-40s %8s %9s %9s %9s %9s %9s %9s\n", "commit: lives on end, full, batch 1", "calls", "p50 us",
	    "p90 us", "p99 us", "p99.9 us", "worst us", "p99/p50");
	bench_target(b, "commit: a durable call among lives on end, p99 to p50",
	    print_tail("evq_send and evq_delete", durable), "<=", 3);
	(void)print_tail("evq_receive", &calls[CALL_RECEIVE]);
	(void)print_tail("raw, before and after", &raw->tally->calls[CALL_SEND]);
	(void)fflush(stdout);
}

int
tail_run(struct bench *b, struct lane *evq, struct lane *raw)
{
	struct hist *durable = calloc(1, sizeof(*durable));
	int rc;

	if (durable == NULL)
		return bench_fail("commit", "lives on end", ENOMEM);
	rc = measure(b, evq, raw);
	if (rc == 0)
		report(b, evq, raw, durable);
	free(durable);
	return rc;
}
