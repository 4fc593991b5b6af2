/* SPDX-License-Identifier: MIT */
/*
 * Stores that are not what they should be: cut short, garbage, somebody else's, of another version,
 * left half made by a crash. Each is refused with EVQ_FORMAT and left as it was, and none is a SIGBUS;
 * what a crash may leave behind is no damage, and opens.
 *
 * The converse matters as much: a good file that only looks cut short must open. LMDB counts pages
 * that were allocated and freed in one transaction, but never writes them.
 */
#include "procs.h"
#include "support.h"

#include <limits.h>
#include <lmdb.h>
#include <sys/stat.h>

#define MESSAGES 300

static char dir[256];
static char data[PATH_MAX];

static int
open_dir(evq_env **out)
{
	return evq_env_open(dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .map_size = 64 << 20), out);
}

static void
setup(void)
{
	temp_dir(dir);
	snprintf(data, sizeof(data), "%s/data.mdb", dir);
}

static void
make_store(void)
{
	static char body[30000];
	evq_buf bodies[MESSAGES];
	evq_env *e = NULL;
	evq_queue *q = NULL;
	ck_ok(open_dir(&e));
	ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q));
	for (size_t i = 0; i < MESSAGES; i++)
		bodies[i] = (evq_buf){ body, i % 50 ? 100 : sizeof(body) };
	for (size_t i = 0; i < 6; i++)
		ck_ok(evq_send_batch(q, NULL, bodies + i * (MESSAGES / 6), MESSAGES / 6, NULL, NULL));
	evq_queue_close(q);
	evq_env_close(e);
}

/* Reads all of it, so that a hole would show. */
static void
expect_whole_store(evq_env *e)
{
	evq_queue *q = NULL;
	evq_batch *b = NULL;
	ck_ok(evq_verify(e, NULL, NULL));
	ck_ok(evq_queue_open(e, "q", NULL, &q));
	ck_ok(evq_batch_new(&b));
	ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = EVQ_BATCH_MAX), b));
	ck_assert_uint_eq(evq_batch_count(b), MESSAGES);
	evq_batch_free(b);
	evq_queue_close(q);
}

static off_t
data_size(void)
{
	struct stat st;
	ck_assert_int_eq(stat(data, &st), 0);
	return st.st_size;
}

static void
expect_format(const char *what)
{
	evq_env *e = NULL;
	off_t size = data_size();
	int rc = open_dir(&e);
	ck_assert_msg(rc == EVQ_FORMAT, "%s: %s (%d), wanted EVQ_FORMAT", what, evq_errname(rc), rc);
	ck_assert_ptr_null(e);
	ck_assert_int_eq(data_size(), size);
}

