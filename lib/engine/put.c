/* SPDX-License-Identifier: MIT */
/*
 * Owns sending: everything that could refuse a message is asked before the first one is written, so a
 * batch is sent whole or not at all.
 */
#include "put.h"

#include "bodies.h"
#include "bounds.h"
#include "catalog.h"
#include "due.h"
#include "expire.h"

enum { LOOK_AT = 1000 }; /* entries that a send looks at for such as have expired, where the queue is full */

/*
 * Pages that a send may need at most. Source: an entry takes 21 + 48 + 10 bytes in a leaf, which a split may
 * leave half full; a body that fits into a leaf its length and 22; each part of a longer one a page. What a
 * transaction changes besides: the way from the root in each tree, and the free list.
 */
static uint64_t
pages_for(uint64_t in_leaves, uint64_t in_pages, size_t count)
{
	return (in_leaves + count * 2 * 79) / 4000 + in_pages + count / 16 + 24;
}

static int
fits(const struct evq__queue *q, size_t count, uint64_t bytes)
{
	if (q->max_messages && (q->c.messages > q->max_messages || count > q->max_messages - q->c.messages))
		return 0;
	return !q->max_bytes || (q->c.bytes <= q->max_bytes && bytes <= q->max_bytes - q->c.bytes);
}

/* Clears some of what has expired, in step with what is sent, and looks further where it takes room to fit. */
static int
clear_expired(struct evq__call *call, size_t count, uint64_t bytes)
{
	size_t look_at = 2 * count < LOOK_AT ? 2 * count : LOOK_AT, cleared;
	int rc = call->q.c.mortal ? evq__expire_some(call, look_at, &cleared) : 0;
	for (cleared = 1; !rc && cleared && call->q.c.mortal && !fits(&call->q, count, bytes);)
		rc = evq__expire_some(call, LOOK_AT, &cleared);
	return rc;
}

static int
admit(struct evq__call *call, const struct evq__send *send, const evq_buf *bodies, size_t count)
{
	uint64_t bytes = 0, in_leaves = 0, in_pages = 0;
	for (size_t i = 0; i < count; i++) {
		if (bodies[i].len > call->q.max_body_len)
			return EVQ_TOOBIG;
		uint64_t total = (uint64_t)EVQ__BODY_HEAD + send->group.len + send->attrs.len + bodies[i].len;
		uint32_t parts = evq__body_parts(total);
		bytes += bodies[i].len;
		if (parts > 1)
			in_pages += parts;
		else
			in_leaves += total + 22;
	}
	int rc = clear_expired(call, count, bytes);
	if (!rc)
		rc = evq__catalog_leave(call);
	if (!rc)
		call->settled = call->txn->changes; /* what has expired stays cleared if this is refused */
	if (!rc && !fits(&call->q, count, bytes))
		rc = EVQ_FULL;
	return rc ? rc : evq__space_admit(call->txn, pages_for(in_leaves, in_pages, count));
}

static int64_t
end_of_life(const struct evq__call *call, const struct evq__send *send)
{
	int64_t life = call->q.retention_ms;
	if (send->expires_ms && (!life || send->expires_ms < life))
		life = send->expires_ms;
	return life ? call->now_ms + life : 0;
}

static int
put_one(struct evq__call *call, const struct evq__send *send, const evq_buf *buf, uint64_t id,
        struct evq__entry *e, struct evq__place *at)
{
	struct evq__body body = { send->attr_count, send->group, send->attrs, { buf->data, buf->len } };
	uint64_t total = (uint64_t)EVQ__BODY_HEAD + send->group.len + send->attrs.len + buf->len;
	e->flags = evq__body_parts(total) > 1 ? EVQ__ENTRY_PARTS : 0;
	e->body_len = (uint32_t)buf->len;
	at->id = id;
	int rc = evq__bodies_write(call, id, &body);
	return rc ? rc : evq__due_insert(call, &call->q, at, e);
}

int
evq__put(struct evq__call *call, const struct evq__send *send, const evq_buf *bodies, size_t count,
         uint64_t *first)
{
	int64_t delay = send->delay_ms > 0 ? send->delay_ms : send->delay_ms < 0 ? 0 : call->q.delay_ms;
	struct evq__entry e = { .sent_at_ms = call->wall_ms, .expires_at_ms = end_of_life(call, send) };
	struct evq__place at = { .queue = call->q.number,
		                 .lane = evq__lane_of(send->priority),
		                 .due_ms = evq__due_time(&e, call->now_ms, delay) };
	int rc = admit(call, send, bodies, count);
	if (!rc)
		rc = evq__catalog_ids(call, count, first);
	for (size_t i = 0; !rc && i < count; i++)
		rc = put_one(call, send, &bodies[i], *first + i, &e, &at);
	call->q.c.sent += count;
	evq__news_wake(call->news, call->q.number);
	return rc;
}
