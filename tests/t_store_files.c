/* SPDX-License-Identifier: MIT */
/*
 * The files of a store: their modes, their blocks, the descriptors on them, and opening them while
 * signals arrive.
 *
 * The lock file and the shared file are mapped and written through the mapping: a hole in them on a
 * full disk would be a SIGBUS, so they must have all their blocks before they are mapped.
 */
#include "procs.h"
#include "own_store.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/time.h>

static void
expect_all_blocks(const char *file)
{
	struct stat st = stat_of(path, file);
	ck_assert_msg(st.st_size > 0, "%s is empty", file);
	ck_assert_msg((int64_t)st.st_blocks * 512 >= st.st_size, "%s is sparse: %lld bytes in %lld blocks", file,
	              (long long)st.st_size, (long long)st.st_blocks);
}

START_TEST(mapped_files_have_all_their_blocks)
{
	evq_env *e = NULL;
	ck_ok(open_at(path, &e));
	expect_all_blocks("lock.mdb");
	expect_all_blocks("evq.shared");
	evq_env_close(e);
	ck_ok(open_at(path, &e));
	expect_all_blocks("lock.mdb");
	expect_all_blocks("evq.shared");
	evq_env_close(e);
}
END_TEST

/* A copy made by cp --sparse, or a file cut by hand: allocated before it is mapped. */
START_TEST(mapped_files_found_sparse_are_filled_in)
{
	evq_env *e = NULL;
	ck_ok(open_at(path, &e));
	evq_env_close(e);
	for (size_t i = 1; i < STORE_FILES - 1; i++) {
		char name[PATH_MAX + 32];
		off_t size = stat_of(path, store_files[i]).st_size;
		snprintf(name, sizeof(name), "%s/%s", path, store_files[i]);
		ck_assert_int_eq(truncate(name, 0), 0);
		ck_assert_int_eq(truncate(name, size), 0);
	}
	ck_ok(open_at(path, &e));
	expect_all_blocks("lock.mdb");
	expect_all_blocks("evq.shared");
	ck_ok(evq_verify(e, NULL, NULL));
	evq_env_close(e);
}
END_TEST

static const struct {
	unsigned mode, umask, want;
} modes[] = {
	{ 0, 0, 0600 },       { 0, 022, 0600 },     { 0640, 0, 0640 },    { 0660, 0, 0660 },
	{ 0644, 022, 0644 },  { 0600, 077, 0600 },  { 0666, 0, 0666 },
};

START_TEST(files_have_the_mode_asked_for_and_0600_by_default)
{
	mode_t before = umask((mode_t)modes[_i].umask);
	evq_env *e = NULL;
	ck_ok(evq_env_open(path, EVQ_ENV_OPTS(.mode = modes[_i].mode), &e));
	umask(before);
	for (size_t i = 0; i < STORE_FILES; i++) {
		unsigned got = stat_of(path, store_files[i]).st_mode & 07777;
		ck_assert_msg(got == modes[_i].want, "%s: %o", store_files[i], got);
	}
	unsigned of_dir = stat_of(dir, "store").st_mode & 0777;
	ck_assert_uint_eq(of_dir & 0700, 0700);
	if (!(modes[_i].want & 070))
		ck_assert_uint_eq(of_dir & 070, 0);
	if (!(modes[_i].want & 07))
		ck_assert_uint_eq(of_dir & 07, 0);
	evq_env_close(e);
}
END_TEST

/* The umask is the administrator's: nobody outside gets in by it, and the three files agree. */
START_TEST(umask_is_never_widened_and_the_files_agree)
{
	mode_t before = umask(027);
	evq_env *e = NULL;
	ck_ok(evq_env_open(path, EVQ_ENV_OPTS(.mode = 0660), &e));
	umask(before);
	unsigned first = stat_of(path, store_files[0]).st_mode & 07777;
	for (size_t i = 0; i < STORE_FILES; i++) {
		ck_assert_uint_eq(stat_of(path, store_files[i]).st_mode & 07777, first);
		ck_assert_uint_eq(first & ~0660u, 0);
	}
	ck_assert_uint_eq(stat_of(dir, "store").st_mode & 07, 0);
	evq_env_close(e);
}
END_TEST

#define FDS 256

static size_t
scan_fds(int flags[FDS])
{
	size_t open_now = 0;
	for (int fd = 0; fd < FDS; fd++) {
		flags[fd] = fcntl(fd, F_GETFD);
		open_now += flags[fd] >= 0;
	}
	return open_now;
}

