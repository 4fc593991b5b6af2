/* SPDX-License-Identifier: MIT */
/*
 * What a blocked group costs those that are not: the first of its many
 * messages is leased, and none of the others may be received. One message of
 * another group is sent, received and deleted, and nothing received, over and
 * over; in a FIFO queue that is empty otherwise, the same, call by call in
 * turns.
 */
#include "manner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_MS (12 * 3600 * 1000)

enum { BLOCKED, EMPTY, LANES };
enum { GETS_ONE, FINDS_NONE, FIGURES_OF };

struct trial {
	struct lane lane;
	evq_queue *queue;
	evq_batch *batch;
	struct hist *hist; /* FIGURES_OF of them */
	uint64_t groups;
};

static int
timed_receive(struct trial *t, int figure)
{
	int64_t start = measure_ns();
	int rc = evq_receive(t->queue, NULL, NULL, t->batch);

	hist_add(&t->hist[figure], measure_ns() - start);
	return rc;
}

static int
try_once(struct trial *t)
{
	const evq_delivery *d;
	char group[32];
	int rc;

	manner_name(group, NAMES_RANDOM, ++t->groups);
	rc = evq_send(t->queue, NULL, "another's", 9, EVQ_SEND_OPTS(.group = group), NULL);
	if (rc == 0)
		rc = timed_receive(t, GETS_ONE);
	if (rc != 0)
		return rc;
	d = evq_batch_at(t->batch, 0);
	if (strcmp(d->group, group) != 0)
		return EVQ_CORRUPT;
	rc = evq_delete(t->queue, NULL, &d->receipt);
	if (rc == 0)
		rc = timed_receive(t, FINDS_NONE);
	return rc == EVQ_EMPTY ? 0 : rc == 0 ? EVQ_CORRUPT : rc;
}

static int
prepare(struct bench *b, struct trial *t, struct manner *manner, uint64_t waiting)
{
	const struct cell cell = { 100, 1, MODE_RELAXED, waiting, manner };
	int rc = lane_open(b, &t->lane, &queue_side, &cell);

	t->hist = calloc(FIGURES_OF, sizeof(*t->hist));
	if (rc == 0 && t->hist == NULL)
		rc = ENOMEM;
	if (rc == 0)
		rc = evq_batch_new(&t->batch);
	if (rc != 0)
		return rc;
	t->queue = queue_handle(t->lane.store);
	return waiting > 0 ? evq_receive(t->queue, NULL, EVQ_RECEIVE_OPTS(.visibility_ms = LEASE_MS), t->batch) : 0;
}

static int
measure(struct bench *b, struct trial trials[LANES], struct manner *manner)
{
	int64_t end;
	int rc = prepare(b, &trials[BLOCKED], manner, b->options.deep / 5);

	if (rc == 0)
		rc = prepare(b, &trials[EMPTY], manner, 0);
	if (rc != 0)
		return bench_fail("blocked", "prepare", rc);
	place_settle(b->root);
	end = measure_ns() + b->options.cell_ms * 1000000;
	for (int i = 0; rc == 0 && measure_ns() < end; i++) {
		rc = try_once(&trials[i % LANES]);
		if (rc == 0)
			rc = try_once(&trials[(i + 1) % LANES]);
		if (rc == 0 && place_interrupted())
			rc = EINTR;
	}
	return bench_fail("blocked", "receive", rc);
}

static void
print_figure(const char *what, const struct hist *blocked, const struct hist *empty)
{
	(void)printf("%-36s %8llu %9.2f %9.2f %9.2f %9.2f %9.2f\n", what, (unsigned long long)blocked->total,
	    hist_at_us(empty, 0.5), hist_at_us(empty, 0.99), hist_at_us(blocked, 0.5), hist_at_us(blocked, 0.99),
	    hist_at_us(blocked, 0.5) / hist_at_us(empty, 0.5));
}

static void
report(struct bench *b, const struct trial trials[LANES])
{
	const struct hist *blocked = trials[BLOCKED].hist, *empty = trials[EMPTY].hist;
	char waiting[32];

	table_number(waiting, (double)(b->options.deep / 5));
	(void)printf("\nfifo: us per receive where %s messages of one group are blocked, relaxed\n", waiting);
	(void)printf("%-36s %8s %9s %9s %9s %9s %9s\n", "", "times", "empty p50", "p99", "blocked", "p99", "p50/p50");
	print_figure("a message of another group", &blocked[GETS_ONE], &empty[GETS_ONE]);
	print_figure("nothing to receive", &blocked[FINDS_NONE], &empty[FINDS_NONE]);
	(void)fflush(stdout);
}

int
blocked_run(struct bench *b)
{
	struct manner manner = { .flags = EVQ_FIFO, .names = NAMES_ORDERED, .groups = 1 };
	struct trial trials[LANES] = { { .queue = NULL }, { .queue = NULL } };
	int rc = measure(b, trials, &manner);

	if (rc == 0)
		report(b, trials);
	for (int i = 0; i < LANES; i++) {
		evq_batch_free(trials[i].batch);
		lane_close(&trials[i].lane);
		free(trials[i].hist);
	}
	return rc;
}
