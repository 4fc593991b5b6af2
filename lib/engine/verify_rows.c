/* SPDX-License-Identifier: MIT */
/*
 * Owns the check of what stands beside the messages: the turns of fair queues are gathered from evq.due, and in
 * evq.dedup each row is held against its other one. What is remembered may outlive its message, so there is nothing
 * to hold it against besides.
 */
#include "verify_rows.h"

#include <errno.h>
#include <stdlib.h>

#include "dedup.h"
#include "due.h"
#include "grouprow.h"

/* ---- turns ---- */

struct turn { /* of a message */
	uint64_t group, lane, turn;
};

struct turns {
	struct turn *list;
	size_t count, room;
	size_t back; /* of them, those that have a row of their own */
	size_t lost; /* and lack it */
};

static int
add(struct turns *t, const struct evq__found *f)
{
	if (t->count == t->room) {
		size_t room = t->room ? t->room * 2 : 1024;
		struct turn *list = realloc(t->list, room * sizeof *list);
		if (!list)
			return ENOMEM;
		t->list = list;
		t->room = room;
	}
	uint64_t group = f->entry.flags & EVQ__ENTRY_GROUP ? f->entry.group : 0;
	t->list[t->count++] = (struct turn){ group, f->place.lane, f->place.due_ms - EVQ__DUE_TURN };
	return 0;
}

/* Does its receipt lead to it? */
static int
check_back(struct evq__txn *txn, struct turns *t, const struct evq__found *f)
{
	uint8_t key[EVQ__GROUP_KEY];
	struct evq__slice value;
	uint64_t turn;
	if (!(f->entry.flags & EVQ__ENTRY_BACK))
		return 0;
	evq__group_key(f->place.queue, f->place.id, EVQ__BACK_ROW, key);
	int rc = evq__tree_get(txn, EVQ__GROUP, key, sizeof key, &value);
	if (rc && rc != EVQ__NONE)
		return rc;
	t->back++;
	t->lost += rc || evq__turn_unpack(value.data, value.len, &turn) || EVQ__DUE_TURN + turn != f->place.due_ms;
	return 0;
}

static int
collect(struct evq__txn *txn, uint32_t queue, struct turns *t)
{
	struct evq__found f;
	int rc = evq__due_seek(txn, &(struct evq__place){ .queue = queue }, &f);
	while (!rc) {
		if (evq__has_turn(&f.place) && !f.unreadable)
			rc = add(t, &f);
		if (!rc && !f.unreadable)
			rc = check_back(txn, t, &f);
		if (!rc)
			rc = evq__due_next(txn, queue, &f);
	}
	return rc == EVQ__NONE ? 0 : rc;
}

static int
compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int
compare_turns(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;
	int by_group = compare(x->group, y->group), by_lane = compare(x->lane, y->lane);
	return by_group ? by_group : by_lane ? by_lane : compare(x->turn, y->turn);
}

/*
 * The row of the messages from *at on that have a group and lane in common; *at is moved behind them. There is none
 * where the last of them left by itself.
 */
static int
check_turns(struct evq__txn *txn, const struct evq__queue *q, const struct turns *t, size_t *at, int *is_there,
            int *is_right)
{
	const struct turn *first = &t->list[*at];
	uint8_t key[EVQ__GROUP_KEY];
	struct evq__slice value;
	uint64_t last = 0;
	*is_right = 0;
	evq__group_key(q->number, first->group, first->lane, key);
	int rc = evq__tree_get(txn, EVQ__GROUP, key, sizeof key, &value);
	*is_there = rc == 0;
	*is_right = rc == EVQ__NONE;
	int is_bad = !rc && evq__turn_unpack(value.data, value.len, &last);
	for (; *at < t->count && t->list[*at].group == first->group && t->list[*at].lane == first->lane; ++*at)
		*is_right |= !rc && !is_bad && t->list[*at].turn == last;
	return rc == EVQ__NONE ? 0 : rc;
}

int
evq__verify_turns(struct evq__txn *txn, const struct evq__queue *q, struct evq__flaws *flaws, size_t *rows)
{
	struct turns t = { .list = NULL };
	int is_there, is_right, rc = collect(txn, q->number, &t);
	size_t at = 0;
	if (t.count)
		qsort(t.list, t.count, sizeof *t.list, compare_turns);
	while (!rc && at < t.count) {
		rc = check_turns(txn, q, &t, &at, &is_there, &is_right);
		if (!rc && !is_right)
			rc = evq__flaws_note(flaws, q->name, 0, "the last turn of a group is none of its messages'");
		*rows += (size_t)is_there;
	}
	*rows += t.back;
	if (!rc && t.lost)
		rc = evq__flaws_note(flaws, q->name, 0, "receipts that do not lead to what they were given for");
	free(t.list);
	return rc;
}

/* ---- what is remembered ---- */

struct rows {
	struct evq__txn *txn;
	const struct evq__storerec *store;
	const struct evq__queue *q;
	size_t by_hash, by_end;
};

/* Errors: EVQ_CORRUPT it has no other, or another one. */
static int
check_pair(const struct rows *r, const struct evq__slice *key, const struct evq__slice *value)
{
	uint8_t end[EVQ__DEDUP_END_KEY];
	struct evq__slice id;
	struct evq__dedup row;
	const struct evq__call call = { .secret = r->store->secret,
		                        .name_end = evq__storerec_name_end(r->store) };
	int rc = evq__dedup_unpack(value->data, value->len, &row);
	if (rc || !evq__dedup_is_sound(&call, &row, (const uint8_t *)key->data + 5))
		return EVQ_CORRUPT;
	evq__dedup_end_key(r->q->number, row.expires_at_ms, (const uint8_t *)key->data + 5, end);
	rc = evq__tree_get(r->txn, EVQ__DEDUP, end, sizeof end, &id);
	if (rc)
		return rc == EVQ__NONE ? EVQ_CORRUPT : rc;
	return id.len == sizeof row.id && evq__le64_get(id.data) == row.id ? 0 : EVQ_CORRUPT;
}

static int
walk(struct rows *r, struct evq__flaws *flaws)
{
	uint8_t from[4];
	struct evq__slice key, value;
	evq__be32_put(from, r->q->number);
	int rc = evq__tree_seek(r->txn, EVQ__DEDUP, from, sizeof from, &key, &value);
	while (!rc && key.len >= sizeof from && !memcmp(key.data, from, sizeof from)) {
		int is_end = key.len == EVQ__DEDUP_END_KEY;
		if (is_end)
			r->by_end++;
		else if (key.len == EVQ__DEDUP_KEY) {
			r->by_hash++;
			rc = check_pair(r, &key, &value);
		}
		if (rc == EVQ_CORRUPT)
			rc = evq__flaws_note(flaws, r->q->name, 0, "what is remembered does not agree, or cannot be read");
		if (!rc)
			rc = evq__tree_next(r->txn, EVQ__DEDUP, &key, &value);
	}
	return rc == EVQ__NONE ? 0 : rc;
}

int
evq__verify_dedup(struct evq__txn *txn, const struct evq__storerec *store, const struct evq__queue *q,
                  struct evq__flaws *flaws, size_t *rows)
{
	struct rows r = { .txn = txn, .store = store, .q = q };
	int rc = walk(&r, flaws);
	if (!rc && (r.by_hash != q->c.remembered || r.by_end != r.by_hash))
		rc = evq__flaws_note(flaws, q->name, 0, "the counter of what is remembered differs from a recount");
	*rows += r.by_hash + r.by_end;
	return rc;
}
