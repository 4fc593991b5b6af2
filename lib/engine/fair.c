/* SPDX-License-Identifier: MIT */
/*
 * Owns evq.group in fair queues: for each group and lane of which messages have turns, the last of them and how many.
 * Only what has a turn is counted: a group whose messages are all leased begins anew, at the turn that is on.
 *
 * Source: start-time fair queueing (Goyal, Vin, Cheng, 1996) with messages of equal weight. The virtual time is the
 * turn of the first message that has one.
 */
#include "fair.h"

#include "grouprow.h"

static uint64_t
group_of(const struct evq__entry *e)
{
	return e->flags & EVQ__ENTRY_GROUP ? e->group : 0;
}

/* Errors: EVQ__NONE the group has no message with a turn in the lane. A row that cannot be read is as good as none. */
static int
get_turns(struct evq__call *call, const struct evq__place *at, uint64_t group, uint8_t key[static EVQ__GROUP_KEY],
          struct evq__turns *t)
{
	struct evq__slice value;
	evq__group_key(at->queue, group, at->lane, key);
	int rc = evq__tree_get(call->txn, EVQ__GROUP, key, EVQ__GROUP_KEY, &value);
	if (!rc)
		rc = evq__turns_unpack(value.data, value.len, t);
	return rc == EVQ_CORRUPT ? EVQ__NONE : rc;
}

static int
put_turns(struct evq__call *call, const uint8_t key[static EVQ__GROUP_KEY], const struct evq__turns *t)
{
	uint8_t value[EVQ__TURNS];
	evq__turns_pack(t, value);
	return evq__tree_put(call->txn, EVQ__GROUP, key, EVQ__GROUP_KEY, &(struct evq__slice){ value, sizeof value }, 1);
}

/* The turn that is on in the lane of at. */
static int
find_current(struct evq__call *call, const struct evq__place *at, uint64_t *turn)
{
	struct evq__place from = { at->queue, at->lane, EVQ__DUE_TURN, 0 };
	struct evq__found f;
	int rc = evq__due_seek(call->txn, &from, &f);
	int is_on = !rc && f.place.lane == at->lane && evq__has_turn(&f.place);
	*turn = is_on ? f.place.due_ms - EVQ__DUE_TURN : 0;
	return rc == EVQ__NONE ? 0 : rc;
}

static int
give_turn(struct evq__call *call, struct evq__place *at, uint64_t group)
{
	uint8_t key[EVQ__GROUP_KEY];
	struct evq__turns t;
	uint64_t current;
	int rc = find_current(call, at, &current);
	if (rc)
		return rc;
	rc = get_turns(call, at, group, key, &t);
	if (rc && rc != EVQ__NONE)
		return rc;
	if (rc == EVQ__NONE || t.last < current)
		t.last = current;
	else
		t.last++;
	t.count = rc == EVQ__NONE ? 1 : t.count + 1;
	at->due_ms = EVQ__DUE_TURN + t.last;
	return put_turns(call, key, &t);
}

static int
take_turn(struct evq__call *call, const struct evq__place *at, uint64_t group)
{
	uint8_t key[EVQ__GROUP_KEY];
	struct evq__turns t;
	int rc = get_turns(call, at, group, key, &t);
	if (!rc && --t.count == 0)
		rc = evq__tree_del(call->txn, EVQ__GROUP, key, sizeof key);
	else if (!rc)
		rc = put_turns(call, key, &t);
	return rc == EVQ__NONE ? 0 : rc; /* a row that is missing is verify's to find */
}

int
evq__fair_insert(struct evq__call *call, const struct evq__place *at, const struct evq__entry *e)
{
	struct evq__place to = *at;
	int rc = evq__is_due(at, call->now_ms) ? give_turn(call, &to, group_of(e)) : 0;
	return rc ? rc : evq__due_put(call, &to, e);
}

static int
forget_back(struct evq__call *call, const struct evq__place *at)
{
	uint8_t key[EVQ__GROUP_KEY];
	evq__group_key(at->queue, at->id, EVQ__BACK_ROW, key);
	int rc = evq__tree_del(call->txn, EVQ__GROUP, key, sizeof key);
	return rc == EVQ__NONE ? 0 : rc; /* a row that is missing is verify's to find */
}

int
evq__fair_remove(struct evq__call *call, const struct evq__found *f)
{
	int rc = evq__due_del(call, &f->place);
	if (!rc && (f->entry.flags & EVQ__ENTRY_BACK))
		rc = forget_back(call, &f->place);
	return rc || !evq__has_turn(&f->place) ? rc : take_turn(call, &f->place, group_of(&f->entry));
}

int
evq__fair_move(struct evq__call *call, const struct evq__found *f, const struct evq__place *to)
{
	struct evq__entry e = f->entry;
	int rc = evq__fair_remove(call, f);
	e.flags &= (uint8_t)~EVQ__ENTRY_BACK;
	return rc ? rc : evq__fair_insert(call, to, &e);
}

/* ---- what was leased comes back ---- */

