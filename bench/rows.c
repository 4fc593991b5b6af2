/* SPDX-License-Identifier: MIT */
/*
 * The rows that are cells of the table: all that were asked for, and the
 * headlines, which are two of them given more time.
 */
#include "bench.h"

#include <stdio.h>

/* What evq made of the floor's lives, full, batch 1, when each of its calls was an LMDB commit. */
#define COMMIT_A_CALL 0.95

enum { EVQ, FLOOR, SIDES };

static int
measure(struct bench *b, struct lane lanes[SIDES], const struct cell *cell, int64_t slot_ms, int64_t time_ms)
{
	int rc = lane_open(b, &lanes[EVQ], &queue_side, cell);

	if (rc == 0)
		rc = lane_open(b, &lanes[FLOOR], &floor_side, cell);
	if (rc == 0)
		rc = lane_turns(b, lanes, SIDES, slot_ms, time_ms);
	if (rc == 0)
		rc = lane_check(&lanes[EVQ]);
	if (rc == 0)
		rc = lane_check(&lanes[FLOOR]);
	return rc;
}

static int
run_cell(struct bench *b, const struct cell *cell)
{
	struct lane lanes[SIDES] = { { .store = NULL }, { .store = NULL } };
	int rc = measure(b, lanes, cell, b->options.slot_ms, b->options.cell_ms);

	if (rc == 0)
		table_cell(&lanes[EVQ], &lanes[FLOOR]);
	lane_close(&lanes[EVQ]);
	lane_close(&lanes[FLOOR]);
	return rc;
}

static int
run_body(struct bench *b, enum mode mode, size_t body_len)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < b->options.batch_count; i++) {
		struct cell cell = { body_len, b->options.batches[i], mode, BENCH_WAITING, NULL };

		rc = run_cell(b, &cell);
	}
	return rc;
}

int
rows_life(struct bench *b)
{
	const struct options *o = &b->options;
	int rc = 0;

	table_head();
	for (size_t m = 0; rc == 0 && m < o->mode_count; m++) {
		for (size_t i = 0; rc == 0 && i < o->body_count; i++)
			rc = run_body(b, o->modes[m], o->bodies[i]);
	}
	return rc;
}

/* The cost of the engine: no commit is on the clock. */
static int
headline_txn(struct bench *b)
{
	const struct cell cell = { 100, 100, MODE_TXN, BENCH_WAITING, NULL };
	struct lane lanes[SIDES] = { { .store = NULL }, { .store = NULL } };
	int rc = measure(b, lanes, &cell, b->options.slot_ms, b->options.cell_ms * 2);

	if (rc == 0) {
		const struct series *evq = &lanes[EVQ].tally->rate[LIFE];

		table_cell(&lanes[EVQ], &lanes[FLOOR]);
		bench_target(b, "headline: lives/s in a user transaction, batch 100, 100 bytes",
		    series_median(evq), ">=", 900000);
		bench_target(b, "headline: ratio to the floor",
		    series_ratio(evq, &lanes[FLOOR].tally->rate[LIFE]), ">=", 0.6);
	}
	lane_close(&lanes[EVQ]);
	lane_close(&lanes[FLOOR]);
	return rc;
}

/* The cost of durability: a flush or two are in each call that needs one. */
static int
headline_full(struct bench *b)
{
	const struct cell cell = { 100, 1, MODE_FULL, BENCH_WAITING, NULL };
	struct lane lanes[SIDES] = { { .store = NULL }, { .store = NULL } };
	int rc = measure(b, lanes, &cell, b->options.slot_ms * BENCH_LONG, b->options.cell_ms * 2);

	if (rc == 0) {
		table_cell(&lanes[EVQ], &lanes[FLOOR]);
		bench_target(b, "headline: lives, full, batch 1, to 0.95 of the floor's",
		    series_ratio(&lanes[EVQ].tally->rate[LIFE], &lanes[FLOOR].tally->rate[LIFE]) / COMMIT_A_CALL,
		    ">=", 2.5);
	}
	lane_close(&lanes[EVQ]);
	lane_close(&lanes[FLOOR]);
	return rc;
}

int
rows_headline(struct bench *b)
{
	int rc;

	(void)printf("\nheadline");
	table_head();
	rc = headline_txn(b);
	return rc != 0 ? rc : headline_full(b);
}
