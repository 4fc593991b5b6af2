/* SPDX-License-Identifier: MIT */
/*
 * Hot backups: a copy is a store that opens, verifies and holds what the original held at one moment,
 * the user's databases too, also while others write; and it never overwrites anything.
 */
#include "snapshot.h"

#include <dirent.h>
#include <lmdb.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint32_t kinds[] = { 0, EVQ_COPY_COMPACT };
static struct snapshot original;

static char *
inside(char out[300], const char *dir, const char *name)
{
	snprintf(out, 300, "%s/%s", dir, name);
	return out;
}

static void
populate(void)
{
	static char big[20000];
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.dead_letter = "dead", .retention_ms = 3600000));
	send(q, "dies");
	evq_receipt receipt = take_one(q, "dies");
	ck_ok(evq_bury(q, NULL, &receipt, "bad"));
	send(q, "leased");
	take_one(q, "leased");
	send_with(q, "delayed", EVQ_SEND_OPTS(.delay_ms = 1000, .priority = 3));
	ck_ok(evq_send(q, NULL, big, sizeof big, NULL, NULL));
	static const uint32_t flags[] = { EVQ_FIFO | EVQ_CONTENT_DEDUP, EVQ_FAIR };
	for (int i = 0; i < COUNT(flags); i++) {
		q = queue_with(i ? "fair" : "fifo", EVQ_QUEUE_ATTRS(.flags = flags[i]));
		for (int n = 0; n < 10; n++)
			send_with(q, n % 2 ? "one" : "two", EVQ_SEND_OPTS(.group = n % 3 ? "a" : "b", .dedup_id = n > 4 ? "id" : NULL));
		take(q, 2);
	}
}

static void
put_own_data(void)
{
	evq_txn *txn;
	MDB_dbi dbi;
	MDB_val key = { 3, "key" }, value = { 5, "value" };
	ck_ok(evq_begin(env, &txn));
	ck_assert_int_eq(mdb_dbi_open(evq_txn_mdb(txn), "mine", MDB_CREATE, &dbi), 0);
	ck_assert_int_eq(mdb_put(evq_txn_mdb(txn), dbi, &key, &value, 0), 0);
	ck_ok(evq_commit(txn));
}

static void
expect_own_data(evq_env *store)
{
	evq_txn *txn;
	MDB_dbi dbi;
	MDB_val key = { 3, "key" }, value;
	ck_ok(evq_begin(store, &txn));
	ck_assert_int_eq(mdb_dbi_open(evq_txn_mdb(txn), "mine", 0, &dbi), 0);
	ck_assert_int_eq(mdb_get(evq_txn_mdb(txn), dbi, &key, &value), 0);
	ck_assert_uint_eq(value.mv_size, 5);
	evq_abort(txn);
}

static evq_env *
open_copy(const char *dir)
{
	evq_env *copy = NULL;
	ck_ok(evq_env_open(dir, EVQ_ENV_OPTS(.clock = fake_clock), &copy));
	ck_ok(evq_verify(copy, NULL, NULL));
	return copy;
}

/* Looks at the copy in place of the fixture's store. */
static void
expect_same(evq_env *copy, const struct snapshot *want)
{
	evq_env *fixture = env;
	env = copy;
	snap_expect(want);
	env = fixture;
}

static void
expect_only_a_store_in(const char *dir)
{
	DIR *d = opendir(dir);
	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d));)
		ck_assert_msg(e->d_name[0] == '.' || !strcmp(e->d_name, "data.mdb") || !strcmp(e->d_name, "lock.mdb") ||
		                      !strcmp(e->d_name, "evq.shared") || !strcmp(e->d_name, "evq.journal"),
		              "%s was left in the copy", e->d_name);
	closedir(d);
}

