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
#include "hash.h"

/* ---- rows ---- */

/* As long as its entry is not read, or where it cannot be: that of a parked message. */
static void
make_up(struct evq__found *f, uint64_t group)
{
	f->entry = (struct evq__entry){ .flags = EVQ__ENTRY_PARKED | EVQ__ENTRY_PARTS | EVQ__ENTRY_GROUP,
		                        .group = group };
}

static int
read_row(const struct evq__slice *key, const struct evq__slice *value, uint32_t queue, uint64_t *group,
         struct evq__found *f)
{
	const uint8_t *k = key->data;
	*f = (struct evq__found){ .place = { .queue = evq__be32_get(k), .id = evq__be64_get(k + 12) } };
	*group = evq__be64_get(k + 4);
	if (f->place.queue != queue)
		return EVQ__NONE;
	int rc = evq__stand_unpack(value->data, value->len, &f->place, &f->entry, &f->is_waiting);
	if (rc || !f->is_waiting)
		make_up(f, *group);
	if (rc) {
		f->is_waiting = 1;
		f->place.due_ms = EVQ__DUE_NEVER;
	}
	f->unreadable = rc != 0;
	return 0;
}

/* Goes on to the first row, from the one that was found, whose key is one: others verify counts. */
static int
read_rows(struct evq__txn *txn, int rc, struct evq__slice *key, struct evq__slice *value, uint32_t queue,
          uint64_t *group, struct evq__found *f)
{
	while (!rc && key->len != EVQ__GROUP_KEY)
		rc = evq__tree_next(txn, EVQ__GROUP, key, value);
	return rc ? rc : read_row(key, value, queue, group, f);
}

/* The first row at or behind that of id in *group, of whichever group. Errors: EVQ__NONE. */
static int
seek_row(struct evq__txn *txn, uint32_t queue, uint64_t id, uint64_t *group, struct evq__found *f)
{
	uint8_t from[EVQ__GROUP_KEY];
	struct evq__slice key, value;
	evq__group_key(queue, *group, id, from);
	int rc = evq__tree_seek(txn, EVQ__GROUP, from, sizeof from, &key, &value);
	return read_rows(txn, rc, &key, &value, queue, group, f);
}

/* The message behind that found last, if it is of the same group. Errors: EVQ__NONE. */
static int
next_of(struct evq__txn *txn, uint32_t queue, uint64_t group, struct evq__found *f)
{
	struct evq__slice key, value;
	uint64_t found;
	int rc = evq__tree_next(txn, EVQ__GROUP, &key, &value);
	rc = read_rows(txn, rc, &key, &value, queue, &found, f);
	return !rc && found != group ? EVQ__NONE : rc;
}

/* The first message of the group from id on. Errors: EVQ__NONE. */
static int
first_from(struct evq__txn *txn, uint32_t queue, uint64_t group, uint64_t id, struct evq__found *f)
{
	uint64_t found = group;
	int rc = seek_row(txn, queue, id, &found, f);
	return !rc && found != group ? EVQ__NONE : rc;
}

/* e NULL: its entry stands in evq.due. */
static int
put_row(struct evq__call *call, uint64_t group, const struct evq__place *at, const struct evq__entry *e)
{
	uint8_t key[EVQ__GROUP_KEY], head[EVQ__STAND + EVQ__ENTRY_HEAD_MAX];
	struct evq__slice pieces[2] = { { head, EVQ__STAND }, { NULL, 0 } };
	evq__group_key(at->queue, group, at->id, key);
	evq__stand_pack(at, head);
	if (e) {
		pieces[0].len += evq__entry_pack(e, head + EVQ__STAND);
		if (e->deaths)
			pieces[1] = e->history;
	}
	return evq__tree_put(call->txn, EVQ__GROUP, key, sizeof key, pieces, pieces[1].len ? 2 : 1);
}

static int
del_row(struct evq__call *call, const struct evq__place *at, uint64_t group)
{
	uint8_t key[EVQ__GROUP_KEY];
	evq__group_key(at->queue, group, at->id, key);
	int rc = evq__tree_del(call->txn, EVQ__GROUP, key, sizeof key);
	return rc == EVQ__NONE ? 0 : rc; /* a row that is missing is verify's to find */
}

/* The entry of a message whose row was read, where it stands in evq.due. */
static int
load(struct evq__txn *txn, struct evq__found *f)
{
	uint64_t group = f->entry.group;
	if (f->is_waiting)
		return 0;
	int rc = evq__due_get(txn, &f->place, &f->entry);
	if (rc != EVQ__NONE && rc != EVQ_CORRUPT && rc != EVQ_FORMAT)
		return rc;
	f->unreadable = 1;
	f->is_waiting = rc == EVQ__NONE; /* there is nothing but the row */
	make_up(f, group);
	return 0;
}

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
	return rc ? rc : put_row(call, group, at, is_first ? NULL : e);
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
	return rc ? rc : put_row(call, group, &first->place, NULL);
}

int
evq__group_remove(struct evq__call *call, const struct evq__found *f)
{
	uint8_t history[EVQ__HISTORY_MAX];
	struct evq__found first, next;
	uint64_t group = evq__group_of(f);
	int rc = first_from(call->txn, f->place.queue, group, 0, &first), has_next = 0;
	if (!rc && first.place.id == f->place.id) {
		rc = next_of(call->txn, f->place.queue, group, &next);
		has_next = rc == 0;
		if (has_next)
			keep_history(&next, history);
	}
	if (rc == EVQ__NONE)
		rc = 0;
	if (!rc && !f->is_waiting)
		rc = evq__due_del(call, &f->place);
	if (!rc)
		rc = del_row(call, &f->place, group);
	return rc || !has_next ? rc : step_up(call, group, &next);
}

