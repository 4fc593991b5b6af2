/* SPDX-License-Identifier: MIT */
/*
 * Opening a store: paths and options, the files that come of it, who may have it open at once.
 *
 * These tests open stores of their own: the fixture only lends its clean-up of directories. Its files are in
 * t_store_files.c, damaged ones in t_store_damage.c, several processes in t_store_procs.c, full ones in
 * t_store_room.c.
 *
 * No test opens and closes a file of a store that this process has open: that alone would drop the
 * process's record locks on it, which is the trap that the library must avoid itself.
 */
#include "procs.h"
#include "own_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define MIB ((uint64_t)1 << 20)

/* ---- paths and options ------------------------------------------------------------------------- */

START_TEST(open_creates_the_directory_and_the_store)
{
	evq_env *e = NULL;
	ck_ok(open_at(path, &e));
	ck_ok(evq_verify(e, NULL, NULL));
	evq_env_close(e);
	ck_assert(S_ISDIR(stat_of(dir, "store").st_mode));
	for (size_t i = 0; i < STORE_FILES; i++)
		ck_assert(S_ISREG(stat_of(path, store_files[i]).st_mode));
	DIR *d = opendir(path);
	size_t count = 0;
	for (struct dirent *entry; (entry = readdir(d));)
		if (entry->d_name[0] != '.')
			count++;
	closedir(d);
	ck_assert_msg(count == STORE_FILES, "%zu files in a new store", count);
}
END_TEST

START_TEST(store_in_an_existing_directory_leaves_the_other_files_there_alone)
{
	char other[PATH_MAX + 32];
	evq_env *e = NULL;
	ck_assert_int_eq(mkdir(path, 0755), 0);
	snprintf(other, sizeof(other), "%s/notes", path);
	FILE *f = fopen(other, "w");
	fputs("mine", f);
	fclose(f);
	ck_ok(open_at(path, &e));
	evq_env_close(e);
	ck_assert_int_eq(stat_of(path, "notes").st_size, 4);
	ck_assert_uint_eq(stat_of(dir, "store").st_mode & 07777, 0755);
}
END_TEST

START_TEST(path_that_cannot_be_a_store_is_refused)
{
	char file[PATH_MAX + 32], below_file[PATH_MAX + 64], no_parent[PATH_MAX + 32], *too_long = malloc(9000);
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(below_file, sizeof(below_file), "%s/file/store", dir);
	snprintf(no_parent, sizeof(no_parent), "%s/none/store", dir);
	memset(too_long, 'a', 8999);
	too_long[8999] = 0;
	fclose(fopen(file, "w"));
	const struct {
		const char *path;
		int want;
	} bad[] = {
		{ NULL, EINVAL },          { "", ENOENT },
		{ file, ENOTDIR },         { below_file, ENOTDIR },
		{ no_parent, ENOENT },     { too_long, ENAMETOOLONG },
		{ "/dev/null", ENOTDIR },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		evq_env *e = (evq_env *)&bad;
		ck_rc(evq_env_open(bad[i].path, NULL, &e), bad[i].want);
		ck_assert_msg(e == (evq_env *)&bad, "row %zu wrote *out", i);
	}
	free(too_long);
	ck_rc(evq_env_open(path, NULL, NULL), EINVAL);
}
END_TEST

