/* SPDX-License-Identifier: MIT */
/*
 * What the processes of kill_test do: send_some() and receive_or_redrive(), each a handful of calls, chosen by
 * chance, with an entry in the ledger for all that was acknowledged. Any error but those that must be expected
 * (EVQ_FULL, EVQ_EMPTY, EVQ_STALE) ends the process with status 1.
 *
 * The senders send one by one, in batches, and in transactions with a row of their own; the receivers
 * delete, release, extend and bury, one by one and in transactions in which the row "done" of a message may
 * be written once only, and redrive what was buried. A body holds what its number tells, so that a wrong
 * one is seen.
 */
#ifndef EVQ_TESTS_CRASH_WORKERS_H
#define EVQ_TESTS_CRASH_WORKERS_H

#include "ledger.h"

#include <errno.h>
#include <evq.h>
#include <lmdb.h>
#include <sys/types.h>

#define TOGETHER_MAX 20
#define LEASE_MS 500
#define BACKLOG 3000

struct body {
	uint64_t number, first;
	uint32_t together, len;
	unsigned char filler[]; /* each byte is that of the number, less its place */
};

static char store[4096];
static int durability = EVQ_DURABLE_FULL, keeper;
static uint64_t journal_size; /* 0: the default */

static evq_env *env;
static evq_queue *q, *dead;
static evq_batch *batch;
static MDB_dbi sent_rows, done_rows;
static int ledger;
static uint64_t next_number;
static uint32_t seed;

static uint32_t
any(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static void
must(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "process %d: %s: %s (%d)\n", (int)getpid(), what, evq_errname(rc), rc);
	exit(1);
}
#define MUST(call) must((call), #call)

static void
nap_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static void
open_store(void)
{
	evq_txn *txn = NULL;
	MUST(evq_env_open(store, EVQ_ENV_OPTS(.durability = durability, .keeper = keeper, .map_size = 1 << 30,
	                                      .journal_size = journal_size),
	                  &env));
	MUST(evq_queue_open(env, "q",
	                    EVQ_QUEUE_ATTRS(.visibility_ms = LEASE_MS, .max_messages = BACKLOG, .dead_letter = "dead"), &q));
	MUST(evq_queue_open(env, "dead", NULL, &dead));
	MUST(evq_batch_new(&batch));
	MUST(evq_begin(env, &txn));
	MUST(mdb_dbi_open(evq_txn_mdb(txn), "sent", MDB_CREATE | MDB_INTEGERKEY, &sent_rows));
	MUST(mdb_dbi_open(evq_txn_mdb(txn), "done", MDB_CREATE | MDB_INTEGERKEY, &done_rows));
	MUST(evq_commit(txn));
}

static void
close_store(void)
{
	evq_batch_free(batch);
	evq_queue_close(q);
	evq_queue_close(dead);
	evq_env_close(env);
}

/* ---- senders -------------------------------------------------------------------------------------- */

static unsigned char
filler_at(uint64_t number, uint32_t place)
{
	return (unsigned char)(number - place);
}

static evq_buf
make_body(uint64_t number, uint64_t first, uint32_t together)
{
	uint32_t len = any(20) ? any(300) : any(20000);
	struct body *b = malloc(sizeof(*b) + len);
	if (!b)
		must(ENOMEM, "malloc");
	*b = (struct body){ .number = number, .first = first, .together = together, .len = len };
	for (uint32_t i = 0; i < len; i++)
		b->filler[i] = filler_at(number, i);
	return (evq_buf){ b, sizeof(*b) + len };
}

static int
send_in_a_transaction(const evq_buf *bodies, uint32_t count, uint64_t first, evq_id *ids)
{
	evq_txn *txn = NULL;
	int rc = evq_begin(env, &txn);
	if (rc)
		return rc;
	uint64_t rows = count;
	MDB_val k = { sizeof(first), &first }, v = { sizeof(rows), &rows };
	MUST(mdb_put(evq_txn_mdb(txn), sent_rows, &k, &v, MDB_NOOVERWRITE));
	for (uint32_t i = 0; i < count && !rc; i++)
		rc = evq_send(q, txn, bodies[i].data, bodies[i].len, NULL, &ids[i]);
	if (!rc)
		return evq_commit(txn);
	evq_abort(txn);
	return rc;
}