START_TEST(copy_holds_all_that_the_original_holds)
{
	char dir[256], path[300];
	temp_dir(dir);
	populate();
	put_own_data();
	snap_take(&original);
	ck_ok(evq_env_copy(env, inside(path, dir, "backup"), kinds[_i]));
	expect_only_a_store_in(path);
	snap_expect(&original);
	evq_env *copy = open_copy(path);
	expect_same(copy, &original);
	expect_own_data(copy);
	evq_env_close(copy);
}
END_TEST

START_TEST(copy_and_original_go_their_own_ways)
{
	char dir[256], path[300];
	temp_dir(dir);
	populate();
	snap_take(&original);
	ck_ok(evq_env_copy(env, inside(path, dir, "backup"), kinds[_i]));
	size_t purged;
	ck_ok(evq_purge(queue("q"), NULL, &purged));
	evq_env *copy = open_copy(path);
	expect_same(copy, &original);
	evq_queue *q;
	ck_ok(evq_queue_open(copy, "q", NULL, &q));
	ck_ok(evq_send(q, NULL, "new", 3, NULL, NULL));
	evq_queue_close(q);
	evq_env_close(copy);
	expect_counts(queue("q"), 0, 0, 0);
}
END_TEST

START_TEST(copy_of_a_copy_is_as_good)
{
	char dir[256], first[300], second[300];
	temp_dir(dir);
	populate();
	snap_take(&original);
	ck_ok(evq_env_copy(env, inside(first, dir, "first"), kinds[_i]));
	evq_env *copy = open_copy(first);
	ck_ok(evq_env_copy(copy, inside(second, dir, "second"), kinds[_i]));
	evq_env_close(copy);
	copy = open_copy(second);
	expect_same(copy, &original);
	evq_env_close(copy);
}
END_TEST

START_TEST(copy_of_an_empty_store_opens)
{
	char dir[256];
	temp_dir(dir);
	ck_ok(evq_env_copy(env, dir, kinds[_i]));
	evq_env_close(open_copy(dir));
}
END_TEST

static off_t
size_of(const char *dir)
{
	char path[300];
	struct stat st;
	ck_assert_int_eq(stat(inside(path, dir, "data.mdb"), &st), 0);
	return st.st_size;
}

START_TEST(compact_copy_leaves_free_pages_out)
{
	static char big[900000];
	char plain[256], compact[256];
	temp_dir(plain);
	temp_dir(compact);
	populate();
	evq_queue *other = queue("other");
	ck_ok(evq_send(other, NULL, big, sizeof big, NULL, NULL));
	size_t purged;
	ck_ok(evq_purge(other, NULL, &purged));
	ck_ok(evq_env_copy(env, plain, 0));
	ck_ok(evq_env_copy(env, compact, EVQ_COPY_COMPACT));
	ck_assert_int_gt(size_of(plain), (off_t)sizeof big);
	ck_assert_int_lt(size_of(compact), (off_t)sizeof big / 2);
}
END_TEST

