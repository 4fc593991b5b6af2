/* SPDX-License-Identifier: MIT */
/*
 * What the files of the benchmark share.
 *
 * A *cell* is one set of conditions: body, batch, durability, messages
 * waiting. A *side* is one way to do the work: evq itself (queue.c) or the
 * same work on raw LMDB (floor.c), or its one flush on a raw file (raw.c). A *lane* is one side at work in one cell,
 * on a store of its own, with the figures collected so far (life.c). A *row*
 * is one question that the benchmark answers: it opens lanes, lets them take
 * turns, and prints what it found (rows.c, commit.c, depth.c ...).
 *
 * A new question is a new row; a new way to do the work is a new side.
 *
 * Functions return 0 or an error code of evq, LMDB or errno. Whoever meets
 * an error first prints where it was (bench_fail) and passes the code on.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_LIST 16           /* values in one option */
#define BENCH_WAITING 1000      /* messages that wait in a queue, but for the depth row */
#define BENCH_TXN_LIVES 10000   /* messages in one user transaction */
#define BENCH_ROUNDS 512        /* rounds kept of one lane */
#define BENCH_TARGETS 96
#define BENCH_FILL 100          /* batch with which a queue is filled and drained */
#define BENCH_LONG 4            /* turns, where a store puts off work: so many slots */
#define BENCH_PATH 4096
#define BENCH_MAP ((size_t)1 << 34)
#define BENCH_LEASE_MS 30000

/* ---- bench.c -------------------------------------------------------------- */

enum mode { MODE_FULL, MODE_RELAXED, MODE_TXN, MODES };

struct manner;

struct cell {
	size_t body_len;
	size_t batch;
	enum mode mode;   /* MODE_TXN: calls inside one user transaction of a fully durable store */
	uint64_t waiting;
	struct manner *manner; /* of evq's side; NULL: messages that are all alike, in a plain queue. See manner.h */
};

struct options {
	size_t bodies[BENCH_LIST], body_count;
	size_t batches[BENCH_LIST], batch_count;
	enum mode modes[BENCH_LIST];
	size_t mode_count;
	unsigned rows;    /* bit i: row i of the table in bench.c */
	uint64_t deep;    /* messages waiting in the depth row */
	int64_t cell_ms;  /* time for one cell, both sides */
	int64_t slot_ms;  /* time for one round of one side */
	int64_t crowd_ms; /* time for one turn of many callers */
	const char *dir;
};

struct target {
	const char *what;
	double measured;
	const char *relation; /* ">=" or "<=" */
	double wanted;
};

struct bench {
	struct options options;
	char root[BENCH_PATH]; /* temporary directory: the stores are in it */
	unsigned stores;       /* made so far: names the next one */
	struct target targets[BENCH_TARGETS];
	size_t target_count;
};

struct row {
	const char *name;
	const char *help;
	int (*run)(struct bench *b);
};

extern const struct row bench_rows[];
extern const size_t bench_row_count;

int bench_fail(const char *where, const char *what, int rc);
void bench_target(struct bench *b, const char *what, double measured, const char *relation, double wanted);

/* ---- options.c ------------------------------------------------------------ */

extern const char *const options_modes[MODES];

int options_parse(struct options *o, int argc, char **argv); /* 0, EINVAL (said on stderr), or -1 for help */
void options_help(void);

/* ---- place.c -------------------------------------------------------------- */

int place_make(const char *dir, char root[BENCH_PATH]); /* a fresh directory in dir */
int place_store(struct bench *b, char path[BENCH_PATH]); /* a fresh directory for one store */
void place_remove(const char *path);                    /* with all that is in it */
void place_settle(const char *root);                    /* waits until the disk has what was written before */
void place_describe(const char *root);                  /* the machine, one line */
void place_catch(void);                                 /* SIGINT, SIGTERM, SIGHUP */
void place_mute(void);                                  /* not in this thread, or this child */
int place_interrupted(void);

/* ---- measure.c ------------------------------------------------------------ */

