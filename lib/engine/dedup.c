/* SPDX-License-Identifier: MIT */
/*
 * Owns evq.dedup. A send leaves a row there, found by a hash of what it is known by, and another by which the row is
 * found when its window is over; so memory is bounded by what was sent in a window, and is given back by whoever sends or
 * receives later. The hash only finds: a dedup_id is compared with the one in the row, a body with the message's as
 * long as that is there, and what differs is no repeat, since a message taken for one would be lost.
 */
#include "dedup.h"

#include <string.h>

#include "bodies.h"
#include "bounds.h"
#include "hash.h"
#include "name.h"

void
evq__dedup_mark(const struct evq__call *call, struct evq__mark *m)
{
	const void *what = m->what.len ? m->what.data : "";
	if (m->kind == EVQ__DEDUP_ID) {
		evq__name_hash_long(what, m->what.len, call->name_end, call->secret + 1, m->hash);
		evq__be32_put(m->hash + EVQ__NAME_LONG, m->number);
	} else {
		evq__hash128(what, m->what.len, call->secret, m->hash);
	}
	m->ended_ms = m->is_taken = 0;
}

/* Else it was damaged, and would make a repeat a new message. */
int
evq__dedup_is_sound(const struct evq__call *call, const struct evq__dedup *row, const uint8_t hash[static EVQ__DEDUP_HASH])
{
	struct evq__mark m = { .kind = row->kind, .number = row->number, .what = { row->text.data, row->text.len } };
	if (row->kind != EVQ__DEDUP_ID)
		return 1;
	evq__dedup_mark(call, &m);
	return !memcmp(m.hash, hash, sizeof m.hash);
}

static int
is_same(struct evq__call *call, const struct evq__dedup *row, const struct evq__mark *m, int *is)
{
	*is = row->kind == m->kind;
	if (*is && m->kind == EVQ__DEDUP_BODY)
		return evq__bodies_may_be(call->txn, row->id, &m->what, is);
	*is = *is && row->number == m->number && row->text.len == m->what.len &&
	      !memcmp(row->text.data, m->what.data, m->what.len);
	return 0;
}

int
evq__dedup_find(struct evq__call *call, struct evq__mark *m, uint64_t *id)
{
	uint8_t key[EVQ__DEDUP_KEY];
	struct evq__slice value;
	struct evq__dedup row;
	int is;
	m->ended_ms = m->is_taken = 0;
	if (!call->q.c.remembered)
		return EVQ__NONE;
	evq__dedup_key(call->q.number, m->hash, key);
	int rc = evq__tree_get(call->txn, EVQ__DEDUP, key, sizeof key, &value);
	if (rc)
		return rc;
	if (evq__dedup_unpack(value.data, value.len, &row))
		return EVQ_CORRUPT;
	if (row.expires_at_ms <= call->now_ms) {
		m->ended_ms = row.expires_at_ms;
		return EVQ__NONE;
	}
	*id = row.id;
	if ((rc = is_same(call, &row, m, &is)))
		return rc;
	if (!is && !evq__dedup_is_sound(call, &row, m->hash))
		return EVQ_CORRUPT;
	m->is_taken = !is;
	return is ? 0 : EVQ__NONE;
}

static int
del_end(struct evq__call *call, int64_t expires_at_ms, const uint8_t hash[static EVQ__DEDUP_HASH])
{
	uint8_t key[EVQ__DEDUP_END_KEY];
	evq__dedup_end_key(call->q.number, expires_at_ms, hash, key);
	int rc = evq__tree_del(call->txn, EVQ__DEDUP, key, sizeof key);
	return rc == EVQ__NONE ? 0 : rc; /* a row that is missing is verify's to find */
}

static int
put_end(struct evq__call *call, int64_t expires_at_ms, const uint8_t hash[static EVQ__DEDUP_HASH], uint64_t id)
{
	uint8_t key[EVQ__DEDUP_END_KEY], value[8];
	evq__dedup_end_key(call->q.number, expires_at_ms, hash, key);
	evq__le64_put(value, id);
	return evq__tree_put(call->txn, EVQ__DEDUP, key, sizeof key, &(struct evq__slice){ value, sizeof value }, 1);
}

int
evq__dedup_note(struct evq__call *call, const struct evq__mark *m, uint64_t id)
{
	uint8_t key[EVQ__DEDUP_KEY], head[EVQ__DEDUP_HEAD];
	struct evq__dedup row = { m->kind, m->number, id, call->now_ms + call->q.dedup_ms, { NULL, 0 } };
	struct evq__slice pieces[2] = { { head, sizeof head }, { m->what.data, m->what.len } };
	if (m->is_taken)
		return 0;
	int rc = m->ended_ms ? del_end(call, m->ended_ms, m->hash) : 0;
	if (rc)
		return rc;
	evq__dedup_key(call->q.number, m->hash, key);
	evq__dedup_pack(&row, head);
	rc = evq__tree_put(call->txn, EVQ__DEDUP, key, sizeof key, pieces, m->kind == EVQ__DEDUP_ID ? 2 : 1);
	call->q.c.remembered += !m->ended_ms;
	call->q.dirty = 1;
	return rc ? rc : put_end(call, row.expires_at_ms, m->hash, id);
}

