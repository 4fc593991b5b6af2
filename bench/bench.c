/* SPDX-License-Identifier: MIT */
/*
 * evq-bench: what a message costs, and what of that is LMDB's.
 *
 * Every figure stands beside its floor: the work on the same LMDB that no
 * queue of this layout could leave out, done in the same run, in turns of a
 * fraction of a second, so that whatever else the machine does meanwhile
 * meets both alike. README.md says how to read the output.
 *
 * This file owns the list of rows and the order of a run.
 */
#include "bench.h"

#include <stdio.h>

#include <evq.h>

const struct row bench_rows[] = {
	{ "life", "send, receive, delete: each body, batch and durability", rows_life },
	{ "headline", "whole life of 100 bytes: batch 100 in a user transaction; batch 1, full", rows_headline },
	{ "commit", "one durable call, against one LMDB commit and one raw flush", commit_run },
	{ "threads", "1 to 64 threads on one queue", threads_run },
	{ "processes", "1 to 8 processes on one queue, against plain LMDB", processes_run },
	{ "relaxed", "relaxed lives, against LMDB never flushed and LMDB without commits", relaxed_run },
	{ "depth", "whole life with nothing, 1,000 and 1,000,000 messages waiting", depth_run },
	{ "steady", "size of the data file after many lives", steady_run },
	{ "wake", "from a send to the return of a receive that waited", wake_run },
	{ "fifo", "FIFO against plain: a million groups, one, 1,000; a group that is blocked", fifo_run },
	{ "fair", "fair against plain: 100 tenants and one; how long a quiet one waits", fair_run },
	{ "dedup", "ids and contents remembered against plain; repeats", dedup_run },
};
const size_t bench_row_count = sizeof(bench_rows) / sizeof(bench_rows[0]);

int
bench_fail(const char *where, const char *what, int rc)
{
	if (rc != 0)
		(void)fprintf(stderr, "evq-bench: %s: %s: %s\n", where, what, evq_strerror(rc));
	return rc;
}

void
bench_target(struct bench *b, const char *what, double measured, const char *relation, double wanted)
{
	if (b->target_count < BENCH_TARGETS)
		b->targets[b->target_count++] = (struct target){ what, measured, relation, wanted };
}

static int
run_rows(struct bench *b)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < bench_row_count; i++) {
		if (b->options.rows & (1u << i))
			rc = bench_rows[i].run(b);
	}
	return rc;
}

int
main(int argc, char **argv)
{
	static struct bench b;
	int64_t start = measure_ns();
	int rc = options_parse(&b.options, argc, argv);

	if (rc != 0) {
		options_help();
		return rc < 0 ? 0 : 2;
	}
	place_catch();
	if (place_make(b.options.dir, b.root) != 0)
		return 1;
	place_describe(b.root);
	rc = run_rows(&b);
	place_remove(b.root);
	if (rc == 0) {
		table_targets(&b);
		(void)printf("\n%.0f s\n", (double)(measure_ns() - start) / 1e9);
	}
	return rc == 0 ? 0 : 1;
}
