/* SPDX-License-Identifier: MIT */
/*
 * The keys of the tables. Big-endian throughout, so that LMDB's byte order is the numbers' order.
 *
 *   evq.queue  queue u32                                queue 0 is the store's own record
 *   evq.name   the name's bytes
 *   evq.due    queue u32, lane u8, due_ms u64, id u64   21 bytes
 *   evq.body   id u64, part u32                         12 bytes
 *   evq.group  queue u32, group u64, id u64             20 bytes; what they stand for, grouprow.h
 *   evq.dedup  queue u32, 0 u8, hash 16 bytes           21 bytes; deduprow.h
 *              queue u32, 1 u8, expires_at_ms u64, hash 29 bytes
 *
 * Queue numbers and ids start at 1: the rows under 0 in evq.due, evq.body, evq.group and evq.dedup, and under one
 * NUL byte in evq.name, are sentinels that keep the trees from ever being empty.
 */
#ifndef EVQ__KEY_H
#define EVQ__KEY_H

#include <string.h>

#include <evq.h>

#include "bytes.h"

enum {
	EVQ__QUEUE_KEY = 4,
	EVQ__DUE_KEY = 21,
	EVQ__BODY_KEY = 12,
	EVQ__GROUP_KEY = 20,
	EVQ__DEDUP_HASH = 16,
	EVQ__DEDUP_KEY = 5 + EVQ__DEDUP_HASH,
	EVQ__DEDUP_END_KEY = 13 + EVQ__DEDUP_HASH
};

#define EVQ__DUE_NEVER UINT64_MAX
#define EVQ__DUE_TURN (UINT64_C(1) << 63) /* in a fair queue, of what is due now: and its turn. No time comes near it */

/* Where a message stands in evq.due: its place says when it may next be received. */
struct evq__place {
	uint32_t queue;
	uint8_t lane; /* 127 - priority: higher priorities come first */
	uint64_t due_ms;
	uint64_t id;
};

static inline uint8_t
evq__lane_of(int priority)
{
	return (uint8_t)(127 - priority);
}

static inline int
evq__priority_of(uint8_t lane)
{
	return 127 - (int)lane;
}

static inline void
evq__queue_key(uint32_t queue, uint8_t out[static EVQ__QUEUE_KEY])
{
	evq__be32_put(out, queue);
}

static inline void
evq__due_key(const struct evq__place *place, uint8_t out[static EVQ__DUE_KEY])
{
	evq__be32_put(out, place->queue);
	out[4] = place->lane;
	evq__be64_put(out + 5, place->due_ms);
	evq__be64_put(out + 13, place->id);
}

/* Needs: EVQ__DUE_KEY bytes. */
static inline void
evq__due_key_read(const uint8_t *key, struct evq__place *out)
{
	out->queue = evq__be32_get(key);
	out->lane = key[4];
	out->due_ms = evq__be64_get(key + 5);
	out->id = evq__be64_get(key + 13);
}

static inline void
evq__body_key(uint64_t id, uint32_t part, uint8_t out[static EVQ__BODY_KEY])
{
	evq__be64_put(out, id);
	evq__be32_put(out + 8, part);
}

static inline void
evq__group_key(uint32_t queue, uint64_t group, uint64_t id, uint8_t out[static EVQ__GROUP_KEY])
{
	evq__be32_put(out, queue);
	evq__be64_put(out + 4, group);
	evq__be64_put(out + 12, id);
}

/* Length of a queue's name. Errors: EINVAL NULL, empty or a byte not of [A-Za-z0-9._-]; EVQ_TOOBIG. */
int evq__name_check(const char *name, size_t *len_out);

#endif
