/* SPDX-License-Identifier: MIT */
/*
 * The floor: what no queue on LMDB with leases could leave out, and nothing
 * else. Two tables as evq has them: the due index, whose order says what is
 * received next, and the bodies, appended by id.
 *
 *	send	put the entry (due now), append the body
 *	receive	read the first entry that is due, copy its body out,
 *		delete the entry, put it again behind (due in 30 s)
 *	delete	delete the entry, delete the body
 *
 * Keys, sizes, order and batches are evq's. There is no check of a receipt,
 * no checksum, no counter, no quota, no option, no queue but one, and no
 * journal: each call commits, unless many share a transaction.
 *
 * Two more sides do the same work: one never flushes (MDB_NOSYNC), one is
 * for a store that several processes have open at once.
 *
 * This file owns the store and its transactions; moves.c, the calls.
 */
#include "floor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- transactions ---------------------------------------------------------- */

int
floor_enter(struct floor *f)
{
	int rc = 0;

	if (f->txn != NULL)
		return 0;
	rc = mdb_txn_begin(f->env, NULL, 0, &f->txn);
	for (int i = 0; rc == 0 && i < TASKS; i++)
		rc = mdb_cursor_open(f->txn, i < TASK_APPEND ? f->due : f->body, &f->cursor[i]);
	return rc;
}

static void
close_cursors(struct floor *f)
{
	for (int i = 0; i < TASKS; i++) {
		if (f->cursor[i] != NULL)
			mdb_cursor_close(f->cursor[i]);
		f->cursor[i] = NULL;
	}
}

int
floor_leave(struct floor *f, int rc)
{
	MDB_txn *txn = f->txn;

	if (rc == 0 && f->held)
		return 0;
	f->held = false;
	f->txn = NULL;
	close_cursors(f);
	if (rc == 0)
		return mdb_txn_commit(txn);
	if (txn != NULL)
		mdb_txn_abort(txn);
	return rc;
}

static int
floor_begin(void *store)
{
	struct floor *f = store;
	int rc = floor_enter(f);

	f->held = rc == 0;
	return rc == 0 ? 0 : floor_leave(f, rc);
}

static int
floor_commit(void *store)
{
	struct floor *f = store;

	f->held = false;
	return floor_leave(f, 0);
}

/* ---- open, close, count ---------------------------------------------------- */

static int
open_tables(struct floor *f)
{
	int rc = mdb_txn_begin(f->env, NULL, 0, &f->txn);

	if (rc == 0)
		rc = mdb_dbi_open(f->txn, "due", MDB_CREATE, &f->due);
	if (rc == 0)
		rc = mdb_dbi_open(f->txn, "body", MDB_CREATE, &f->body);
	return floor_leave(f, rc);
}

static int
open_env(struct floor *f, const char *path, unsigned flags)
{
	int rc = mdb_env_create(&f->env);

	if (rc == 0)
		rc = mdb_env_set_maxdbs(f->env, 2);
	if (rc == 0)
		rc = mdb_env_set_mapsize(f->env, BENCH_MAP);
	if (rc == 0)
		rc = mdb_env_open(f->env, path, MDB_NOTLS | flags, 0600);
	return rc != 0 ? rc : open_tables(f);
}

static void
floor_close(void *store)
{
	struct floor *f = store;

	(void)floor_leave(f, ECANCELED);
	if (f->env != NULL)
		mdb_env_close(f->env);
	free(f->record);
	free(f->out);
	free(f->leased);
	free(f);
}

static int
allocate(struct floor *f, const struct cell *cell)
{
	size_t most = cell->batch > BENCH_FILL ? cell->batch : BENCH_FILL;

	f->body_len = cell->body_len;
	f->record_len = BODY_HEAD + cell->body_len;
	f->record = malloc(f->record_len);
	f->out = calloc(most, cell->body_len + 1);
	f->leased = calloc(most, sizeof(*f->leased));
	if (f->record == NULL || f->out == NULL || f->leased == NULL)
		return ENOMEM;
	memset(f->record, 'e', f->record_len);
	return 0;
}

static int
open_with(const char *path, const struct cell *cell, unsigned flags, void **out)
{
	struct floor *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return ENOMEM;
	rc = allocate(f, cell);
	if (rc == 0)
		rc = open_env(f, path, flags);
	if (rc == 0)
		*out = f;
	else
		floor_close(f);
	return rc;
}

static int
floor_open(const char *path, const struct cell *cell, void **out)
{
	return open_with(path, cell, cell->mode == MODE_RELAXED ? MDB_NOMETASYNC : 0, out);
}

static int
nosync_open(const char *path, const struct cell *cell, void **out)
{
	return open_with(path, cell, MDB_NOSYNC, out);
}

static int
floor_count(void *store, uint64_t *out)
{
	struct floor *f = store;
	MDB_stat due, body;
	size_t parts = (f->record_len + PART - 1) / PART;
	int rc = floor_enter(f);

	if (rc == 0)
		rc = mdb_stat(f->txn, f->due, &due);
	if (rc == 0)
		rc = mdb_stat(f->txn, f->body, &body);
	if (rc == 0 && body.ms_entries != due.ms_entries * parts)
		rc = MDB_CORRUPTED;
	if (rc == 0)
		*out = due.ms_entries;
	return floor_leave(f, rc);
}

const struct side floor_side = {
	.name = "floor",
	.open = floor_open,
	.close = floor_close,
	.begin = floor_begin,
	.commit = floor_commit,
	.send = floor_send,
	.receive = floor_receive,
	.settle = floor_settle,
	.count = floor_count,
};

const struct side nosync_side = {
	.name = "LMDB",
	.open = nosync_open,
	.close = floor_close,
	.begin = floor_begin,
	.commit = floor_commit,
	.send = floor_send,
	.receive = floor_receive,
	.settle = floor_settle,
	.count = floor_count,
};

const struct side crowd_side = {
	.name = "LMDB",
	.open = floor_open,
	.close = floor_close,
	.begin = floor_begin,
	.commit = floor_commit,
	.send = floor_send_among,
	.receive = floor_receive,
	.settle = floor_settle,
	.count = floor_count,
};