START_TEST(copy_is_as_private_as_the_store)
{
	char dir[256], path[300], file[400];
	struct stat st;
	mode_t mask = umask(0);
	temp_dir(dir);
	ck_ok(evq_env_copy(env, inside(path, dir, "backup"), kinds[_i]));
	umask(mask);
	snprintf(file, sizeof file, "%s/data.mdb", path);
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(copy_never_overwrites_a_store)
{
	char dir[256];
	temp_dir(dir);
	ck_ok(evq_env_copy(env, dir, 0));
	off_t size = size_of(dir);
	populate();
	ck_rc(evq_env_copy(env, dir, kinds[_i]), EEXIST);
	ck_rc(evq_env_copy(env, store_dir, kinds[_i]), EEXIST);
	ck_assert_int_eq(size_of(dir), size);
	expect_only_a_store_in(dir);
	expect_only_a_store_in(store_dir);
	evq_env_close(open_copy(dir));
}
END_TEST

START_TEST(copy_refuses_flags_it_does_not_know)
{
	static const uint32_t bad[] = { 2, 3, 0x80000000u };
	char dir[256], path[300];
	temp_dir(dir);
	for (int i = 0; i < COUNT(bad); i++)
		ck_rc(evq_env_copy(env, inside(path, dir, "backup"), bad[i]), EINVAL);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(copy_to_nowhere_is_refused)
{
	char dir[256], path[300], file[300];
	temp_dir(dir);
	ck_rc(evq_env_copy(env, inside(path, dir, "no/such"), 0), ENOENT);
	ck_rc(evq_env_copy(env, "", 0), ENOENT);
	ck_rc(evq_env_copy(env, NULL, 0), EINVAL);
	FILE *f = fopen(inside(file, dir, "file"), "w");
	ck_assert_ptr_nonnull(f);
	fclose(f);
	ck_rc(evq_env_copy(env, file, 0), ENOTDIR);
}
END_TEST

/* ---- while others write ------------------------------------------------------------------------- */

struct writer {
	evq_env *store;
	evq_queue *q, *other;
	volatile int stop;
	int lives;
};

/* Each commit leaves one message more in q and the same in other: a copy that differs is torn. */
static void *
write_on(void *arg)
{
	struct writer *w = arg;
	static char body[5000];
	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		evq_txn *txn;
		ck_ok(evq_begin(w->store, &txn));
		ck_ok(evq_send(w->q, txn, body, sizeof body, NULL, NULL));
		ck_ok(evq_send(w->other, txn, body, 10, NULL, NULL));
		ck_ok(evq_commit(txn));
		__atomic_add_fetch(&w->lives, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static uint64_t
messages_in(evq_env *store, const char *name)
{
	evq_queue *q;
	ck_ok(evq_queue_open(store, name, NULL, &q));
	uint64_t messages = stats(q).messages;
	evq_queue_close(q);
	return messages;
}

/* Until the writer has got on since; a writer that is stuck is ended by the test's time limit. */
static uint64_t
lives_after(struct writer *w, uint64_t before)
{
	uint64_t lives;
	while ((lives = (uint64_t)__atomic_load_n(&w->lives, __ATOMIC_ACQUIRE)) <= before)
		sched_yield();
	return lives;
}

START_TEST(copy_taken_while_others_write_is_one_moment)
{
	char dir[256], path[300], name[16];
	pthread_t thread;
	struct writer w = { .store = env, .q = queue("q"), .other = queue("other") };
	temp_dir(dir);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_on, &w), 0);
	uint64_t done = 0;
	for (int i = 0; i < 8; i++) {
		done = lives_after(&w, done);
		snprintf(name, sizeof name, "copy-%d", i);
		ck_ok(evq_env_copy(env, inside(path, dir, name), kinds[_i]));
		evq_env *copy = open_copy(path);
		uint64_t copied = messages_in(copy, "q");
		ck_assert_uint_eq(messages_in(copy, "other"), copied);
		ck_assert_uint_ge(copied, done);
		evq_env_close(copy);
	}
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELEASE);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

Suite *
copy_suite(void)
{
	Suite *suite = suite_create("copy");
	TCase *tc = tcase_create("copy");
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, copy_holds_all_that_the_original_holds, 0, COUNT(kinds));
	tcase_add_loop_test(tc, copy_and_original_go_their_own_ways, 0, COUNT(kinds));
	tcase_add_loop_test(tc, copy_of_a_copy_is_as_good, 0, COUNT(kinds));
	tcase_add_loop_test(tc, copy_of_an_empty_store_opens, 0, COUNT(kinds));
	tcase_add_test(tc, compact_copy_leaves_free_pages_out);
	tcase_add_loop_test(tc, copy_is_as_private_as_the_store, 0, COUNT(kinds));
	tcase_add_loop_test(tc, copy_never_overwrites_a_store, 0, COUNT(kinds));
	tcase_add_test(tc, copy_refuses_flags_it_does_not_know);
	tcase_add_test(tc, copy_to_nowhere_is_refused);
	tcase_add_loop_test(tc, copy_taken_while_others_write_is_one_moment, 0, COUNT(kinds));
	suite_add_tcase(suite, tc);
	return suite;
}
