/* SPDX-License-Identifier: MIT */
/*
 * What finds a name, of a group or a dedup_id: its last two bytes, as they are, behind a hash of those before them. So
 * names that count up, as those of orders and accounts do, are found side by side, and not each on a page of its own
 * that is in no cache. Two names are found at one place only where they end alike, and the hashes of the rest are equal,
 * with 48 bits or with 80. Of a name of one byte all is hashed, and zeros stand behind it.
 */
#ifndef EVQ__NAME_H
#define EVQ__NAME_H

#include <stddef.h>
#include <stdint.h>

enum { EVQ__NAME_END = 2, EVQ__NAME_LONG = 12 };

/* The number whose big-endian bytes are 6 of the hash, XXH3 with 64 bits, and the 2. */
uint64_t evq__name_hash(const void *name, size_t len, uint64_t seed);

/* The first 10 bytes of XXH3 with 128 bits, and the 2. */
void evq__name_hash_long(const void *name, size_t len, uint64_t seed, uint8_t out[static EVQ__NAME_LONG]);

#endif
