/* SPDX-License-Identifier: MIT */
/*
 * Owns sending: everything that could refuse a message is asked before the first one is written, so a
 * batch is sent whole or not at all.
 */
#include "put.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bodies.h"
#include "bounds.h"
#include "catalog.h"
#include "dedup.h"
#include "expire.h"
#include "grouprow.h"
#include "line.h"
#include "name.h"
#include "room.h"

enum { ONE = 24 }; /* pages that a call with a small message may change */

enum { LOOK_AT = 1000 }; /* entries that a send looks at for such as have expired, where the queue is full */

/* Bytes of a page that a row takes: LMDB's node has a head of 8 and a pointer of 2. */
enum {
	LEAF = 4080,
	ROW = 8 + 2,
	ENTRY_ROW = ROW + EVQ__DUE_KEY + EVQ__ENTRY_HEAD_MAX,
	BODY_ROW = ROW + EVQ__BODY_KEY,
	GROUP_ROW = ROW + EVQ__GROUP_KEY + EVQ__STAND,
	DEDUP_ROWS = 2 * ROW + EVQ__DEDUP_KEY + EVQ__DEDUP_HEAD + EVQ__DEDUP_END_KEY + 8
};

/*
 * Bytes of pages that a body of so many bytes in all takes in evq.body. Source: LMDB's nodes are not split over
 * pages, so what is left over at the end of a leaf is shared out; a part that is a page of its own leaves 8 bytes in
 * the leaf.
 */
static uint64_t
leaf_bytes_for(uint64_t total)
{
	uint32_t parts = evq__body_parts(total);
	if (total <= EVQ__INLINE_MAX)
		return LEAF / (LEAF / (total + BODY_ROW + 1));
	return (uint64_t)parts * (LEAF + BODY_ROW + 8);
}

/* Rows of tables in which they do not come in order, and splitting leaves leaves half full. */
static uint64_t
rows_for(const struct evq__queue *q, const struct evq__send *send)
{
	uint64_t bytes = ENTRY_ROW;
	if (q->flags & (EVQ_FIFO | EVQ_FAIR))
		bytes += GROUP_ROW;
	if (send->dedup_id.len || (q->flags & EVQ_CONTENT_DEDUP))
		bytes += DEDUP_ROWS + send->dedup_id.len;
	return 2 * bytes;
}

/*
 * Ends some of what has expired, and forgets what need not be known. It stays so also if what it makes room for is
 * refused.
 */
static int
clear(struct evq__call *call, size_t look_at, size_t *cleared)
{
	uint64_t remembered = call->q.c.remembered, messages = call->q.c.messages;
	*cleared = 0;
	int rc = call->q.c.mortal ? evq__expire_some(call, look_at < LOOK_AT ? look_at : LOOK_AT, cleared) : 0;
	if (!rc && remembered)
		rc = evq__dedup_clear(call, look_at);
	if (!rc)
		rc = evq__catalog_leave(call);
	*cleared = 0;
	if (rc)
		return rc;
	*cleared = remembered - call->q.c.remembered + messages - call->q.c.messages; /* what was put off makes no room */
	call->settled = call->txn->changes;
	return 0;
}

/* What is to be sent, and what of it is new. */
struct load {
	const struct evq__send *send;
	const evq_buf *bodies;
	size_t count;
	int is_known; /* by something: it may be a repeat */
	struct evq__mark mark; /* of the one that was looked up last */
	size_t fresh;
	uint64_t bytes, pages; /* of what is fresh: of the bodies, and of all its rows */
};

static struct evq__mark
mark_of(const struct evq__call *call, const struct load *l, size_t i)
{
	struct evq__mark m = { .kind = EVQ__DEDUP_BODY, .what = l->bodies[i] };
	if (l->send->dedup_id.len) {
		m.kind = EVQ__DEDUP_ID;
		m.number = (uint32_t)i;
		m.what = (evq_buf){ l->send->dedup_id.data, l->send->dedup_id.len };
	}
	evq__dedup_mark(call, &m);
	return m;
}

/* In the order of hashes, and of the batch. */
struct order {
	uint8_t hash[EVQ__DEDUP_HASH];
	size_t i;
};

