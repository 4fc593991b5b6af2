/* SPDX-License-Identifier: MIT */
/*
 * The store as a whole, and its clock: closed and opened again, synced, copied
 * and the copy compared like the original.
 */
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In a transaction time stands still where it would make a message expire or a backoff end. */
static bool
may_advance(const struct run *r, int64_t to)
{
	for (size_t i = 0; r->txn != NULL && i < r->m->queue_count; i++)
		for (size_t k = 0; k < r->m->queues[i].count; k++) {
			const struct m_msg *msg = &r->m->queues[i].msgs[k];

			if (msg->expiry > r->now && msg->expiry <= to)
				return false;
			if (msg->open_due && msg->due_lo <= to)
				return false;
		}
	return true;
}

/* When a window, a lease or a life ends; 0: none. No backoff, which ends otherwise in each run. */
static int64_t
draw_edge(struct run *r)
{
	const struct m_queue *q = pick_queue(r);
	const struct m_msg *msg;

	if (q == NULL)
		return 0;
	if (q->known_count > 0 && percent(r, 60))
		return q->known[below(r, q->known_count)].ends_at;
	if (q->count == 0)
		return 0;
	msg = &q->msgs[below(r, q->count)];
	return msg->leased ? msg->due : msg->expiry;
}

/* To the very edge of something near, or just before it. */
static int64_t
draw_step_to_edge(struct run *r)
{
	int64_t step = draw_edge(r) - r->now - (int64_t)below(r, 2);

	return step > (one_in(r, 30) ? INT64_C(400000) : 5000) ? 0 : step;
}

static int64_t
draw_step(struct run *r)
{
	size_t roll = below(r, 100);
	int64_t step = one_in(r, 3) ? draw_step_to_edge(r) : 0;

	if (step > 0)
		return step;
	if (roll < 55)
		return between(r, 1, 60);
	if (roll < 85)
		return between(r, 60, 1000);
	return roll < 98 ? between(r, 1000, 6000) : between(r, 6000, 50000);
}

bool
clock_advance(struct run *r, int64_t step)
{
	if (!may_advance(r, r->now + step))
		return false;
	say(r, "clock + %lld", (long long)step);
	r->now += step;
	r->m->now = r->now;
	if (r->committed != NULL)
		r->committed->now = r->now;
	return true;
}

bool
op_clock(struct run *r)
{
	return clock_advance(r, draw_step(r));
}

bool
op_sync(struct run *r)
{
	if (r->txn != NULL)
		return false;
	say(r, "sync");
	expect_rc(r, "evq_sync", 0, evq_sync(r->env));
	return true;
}

bool
op_reopen(struct run *r)
{
	if (r->txn != NULL)
		return false;
	say(r, "close and open the store");
	store_close(r);
	store_open(r);
	run_settle(r);
	compare_all(r);
	return true;
}

/* The same comparison, with the copy in the place of the store. */
static void
compare_copy(struct run *r, const char *path)
{
	struct run *twin = malloc(sizeof(*twin));

	if (twin == NULL)
		abort();
	*twin = *r;
	twin->handle_count = twin->ghost_count = 0;
	memset(&twin->order, 0, sizeof(twin->order));
	expect_rc(r, "evq_env_open of the copy", 0, store_open_at(r, path, &twin->env));
	compare_all(twin);
	store_close(twin);
	free(twin->order.at);
	free(twin);
}

bool
op_copy(struct run *r)
{
	uint32_t flags = one_in(r, 2) ? EVQ_COPY_COMPACT : 0;
	char path[600];

	if (r->txn != NULL)
		return false;
	snprintf(path, sizeof(path), "%s/copy", r->dir);
	say(r, "copy%s", flags != 0 ? ", compact" : "");
	expect_rc(r, "evq_env_copy", 0, evq_env_copy(r->env, path, flags));
	expect_rc(r, "evq_env_copy over a copy", EEXIST, evq_env_copy(r->env, path, flags));
	compare_copy(r, path);
	store_remove(path);
	run_settle(r);
	return true;
}
