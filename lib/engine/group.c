/* SPDX-License-Identifier: MIT */
/*
 * Owns evq.group in FIFO queues, and with it the order in a group. A group is known by its first row: that message
 * stands in evq.due, so a group is met there when its first may be received, and by one look-up. Behind it the others
 * are taken in their order, as far as they are due. So a group that is blocked, however long, costs a receive nothing.
 *
 * A lease that runs out behind the first one leaves an entry in evq.due that is due but may not be received. Who meets
 * it puts it where it waits: once for each lease.
 */
#include "group.h"

#include <string.h>

#include "bodies.h"
#include "grouprow.h"
#include "name.h"
#include "rows.h"

enum { LOOK_BEFORE = 2 * EVQ_BATCH_MAX };

/* A copy, for the tree that it stands in is about to be written. */
static void
keep_history(struct evq__found *f, uint8_t buf[static EVQ__HISTORY_MAX])
{
	if (f->entry.deaths)
		memcpy(buf, f->entry.history.data, f->entry.history.len);
	f->entry.history.data = buf;
}

/* ---- coming, going, moving ---- */

/* Is none of the group before at? Looked up where it is going to stand, and not where the group begins. */
static int
look_for_earlier(struct evq__txn *txn, const struct evq__place *at, uint64_t group, int *is_first)
{
	uint8_t key[EVQ__GROUP_KEY];
	struct evq__slice before, value;
	evq__group_key(at->queue, group, at->id, key);
	int rc = evq__tree_before(txn, EVQ__GROUP, key, sizeof key, &before, &value);
	if (rc && rc != EVQ__NONE)
		return rc;
	*is_first = rc || before.len != sizeof key || memcmp(before.data, key, sizeof key - sizeof at->id);
	return 0;
}

int
evq__group_insert(struct evq__call *call, const struct evq__place *at, const struct evq__entry *e)
{
	struct evq__found me = { .place = *at, .entry = *e };
	uint64_t group = evq__group_of(&me);
	int is_first, rc = look_for_earlier(call->txn, at, group, &is_first);
	if (rc)
		return rc;
	if (is_first)
		evq__line_wake(call, at);
	rc = is_first ? evq__due_put(call, at, e) : 0;
	return rc ? rc : evq__rows_put(call, group, at, is_first ? NULL : e);
}

/*
 * An entry that waits and cannot be read: it leaves its group as a parked one does, with its row as it is, so that it
 * is in nobody's way. Then the one behind it, as above.
 */
static int
pass_unreadable(struct evq__call *call, uint64_t group, struct evq__found *f)
{
	uint8_t key[EVQ__GROUP_KEY], copy[EVQ__STAND + EVQ__ENTRY_MAX];
	struct evq__slice value;
	struct evq__place at = f->place;
	evq__group_key(at.queue, group, at.id, key);
	int rc = evq__tree_get(call->txn, EVQ__GROUP, key, sizeof key, &value);
	if (rc)
		return rc;
	size_t len = value.len < sizeof copy ? value.len : sizeof copy;
	memcpy(copy, value.data, len);
	rc = evq__rows_del(call, &at, group);
	if (rc)
		return rc;
	evq__group_key(at.queue, at.id, at.id, key);
	rc = evq__tree_put(call->txn, EVQ__GROUP, key, sizeof key, &(struct evq__slice){ copy, len }, 1);
	return rc ? rc : evq__rows_first(call->txn, at.queue, group, at.id + 1, f);
}

/* One that was before the first is gone. Needs: its history is a copy. */
static int
step_up(struct evq__call *call, uint64_t group, const struct evq__found *first)
{
	if (first->is_waiting || evq__is_due(&first->place, call->now_ms))
		evq__line_wake(call, &first->place);
	if (!first->is_waiting || first->unreadable)
		return 0;
	int rc = evq__due_put(call, &first->place, &first->entry);
	return rc ? rc : evq__rows_put(call, group, &first->place, NULL);
}

int
evq__group_remove(struct evq__call *call, const struct evq__found *f)
{
	uint8_t history[EVQ__HISTORY_MAX];
	struct evq__found first, next;
	uint64_t group = evq__group_of(f);
	int rc = evq__rows_first(call->txn, f->place.queue, group, 0, &first), has_next = 0;
	if (!rc && first.place.id == f->place.id) {
		rc = evq__rows_next(call->txn, f->place.queue, group, &next);
		while (!rc && next.unreadable && group != next.place.id)
			rc = pass_unreadable(call, group, &next);
		has_next = rc == 0;
		if (has_next)
			keep_history(&next, history);
	}
	if (rc == EVQ__NONE)
		rc = 0;
	if (!rc && !f->is_waiting)
		rc = evq__due_del(call, &f->place);
	if (!rc)
		rc = evq__rows_del(call, &f->place, group);
	return rc || !has_next ? rc : step_up(call, group, &next);
}

