/* SPDX-License-Identifier: MIT */
/*
 * Owns the agreement of tree and journal. The store's own record says up to which sequence number the journal is
 * in the tree; whoever begins a transaction finds it there, and applies what follows. So there is one path, walked
 * after a loss of power, after the death of a process, and after a transaction of our own had to be given up; on
 * all other days it is one look-up.
 *
 * Where a commit of it all finds no room, the same is done in small steps: what one step gives back the one after
 * the next may use.
 *
 * Also owns what is known of the tree on disk. A commit flushes its pages, and not the page that names them: that
 * comes with the flush after it. So after a commit the one before it is durable. The system tells of a failed flush
 * once, and then takes for clean what it has lost: after one nothing is believed until that page was written anew and
 * flushed.
 */
#include "inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { READER_CHECK_INTERVAL = 1024, STEP_CHANGES = 64 };

static const uint8_t store_key[4];

/* With no cursor: a transaction whose thread ends is never closed, and would keep it. */
static int
read_record(struct evq__txn *t, struct evq__storerec *rec)
{
	MDB_val k = { sizeof store_key, (void *)(uintptr_t)store_key }, v;
	int rc = mdb_get(t->mdb, t->store->dbi[EVQ__QUEUE], &k, &v);
	if (!rc)
		rc = evq__storerec_unpack(v.mv_data, v.mv_size, rec);
	return rc == MDB_NOTFOUND ? EVQ_FORMAT : evq__store_rc(t->store, rc);
}

static int
write_record(struct evq__txn *t, uint64_t sequence, uint64_t chain)
{
	uint8_t value[EVQ__STOREREC_LEN];
	struct evq__storerec rec;
	int rc = read_record(t, &rec);
	if (rc)
		return rc;
	rec.sequence = sequence;
	rec.chain = chain;
	evq__storerec_pack(&rec, value);
	struct evq__slice piece = { value, sizeof value };
	return evq__tree_put(t, EVQ__QUEUE, store_key, sizeof store_key, &piece, 1);
}

static int
begin(struct evq__store *s, struct evq__txn *t)
{
	int dead;
	*t = (struct evq__txn){ .store = s, .writes = 1, .cancel = t->cancel };
	if (++s->begun % READER_CHECK_INTERVAL == 0)
		(void)mdb_reader_check(s->env, &dead); /* what it cannot do now it does the next time */
	return evq__store_rc(s, mdb_txn_begin(s->env, NULL, 0, &t->mdb));
}

static int
commit(struct evq__store *s, struct evq__txn *t, uint64_t sequence, uint64_t chain)
{
	struct evq__progress *p = &s->shared->journal;
	int rc = t->rc ? t->rc : write_record(t, sequence, chain);
	if (rc)
		mdb_txn_abort(t->mdb);
	else
		rc = evq__store_rc(s, mdb_txn_commit(t->mdb));
	t->mdb = NULL;
	if (rc) {
		p->is_distrusted |= rc != EVQ_FULL;
		return rc;
	}
	if (!p->is_distrusted)
		p->durable = p->committed;
	p->committed = sequence;
	return 0;
}

static int
apply(struct evq__txn *t, const struct evq__notes *record)
{
	struct evq__note note;
	uint32_t at = EVQ__RECORD_HEAD;
	int rc;
	while ((rc = evq__note_next(record->bytes, record->len, &at, &note)) == 0)
		if ((rc = evq__tree_apply(t, &note)))
			return rc;
	return rc == EVQ__NONE ? 0 : rc;
}

/* Where the tree stands, and what to do on the way from there. */
struct replay {
	uint64_t at, chain;
	uint64_t step; /* changes after which it is committed; 0: all at once */
	int found;     /* anything at all */
	struct evq__notes record;
};

static int
step(struct evq__store *s, struct evq__txn *t, struct replay *r)
{
	uint64_t check;
	int rc = evq__journal_read(s, r->at, r->chain, &r->record, &check);
	if (!rc)
		rc = apply(t, &r->record);
	if (rc)
		return rc;
	r->at += evq__record_padded(r->record.len);
	r->chain = check;
	r->found = 1;
	if (!r->step || t->changes < r->step)
		return 0;
	rc = commit(s, t, r->at, r->chain);
	return rc ? rc : begin(s, t);
}

