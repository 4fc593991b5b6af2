/* SPDX-License-Identifier: MIT */
/*
 * The model test: operations at random on several queues of one store, each
 * compared with the reference model, by a clock that only moves when told.
 *
 *   model_test [--ops N] [--seed S] [--dir DIR] [--durability full|relaxed]
 *              [--no-keeper] [--check N] [--verbose]
 *
 * DIR is where the store's directory is made: $TMPDIR, else /dev/shm, else
 * /tmp. Everything is compared each N operations (--check, 50), and verified.
 * The first difference ends the run, with the seed, the number of the
 * operation and the last operations. Run with the same seed, the operations
 * are the same; only the jitter of a backoff is the library's own each time.
 */
#define _POSIX_C_SOURCE 200809L
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct {
	op_fn *fn;
	unsigned weight;
} operations[] = {
	{ op_send, 170 },
	{ op_send_batch, 60 },
	{ op_burst, 1 },
	{ op_repeat, 45 },
	{ op_flood, 1 },
	{ op_receive, 190 },
	{ op_drain, 20 },
	{ op_delete, 110 },
	{ op_delete_batch, 35 },
	{ op_extend, 45 },
	{ op_release, 90 },
	{ op_bury, 35 },
	{ op_receipt_text, 3 },
	{ op_redrive, 30 },
	{ op_purge, 12 },
	{ op_shuttle, 2 },
	{ op_peek, 50 },
	{ op_pages, 8 },
	{ op_stats, 40 },
	{ op_get_attrs, 10 },
	{ op_list, 4 },
	{ op_open, 12 },
	{ op_set_attrs, 12 },
	{ op_drop, 5 },
	{ op_ghost, 3 },
	{ op_begin, 14 },
	{ op_commit, 60 },
	{ op_abort, 30 },
	{ op_deadlock, 8 },
	{ op_user, 60 },
	{ op_bad, 50 },
	{ op_clock, 110 },
	{ op_reopen, 1 },
	{ op_sync, 1 },
};

/* The copy flushes its files: seldom. */
#define COPY_EVERY 9973

static op_fn *
draw_operation(struct run *r)
{
	size_t sum = 0, roll;

	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		sum += operations[i].weight;
	roll = below(r, sum);
	for (size_t i = 0;; i++) {
		if (roll < operations[i].weight)
			return operations[i].fn;
		roll -= operations[i].weight;
	}
}

static void
operate(struct run *r)
{
	dice_start(r);
	if (r->op % COPY_EVERY == 0 && op_copy(r))
		return;
	while (!draw_operation(r)(r))
		;
	if (r->opt.check_every > 0 && r->op % r->opt.check_every == 0)
		compare_all(r);
}

static void
finish(struct run *r)
{
	if (r->txn != NULL)
		op_commit(r);
	compare_all(r);
	store_close(r);
	store_remove(r->dir);
	evq_batch_free(r->batch);
	model_free(r->m);
	free(r->seen.at);
	free(r->ids.at);
	free(r->order.at);
	free(r->bytes);
}

static int
run(struct run *r)
{
	r->now = INT64_C(1700000000000);
	r->m = model_new();
	r->m->now = r->now;
	dice_start(r);
	store_prepare(r);
	store_open(r);
	queues_start(r);
	for (r->op = 1; r->op <= r->opt.ops; r->op++)
		operate(r);
	r->op--;
	finish(r);
	printf("model: %llu operations, seed %llu, 0 differences\n", (unsigned long long)r->opt.ops,
	       (unsigned long long)r->opt.seed);
	return 0;
}

/* ---- the command line ---- */

static void
usage(void)
{
	fprintf(stderr, "usage: model_test [--ops N] [--seed S] [--dir DIR] [--durability full|relaxed] [--no-keeper] "
	                "[--check N] [--verbose]\n");
	exit(2);
}

static uint64_t
number(const char *text)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != 0)
		usage();
	return value;
}

static int
durability(const char *text)
{
	if (strcmp(text, "full") == 0)
		return EVQ_DURABLE_FULL;
	if (strcmp(text, "relaxed") != 0)
		usage();
	return EVQ_DURABLE_RELAXED;
}

static void
take_option(struct options *opt, const char *name, const char *value)
{
	if (strcmp(name, "--ops") == 0)
		opt->ops = number(value);
	else if (strcmp(name, "--seed") == 0)
		opt->seed = number(value);
	else if (strcmp(name, "--dir") == 0)
		opt->dir = value;
	else if (strcmp(name, "--durability") == 0)
		opt->durability = durability(value);
	else if (strcmp(name, "--check") == 0)
		opt->check_every = (unsigned)number(value);
	else
		usage();
}

static bool
take_flag(struct options *opt, const char *name)
{
	if (strcmp(name, "--verbose") == 0)
		opt->verbose = true;
	else if (strcmp(name, "--no-keeper") == 0)
		opt->keeper = EVQ_NONE;
	else
		return false;
	return true;
}

static void
take_options(struct options *opt, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (take_flag(opt, argv[i]))
			continue;
		if (i + 1 == argc)
			usage();
		take_option(opt, argv[i], argv[i + 1]);
		i++;
	}
}

int
main(int argc, char **argv)
{
	struct run *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return 1;
	r->opt.ops = 200000;
	r->opt.seed = (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
	r->opt.durability = EVQ_DURABLE_RELAXED;
	r->opt.check_every = 50;
	take_options(&r->opt, argc, argv);
	printf("model: seed %llu\n", (unsigned long long)r->opt.seed);
	fflush(stdout);
	rc = run(r);
	free(r);
	return rc;
}
