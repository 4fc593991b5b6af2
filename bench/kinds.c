/* SPDX-License-Identifier: MIT */
/*
 * Queues of several kinds against each other: the first lane is the plain
 * one, and the rates of the others stand beside it, divided by its. Turns are
 * long: each lane is to do most of its own work in them.
 */
#include "manner.h"

#include <stdio.h>

/* A store is as durable as it was opened to be; transactions are so in any. */
static int
change_mode(struct lane *l, enum mode mode, size_t batch)
{
	if (mode != MODE_TXN)
		lane_shut(l);
	l->cell.mode = mode;
	l->cell.batch = batch;
	return mode != MODE_TXN ? lane_reopen(l) : 0;
}

int
kinds_turns(struct bench *b, struct lane *lanes, size_t count, enum mode mode, size_t batch)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = change_mode(&lanes[i], mode, batch);
		lane_reset(&lanes[i], mode);
	}
	if (rc == 0)
		rc = lane_turns(b, lanes, count, b->options.slot_ms * BENCH_LONG, b->options.cell_ms * (int64_t)count / 4);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = lane_check(&lanes[i]);
	return rc;
}

double
kinds_line(const char *what, const struct lane *lanes, size_t count)
{
	const struct series *plain = &lanes[0].tally->rate[LIFE];
	double ratio = 1;
	char text[32];

	table_number(text, series_median(plain));
	(void)printf("%-36s %-8s %5zu %12s", what, options_modes[lanes[0].cell.mode], lanes[0].cell.batch, text);
	for (size_t i = 1; i < count; i++) {
		ratio = series_ratio(&lanes[i].tally->rate[LIFE], plain);
		table_number(text, series_median(&lanes[i].tally->rate[LIFE]));
		(void)printf(" %12s %6.2f", text, ratio);
	}
	(void)printf("\n");
	(void)fflush(stdout);
	return ratio;
}
