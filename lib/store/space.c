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

#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>

enum { FREE_LIST = 0, MAIN = 1, GROW_PAGES = 256 };

/* Errors: EINVAL no such handle. */
static int
add_pages(struct evq__txn *t, MDB_dbi dbi, uint64_t *pages)
{
	MDB_stat st;
	int rc = mdb_stat(t->mdb, dbi, &st);
	if (!rc)
		*pages += st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
	return rc;
}

/*
 * Pages as this transaction has them: of our tables and LMDB's own, and of all, where the user's tables may
 * grow in it too, as far as their handles were opened. Ours are the first that are opened.
 */
static int
count_used(struct evq__txn *t, uint64_t *ours, uint64_t *all)
{
	MDB_dbi users = MAIN + 1 + EVQ__TABLES;
	int rc = 0;
	*ours = 0;
	for (MDB_dbi dbi = MAIN; !rc && dbi < users; dbi++)
		rc = add_pages(t, dbi, ours);
	*all = *ours;
	for (MDB_dbi dbi = users; !rc && t->is_users && dbi < t->store->dbi_end; dbi++)
		if ((rc = add_pages(t, dbi, all)) == EINVAL)
			rc = 0;
	return rc;
}

int
evq__space_watch(struct evq__txn *t)
{
	uint64_t ours;
	t->is_users = 1;
	t->pages_known = 1;
	return evq__store_rc(t->store, count_used(t, &ours, &t->pages));
}

/*
 * What the transaction has taken already: what the tables grew by, and, since a changed page is a new one, at
 * most a page for each row that was removed or moved.
 */
static uint64_t
taken_of(struct evq__txn *t, uint64_t all)
{
	if (!t->pages_known) {
		t->pages_known = 1;
		t->pages = all;
	}
	uint64_t touched = t->dels > t->scattered ? t->dels : t->scattered;
	return (all > t->pages ? all - t->pages : 0) + (touched < t->pages ? touched : t->pages);
}

struct unused {
	size_t latest; /* the last transaction that was committed */
	size_t oldest; /* the first that somebody still reads, of those before it; SIZE_MAX: none */
	uint64_t now;  /* pages that this transaction can have */
	uint64_t soon; /* and the next ones: those too that the last transaction gave back */
};

/* A line of LMDB's list of readers: process, thread, and the transaction that is read, or "-" for none. */
static int
see_reader(const char *line, void *arg)
{
	struct unused *u = arg;
	size_t reads;
	if (sscanf(line, "%*d %*x %zu", &reads) == 1 && reads < u->latest && reads < u->oldest)
		u->oldest = reads;
	return 0;
}

/*
 * Pages given back before what the oldest reader reads. Shape of a row of the free list: the key is the
 * transaction that gave them back; the value their number, then their numbers, all as size_t.
 */
static void
count_row(const MDB_val *key, const MDB_val *row, struct unused *u)
{
	size_t by = *(const size_t *)key->mv_data, count = *(const size_t *)row->mv_data;
	if (count >= row->mv_size / sizeof count || by >= u->oldest)
		return;
	u->soon += count;
	if (by < u->latest)
		u->now += count;
}

