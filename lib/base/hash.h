/* SPDX-License-Identifier: MIT */
/* The one hash of the library. */
#ifndef EVQ__HASH_H
#define EVQ__HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH3, 64 bits, of len bytes with a seed. Source: xxhash, of which this is part of the format. */
uint64_t evq__hash(const void *data, size_t len, uint64_t seed);
/* The same with 128 bits, as 16 bytes that are the same on every machine. */
void evq__hash128(const void *data, size_t len, uint64_t seed, uint8_t out[static 16]);

#endif
