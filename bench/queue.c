/* SPDX-License-Identifier: MIT */
/*
 * evq's side, written as its user would write it: one batch that is received
 * into again and again, receipts copied out of it, results looked at. A
 * batch of one goes through the calls for one message. Threads share the
 * store and the queue, and have the rest each for itself.
 */
#include "manner.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct queue {
	bool shared; /* env and queue are another's */
	struct manner *manner;
	evq_env *env;
	evq_queue *queue;
	evq_txn *txn; /* or NULL */
	evq_batch *batch;
	char *body;
	evq_buf *bodies;
	evq_receipt *receipts;
	int *results;
};

static int
queue_begin(void *store)
{
	struct queue *q = store;

	return evq_begin(q->env, &q->txn);
}

static int
queue_commit(void *store)
{
	struct queue *q = store;
	evq_txn *txn = q->txn;

	q->txn = NULL;
	return evq_commit(txn);
}

static int
queue_send(void *store, size_t count)
{
	struct queue *q = store;

	if (q->manner != NULL)
		return manner_send(q->manner, q->queue, q->txn, q->bodies, count);
	if (count == 1)
		return evq_send(q->queue, q->txn, q->bodies->data, q->bodies->len, NULL, NULL);
	return evq_send_batch(q->queue, q->txn, q->bodies, count, NULL, NULL);
}

static int
queue_receive(void *store, size_t count)
{
	struct queue *q = store;
	int rc = evq_receive(q->queue, q->txn, EVQ_RECEIVE_OPTS(.count = (uint32_t)count), q->batch);

	return rc == 0 && evq_batch_count(q->batch) != count ? EVQ_EMPTY : rc;
}

static int
settle_all(struct queue *q, size_t count)
{
	int rc;

	for (size_t i = 0; i < count; i++)
		q->receipts[i] = evq_batch_at(q->batch, i)->receipt;
	rc = evq_delete_batch(q->queue, q->txn, q->receipts, count, q->results);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = q->results[i];
	return rc;
}

static int
queue_settle(void *store, size_t count)
{
	struct queue *q = store;

	if (evq_batch_count(q->batch) != count)
		return EINVAL;
	if (count == 1)
		return evq_delete(q->queue, q->txn, &evq_batch_at(q->batch, 0)->receipt);
	return settle_all(q, count);
}

static int
queue_count(void *store, uint64_t *out)
{
	struct queue *q = store;
	evq_stats stats = { .size = sizeof(stats) };
	int rc = evq_queue_stats(q->queue, &stats);

	if (rc == 0)
		*out = stats.visible;
	return rc == 0 && stats.messages != stats.visible ? EVQ_CORRUPT : rc;
}

static void
queue_close(void *store)
{
	struct queue *q = store;

	if (q->txn != NULL)
		evq_abort(q->txn);
	if (!q->shared) {
		evq_queue_close(q->queue);
		if (q->env != NULL)
			evq_env_close(q->env);
	}
	evq_batch_free(q->batch);
	free(q->body);
	free(q->bodies);
	free(q->receipts);
	free(q->results);
	free(q);
}

/* Bodies that are all alike are one. */
static int
allocate(struct queue *q, const struct cell *cell)
{
	size_t most = cell->batch > BENCH_FILL ? cell->batch : BENCH_FILL;
	size_t step = cell->manner != NULL && cell->manner->differ ? cell->body_len + 1 : 0;

	q->manner = cell->manner;
	q->body = malloc(cell->body_len + 1 + most * step);
	q->bodies = calloc(most, sizeof(*q->bodies));
	q->receipts = calloc(most, sizeof(*q->receipts));
	q->results = calloc(most, sizeof(*q->results));
	if (q->body == NULL || q->bodies == NULL || q->receipts == NULL || q->results == NULL)
		return ENOMEM;
	memset(q->body, 'e', cell->body_len + 1 + most * step);
	for (size_t i = 0; i < most; i++)
		q->bodies[i] = (evq_buf){ q->body + i * step, cell->body_len };
	return evq_batch_new(&q->batch);
}

static int
open_queue(struct queue *q, const char *path, enum mode mode)
{
	static const struct manner plain = { .flags = 0 };
	const struct manner *m = q->manner != NULL ? q->manner : &plain;
	evq_env_opts env = { .size = sizeof(env), .map_size = BENCH_MAP, .clock_arg = q->manner };
	int rc;

	env.durability = mode == MODE_RELAXED ? EVQ_DURABLE_RELAXED : EVQ_DURABLE_FULL;
	env.clock = m->window > 0 ? manner_clock : NULL;
	rc = evq_env_open(path, &env, &q->env);
	if (rc != 0)
		return rc;
	return evq_queue_open(q->env, "bench", EVQ_QUEUE_ATTRS(.visibility_ms = BENCH_LEASE_MS, .flags = m->flags,
	    .dedup_ms = manner_window_ms(m)), &q->queue);
}

static int
queue_open(const char *path, const struct cell *cell, void **out)
{
	struct queue *q = calloc(1, sizeof(*q));
	int rc;

	if (q == NULL)
		return ENOMEM;
	rc = allocate(q, cell);
	if (rc == 0)
		rc = open_queue(q, path, cell->mode);
	if (rc == 0)
		*out = q;
	else
		queue_close(q);
	return rc;
}

/* What belongs to one thread is its own. */
static int
queue_share(void *store, const struct cell *cell, void **out)
{
	const struct queue *from = store;
	struct queue *q = calloc(1, sizeof(*q));
	int rc;

	if (q == NULL)
		return ENOMEM;
	q->shared = true;
	q->env = from->env;
	q->queue = from->queue;
	rc = allocate(q, cell);
	if (rc == 0)
		*out = q;
	else
		queue_close(q);
	return rc;
}

evq_queue *
queue_handle(void *store)
{
	return ((struct queue *)store)->queue;
}

const struct side queue_side = {
	.name = "evq",
	.open = queue_open,
	.share = queue_share,
	.close = queue_close,
	.begin = queue_begin,
	.commit = queue_commit,
	.send = queue_send,
	.receive = queue_receive,
	.settle = queue_settle,
	.count = queue_count,
};
