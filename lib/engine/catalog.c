/* SPDX-License-Identifier: MIT */
/*
 * Owns evq.queue and evq.name. A queue is known inside by its number, which is never used again, so a handle
 * of a dropped queue cannot reach one made later under the same name. Dropping takes the name away first and
 * the messages after: a queue without a name is finished by whoever opens the store next.
 */
#include "catalog.h"

#include <errno.h>
#include <string.h>

#include "bounds.h"
#include "key.h"

static int
load(struct evq__txn *txn, uint32_t number, struct evq__queue *out)
{
	uint8_t key[EVQ__QUEUE_KEY];
	struct evq__slice value;
	evq__queue_key(number, key);
	int rc = evq__tree_get(txn, EVQ__QUEUE, key, sizeof key, &value);
	if (rc)
		return rc == EVQ__NONE ? EVQ_NOQUEUE : rc;
	out->number = number;
	return evq__queue_unpack(value.data, value.len, out);
}

static int
save(struct evq__call *call, struct evq__queue *q)
{
	uint8_t key[EVQ__QUEUE_KEY], value[EVQ__QUEUE_MAX];
	if (!q->number || !q->dirty)
		return 0;
	evq__queue_key(q->number, key);
	struct evq__slice piece = { value, evq__queue_pack(q, value) };
	q->dirty = 0;
	return evq__tree_put(call->txn, EVQ__QUEUE, key, sizeof key, &piece, 1);
}

/* Does it have rows that stand by hashes? */
static int
is_scattered(const struct evq__queue *q)
{
	return (q->flags & (EVQ_FIFO | EVQ_FAIR)) || q->c.remembered;
}

int
evq__catalog_enter_any(struct evq__call *call, uint32_t number)
{
	call->other.number = 0;
	call->q.number = 0;
	int rc = load(call->txn, number, &call->q);
	call->txn->scatters |= !rc && is_scattered(&call->q);
	return rc;
}

int
evq__catalog_enter(struct evq__call *call, uint32_t number)
{
	int rc = evq__catalog_enter_any(call, number);
	return !rc && call->q.state != EVQ__QUEUE_LIVE ? EVQ_NOQUEUE : rc;
}

int
evq__catalog_other(struct evq__call *call, uint32_t number, struct evq__queue **out)
{
	struct evq__queue *q = number == call->q.number ? &call->q : &call->other;
	int rc = 0;
	if (q->number != number) {
		rc = save(call, q);
		q->number = 0;
		if (!rc)
			rc = load(call->txn, number, q);
		call->txn->scatters |= !rc && is_scattered(q);
	}
	*out = q;
	return !rc && q->state != EVQ__QUEUE_LIVE ? EVQ_NOQUEUE : rc;
}

int
evq__catalog_leave(struct evq__call *call)
{
	int rc = save(call, &call->q);
	return rc ? rc : save(call, &call->other);
}

int
evq__catalog_find(struct evq__call *call, const char *name, size_t len, uint32_t *number)
{
	struct evq__slice value;
	int rc = evq__tree_get(call->txn, EVQ__NAME, name, len, &value);
	if (rc)
		return rc == EVQ__NONE ? EVQ_NOQUEUE : rc;
	if (value.len != EVQ__QUEUE_KEY)
		return EVQ_CORRUPT;
	*number = evq__be32_get(value.data);
	return 0;
}

/* ---- the store's own record ---- */

static const uint8_t store_key[EVQ__QUEUE_KEY];

int
evq__catalog_store(struct evq__txn *txn, struct evq__storerec *out)
{
	struct evq__slice value;
	int rc = evq__tree_get(txn, EVQ__QUEUE, store_key, sizeof store_key, &value);
	return rc ? rc : evq__storerec_unpack(value.data, value.len, out);
}

static int
save_store(struct evq__call *call, const struct evq__storerec *rec)
{
	uint8_t value[EVQ__STOREREC_LEN];
	evq__storerec_pack(rec, value);
	return evq__tree_put(call->txn, EVQ__QUEUE, store_key, sizeof store_key,
	                     &(struct evq__slice){ value, sizeof value }, 1);
}