static int
compare_order(const void *a, const void *b)
{
	const struct order *x = a, *y = b;
	int by_hash = memcmp(x->hash, y->hash, sizeof x->hash);
	return by_hash ? by_hash : x->i < y->i ? -1 : x->i > y->i;
}

/* Of bodies that are known by themselves, those that stand in the batch before: is_again[i]. Errors: ENOMEM. */
static int
find_again(const struct evq__call *call, const struct load *l, uint8_t *is_again)
{
	struct order *order = malloc(l->count * sizeof *order);
	if (!order)
		return ENOMEM;
	for (size_t i = 0; i < l->count; i++) {
		struct evq__mark m = mark_of(call, l, i);
		memcpy(order[i].hash, m.hash, sizeof m.hash);
		order[i].i = i;
	}
	qsort(order, l->count, sizeof *order, compare_order);
	for (size_t i = 1; i < l->count; i++)
		is_again[order[i].i] = !memcmp(order[i].hash, order[i - 1].hash, sizeof order->hash);
	free(order);
	return 0;
}

/* is_again NULL: those that repeat one of the same batch are taken for fresh ones. */
static int
count_fresh(struct evq__call *call, struct load *l, const uint8_t *is_again)
{
	uint64_t id;
	int rc = EVQ__NONE;
	l->fresh = l->bytes = l->pages = 0;
	for (size_t i = 0; i < l->count; i++) {
		if (is_again && is_again[i])
			continue;
		if (l->is_known) {
			l->mark = mark_of(call, l, i);
			rc = evq__dedup_find(call, &l->mark, &id);
		}
		if (rc && rc != EVQ__NONE)
			return rc;
		if (rc == 0)
			continue;
		l->fresh++;
		l->bytes += l->bodies[i].len;
		l->pages += leaf_bytes_for((uint64_t)EVQ__BODY_HEAD + l->send->group.len + l->send->attrs.len +
		                           l->bodies[i].len);
	}
	l->pages = ONE + l->fresh / 16 + (l->pages + l->fresh * rows_for(&call->q, l->send)) / LEAF;
	return 0;
}

/* Once more, now that it matters: of bodies that stand in the batch more than once, one is stored. */
static int
count_exactly(struct evq__call *call, struct load *l)
{
	if (l->count == 1 || l->send->dedup_id.len || !l->is_known)
		return 0;
	uint8_t *is_again = calloc(l->count, 1);
	if (!is_again)
		return ENOMEM;
	int rc = find_again(call, l, is_again);
	if (!rc)
		rc = count_fresh(call, l, is_again);
	free(is_again);
	return rc;
}

/* Errors: EVQ_FULL. */
static int
check_room(struct evq__call *call, const struct load *l)
{
	return evq__room_for(&call->q, l->fresh, l->bytes) ? evq__space_admit(call->txn, l->pages) : EVQ_FULL;
}

/* Errors: EVQ_FULL. */
static int
admit(struct evq__call *call, struct load *l, int *is_clearing)
{
	size_t cleared;
	int rc = clear(call, 2 * l->count, &cleared); /* in step with what is sent */
	if (rc || !l->fresh || (rc = check_room(call, l)) != EVQ_FULL)
		return rc;
	*is_clearing = cleared > 0;
	rc = count_exactly(call, l);
	if (!rc)
		rc = clear(call, LOOK_AT, &cleared);
	if (!rc)
		rc = check_room(call, l);
	*is_clearing |= cleared > 0;
	return rc;
}

int
evq__put_clear(struct evq__call *call, int *is_clearing)
{
	size_t cleared;
	int rc = clear(call, LOOK_AT, &cleared);
	*is_clearing = 0;
	if (rc)
		return rc;
	rc = evq__space_admit(call->txn, ONE);
	*is_clearing = rc == EVQ_FULL && cleared;
	return rc == EVQ_FULL ? 0 : rc;
}

static int
check(const struct evq__call *call, const struct load *l)
{
	if ((call->q.flags & EVQ_FIFO) && (!l->send->group.len || l->send->delay_ms))
		return EINVAL;
	for (size_t i = 0; i < l->count; i++)
		if (l->bodies[i].len > call->q.max_body_len)
			return EVQ_TOOBIG;
	return 0;
}

