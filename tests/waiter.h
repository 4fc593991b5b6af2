/* SPDX-License-Identifier: MIT */
/*
 * A receive in a thread of its own, for the tests of waiting.
 *
 * start_waiting gives the thread a moment to fall asleep; where it does not, the outcome must be the same. Waits
 * that should be cut short are for PATIENCE and must end long before, so that a lost wake is seen.
 */
#ifndef EVQ_TESTS_WAITER_H
#define EVQ_TESTS_WAITER_H

#include <pthread.h>
#include <stdatomic.h>

#include "procs.h"
#include "support.h"

#define PATIENCE 60000
#define SOON 10000
#define WAIT(...) EVQ_RECEIVE_OPTS(.wait_ms = PATIENCE, __VA_ARGS__)

struct waiter {
	pthread_t thread;
	evq_queue *q;
	evq_receive_opts opts;
	atomic_int started, done;
	int rc;
	size_t count;
	char letters[16];
	evq_receipt first;
	int64_t took_ms;
};

static inline void *
wait_main(void *arg)
{
	struct waiter *w = arg;
	evq_batch *b = NULL;
	w->rc = evq_batch_new(&b);
	w->started = 1;
	int64_t start = real_ms();
	if (w->rc == 0)
		w->rc = evq_receive(w->q, NULL, &w->opts, b);
	w->took_ms = real_ms() - start;
	w->count = evq_batch_count(b);
	for (size_t i = 0; i < w->count && i + 1 < sizeof(w->letters); i++)
		w->letters[i] = ((const char *)evq_batch_at(b, i)->body)[0];
	if (w->count)
		w->first = evq_batch_at(b, 0)->receipt;
	evq_batch_free(b);
	w->done = 1;
	return NULL;
}

static inline void
start_waiting(struct waiter *w, evq_queue *q, const evq_receive_opts *opts)
{
	*w = (struct waiter){ .q = q, .opts = *opts };
	ck_assert_int_eq(pthread_create(&w->thread, NULL, wait_main, w), 0);
	while (!w->started)
		nap_ms(1);
	nap_ms(30);
}

/* It must end soon, so, and with these bodies (a letter of each). */
static inline void
expect_woken(struct waiter *w, int rc, const char *letters)
{
	ck_assert_int_eq(pthread_join(w->thread, NULL), 0);
	ck_rc(w->rc, rc);
	ck_assert_str_eq(w->letters, letters);
	ck_assert_int_lt(w->took_ms, SOON);
}

/* Receives in this thread; the milliseconds it took. */
static inline int64_t
receive_ms(evq_queue *q, const evq_receive_opts *opts, int want_rc)
{
	evq_batch *b = batch();
	int64_t start = real_ms();
	ck_rc(evq_receive(q, NULL, opts, b), want_rc);
	ck_assert((evq_batch_count(b) == 0) == (want_rc != 0));
	return real_ms() - start;
}

#endif
