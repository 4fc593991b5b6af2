/* SPDX-License-Identifier: MIT */
/*
 * What the parts of fault_test share: the model, in memory that the process of a life shares with the one that
 * looks afterwards; a life (life.c); and the look afterwards (afterwards.c).
 */
#ifndef EVQ_TESTS_FAULT_FAULT_H
#define EVQ_TESTS_FAULT_FAULT_H

#include "inject.h"

#include <evq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MESSAGES 16
#define LEN_MAX 140000 /* more than a record of the journal may hold */
#define MAP_SIZE (64 << 20)

enum { NOWHERE, IN_Q, IN_DEAD, IN_OTHER, PLACES };

/* Where something is, and where the call in progress would have it. A queue is IN_Q where it exists. */
struct thing {
	int now, next, unsure;
};

struct model {
	struct thing messages[MESSAGES], row, queues[PLACES];
	int copied[2], finished, leaks;
};

extern struct model *model;
extern const char *const queue_names[PLACES];
extern char store[320], copies[2][330];
extern int durability; /* of the life */

int open_store(evq_env **out); /* for a life */
void live(void);

extern char complaint[500]; /* the first of those below */
int complain(const char *what, int number); /* 1 */
int check_store(void); /* 0, or 1 and a complaint: both */
int check_copy(int i);

#endif