int
evq__group_move(struct evq__call *call, const struct evq__found *f, const struct evq__place *to)
{
	int rc = f->is_waiting ? 0 : evq__due_del(call, &f->place);
	if (!rc)
		rc = evq__due_put(call, to, &f->entry);
	return rc ? rc : evq__rows_put(call, evq__group_of(f), to, NULL);
}

int
evq__group_get(struct evq__txn *txn, struct evq__found *f)
{
	int rc = evq__rows_get(txn, f);
	return rc || f->is_waiting ? rc : evq__due_get(txn, &f->place, &f->entry);
}

/* ---- what may be received ---- */

static int
is_open(const struct evq__call *call, const struct evq__ready *r, const struct evq__found *f)
{
	if (f->unreadable)
		return 0;
	return evq__is_due(&f->place, call->now_ms) || (r->is_list && !(f->entry.flags & EVQ__ENTRY_LEASED));
}

static int
next_in_group(struct evq__call *call, struct evq__ready *r)
{
	struct evq__found f;
	int rc = evq__rows_first(call->txn, call->q.number, r->group, r->last + 1, &f);
	while (!rc && !(rc = evq__rows_load(call->txn, &f)) && f.unreadable) /* as good as parked: in nobody's way */
		rc = evq__rows_next(call->txn, call->q.number, r->group, &f);
	if (!rc && !is_open(call, r, &f))
		rc = EVQ__NONE;
	r->in_group = rc == 0;
	if (rc)
		return rc;
	if (r->is_list)
		r->last = f.place.id;
	evq__line_found(r, &f);
	return 0;
}

/* is_lone: there is no other in it. */
static void
begin_group(struct evq__ready *r, const struct evq__found *f, int is_lone)
{
	r->in_group = !r->heads_only && !is_lone;
	r->group = evq__group_of(f);
	r->taken = 0;
	r->last = r->is_list ? f->place.id : 0;
}

static int
put_aside(struct evq__call *call, struct evq__ready *r, struct evq__found *f)
{
	uint8_t history[EVQ__HISTORY_MAX];
	int rc = evq__line_history(call, f, history);
	if (!rc)
		rc = evq__due_del(call, &f->place);
	if (!rc)
		rc = evq__rows_put(call, evq__group_of(f), &f->place, &f->entry);
	r->budget--;
	return rc ? rc : EVQ__NONE;
}

/*
 * An entry that cannot be read: it leaves its group, which its body tells of, as a parked message does, so that it is
 * in nobody's way. It stands by itself from then on. Errors: EVQ__NONE it is not to be taken.
 */
static int
set_apart(struct evq__call *call, struct evq__ready *r, const struct evq__found *f)
{
	struct evq__found row = { .place = f->place }, alone = row;
	struct evq__slice name;
	if (!evq__rows_get(call->txn, &alone))
		return EVQ__NONE;
	int rc = evq__bodies_group(call->txn, f->place.id, &name);
	if (rc)
		return rc == EVQ_CORRUPT ? EVQ__NONE : rc;
	row.entry.flags = EVQ__ENTRY_GROUP;
	row.entry.group = evq__name_hash(name.data, name.len, call->name_end, call->secret);
	if (evq__rows_get(call->txn, &row))
		return EVQ__NONE;
	if (!r->may_write) {
		r->misplaced++;
		return EVQ__NONE;
	}
	row.is_waiting = 1; /* what goes is its row alone */
	r->budget--;
	rc = evq__group_remove(call, &row);
	if (!rc)
		rc = evq__rows_put(call, f->place.id, &f->place, NULL);
	return rc ? rc : EVQ__NONE;
}

/* An entry of evq.due: the first of its group begins it. Errors: EVQ__NONE it is not to be taken. */
static int
meet(struct evq__call *call, struct evq__ready *r, struct evq__found *f)
{
	struct evq__found first, next;
	int is_lone, rc = evq__rows_first(call->txn, f->place.queue, evq__group_of(f), 0, &first);
	if (rc && rc != EVQ__NONE)
		return rc;
	int is_first = rc == EVQ__NONE || first.place.id >= f->place.id;
	if (is_first ? !is_open(call, r, f) : r->is_list)
		return EVQ__NONE;
	if (is_first && !rc && !r->heads_only) {
		rc = evq__rows_next(call->txn, f->place.queue, evq__group_of(f), &next);
		is_lone = rc == EVQ__NONE;
		if (rc && !is_lone)
			return rc;
		begin_group(r, f, is_lone);
	}
	if (is_first || evq__is_expired(&f->entry, call->now_ms)) {
		evq__line_found(r, f);
		return 0;
	}
	if (r->may_write)
		return put_aside(call, r, f);
	r->misplaced++;
	return EVQ__NONE;
}

