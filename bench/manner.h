/* SPDX-License-Identifier: MIT */
/*
 * Queues that are not plain, and messages that are not alike: what the rows
 * about groups and deduplication share.
 */
#ifndef BENCH_MANNER_H
#define BENCH_MANNER_H

#include "bench.h"

#include <evq.h>

/* ---- manner.c ------------------------------------------------------------- */

enum names { NAMES_NONE, NAMES_RANDOM, NAMES_ORDERED };

struct manner { /* of one lane; it outlives the lane's store */
	unsigned flags;   /* of the queue, when it is created */
	enum names names; /* of groups */
	uint64_t groups;  /* so many, whichever comes; 0: another for each call */
	int one_by_one;   /* batches are sent in calls for one message each */
	int has_ids;      /* each call has a dedup_id of its own */
	int differ;       /* no two bodies are the same */
	uint64_t window;  /* messages after which a dedup_id is forgotten; 0: the clock is the usual one */
	uint64_t calls;
	_Atomic uint64_t sent; /* messages */
	int64_t begun_ms;
};

int manner_send(struct manner *m, evq_queue *q, evq_txn *txn, evq_buf *bodies, size_t count);
int manner_repeat(evq_queue *q, evq_txn *txn, uint64_t call, const evq_buf *body);
int64_t manner_clock(void *manner);
int64_t manner_window_ms(const struct manner *m);
uint64_t manner_mix(uint64_t n);
void manner_name(char text[32], enum names names, uint64_t n);

/* ---- kinds.c: lanes that differ in the kind of their queue ------------------- */

int kinds_turns(struct bench *b, struct lane *lanes, size_t count, enum mode mode, size_t batch);
double kinds_line(const char *what, const struct lane *lanes, size_t count); /* the last one's rate to the first's */

/* ---- queue.c ---------------------------------------------------------------- */

evq_queue *queue_handle(void *store); /* of queue_side: borrowed */

#endif
