/* SPDX-License-Identifier: MIT */
/*
 * One run of the model test: the open store, the model beside it, the clock
 * that both read, the dice, and the receipts kept for later. Every operation
 * (op_*.c) has the same shape: draw what to do, write it to the transcript,
 * call the library, ask the model, compare, and end with run_settle().
 *
 * A new operation is a function of the type op_fn and a line in the table of
 * model_test.c.
 */
#ifndef RUN_H
#define RUN_H

#include "model.h"

#define HANDLES_MAX 32
#define GHOSTS_MAX 6
#define POOL_MAX 512
#define BYTES_LEN ((size_t)1 << 18)

struct options {
	uint64_t ops, seed;
	const char *dir;
	int durability, keeper;
	unsigned check_every;
	bool verbose;
};

struct handle {
	uint64_t uid;
	evq_queue *q;
};

struct run {
	struct options opt;
	uint64_t op; /* 1 is the first */
	uint64_t dice;
	int64_t now;
	char dir[512];
	evq_env *env;
	evq_txn *txn;
	struct model *m;         /* what is, or in a transaction will be */
	struct model *committed; /* what everybody else sees; NULL outside a transaction */
	uint64_t begin_token;
	struct handle handles[HANDLES_MAX];
	size_t handle_count;
	evq_queue *ghosts[GHOSTS_MAX]; /* of dropped queues */
	size_t ghost_count;
	evq_batch *batch;
	struct m_events seen;
	struct m_ids ids, order;
	struct m_ticket pool[POOL_MAX];
	size_t pool_count;
	struct m_ticket foreign;
	unsigned char *bytes; /* random ones: bodies and values are slices of it */
};

/* False: there was nothing to do it on, another is drawn. */
typedef bool op_fn(struct run *r);

/* dice.c */
void dice_start(struct run *r);
uint64_t dice(struct run *r);
size_t below(struct run *r, size_t n); /* 0 ... n-1 */
int64_t between(struct run *r, int64_t least, int64_t most);
bool one_in(struct run *r, size_t n);
bool percent(struct run *r, size_t p);
size_t body_length(struct run *r);
const void *bytes_of(struct run *r, size_t len);
void bytes_fill(struct run *r);

/* transcript.c */
void say(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));     /* a new line */
void say_more(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3))); /* and its end */
void say_ids(struct run *r, const struct m_ids *ids);
_Noreturn void differ(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *rc_name(int rc);
void expect_rc(struct run *r, const char *what, int expected, int got);
void expect_int(struct run *r, const char *what, int64_t expected, int64_t got);
void expect_text(struct run *r, const char *what, const char *expected, const char *got);

/* store.c: the store, its directory, its handles */
void store_prepare(struct run *r);
void store_open(struct run *r);
void store_close(struct run *r);
void store_remove(const char *path); /* a directory and all in it */
int store_open_at(struct run *r, const char *path, evq_env **out);
bool store_has(struct run *r, const struct m_queue *q); /* can it be opened from here? */
evq_queue *store_queue(struct run *r, const struct m_queue *q);
void store_bury_handles(struct run *r); /* those of queues that are no more become ghosts */

/* compare.c */
const struct model *view(const struct run *r); /* what a reading call sees */
void compare_delivery(struct run *r, const struct m_queue *q, const struct m_msg *msg, const evq_delivery *d, int state);
void compare_stats(struct run *r, const struct m_queue *q);
void compare_attrs(struct run *r, const struct m_queue *q);
void compare_peek(struct run *r, const struct m_queue *q, uint32_t states, uint32_t count, const struct m_ticket *after);
void compare_list(struct run *r);
void compare_all(struct run *r);

/* pick.c: queues, messages and receipts to work on */
struct m_queue *pick_queue(struct run *r); /* NULL: none */
struct m_ticket pick_ticket(struct run *r, const struct m_queue *q);
bool pick_live(struct run *r, const struct m_queue *q, struct m_ticket *out); /* a good one, if there is one */
struct m_ticket ticket_of(const struct m_queue *q, const struct m_msg *msg);
void pool_put(struct run *r, const struct m_ticket *t);
void pool_abort(struct run *r);
bool touchy(struct run *r, const struct m_queue *q); /* the clearing there would show in a transaction */
const char *pick_name(struct run *r);
extern const char *const queue_names[];
extern const size_t queue_name_count;

/* settle_call.c: before and after each call that changes something */
void run_look(struct run *r);   /* the model may follow what the call reported */
void run_settle(struct run *r); /* events compared, jitter learned */

/* op_send.c */
op_fn op_send, op_send_batch, op_burst, op_repeat, op_flood;

/* op_receive.c */
op_fn op_receive, op_drain;
bool receive(struct run *r, struct m_queue *q, const evq_receive_opts *opts);

/* op_settle.c */
op_fn op_delete, op_delete_batch, op_extend, op_release, op_bury, op_receipt_text;

/* op_dead.c */
op_fn op_redrive, op_purge, op_shuttle;

/* op_read.c */
op_fn op_peek, op_pages, op_stats, op_get_attrs, op_list;

/* op_queue.c */
op_fn op_open, op_set_attrs, op_drop, op_ghost;
void queues_start(struct run *r);

/* op_txn.c */
op_fn op_begin, op_commit, op_abort, op_deadlock;

/* op_user.c */
op_fn op_user;

/* op_bad.c */
op_fn op_bad;

/* op_store.c */
op_fn op_clock, op_reopen, op_sync, op_copy;
bool clock_advance(struct run *r, int64_t step); /* false: not in this transaction */

#endif
