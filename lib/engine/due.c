/* SPDX-License-Identifier: MIT */
/*
 * Owns evq.due: no other file writes to it. Delay, lease, retry and expiry are one mechanism here, a place
 * in the order of time. An entry never stands behind the end of its message, so what has expired is always
 * among what is due.
 */
#include "due.h"

#include <string.h>

#include "hash.h"

static int
put_entry(struct evq__call *call, const struct evq__place *at, const struct evq__entry *e)
{
	uint8_t key[EVQ__DUE_KEY], head[EVQ__ENTRY_HEAD];
	evq__due_key(at, key);
	evq__entry_pack(e, head);
	struct evq__slice pieces[2] = { { head, sizeof head }, e->history };
	return evq__tree_put(call->txn, EVQ__DUE, key, sizeof key, pieces, e->deaths ? 2 : 1);
}

static int
del_entry(struct evq__call *call, const struct evq__place *at)
{
	uint8_t key[EVQ__DUE_KEY];
	evq__due_key(at, key);
	int rc = evq__tree_del(call->txn, EVQ__DUE, key, sizeof key);
	return rc == EVQ__NONE ? EVQ_CORRUPT : rc; /* the caller has just seen it */
}

static void
count(struct evq__queue *q, const struct evq__entry *e, uint64_t sign)
{
	q->c.messages += sign;
	q->c.bytes += sign * e->body_len;
	q->c.mortal += e->expires_at_ms ? sign : 0;
	q->dirty = 1;
}

int
evq__due_insert(struct evq__call *call, struct evq__queue *q, const struct evq__place *at,
                const struct evq__entry *e)
{
	count(q, e, 1);
	return put_entry(call, at, e);
}

int
evq__due_remove(struct evq__call *call, struct evq__queue *q, const struct evq__found *f)
{
	count(q, &f->entry, UINT64_MAX);
	return del_entry(call, &f->place);
}

int
evq__due_move(struct evq__call *call, const struct evq__place *from, const struct evq__place *to,
              const struct evq__entry *e)
{
	int rc = del_entry(call, from);
	return rc ? rc : put_entry(call, to, e);
}

int
evq__due_get(struct evq__txn *txn, const struct evq__place *at, struct evq__entry *out)
{
	uint8_t key[EVQ__DUE_KEY];
	struct evq__slice value;
	evq__due_key(at, key);
	int rc = evq__tree_get(txn, EVQ__DUE, key, sizeof key, &value);
	return rc ? rc : evq__entry_unpack(value.data, value.len, out);
}

int
evq__due_history(struct evq__txn *txn, struct evq__found *f, uint8_t buf[static EVQ__HISTORY_MAX])
{
	struct evq__entry now;
	if (!f->entry.deaths)
		return 0;
	int rc = evq__due_get(txn, &f->place, &now);
	if (rc || now.deaths != f->entry.deaths)
		return rc && rc != EVQ__NONE ? rc : EVQ_CORRUPT;
	memcpy(buf, now.history.data, now.history.len);
	f->entry.history = (struct evq__slice){ buf, now.history.len };
	return 0;
}

/* ---- walking ---- */

/* What cannot be read is as good as parked: there, seen by whoever looks, purged, and in nobody's way. */
static int
read_row(const struct evq__slice *key, const struct evq__slice *value, uint32_t queue, struct evq__found *out)
{
	evq__due_key_read(key->data, &out->place);
	if (out->place.queue != queue)
		return EVQ__NONE;
	out->unreadable = evq__entry_unpack(value->data, value->len, &out->entry) != 0;
	if (out->unreadable)
		out->entry = (struct evq__entry){ .flags = EVQ__ENTRY_PARKED | EVQ__ENTRY_PARTS };
	return 0;
}

/* Goes on to the first row, from the one that was found, whose key is one: others verify counts. */
static int
read_rows(struct evq__txn *txn, int rc, struct evq__slice *key, struct evq__slice *value, uint32_t queue,
          struct evq__found *out)
{
	while (!rc && key->len != EVQ__DUE_KEY)
		rc = evq__tree_next(txn, EVQ__DUE, key, value);
	return rc ? rc : read_row(key, value, queue, out);
}

int
evq__due_seek(struct evq__txn *txn, const struct evq__place *at, struct evq__found *out)
{
	uint8_t from[EVQ__DUE_KEY];
	struct evq__slice key, value;
	evq__due_key(at, from);
	int rc = evq__tree_seek(txn, EVQ__DUE, from, sizeof from, &key, &value);
	return read_rows(txn, rc, &key, &value, at->queue, out);
}

