/* SPDX-License-Identifier: MIT */
/* A place for a store that the test opens by itself: the fixture only lends its clean-up of directories. */
#ifndef EVQ_TESTS_OWN_STORE_H
#define EVQ_TESTS_OWN_STORE_H

#include "support.h"

#include <limits.h>
#include <sys/stat.h>

static char dir[256];
static char path[PATH_MAX];

static inline void
setup(void)
{
	temp_dir(dir);
	snprintf(path, sizeof(path), "%s/store", dir);
}

static inline int
open_at(const char *at, evq_env **out)
{
	return evq_env_open(at, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED), out);
}

static const char *const store_files[] = { "data.mdb", "lock.mdb", "evq.shared", "evq.journal" };
#define STORE_FILES (sizeof(store_files) / sizeof(store_files[0]))

static inline struct stat
stat_of(const char *store, const char *file)
{
	char name[PATH_MAX + 32];
	struct stat st;
	snprintf(name, sizeof(name), "%s/%s", store, file);
	ck_assert_msg(stat(name, &st) == 0, "%s: %s", name, strerror(errno));
	return st;
}

#endif
