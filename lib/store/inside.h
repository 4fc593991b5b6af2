/* SPDX-License-Identifier: MIT */
/* What the files of this layer share, and nobody else sees. */
#ifndef EVQ__STORE_INSIDE_H
#define EVQ__STORE_INSIDE_H

#include <lmdb.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "record.h"
#include "shared.h"
#include "store.h"
#include "storerec.h"

#if MDB_VERSION_MAJOR != 0 || MDB_VERSION_MINOR != 9
#error "evq is written for LMDB 0.9: the file format of 1.0 is another"
#endif

enum {
	EVQ__RESERVE_PAGES = 256, /* kept free for receiving, deleting and dead-lettering */
	EVQ__MAX_READERS = 510
};

#define EVQ__MAP_DEFAULT (UINT64_C(16) << 30)

enum evq__claim { EVQ__CLAIM_DIR, EVQ__CLAIM_SHARED, EVQ__CLAIM_DATA, EVQ__CLAIMS };

struct evq__identity {
	dev_t dev;
	ino_t ino; /* 0: none */
};

/* What the call in progress wrote: its record, as far as it is known. */
struct evq__notes {
	uint8_t *bytes; /* the head's place first */
	uint32_t len;   /* EVQ__RECORD_HEAD and more; EVQ__RECORD_HEAD: nothing was written */
	uint32_t room;
	int is_over; /* it would be longer than a record may be: the tree itself is to be committed instead */
};

struct evq__journal {
	int fd;
	uint64_t ring, salt;
	uint32_t record_max; /* bytes */
	uint64_t bound;      /* of the journal that the tree may lack, before it is committed */
	uint64_t first;      /* where this process began to write; under the tenure, as the next */
	uint64_t begun;      /* up to this sequence number pages were written to; 0: none was */
};

enum evq__order {
	EVQ__ORDER_OPEN = 1,    /* hold the tree open */
	EVQ__ORDER_COMMIT = 2,  /* commit it */
	EVQ__ORDER_SYNC = 4,    /* commit it, and have that on disk */
	EVQ__ORDER_RELEASE = 8, /* and let others have it */
	EVQ__ORDER_UNDO = 16,   /* take back what is not in the journal */
	EVQ__ORDER_RENEW = 32, /* commit it, and once more: then what was given back can be used */
	EVQ__ORDER_QUIT = 64
};

enum { EVQ__POSTS = 8 };

/*
 * The tree as this process has it open for writing, over many calls. Thread-safety: everything but the atomics
 * is under gate; txn, too, is whoever's has gate. The keeper begins and commits it.
 */
struct evq__tenure {
	pthread_t keeper;
	int has_keeper;
	pthread_mutex_t gate;
	pthread_cond_t turn; /* told after every round of the keeper */
	_Atomic int is_keeper_waiting; /* for gate: callers let it go first */
	_Atomic int is_open;
	int is_busy; /* a call is in its middle, and waits for the keeper: no other may begin */
	struct evq__txn txn;
	unsigned orders; /* EVQ__ORDER_* */
	unsigned waiting; /* callers that want it open */
	unsigned direct;  /* threads that want it closed, for a transaction of their own */
	uint64_t rounds;  /* of the keeper, in which something was done */
	uint64_t failures; /* of opening it */
	int failure;       /* the last of those */
	int commit_rc;     /* of the last commit */
	int sync_rc;       /* of the last flush of the tree */
	uint64_t commits;  /* that were tried */
	int whole_rc;      /* of the commit with the call in it that is in no journal; EVQ__NONE until it was tried */
	uint64_t wanted;   /* the end of the last record that somebody waits for, or that was there when it was opened */
	int is_renewed;    /* no call has written anything since it was committed for want of pages */
	int64_t retry_at_ms; /* not before then is a commit that found no room tried again */
	uint64_t calls;    /* that ended */
	uint64_t seen_calls; /* when the keeper looked last */
	int64_t seen_at_ms;  /* and found that there had been some */
	int is_sampled;      /* it looked a moment ago, to see whether there are still any */
	int is_offered;      /* a thread goes to sleep: if nobody else has use for it, others may have it */
	_Atomic uint32_t flushing; /* threads that wait for the disk */
	int64_t opened_at_ms;
	int64_t commit_ms; /* what the last commit took */
	uint32_t handovers; /* the store's when it was let go last */
	unsigned post_count; /* sleepers of other processes that are to be woken after the next commit */
	struct {
		uint32_t queue, count;
	} posts[EVQ__POSTS];
};

