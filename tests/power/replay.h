/* SPDX-License-Identifier: MIT */
/* The replay of a record: which states are made, and looked at by processes of their own. */
#ifndef EVQ_TESTS_POWER_REPLAY_H
#define EVQ_TESTS_POWER_REPLAY_H

#include "power.h"

struct replay {
	size_t states, points;
	size_t lost;   /* states that are not as if all had been written */
	size_t undone; /* states in which something that was answered is not there */
	size_t again;  /* states of a second power loss */
	size_t failures;
};

/* top: a directory of ours. A state that is wrong is kept in it, with its story; unless quiet. */
void replay(const struct setting *s, const char *top, int quiet, struct replay *out);

#endif
