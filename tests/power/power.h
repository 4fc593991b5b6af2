/* SPDX-License-Identifier: MIT */
/* What the parts of power_test share: a setting, the life that is recorded, and the look at what came back. */
#ifndef EVQ_TESTS_POWER_POWER_H
#define EVQ_TESTS_POWER_POWER_H

#include <stddef.h>
#include <stdint.h>

#include <evq.h>

struct setting {
	int durability; /* EVQ_DURABLE_* */
	int keeper;     /* 0 or EVQ_NONE */
	unsigned ops;
	uint64_t seed;
	const char *lie; /* the file that is never flushed, or NULL */
	size_t states;
};

enum { MAP_SIZE = 16 << 20, JOURNAL_SIZE = 1 << 20, BODY_MAX = 3 << 20, ROW_MAX = 6000 };
#define USER_DB "mine"

/* life.c */
int life_open(const char *dir, const struct setting *s, evq_clock_fn *clock, evq_env **out); /* NULL: the library's */
void life(const char *dir, const struct setting *s);

/*
 * look.c: whether the store in dir holds what it may after calls first ... last of the ledger, and works. If not, 1, and
 * why in complaint. first: the last that cannot be undone. call_out: the one after which it was so.
 */
int look(const char *dir, const struct setting *s, size_t first, size_t last, size_t *call_out);
extern char complaint[600];

#endif
