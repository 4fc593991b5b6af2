/* SPDX-License-Identifier: MIT */
/* Owns how a name is found: name.h. */
#include "name.h"

#include <string.h>

#include "hash.h"

/* Sets end to what stands behind the hash; returns how many bytes are hashed. */
static size_t
split(const void *name, size_t len, uint8_t end[static EVQ__NAME_END])
{
	memset(end, 0, EVQ__NAME_END);
	if (len < EVQ__NAME_END)
		return len;
	memcpy(end, (const uint8_t *)name + len - EVQ__NAME_END, EVQ__NAME_END);
	return len - EVQ__NAME_END;
}

uint64_t
evq__name_hash(const void *name, size_t len, uint64_t seed)
{
	uint8_t end[EVQ__NAME_END];
	uint64_t hash = evq__hash(name, split(name, len, end), seed);
	return (hash & ~UINT64_C(0xffff)) | (uint64_t)end[0] << 8 | end[1];
}

void
evq__name_hash_long(const void *name, size_t len, uint64_t seed, uint8_t out[static EVQ__NAME_LONG])
{
	uint8_t hash[16], end[EVQ__NAME_END];
	evq__hash128(name, split(name, len, end), seed, hash);
	memcpy(out, hash, EVQ__NAME_LONG - EVQ__NAME_END);
	memcpy(out + EVQ__NAME_LONG - EVQ__NAME_END, end, EVQ__NAME_END);
}