struct evq__store {
	MDB_env *env;
	MDB_dbi dbi[EVQ__TABLES];
	MDB_dbi dbi_end; /* handles are below it, the user's too */
	struct evq__shared *shared;
	int shared_fd;
	int alone; /* nobody else had it open when it was opened */
	unsigned slot;
	uint32_t owner; /* its number */
	struct evq__journal journal;
	struct evq__notes notes; /* under gate */
	struct evq__tenure tenure;
	pthread_mutex_t flushing; /* one flush of the journal at a time: a failure is told once */
	_Atomic uint16_t polled[EVQ__WAKE_WORDS]; /* of the shared file's, those of this process */
	_Atomic int failed; /* the disk does not keep what it is given: what every call returns from then on */
	int is_relaxed;
	int64_t flush_ms;
	uint32_t *alive; /* a page that reads 0 in a forked child */
	pid_t pid;
	unsigned begun; /* writing transactions, for the interval of reader checks; under the tenure */
	int64_t lock_timeout_ms;
	uint64_t page_size, map_pages, reserve_pages, quota_pages;
	uint64_t allocated_pages; /* of the file, as far as looked at; under the tenure */
	uint8_t id[EVQ__STORE_ID];
	uint64_t secret;
	size_t name_end; /* bytes of a name that stand behind its hash: by the format */
	_Atomic uint32_t nonce; /* begins at random */
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
/* All of it, or an error. */
int evq__files_write(int fd, const void *bytes, size_t len, uint64_t at);
int evq__files_read(int fd, void *bytes, size_t len, uint64_t at); /* Errors: EVQ__NONE the file ends before */

/* ---- extent.c ---- */

struct evq__extent {
	uint64_t page_size;
	uint64_t pages; /* that the tree may name */
	uint64_t txn;   /* the last that was committed */
	uint64_t len;   /* of the file, in bytes */
	uint64_t ino;
};
/* What data.mdb says of itself. Errors: EVQ_FORMAT not an LMDB file; ENOENT. */
int evq__extent_read(int dir_fd, struct evq__extent *out);
/* Makes the file so long that all of it can be mapped; then, LMDB being open, was what it lacked free? */
int evq__extent_lengthen(struct evq__store *s, int dir_fd, struct evq__extent *e);
int evq__extent_check(struct evq__store *s, int dir_fd, const struct evq__extent *e);

/* ---- create.c ---- */

/* Makes data.mdb with its tables under another name, and renames it. */
int evq__create(const char *path, int dir_fd, unsigned mode);
/* Gives a store of an earlier format what it lacks. Needs: the opening lock, and to be alone. */
int evq__create_bring_up(MDB_env *env);
/* The store in that file is another than the one it was copied from. */
int evq__create_anew(const char *file, uint64_t map_size);
const char *evq__table_name(enum evq__table table);
int evq__random(void *out, size_t len);

/* ---- journal.c ---- */

/*
 * Opens evq.journal, made where it is missing or of another store. size: of the file, 0 for what there is, or the
 * default. Needs: the opening lock. Errors: EVQ_FORMAT its head is damaged; EVQ_FULL.
 */
int evq__journal_open(struct evq__store *s, int dir_fd, unsigned mode, uint64_t size);
/* Makes it of another size, where this is asked for. Needs: as before; the tree on disk, with all that it has. */
int evq__journal_resize(struct evq__store *s, int dir_fd, unsigned mode, uint64_t size);
void evq__journal_close(struct evq__store *s);
/* Room for the record of one call more, with what the tree has on disk? Needs: the tenure. */
int evq__journal_has_room(const struct evq__store *s);
/*
 * Appends the notes as one record. Needs: the tenure. Errors: EVQ_UNKNOWN written in part, and that could not be
 * taken back; else nothing was written.
 */
int evq__journal_append(struct evq__store *s, struct evq__notes *n);
/* The record at sequence that follows before, in *bytes (grown with realloc). Errors: EVQ__NONE there is none. */
int evq__journal_read(struct evq__store *s, uint64_t sequence, uint64_t before, struct evq__notes *into,
                      uint64_t *check);

/* Where the value goes, until the next note; NULL: *rc says why, 0 for a call whose record would be too long. */
uint8_t *evq__notes_put(struct evq__store *s, unsigned table, const struct evq__slice *key, size_t value_len, int *rc);
int evq__notes_del(struct evq__store *s, unsigned table, const struct evq__slice *key);
void evq__notes_reset(struct evq__notes *n);

/* ---- flush.c ---- */

/* Returns when the journal is on disk up to mark; one flushes for all that wait. Needs: no lock. */
int evq__flush(struct evq__store *s, uint64_t mark);
int evq__flush_journal(struct evq__store *s, uint64_t mark); /* and nothing else, where that fails */
/*
 * By a commit of the tree, with a flush: what is on disk in there the journal need not have. Needs: not the keeper,
 * while it has the tree open. Errors: EVQ_UNKNOWN.
 */
int evq__flush_by_tree(struct evq__store *s, uint64_t mark);
void evq__flush_note(struct evq__store *s, uint64_t to); /* up to there it is on disk */

/* ---- recover.c ---- */

/*
 * Begins a transaction of LMDB in this thread, with all in it that the journal has; what there was to be written
 * again is committed first where is_own. Needs: the tenure. Errors: those of writing; EVQ_CORRUPT.
 */
int evq__recover_begin(struct evq__store *s, struct evq__txn *t, int is_own);
/* Commits what evq__recover_begin began; t is over, also on failure. Needs: the tenure. */
int evq__recover_commit(struct evq__store *s, struct evq__txn *t);
/*
 * Whether a commit of transaction number that failed with rc happened, another transaction tells: LMDB refuses it
 * where the old page that names the tree could not be put back, and else numbers it behind what was committed.
 * Returns 0, rc or EVQ_UNKNOWN. Needs: the tenure, and no transaction of LMDB open.
 */
int evq__recover_outcome(struct evq__store *s, size_t number, int rc);
/* All of the tree on disk. Needs: the tenure, and no transaction of LMDB open. */
int evq__recover_sync(struct evq__store *s);

/* ---- tenure.c, keeper.c ---- */

int evq__tenure_init(struct evq__store *s);
void evq__tenure_destroy(struct evq__store *s);
/* A call begins, on the open tree. Errors: EVQ_BUSY; what opening it failed with. */
int evq__tenure_enter(struct evq__store *s, struct evq__txn **out);
int evq__tenure_enter_open(struct evq__store *s, struct evq__txn **out); /* Errors: EVQ__NONE it is not open */
/* It ends: what it wrote is in the journal, or, where that fails, undone. *mark: to be flushed; 0: nothing. */
int evq__tenure_leave(struct evq__store *s, int rc, uint64_t *mark);
/* Commits the tree if this process has it open; with EVQ__ORDER_SYNC, has it on disk. */
int evq__tenure_commit(struct evq__store *s, enum evq__order how);
/* Lets it go for a transaction of this thread's own, and keeps the keeper off until the tenure is taken. */
int evq__tenure_is_due(const struct evq__store *s); /* for a commit, by what was written since the last */
int evq__tenure_stand_back(struct evq__store *s);
void evq__tenure_stood_back(struct evq__store *s);
void evq__tenure_offer(struct evq__store *s); /* this thread has no use for it for some time */
/* Sleepers of other processes are to be woken when the tree shows it. 0: nobody has it open, wake them now. */
int evq__tenure_post(struct evq__store *s, uint32_t queue, uint32_t count);

int evq__keeper_start(struct evq__store *s);
void evq__keeper_stop(struct evq__store *s);
void evq__keeper_call(struct evq__store *s, unsigned slot); /* of any process */

/* ---- sleep.c ---- */

enum { EVQ__EVERYBODY = 0x7fffffff };
#define EVQ__ANY_MASK UINT32_MAX
/* Sleeps while *word is seen, us at most (below 0: for ever), or less. 1: it was woken. */
int evq__sleep(_Atomic uint32_t *word, uint32_t seen, int64_t us, uint32_t mask);
/* Wakes so many whose mask has a bit of this; returns how many were. */
uint32_t evq__sleep_end(_Atomic uint32_t *word, uint32_t count, uint32_t mask);

/* ---- wake.c ---- */

void evq__wake_others(struct evq__store *s, uint32_t queue, uint32_t count);
void evq__wake_poll(struct evq__store *s, uint32_t queue, int by); /* so many descriptors more are to be told */
void evq__wake_poll_none(struct evq__store *s); /* none of this process any more */

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

/* ---- txn.c, tree.c ---- */

/* What a code of LMDB's or the system's means for a caller. */
int evq__store_rc(const struct evq__store *s, int rc);
void evq__txn_close_cursors(struct evq__txn *t);
/* What a note says. Errors: EVQ_CORRUPT. */
int evq__tree_apply(struct evq__txn *t, const struct evq__note *note);

#endif
