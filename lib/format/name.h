/* SPDX-License-Identifier: MIT */
/*
 * What finds a name, of a group or a dedup_id: its last two bytes, as they are, behind a hash of those before them. So
 * names that count up, as those of orders and accounts do, are found side by side, and not each on a page of its own
 * that is in no cache. Two names are found at one place only where they end alike, and the hashes of the rest are equal,
 * with 48 bits or with 80. Of a name of one byte all is hashed, and zeros stand behind it.
 *
 * In a store of format 2 all of a name is hashed, and no bytes of it stand behind: end is 0 there (storerec.h).
 */
#ifndef EVQ__NAME_H
#define EVQ__NAME_H

#include <stddef.h>
#include <stdint.h>

enum { EVQ__NAME_END = 2, EVQ__NAME_LONG = 12 };

/* The number whose big-endian bytes are 8 - end of the hash, XXH3 with 64 bits, and the last end of the name. */
uint64_t evq__name_hash(const void *name, size_t len, size_t end, uint64_t seed);

/* The first 12 - end bytes of XXH3 with 128 bits, and the last end of the name. */
void evq__name_hash_long(const void *name, size_t len, size_t end, uint64_t seed, uint8_t out[static EVQ__NAME_LONG]);

#endif
