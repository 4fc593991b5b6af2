/* SPDX-License-Identifier: MIT */
/*
 * A second power loss, while the library recovers from the first. The state that the first one left is copied by
 * the functions that are recorded, and flushed; the recovery is recorded behind that; and the store has to hold what it
 * had to hold before, at whichever moment of the recovery the power fails again.
 *
 * In a process of its own, since there is one record.
 */
#include "again.h"

#include "dice.h"
#include "disk.h"
#include "record.h"
#include "trees.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { POINTS = 6 };

static void
must(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	_exit(2);
}

static void
copy_pages(int from, int to)
{
	unsigned char page[RECORD_PAGE];
	ssize_t n;
	for (off_t at = 0; (n = pread(from, page, sizeof(page), at)) > 0; at += n)
		if (page[0] || memcmp(page, page + 1, (size_t)n - 1) != 0)
			must(pwrite(to, page, (size_t)n, at) == n, "pwrite");
	must(n == 0, "pread");
}

static void
copy_file(int from_dir, int to_dir, const char *name)
{
	struct stat st;
	int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
	int to = openat(to_dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	must(from >= 0 && to >= 0 && fstat(from, &st) == 0, name);
	must(ftruncate(to, st.st_size) == 0, name);
	copy_pages(from, to);
	must(fsync(to) == 0, name);
	close(from);
	close(to);
}

static void
copy_store(const char *from, const char *to)
{
	DIR *d = opendir(from);
	if (!d) /* there was none yet */
		return;
	must(mkdir(to, 0700) == 0, to);
	int to_dir = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int parent = openat(to_dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(to_dir >= 0 && parent >= 0, to);
	for (struct dirent *file; (file = readdir(d));)
		if (file->d_name[0] != '.')
			copy_file(dirfd(d), to_dir, file->d_name);
	must(fsync(to_dir) == 0 && fsync(parent) == 0, to);
	close(parent);
	close(to_dir);
	closedir(d);
}

/* Open, and for a moment nothing: a keeper may want it. */
static int
recover(const char *dir, const struct setting *s, uint64_t *dice)
{
	evq_env *env = NULL;
	int rc = life_open(dir, s, NULL, &env);
	if (rc)
		return rc;
	(void)nanosleep(&(struct timespec){ 0, (long)dice_below(dice, 5) * 2000000 }, NULL);
	evq_env_close(env);
	return 0;
}

static int
lose_power(struct disk *d, const char *dir, const struct setting *s, size_t from, struct span span, uint64_t seed)
{
	struct disk_kept kept;
	enum disk_how how = (enum disk_how)(seed % DISK_HOWS);
	size_t call;
	disk_lay(d, how, seed, dir, NULL, &kept);
	int wrong = look(dir, s, span.first, span.last, &call);
	if (wrong) {
		size_t n = strlen(complaint);
		snprintf(complaint + n, sizeof(complaint) - n, "; when the power failed again, after %zu entries of %zu, %d",
		         d->next - from, record.count - from, (int)how);
		disk_lay(d, how, seed, dir, NULL, &kept);
	}
	return wrong;
}

/* At some points, in their order. */
static int
lose_power_at_times(const char *dir, const struct setting *s, size_t from, struct span span, uint64_t *dice, size_t *states)
{
	struct disk *d = disk_new();
	size_t range = record.count - from, at = from;
	int wrong = 0;
	for (size_t i = POINTS; i > 0 && !wrong; i--, ++*states) {
		at += dice_below(dice, range / i + 1);
		range = record.count - at;
		disk_go_on(d, at);
		wrong = lose_power(d, dir, s, from, span, dice_roll(dice));
	}
	disk_free(d);
	return wrong;
}

int
again(const char *dir, const char *copy, const struct setting *s, struct span span, uint64_t seed, size_t *states)
{
	record_leave();
	remove_tree(copy);
	record_start(copy, s->lie);
	copy_store(dir, copy);
	size_t from = record.count;
	int rc = recover(copy, s, &seed);
	record_stop();
	if (!rc)
		return lose_power_at_times(copy, s, from, span, &seed, states);
	snprintf(complaint, sizeof(complaint), "recovery, recorded: %s", evq_errname(rc));
	return 1;
}
