/* SPDX-License-Identifier: MIT */
/*
 * What a repeat costs: a send whose dedup_id is one of a million remembered,
 * whose messages are gone; relaxed, and fully durable. Between two of them
 * the same queue gets a message of a new id, and a queue that remembers
 * nothing one of the same size, so that all find the disk in one mood.
 */
#include "manner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TURNS 100 /* then what was sent is deleted */

enum { IDS, PLAIN, LANES };
enum { REPEAT, NEW, NO_ID, CALLS_OF };

struct trial {
	struct lane *lanes[LANES];
	struct hist *hist; /* CALLS_OF of them */
	uint64_t asked;
	int64_t repeats, repeats_ns;
};

static int
repeat_one(struct trial *t)
{
	static const evq_buf body = { "once more", 9 };
	struct lane *l = t->lanes[IDS];
	const struct manner *m = l->cell.manner;
	uint64_t back = 1 + manner_mix(++t->asked) % (m->window - m->window / 10);

	return manner_repeat(queue_handle(l->store), NULL, m->calls - back, &body);
}

static int
send_new(struct trial *t)
{
	return t->lanes[IDS]->side->send(t->lanes[IDS]->store, 1);
}

static int
send_plain(struct trial *t)
{
	return t->lanes[PLAIN]->side->send(t->lanes[PLAIN]->store, 1);
}

static int
turn(struct trial *t, size_t first)
{
	static int (*const fns[CALLS_OF])(struct trial *t) = { repeat_one, send_new, send_plain };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < CALLS_OF; i++) {
		size_t call = (first + i) % CALLS_OF;
		int64_t start = measure_ns();

		rc = fns[call](t);
		hist_add(&t->hist[call], measure_ns() - start);
	}
	return rc;
}

static int
turns(struct trial *t, int64_t end)
{
	int rc = 0;

	while (rc == 0 && measure_ns() < end) {
		for (size_t i = 0; rc == 0 && i < TURNS; i++)
			rc = turn(t, i);
		if (rc == 0)
			rc = lane_drain(t->lanes[IDS], TURNS);
		if (rc == 0)
			rc = lane_drain(t->lanes[PLAIN], TURNS);
		if (rc == 0 && place_interrupted())
			rc = EINTR;
	}
	return rc;
}

/* Nothing but repeats. */
static int
run_of_repeats(struct trial *t, int64_t end)
{
	int64_t start = measure_ns();
	int rc = 0;

	t->repeats = 0;
	while (rc == 0 && measure_ns() < end) {
		for (int i = 0; rc == 0 && i < TURNS; i++, t->repeats++)
			rc = repeat_one(t);
	}
	t->repeats_ns = measure_ns() - start;
	return rc;
}

static void
print_call(const char *what, enum mode mode, const struct hist *h, const struct hist *plain)
{
	(void)printf("%-36s %-8s %8llu %9.2f %9.2f %9.2f %9.2f\n", what, options_modes[mode], (unsigned long long)h->total,
	    hist_at_us(h, 0.5), hist_at_us(h, 0.9), hist_at_us(h, 0.99), hist_at_us(h, 0.5) / hist_at_us(plain, 0.5));
}

static void
report(const struct trial *t, enum mode mode)
{
	char rate[32];

	print_call("a repeat", mode, &t->hist[REPEAT], &t->hist[NO_ID]);
	print_call("a message of a new id", mode, &t->hist[NEW], &t->hist[NO_ID]);
	print_call("a message, where none is remembered", mode, &t->hist[NO_ID], &t->hist[NO_ID]);
	table_number(rate, (double)t->repeats * 1e9 / (double)t->repeats_ns);
	(void)printf("%-36s %-8s %8s a second\n", "repeats one after another", options_modes[mode], rate);
	(void)fflush(stdout);
}

static int
run_mode(struct bench *b, struct trial *t, enum mode mode)
{
	int64_t ns = b->options.cell_ms * 1000000 / 2;
	int rc = 0;

	for (int i = 0; rc == 0 && i < LANES; i++) {
		lane_shut(t->lanes[i]);
		t->lanes[i]->cell.mode = mode;
		rc = lane_reopen(t->lanes[i]);
	}
	for (int i = 0; i < CALLS_OF; i++)
		t->hist[i] = (struct hist){ .total = 0 };
	if (rc != 0)
		return rc;
	place_settle(b->root);
	rc = turns(t, measure_ns() + ns);
	if (rc == 0)
		rc = run_of_repeats(t, measure_ns() + ns / 2);
	if (rc == 0)
		report(t, mode);
	for (int i = 0; rc == 0 && i < LANES; i++)
		rc = lane_check(t->lanes[i]);
	return bench_fail("dedup", "repeat", rc);
}

/* ids: each of its calls was for one message, and had an id. */
int
repeat_run(struct bench *b, struct lane *ids, struct lane *plain)
{
	struct trial t = { .lanes = { [IDS] = ids, [PLAIN] = plain } };
	char remembered[32];
	int rc;

	t.hist = calloc(CALLS_OF, sizeof(*t.hist));
	if (t.hist == NULL)
		return bench_fail("dedup", "repeat", ENOMEM);
	table_number(remembered, (double)b->options.deep);
	(void)printf("\ndedup: repeats, us per call, batch 1, %s remembered\n", remembered);
	(void)printf("%-36s %-8s %8s %9s %9s %9s %9s\n", "", "durable", "times", "p50", "p90", "p99", "p50/plain");
	rc = run_mode(b, &t, MODE_RELAXED);
	if (rc == 0)
		rc = run_mode(b, &t, MODE_FULL);
	free(t.hist);
	return rc;
}
