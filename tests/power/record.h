/* SPDX-License-Identifier: MIT */
/*
 * The record of all that a program does to the files of one directory, in the order in which it was done, with
 * what the workload was told in between. interpose.c stands before the C library and tells of each call.
 *
 * An entry has its place once the call is done: the lock is held from before the real call until after its
 * entry. A flush is two moments: it covers what was recorded before it began, and is recorded when it has returned.
 * Writes are cut at the borders of pages, an entry each. What is written through a mapping has no call: each entry
 * is preceded by the pages of mapped files that are not what they were at the entry before.
 */
#ifndef EVQ_TESTS_POWER_RECORD_H
#define EVQ_TESTS_POWER_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { RECORD_PAGE = 4096 };

enum entry_kind {
	ENTRY_WRITE,  /* at, len, data: within a page */
	ENTRY_SIZE,   /* at: the size from now on */
	ENTRY_FLUSH,  /* of a file: at, len: the range; covers */
	ENTRY_LINK,   /* name is file from now on */
	ENTRY_UNLINK, /* name is nothing */
	ENTRY_RENAME, /* from name to to; which is file */
	ENTRY_FLUSH_DIR,
	ENTRY_MKDIR, /* the directory itself */
	ENTRY_FLUSH_PARENT,
	ENTRY_CALL,  /* at: number of the call, which begins */
	ENTRY_ANSWER /* at: number of the call, which was answered */
};

struct entry {
	enum entry_kind kind;
	unsigned file;
	uint64_t at, len;
	size_t covers; /* of a flush: the entries before this one */
	const unsigned char *data;
	const char *name, *to;
	int more; /* the next entry is part of the same write */
};

extern struct record {
	struct entry *entries;
	size_t count, room;
	unsigned files;
	size_t lies; /* flushes that were taken for none */
} record;

/* Of what happens in the directory root, an absolute path, from now on. Flushes of the file lie, or NULL, are none. */
void record_start(const char *root, const char *lie);
/* From now on nothing is recorded, and nothing is flushed: the directories of replays are not for keeping. */
void record_stop(void);
void record_forget(void);
void record_leave(void); /* forgets, and gives no memory back, which a child shares */
int record_has_name(const char *name); /* at the end */
void record_mark(enum entry_kind kind, uint64_t number);
void record_print(const struct entry *e, size_t number, void *file);

/* ---- for names.c ---- */

void record_add(struct entry e); /* Needs: the lock. */
_Noreturn void record_die(const char *what);

/* ---- for interpose.c ---- */

/* Is the file behind fd recorded? Then the lock is held until record_end(). */
int record_begin(int fd);
int record_begin_any(void);
void record_end(void);
int record_is_stopped(void);

/* Needs, all: the lock. */
void record_opened(int fd, int dir_fd, const char *path, int flags);
void record_copied(int fd, int from);
void record_closed(int fd);
void record_wrote(int fd, int64_t at, const struct iovec *v, ssize_t len);
void record_sized(int fd);
void record_renamed(int dir_fd, const char *path, int to_dir_fd, const char *to);
void record_linked(int dir_fd, const char *path, int to_dir_fd, const char *to);
void record_unlinked(int dir_fd, const char *path);
void record_made(const char *path);
void record_mapped(int fd, void *at, size_t len);
void record_unmapped(void *at);

/* Around a flush, without the lock. */
size_t record_flush_begins(void);
void record_flushed(int fd, size_t covers);

#endif
