/* SPDX-License-Identifier: MIT */
/*
 * What every test shares: a store in a fresh directory, under a clock that moves only when told to,
 * and verbs so that a test reads as a transcript. store_setup and store_teardown are a checked
 * fixture (check runs each test in a process of its own); the teardown ends with evq_verify().
 */
#ifndef EVQ_TESTS_SUPPORT_H
#define EVQ_TESTS_SUPPORT_H

#include "trees.h"

#include <check.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <evq.h>

extern evq_env *env;     /* the store of the fixture */
extern char store_dir[]; /* its directory, absolute */

/* Events as they came, up to 1000. */
struct seen_event {
	int type;
	char queue[EVQ_NAME_MAX + 1];
	evq_id id;
	char reason[EVQ_REASON_MAX + 1];
};
extern struct seen_event seen[];
extern size_t seen_count;

void store_setup(void);                        /* opens with the fake clock, recording events, relaxed */
void store_setup_full(void);                   /* the same, durability full */
void store_teardown(void);                     /* verifies, closes, removes; also after store_reopen() */
void store_reopen(void);                       /* closes the verbs' queues and the store, opens it again */
void store_open_opts(const evq_env_opts *opts); /* a fresh directory, these options; teardown as ever */
void temp_dir(char out[static 256]);           /* a new empty directory below TMPDIR or /tmp, absolute */

void clock_set_ms(int64_t at_ms);
void clock_advance_ms(int64_t ms);
int64_t clock_now_ms(void); /* starts at 1,700,000,000,000 */
int64_t fake_clock(void *arg);
void record_event(const evq_event *event, void *arg);
void verify_clean(void); /* fails the test with every finding */

evq_queue *queue(const char *name);                                    /* opened, created with defaults */
evq_queue *queue_with(const char *name, const evq_queue_attrs *attrs); /* closed for you at teardown: both */
int open_rc(const char *name, const evq_queue_attrs *create); /* opens and closes; the code, and no trace of a refusal */
evq_id send(evq_queue *q, const char *body);                            /* must succeed */
evq_id send_with(evq_queue *q, const char *body, const evq_send_opts *opts);
evq_batch *take(evq_queue *q, uint32_t count);           /* must return exactly count; freed at teardown */
evq_receipt take_one(evq_queue *q, const char *body);    /* must be that body */
evq_batch *batch(void);                                  /* a new one; freed at teardown */
void expect_empty(evq_queue *q);                         /* evq_receive answers EVQ_EMPTY */
evq_stats stats(evq_queue *q);
void expect_counts(evq_queue *q, uint64_t visible, uint64_t delayed, uint64_t leased);

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* Fails with the names of both codes. */
#define ck_rc(call, want)                                                                              \
	do {                                                                                           \
		int got_ = (call);                                                                     \
		int want_ = (want);                                                                    \
		ck_assert_msg(got_ == want_, "%s: %s (%d), wanted %s (%d)", #call, evq_errname(got_), got_, \
		              evq_errname(want_), want_);                                              \
	} while (0)
#define ck_ok(call) ck_rc(call, 0)

#define SUITE(topic) Suite *topic##_suite(void);
#include "suites.h"
#undef SUITE

#endif
