/* SPDX-License-Identifier: MIT */
/*
 * The rows of evq.dedup: what was sent, so that a repeat is known for one. Two for each: one is found by what was
 * sent, the other by the time at which it may be forgotten.
 *
 * Under (queue, 0, hash): the hash is XXH3 with 128 bits, seeded with the store's secret, of the body; or, for a
 * dedup_id, the long hash of that name (name.h), seeded with the secret + 1, and the number in the batch, u32
 * big-endian: so the rows of a batch stand side by side.
 * Shape of the value, little-endian:
 *    0 u8  version, 1
 *    1 u8  kind: 1 a dedup_id, 2 a body
 *    2 u16 0
 *    4 u32 number in the batch, of a dedup_id
 *    8 u64 id of the message that was first
 *   16 i64 expires_at_ms: a repeat before that time is one
 *   24     the dedup_id
 *
 * Under (queue, 1, expires_at_ms, hash): the id, u64.
 *
 * To change it: as entry.h says.
 */
#ifndef EVQ__DEDUPROW_H
#define EVQ__DEDUPROW_H

#include <evq.h>

#include "key.h"

enum { EVQ__DEDUP_HEAD = 24, EVQ__DEDUP_ID = 1, EVQ__DEDUP_BODY = 2 };

struct evq__dedup {
	uint8_t kind;
	uint32_t number;
	uint64_t id;
	int64_t expires_at_ms;
	struct evq__slice text; /* the dedup_id; borrowed from where the row was read */
};

static inline void
evq__dedup_key(uint32_t queue, const uint8_t hash[static EVQ__DEDUP_HASH], uint8_t out[static EVQ__DEDUP_KEY])
{
	evq__be32_put(out, queue);
	out[4] = 0;
	memcpy(out + 5, hash, EVQ__DEDUP_HASH);
}

static inline void
evq__dedup_end_key(uint32_t queue, int64_t expires_at_ms, const uint8_t hash[static EVQ__DEDUP_HASH],
                   uint8_t out[static EVQ__DEDUP_END_KEY])
{
	evq__be32_put(out, queue);
	out[4] = 1;
	evq__be64_put(out + 5, (uint64_t)expires_at_ms);
	memcpy(out + 13, hash, EVQ__DEDUP_HASH);
}

/* All but the text, which follows. */
void evq__dedup_pack(const struct evq__dedup *d, uint8_t out[static EVQ__DEDUP_HEAD]);
/* Errors: EVQ_CORRUPT; EVQ_FORMAT another version. */
int evq__dedup_unpack(const void *value, size_t len, struct evq__dedup *out);

#endif
