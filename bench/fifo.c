/* SPDX-License-Identifier: MIT */
/*
 * What order costs: whole lives in a FIFO queue against those in a plain one,
 * both with a million messages waiting. They are a million groups, or one, or
 * 1,000. The names of a million count up, as those of accounts and orders do,
 * or look random: then each is found on a page of its own. A call sends to one
 * group, so where each message has another, all are sent in calls for one
 * message, to the plain queue too. The plain queue's have no group at all.
 */
#include "manner.h"

#include <stdio.h>

enum { PLAIN, FIFO, LANES };

static const struct question {
	const char *what;
	struct manner manner;
	const char *targets[MODES]; /* NULL: not asked */
} questions[] = {
	{ "a million groups",
	    { .flags = EVQ_FIFO, .names = NAMES_ORDERED, .one_by_one = 1 },
	    { [MODE_RELAXED] = "fifo: lives to plain, a million groups, relaxed",
	        [MODE_TXN] = "fifo: lives to plain, a million groups, in a user transaction",
	        [MODE_FULL] = "fifo: lives to plain, a million groups, full" } },
	{ "a million groups, random names",
	    { .flags = EVQ_FIFO, .names = NAMES_RANDOM, .one_by_one = 1 },
	    { [MODE_RELAXED] = "fifo: lives to plain, random names, relaxed",
	        [MODE_TXN] = "fifo: lives to plain, random names, in a user transaction" } },
	{ "one group",
	    { .flags = EVQ_FIFO, .names = NAMES_RANDOM, .groups = 1 },
	    { [MODE_RELAXED] = "fifo: lives to plain, one group, relaxed",
	        [MODE_TXN] = "fifo: lives to plain, one group, in a user transaction",
	        [MODE_FULL] = "fifo: lives to plain, one group, full" } },
	{ "1,000 groups",
	    { .flags = EVQ_FIFO, .names = NAMES_RANDOM, .groups = 1000 },
	    { [MODE_RELAXED] = "fifo: lives to plain, 1,000 groups, relaxed",
	        [MODE_TXN] = "fifo: lives to plain, 1,000 groups, in a user transaction",
	        [MODE_FULL] = "fifo: lives to plain, 1,000 groups, full" } },
};

static int
run_modes(struct bench *b, struct lane lanes[LANES], const struct question *q)
{
	static const enum mode order[MODES] = { MODE_RELAXED, MODE_TXN, MODE_FULL };
	int rc = 0;

	for (int i = 0; rc == 0 && i < MODES; i++) {
		if (q->targets[order[i]] == NULL)
			continue;
		rc = kinds_turns(b, lanes, LANES, order[i], order[i] == MODE_FULL ? 10 : 100);
		if (rc == 0)
			bench_target(b, q->targets[order[i]], kinds_line(q->what, lanes, LANES), ">=", 0.5);
	}
	return rc;
}

/* The plain lane is the same one in all questions. */
static int
answer(struct bench *b, struct lane lanes[LANES], const struct question *q)
{
	struct manner manner = q->manner;
	const struct cell cell = { 100, 100, MODE_RELAXED, b->options.deep, &manner };
	int rc = lane_open(b, &lanes[FIFO], &queue_side, &cell);

	lanes[PLAIN].cell.manner->one_by_one = manner.one_by_one;
	if (rc == 0)
		rc = run_modes(b, lanes, q);
	lane_close(&lanes[FIFO]);
	return rc;
}

int
fifo_run(struct bench *b)
{
	struct lane lanes[LANES] = { { .store = NULL }, { .store = NULL } };
	struct manner plain = { .flags = 0 };
	const struct cell cell = { 100, 100, MODE_RELAXED, b->options.deep, &plain };
	char waiting[32];
	int rc = lane_open(b, &lanes[PLAIN], &queue_side, &cell);

	table_number(waiting, (double)b->options.deep);
	(void)printf("\nfifo: lives per second, 100 bytes, %s waiting\n", waiting);
	(void)printf("%-36s %-8s %5s %12s %12s %6s\n", "", "durable", "batch", "plain", "FIFO", "ratio");
	for (size_t i = 0; rc == 0 && i < sizeof(questions) / sizeof(questions[0]); i++)
		rc = answer(b, lanes, &questions[i]);
	lane_close(&lanes[PLAIN]);
	return rc != 0 ? rc : blocked_run(b);
}
