/* SPDX-License-Identifier: MIT */
/*
 * Owns the choice of hash. XXH3's output is fixed since xxhash 0.8.0, so it may stand in files. It is
 * compiled in here and nowhere else, as a private copy: the library needs no libxxhash to run.
 */
#include "hash.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#if XXH_VERSION_NUMBER < 800
#error "evq needs xxhash 0.8.0 or later: XXH3 changed its output until then"
#endif

uint64_t
evq__hash(const void *data, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, len, seed);
}

void
evq__hash128(const void *data, size_t len, uint64_t seed, uint8_t out[static 16])
{
	XXH128_canonical_t bytes;
	XXH128_canonicalFromHash(&bytes, XXH3_128bits_withSeed(data, len, seed));
	memcpy(out, bytes.digest, sizeof bytes.digest);
}