int
evq__group_move(struct evq__call *call, const struct evq__found *f, const struct evq__place *to)
{
	int rc = f->is_waiting ? 0 : evq__due_del(call, &f->place);
	if (!rc)
		rc = evq__due_put(call, to, &f->entry);
	return rc ? rc : put_row(call, evq__group_of(f), to, NULL);
}

/* What its row says: where it stands, and its entry if it waits. Errors: EVQ__NONE. */
static int
get_row(struct evq__txn *txn, struct evq__found *f)
{
	uint8_t key[EVQ__GROUP_KEY];
	struct evq__slice value;
	evq__group_key(f->place.queue, evq__group_of(f), f->place.id, key);
	int rc = evq__tree_get(txn, EVQ__GROUP, key, sizeof key, &value);
	return rc ? rc : evq__stand_unpack(value.data, value.len, &f->place, &f->entry, &f->is_waiting);
}

int
evq__group_get(struct evq__txn *txn, struct evq__found *f)
{
	int rc = get_row(txn, f);
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
	int rc = first_from(call->txn, call->q.number, r->group, r->last + 1, &f);
	if (!rc)
		rc = load(call->txn, &f);
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
		rc = put_row(call, evq__group_of(f), &f->place, &f->entry);
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
	if (!get_row(call->txn, &alone))
		return EVQ__NONE;
	int rc = evq__bodies_group(call->txn, f->place.id, &name);
	if (rc)
		return rc == EVQ_CORRUPT ? EVQ__NONE : rc;
	row.entry.flags = EVQ__ENTRY_GROUP;
	row.entry.group = evq__hash(name.data, name.len, call->secret);
	if (get_row(call->txn, &row))
		return EVQ__NONE;
	if (!r->may_write) {
		r->misplaced++;
		return EVQ__NONE;
	}
	row.is_waiting = 1; /* what goes is its row alone */
	r->budget--;
	rc = evq__group_remove(call, &row);
	if (!rc)
		rc = put_row(call, f->place.id, &f->place, NULL);
	return rc ? rc : EVQ__NONE;
}

/* An entry of evq.due: the first of its group begins it. Errors: EVQ__NONE it is not to be taken. */
static int
meet(struct evq__call *call, struct evq__ready *r, struct evq__found *f)
{
	struct evq__found first, next;
	int is_lone, rc = first_from(call->txn, f->place.queue, evq__group_of(f), 0, &first);
	if (rc && rc != EVQ__NONE)
		return rc;
	int is_first = rc == EVQ__NONE || first.place.id >= f->place.id;
	if (is_first ? !is_open(call, r, f) : r->is_list)
		return EVQ__NONE;
	if (is_first && !rc && !r->heads_only) {
		rc = next_of(call->txn, f->place.queue, evq__group_of(f), &next);
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
	int is_ours = 1, rc = first_from(call->txn, call->q.number, r->group, 0, &f);
	while (!rc && is_ours && f.place.id <= r->last) {
		is_ours = !f.is_waiting && !evq__is_due(&f.place, call->now_ms) && ++held <= r->taken;
		rc = next_of(call->txn, call->q.number, r->group, &f);
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
	int rc = load(txn, f);
	f->is_blocked = w->is_stopped;
	w->is_stopped |= !evq__is_due(&f->place, w->now_ms);
	return rc;
}

/* From the middle of a group: what of it is before? */
static int
look_before(struct evq__txn *txn, const struct evq__place *from, struct evq__walk *w)
{
	struct evq__found f;
	uint64_t group = from->due_ms;
	int rc = seek_row(txn, from->queue, 0, &group, &f);
	w->group = from->due_ms;
	while (!rc && group == from->due_ms && f.place.id < from->id && !w->is_stopped) {
		struct evq__slice key, value;
		w->is_stopped = !evq__is_due(&f.place, w->now_ms);
		rc = evq__tree_next(txn, EVQ__GROUP, &key, &value);
		rc = read_rows(txn, rc, &key, &value, from->queue, &group, &f);
	}
	return rc == EVQ__NONE ? 0 : rc;
}

int
evq__group_seek(struct evq__txn *txn, const struct evq__place *from, struct evq__walk *w, struct evq__found *f)
{
	uint64_t group = from->due_ms;
	int rc = from->id ? look_before(txn, from, w) : 0;
	if (!rc)
		rc = seek_row(txn, from->queue, from->id, &group, f);
	return rc ? rc : walk_to(txn, w, group, f);
}

int
evq__group_next(struct evq__txn *txn, uint32_t queue, struct evq__walk *w, struct evq__found *f)
{
	struct evq__slice key, value;
	uint64_t group;
	int rc = evq__tree_next(txn, EVQ__GROUP, &key, &value);
	rc = read_rows(txn, rc, &key, &value, queue, &group, f);
	return rc ? rc : walk_to(txn, w, group, f);
}

int
evq__group_is_held(struct evq__call *call, const struct evq__found *f, int *is_held)
{
	struct evq__found before;
	uint64_t group = evq__group_of(f);
	int rc = first_from(call->txn, f->place.queue, group, 0, &before);
	*is_held = 0;
	while (!rc && before.place.id < f->place.id && !*is_held) {
		if (!evq__is_due(&before.place, call->now_ms) && !(rc = load(call->txn, &before)))
			*is_held = (before.entry.flags & EVQ__ENTRY_LEASED) != 0;
		if (!rc)
			rc = next_of(call->txn, f->place.queue, group, &before);
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
		if (!(rc = seek_row(call->txn, queue, 0, &group, &f)))
			rc = del_row(call, &f.place, group);
		if (rc)
			break;
	}
	return rc == EVQ__NONE ? 0 : rc;
}
