/* SPDX-License-Identifier: MIT */
/* Taking directories away that a test has made. */
#ifndef EVQ_TESTS_TREES_H
#define EVQ_TESTS_TREES_H

#include <ftw.h>
#include <stdio.h>

static inline int
trees_remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int
trees_remove_below(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return ftw->level ? trees_remove_entry(path, st, type, ftw) : 0;
}

static inline void
remove_tree(const char *dir)
{
	(void)nftw(dir, trees_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* All that is in it. */
static inline void
empty_tree(const char *dir)
{
	(void)nftw(dir, trees_remove_below, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
