/* SPDX-License-Identifier: MIT */
/* The due index: entries in the order of the times at which they may be received. */
#ifndef EVQ__DUE_H
#define EVQ__DUE_H

#include "call.h"
#include "entry.h"
#include "key.h"

struct evq__found {
	struct evq__place place;
	struct evq__entry entry; /* without its history, which does not outlive the next write */
	int unreadable;          /* damaged: entry is made up, that of a parked message */
	int is_waiting;          /* its entry does not stand in evq.due, but waits in evq.group */
	int is_blocked;          /* as far as it was looked at: one before it in its group is leased or delayed */
};

/* Writes e, with its history, which is the caller's, to its place. */
int evq__due_put(struct evq__call *call, const struct evq__place *at, const struct evq__entry *e);
/* Errors: EVQ_CORRUPT there is none. */
int evq__due_del(struct evq__call *call, const struct evq__place *at);
/* out's history is borrowed until the next write. Errors: EVQ__NONE; EVQ_CORRUPT, EVQ_FORMAT. */
int evq__due_get(struct evq__txn *txn, const struct evq__place *at, struct evq__entry *out);
/*
 * The first entry of the queue at or behind *at, whenever due; it and its place. out's history is
 * borrowed. Errors: EVQ__NONE none of this queue.
 */
int evq__due_seek(struct evq__txn *txn, const struct evq__place *at, struct evq__found *out);
/* The one behind the last that _seek or _next found in this transaction. */
int evq__due_next(struct evq__txn *txn, uint32_t queue, struct evq__found *out);
/*
 * The next entries, of whichever queue, at or behind *from that owner has leased at now_ms; *from is moved behind
 * the last. Histories are not theirs to keep.
 */
int evq__due_leased(struct evq__txn *txn, int64_t now_ms, uint32_t owner, struct evq__place *from,
                    struct evq__found *found, size_t max, size_t *count);
/* The place right behind a place. */
struct evq__place evq__due_behind(const struct evq__place *at);

static inline int
evq__is_expired(const struct evq__entry *e, int64_t now_ms)
{
	return e->expires_at_ms && e->expires_at_ms <= now_ms;
}

/* Has it a turn in a fair queue? Then it is due. */
static inline int
evq__has_turn(const struct evq__place *at)
{
	return at->due_ms >= EVQ__DUE_TURN && at->due_ms != EVQ__DUE_NEVER;
}

static inline int
evq__is_due(const struct evq__place *at, int64_t now_ms)
{
	return at->due_ms <= (uint64_t)now_ms || evq__has_turn(at);
}

/*
 * Makes every receipt given so far stale, those of transactions that were aborted too: the same entry, received
 * anew, gets another fence by the call's nonce. 0 is no lease's.
 */
static inline void
evq__due_refence(const struct evq__call *call, struct evq__entry *e)
{
	e->fence += 1 + (call->nonce & 0xfff); /* 2^32 is a million and more such steps */
	if (e->fence == 0)
		e->fence = 1;
}

/* EVQ_VISIBLE ..., of a message that has not expired. */
int evq__due_state(const struct evq__found *f, int64_t now_ms);
/* A time from now on, or the end of the message where that comes first. */
uint64_t evq__due_time(const struct evq__entry *e, int64_t now_ms, int64_t after_ms);
/* A delay by the queue's retry policy. Source: exponential backoff with "equal jitter". */
int64_t evq__due_backoff(const struct evq__call *call, const struct evq__found *f);

#endif
