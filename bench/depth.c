/* SPDX-License-Identifier: MIT */
/*
 * What waiting messages cost those that move: the rate of whole lives with a
 * thousand messages in the queue and with a million, batch 100, 100 bytes.
 * Four stores take turns, evq's and the floor's of either depth, first with
 * a relaxed commit for each call, then inside user transactions.
 */
#include "bench.h"

#include <stdio.h>

enum { EVQ_SHALLOW, EVQ_DEEP, FLOOR_SHALLOW, FLOOR_DEEP, LANES };

static int
open_all(struct bench *b, struct lane lanes[LANES])
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < LANES; i++) {
		struct cell cell = { 100, 100, MODE_RELAXED, BENCH_WAITING };

		if (i == EVQ_DEEP || i == FLOOR_DEEP)
			cell.waiting = b->options.deep;
		rc = lane_open(b, &lanes[i], i <= EVQ_DEEP ? &queue_side : &floor_side, &cell);
	}
	return rc;
}

static double
print_side(const char *mode, const struct lane *shallow, const struct lane *deep)
{
	const struct series *few = &shallow->tally->rate[LIFE], *many = &deep->tally->rate[LIFE];
	char low[32], high[32];
	double ratio = series_ratio(many, few);

	table_number(low, series_median(few));
	table_number(high, series_median(many));
	(void)printf("%-10s %-6s %14s %14s %8.2f\n", mode, shallow->side->name, low, high, ratio);
	return ratio;
}

static int
run_mode(struct bench *b, struct lane lanes[LANES], enum mode mode, const char *target)
{
	double ratio;
	int rc;

	for (int i = 0; i < LANES; i++)
		lane_reset(&lanes[i], mode);
	rc = lane_turns(b, lanes, LANES, b->options.slot_ms, b->options.cell_ms * 2);
	if (rc != 0)
		return rc;
	ratio = print_side(options_modes[mode], &lanes[EVQ_SHALLOW], &lanes[EVQ_DEEP]);
	(void)print_side(options_modes[mode], &lanes[FLOOR_SHALLOW], &lanes[FLOOR_DEEP]);
	(void)fflush(stdout);
	bench_target(b, target, ratio, ">=", 0.7);
	return 0;
}

static void
print_head(const struct bench *b)
{
	char low[32], high[32];

	table_number(low, BENCH_WAITING);
	table_number(high, (double)b->options.deep);
	(void)printf("\ndepth: lives per second, batch 100, 100 bytes, by messages waiting\n");
	(void)printf("%-10s %-6s %14s %14s %8s\n", "durable", "", low, high, "ratio");
}

static int
measure(struct bench *b, struct lane lanes[LANES])
{
	int rc = open_all(b, lanes);

	if (rc == 0)
		print_head(b);
	if (rc == 0)
		rc = run_mode(b, lanes, MODE_RELAXED, "depth: many waiting to few, relaxed");
	if (rc == 0)
		rc = run_mode(b, lanes, MODE_TXN, "depth: many waiting to few, in a user transaction");
	for (int i = 0; rc == 0 && i < LANES; i++)
		rc = lane_check(&lanes[i]);
	return rc;
}

int
depth_run(struct bench *b)
{
	struct lane lanes[LANES] = { { .store = NULL } };
	int rc = measure(b, lanes);

	for (int i = 0; i < LANES; i++)
		lane_close(&lanes[i]);
	return rc;
}
