/* SPDX-License-Identifier: MIT */
/* What the files of this layer share, and nobody else sees. */
#ifndef EVQ__STORE_INSIDE_H
#define EVQ__STORE_INSIDE_H

#include <lmdb.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "store.h"
#include "storerec.h"

#if MDB_VERSION_MAJOR != 0 || MDB_VERSION_MINOR != 9
#error "evq is written for LMDB 0.9: the file format of 1.0 is another"
#endif

enum {
	EVQ__WAKE_WORDS = 256,
	EVQ__SHARED_LEN = 4096,
	EVQ__RESERVE_PAGES = 256, /* kept free for receiving, deleting and dead-lettering */
	EVQ__MAX_READERS = 510
};

#define EVQ__MAP_DEFAULT (UINT64_C(16) << 30)

enum { EVQ__BOOT_ID = 36 };

/* What outlives the processes that share it. */
struct evq__kept {
	/* What the store's time hangs on, for as long as the machine runs. */
	char boot_id[EVQ__BOOT_ID]; /* of the run of the machine that offset_ms is for; zeros: none */
	int64_t offset_ms;          /* the store's time less the time since the machine was started */
	_Atomic int64_t seen_ms;    /* the latest time of a writing transaction */
	uint64_t short_len;         /* data.mdb was found to be so long, and is being made longer; 0: no */
	uint64_t short_txn;         /* and its last transaction was this: another file is none of this */
};

/* The file evq.shared, mapped by every process that has the store open. Made anew when none has. */
struct evq__shared {
	uint64_t magic;
	uint64_t layout;        /* sizes that depend on the C library: a process of another one is refused */
	uint64_t pid_namespace; /* inode of the first opener's */
	uint64_t map_size;      /* what the first asked for: sends keep within it, in every process */
	uint64_t mapped_size;   /* what every process maps: more, where the file needs it */
	uint64_t data_dev;      /* which data.mdb it is that they map */
	uint64_t data_ino;
	struct evq__kept kept;
	pthread_mutex_t writer; /* robust, process-shared: held for the length of a writing transaction */
	_Atomic uint32_t wake[EVQ__WAKE_WORDS];    /* counts posts; hashed by queue */
	_Atomic uint32_t sleepers[EVQ__WAKE_WORDS]; /* at least so many sleep on it; a killed one stays counted */
};

enum evq__claim { EVQ__CLAIM_DIR, EVQ__CLAIM_SHARED, EVQ__CLAIM_DATA, EVQ__CLAIMS };

struct evq__identity {
	dev_t dev;
	ino_t ino; /* 0: none */
};

struct evq__store {
	MDB_env *env;
	MDB_dbi dbi[EVQ__TABLES];
	MDB_dbi dbi_end; /* handles are below it, the user's too */
	struct evq__shared *shared;
	int shared_fd;
	int alone; /* nobody else had it open when it was opened */
	uint32_t *alive; /* a page that reads 0 in a forked child */
	pid_t pid;
	unsigned begun; /* writing transactions, for the interval of reader checks; under the writer lock */
	int64_t lock_timeout_ms;
	uint64_t page_size, map_pages, reserve_pages, quota_pages;
	uint64_t allocated_pages; /* of the file, as far as looked at; under the writer lock */
	uint64_t secret;
	uint32_t nonce; /* begins at random; under the writer lock */
	struct evq__identity claims[EVQ__CLAIMS]; /* under the registry's lock */
	struct evq__store *next;                  /* likewise */
};

/* ---- files.c ---- */

extern const char evq__data_name[], evq__lock_name[], evq__shared_name[];
/* Opens the directory, made where missing. Errors: ENOENT, ENOTDIR. */
int evq__files_dir(const char *path, unsigned mode, int *fd_out);
/* Errors: EREMOTE a network file system. */
int evq__files_local(int fd);
/* Makes the lock file as long as LMDB wants it, on disk, so that no page of it can be missing. */
int evq__files_lock(int dir_fd, unsigned mode);
/* Flushes the directory itself: names that came and went. */
int evq__files_sync_dir(int dir_fd);
/* A code of the system's, for a file there: no space in any shape is EVQ_FULL. */
int evq__files_rc(int fd, int rc);
/* Reserves disk for a file up to len. Errors: EVQ_FULL. */
int evq__files_reserve(int fd, uint64_t len);

/* ---- extent.c ---- */

struct evq__extent {
	uint64_t page_size;
	uint64_t pages; /* that the tree may name */
	uint64_t txn;   /* the last that was committed */
	uint64_t len;   /* of the file, in bytes */
};
/* What data.mdb says of itself. Errors: EVQ_FORMAT not an LMDB file; ENOENT. */
int evq__extent_read(int dir_fd, struct evq__extent *out);
/* Makes the file so long that all of it can be mapped; then, LMDB being open, was what it lacked free? */
int evq__extent_lengthen(struct evq__store *s, int dir_fd, struct evq__extent *e);
int evq__extent_check(struct evq__store *s, int dir_fd, const struct evq__extent *e);

/* ---- create.c ---- */

/* Makes data.mdb with its tables under another name, and renames it. */
int evq__create(const char *path, int dir_fd, unsigned mode);
const char *evq__table_name(enum evq__table table);

/* ---- shared.c ---- */

/* Opens and maps evq.shared, holding its opening lock. s->shared_fd and s->shared are set. */
int evq__shared_open(struct evq__store *s, int dir_fd, const struct evq__store_opts *opts);
void evq__shared_opened(struct evq__store *s); /* lets go of the opening lock */
void evq__shared_close(struct evq__store *s);
int evq__shared_lock(struct evq__store *s); /* Errors: EVQ_BUSY */
void evq__shared_unlock(struct evq__store *s);

/* ---- time.c ---- */

/*
 * Makes the anchor good for this run of the machine. Needs: the opening lock, and nobody else in the store.
 */
void evq__time_anchor(struct evq__store *s, int64_t seen_ms);
/* ---- boot.c ---- */

/* Which run of the machine this is; zeros where that cannot be known. */
void evq__boot_id(char out[EVQ__BOOT_ID]);

/* ---- registry.c ---- */

void evq__registry_add(struct evq__store *s);
void evq__registry_remove(struct evq__store *s);
/* Before it is opened: may s have the file or directory? Errors: EBUSY another store of this process has it. */
int evq__registry_claim(struct evq__store *s, enum evq__claim which, const struct stat *st);

/* ---- txn.c ---- */

/* What a code of LMDB's or the system's means for a caller. */
int evq__store_rc(const struct evq__store *s, int rc);

#endif
