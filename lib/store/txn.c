/* SPDX-License-Identifier: MIT */
/*
 * Owns the two ways to write, and what a caller is told when one of them fails.
 *
 * Where the process has a keeper, a call writes into the tree that is open for all of them, and is done when its
 * record is in the journal. A transaction of the user's, and every call where there is no keeper, is a transaction
 * of LMDB's own in its thread: it is not in the journal, so it is flushed twice, with the page that names it,
 * before anybody builds on it.
 */
#include "inside.h"

#include <errno.h>
#include <string.h>

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

/* ---- our own transactions ---- */

/* A thread that were cancelled with the lock held would take LMDB's writer with it. */
static int
take(struct evq__store *s, struct evq__txn *t)
{
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &t->cancel);
	int rc = evq__tenure_stand_back(s);
	if (!rc) {
		rc = evq__shared_take(s, s->lock_timeout_ms);
		evq__tenure_stood_back(s);
	}
	if (rc)
		(void)pthread_setcancelstate(t->cancel, NULL);
	return rc;
}

static void
give(struct evq__txn *t)
{
	evq__shared_give(t->store);
	(void)pthread_setcancelstate(t->cancel, NULL);
}

int
evq__txn_begin_own(struct evq__store *s, struct evq__txn *t)
{
	memset(t, 0, sizeof *t);
	t->store = s;
	int rc = atomic_load(&s->failed);
	if (!rc)
		rc = take(s, t);
	if (rc)
		return rc;
	if ((rc = evq__recover_begin(s, t, 1)))
		give(t);
	return rc;
}

static int
commit_own(struct evq__txn *t)
{
	struct evq__store *s = t->store;
	size_t number = mdb_txn_id(t->mdb);
	int rc = t->rc;
	if (rc)
		return evq__txn_abort(t, rc);
	s->shared->journal.is_unsynced = 1; /* before it is true: a death in between leaves it so */
	if ((rc = evq__recover_commit(s, t)))
		rc = evq__recover_outcome(s, number, rc);
	if (!rc && (t->is_users || t->durable != EVQ__DURABLE_LATER) && evq__recover_sync(s)) {
		atomic_store(&s->failed, EIO);
		rc = EVQ_UNKNOWN;
	}
	give(t);
	return rc;
}

/* ---- those of calls ---- */

int
evq__txn_begin(struct evq__store *s, struct evq__txn *own, struct evq__txn **out)
{
	*out = own;
	return s->tenure.has_keeper ? evq__tenure_enter(s, out) : evq__txn_begin_own(s, own);
}

int
evq__txn_commit(struct evq__txn *t, uint64_t *mark)
{
	*mark = 0;
	return t->is_shared ? evq__tenure_leave(t->store, 0, mark) : commit_own(t);
}

int
evq__txn_abort(struct evq__txn *t, int rc)
{
	uint64_t mark;
	if (t->is_shared)
		return evq__tenure_leave(t->store, rc, &mark);
	if (!t->writes)
		evq__txn_close_cursors(t); /* LMDB closes those of a writing transaction itself */
	mdb_txn_abort(t->mdb);
	if (t->writes)
		give(t);
	return rc;
}

int
evq__txn_settle(struct evq__store *s, uint64_t mark)
{
	return mark && !s->is_relaxed ? evq__flush(s, mark) : 0;
}

/* ---- reading ---- */

void
evq__txn_close_cursors(struct evq__txn *t)
{
	for (int i = 0; i < EVQ__TABLES; i++) {
		if (t->scan[i])
			mdb_cursor_close(t->scan[i]);
		if (t->at[i])
			mdb_cursor_close(t->at[i]);
	}
}

int
evq__txn_glance(struct evq__store *s, struct evq__txn *t)
{
	int dead;
	memset(t, 0, sizeof *t);
	t->store = s;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &t->mdb);
	if (rc == MDB_READERS_FULL && !mdb_reader_check(s->env, &dead) && dead)
		rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &t->mdb);
	return rc;
}

/* Another process has what the tree lacks, or died with it: whoever is given the tenure finds it in there. */
static int
have_it_committed(struct evq__store *s)
{
	struct evq__txn t;
	if (!atomic_load(&s->shared->journal.is_dirty))
		return 0;
	int rc = evq__txn_begin_own(s, &t);
	return rc ? rc : evq__txn_abort(&t, 0);
}

int
evq__txn_snapshot(struct evq__store *s, struct evq__txn *t)
{
	int rc = evq__tenure_commit(s, EVQ__ORDER_COMMIT);
	if (!rc)
		rc = have_it_committed(s);
	return rc ? rc : evq__txn_glance(s, t);
}

int
evq__txn_is_cheap(struct evq__store *s)
{
	return s->tenure.has_keeper && atomic_load(&s->tenure.is_open);
}

int
evq__txn_read(struct evq__store *s, struct evq__txn *own, struct evq__txn **out)
{
	int rc = evq__tenure_enter_open(s, out);
	if (rc != EVQ__NONE)
		return rc;
	*out = own;
	rc = have_it_committed(s);
	return rc ? rc : evq__txn_glance(s, own);
}