/* A number is odd where it was sent in a transaction: then its first has a row. */
static void
send_some(void)
{
	evq_buf bodies[TOGETHER_MAX];
	evq_id ids[TOGETHER_MAX];
	struct entry entries[TOGETHER_MAX];
	uint32_t count = any(3) ? 1 : 1 + any(TOGETHER_MAX), in_txn = any(3) == 0;
	uint64_t first = next_number + in_txn;
	for (uint32_t i = 0; i < count; i++, next_number += 2)
		bodies[i] = make_body(next_number + in_txn, first, count);
	int rc = in_txn ? send_in_a_transaction(bodies, count, first, ids) :
			  evq_send_batch(q, NULL, bodies, count, NULL, ids);
	for (uint32_t i = 0; i < count && !rc; i++)
		entries[i] = (struct entry){ ENTRY_SENT, count, ids[i], first + 2 * (uint64_t)i, first, ledger_now() };
	if (!rc)
		ledger_write(ledger, entries, count);
	else if (rc == EVQ_FULL)
		nap_ms(2);
	else
		must(rc, "send");
	for (uint32_t i = 0; i < count; i++)
		free((void *)(uintptr_t)bodies[i].data);
}

/* ---- receivers ------------------------------------------------------------------------------------- */

static const struct body *
checked_body(const evq_delivery *d)
{
	const struct body *b = d->body;
	int good = d->body_len >= sizeof(*b) && d->body_len == sizeof(*b) + b->len;
	for (uint32_t i = 0; good && i < b->len; i++)
		good = b->filler[i] == filler_at(b->number, i);
	if (!good)
		must(EVQ_CORRUPT, "the body of a delivery");
	return b;
}

static struct entry
entry_of(const evq_delivery *d, uint32_t type, int64_t at_ns)
{
	const struct body *b = checked_body(d);
	return (struct entry){ type, b->together, d->id, b->number, b->first, at_ns };
}

static void
note(const evq_delivery *d, uint32_t type)
{
	struct entry e = entry_of(d, type, ledger_now());
	ledger_write(ledger, &e, 1);
}

static void
delete_one(const evq_delivery *d)
{
	note(d, ENTRY_INTENT);
	int rc = evq_delete(q, NULL, &d->receipt);
	if (rc == 0)
		note(d, ENTRY_DELETED);
	else if (rc != EVQ_STALE)
		must(rc, "evq_delete");
}

static void
settle_one(const evq_delivery *d)
{
	evq_receipt r = d->receipt;
	int rc = 0;
	switch (any(12)) {
	case 0:
		rc = evq_release(q, NULL, &r, 0, 0);
		break;
	case 1:
		rc = evq_bury(q, NULL, &r, "as it pleases");
		break;
	case 2:
		break; /* left to its lease */
	case 3:
		rc = evq_extend(q, NULL, &r, LEASE_MS, &r);
		break;
	default:
		delete_one(d);
	}
	if (rc != EVQ_STALE)
		must(rc, "settle");
}

static void
note_all_received(int64_t began)
{
	struct entry entries[TOGETHER_MAX];
	size_t count = evq_batch_count(batch);
	for (size_t i = 0; i < count; i++)
		entries[i] = entry_of(evq_batch_at(batch, i), ENTRY_RECEIVED, began);
	ledger_write(ledger, entries, count);
}

static void
receive_some(void)
{
	int64_t began = ledger_now();
	int rc = evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 1 + any(TOGETHER_MAX), .wait_ms = 20), batch);
	if (rc == EVQ_EMPTY)
		return;
	MUST(rc);
	note_all_received(began);
	for (size_t i = 0; i < evq_batch_count(batch); i++)
		settle_one(evq_batch_at(batch, i));
}

/* Received, done and deleted in one: exactly once, so that the row is never there before. */
static void
do_some_in_a_transaction(void)
{
	evq_txn *txn = NULL;
	int64_t began = ledger_now();
	MUST(evq_begin(env, &txn));
	int rc = evq_receive(q, txn, EVQ_RECEIVE_OPTS(.count = 1 + any(TOGETHER_MAX)), batch);
	if (rc == EVQ_EMPTY) {
		evq_abort(txn);
		return;
	}
	MUST(rc);
	note_all_received(began);
	for (size_t i = 0; i < evq_batch_count(batch); i++) {
		const evq_delivery *d = evq_batch_at(batch, i);
		evq_id id = d->id;
		MDB_val k = { sizeof(id), &id }, v = { 1, "" };
		note(d, ENTRY_INTENT);
		MUST(mdb_put(evq_txn_mdb(txn), done_rows, &k, &v, MDB_NOOVERWRITE));
		MUST(evq_delete(q, txn, &d->receipt));
	}
	MUST(evq_commit(txn));
	for (size_t i = 0; i < evq_batch_count(batch); i++)
		note(evq_batch_at(batch, i), ENTRY_DELETED);
}

static void
receive_or_redrive(void)
{
	size_t moved;
	uint32_t what = any(100);
	if (what == 0)
		MUST(evq_verify(env, NULL, NULL));
	else if (what < 5) {
		int rc = evq_redrive(dead, NULL, NULL, &moved);
		if (rc != EVQ_FULL)
			must(rc, "evq_redrive");
	} else if (what < 35)
		do_some_in_a_transaction();
	else
		receive_some();
}

#endif
