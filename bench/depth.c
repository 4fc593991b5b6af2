/* SPDX-License-Identifier: MIT */
/*
 * What waiting messages cost those that move: the rate of whole lives of 100
 * bytes with a thousand messages in the queue, against a million (batch 100)
 * and against none (batch 1). Four stores take turns, evq's and the floor's
 * of either depth, first with a relaxed commit for each call, then inside
 * user transactions.
 */
#include "bench.h"

#include <stdio.h>

enum { EVQ_THOUSAND, EVQ_OTHER, FLOOR_THOUSAND, FLOOR_OTHER, LANES };

struct question {
	uint64_t waiting; /* against BENCH_WAITING */
	size_t batch;
	const char *relaxed, *txn; /* targets */
	double relaxed_wanted, txn_wanted;
};

static int
open_all(struct bench *b, struct lane lanes[LANES], const struct question *q)
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < LANES; i++) {
		struct cell cell = { 100, q->batch, MODE_RELAXED, BENCH_WAITING, NULL };

		if (i == EVQ_OTHER || i == FLOOR_OTHER)
			cell.waiting = q->waiting;
		rc = lane_open(b, &lanes[i], i <= EVQ_OTHER ? &queue_side : &floor_side, &cell);
	}
	return rc;
}

static double
print_side(const char *mode, const struct lane *thousand, const struct lane *other)
{
	const struct series *usual = &thousand->tally->rate[LIFE], *unusual = &other->tally->rate[LIFE];
	char left[32], right[32];
	double ratio = series_ratio(unusual, usual);

	table_number(left, series_median(usual));
	table_number(right, series_median(unusual));
	(void)printf("%-10s %-6s %14s %14s %8.2f\n", mode, thousand->side->name, left, right, ratio);
	return ratio;
}

static int
run_mode(struct bench *b, struct lane lanes[LANES], enum mode mode, const char *target, double wanted)
{
	double ratio;
	int rc;

	for (int i = 0; i < LANES; i++)
		lane_reset(&lanes[i], mode);
	rc = lane_turns(b, lanes, LANES, b->options.slot_ms * BENCH_LONG, b->options.cell_ms * 2);
	if (rc != 0)
		return rc;
	ratio = print_side(options_modes[mode], &lanes[EVQ_THOUSAND], &lanes[EVQ_OTHER]);
	(void)print_side(options_modes[mode], &lanes[FLOOR_THOUSAND], &lanes[FLOOR_OTHER]);
	(void)fflush(stdout);
	bench_target(b, target, ratio, ">=", wanted);
	return 0;
}

static void
print_head(const struct question *q)
{
	char left[32], right[32];

	table_number(left, BENCH_WAITING);
	table_number(right, (double)q->waiting);
	(void)printf("\ndepth: lives per second, batch %zu, 100 bytes, by messages waiting\n", q->batch);
	(void)printf("%-10s %-6s %14s %14s %8s\n", "durable", "", left, right, "ratio");
}

static int
measure(struct bench *b, struct lane lanes[LANES], const struct question *q)
{
	int rc = open_all(b, lanes, q);

	if (rc == 0)
		print_head(q);
	if (rc == 0)
		rc = run_mode(b, lanes, MODE_RELAXED, q->relaxed, q->relaxed_wanted);
	if (rc == 0)
		rc = run_mode(b, lanes, MODE_TXN, q->txn, q->txn_wanted);
	for (int i = 0; rc == 0 && i < LANES; i++)
		rc = lane_check(&lanes[i]);
	return rc;
}

static int
answer(struct bench *b, const struct question *q)
{
	struct lane lanes[LANES] = { { .store = NULL } };
	int rc = measure(b, lanes, q);

	for (int i = 0; i < LANES; i++)
		lane_close(&lanes[i]);
	return rc;
}

int
depth_run(struct bench *b)
{
	const struct question deep = { b->options.deep, 100, "depth: many waiting to a thousand, relaxed",
		"depth: many waiting to a thousand, in a user transaction", 0.8, 0.7 };
	const struct question empty = { 0, 1, "depth: none waiting to a thousand, relaxed",
		"depth: none waiting to a thousand, in a user transaction", 0.97, 0.97 };
	int rc = answer(b, &deep);

	return rc != 0 ? rc : answer(b, &empty);
}
