/* SPDX-License-Identifier: MIT */
/*
 * What memory costs: whole lives of messages each of which has a dedup_id, or
 * whose content is looked at, against those of a queue that remembers
 * nothing. None of them is a repeat. A million are remembered, and each send
 * has one to forget as well, since the store's clock goes with the sends
 * (manner.c).
 */
#include "manner.h"

#include <errno.h>
#include <stdio.h>

#define FILL_TXN 2500 /* batches in one transaction, when the memory is filled */

enum { PLAIN, IDS, CONTENT, LANES };

static const struct question {
	const char *what;
	int one_by_one;
	enum mode mode;
	size_t batch;
} questions[] = {
	{ "an id each, sent one by one", 1, MODE_RELAXED, 100 },
	{ "an id each, sent one by one", 1, MODE_TXN, 100 },
	{ "an id each", 1, MODE_FULL, 1 },
	{ "an id a batch", 0, MODE_RELAXED, 100 },
	{ "an id a batch", 0, MODE_TXN, 100 },
};

static int
live_for(struct lane *l, uint64_t batches)
{
	const struct side *side = l->side;
	int rc = side->begin(l->store);

	for (; rc == 0 && batches > 0; batches--) {
		rc = side->send(l->store, BENCH_FILL);
		if (rc == 0)
			rc = side->receive(l->store, BENCH_FILL);
		if (rc == 0)
			rc = side->settle(l->store, BENCH_FILL);
	}
	return rc == 0 ? side->commit(l->store) : rc;
}

/* As many are remembered as will be. Long transactions: each writes all pages that it has been to, which is most. */
static int
remember(struct lane *l)
{
	const struct manner *m = l->cell.manner;
	uint64_t goal = m->window + m->window / 20;
	int rc = 0;

	while (rc == 0 && m->sent < goal) {
		uint64_t batches = (goal - m->sent) / BENCH_FILL + 1;

		rc = live_for(l, batches < FILL_TXN ? batches : FILL_TXN);
		if (rc == 0 && place_interrupted())
			rc = EINTR;
	}
	return bench_fail("dedup", "remember", rc);
}

static int
prepare(struct bench *b, struct lane *l, struct manner *m)
{
	const struct cell cell = { 100, 100, MODE_RELAXED, BENCH_WAITING, m };
	int rc;

	m->window = b->options.deep > 0 ? b->options.deep : 1;
	m->begun_ms = measure_wall_ms();
	rc = lane_open(b, l, &queue_side, &cell);
	return rc == 0 && (m->has_ids || m->flags != 0) ? remember(l) : rc;
}

static int
prepare_all(struct bench *b, struct lane lanes[LANES], struct manner manners[LANES])
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < LANES; i++)
		rc = prepare(b, &lanes[i], &manners[i]);
	return rc;
}

/* What is remembered is to be of the kind that is sent: the rows of a batch are neighbours. */
static int
change_way(struct bench *b, struct lane lanes[LANES], int one_by_one)
{
	struct manner *ids = lanes[IDS].cell.manner;

	lanes[PLAIN].cell.manner->one_by_one = lanes[CONTENT].cell.manner->one_by_one = one_by_one;
	if (ids->one_by_one == one_by_one)
		return 0;
	lane_close(&lanes[IDS]);
	*ids = (struct manner){ .has_ids = 1, .one_by_one = one_by_one, .differ = 1 };
	return prepare(b, &lanes[IDS], ids);
}

static int
answer(struct bench *b, struct lane lanes[LANES], const struct question *q)
{
	int rc = change_way(b, lanes, q->one_by_one);

	if (rc == 0)
		rc = kinds_turns(b, lanes, LANES, q->mode, q->batch);
	if (rc == 0)
		(void)kinds_line(q->what, lanes, LANES);
	return rc;
}

static void
print_head(const struct bench *b)
{
	char remembered[32];

	table_number(remembered, (double)b->options.deep);
	(void)printf("\ndedup: lives per second, 100 bytes, %s remembered, no repeats\n", remembered);
	(void)printf("%-36s %-8s %5s %12s %12s %6s %12s %6s\n", "", "durable", "batch", "plain", "by id", "ratio",
	    "by content", "ratio");
}

int
dedup_run(struct bench *b)
{
	struct manner manners[LANES] = {
		[PLAIN] = { .differ = 1 },
		[IDS] = { .has_ids = 1, .one_by_one = 1, .differ = 1 },
		[CONTENT] = { .flags = EVQ_CONTENT_DEDUP, .differ = 1 },
	};
	struct lane lanes[LANES] = { { .store = NULL }, { .store = NULL }, { .store = NULL } };
	int rc = prepare_all(b, lanes, manners);

	if (rc == 0)
		rc = repeat_run(b, &lanes[IDS], &lanes[PLAIN]);
	if (rc == 0)
		print_head(b);
	for (size_t i = 0; rc == 0 && i < sizeof(questions) / sizeof(questions[0]); i++)
		rc = answer(b, lanes, &questions[i]);
	for (int i = 0; i < LANES; i++)
		lane_close(&lanes[i]);
	return rc;
}