static int
note_back(struct evq__call *call, const struct evq__place *at)
{
	uint8_t key[EVQ__GROUP_KEY], value[EVQ__BACK];
	evq__group_key(at->queue, at->id, EVQ__BACK_ROW, key);
	evq__le64_put(value, at->due_ms - EVQ__DUE_TURN);
	return evq__tree_put(call->txn, EVQ__GROUP, key, sizeof key, &(struct evq__slice){ value, sizeof value }, 1);
}

int
evq__fair_find(struct evq__txn *txn, struct evq__found *f)
{
	uint8_t key[EVQ__GROUP_KEY];
	struct evq__slice value;
	struct evq__place at = f->place;
	evq__group_key(at.queue, at.id, EVQ__BACK_ROW, key);
	int rc = evq__tree_get(txn, EVQ__GROUP, key, sizeof key, &value);
	if (rc || value.len != EVQ__BACK)
		return rc ? rc : EVQ__NONE;
	at.due_ms = EVQ__DUE_TURN + evq__le64_get(value.data);
	rc = evq__due_get(txn, &at, &f->entry);
	if (!rc)
		f->place = at;
	return rc;
}

/* A turn for what came due. */
static int
enrol(struct evq__call *call, struct evq__ready *r, struct evq__found *f)
{
	uint8_t history[EVQ__HISTORY_MAX];
	int rc = evq__line_history(call, f, history);
	if (!rc)
		rc = evq__due_del(call, &f->place);
	if (!rc)
		rc = give_turn(call, &f->place, group_of(&f->entry));
	r->budget--;
	if (!rc && (f->entry.flags & EVQ__ENTRY_LEASED)) {
		f->entry.flags |= EVQ__ENTRY_BACK;
		rc = note_back(call, &f->place);
	}
	return rc ? rc : evq__due_put(call, &f->place, &f->entry);
}

/* From at, which is by its time and not due, to the turns of its lane. */
static void
to_turns(struct evq__ready *r, const struct evq__place *at)
{
	if (at->due_ms < r->next_due)
		r->next_due = at->due_ms;
	r->from = (struct evq__place){ at->queue, at->lane, EVQ__DUE_TURN, 0 };
}

/* What came due of a lane is before its turns, and is given one. What has expired needs none. */
int
evq__fair_collect(struct evq__call *call, struct evq__ready *r)
{
	struct evq__found f;
	int rc = evq__due_seek(call->txn, &r->from, &f);
	while (!rc && r->count < r->max) {
		if (!evq__is_due(&f.place, call->now_ms)) {
			if (f.place.due_ms < EVQ__DUE_TURN)
				to_turns(r, &f.place);
			else
				rc = evq__line_next_lane(r, &f.place);
		} else if (evq__has_turn(&f.place) || f.unreadable || !r->may_write ||
		           evq__is_expired(&f.entry, call->now_ms)) {
			r->from = evq__due_behind(&f.place);
			evq__line_found(r, &f);
			rc = r->count < r->max ? evq__due_next(call->txn, r->from.queue, &f) : 0;
			continue;
		} else if (!r->budget)
			return 0;
		else
			rc = enrol(call, r, &f);
		if (!rc)
			rc = evq__due_seek(call->txn, &r->from, &f);
	}
	return rc;
}

/* The next step of a list, where there is nothing at from: of each lane first its turns, then what stands by its time. */
static int
list_on(struct evq__ready *r, int is_in_lane)
{
	struct evq__place at = { .queue = r->from.queue, .lane = r->from.lane };
	if (r->step == EVQ__LIST_TURNS)
		r->step = EVQ__LIST_TIMES;
	else if (is_in_lane) /* at the turns, which it has been through */
		at.due_ms = EVQ__DUE_NEVER;
	else {
		if (at.lane == UINT8_MAX)
			return EVQ__NONE;
		at.lane++;
		r->step = EVQ__LIST_LANE;
	}
	r->from = at;
	return 0;
}

static int
list_next(struct evq__call *call, struct evq__ready *r, struct evq__found *f)
{
	for (;;) {
		int rc = evq__due_seek(call->txn, &r->from, f);
		int is_in_lane = !rc && f->place.lane == r->from.lane;
		if ((rc && rc != EVQ__NONE) || (rc && r->step == EVQ__LIST_LANE))
			return rc;
		if (r->step == EVQ__LIST_LANE) {
			r->from = (struct evq__place){ r->from.queue, f->place.lane, EVQ__DUE_TURN, 0 };
			r->step = EVQ__LIST_TURNS;
		} else if (is_in_lane && (r->step == EVQ__LIST_TURNS) == evq__has_turn(&f->place))
			return 0;
		else if ((rc = list_on(r, is_in_lane)))
			return rc;
	}
}

int
evq__fair_list(struct evq__call *call, struct evq__ready *r)
{
	struct evq__found f;
	int rc = 0;
	while (!rc && r->count < r->max) {
		if ((rc = list_next(call, r, &f)))
			break;
		r->from = evq__due_behind(&f.place);
		evq__line_found(r, &f);
	}
	return rc;
}