/* ---- forgetting ---- */

struct end {
	int64_t expires_at_ms;
	uint8_t hash[EVQ__DEDUP_HASH];
	uint64_t id;
};

/* The first row by its end at or behind a time and hash. Errors: EVQ__NONE. */
static int
seek_end(struct evq__call *call, const struct end *from, struct end *out)
{
	uint8_t key[EVQ__DEDUP_END_KEY];
	struct evq__slice found, value;
	evq__dedup_end_key(call->q.number, from->expires_at_ms, from->hash, key);
	int rc = evq__tree_seek(call->txn, EVQ__DEDUP, key, sizeof key, &found, &value);
	while (!rc && (found.len != EVQ__DEDUP_END_KEY || value.len != sizeof out->id)) {
		if (found.len < 5 || memcmp(found.data, key, 5)) /* another queue's */
			return EVQ__NONE;
		rc = evq__tree_next(call->txn, EVQ__DEDUP, &found, &value); /* verify tells of it */
	}
	if (rc || memcmp(found.data, key, 5))
		return rc ? rc : EVQ__NONE;
	out->expires_at_ms = (int64_t)evq__be64_get((const uint8_t *)found.data + 5);
	memcpy(out->hash, (const uint8_t *)found.data + 13, EVQ__DEDUP_HASH);
	out->id = evq__le64_get(value.data);
	return 0;
}

/* One that the row found by its hash does not agree with was left by damage, and goes alone. */
static int
forget(struct evq__call *call, const struct end *end)
{
	uint8_t key[EVQ__DEDUP_KEY];
	struct evq__slice value;
	struct evq__dedup row;
	int rc = del_end(call, end->expires_at_ms, end->hash);
	if (rc)
		return rc;
	evq__dedup_key(call->q.number, end->hash, key);
	rc = evq__tree_get(call->txn, EVQ__DEDUP, key, sizeof key, &value);
	if (rc)
		return rc == EVQ__NONE ? 0 : rc;
	rc = evq__dedup_unpack(value.data, value.len, &row);
	if (!rc && row.expires_at_ms != end->expires_at_ms)
		return 0;
	call->q.c.remembered -= call->q.c.remembered > 0;
	call->q.dirty = 1;
	return evq__tree_del(call->txn, EVQ__DEDUP, key, sizeof key);
}

int
evq__dedup_clear(struct evq__call *call, size_t max)
{
	struct end end;
	int rc = 0;
	while (!rc && max-- && call->q.c.remembered && !evq__space_is_spent(call->txn)) {
		rc = seek_end(call, &(struct end){ .expires_at_ms = 0 }, &end);
		if (!rc)
			rc = end.expires_at_ms <= call->now_ms ? forget(call, &end) : EVQ__NONE;
	}
	return rc == EVQ__NONE ? 0 : rc;
}

/* Rows that damage left without an end: nothing else finds them. */
static int
forget_rest(struct evq__call *call, uint64_t end_id, size_t max, int *done)
{
	static const uint8_t zeros[EVQ__DEDUP_HASH];
	uint8_t key[EVQ__DEDUP_KEY];
	struct evq__slice found, value;
	struct evq__dedup row;
	evq__dedup_key(call->q.number, zeros, key);
	int rc = evq__tree_seek(call->txn, EVQ__DEDUP, key, sizeof key, &found, &value);
	while (!rc && max && found.len == sizeof key && !memcmp(found.data, key, 5)) {
		if (!evq__dedup_unpack(value.data, value.len, &row) && row.id >= end_id) {
			rc = evq__tree_next(call->txn, EVQ__DEDUP, &found, &value);
			continue;
		}
		memcpy(key, found.data, sizeof key);
		call->q.c.remembered -= call->q.c.remembered > 0;
		call->q.dirty = 1;
		max--;
		if (!(rc = evq__tree_del(call->txn, EVQ__DEDUP, key, sizeof key)))
			rc = evq__tree_seek(call->txn, EVQ__DEDUP, key, sizeof key, &found, &value);
	}
	*done = max > 0;
	return rc == EVQ__NONE ? 0 : rc;
}

int
evq__dedup_forget(struct evq__call *call, uint64_t end_id, size_t max, int *done)
{
	struct end from = { .expires_at_ms = 0 }, end;
	int rc = 0;
	while (!rc && max) {
		if ((rc = seek_end(call, &from, &end)))
			break;
		if (end.id < end_id) {
			rc = forget(call, &end);
			max--;
			continue;
		}
		from = end; /* and to the next key */
		int i = EVQ__DEDUP_HASH - 1;
		while (i >= 0 && ++from.hash[i] == 0)
			i--;
		from.expires_at_ms += i < 0;
	}
	*done = 0;
	return rc == EVQ__NONE ? forget_rest(call, end_id, max, done) : rc;
}
