/* SPDX-License-Identifier: MIT */
/*
 * Owns the life of a transaction: the writer lock around it, and the truth about a commit that failed.
 *
 * A write that fails half way leaves the transaction fit for nothing but abort: its rc says so, and the
 * commit returns it. A commit that fails may still have happened; while the writer lock is held nobody else
 * can commit, so the transaction number that the store then shows decides it, and where the store cannot be
 * read any more, nothing does.
 */
#include "inside.h"

#include <errno.h>
#include <string.h>

enum { READER_CHECK_INTERVAL = 1024 }; /* writing transactions between looks for dead readers */

int
evq__store_rc(const struct evq__store *s, int rc)
{
	int fd;
	if (rc == MDB_MAP_FULL)
		return EVQ_FULL;
	return rc && !mdb_env_get_fd(s->env, &fd) ? evq__files_rc(fd, rc) : rc;
}

int
evq__store_is_crowded(int rc)
{
	return rc == MDB_READERS_FULL;
}

int
evq__store_is_damage(int rc)
{
	return rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_BAD_TXN || rc == MDB_CURSOR_FULL || rc == MDB_INVALID;
}

static void
check_readers_at_times(struct evq__store *s)
{
	int dead;
	if (++s->begun % READER_CHECK_INTERVAL == 0)
		(void)mdb_reader_check(s->env, &dead); /* what it cannot do now it does the next time */
}

/* A thread that were cancelled with the lock held would take LMDB's writer with it. */
static int
lock(struct evq__txn *t)
{
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &t->cancel);
	int rc = evq__shared_lock(t->store);
	if (rc)
		(void)pthread_setcancelstate(t->cancel, NULL);
	return rc;
}

static void
unlock(struct evq__txn *t)
{
	evq__shared_unlock(t->store);
	(void)pthread_setcancelstate(t->cancel, NULL);
}

int
evq__txn_begin(struct evq__store *s, struct evq__txn *out)
{
	memset(out, 0, sizeof *out);
	out->store = s;
	out->writes = 1;
	int rc = lock(out);
	if (rc)
		return rc;
	check_readers_at_times(s);
	if ((rc = mdb_txn_begin(s->env, NULL, 0, &out->mdb)))
		unlock(out);
	return evq__store_rc(s, rc);
}

int
evq__txn_read(struct evq__store *s, struct evq__txn *out)
{
	int dead;
	memset(out, 0, sizeof *out);
	out->store = s;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &out->mdb);
	if (rc == MDB_READERS_FULL && !mdb_reader_check(s->env, &dead) && dead)
		rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &out->mdb);
	return rc;
}

static void
close_cursors(struct evq__txn *t)
{
	for (int i = 0; i < EVQ__TABLES; i++) {
		if (t->scan[i])
			mdb_cursor_close(t->scan[i]);
		if (t->at[i])
			mdb_cursor_close(t->at[i]);
	}
}

void
evq__txn_abort(struct evq__txn *t)
{
	if (!t->writes)
		close_cursors(t); /* LMDB closes those of a writing transaction itself */
	mdb_txn_abort(t->mdb);
	if (t->writes)
		unlock(t);
}

/*
 * Another writing transaction tells: LMDB refuses it where the old meta page could not be put back, and else
 * numbers it behind what was committed. Needs: the writer lock.
 */
static int
find_outcome(struct evq__store *s, size_t number, int rc)
{
	MDB_txn *next;
	if (mdb_txn_begin(s->env, NULL, 0, &next))
		return EVQ_UNKNOWN;
	size_t next_number = mdb_txn_id(next);
	mdb_txn_abort(next);
	return next_number > number ? 0 : evq__store_rc(s, rc);
}

int
evq__txn_commit(struct evq__txn *t)
{
	int rc = t->rc;
	if (rc) {
		evq__txn_abort(t);
		return rc;
	}
	size_t number = mdb_txn_id(t->mdb);
	if ((rc = mdb_txn_commit(t->mdb)))
		rc = find_outcome(t->store, number, rc);
	unlock(t);
	return rc;
}
