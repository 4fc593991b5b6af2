/* SPDX-License-Identifier: MIT */
/*
 * What the parts of fault_test share: the model, in memory that the process of a life shares with the one that
 * looks afterwards; a life (life.c), and the look afterwards (afterwards.c); another life and its look (again.c).
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

/* Of again.c: what a message may be, a bit for each; before: the call in progress. */
#define AGAIN 15
enum { NOT_SENT = 1, WAITS = 2, DIED = 4, DELETED = 8 };

struct model {
	struct thing messages[MESSAGES], row, queues[PLACES];
	int states[AGAIN], before[AGAIN];
	int copied[2], finished, leaks;
};

/* Over all lives: sends that were EVQ_UNKNOWN, by whether they had happened: repeated in the life, or after it. */
struct tally {
	int repeats[2], unknown[2];
};

extern struct model *model;
extern struct tally *tally;
extern const char *const queue_names[PLACES];
extern char store[320], copies[2][330];
extern int durability; /* of the life */

int open_store(evq_env **out); /* for a life */
evq_buf fault_body(unsigned i); /* the first byte of which is i */
void live(void);
void live_again(void);

extern char complaint[500]; /* the first of those below */
int complain(const char *what, int number); /* 1 */
int opens_clean(const char *dir, evq_env **out); /* 0, or 1 and a complaint: all */
int check_store(void);
int check_again(void);
int check_copy(int i);

#endif
