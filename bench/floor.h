/* SPDX-License-Identifier: MIT */
/*
 * What the two files of the floor share: its store (floor.c) and its calls
 * (moves.c).
 */
#ifndef FLOOR_H
#define FLOOR_H

#include "bench.h"

#include <stdbool.h>

#include <lmdb.h>

enum {
	DUE_KEY = 21,   /* queue u32, lane u8, due_ms u64, id u64; big-endian, as all keys */
	DUE_VALUE = 48,
	BODY_KEY = 12,  /* id u64, part u32 */
	BODY_HEAD = 24,
	PART = 4080     /* what fits in one page of 4096 */
};

/* Each task of a transaction has a cursor of its own. */
enum task { TASK_SEND, TASK_TAKE, TASK_LEASE, TASK_APPEND, TASK_BODY, TASKS };

struct entry {
	unsigned char key[DUE_KEY];
	unsigned char value[DUE_VALUE];
};

struct floor {
	MDB_env *env;
	MDB_dbi due, body;
	MDB_txn *txn;              /* or NULL */
	MDB_cursor *cursor[TASKS]; /* of txn */
	bool held;                 /* txn goes on after a call */
	uint64_t last_id;
	size_t body_len, record_len;
	unsigned char *record;     /* head and body of every message */
	unsigned char *out;        /* bodies received */
	struct entry *leased;      /* as many as were received last */
};

int floor_enter(struct floor *f);         /* a call begins: there is a transaction */
int floor_leave(struct floor *f, int rc); /* it ends: commits, unless the transaction is to go on */

int floor_send(void *store, size_t count);
int floor_send_among(void *store, size_t count); /* other processes send, too */
int floor_receive(void *store, size_t count);
int floor_settle(void *store, size_t count);

#endif
