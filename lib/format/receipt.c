/* SPDX-License-Identifier: MIT */
/* Owns the inside of evq_receipt; the shape stands in receipt.h. */
#include "receipt.h"

#include <errno.h>

#include "hash.h"

#define TAG_MASK (UINT64_MAX >> 8)

static uint64_t
last_word(const evq_receipt *r, uint8_t lane, uint64_t secret)
{
	uint8_t bytes[25];
	for (int i = 0; i < 3; i++)
		evq__le64_put(bytes + 8 * i, r->w[i]);
	bytes[24] = lane;
	return (uint64_t)lane << 56 | (evq__hash(bytes, sizeof bytes, secret) & TAG_MASK);
}

void
evq__receipt_pack(const struct evq__place *place, uint32_t fence, uint64_t secret, evq_receipt *out)
{
	out->w[0] = (uint64_t)place->queue << 32 | fence;
	out->w[1] = place->due_ms;
	out->w[2] = place->id;
	out->w[3] = last_word(out, place->lane, secret);
}

int
evq__receipt_unpack(const evq_receipt *r, uint64_t secret, struct evq__place *place, uint32_t *fence)
{
	uint8_t lane = (uint8_t)(r->w[3] >> 56);
	if (r->w[3] != last_word(r, lane, secret))
		return EINVAL;
	place->queue = (uint32_t)(r->w[0] >> 32);
	place->lane = lane;
	place->due_ms = r->w[1];
	place->id = r->w[2];
	*fence = (uint32_t)r->w[0];
	return 0;
}
