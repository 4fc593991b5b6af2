/* SPDX-License-Identifier: MIT */
/* Owns how a name is found: name.h. */
#include "name.h"

#include <string.h>

#include "hash.h"

/* Sets tail to what stands behind the hash, of end bytes; returns how many bytes are hashed. */
static size_t
split(const void *name, size_t len, size_t end, uint8_t tail[static EVQ__NAME_END])
{
	memset(tail, 0, EVQ__NAME_END);
	if (len < end)
		return len;
	memcpy(tail, (const uint8_t *)name + len - end, end);
	return len - end;
}

uint64_t
evq__name_hash(const void *name, size_t len, size_t end, uint64_t seed)
{
	uint8_t tail[EVQ__NAME_END];
	uint64_t hash = evq__hash(name, split(name, len, end, tail), seed);
	return end ? (hash & ~UINT64_C(0xffff)) | (uint64_t)tail[0] << 8 | tail[1] : hash;
}

void
evq__name_hash_long(const void *name, size_t len, size_t end, uint64_t seed, uint8_t out[static EVQ__NAME_LONG])
{
	uint8_t hash[16], tail[EVQ__NAME_END];
	evq__hash128(name, split(name, len, end, tail), seed, hash);
	memcpy(out, hash, EVQ__NAME_LONG);
	memcpy(out + EVQ__NAME_LONG - end, tail, end);
}