START_TEST(bad_options_are_refused_before_anything_is_created)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const size_t size = sizeof(evq_env_opts);
	const struct {
		evq_env_opts opts;
		int want;
	} bad[] = {
		{ { .size = 0 }, EINVAL },
		{ { .size = size - 1 }, EINVAL },
		{ { .size = size, .durability = 2 }, EINVAL },
		{ { .size = size, .durability = -1 }, EINVAL },
		{ { .size = size, .mode = 01000 }, EINVAL },
		{ { .size = size, .mode = 0100600 }, EINVAL },
		{ { .size = size, .map_size = 1 }, EINVAL },
		{ { .size = size, .map_size = 4 * MIB - 1 }, EINVAL },
		{ { .size = size, .map_size = 4 * MIB, .max_bytes = 4 * MIB }, EINVAL },
		{ { .size = size, .map_size = 4 * MIB, .max_bytes = 4 * MIB - 256 * page + 1 }, EINVAL },
		{ { .size = size, .map_size = 800 * MIB, .max_bytes = 792 * MIB + 1 }, EINVAL },
		{ { .size = size, .max_bytes = UINT64_MAX }, EINVAL },
		{ { .size = size, .user_dbs = 1001 }, EINVAL },
		{ { .size = size, .user_dbs = UINT32_MAX }, EINVAL },
		{ { .size = size, .lock_timeout_ms = -2 }, EINVAL },
		{ { .size = size, .lock_timeout_ms = INT64_MIN }, EINVAL },
		{ { .size = size, .flush_ms = EVQ_NONE }, EINVAL },
		{ { .size = size, .flush_ms = 60001 }, EINVAL },
		{ { .size = size, .journal_size = 1 }, EINVAL },
		{ { .size = size, .journal_size = MIB - 1 }, EINVAL },
		{ { .size = size, .journal_size = (64 << 10) * MIB + 1 }, EINVAL },
		{ { .size = size, .keeper = 1 }, EINVAL },
		{ { .size = size, .keeper = -2 }, EINVAL },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct stat st;
		evq_env *e = (evq_env *)&bad;
		int rc = evq_env_open(path, &bad[i].opts, &e);
		ck_assert_msg(rc == bad[i].want, "row %zu: %s, wanted %s", i, evq_errname(rc), evq_errname(bad[i].want));
		ck_assert_msg(e == (evq_env *)&bad, "row %zu wrote *out", i);
		ck_assert_msg(stat(path, &st) != 0, "row %zu created the directory", i);
	}
}
END_TEST

START_TEST(map_beyond_the_address_space_is_an_error_that_leaves_no_trace)
{
	const uint64_t sizes[] = { UINT64_MAX, UINT64_MAX - 4096, UINT64_MAX / 2, (uint64_t)1 << 60 };
	evq_env *e = NULL;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int rc = evq_env_open(path, EVQ_ENV_OPTS(.map_size = sizes[i]), &e);
		ck_assert_msg(rc == EINVAL || rc == ENOMEM, "row %zu: %s", i, evq_errname(rc));
		ck_assert_ptr_null(e);
	}
	ck_ok(open_at(path, &e));
	ck_ok(evq_verify(e, NULL, NULL));
	evq_env_close(e);
}
END_TEST

START_TEST(options_at_their_bounds_are_taken)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const size_t size = sizeof(evq_env_opts);
	const evq_env_opts good[] = {
		{ .size = size },
		{ .size = size, .durability = EVQ_DURABLE_RELAXED, .mode = 0777 },
		{ .size = size, .map_size = 4 * MIB },
		{ .size = size, .map_size = 4 * MIB + 1 },
		{ .size = size, .map_size = 4 * MIB, .max_bytes = 4 * MIB - 256 * page },
		{ .size = size, .map_size = 800 * MIB, .max_bytes = 792 * MIB },
		{ .size = size, .user_dbs = 1000 },
		{ .size = size, .lock_timeout_ms = EVQ_NONE },
		{ .size = size, .lock_timeout_ms = INT64_MAX },
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		evq_env *e = NULL;
		evq_queue *q = NULL;
		snprintf(path, sizeof(path), "%s/%zu", dir, i);
		int rc = evq_env_open(path, &good[i], &e);
		ck_assert_msg(rc == 0, "row %zu: %s", i, evq_errname(rc));
		ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q));
		send(q, "x");
		evq_queue_close(q);
		evq_env_close(e);
	}
}
END_TEST

START_TEST(options_of_a_later_version_pass_only_where_they_ask_for_nothing)
{
	struct {
		evq_env_opts known;
		unsigned char later[40];
	} opts = { .known = { .size = sizeof(opts) } };
	evq_env *e = NULL;
	opts.later[39] = 1;
	ck_rc(evq_env_open(path, &opts.known, &e), E2BIG);
	ck_assert_ptr_null(e);
	opts.later[39] = 0;
	ck_ok(evq_env_open(path, &opts.known, &e));
	evq_env_close(e);
}
END_TEST

