/* SPDX-License-Identifier: MIT */
/* The one hash of the library. */
#ifndef EVQ__HASH_H
#define EVQ__HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH3, 64 bits, of len bytes with a seed. Source: xxhash, of which this is part of the format. */
uint64_t evq__hash(const void *data, size_t len, uint64_t seed);

#endif