static int
count_unused(struct evq__store *s, struct unused *u)
{
	MDB_txn *txn;
	MDB_cursor *cursor;
	MDB_val k, v;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return rc;
	*u = (struct unused){ .latest = mdb_txn_id(txn), .oldest = SIZE_MAX };
	(void)mdb_reader_list(s->env, see_reader, u);
	if (!(rc = mdb_cursor_open(txn, FREE_LIST, &cursor))) {
		while (!(rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)))
			count_row(&k, &v, u);
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

/*
 * Where the end of what there is comes near: pages between the last one and limit, and those given back. What
 * the last transaction gave back this one cannot have yet; it may borrow from the reserve, and pays back with it.
 */
static int
admit_reused(struct evq__store *s, uint64_t limit, uint64_t last_page, uint64_t need, uint64_t reserve)
{
	struct unused u;
	int dead, rc = mdb_reader_check(s->env, &dead); /* what the dead still read nobody may use again */
	if (!rc)
		rc = count_unused(s, &u);
	if (rc)
		return evq__store_rc(s, rc);
	uint64_t fresh = limit > last_page + 1 ? limit - last_page - 1 : 0;
	return fresh + u.now >= need && fresh + u.soon >= need + reserve ? 0 : EVQ_FULL;
}

/* kept: the pages of the reserve, in the map and on the disk, that are not for this. */
static int
admit(struct evq__txn *t, uint64_t pages, uint64_t kept, uint64_t kept_on_disk)
{
	struct evq__store *s = t->store;
	MDB_envinfo info;
	uint64_t ours, all;
	int rc = count_used(t, &ours, &all);
	if (!rc)
		rc = mdb_env_info(s->env, &info);
	if (rc)
		return evq__store_rc(s, rc);
	if (ours + pages > s->quota_pages && kept == s->reserve_pages)
		return EVQ_FULL;
	pages += taken_of(t, all);
	uint64_t end = info.me_last_pgno + 1 + pages;
	if (end + kept > s->map_pages)
		return admit_reused(s, s->map_pages, info.me_last_pgno, pages, kept);
	rc = hold_disk(s, end + kept_on_disk);
	if (rc != EVQ_FULL)
		return rc;
	return admit_reused(s, s->allocated_pages, info.me_last_pgno, pages, kept_on_disk);
}

int
evq__space_admit(struct evq__txn *t, uint64_t pages)
{
	int rc = admit(t, pages, t->store->reserve_pages, EVQ__RESERVE_PAGES);
	t->is_tight |= rc == EVQ_FULL;
	return rc;
}

int
evq__space_spare(struct evq__txn *t, uint64_t pages)
{
	return admit(t, pages, t->store->reserve_pages / 2, EVQ__RESERVE_PAGES / 2);
}

/* Has the disk room for so many pages more? What cannot be told is no reason to hold anybody up. */
static int
has_disk(struct evq__store *s, uint64_t pages)
{
	struct statvfs fs;
	int fd;
	if (mdb_env_get_fd(s->env, &fd) || fstatvfs(fd, &fs))
		return 1;
	return (uint64_t)fs.f_bavail * fs.f_frsize / s->page_size >= pages;
}

/*
 * A page that was changed can be used again two commits later, so what is scattered takes its pages twice, at most all
 * there are. Is there that much room, in the map and on the disk?
 */
static int
has_room_to_scatter(struct evq__txn *t)
{
	struct evq__store *s = t->store;
	uint64_t ours, all;
	MDB_envinfo info;
	if (count_used(t, &ours, &all) || mdb_env_info(s->env, &info))
		return 0;
	uint64_t pages = 2 * (t->scattered < ours ? t->scattered : ours) + s->reserve_pages;
	return info.me_last_pgno + 1 + pages <= s->map_pages && has_disk(s, pages);
}

int
evq__space_is_spread(struct evq__txn *t)
{
	uint64_t step = t->store->reserve_pages / 8;
	if (t->scattered < step || t->scattered < t->scattered_next)
		return 0;
	t->scattered_next = t->scattered + step;
	return !has_room_to_scatter(t);
}

int
evq__space_is_spent(struct evq__txn *t)
{
	uint64_t step = t->store->reserve_pages / 8;
	if (!t->scatters || t->is_users || t->scattered < 2 * step || t->scattered < t->scattered_rest)
		return 0;
	if (!has_room_to_scatter(t))
		return 1;
	t->scattered_rest = t->scattered + step;
	return 0;
}

int
evq__space_is_over(struct evq__txn *t)
{
	uint64_t step = t->store->reserve_pages / 8, most = 3 * step;
	if (t->is_users)
		t->scattered_stop = UINT64_MAX;
	else
		t->scattered_stop = t->scattered < most ? most : t->scattered + step;
	return t->scattered >= most && !t->is_users && !has_room_to_scatter(t);
}