START_TEST(store_opened_by_a_relative_path_outlives_a_change_of_directory)
{
	char before[PATH_MAX];
	evq_env *e = NULL;
	evq_queue *q = NULL;
	ck_assert_ptr_nonnull(getcwd(before, sizeof(before)));
	ck_assert_int_eq(chdir(dir), 0);
	ck_ok(open_at("store", &e));
	ck_assert_int_eq(chdir("/"), 0);
	ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q));
	send(q, "x");
	evq_queue_close(q);
	evq_env_close(e);
	ck_assert_int_eq(chdir(before), 0);
	ck_ok(open_at(path, &e));
	ck_ok(evq_queue_open(e, "q", NULL, &q));
	take_one(q, "x");
	evq_queue_close(q);
	evq_env_close(e);
}
END_TEST

START_TEST(store_on_a_read_only_file_system_is_an_error)
{
	evq_env *e = NULL;
	ck_ok(open_at(path, &e));
	evq_env_close(e);
	if (mount(path, path, "none", MS_BIND, "") != 0)
		return; /* needs root */
	ck_assert_int_eq(mount("none", path, "none", MS_REMOUNT | MS_BIND | MS_RDONLY, ""), 0);
	e = NULL;
	int rc = open_at(path, &e);
	umount(path);
	ck_rc(rc, EROFS);
	ck_assert_ptr_null(e);
}
END_TEST

/* ---- twice in one process ---------------------------------------------------------------------- */

START_TEST(same_store_by_any_path_is_busy_in_one_process)
{
	char paths[5][PATH_MAX + 32], before[PATH_MAX];
	evq_env *e = NULL;
	ck_ok(open_at(path, &e));
	snprintf(paths[0], sizeof(paths[0]), "%s", path);
	snprintf(paths[1], sizeof(paths[1]), "%s//", path);
	snprintf(paths[2], sizeof(paths[2]), "%s/../store/.", path);
	snprintf(paths[3], sizeof(paths[3]), "%s/link", dir);
	snprintf(paths[4], sizeof(paths[4]), "store");
	ck_assert_int_eq(symlink(path, paths[3]), 0);
	ck_assert_ptr_nonnull(getcwd(before, sizeof(before)));
	ck_assert_int_eq(chdir(dir), 0);
	for (size_t i = 0; i < 5; i++) {
		evq_env *again = (evq_env *)paths;
		int rc = open_at(paths[i], &again);
		ck_assert_msg(rc == EBUSY, "%s: %s", paths[i], evq_errname(rc));
		ck_assert_ptr_eq(again, (evq_env *)paths);
	}
	evq_env_close(e);
	for (size_t i = 0; i < 5; i++) {
		ck_ok(open_at(paths[i], &e));
		evq_env_close(e);
	}
	ck_assert_int_eq(chdir(before), 0);
}
END_TEST

static int
is_locked(const char *file)
{
	char name[PATH_MAX + 32];
	snprintf(name, sizeof(name), "%s/%s", path, file);
	int fd = open(name, O_RDWR);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int rc = fcntl(fd, F_GETLK, &lock);
	close(fd);
	return rc == 0 && lock.l_type != F_UNLCK;
}

static int
report_locks(void *arg)
{
	(void)arg;
	return is_locked("lock.mdb") | is_locked("evq.shared") << 1;
}

/* Closing any descriptor of a file drops all the process's POSIX locks on it. */
START_TEST(refused_second_open_leaves_the_locks_of_the_first_alone)
{
	evq_env *e = NULL, *again = NULL;
	ck_ok(open_at(path, &e));
	int before = proc_run(report_locks, NULL);
	ck_assert_msg(before & 1, "LMDB's lock file is not locked");
	ck_rc(open_at(path, &again), EBUSY);
	ck_rc(evq_env_copy(e, path, 0), EEXIST);
	ck_assert_int_eq(proc_run(report_locks, NULL), before);
	evq_env_close(e);
	ck_assert_int_eq(proc_run(report_locks, NULL) & 1, 0);
}
END_TEST

