/* SPDX-License-Identifier: MIT */
/*
 * Every call of evq.h that takes a store, a queue or a transaction, as a table: for tests of what all of
 * them answer in one situation (a stopped writer, a forked child, a closed store). Each has arguments
 * that are good, so that 0 is what it answers when nothing is in its way.
 */
#ifndef EVQ_TESTS_EVERY_CALL_H
#define EVQ_TESTS_EVERY_CALL_H

#include "support.h"

/* What the calls are made on: seven messages sent to q, six leased, the last of these buried. */
struct subject {
	evq_env *env;
	evq_queue *q, *dead; /* q's dead_letter is "dead"; a queue "other" is there to be dropped */
	evq_receipt r[6];
	evq_batch *b;
	evq_txn *txn;
	char copy[512]; /* of a directory that is not there yet */
};

enum { R_DELETE, R_BATCH, R_EXTEND, R_RELEASE, R_BURY, R_BURIED, SUBJECT_LEASED };

static int
count_names(const char *name, void *arg)
{
	(void)name;
	(void)arg;
	return 0;
}

static int
call_send(struct subject *s)
{
	return evq_send(s->q, NULL, "x", 1, NULL, NULL);
}

static int
call_send_batch(struct subject *s)
{
	return evq_send_batch(s->q, NULL, &(evq_buf){ "x", 1 }, 1, NULL, NULL);
}

static int
call_receive(struct subject *s)
{
	return evq_receive(s->q, NULL, NULL, s->b);
}

static int
call_delete(struct subject *s)
{
	return evq_delete(s->q, NULL, &s->r[R_DELETE]);
}

static int
call_delete_batch(struct subject *s)
{
	return evq_delete_batch(s->q, NULL, &s->r[R_BATCH], 1, &(int){ 0 });
}

static int
call_extend(struct subject *s)
{
	return evq_extend(s->q, NULL, &s->r[R_EXTEND], 0, &s->r[R_EXTEND]);
}

static int
call_release(struct subject *s)
{
	return evq_release(s->q, NULL, &s->r[R_RELEASE], 0, 0);
}

static int
call_bury(struct subject *s)
{
	return evq_bury(s->q, NULL, &s->r[R_BURY], "why");
}

static int
call_redrive(struct subject *s)
{
	return evq_redrive(s->dead, NULL, NULL, &(size_t){ 0 });
}

static int
call_purge(struct subject *s)
{
	return evq_purge(s->q, NULL, &(size_t){ 0 });
}

static int
call_set_attrs(struct subject *s)
{
	return evq_queue_set_attrs(s->q, NULL, EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
}

static int
call_drop(struct subject *s)
{
	return evq_queue_drop(s->env, NULL, "other");
}

static int
call_create(struct subject *s)
{
	evq_queue *made = NULL;
	int rc = evq_queue_open(s->env, "new", EVQ_QUEUE_ATTRS(), &made);
	evq_queue_close(made);
	return rc;
}

static int
call_begin(struct subject *s)
{
	return evq_begin(s->env, &s->txn);
}

static int
call_sync(struct subject *s)
{
	return evq_sync(s->env);
}

static int
call_copy(struct subject *s)
{
	return evq_env_copy(s->env, s->copy, 0);
}

static int
call_copy_compact(struct subject *s)
{
	return evq_env_copy(s->env, s->copy, EVQ_COPY_COMPACT);
}

static int
call_peek(struct subject *s)
{
	return evq_peek(s->q, NULL, s->b);
}

static int
call_stats(struct subject *s)
{
	return evq_queue_stats(s->q, &(evq_stats){ .size = sizeof(evq_stats) });
}

static int
call_get_attrs(struct subject *s)
{
	return evq_queue_get_attrs(s->q, &(evq_queue_attrs){ .size = sizeof(evq_queue_attrs) });
}

static int
call_list(struct subject *s)
{
	return evq_queue_list(s->env, count_names, NULL);
}

static int
call_verify(struct subject *s)
{
	return evq_verify(s->env, NULL, NULL);
}

enum { CALL_WRITES, CALL_READS, CALL_FLUSHES /* or copies: needs no lock of ours, LMDB may want one */ };

static const struct every_call {
	const char *what;
	int (*call)(struct subject *s);
	int kind;
} every_call[] = {
	{ "evq_peek", call_peek, CALL_READS },
	{ "evq_queue_stats", call_stats, CALL_READS },
	{ "evq_queue_get_attrs", call_get_attrs, CALL_READS },
	{ "evq_queue_list", call_list, CALL_READS },
	{ "evq_verify", call_verify, CALL_READS },
	{ "evq_sync", call_sync, CALL_FLUSHES },
	{ "evq_env_copy", call_copy, CALL_FLUSHES },
	{ "evq_env_copy, compact", call_copy_compact, CALL_FLUSHES },
	{ "evq_send", call_send, CALL_WRITES },
	{ "evq_send_batch", call_send_batch, CALL_WRITES },
	{ "evq_receive", call_receive, CALL_WRITES },
	{ "evq_delete", call_delete, CALL_WRITES },
	{ "evq_delete_batch", call_delete_batch, CALL_WRITES },
	{ "evq_extend", call_extend, CALL_WRITES },
	{ "evq_release", call_release, CALL_WRITES },
	{ "evq_bury", call_bury, CALL_WRITES },
	{ "evq_redrive", call_redrive, CALL_WRITES },
	{ "evq_purge", call_purge, CALL_WRITES },
	{ "evq_queue_set_attrs", call_set_attrs, CALL_WRITES },
	{ "evq_queue_drop", call_drop, CALL_WRITES },
	{ "evq_queue_open, a new one", call_create, CALL_WRITES },
	{ "evq_begin", call_begin, CALL_WRITES },
};
#define EVERY_CALL (sizeof(every_call) / sizeof(every_call[0]))

/* Needs check's assertions: not in a child. */
static void
subject_make(struct subject *s, evq_env *on, const char *copy)
{
	*s = (struct subject){ .env = on, .b = batch() };
	evq_queue *other = NULL;
	ck_ok(evq_queue_open(on, "q", EVQ_QUEUE_ATTRS(.dead_letter = "dead"), &s->q));
	ck_ok(evq_queue_open(on, "dead", NULL, &s->dead));
	ck_ok(evq_queue_open(on, "other", EVQ_QUEUE_ATTRS(), &other));
	evq_queue_close(other);
	for (int i = 0; i <= SUBJECT_LEASED; i++)
		send(s->q, "body");
	evq_batch *leased = take(s->q, SUBJECT_LEASED);
	for (size_t i = 0; i < SUBJECT_LEASED; i++)
		s->r[i] = evq_batch_at(leased, i)->receipt;
	ck_ok(evq_bury(s->q, NULL, &s->r[R_BURIED], "in advance"));
	snprintf(s->copy, sizeof(s->copy), "%.500s", copy);
}

static void
subject_close(struct subject *s)
{
	evq_queue_close(s->q);
	evq_queue_close(s->dead);
}

/* What subject_make() made is as it made it. */
static void
subject_expect_untouched(struct subject *s)
{
	evq_stats q = stats(s->q), dead = stats(s->dead);
	ck_assert_uint_eq(q.messages, SUBJECT_LEASED);
	ck_assert_uint_eq(q.leased, SUBJECT_LEASED - 1);
	ck_assert_uint_eq(q.received, SUBJECT_LEASED);
	ck_assert_uint_eq(dead.messages, 1);
	ck_assert_uint_eq(dead.redriven, 0);
}

#endif