int
evq__catalog_ids(struct evq__call *call, size_t count, uint64_t *first)
{
	struct evq__storerec rec;
	int rc = evq__catalog_store(call->txn, &rec);
	if (rc)
		return rc;
	*first = rec.next_id;
	rec.next_id += count;
	if (rec.seen_ms < call->now_ms)
		rec.seen_ms = call->now_ms;
	return save_store(call, &rec);
}

/* ---- making, changing ---- */

static int
make_number(struct evq__call *call, uint32_t *number)
{
	struct evq__storerec rec;
	int rc = evq__catalog_store(call->txn, &rec);
	if (rc)
		return rc;
	if (rec.next_queue == UINT32_MAX)
		return EVQ_FULL;
	*number = rec.next_queue++;
	return save_store(call, &rec);
}

static void
apply(struct evq__queue *to, const struct evq__queue *attrs, uint32_t dead_letter)
{
	struct evq__queue q = *attrs;
	q.number = to->number;
	q.state = to->state;
	q.c = to->c;
	q.name_len = to->name_len;
	memcpy(q.name, to->name, sizeof q.name);
	q.dead_letter = dead_letter;
	q.dirty = 1;
	*to = q;
}

static int
make_queue(struct evq__call *call, const char *name, size_t len, const struct evq__queue *attrs,
           uint32_t dead_letter, struct evq__queue *out)
{
	uint8_t key[EVQ__QUEUE_KEY];
	memset(out, 0, sizeof *out);
	int rc = make_number(call, &out->number);
	if (rc)
		return rc;
	out->name_len = (uint8_t)len;
	memcpy(out->name, name, len);
	apply(out, attrs, dead_letter);
	evq__queue_key(out->number, key);
	rc = evq__tree_put(call->txn, EVQ__NAME, name, len, &(struct evq__slice){ key, sizeof key }, 1);
	return rc ? rc : save(call, out);
}

/* The queue that name stands for, made with defaults where there is none. */
static int
resolve_dead_letter(struct evq__call *call, const struct evq__attrs *attrs, uint32_t *number)
{
	struct evq__attrs defaults;
	*number = 0;
	if (!attrs->dead_letter)
		return 0;
	int rc = evq__catalog_find(call, attrs->dead_letter, attrs->dead_letter_len, number);
	if (rc != EVQ_NOQUEUE)
		return rc;
	if ((rc = evq__attrs_check(NULL, &defaults)))
		return rc;
	rc = make_queue(call, attrs->dead_letter, attrs->dead_letter_len, &defaults.q, 0, &call->other);
	*number = call->other.number;
	return rc;
}

static int
next_dead_letter(struct evq__txn *txn, uint32_t *number)
{
	struct evq__queue q;
	int rc = *number ? load(txn, *number, &q) : 0;
	if (!rc && *number && q.state != EVQ__QUEUE_LIVE)
		rc = EVQ_NOQUEUE;
	*number = rc || !*number ? 0 : q.dead_letter;
	return rc == EVQ_FORMAT ? EVQ_CORRUPT : rc;
}

/* Source: Floyd's tortoise and hare, so that a cycle in a damaged store is found and not followed. */
int
evq__catalog_leads_to(struct evq__txn *txn, uint32_t from, uint32_t to, int *is_there)
{
	uint32_t slow = from;
	int rc = 0, step = 0;
	while (!rc && from && from != to) {
		rc = next_dead_letter(txn, &from);
		if (!rc && step++ & 1)
			rc = next_dead_letter(txn, &slow);
		if (!rc && from && from == slow)
			rc = EVQ_CORRUPT;
	}
	*is_there = from != 0;
	return rc;
}

int
evq__catalog_create(struct evq__call *call, const char *name, size_t len, const struct evq__attrs *attrs)
{
	uint32_t dead_letter;
	int rc = evq__space_admit(call->txn, 8);
	if (!rc)
		rc = resolve_dead_letter(call, attrs, &dead_letter);
	return rc ? rc : make_queue(call, name, len, &attrs->q, dead_letter, &call->q);
}

