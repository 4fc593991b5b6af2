/* SPDX-License-Identifier: MIT */
/*
 * The value of a row of evq.due: what is known of a live message besides its body.
 *
 * Shape, little-endian:
 *    0 u8  version, 1
 *    1 u8  flags, EVQ__ENTRY_*
 *    2 u8  deaths: how many items of history there are, 0 ... 8
 *    3 u8  0
 *    4 u32 receives since it was sent or redriven, less those given back uncounted
 *    8 u32 fence: moves on with each receive, extend and release; a receipt carries the value it was given
 *   12 u32 base: receives when it came into this queue; the queue's limit counts from there
 *   16 u32 owner: the number of the open store that leased it, 0 for none
 *   20 u32 body_len
 *   24 i64 sent_at_ms
 *   32 i64 first_received_at_ms, or 0
 *   40 i64 expires_at_ms, or 0 for never
 *   48 u64 hash of the group's name (name.h), only with EVQ__ENTRY_GROUP
 *          history, oldest first, each: i64 at_ms, u32 receives, u8 from_len, u8 reason_len,
 *          then the name of the queue it left and the reason
 *
 * To change it: a field more needs a flag that says it is there, or a new version; a reader refuses the
 * versions and flags it does not know.
 */
#ifndef EVQ__ENTRY_H
#define EVQ__ENTRY_H

#include <evq.h>

#include "bytes.h"

enum {
	EVQ__ENTRY_LEASED = 1,  /* somebody received it; the lease ends at due_ms */
	EVQ__ENTRY_DEAD = 2,    /* it is in a dead letter: the last item of history brought it here */
	EVQ__ENTRY_PARKED = 4,  /* its body is damaged and there is no dead letter; due never */
	EVQ__ENTRY_PARTS = 8,   /* its body has more parts than one */
	EVQ__ENTRY_GROUP = 16,  /* it has a group */
	EVQ__ENTRY_BACK = 32,   /* it was given a turn when its lease ran out: grouprow.h */
	EVQ__ENTRY_FLAGS = 63
};

enum {
	EVQ__ENTRY_HEAD = 48,
	EVQ__ENTRY_HEAD_MAX = EVQ__ENTRY_HEAD + 8, /* with its group */
	EVQ__DEATH_HEAD = 14,
	EVQ__HISTORY_MAX = EVQ_DEATHS_MAX * (EVQ__DEATH_HEAD + EVQ_NAME_MAX + EVQ_REASON_MAX),
	EVQ__ENTRY_MAX = EVQ__ENTRY_HEAD_MAX + EVQ__HISTORY_MAX /* under LMDB's limit for a value in a leaf */
};

struct evq__entry {
	uint8_t flags;
	uint8_t deaths;
	uint32_t receives, fence, base, owner;
	uint32_t body_len;
	int64_t sent_at_ms, first_received_at_ms, expires_at_ms;
	uint64_t group; /* with EVQ__ENTRY_GROUP */
	struct evq__slice history; /* borrowed from where the entry was read */
};

struct evq__death {
	int64_t at_ms;
	uint32_t receives;
	struct evq__slice from, reason;
};

/* All but the history, which follows. Returns the length. */
size_t evq__entry_pack(const struct evq__entry *e, uint8_t out[static EVQ__ENTRY_HEAD_MAX]);
/* out->history points into value. Errors: EVQ_CORRUPT; EVQ_FORMAT another version. */
int evq__entry_unpack(const void *value, size_t len, struct evq__entry *out);

/*
 * Reads the item at *at of a history and moves *at behind it.
 * Errors: EVQ__NONE at the end; EVQ_CORRUPT.
 */
int evq__death_next(const struct evq__slice *history, size_t *at, struct evq__death *out);
/*
 * The history of e with one more item, the oldest dropped where there are EVQ_DEATHS_MAX; sets e's
 * deaths and history to it. Needs: e's history whole, not in out; from and reason within their limits.
 */
void evq__death_add(struct evq__entry *e, const struct evq__death *death, uint8_t out[static EVQ__HISTORY_MAX]);

#endif