static int64_t
end_of_life(const struct evq__call *call, const struct evq__send *send)
{
	int64_t life = call->q.retention_ms;
	if (send->expires_ms && (!life || send->expires_ms < life))
		life = send->expires_ms;
	return life ? call->now_ms + life : 0;
}

/* What the messages have in common. */
static void
set_out(const struct evq__call *call, const struct evq__send *send, struct evq__entry *e, struct evq__place *at)
{
	int64_t delay = send->delay_ms > 0 ? send->delay_ms : send->delay_ms < 0 ? 0 : call->q.delay_ms;
	*e = (struct evq__entry){ .sent_at_ms = call->wall_ms, .expires_at_ms = end_of_life(call, send) };
	if (send->group.len) {
		e->flags = EVQ__ENTRY_GROUP;
		e->group = evq__name_hash(send->group.data, send->group.len, call->name_end, call->secret);
	}
	*at = (struct evq__place){ .queue = call->q.number,
		                   .lane = evq__lane_of(send->priority),
		                   .due_ms = evq__due_time(e, call->now_ms, delay) };
}

static int
put_one(struct evq__call *call, const struct load *l, size_t i, const struct evq__entry *common,
        const struct evq__place *at)
{
	const struct evq__send *send = l->send;
	const evq_buf *buf = &l->bodies[i];
	struct evq__body body = { send->attr_count, send->group, send->attrs, { buf->data, buf->len } };
	uint64_t total = (uint64_t)EVQ__BODY_HEAD + send->group.len + send->attrs.len + buf->len;
	struct evq__entry e = *common;
	e.flags |= evq__body_parts(total) > 1 ? EVQ__ENTRY_PARTS : 0;
	e.body_len = (uint32_t)buf->len;
	call->q.c.sent++;
	int rc = evq__bodies_write(call, at->id, &body);
	return rc ? rc : evq__line_insert(call, &call->q, at, &e);
}

/* The i-th, unless it is a repeat. Its id is *next if it is none. */
static int
put_once(struct evq__call *call, struct load *l, size_t i, const struct evq__entry *e, struct evq__place *at,
         uint64_t *next)
{
	int is_looked_up = l->count == 1 && l->fresh && !l->mark.ended_ms; /* what has ended may have been cleared since */
	at->id = *next;
	if (l->is_known && !is_looked_up) {
		l->mark = mark_of(call, l, i);
		int rc = evq__dedup_find(call, &l->mark, &at->id);
		call->q.c.duplicates += rc == 0;
		call->q.dirty |= rc == 0;
		if (rc != EVQ__NONE)
			return rc;
		at->id = *next;
	}
	++*next;
	int rc = put_one(call, l, i, e, at);
	return rc || !l->is_known ? rc : evq__dedup_note(call, &l->mark, at->id);
}

int
evq__put(struct evq__call *call, const struct evq__send *send, const evq_buf *bodies, size_t count,
         uint64_t *ids, int *is_clearing)
{
	struct load l = { .send = send, .bodies = bodies, .count = count };
	struct evq__entry e;
	struct evq__place at;
	uint64_t next = 0;
	int rc = check(call, &l);
	*is_clearing = 0;
	l.is_known = send->dedup_id.len || (call->q.flags & EVQ_CONTENT_DEDUP);
	if (!rc)
		rc = count_fresh(call, &l, NULL);
	if (!rc)
		rc = admit(call, &l, is_clearing);
	if (!rc && l.fresh)
		rc = evq__catalog_ids(call, count, &next); /* repeats leave theirs unused */
	set_out(call, send, &e, &at);
	if (!l.fresh) /* a repeat is as durable as what it repeats: what is written for it is a count */
		call->txn->durable = EVQ__DURABLE_BEFORE;
	for (size_t i = 0; !rc && i < count; i++) {
		rc = put_once(call, &l, i, &e, &at, &next);
		if (ids)
			ids[i] = at.id;
	}
	return rc;
}
