/* SPDX-License-Identifier: MIT */
/*
 * What fairness costs: whole lives in a fair queue against those of the same
 * messages in a plain one, with 100 tenants, whose messages come in no order,
 * and with one. Messages of 100 tenants are sent in calls for one message.
 */
#include "manner.h"

#include <stdio.h>

enum { PLAIN, FAIR, LANES };

static const struct question {
	const char *what;
	uint64_t tenants, waiting; /* waiting: at most as deep as asked for */
	const char *relaxed, *txn; /* targets */
} questions[] = {
	{ "100 tenants, 1,000 waiting", 100, 1000, "fair: lives to plain, 100 tenants, 1,000 waiting, relaxed",
	    "fair: lives to plain, 100 tenants, 1,000 waiting, txn" },
	{ "one tenant, 1,000 waiting", 1, 1000, "fair: lives to plain, one tenant, 1,000 waiting, relaxed",
	    "fair: lives to plain, one tenant, 1,000 waiting, txn" },
	{ "100 tenants, 100,000 waiting", 100, 100000, "fair: lives to plain, 100 tenants, 100,000 waiting, relaxed",
	    "fair: lives to plain, 100 tenants, 100,000 waiting, txn" },
	{ "one tenant, 100,000 waiting", 1, 100000, "fair: lives to plain, one tenant, 100,000 waiting, relaxed",
	    "fair: lives to plain, one tenant, 100,000 waiting, txn" },
};

static int
measure(struct bench *b, struct lane lanes[LANES], const struct question *q, struct manner manners[LANES])
{
	struct cell cell = { 100, 100, MODE_RELAXED, q->waiting, NULL };
	int rc = 0;

	if (cell.waiting > b->options.deep)
		cell.waiting = b->options.deep;
	for (int i = 0; rc == 0 && i < LANES; i++) {
		cell.manner = &manners[i];
		rc = lane_open(b, &lanes[i], &queue_side, &cell);
	}
	if (rc == 0)
		rc = kinds_turns(b, lanes, LANES, MODE_RELAXED, 100);
	if (rc == 0)
		bench_target(b, q->relaxed, kinds_line(q->what, lanes, LANES), ">=", 0.7);
	if (rc == 0)
		rc = kinds_turns(b, lanes, LANES, MODE_TXN, 100);
	if (rc == 0)
		bench_target(b, q->txn, kinds_line(q->what, lanes, LANES), ">=", 0.7);
	return rc;
}

static int
answer(struct bench *b, const struct question *q)
{
	int apart = q->tenants > 1;
	struct manner manners[LANES] = { { .names = NAMES_RANDOM, .groups = q->tenants, .one_by_one = apart },
		{ .flags = EVQ_FAIR, .names = NAMES_RANDOM, .groups = q->tenants, .one_by_one = apart } };
	struct lane lanes[LANES] = { { .store = NULL }, { .store = NULL } };
	int rc = measure(b, lanes, q, manners);

	lane_close(&lanes[PLAIN]);
	lane_close(&lanes[FAIR]);
	return rc;
}

int
fair_run(struct bench *b)
{
	int rc = 0;

	(void)printf("\nfair: lives per second, 100 bytes\n");
	(void)printf("%-36s %-8s %5s %12s %12s %6s\n", "", "durable", "batch", "plain", "fair", "ratio");
	for (size_t i = 0; rc == 0 && i < sizeof(questions) / sizeof(questions[0]); i++)
		rc = answer(b, &questions[i]);
	return rc != 0 ? rc : quiet_run(b);
}
