/* SPDX-License-Identifier: MIT */
/* Structs that a caller hands over with their size in front, and that grow between versions. */
#ifndef EVQ__OPTS_H
#define EVQ__OPTS_H

#include <stddef.h>

/*
 * Fills *known, a struct of known_size bytes as this version declares it, from the caller's, which may
 * be NULL (all defaults), shorter (an older version's) or longer (a newer one's).
 * Errors: EINVAL shorter than first_size, what the first version declared; E2BIG a field that this
 * version does not know is not 0.
 */
int evq__opts_load(void *known, size_t known_size, size_t first_size, const void *given);

/*
 * The other way: writes this version's struct into the caller's, which says its size; what it has
 * beyond is zeroed. Errors: EINVAL as above.
 */
int evq__opts_store(void *given, const void *known, size_t known_size, size_t first_size);

#endif