int
evq__catalog_set(struct evq__call *call, const struct evq__attrs *attrs)
{
	uint32_t dead_letter = 0;
	int rc = (attrs->q.flags ^ call->q.flags) & EVQ__FLAGS_FIXED ? EINVAL : 0, is_cycle;
	if (!rc && attrs->dead_letter) { /* one that has to be made leads nowhere, so the check may come first */
		rc = evq__catalog_find(call, attrs->dead_letter, attrs->dead_letter_len, &dead_letter);
		if (!rc)
			rc = evq__catalog_leads_to(call->txn, dead_letter, call->q.number, &is_cycle);
		if (!rc && is_cycle)
			rc = EINVAL;
		else if (rc == EVQ_NOQUEUE) /* to be made; or, behind one that is there, missing */
			rc = dead_letter ? EVQ_CORRUPT : evq__space_admit(call->txn, 8);
	}
	if (!rc)
		rc = resolve_dead_letter(call, attrs, &dead_letter);
	if (!rc)
		apply(&call->q, &attrs->q, dead_letter);
	return rc;
}

/* ---- walking ---- */

int
evq__catalog_next(struct evq__txn *txn, uint32_t after, struct evq__queue *out)
{
	uint8_t from[EVQ__QUEUE_KEY];
	struct evq__slice key, value;
	if (after == UINT32_MAX)
		return EVQ__NONE;
	evq__queue_key(after + 1, from);
	int rc = evq__tree_seek(txn, EVQ__QUEUE, from, sizeof from, &key, &value);
	if (rc)
		return rc;
	if (key.len != EVQ__QUEUE_KEY)
		return EVQ_CORRUPT;
	out->number = evq__be32_get(key.data);
	return evq__queue_unpack(value.data, value.len, out);
}

int
evq__catalog_first_name(struct evq__txn *txn, const char *after, struct evq__slice *name)
{
	char from[EVQ_NAME_MAX + 2] = { 1 }; /* behind the sentinel; or behind after, its NUL included */
	size_t len = after ? strlen(after) + 1 : 1;
	struct evq__slice value;
	if (after)
		memcpy(from, after, len);
	return evq__tree_seek(txn, EVQ__NAME, from, len, name, &value);
}

int
evq__catalog_next_name(struct evq__txn *txn, struct evq__slice *name)
{
	struct evq__slice value;
	return evq__tree_next(txn, EVQ__NAME, name, &value);
}

int
evq__catalog_is_name(const struct evq__slice *key)
{
	char name[EVQ_NAME_MAX + 1];
	size_t len;
	if (key->len > EVQ_NAME_MAX)
		return 0;
	memcpy(name, key->data, key->len);
	name[key->len] = 0;
	return !evq__name_check(name, &len) && len == key->len;
}

/* ---- dropping ---- */

static int
check_not_dead_letter(struct evq__call *call)
{
	struct evq__queue q = { .number = 0 };
	int rc;
	while ((rc = evq__catalog_next(call->txn, q.number, &q)) == 0)
		if (q.dead_letter == call->q.number && q.state == EVQ__QUEUE_LIVE)
			return EBUSY;
	return rc == EVQ__NONE ? 0 : rc;
}

int
evq__catalog_start_drop(struct evq__call *call)
{
	int rc = check_not_dead_letter(call);
	if (!rc)
		rc = evq__tree_del(call->txn, EVQ__NAME, call->q.name, call->q.name_len);
	if (rc)
		return rc == EVQ__NONE ? EVQ_CORRUPT : rc;
	call->q.state = EVQ__QUEUE_DROPPING;
	call->q.dirty = 1;
	evq__news_wake(call->news, call->q.number, EVQ__WAKE_ALL);
	return 0;
}

int
evq__catalog_finish_drop(struct evq__call *call)
{
	uint8_t key[EVQ__QUEUE_KEY];
	struct evq__storerec rec;
	int rc = evq__catalog_store(call->txn, &rec);
	if (rc)
		return rc;
	rec.sent += call->q.c.sent;
	rec.deleted += call->q.c.deleted;
	rec.expired += call->q.c.expired;
	rec.purged += call->q.c.purged;
	evq__queue_key(call->q.number, key);
	rc = evq__tree_del(call->txn, EVQ__QUEUE, key, sizeof key);
	if (rc)
		return rc == EVQ__NONE ? EVQ_NOQUEUE : rc; /* another process finished it */
	call->q.number = 0;
	return save_store(call, &rec);
}
