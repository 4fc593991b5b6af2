/* SPDX-License-Identifier: MIT */
/*
 * How long a quiet tenant waits in a fair queue. Others have 100,000 messages
 * in it; a worker receives and deletes one at a time, without a pause. At
 * some moment a message of the quiet one is sent: how many of the others'
 * come before it, and how long that takes, from the return of the send.
 * What went is sent again, so that there are always as many.
 */
#include "manner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG 100000
#define TRIALS 2000

struct trial {
	struct lane lane;
	evq_queue *queue;
	evq_batch *batch;
	struct hist *before; /* messages, as if each were a us */
	struct hist *waited;
	int64_t most; /* messages */
};

/* Errors: EVQ_EMPTY. */
static int
take_one(struct trial *t, int *is_quiet)
{
	const evq_delivery *d;
	int rc = evq_receive(t->queue, NULL, NULL, t->batch);

	if (rc != 0)
		return rc;
	d = evq_batch_at(t->batch, 0);
	*is_quiet = d->group != NULL && strcmp(d->group, "quiet") == 0;
	return evq_delete(t->queue, NULL, &d->receipt);
}

static int
wait_for_it(struct trial *t, int64_t *before)
{
	int64_t start;
	int is_quiet = 0, rc = evq_send(t->queue, NULL, "here", 4, EVQ_SEND_OPTS(.group = "quiet"), NULL);

	start = measure_ns();
	for (*before = -1; rc == 0 && !is_quiet; ++*before)
		rc = take_one(t, &is_quiet);
	hist_add(t->waited, measure_ns() - start);
	hist_add(t->before, *before * 1000);
	if (*before > t->most)
		t->most = *before;
	return rc;
}

/* The worker has been at it for a while, a different one each time. */
static int
try_once(struct trial *t, int trial)
{
	int64_t gone = 0, before = 0;
	int is_quiet, rc = 0;

	for (; rc == 0 && t->lane.cell.waiting > 0 && gone < 1 + trial % 13; gone++)
		rc = take_one(t, &is_quiet);
	if (rc == 0)
		rc = wait_for_it(t, &before);
	for (gone += before; rc == 0 && gone > 0; gone--)
		rc = t->lane.side->send(t->lane.store, 1);
	return rc == 0 && place_interrupted() ? EINTR : rc;
}

static int
measure(struct bench *b, struct trial *t, struct manner *manner, uint64_t waiting)
{
	const struct cell cell = { 100, 1, MODE_RELAXED, waiting, manner };
	int64_t end;
	int rc = lane_open(b, &t->lane, &queue_side, &cell);

	t->before = calloc(1, sizeof(*t->before));
	t->waited = calloc(1, sizeof(*t->waited));
	if (rc == 0 && (t->before == NULL || t->waited == NULL))
		rc = ENOMEM;
	if (rc == 0)
		rc = evq_batch_new(&t->batch);
	if (rc != 0)
		return bench_fail("quiet", "prepare", rc);
	t->queue = queue_handle(t->lane.store);
	place_settle(b->root);
	end = measure_ns() + b->options.cell_ms * 1000000;
	for (int i = 0; rc == 0 && i < TRIALS && measure_ns() < end; i++)
		rc = try_once(t, i);
	return rc == 0 ? lane_check(&t->lane) : bench_fail("quiet", "wait", rc);
}

static int
play(struct bench *b, const char *what, uint64_t tenants, uint64_t waiting, double *most)
{
	struct manner manner = { .flags = EVQ_FAIR, .names = NAMES_RANDOM, .groups = tenants,
		.one_by_one = tenants > 1 };
	struct trial t = { .queue = NULL };
	int rc = measure(b, &t, &manner, waiting);

	if (rc == 0) {
		(void)printf("%-36s %8llu %9.0f %9lld %9.1f %9.1f %9.1f\n", what, (unsigned long long)t.waited->total,
		    hist_at_us(t.before, 0.5), (long long)t.most, hist_at_us(t.waited, 0.5),
		    hist_at_us(t.waited, 0.99), hist_at_us(t.waited, 1));
		(void)fflush(stdout);
		*most = (double)t.most;
	}
	evq_batch_free(t.batch);
	lane_close(&t.lane);
	free(t.before);
	free(t.waited);
	return rc;
}

int
quiet_run(struct bench *b)
{
	uint64_t backlog = b->options.deep < BACKLOG ? b->options.deep : BACKLOG;
	double empty, one, many;
	char waiting[32];
	int rc;

	table_number(waiting, (double)backlog);
	(void)printf("\nfair: a quiet tenant's wait, %s of others waiting, relaxed, one worker, one at a time\n", waiting);
	(void)printf("%-36s %8s %9s %9s %9s %9s %9s\n", "", "times", "before it", "most", "p50 us", "p99 us", "worst us");
	rc = play(b, "nobody else", 1, 0, &empty);
	if (rc == 0)
		rc = play(b, "one noisy tenant", 1, backlog, &one);
	if (rc == 0)
		rc = play(b, "100 noisy tenants", 100, backlog, &many);
	if (rc != 0)
		return rc;
	bench_target(b, "fair: most messages before a quiet tenant's, one noisy", one, "<=", 1);
	bench_target(b, "fair: most messages before a quiet tenant's, 100 noisy", many, "<=", 100);
	return 0;
}
