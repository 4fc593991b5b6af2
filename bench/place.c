/* SPDX-License-Identifier: MIT */
/*
 * Where the benchmark runs: its temporary directory, which is removed at the
 * end also when the run is interrupted (a signal only sets a flag, which
 * every round looks at), and the line that says what machine this is.
 *
 * Flushes are a good part of what is measured, so the file system's type is
 * told: on tmpfs they cost nothing, and the durable figures mean nothing.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <evq.h>
#include <lmdb.h>

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

void
place_catch(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaction(signals[i], &action, NULL);
}

void
place_mute(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaddset(&set, signals[i]);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int
place_interrupted(void)
{
	return interrupted;
}

int
place_make(const char *dir, char root[BENCH_PATH])
{
	/* a store's name has to fit behind it */
	if (snprintf(root, BENCH_PATH, "%s/evq-bench-XXXXXX", dir) >= BENCH_PATH - 32)
		return bench_fail(dir, "dir", ENAMETOOLONG);
	if (mkdtemp(root) == NULL)
		return bench_fail(dir, "cannot make a directory there", errno);
	return 0;
}

int
place_store(struct bench *b, char path[BENCH_PATH])
{
	if (snprintf(path, BENCH_PATH, "%.*s/%u", BENCH_PATH - 32, b->root, b->stores++) >= BENCH_PATH)
		return bench_fail(b->root, "store", ENAMETOOLONG);
	return mkdir(path, 0700) == 0 ? 0 : bench_fail(path, "mkdir", errno);
}

/* What other stores left behind, and their removal, is not to be paid for in the next measurement. */
void
place_settle(const char *root)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)syncfs(fd);
	(void)close(fd);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void
place_remove(const char *path)
{
	if (nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
		(void)bench_fail(path, "cannot be removed", errno);
}

/* Source: proc(5), mountinfo: "id parent major:minor root mount options... - type source ..." */
static int
mount_type(const struct stat *st, const char *line, char type[32])
{
	unsigned major_no, minor_no;
	const char *dash = strstr(line, " - ");

	if (dash == NULL || sscanf(line, "%*u %*u %u:%u", &major_no, &minor_no) != 2)
		return 0;
	if (major_no != major(st->st_dev) || minor_no != minor(st->st_dev))
		return 0;
	return sscanf(dash, " - %31s", type) == 1;
}

static void
filesystem(const char *path, char type[32])
{
	char line[4096];
	struct stat st;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	(void)strcpy(type, "unknown");
	if (f == NULL)
		return;
	if (stat(path, &st) == 0) {
		while (fgets(line, sizeof(line), f) != NULL && !mount_type(&st, line, type))
			continue;
	}
	(void)fclose(f);
}

static void
processor(char name[128])
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "re");

	(void)strcpy(name, "unknown");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "model name : %127[^\n]", name) == 1)
			break;
	}
	(void)fclose(f);
}

void
place_describe(const char *root)
{
	char type[32], cpu[128];
	struct utsname u;
	int major_no, minor_no, patch;

	filesystem(root, type);
	processor(cpu);
	if (uname(&u) != 0)
		(void)memset(&u, 0, sizeof(u));
	(void)mdb_version(&major_no, &minor_no, &patch);
	(void)printf("machine: %ld cores (%s), %s %s, LMDB %d.%d.%d, evq %s, stores on %s in %s\n",
	    sysconf(_SC_NPROCESSORS_ONLN), cpu, u.sysname, u.release, major_no, minor_no, patch,
	    evq_version(NULL, NULL, NULL), type, root);
}