START_TEST(two_stores_in_one_process_do_not_mix)
{
	evq_env *stores[2] = { NULL, NULL };
	evq_queue *queues[2] = { NULL, NULL };
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%d", dir, i);
		ck_ok(open_at(path, &stores[i]));
		ck_ok(evq_queue_open(stores[i], "q", EVQ_QUEUE_ATTRS(), &queues[i]));
		send(queues[i], i ? "one" : "zero");
	}
	evq_receipt zero = take_one(queues[0], "zero"), one = take_one(queues[1], "one");
	ck_rc(evq_delete(queues[0], NULL, &one), EINVAL);
	ck_rc(evq_delete(queues[1], NULL, &zero), EINVAL);
	ck_ok(evq_delete(queues[0], NULL, &zero));
	evq_queue_close(queues[0]);
	evq_env_close(stores[0]);
	ck_ok(evq_delete(queues[1], NULL, &one));
	evq_queue_close(queues[1]);
	evq_env_close(stores[1]);
}
END_TEST

/* A store moved away while open is not the one made anew in its place. */
START_TEST(store_moved_away_makes_room_for_another)
{
	char moved[PATH_MAX];
	evq_env *e = NULL, *fresh = NULL;
	evq_queue *q = NULL;
	snprintf(moved, sizeof(moved), "%s/moved", dir);
	ck_ok(open_at(path, &e));
	ck_assert_int_eq(rename(path, moved), 0);
	ck_ok(open_at(path, &fresh));
	ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q));
	send(q, "x");
	evq_queue_close(q);
	ck_rc(evq_queue_open(fresh, "q", NULL, &q), EVQ_NOQUEUE);
	evq_env *again = NULL;
	ck_rc(open_at(moved, &again), EBUSY);
	evq_env_close(fresh);
	evq_env_close(e);
}
END_TEST

START_TEST(user_databases_are_as_many_as_asked_for)
{
	evq_env *e = NULL;
	evq_txn *txn = NULL;
	ck_ok(evq_env_open(path, EVQ_ENV_OPTS(.user_dbs = 40), &e));
	ck_ok(evq_begin(e, &txn));
	for (int i = 0; i < 41; i++) {
		char name[32];
		MDB_dbi dbi;
		snprintf(name, sizeof(name), "mine.%d", i);
		ck_rc(mdb_dbi_open(evq_txn_mdb(txn), name, MDB_CREATE, &dbi), i < 40 ? 0 : MDB_DBS_FULL);
	}
	evq_abort(txn);
	evq_env_close(e);
}
END_TEST

Suite *
store_suite(void)
{
	Suite *s = suite_create("store");
	TCase *tc = tcase_create("open");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, store_teardown);
	tcase_add_test(tc, open_creates_the_directory_and_the_store);
	tcase_add_test(tc, store_in_an_existing_directory_leaves_the_other_files_there_alone);
	tcase_add_test(tc, path_that_cannot_be_a_store_is_refused);
	tcase_add_test(tc, bad_options_are_refused_before_anything_is_created);
	tcase_add_test(tc, map_beyond_the_address_space_is_an_error_that_leaves_no_trace);
	tcase_add_test(tc, options_at_their_bounds_are_taken);
	tcase_add_test(tc, options_of_a_later_version_pass_only_where_they_ask_for_nothing);
	tcase_add_test(tc, store_opened_by_a_relative_path_outlives_a_change_of_directory);
	tcase_add_test(tc, store_on_a_read_only_file_system_is_an_error);
	tcase_add_test(tc, same_store_by_any_path_is_busy_in_one_process);
	tcase_add_test(tc, refused_second_open_leaves_the_locks_of_the_first_alone);
	tcase_add_test(tc, two_stores_in_one_process_do_not_mix);
	tcase_add_test(tc, store_moved_away_makes_room_for_another);
	tcase_add_test(tc, user_databases_are_as_many_as_asked_for);
	suite_add_tcase(s, tc);
	return s;
}
