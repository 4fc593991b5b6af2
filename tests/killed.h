/* SPDX-License-Identifier: MIT */
/*
 * A store whose last process was killed after calls that stand in the journal and not yet in the tree, and its files
 * as bytes, to be changed before it is opened again.
 *
 * The keeper commits the tree when no call has come for some milliseconds, so that on a loaded machine the child may
 * be killed too late: leave_behind() looks at what the tree says of itself, and has it done again then.
 *
 * Messages are numbered: the body begins with the number, and queue "q" is to hold a run of them, in order.
 */
#ifndef EVQ_TESTS_KILLED_H
#define EVQ_TESTS_KILLED_H

#include "own_store.h"
#include "procs.h"
#include "record.h"
#include "storerec.h"

#include <fcntl.h>
#include <lmdb.h>

#define MIB ((size_t)1 << 20)

static evq_env *e;
static evq_queue *q;
static int durability = EVQ_DURABLE_RELAXED;
static uint64_t journal_size = MIB;

/* ---- the store ----------------------------------------------------------------------------------- */

static inline int
open_rc_of(const char *at, evq_env **out)
{
	return evq_env_open(at, EVQ_ENV_OPTS(.durability = durability, .journal_size = journal_size), out);
}

static inline void
reopen(void)
{
	ck_ok(open_rc_of(path, &e));
	ck_ok(evq_verify(e, NULL, NULL));
	ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(.max_body_len = 8 << 20), &q));
}

static inline void
shut(void)
{
	evq_queue_close(q);
	evq_env_close(e);
	q = NULL;
	e = NULL;
}

static inline int
send_numbered(evq_queue *to, uint32_t number, size_t len)
{
	static unsigned char body[4 * 1048576];
	memcpy(body, &number, sizeof number);
	return evq_send(to, NULL, body, len, NULL, NULL);
}

static inline int
send_run(evq_queue *to, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		EXPECT(send_numbered(to, first + i, 20), 0);
	return 0;
}

static inline uint32_t
number_of(const evq_delivery *d)
{
	uint32_t number;
	ck_assert_uint_ge(d->body_len, sizeof number);
	memcpy(&number, d->body, sizeof number);
	return number;
}

/* How many there are, first, first + 1 and so on; none is missing in between. */
static inline uint32_t
count_run(uint32_t first)
{
	evq_batch *b = batch();
	int rc = evq_peek(q, EVQ_PEEK_OPTS(.count = EVQ_BATCH_MAX), b);
	ck_assert_msg(rc == 0 || rc == EVQ_EMPTY, "%s", evq_errname(rc));
	for (size_t i = 0; i < evq_batch_count(b); i++)
		ck_assert_uint_eq(number_of(evq_batch_at(b, i)), first + i);
	return (uint32_t)evq_batch_count(b);
}

/* Opens, finds exactly these, and closes: twice, since what was recovered is to stay. */
static inline void
expect_run(uint32_t first, uint32_t count)
{
	for (int i = 0; i < 2; i++) {
		reopen();
		ck_assert_uint_eq(count_run(first), count);
		shut();
	}
}

static inline void
make_with_run(uint32_t first, uint32_t count)
{
	reopen();
	ck_assert_int_eq(send_run(q, first, count), 0);
	shut();
}

/* ---- files ---------------------------------------------------------------------------------------- */

struct bytes {
	unsigned char *at;
	size_t len;
};

static inline void
name_file(char out[static PATH_MAX + 32], const char *store, const char *file)
{
	snprintf(out, PATH_MAX + 32, "%s/%s", store, file);
}

static inline struct bytes
file_read(const char *store, const char *file)
{
	char name[PATH_MAX + 32];
	struct bytes b = { .len = (size_t)stat_of(store, file).st_size };
	name_file(name, store, file);
	FILE *f = fopen(name, "r");
	ck_assert_ptr_nonnull(f);
	b.at = malloc(b.len + 1);
	ck_assert_ptr_nonnull(b.at);
	ck_assert_uint_eq(fread(b.at, 1, b.len, f), b.len);
	fclose(f);
	return b;
}

/* In place: most of it is there, most of the time. */
static inline void
file_write(const char *store, const char *file, const struct bytes *b)
{
	char name[PATH_MAX + 32];
	name_file(name, store, file);
	int fd = open(name, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, b->at, b->len, 0), (ssize_t)b->len);
	ck_assert_int_eq(ftruncate(fd, (off_t)b->len), 0);
	ck_assert_int_eq(close(fd), 0);
}

static inline int
file_is(const char *store, const char *file, const struct bytes *want)
{
	struct bytes b = file_read(store, file);
	int is = b.len == want->len && !memcmp(b.at, want->at, b.len);
	free(b.at);
	return is;
}

struct image {
	struct bytes data, journal;
};

static inline struct image
image_take(void)
{
	return (struct image){ file_read(path, "data.mdb"), file_read(path, "evq.journal") };
}

static inline void
image_put(const struct image *i)
{
	file_write(path, "data.mdb", &i->data);
	file_write(path, "evq.journal", &i->journal);
}

static inline void
image_free(struct image *i)
{
	free(i->data.at);
	free(i->journal.at);
}

/* ---- what the tree says ------------------------------------------------------------------------------ */

/* Its own record, read past the library. */
static inline struct evq__storerec
tree_record(void)
{
	struct evq__storerec rec;
	char name[PATH_MAX + 32];
	MDB_env *raw = NULL;
	MDB_txn *txn = NULL;
	MDB_dbi dbi;
	MDB_val k = { 4, "\0\0\0" }, v;
	name_file(name, path, "data.mdb");
	ck_assert_int_eq(mdb_env_create(&raw), 0);
	ck_assert_int_eq(mdb_env_set_maxdbs(raw, 8), 0);
	ck_assert_int_eq(mdb_env_open(raw, name, MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR, 0600), 0);
	ck_assert_int_eq(mdb_txn_begin(raw, NULL, MDB_RDONLY, &txn), 0);
	ck_assert_int_eq(mdb_dbi_open(txn, "evq.queue", 0, &dbi), 0);
	ck_assert_int_eq(mdb_get(txn, dbi, &k, &v), 0);
	ck_assert_int_eq(evq__storerec_unpack(v.mv_data, v.mv_size, &rec), 0);
	mdb_txn_abort(txn);
	mdb_env_close(raw);
	return rec;
}

/* ---- the killed one ---------------------------------------------------------------------------------- */

typedef int act_fn(evq_env *env, evq_queue *q);

static inline int
act_and_die(void *arg)
{
	evq_env *own = NULL;
	evq_queue *to = NULL;
	EXPECT(open_rc_of(path, &own), 0);
	EXPECT(evq_queue_open(own, "q", NULL, &to), 0);
	int rc = (*(act_fn **)arg)(own, to);
	if (rc)
		return rc;
	raise(SIGKILL);
	return 98;
}

static inline void
die_after(act_fn *act)
{
	ck_assert_int_eq(proc_run(act_and_die, &act), 1000 + SIGKILL);
}

/* The calls of act are acknowledged, and in the journal alone. Needs: a store that was closed. */
static inline void
leave_behind(act_fn *act)
{
	struct image before = image_take();
	uint64_t sequence = tree_record().sequence;
	for (int tries = 0;; tries++) {
		die_after(act);
		if (tree_record().sequence == sequence)
			break;
		ck_assert_msg(tries < 50, "the tree was committed each time");
		image_put(&before);
	}
	image_free(&before);
}

#endif
