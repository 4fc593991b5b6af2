/* SPDX-License-Identifier: MIT */
/*
 * Owns evq.group in fair queues: for each group and lane the last turn that was given, as long as the message that it
 * was given to has it. Turns are gone through in their order, so without that message there is none of its group left,
 * and the group begins anew, at the turn that is on.
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

/* A row: the last turn of a group and lane, or that of a message. Errors: EVQ__NONE; one that cannot be read is none. */
static int
get_turn(struct evq__txn *txn, uint32_t queue, uint64_t group, uint64_t lane, uint64_t *turn)
{
	uint8_t key[EVQ__GROUP_KEY];
	struct evq__slice value;
	evq__group_key(queue, group, lane, key);
	int rc = evq__tree_get(txn, EVQ__GROUP, key, sizeof key, &value);
	if (!rc)
		rc = evq__turn_unpack(value.data, value.len, turn);
	return rc == EVQ_CORRUPT ? EVQ__NONE : rc;
}

static int
put_turn(struct evq__call *call, uint32_t queue, uint64_t group, uint64_t lane, uint64_t turn)
{
	uint8_t key[EVQ__GROUP_KEY], value[EVQ__TURN];
	evq__group_key(queue, group, lane, key);
	evq__le64_put(value, turn);
	return evq__tree_put(call->txn, EVQ__GROUP, key, sizeof key, &(struct evq__slice){ value, sizeof value }, 1);
}

static int
del_turn(struct evq__call *call, uint32_t queue, uint64_t group, uint64_t lane)
{
	uint8_t key[EVQ__GROUP_KEY];
	evq__group_key(queue, group, lane, key);
	int rc = evq__tree_del(call->txn, EVQ__GROUP, key, sizeof key);
	return rc == EVQ__NONE ? 0 : rc; /* a row that is missing is verify's to find */
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
	uint64_t turn = 0;
	int rc = get_turn(call->txn, at->queue, group, at->lane, &turn);
	turn += rc == 0; /* somebody has the last, so it is not behind the one that is on */
	if (rc == EVQ__NONE)
		rc = find_current(call, at, &turn);
	if (rc)
		return rc;
	at->due_ms = EVQ__DUE_TURN + turn;
	return put_turn(call, at->queue, group, at->lane, turn);
}

static int
leave_turn(struct evq__call *call, const struct evq__place *at, uint64_t group)
{
	uint64_t last;
	int rc = get_turn(call->txn, at->queue, group, at->lane, &last);
	if (!rc && EVQ__DUE_TURN + last == at->due_ms)
		rc = del_turn(call, at->queue, group, at->lane);
	return rc == EVQ__NONE ? 0 : rc;
}

int
evq__fair_insert(struct evq__call *call, const struct evq__place *at, const struct evq__entry *e)
{
	struct evq__place to = *at;
	int rc = evq__is_due(at, call->now_ms) ? give_turn(call, &to, group_of(e)) : 0;
	return rc ? rc : evq__due_put(call, &to, e);
}

int
evq__fair_remove(struct evq__call *call, const struct evq__found *f)
{
	int rc = evq__due_del(call, &f->place);
	if (!rc && (f->entry.flags & EVQ__ENTRY_BACK))
		rc = del_turn(call, f->place.queue, f->place.id, EVQ__BACK_ROW);
	return rc || !evq__has_turn(&f->place) ? rc : leave_turn(call, &f->place, group_of(&f->entry));
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

int
evq__fair_find(struct evq__txn *txn, struct evq__found *f)
{
	struct evq__place at = f->place;
	uint64_t turn;
	int rc = get_turn(txn, at.queue, at.id, EVQ__BACK_ROW, &turn);
	if (rc)
		return rc;
	at.due_ms = EVQ__DUE_TURN + turn;
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
		rc = put_turn(call, f->place.queue, f->place.id, EVQ__BACK_ROW, f->place.due_ms - EVQ__DUE_TURN);
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

/*
 * What came due of a lane is before its turns, and is given one. What has expired needs none. One lane at a time: it is
 * not known yet whether the next will be taken from.
 */
int
evq__fair_collect(struct evq__call *call, struct evq__ready *r)
{
	struct evq__found f;
	int rc = evq__due_seek(call->txn, &r->from, &f);
	while (!rc && r->count < r->max) {
		if (r->count && f.place.lane != r->found[r->count - 1].place.lane)
			return 0;
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
