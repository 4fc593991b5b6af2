/* SPDX-License-Identifier: MIT */
/*
 * Owns the answer to "is there room?". Three bounds: the quota, on pages in use; the map, which LMDB cannot
 * pass; and the disk, of which the data file always holds a reserve beyond its last page, taken in advance.
 * The reserve belongs to what takes messages out: receiving, deleting, dead-lettering change pages, and a
 * changed page is a new page, so a store filled to its last page could never be emptied again.
 *
 * Pages that transactions before gave back count as room. The list of them is read only when the end of the
 * map or of the disk is near.
 */
#include "inside.h"

#include <sys/stat.h>

enum { FREE_LIST = 0, MAIN = 1, GROW_PAGES = 256 };

static int
add_pages(struct evq__txn *t, MDB_dbi dbi, uint64_t *pages)
{
	MDB_stat st;
	int rc = mdb_stat(t->mdb, dbi, &st);
	if (!rc)
		*pages += st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
	return rc;
}

/* Pages of our tables and LMDB's own, as this transaction has them. */
static int
count_used(struct evq__txn *t, uint64_t *pages)
{
	*pages = 0;
	int rc = add_pages(t, MAIN, pages);
	for (int i = 0; !rc && i < EVQ__TABLES; i++)
		rc = add_pages(t, t->store->dbi[i], pages);
	return rc;
}

/* Pages that may be used again. Shape of a row: the number of pages, then their numbers, as size_t. */
static int
count_free(struct evq__store *s, uint64_t *pages)
{
	MDB_txn *txn;
	MDB_cursor *cursor;
	MDB_val k, v;
	*pages = 0;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return rc;
	if (!(rc = mdb_cursor_open(txn, FREE_LIST, &cursor))) {
		while (!(rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)))
			*pages += *(size_t *)v.mv_data;
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
grow(struct evq__store *s, uint64_t pages)
{
	int fd, rc = mdb_env_get_fd(s->env, &fd);
	if (!rc)
		rc = evq__files_reserve(fd, pages * s->page_size);
	if (!rc)
		s->allocated_pages = pages;
	return rc;
}

/* Is the disk under the first so many pages ours? Needs: the writer lock. */
static int
hold_disk(struct evq__store *s, uint64_t pages)
{
	struct stat st;
	int fd;
	if (pages <= s->allocated_pages)
		return 0;
	if (!mdb_env_get_fd(s->env, &fd) && !fstat(fd, &st))
		s->allocated_pages = (uint64_t)st.st_size / s->page_size;
	if (pages <= s->allocated_pages)
		return 0;
	uint64_t rounded = pages + GROW_PAGES < s->map_pages ? pages + GROW_PAGES : pages;
	int rc = grow(s, rounded);
	return rc == EVQ_FULL ? grow(s, pages) : rc;
}

/* Room between the last page and limit, and among the pages given back. */
static int
admit_reused(struct evq__store *s, uint64_t limit, uint64_t last_page, uint64_t need)
{
	uint64_t unused;
	int dead, rc = mdb_reader_check(s->env, &dead); /* what the dead still read nobody may use again */
	if (!rc)
		rc = count_free(s, &unused);
	if (rc)
		return evq__store_rc(s, rc);
	if (limit > last_page + 1)
		unused += limit - last_page - 1;
	return unused >= need ? 0 : EVQ_FULL;
}

int
evq__space_admit(struct evq__txn *t, uint64_t pages)
{
	struct evq__store *s = t->store;
	MDB_envinfo info;
	uint64_t used;
	int rc = count_used(t, &used);
	if (!rc)
		rc = mdb_env_info(s->env, &info);
	if (rc)
		return evq__store_rc(s, rc);
	if (used + pages > s->quota_pages)
		return EVQ_FULL;
	if (!t->pages_known) {
		t->pages_known = 1;
		t->pages = used;
	}
	pages += used > t->pages ? used - t->pages : 0; /* what the transaction took already comes on top */
	uint64_t end = info.me_last_pgno + 1 + pages;
	if (end + s->reserve_pages > s->map_pages)
		return admit_reused(s, s->map_pages, info.me_last_pgno, pages + s->reserve_pages);
	rc = hold_disk(s, end + EVQ__RESERVE_PAGES);
	if (rc != EVQ_FULL)
		return rc;
	return admit_reused(s, s->allocated_pages, info.me_last_pgno, pages + EVQ__RESERVE_PAGES);
}