START_TEST(every_descriptor_is_close_on_exec_and_gone_after_the_close)
{
	int before[FDS], after[FDS];
	evq_env *e = NULL;
	evq_queue *q = NULL;
	size_t count = scan_fds(before);
	ck_ok(open_at(path, &e));
	ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q));
	send(q, "x");
	ck_ok(evq_sync(e));
	ck_assert_uint_gt(scan_fds(after), count);
	for (int fd = 0; fd < FDS; fd++)
		if (before[fd] < 0 && after[fd] >= 0)
			ck_assert_msg(after[fd] & FD_CLOEXEC, "descriptor %d would leak into an exec", fd);
	evq_queue_close(q);
	evq_env_close(e);
	ck_assert_uint_eq(scan_fds(after), count);
}
END_TEST

START_TEST(opens_that_fail_leave_no_descriptor_behind)
{
	int fds[FDS];
	evq_env *e = NULL, *other = NULL;
	char garbage[PATH_MAX];
	snprintf(garbage, sizeof(garbage), "%s/garbage", dir);
	mkdir(garbage, 0700);
	strcat(garbage, "/data.mdb");
	FILE *f = fopen(garbage, "w");
	for (int i = 0; i < 20000; i++)
		fputc(i * 7, f);
	fclose(f);
	*strrchr(garbage, '/') = 0;
	ck_ok(open_at(path, &e));
	size_t count = scan_fds(fds);
	for (int i = 0; i < 20; i++) {
		ck_rc(open_at(path, &other), EBUSY);
		ck_rc(open_at(garbage, &other), EVQ_FORMAT);
		ck_rc(evq_env_open(path, EVQ_ENV_OPTS(.map_size = 1), &other), EINVAL);
	}
	ck_assert_uint_eq(scan_fds(fds), count);
	evq_env_close(e);
	f = fopen("/proc/self/maps", "r");
	char line[PATH_MAX];
	while (f && fgets(line, sizeof(line), f))
		ck_assert_msg(!strstr(line, dir), "still mapped: %s", line);
	if (f)
		fclose(f);
}
END_TEST

/* ---- signals ------------------------------------------------------------------------------------ */

static volatile sig_atomic_t ticks;

static void
count_tick(int sig)
{
	(void)sig;
	ticks++;
}

static int
open_send_close(int times)
{
	for (int i = 0; i < times; i++) {
		evq_env *e = NULL;
		evq_queue *q = NULL;
		EXPECT(open_at(path, &e), 0);
		EXPECT(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q), 0);
		EXPECT(evq_send(q, NULL, "x", 1, NULL, NULL), 0);
		evq_queue_close(q);
		evq_env_close(e);
	}
	return 0;
}

static int
open_under_signals(void *arg)
{
	(void)arg;
	struct sigaction act = { .sa_handler = count_tick }; /* without SA_RESTART: every call may be EINTR */
	sigaction(SIGALRM, &act, NULL);
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
	setitimer(ITIMER_REAL, &often, NULL);
	int rc = open_send_close(60);
	setitimer(ITIMER_REAL, &never, NULL);
	return rc ? rc : ticks == 0;
}

START_TEST(open_and_send_are_not_disturbed_by_signals)
{
	pid_t pids[3];
	for (int i = 0; i < 3; i++)
		pids[i] = proc_start(open_under_signals, NULL);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(proc_wait(pids[i]), 0);
	evq_env *e = NULL;
	evq_queue *q = NULL;
	ck_ok(open_at(path, &e));
	ck_ok(evq_queue_open(e, "q", NULL, &q));
	ck_assert_uint_eq(stats(q).visible, 180);
	evq_queue_close(q);
	ck_ok(evq_verify(e, NULL, NULL));
	evq_env_close(e);
}
END_TEST

Suite *
store_files_suite(void)
{
	Suite *s = suite_create("store_files");
	TCase *tc = tcase_create("files");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, store_teardown);
	tcase_add_test(tc, mapped_files_have_all_their_blocks);
	tcase_add_test(tc, mapped_files_found_sparse_are_filled_in);
	tcase_add_loop_test(tc, files_have_the_mode_asked_for_and_0600_by_default, 0,
	                    (int)(sizeof(modes) / sizeof(modes[0])));
	tcase_add_test(tc, umask_is_never_widened_and_the_files_agree);
	tcase_add_test(tc, every_descriptor_is_close_on_exec_and_gone_after_the_close);
	tcase_add_test(tc, opens_that_fail_leave_no_descriptor_behind);
	tcase_add_test(tc, open_and_send_are_not_disturbed_by_signals);
	suite_add_tcase(s, tc);
	return s;
}