/* t is begun, and over where it fails. */
static int
replay(struct evq__store *s, struct evq__txn *t, struct replay *r)
{
	struct evq__progress *p = &s->shared->journal;
	int rc = 0;
	while (!rc && (p->is_uncertain || r->at < p->end))
		rc = step(s, t, r);
	if (rc == EVQ__NONE)
		rc = r->at >= p->end ? 0 : EVQ_CORRUPT; /* what was written whole was behind that */
	return rc;
}

static int
catch_up(struct evq__store *s, struct evq__txn *t, struct replay *r)
{
	struct evq__progress *p = &s->shared->journal;
	struct evq__storerec rec;
	int rc = begin(s, t);
	if (rc)
		return rc;
	if ((rc = read_record(t, &rec))) {
		mdb_txn_abort(t->mdb);
		t->mdb = NULL;
		return rc;
	}
	if (!p->is_uncertain && rec.sequence == p->end) {
		p->committed = rec.sequence;
		atomic_store(&p->is_dirty, 0);
		return 0;
	}
	r->at = rec.sequence;
	r->chain = rec.chain;
	r->found = 0;
	p->committed = rec.sequence;
	if ((rc = replay(s, t, r))) {
		if (t->mdb)
			mdb_txn_abort(t->mdb);
		return rc;
	}
	p->chain = r->chain;
	p->end = r->at;
	p->is_uncertain = 0;
	atomic_store(&p->is_dirty, p->committed != r->at);
	return 0;
}

/* The last resort is to have it all uncommitted: then at least the journal goes on. */
static int
begin_whole(struct evq__store *s, struct evq__txn *t, int is_own)
{
	struct replay r = { .step = s->tenure.retry_at_ms ? STEP_CHANGES : 0 };
	int rc = catch_up(s, t, &r);
	if (rc == EVQ_FULL) {
		r.step = r.step ? 0 : STEP_CHANGES;
		rc = catch_up(s, t, &r);
	}
	if (!rc && is_own && r.found) {
		rc = evq__recover_commit(s, t);
		r.step = STEP_CHANGES;
		if (rc == EVQ_FULL && !(rc = catch_up(s, t, &r)))
			rc = evq__recover_commit(s, t);
		if (!rc)
			rc = begin(s, t);
	}
	free(r.record.bytes);
	return rc;
}

int
evq__recover_begin(struct evq__store *s, struct evq__txn *t, int is_own)
{
	int rc = s->shared->journal.is_distrusted ? evq__recover_sync(s) : 0;
	if (!rc)
		rc = begin_whole(s, t, is_own);
	return rc == EVQ__NONE ? EVQ_CORRUPT : rc;
}

int
evq__recover_commit(struct evq__store *s, struct evq__txn *t)
{
	struct evq__progress *p = &s->shared->journal;
	uint64_t end = p->end;
	int rc = commit(s, t, end, p->chain);
	if (!rc)
		atomic_store(&p->is_dirty, 0);
	return rc;
}

int
evq__recover_outcome(struct evq__store *s, size_t number, int rc)
{
	MDB_txn *next;
	if (mdb_txn_begin(s->env, NULL, 0, &next))
		return EVQ_UNKNOWN;
	size_t next_number = mdb_txn_id(next);
	mdb_txn_abort(next);
	return next_number > number ? 0 : rc;
}

/* The page that names the tree, and that a flush may have lost, once more: the next flush is for this one. */
static int
write_root(struct evq__store *s)
{
	struct evq__storerec rec;
	struct evq__txn t = { .cancel = 0 };
	int rc = begin(s, &t);
	if (rc)
		return rc;
	if (!(rc = read_record(&t, &rec)))
		return commit(s, &t, rec.sequence, rec.chain);
	mdb_txn_abort(t.mdb);
	return rc;
}

int
evq__recover_sync(struct evq__store *s)
{
	struct evq__progress *p = &s->shared->journal;
	int rc = p->is_distrusted ? write_root(s) : 0;
	if (!rc)
		rc = evq__store_rc(s, mdb_env_sync(s->env, 1));
	p->is_distrusted = rc != 0;
	if (rc)
		return rc;
	p->is_unsynced = 0;
	p->durable = p->committed;
	evq__flush_note(s, p->committed);
	return 0;
}