#define HIST_SLOTS 33792

struct hist { /* durations; Units: ns; exact to 2 us, then to 0.1 % */
	uint64_t total;
	uint32_t slot[HIST_SLOTS];
};

struct series { /* one figure, a value a round */
	size_t count;
	double value[BENCH_ROUNDS];
};

int64_t measure_ns(void);
int64_t measure_wall_ms(void);
int64_t measure_written(void); /* bytes this process has written so far; -1: not to be known */
void hist_add(struct hist *h, int64_t ns);
void hist_merge(struct hist *to, const struct hist *from);
double hist_at_us(const struct hist *h, double part); /* part 0.99: the 99th percentile */
void series_add(struct series *s, double value);
double series_median(const struct series *s);
double series_ratio(const struct series *a, const struct series *b); /* median of a[i] / b[i] */

/* ---- the sides: queue.c, floor.c, raw.c ----------------------------------- */

struct side {
	const char *name;
	int (*open)(const char *path, const struct cell *cell, void **out);
	int (*share)(void *store, const struct cell *cell, void **out); /* for another thread; or NULL */
	void (*close)(void *store);
	int (*begin)(void *store); /* calls until commit share one transaction */
	int (*commit)(void *store);
	int (*send)(void *store, size_t count); /* count: at most the cell's batch or BENCH_FILL */
	int (*receive)(void *store, size_t count);
	int (*settle)(void *store, size_t count); /* delete what was received last */
	int (*count)(void *store, uint64_t *out); /* messages in the queue, by the store's own account */
};

extern const struct side queue_side;
extern const struct side floor_side;
extern const struct side nosync_side; /* the floor, never flushed */
extern const struct side crowd_side;  /* the floor, on a store that other processes have open too */
extern const struct side raw_side;    /* a send is one write and one flush, all else is nothing */

/* ---- life.c --------------------------------------------------------------- */

enum call { CALL_SEND, CALL_RECEIVE, CALL_DELETE, CALLS, LIFE = CALLS, FIGURES };

struct tally {
	struct series rate[FIGURES]; /* Units: messages per second */
	struct hist calls[CALLS];
	int64_t messages, written;
};

struct lane {
	const struct side *side;
	struct cell cell;
	void *store;
	char path[BENCH_PATH];
	struct tally *tally;
};

int lane_open(struct bench *b, struct lane *l, const struct side *side, const struct cell *cell);
int lane_round(struct lane *l, int64_t slot_ms);
int lane_check(struct lane *l); /* the queue holds what it should */
void lane_reset(struct lane *l, enum mode mode); /* forget the figures, go on in this mode */
void lane_close(struct lane *l);
int lane_turns(struct bench *b, struct lane *lanes, size_t count, int64_t slot_ms, int64_t time_ms);
int lane_lives(struct lane *l, int64_t messages, int64_t time_ms);
void lane_shut(struct lane *l);
int lane_reopen(struct lane *l);
int lane_drain(struct lane *l, size_t count);

/* ---- table.c -------------------------------------------------------------- */

void table_number(char text[32], double value); /* 1,234,567 */
void table_head(void);
void table_cell(const struct lane *evq, const struct lane *floor);
void table_targets(const struct bench *b);

/* ---- the rows, each in its file ------------------------------------------- */

int rows_life(struct bench *b);
int rows_headline(struct bench *b);
int commit_run(struct bench *b);
int tail_run(struct bench *b, struct lane *evq, struct lane *raw); /* part of commit */
int threads_run(struct bench *b);
int processes_run(struct bench *b);
int relaxed_run(struct bench *b);
int depth_run(struct bench *b);
int steady_run(struct bench *b);
int wake_run(struct bench *b);
int fifo_run(struct bench *b);
int blocked_run(struct bench *b); /* part of fifo */
int fair_run(struct bench *b);
int quiet_run(struct bench *b); /* part of fair */
int dedup_run(struct bench *b);
int repeat_run(struct bench *b, struct lane *ids, struct lane *plain); /* part of dedup */

#endif
