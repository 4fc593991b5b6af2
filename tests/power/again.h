/* SPDX-License-Identifier: MIT */
/* A second power loss: see again.c. */
#ifndef EVQ_TESTS_POWER_AGAIN_H
#define EVQ_TESTS_POWER_AGAIN_H

#include "power.h"

/* The calls of the ledger after one of which the store must be. */
struct span {
	size_t first, last;
};

/*
 * The state in dir is recovered from in copy, and the power fails meanwhile, some times. 1 and a complaint where something
 * is wrong; copy then is that state. Needs: a process that needs the record no more.
 */
int again(const char *dir, const char *copy, const struct setting *s, struct span span, uint64_t seed, size_t *states);

#endif