static void
write_data(const void *bytes, size_t len)
{
	FILE *f = fopen(data, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static void
patch_data(off_t at, const void *bytes, size_t len)
{
	FILE *f = fopen(data, "r+");
	ck_assert_ptr_nonnull(f);
	fseek(f, at, SEEK_SET);
	ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static MDB_txn *
raw_begin(MDB_env **raw)
{
	MDB_txn *txn = NULL;
	ck_assert_int_eq(mdb_env_create(raw), 0);
	ck_assert_int_eq(mdb_env_set_maxdbs(*raw, 32), 0);
	ck_assert_int_eq(mdb_env_set_mapsize(*raw, 64 << 20), 0);
	ck_assert_int_eq(mdb_env_open(*raw, dir, 0, 0600), 0);
	ck_assert_int_eq(mdb_txn_begin(*raw, NULL, 0, &txn), 0);
	return txn;
}

static void
raw_end(MDB_env *raw, MDB_txn *txn)
{
	ck_assert_int_eq(mdb_txn_commit(txn), 0);
	mdb_env_close(raw);
}

/* ---- cut short ---------------------------------------------------------------------------------- */

/* Where it is cut, in pages from the start and bytes more; a negative one counts from the end of the last page in use. */
static const struct {
	int pages, bytes;
} cuts[] = {
	{ 0, 0 }, { 0, 1 }, { 0, 100 }, { 1, -1 }, { 1, 0 }, { 1, 100 }, { 2, -1 }, { 2, 0 }, { 2, 1 }, { 3, 0 }, { 10, 0 },
	{ -30, 0 }, { -10, 0 }, { -2, 0 }, { -1, 0 }, { 0, -1 },
};

/* The file itself may be longer: space is taken in advance. */
static off_t
used_size(void)
{
	MDB_env *raw = NULL;
	MDB_envinfo info;
	mdb_txn_abort(raw_begin(&raw));
	ck_assert_int_eq(mdb_env_info(raw, &info), 0);
	mdb_env_close(raw);
	return (off_t)(info.me_last_pgno + 1) * sysconf(_SC_PAGESIZE);
}

START_TEST(store_cut_short_is_refused_and_left_as_it_is)
{
	make_store();
	off_t page = sysconf(_SC_PAGESIZE), whole = used_size();
	off_t cut = cuts[_i].pages * page + cuts[_i].bytes;
	if (cuts[_i].pages < 0 || cut < 0)
		cut += whole;
	ck_assert_int_eq(truncate(data, cut), 0);
	evq_env *e = NULL;
	int rc = open_dir(&e);
	if (rc == 0 && whole - cut <= 2 * page) { /* nothing lost: the last pages were free ones */
		expect_whole_store(e);
		evq_env_close(e);
		return;
	}
	ck_rc(rc, EVQ_FORMAT);
	ck_assert_int_eq(data_size(), cut);
}
END_TEST

static void
put_and_take_back(evq_env *e, size_t len)
{
	evq_txn *txn = NULL;
	MDB_dbi dbi;
	char *bytes = calloc(1, len), key[16];
	ck_ok(evq_begin(e, &txn));
	ck_ok(mdb_dbi_open(evq_txn_mdb(txn), "mine", MDB_CREATE, &dbi));
	for (int i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "x%d", i);
		MDB_val k = { strlen(key), key }, v = { 500, bytes };
		ck_ok(mdb_put(evq_txn_mdb(txn), dbi, &k, &v, 0));
	}
	MDB_val k = { 3, "big" }, v = { len, bytes };
	ck_ok(mdb_put(evq_txn_mdb(txn), dbi, &k, &v, 0));
	ck_ok(mdb_del(evq_txn_mdb(txn), dbi, &k, NULL));
	ck_ok(evq_commit(txn));
	free(bytes);
}

START_TEST(store_whose_last_pages_were_never_written_opens)
{
	make_store();
	for (size_t i = 0; i < 20; i++) {
		evq_env *e = NULL;
		int rc = open_dir(&e);
		ck_assert_msg(rc == 0, "after %zu transactions: %s", i, evq_errname(rc));
		put_and_take_back(e, (i + 1) * 700000);
		if (i == 19)
			expect_whole_store(e);
		evq_env_close(e);
	}
}
END_TEST

/* The same by the library's own means, and many other shapes of a file's end. */
START_TEST(store_opens_again_after_any_transaction)
{
	static char body[200000];
	make_store();
	for (size_t i = 0; i < 60; i++) {
		evq_env *e = NULL;
		evq_queue *q = NULL;
		evq_txn *txn = NULL;
		size_t purged;
		int rc = open_dir(&e);
		ck_assert_msg(rc == 0, "after %zu transactions: %s", i, evq_errname(rc));
		ck_ok(evq_queue_open(e, "scratch", EVQ_QUEUE_ATTRS(), &q));
		ck_ok(evq_begin(e, &txn));
		for (size_t n = 0; n < i % 13 * 3; n++)
			ck_ok(evq_send(q, txn, body, (n * 7919 + i * 104729) % sizeof(body), NULL, NULL));
		if (i % 3 != 2)
			ck_ok(evq_purge(q, txn, &purged));
		ck_ok(evq_commit(txn));
		evq_queue_close(q);
		ck_ok(evq_verify(e, NULL, NULL));
		evq_env_close(e);
	}
}
END_TEST

/* ---- not a store -------------------------------------------------------------------------------- */

START_TEST(garbage_is_refused_and_left_as_it_is)
{
	static const size_t sizes[] = { 1, 15, 100, 4096, 8192, 100001 };
	static const int kinds[] = { 0, 0xff, 'a', -1 };
	static unsigned char bytes[100001], after[100001];
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			uint32_t seed = 12345;
			for (size_t i = 0; i < sizes[s]; i++) {
				seed = seed * 1664525 + 1013904223;
				bytes[i] = (unsigned char)(kinds[k] < 0 ? (int)(seed >> 24) : kinds[k]);
			}
			write_data(bytes, sizes[s]);
			expect_format("garbage");
			FILE *f = fopen(data, "r");
			ck_assert_uint_eq(fread(after, 1, sizeof(after), f), sizes[s]);
			fclose(f);
			ck_assert_int_eq(memcmp(bytes, after, sizes[s]), 0);
		}
}
END_TEST

static int
open_expecting_failure(void *arg)
{
	(void)arg;
	evq_env *e = NULL;
	alarm(5); /* a FIFO may be waited on */
	return open_dir(&e) == 0;
}

START_TEST(data_file_that_is_no_file_is_an_error)
{
	ck_assert_int_eq(mkdir(data, 0700), 0);
	ck_assert_int_eq(proc_run(open_expecting_failure, NULL), 0);
	ck_assert_int_eq(rmdir(data), 0);
	ck_assert_int_eq(mkfifo(data, 0600), 0);
	ck_assert_int_eq(proc_run(open_expecting_failure, NULL), 0);
}
END_TEST

/* NULL: a file with no table at all. */
static const char *const foreign[] = { NULL, "accounts", "evq.queue", "evq.queues" };

START_TEST(lmdb_file_of_somebody_else_is_refused_and_left_as_it_is)
{
	static unsigned char before[1 << 20], after[1 << 20];
	MDB_env *raw = NULL;
	MDB_dbi dbi;
	MDB_txn *txn = raw_begin(&raw);
	MDB_val k = { 4, "name" }, v = { 5, "value" };
	ck_assert_int_eq(mdb_dbi_open(txn, foreign[_i], foreign[_i] ? MDB_CREATE : 0, &dbi), 0);
	if (foreign[_i])
		ck_assert_int_eq(mdb_put(txn, dbi, &k, &v, 0), 0);
	raw_end(raw, txn);
	FILE *f = fopen(data, "r");
	size_t len = fread(before, 1, sizeof(before), f);
	fclose(f);
	expect_format(foreign[_i] ? foreign[_i] : "no table");
	f = fopen(data, "r");
	ck_assert_uint_eq(fread(after, 1, sizeof(after), f), len);
	fclose(f);
	ck_assert_int_eq(memcmp(before, after, len), 0);
}
END_TEST

/* ---- LMDB's meta pages, both alike: offsets as in LMDB 0.9's MDB_meta ---------------------------- */

static const struct {
	const char *what;
	off_t at;
	uint32_t value;
} metas[] = {
	{ "magic", 16, 0xdeadbeef },   { "format of a later LMDB", 20, 2 }, { "format 0", 20, 0 },
	{ "page size 0", 40, 0 },      { "page size 1", 40, 1 },            { "page size 512", 40, 512 },
	{ "page size 4095", 40, 4095 }, { "page size 65536", 40, 65536 },   { "page size 1 GiB", 40, 1 << 30 },
	{ "last page", 136, 0x7fffffff }, { "last page, high", 140, 0x7fffffff },
};

START_TEST(damaged_meta_pages_are_refused)
{
	make_store();
	for (int i = 0; i < 2; i++)
		patch_data(i * sysconf(_SC_PAGESIZE) + metas[_i].at, &metas[_i].value, 4);
	expect_format(metas[_i].what);
}
END_TEST

/* ---- another version ---------------------------------------------------------------------------- */

/* The store's own record in evq.queue, rewritten: as its first len bytes, the first one changed by flip. */
static void
rewrite_store_record(long keep, int flip)
{
	static unsigned char record[4096];
	unsigned char zero[4] = { 0 };
	MDB_env *raw = NULL;
	MDB_dbi dbi;
	MDB_txn *txn = raw_begin(&raw);
	MDB_val k = { 4, zero }, v;
	ck_assert_int_eq(mdb_dbi_open(txn, "evq.queue", 0, &dbi), 0);
	ck_assert_int_eq(mdb_get(txn, dbi, &k, &v), 0);
	size_t len = keep < 0 ? v.mv_size : (size_t)keep;
	ck_assert_uint_le(len, sizeof(record));
	memcpy(record, v.mv_data, v.mv_size);
	record[0] = (unsigned char)(record[0] ^ flip);
	v = (MDB_val){ len, record };
	if (len)
		ck_assert_int_eq(mdb_put(txn, dbi, &k, &v, 0), 0);
	else
		ck_assert_int_eq(mdb_del(txn, dbi, &k, NULL), 0);
	raw_end(raw, txn);
}

static const struct {
	long keep; /* bytes; -1 all, 0 the record is deleted */
	int flip;
} records[] = {
	{ -1, 1 }, { -1, 2 }, { -1, 3 }, { -1, 0x80 }, { -1, 0xff }, { 0, 0 }, { 1, 0 }, { 2, 0 }, { 5, 0 }, { 8, 0 }, { 16, 0 },
};

START_TEST(store_record_of_another_version_or_cut_is_refused)
{
	make_store();
	rewrite_store_record(records[_i].keep, records[_i].flip);
	expect_format("the store's record");
	expect_format("the store's record, again");
}
END_TEST

static const char *const tables[] = { "evq.queue", "evq.name", "evq.due", "evq.body" };

START_TEST(missing_table_does_not_pass_unseen)
{
	MDB_env *raw = NULL;
	MDB_dbi dbi;
	make_store();
	MDB_txn *txn = raw_begin(&raw);
	ck_assert_int_eq(mdb_dbi_open(txn, tables[_i], 0, &dbi), 0);
	ck_assert_int_eq(mdb_drop(txn, dbi, 1), 0);
	raw_end(raw, txn);
	expect_format(tables[_i]);
}
END_TEST

/* ---- left behind by a crash --------------------------------------------------------------------- */

static const struct {
	const char *file;
	size_t len;
	int byte;
} leftovers[] = {
	{ "lock.mdb", 0, 0 },         { "lock.mdb", 100, 0 },       { "lock.mdb", 8192, 0 },    { "lock.mdb", 8192, 'x' },
	{ "evq.shared", 0, 0 },       { "evq.shared", 10, 0 },      { "evq.shared", 10, 'x' },  { "evq.shared", 4096, 0 },
	{ "evq.shared", 4096, 0xff }, { "evq.shared", 65536, 'x' }, { "new.mdb", 0, 0 },       { "new.mdb", 20000, 'x' },
	{ "new.mdb-lock", 8192, 0 },
};
#define LEFTOVERS ((int)(sizeof(leftovers) / sizeof(leftovers[0])))

static void
leave_behind(int i)
{
	char name[PATH_MAX + 32];
	snprintf(name, sizeof(name), "%s/%s", dir, leftovers[i].file);
	FILE *f = fopen(name, "w");
	ck_assert_ptr_nonnull(f);
	for (size_t n = 0; n < leftovers[i].len; n++)
		fputc(leftovers[i].byte, f);
	fclose(f);
}

START_TEST(half_made_store_is_made_anew)
{
	evq_env *e = NULL;
	leave_behind(_i);
	make_store();
	ck_ok(open_dir(&e));
	expect_whole_store(e);
	evq_env_close(e);
}
END_TEST

START_TEST(lock_and_shared_file_hold_nothing_that_cannot_be_lost)
{
	char name[PATH_MAX + 32];
	evq_env *e = NULL;
	make_store();
	leave_behind(_i);
	ck_ok(open_dir(&e));
	expect_whole_store(e);
	evq_env_close(e);
	snprintf(name, sizeof(name), "%s/%s", dir, leftovers[_i].file);
	ck_assert_int_eq(unlink(name), 0);
	ck_ok(open_dir(&e));
	ck_ok(evq_verify(e, NULL, NULL));
	evq_env_close(e);
}
END_TEST

Suite *
store_damage_suite(void)
{
	Suite *s = suite_create("store_damage");
	TCase *tc = tcase_create("damage");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, store_teardown);
	tcase_add_loop_test(tc, store_cut_short_is_refused_and_left_as_it_is, 0, (int)(sizeof(cuts) / sizeof(cuts[0])));
	tcase_add_test(tc, store_whose_last_pages_were_never_written_opens);
	tcase_add_test(tc, store_opens_again_after_any_transaction);
	tcase_add_test(tc, garbage_is_refused_and_left_as_it_is);
	tcase_add_test(tc, data_file_that_is_no_file_is_an_error);
	tcase_add_loop_test(tc, lmdb_file_of_somebody_else_is_refused_and_left_as_it_is, 0,
	                    (int)(sizeof(foreign) / sizeof(foreign[0])));
	tcase_add_loop_test(tc, damaged_meta_pages_are_refused, 0, (int)(sizeof(metas) / sizeof(metas[0])));
	tcase_add_loop_test(tc, store_record_of_another_version_or_cut_is_refused, 0,
	                    (int)(sizeof(records) / sizeof(records[0])));
	tcase_add_loop_test(tc, missing_table_does_not_pass_unseen, 0, (int)(sizeof(tables) / sizeof(tables[0])));
	tcase_add_loop_test(tc, half_made_store_is_made_anew, 0, LEFTOVERS);
	tcase_add_loop_test(tc, lock_and_shared_file_hold_nothing_that_cannot_be_lost, 0, LEFTOVERS);
	suite_add_tcase(s, tc);
	return s;
}