static int
next_group(struct evq__call *call, struct evq__ready *r)
{
	struct evq__found f;
	int rc = evq__due_seek(call->txn, &r->from, &f);
	while (!rc) {
		size_t budget = r->budget;
		if (!r->is_list && !evq__is_due(&f.place, call->now_ms)) {
			rc = evq__line_next_lane(r, &f.place);
			if (!rc)
				rc = evq__due_seek(call->txn, &r->from, &f);
			continue;
		}
		r->from = evq__due_behind(&f.place);
		rc = f.unreadable ? set_apart(call, r, &f) : meet(call, r, &f);
		if (rc != EVQ__NONE || (r->may_write && !r->budget))
			return rc == EVQ__NONE ? 0 : rc;
		rc = r->budget != budget ? evq__due_seek(call->txn, &r->from, &f)
		                         : evq__due_next(call->txn, r->from.queue, &f);
	}
	return rc;
}

int
evq__group_collect(struct evq__call *call, struct evq__ready *r)
{
	int rc = r->in_group ? next_in_group(call, r) : EVQ__NONE;
	return rc == EVQ__NONE ? next_group(call, r) : rc;
}

int
evq__group_resume(struct evq__call *call, struct evq__ready *r)
{
	struct evq__found f;
	size_t held = 0;
	int is_ours = 1, rc = evq__rows_first(call->txn, call->q.number, r->group, 0, &f);
	while (!rc && is_ours && f.place.id <= r->last) {
		is_ours = !f.is_waiting && !evq__is_due(&f.place, call->now_ms) && ++held <= r->taken;
		rc = evq__rows_next(call->txn, call->q.number, r->group, &f);
	}
	r->in_group = is_ours && held == r->taken;
	return rc == EVQ__NONE ? 0 : rc;
}

/* ---- all there is ---- */

static int
walk_to(struct evq__txn *txn, struct evq__walk *w, uint64_t group, struct evq__found *f)
{
	if (group != w->group)
		w->is_stopped = 0;
	w->group = group;
	int rc = evq__rows_load(txn, f);
	w->is_astray = evq__group_of(f) != group;
	if (w->is_astray) { /* damage; whoever goes on from it, or removes it, does so by the row */
		f->entry.flags |= EVQ__ENTRY_GROUP;
		f->entry.group = group;
	}
	f->is_blocked = w->is_stopped;
	w->is_stopped |= !evq__is_due(&f->place, w->now_ms);
	return rc;
}

/*
 * From the middle of a group: is anything before that blocks the rest? That was received, so it is near the front: one
 * receive at a time takes from a group. Only a redrive of so many could stand before it.
 */
static int
look_before(struct evq__txn *txn, const struct evq__place *from, struct evq__walk *w)
{
	struct evq__found f;
	uint64_t group = from->due_ms;
	size_t left = LOOK_BEFORE;
	int rc = evq__rows_seek(txn, from->queue, 0, &group, &f);
	w->group = from->due_ms;
	while (!rc && left-- && group == from->due_ms && f.place.id < from->id && !w->is_stopped) {
		w->is_stopped = !evq__is_due(&f.place, w->now_ms);
		rc = evq__rows_behind(txn, from->queue, &group, &f);
	}
	return rc == EVQ__NONE ? 0 : rc;
}

int
evq__group_seek(struct evq__txn *txn, const struct evq__place *from, struct evq__walk *w, struct evq__found *f)
{
	uint64_t group = from->due_ms;
	int rc = from->id ? look_before(txn, from, w) : 0;
	if (!rc)
		rc = evq__rows_seek(txn, from->queue, from->id, &group, f);
	return rc ? rc : walk_to(txn, w, group, f);
}

int
evq__group_next(struct evq__txn *txn, uint32_t queue, struct evq__walk *w, struct evq__found *f)
{
	uint64_t group;
	int rc = evq__rows_behind(txn, queue, &group, f);
	return rc ? rc : walk_to(txn, w, group, f);
}

int
evq__group_is_held(struct evq__call *call, const struct evq__found *f, int *is_held)
{
	struct evq__found before;
	uint64_t group = evq__group_of(f);
	int rc = evq__rows_first(call->txn, f->place.queue, group, 0, &before);
	*is_held = 0;
	while (!rc && before.place.id < f->place.id && !*is_held) {
		if (!evq__is_due(&before.place, call->now_ms) && !(rc = evq__rows_load(call->txn, &before)))
			*is_held = (before.entry.flags & EVQ__ENTRY_LEASED) != 0;
		if (!rc)
			rc = evq__rows_next(call->txn, f->place.queue, group, &before);
	}
	return rc == EVQ__NONE ? 0 : rc;
}

int
evq__group_clear(struct evq__call *call, uint32_t queue, size_t max, size_t *count)
{
	int rc = 0;
	for (*count = 0; !rc && *count < max; ++*count) {
		struct evq__found f;
		uint64_t group = 0;
		if (!(rc = evq__rows_seek(call->txn, queue, 0, &group, &f)))
			rc = evq__rows_del(call, &f.place, group);
		if (rc)
			break;
	}
	return rc == EVQ__NONE ? 0 : rc;
}
