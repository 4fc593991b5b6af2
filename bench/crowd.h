/* SPDX-License-Identifier: MIT */
/*
 * Many callers at once, each a thread or each a process (crowd.c), and the
 * lives that they live on one store (gang.c).
 *
 * Callers get ready by themselves, wait for the start, which is the same
 * moment for all, and go on until the end, which is told them with it. What
 * they share lies in a mapping that children inherit. The first that fails
 * says what it was doing and stops the others.
 */
#ifndef CROWD_H
#define CROWD_H

#include "bench.h"

#include <stdatomic.h>
#include <stdbool.h>

#define CROWD_MOST 64
#define CROWD_ROUNDS 5

struct caller { /* written by one caller; the others leave its cache lines alone */
	_Alignas(128) int64_t calls; /* that ended in time */
	int64_t worst_ns;
	const char *doing;
	int rc;
};

struct crowd {
	const char *name;
	atomic_size_t ready;
	atomic_bool stop;
	_Atomic int64_t start, end; /* Units: measure_ns; 0: not yet known */
	struct caller callers[CROWD_MOST];
};

typedef int crowd_fn(struct crowd *c, size_t i, void *arg); /* caller i, from its first step to its last */
typedef int crowd_start(struct crowd *c, size_t count, int64_t ms, crowd_fn *fn, void *arg);

/* ---- crowd.c -------------------------------------------------------------- */

void *crowd_map(size_t size); /* zeroed, shared with children; NULL: no memory */
void crowd_unmap(void *memory, size_t size);
void crowd_sleep_us(int64_t us);

crowd_start crowd_threads;
crowd_start crowd_processes; /* no store may be open */

/* for callers */
bool crowd_begin(struct crowd *c); /* waits for the start; false: there will be none */
bool crowd_over(const struct crowd *c, int64_t now);

/* ---- gang.c --------------------------------------------------------------- */

struct gang {
	struct lane *lane;  /* whose store: open for threads, shut for processes */
	size_t count;
	crowd_start *start;
	struct series rate; /* Units: calls per second, of all together */
	int64_t worst_ns;   /* of all calls */
	int64_t fewest, most; /* calls of one caller, in the least fair turn */
};

int gang_turns(struct bench *b, const char *name, struct gang *gangs, size_t count);
void gang_head(const char *title, const char *callers);
void gang_print(const struct gang *g, const struct gang *one); /* one: NULL where it is none of its kind */

#endif