int
evq__due_next(struct evq__txn *txn, uint32_t queue, struct evq__found *out)
{
	struct evq__slice key, value;
	int rc = evq__tree_next(txn, EVQ__DUE, &key, &value);
	return read_rows(txn, rc, &key, &value, queue, out);
}

struct evq__place
evq__due_behind(const struct evq__place *at)
{
	struct evq__place next = *at;
	next.id++; /* ids end long before 2^64 */
	return next;
}

int
evq__due_collect(struct evq__txn *txn, int64_t now_ms, struct evq__ready *r)
{
	struct evq__found f;
	int rc = evq__due_seek(txn, &r->from, &f);
	for (r->count = 0; !rc && r->count < r->max;) {
		if (f.place.due_ms <= (uint64_t)now_ms) {
			f.entry.history.data = NULL;
			r->from = evq__due_behind(&f.place);
			if (!f.unreadable)
				r->found[r->count++] = f;
			rc = r->count < r->max ? evq__due_next(txn, r->from.queue, &f) : 0;
			continue;
		}
		if (f.place.due_ms < r->next_due)
			r->next_due = f.place.due_ms;
		if (f.place.lane == UINT8_MAX)
			return 0;
		r->from = (struct evq__place){ .queue = r->from.queue, .lane = (uint8_t)(f.place.lane + 1) };
		rc = evq__due_seek(txn, &r->from, &f);
	}
	return rc == EVQ__NONE ? 0 : rc;
}

/* Passes over what is due, of which there may be much: what is leased stands behind it. */
int
evq__due_leased(struct evq__txn *txn, int64_t now_ms, uint32_t owner, struct evq__place *from,
                struct evq__found *found, size_t max, size_t *count)
{
	uint8_t at[EVQ__DUE_KEY];
	struct evq__slice key, value;
	evq__due_key(from, at);
	int rc = evq__tree_seek(txn, EVQ__DUE, at, sizeof at, &key, &value);
	for (*count = 0; !rc && *count < max;) {
		struct evq__found f;
		if (key.len != EVQ__DUE_KEY || !read_row(&key, &value, evq__be32_get(key.data), &f)) {
			if (key.len == EVQ__DUE_KEY && f.place.due_ms <= (uint64_t)now_ms) {
				f.place.due_ms = (uint64_t)now_ms + 1;
				f.place.id = 0;
				evq__due_key(&f.place, at);
				rc = evq__tree_seek(txn, EVQ__DUE, at, sizeof at, &key, &value);
				continue;
			}
			if (key.len == EVQ__DUE_KEY && (f.entry.flags & EVQ__ENTRY_LEASED) && f.entry.owner == owner) {
				f.entry.history.data = NULL;
				found[(*count)++] = f;
				*from = evq__due_behind(&f.place);
			}
		}
		rc = evq__tree_next(txn, EVQ__DUE, &key, &value);
	}
	return rc == EVQ__NONE ? 0 : rc;
}

/* ---- times ---- */

int
evq__due_state(const struct evq__found *f, int64_t now_ms)
{
	if (f->entry.flags & EVQ__ENTRY_PARKED)
		return EVQ_BLOCKED;
	if (f->place.due_ms <= (uint64_t)now_ms)
		return EVQ_VISIBLE;
	return f->entry.flags & EVQ__ENTRY_LEASED ? EVQ_LEASED : EVQ_DELAYED;
}

uint64_t
evq__due_time(const struct evq__entry *e, int64_t now_ms, int64_t after_ms)
{
	int64_t due = now_ms + after_ms;
	return (uint64_t)(e->expires_at_ms && e->expires_at_ms < due ? e->expires_at_ms : due);
}

int64_t
evq__due_backoff(const struct evq__call *call, const struct evq__found *f)
{
	uint32_t times = f->entry.receives - f->entry.base;
	int64_t most = call->q.retry_max_ms, ms = call->q.retry_min_ms;
	while (times-- > 1 && ms < most)
		ms *= 2;
	if (ms > most)
		ms = most;
	uint64_t mixed[2] = { f->place.id, f->entry.fence };
	uint64_t jitter = evq__hash(mixed, sizeof mixed, call->secret);
	return ms - (int64_t)(jitter % (uint64_t)(ms / 2 + 1));
}
