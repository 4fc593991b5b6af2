/* SPDX-License-Identifier: MIT */
/*
 * The size of the data file when as many messages go as come: a thousand
 * wait, some 200,000 live (fewer where that takes too long), and then what
 * the file has beyond the bytes that live in it is the store's own. The
 * other files of the store, of a fixed size or none, are told beside it.
 */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define STEADY_LIVES 200000
#define ABOUT_A_MESSAGE 200 /* bytes of keys and records beside the body */

struct sizes {
	int64_t data, others;
};

static int
measure_files(const char *path, struct sizes *out)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	struct stat st;

	*out = (struct sizes){ 0, 0 };
	if (dir == NULL)
		return bench_fail(path, "sizes", errno);
	while ((e = readdir(dir)) != NULL) {
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
			continue;
		*(strcmp(e->d_name, "data.mdb") == 0 ? &out->data : &out->others) += st.st_size;
	}
	(void)closedir(dir);
	return out->data > 0 ? 0 : bench_fail(path, "sizes", ENOENT);
}

static void
report(struct bench *b, const struct lane *l, const struct sizes *sizes, const char *target)
{
	int64_t live = (int64_t)(l->cell.waiting * (l->cell.body_len + ABOUT_A_MESSAGE));
	char lives[32], data[32], beyond[32], others[32];

	table_number(lives, (double)l->tally->messages);
	table_number(data, (double)sizes->data);
	table_number(beyond, (double)(sizes->data - live));
	table_number(others, (double)sizes->others);
	(void)printf("%-8s %5zu %12s %14s %14s %14s\n", options_modes[l->cell.mode], l->cell.batch, lives, data, beyond,
	    others);
	(void)fflush(stdout);
	bench_target(b, target, (double)(sizes->data - live), "<=", 4 << 20);
}

static int
run_mode(struct bench *b, enum mode mode, size_t batch, const char *target)
{
	const struct cell cell = { 100, batch, mode, BENCH_WAITING, NULL };
	struct lane l = { .store = NULL };
	struct sizes sizes;
	int rc = lane_open(b, &l, &queue_side, &cell);

	if (rc == 0)
		rc = lane_lives(&l, STEADY_LIVES, b->options.cell_ms * 4);
	if (rc == 0)
		rc = measure_files(l.path, &sizes);
	if (rc == 0)
		report(b, &l, &sizes, target);
	if (rc == 0)
		rc = lane_check(&l);
	lane_close(&l);
	return rc;
}

int
steady_run(struct bench *b)
{
	int rc;

	(void)printf("\nsteady: bytes of the data file, 1,000 waiting, 100 bytes\n");
	(void)printf("%-8s %5s %12s %14s %14s %14s\n", "durable", "batch", "lives", "data.mdb", "beyond lives",
	    "other files");
	rc = run_mode(b, MODE_RELAXED, 1, "steady: bytes of the data file beyond what lives, relaxed");
	if (rc == 0)
		rc = run_mode(b, MODE_FULL, 10, "steady: bytes of the data file beyond what lives, full");
	return rc;
}
