/* SPDX-License-Identifier: MIT */
/*
 * Owns the question whether data.mdb is as long as it says. LMDB maps the file, and a page that is named in the
 * tree but lies behind the end of the file is a SIGBUS, not an error. Yet a file may rightly end early: a page
 * that a transaction took and gave back was never written. So a short file is made longer, LMDB reads its list of
 * free pages, and the store is opened only where every page that was missing is on that list; else the file
 * gets its old length again. The old length is kept in the shared file meanwhile, for whoever comes after a death
 * in between. Only who is alone in the store does this: where others are, the file grows, and theirs is the proof.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The head of an LMDB 0.9 file, for 64-bit words in host order. Source: the file as LMDB 0.9 writes it,
 * two meta pages at 0 and at the page size, each: page head of 16 bytes, u32 magic, u32 version,
 * address, map size, two records of a database of 48 bytes (the first of which begins with the page size),
 * last page, transaction.
 */
enum {
	META_MAGIC_AT = 16,
	META_VERSION_AT = 20,
	META_MAP_SIZE_AT = 32,
	META_PAGE_SIZE_AT = 40,
	META_LAST_PAGE_AT = 136,
	META_TXN_AT = 144,
	META_LEN = 152
};
#define META_MAGIC UINT32_C(0xBEEFC0DE)

struct meta {
	uint32_t magic, version, page_size;
	uint64_t map_size, last_page, txn;
};

static int
read_meta(int fd, uint64_t at, struct meta *m)
{
	uint8_t b[META_LEN];
	ssize_t n = pread(fd, b, sizeof b, (off_t)at);
	if (n < 0)
		return errno;
	if (n != META_LEN)
		return EVQ_FORMAT;
	memcpy(&m->magic, b + META_MAGIC_AT, 4);
	memcpy(&m->version, b + META_VERSION_AT, 4);
	memcpy(&m->page_size, b + META_PAGE_SIZE_AT, 4);
	memcpy(&m->map_size, b + META_MAP_SIZE_AT, 8);
	memcpy(&m->last_page, b + META_LAST_PAGE_AT, 8);
	memcpy(&m->txn, b + META_TXN_AT, 8);
	return m->magic == META_MAGIC && m->version == 1 ? 0 : EVQ_FORMAT;
}

/* LMDB reads the newer of the two meta pages. */
static int
read_extent(int fd, struct evq__extent *out)
{
	struct meta first, second;
	int rc = read_meta(fd, 0, &first);
	if (rc)
		return rc;
	if (first.page_size < 512 || first.page_size > 65536 || (first.page_size & (first.page_size - 1)))
		return EVQ_FORMAT;
	if ((rc = read_meta(fd, first.page_size, &second)))
		return rc;
	const struct meta *newer = second.txn > first.txn ? &second : &first;
	out->page_size = first.page_size;
	out->pages = newer->last_page + 1;
	out->txn = newer->txn;
	return out->pages && out->pages <= newer->map_size / out->page_size ? 0 : EVQ_FORMAT;
}

int
evq__extent_read(int dir_fd, struct evq__extent *out)
{
	struct stat st;
	int fd = openat(dir_fd, evq__data_name, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* it might be a pipe */
	if (fd < 0)
		return errno;
	int rc = fstat(fd, &st) ? errno : S_ISREG(st.st_mode) ? 0 : EVQ_FORMAT;
	if (!rc)
		rc = read_extent(fd, out);
	if (!rc && fstat(fd, &st)) /* after what it says: it may be growing */
		rc = errno;
	out->len = (uint64_t)st.st_size;
	out->ino = (uint64_t)st.st_ino;
	(void)close(fd);
	return rc;
}

static int
set_length(int dir_fd, uint64_t len)
{
	int fd = openat(dir_fd, evq__data_name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno;
	int rc = ftruncate(fd, (off_t)len) ? errno : 0;
	(void)close(fd);
	return rc;
}

static int
is_short(const struct evq__extent *e)
{
	return e->len / e->page_size < e->pages;
}

int
evq__extent_lengthen(struct evq__store *s, int dir_fd, struct evq__extent *e)
{
	struct evq__kept *kept = &s->shared->kept;
	uint64_t whole = e->pages * e->page_size;
	if (!s->alone)
		return 0;
	int is_begun = kept->short_len && kept->short_txn == e->txn && kept->short_ino == e->ino && e->len == whole;
	if (is_begun)
		e->len = kept->short_len; /* and nobody has looked yet whether that was enough */
	if (!is_short(e)) {
		kept->short_len = 0;
		return 0;
	}
	kept->short_len = e->len;
	kept->short_txn = e->txn;
	kept->short_ino = e->ino;
	if (msync(s->shared, EVQ__SHARED_LEN, MS_SYNC))
		return errno;
	return is_begun ? 0 : set_length(dir_fd, whole);
}

/* How many free pages lie at or behind page from. Shape of a row: the number of pages, then their numbers. */
static int
count_free_from(MDB_txn *txn, uint64_t from, uint64_t *count)
{
	MDB_cursor *cursor;
	MDB_val k, v;
	*count = 0;
	int rc = mdb_cursor_open(txn, 0, &cursor);
	if (rc)
		return rc;
	while (!(rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT))) {
		const size_t *row = v.mv_data;
		for (size_t i = 1; i <= row[0] && i < v.mv_size / sizeof *row; i++)
			*count += row[i] >= from;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
check_missing(MDB_env *env, const struct evq__extent *e)
{
	MDB_txn *txn;
	uint64_t from = e->len / e->page_size, count;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return rc;
	rc = count_free_from(txn, from, &count);
	mdb_txn_abort(txn);
	return rc || count == e->pages - from ? rc : EVQ_FORMAT;
}

int
evq__extent_check(struct evq__store *s, int dir_fd, const struct evq__extent *e)
{
	if (!s->alone || !is_short(e))
		return 0;
	int rc = check_missing(s->env, e);
	if (rc && set_length(dir_fd, e->len)) /* as it was found, for whoever looks into it */
		return EVQ_FORMAT;            /* and still marked */
	s->shared->kept.short_len = 0;
	return rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND ? EVQ_FORMAT : rc;
}
