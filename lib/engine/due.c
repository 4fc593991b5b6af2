/* SPDX-License-Identifier: MIT */
/*
 * Owns evq.due: no other file writes to it. Delay, lease, retry and expiry are one mechanism here, a place
 * in the order of time. An entry never stands behind the end of its message, so what has expired is always
 * among what is due. What stands here, and what of it may be received, is a matter of the queue's kind: line.h.
 */
#include "due.h"

#include <string.h>

#include "hash.h"

int
evq__due_put(struct evq__call *call, const struct evq__place *at, const struct evq__entry *e)
{
	uint8_t key[EVQ__DUE_KEY], head[EVQ__ENTRY_HEAD_MAX];
	evq__due_key(at, key);
	struct evq__slice pieces[2] = { { head, evq__entry_pack(e, head) }, e->history };
	return evq__tree_put(call->txn, EVQ__DUE, key, sizeof key, pieces, e->deaths ? 2 : 1);
}

int
evq__due_del(struct evq__call *call, const struct evq__place *at)
{
	uint8_t key[EVQ__DUE_KEY];
	evq__due_key(at, key);
	int rc = evq__tree_del(call->txn, EVQ__DUE, key, sizeof key);
	return rc == EVQ__NONE ? EVQ_CORRUPT : rc;
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

/* ---- walking ---- */

/* What cannot be read is as good as parked: there, seen by whoever looks, purged, and in nobody's way. */
static int
read_row(const struct evq__slice *key, const struct evq__slice *value, uint32_t queue, struct evq__found *out)
{
	evq__due_key_read(key->data, &out->place);
	out->is_waiting = out->is_blocked = 0;
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

/* Where what is leased or delayed begins, of the lane that at stands in; where the next lane does. */
static int
pass_over(struct evq__place *at, int64_t now_ms)
{
	if (at->due_ms <= (uint64_t)now_ms)
		*at = (struct evq__place){ at->queue, at->lane, (uint64_t)now_ms + 1, 0 };
	else if (!evq__has_turn(at))
		return 0;
	else if (at->lane < UINT8_MAX)
		*at = (struct evq__place){ .queue = at->queue, .lane = (uint8_t)(at->lane + 1) };
	else if (at->queue < UINT32_MAX)
		*at = (struct evq__place){ .queue = at->queue + 1 };
	else
		return 0;
	return 1;
}

/* Passes over what is due, of which there may be much. */
int
evq__due_leased(struct evq__txn *txn, int64_t now_ms, uint32_t owner, struct evq__place *from,
                struct evq__found *found, size_t max, size_t *count)
{
	uint8_t at[EVQ__DUE_KEY];
	struct evq__slice key, value;
	struct evq__found f;
	evq__due_key(from, at);
	int rc = evq__tree_seek(txn, EVQ__DUE, at, sizeof at, &key, &value);
	for (*count = 0; !rc && *count < max;) {
		if (key.len == EVQ__DUE_KEY) {
			(void)read_row(&key, &value, evq__be32_get(key.data), &f);
			if ((f.entry.flags & EVQ__ENTRY_LEASED) && f.entry.owner == owner &&
			    !evq__is_due(&f.place, now_ms)) {
				f.entry.history.data = NULL;
				found[(*count)++] = f;
				*from = evq__due_behind(&f.place);
			} else if (pass_over(&f.place, now_ms)) {
				evq__due_key(&f.place, at);
				rc = evq__tree_seek(txn, EVQ__DUE, at, sizeof at, &key, &value);
				continue;
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
	if (evq__is_due(&f->place, now_ms))
		return f->is_blocked ? EVQ_BLOCKED : EVQ_VISIBLE;
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
