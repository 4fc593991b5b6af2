/* SPDX-License-Identifier: MIT */
/*
 * The life of messages, as each side lives it: send a batch, receive a
 * batch, delete it, over and over on a queue in which some messages always
 * wait, so that what is received was sent a while ago and the trees have
 * their usual height.
 *
 * Lanes take turns of a fraction of a second, and who goes first changes
 * each time. Every call is timed; one reading of the clock ends a call and
 * starts the next. The rate of a call is the messages of the round by the
 * time in that call; the rate of life is by the time in all three. In the
 * mode txn the clock stands still while the transaction begins and commits.
 * A first turn of each lane is not counted.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <evq.h>

#define LIVES_MS 50

/* ---- one round -------------------------------------------------------------- */

struct round {
	int64_t in[CALLS]; /* Units: ns */
	int64_t messages;
};

static int
timed(struct lane *l, enum call call, int (*fn)(void *store, size_t count), int64_t *at, struct round *r)
{
	int rc = fn(l->store, l->cell.batch);
	int64_t now = measure_ns();

	hist_add(&l->tally->calls[call], now - *at);
	r->in[call] += now - *at;
	*at = now;
	return rc;
}

static int
live(struct lane *l, int64_t *at, struct round *r)
{
	int rc = timed(l, CALL_SEND, l->side->send, at, r);

	if (rc == 0)
		rc = timed(l, CALL_RECEIVE, l->side->receive, at, r);
	if (rc == 0)
		rc = timed(l, CALL_DELETE, l->side->settle, at, r);
	if (rc == 0 && place_interrupted())
		rc = EINTR;
	r->messages += (int64_t)l->cell.batch;
	return rc;
}

static int
live_until(struct lane *l, int64_t end, struct round *r)
{
	int64_t at = measure_ns();
	int rc;

	do
		rc = live(l, &at, r);
	while (rc == 0 && at < end);
	return rc;
}

/* Goes on until the transaction has had its lives, and starts another while there is time. */
static int
live_in_txns(struct lane *l, int64_t end, struct round *r)
{
	int rc = 0;

	do {
		int64_t goal = r->messages + BENCH_TXN_LIVES, at;

		rc = l->side->begin(l->store);
		at = measure_ns();
		while (rc == 0 && r->messages < goal)
			rc = live(l, &at, r);
		if (rc == 0)
			rc = l->side->commit(l->store);
	} while (rc == 0 && measure_ns() < end);
	return rc;
}

static void
note(struct tally *t, const struct round *r, int64_t written)
{
	double messages = (double)r->messages;
	int64_t all = 0;

	for (int i = 0; i < CALLS; i++) {
		series_add(&t->rate[i], messages * 1e9 / (double)r->in[i]);
		all += r->in[i];
	}
	series_add(&t->rate[LIFE], messages * 1e9 / (double)all);
	t->messages += r->messages;
	t->written += written;
}

int
lane_round(struct lane *l, int64_t slot_ms)
{
	struct round r = { .messages = 0 };
	int64_t before = measure_written();
	int64_t end = measure_ns() + slot_ms * 1000000;
	int rc = (l->cell.mode == MODE_TXN ? live_in_txns : live_until)(l, end, &r);

	if (rc == 0)
		note(l->tally, &r, measure_written() - before);
	return bench_fail(l->side->name, "life", rc);
}

/* ---- turns ------------------------------------------------------------------ */

static int
turn(struct lane *lanes, size_t count, size_t first, int64_t slot_ms)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = lane_round(&lanes[(first + i) % count], slot_ms);
	return rc;
}

/* At least three rounds of each, whatever they take. */
int
lane_turns(struct bench *b, struct lane *lanes, size_t count, int64_t slot_ms, int64_t time_ms)
{
	int64_t end;
	int rc = turn(lanes, count, 0, slot_ms);

	for (size_t i = 0; i < count; i++)
		lane_reset(&lanes[i], lanes[i].cell.mode);
	place_settle(b->root);
	end = measure_ns() + time_ms * 1000000;
	for (size_t i = 0; rc == 0 && i < BENCH_ROUNDS && (i < 3 || measure_ns() < end); i++)
		rc = turn(lanes, count, i, slot_ms);
	return rc;
}

/* One lane without a pause: that many messages, or that time if it is over before. */
int
lane_lives(struct lane *l, int64_t messages, int64_t time_ms)
{
	int64_t end = measure_ns() + time_ms * 1000000;
	int rc = 0;

	while (rc == 0 && l->tally->messages < messages && measure_ns() < end)
		rc = lane_round(l, LIVES_MS);
	return rc;
}

/* ---- open, fill, check, close ------------------------------------------------ */

static int
fill_txn(struct lane *l, uint64_t count)
{
	int rc = l->side->begin(l->store);

	while (rc == 0 && count > 0) {
		size_t some = count < BENCH_FILL ? (size_t)count : BENCH_FILL;

		rc = l->side->send(l->store, some);
		count -= some;
		if (rc == 0 && place_interrupted())
			rc = EINTR;
	}
	return rc == 0 ? l->side->commit(l->store) : rc;
}

/* Some 60 MB a transaction: rows at random places are on all pages of a tree, and each transaction writes those anew. */
static int
fill(struct lane *l)
{
	uint64_t most = 60000000 / (l->cell.body_len + 200);
	int rc = 0;

	for (uint64_t left = l->cell.waiting; rc == 0 && left > 0;) {
		uint64_t some = left < most ? left : most;

		rc = fill_txn(l, some);
		left -= some;
	}
	return rc;
}

/* Receives and deletes count messages, untimed. */
int
lane_drain(struct lane *l, size_t count)
{
	int rc = 0;

	while (rc == 0 && count > 0) {
		size_t some = count < BENCH_FILL ? count : BENCH_FILL;

		rc = l->side->receive(l->store, some);
		if (rc == 0)
			rc = l->side->settle(l->store, some);
		count -= some;
	}
	return bench_fail(l->side->name, "drain", rc);
}

int
lane_open(struct bench *b, struct lane *l, const struct side *side, const struct cell *cell)
{
	int rc = place_store(b, l->path);

	if (rc != 0)
		return rc;
	l->side = side;
	l->cell = *cell;
	l->tally = calloc(1, sizeof(*l->tally));
	if (l->tally == NULL)
		return bench_fail(side->name, "open", ENOMEM);
	rc = side->open(l->path, cell, &l->store);
	if (rc != 0)
		return bench_fail(side->name, "open", rc);
	return bench_fail(side->name, "fill", fill(l));
}

/* The store is there and closed: other processes may open it, after a fork. */
void
lane_shut(struct lane *l)
{
	l->side->close(l->store);
	l->store = NULL;
}

int
lane_reopen(struct lane *l)
{
	return bench_fail(l->side->name, "open again", l->side->open(l->path, &l->cell, &l->store));
}

int
lane_check(struct lane *l)
{
	uint64_t count;
	int rc = l->side->count(l->store, &count);

	if (rc == 0 && count != l->cell.waiting)
		rc = EVQ_CORRUPT;
	return bench_fail(l->side->name, "count at the end", rc);
}

void
lane_reset(struct lane *l, enum mode mode)
{
	l->cell.mode = mode;
	memset(l->tally, 0, sizeof(*l->tally));
}

/* Also of a lane that was never opened, or not quite. */
void
lane_close(struct lane *l)
{
	if (l->store != NULL)
		l->side->close(l->store);
	free(l->tally);
	if (l->path[0] != '\0')
		place_remove(l->path);
	*l = (struct lane){ .store = NULL };
}
