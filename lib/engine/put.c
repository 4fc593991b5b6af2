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
#include "room.h"

enum { LOOK_AT = 1000 }; /* entries that a send looks at for such as have expired, where the queue is full */

enum { LEAF = 4080, ENTRY_NODE = 8 + EVQ__DUE_KEY + EVQ__ENTRY_HEAD + 2, BODY_NODE = 8 + EVQ__BODY_KEY + 2 };

/*
 * Bytes of leaf pages that a body of so many bytes in all takes in evq.body, and pages besides. Source: LMDB's
 * node has a head of 8 bytes and a pointer of 2; nodes are not split over pages, so what is left over at the
 * end of a leaf is shared out; a part that is a page of its own leaves 8 bytes in the leaf.
 */
static uint64_t
leaf_bytes_for(uint64_t total, uint64_t *pages)
{
	uint32_t parts = evq__body_parts(total);
	if (total <= EVQ__INLINE_MAX)
		return LEAF / (LEAF / (total + BODY_NODE + 1));
	*pages += parts;
	return (uint64_t)parts * (BODY_NODE + 8);
}

/* What all of a send takes: entries stand in leaves that splitting may leave half full; trees, free list. */
static uint64_t
pages_for(const struct evq__send *send, const evq_buf *bodies, size_t count)
{
	uint64_t pages = 24 + count / 16, bytes = (uint64_t)count * 2 * ENTRY_NODE;
	for (size_t i = 0; i < count; i++)
		bytes += leaf_bytes_for((uint64_t)EVQ__BODY_HEAD + send->group.len + send->attrs.len + bodies[i].len,
		                        &pages);
	return pages + bytes / LEAF;
}

/* Errors: EVQ_FULL. */
static int
check_room(struct evq__call *call, size_t count, uint64_t bytes, uint64_t pages)
{
	return evq__room_for(&call->q, count, bytes) ? evq__space_admit(call->txn, pages) : EVQ_FULL;
}

/* Ends some of what has expired. It stays ended also if what it makes room for is refused. */
static int
clear(struct evq__call *call, size_t look_at, size_t *cleared)
{
	*cleared = 0;
	int rc = call->q.c.mortal ? evq__expire_some(call, look_at, cleared) : 0;
	if (!rc && *cleared)
		rc = evq__catalog_leave(call);
	if (!rc)
		call->settled = call->txn->changes;
	return rc;
}

static int
admit(struct evq__call *call, const struct evq__send *send, const evq_buf *bodies, size_t count, int *is_clearing)
{
	uint64_t bytes = 0, pages = pages_for(send, bodies, count);
	size_t cleared;
	*is_clearing = 0;
	for (size_t i = 0; i < count; i++) {
		if (bodies[i].len > call->q.max_body_len)
			return EVQ_TOOBIG;
		bytes += bodies[i].len;
	}
	int rc = clear(call, 2 * count < LOOK_AT ? 2 * count : LOOK_AT, &cleared); /* in step with what is sent */
	if (!rc && (rc = check_room(call, count, bytes, pages)) == EVQ_FULL) {
		*is_clearing = cleared > 0;
		if (!(rc = clear(call, LOOK_AT, &cleared)))
			rc = cleared ? check_room(call, count, bytes, pages) : EVQ_FULL;
		*is_clearing |= cleared > 0;
	}
	return rc;
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
         uint64_t *first, int *is_clearing)
{
	int64_t delay = send->delay_ms > 0 ? send->delay_ms : send->delay_ms < 0 ? 0 : call->q.delay_ms;
	struct evq__entry e = { .sent_at_ms = call->wall_ms, .expires_at_ms = end_of_life(call, send) };
	struct evq__place at = { .queue = call->q.number,
		                 .lane = evq__lane_of(send->priority),
		                 .due_ms = evq__due_time(&e, call->now_ms, delay) };
	int rc = admit(call, send, bodies, count, is_clearing);
	if (!rc)
		rc = evq__catalog_ids(call, count, first);
	for (size_t i = 0; !rc && i < count; i++)
		rc = put_one(call, send, &bodies[i], *first + i, &e, &at);
	if (rc)
		return rc;
	call->q.c.sent += count;
	evq__news_wake(call->news, call->q.number, at.due_ms <= (uint64_t)call->now_ms ? (uint32_t)count : EVQ__WAKE_ALL);
	return 0;
}
