/* SPDX-License-Identifier: MIT */
/*
 * What the layers below see of the store: an open environment, transactions, and the one door to its
 * tables. Nobody below this layer sees LMDB or the operating system.
 *
 * Errors, of every call that returns int, besides those it names: LMDB's codes and errno as they come;
 * EVQ_FULL for the map, the quota and the disk.
 */
#ifndef EVQ__STORE_H
#define EVQ__STORE_H

#include <stdatomic.h>

#include <evq.h>

#include "bytes.h"
#include "codes.h"

struct MDB_cursor;

enum evq__table {
	EVQ__QUEUE,
	EVQ__NAME,
	EVQ__DUE,
	EVQ__BODY,
	EVQ__GROUP,
	EVQ__DEDUP,
	EVQ__TABLES
};

enum { EVQ__STAND_MAX = 32 }; /* a longer key is looked up again */

struct evq__store;

struct evq__store_opts {
	int durability;
	unsigned mode;
	uint64_t map_size;  /* 0: 16 GiB, or what the others have */
	uint64_t max_bytes; /* 0: map_size less the reserve */
	unsigned user_dbs;
	int64_t lock_timeout_ms; /* below 0: for ever */
	int64_t flush_ms;        /* relaxed: the longest that anything is not on disk */
	uint64_t journal_size;   /* 0: what there is, or 64 MiB */
	int has_keeper;
};

/*
 * Thread-safety: one thread at a time; a writing one belongs to the thread that began it.
 * Values read are borrowed from the tree until the next put or del, or the end.
 */
struct evq__txn {
	struct evq__store *store;
	struct MDB_txn *mdb;
	struct MDB_cursor *scan[EVQ__TABLES]; /* seek and next */
	struct MDB_cursor *at[EVQ__TABLES];   /* get and del: what is looked up is often what goes next */
	struct MDB_cursor *put[EVQ__TABLES];  /* a place of its own: a move is a del and a put */
	struct {             /* the row that evq__tree_get found last, on which its cursor still stands */
		enum evq__table table;
		size_t len;  /* of the key; 0: there is none */
		uint64_t changes;
		uint8_t key[EVQ__STAND_MAX];
	} stand;
	int writes;          /* begun for writing */
	int is_shared;       /* it is the tree that the process has open, over many calls */
	int is_noted;        /* what is written goes to the journal */
	enum {
		EVQ__DURABLE,       /* the call in progress waits until the disk has what it writes */
		EVQ__DURABLE_LATER, /* it waits for nothing */
		EVQ__DURABLE_BEFORE /* it waits until the disk has what was written before it */
	} durable;
	int is_tight;        /* of the call in progress: it was refused for want of pages, not of a queue's quota */
	int cancel;          /* whether its thread could be cancelled before it */
	uint64_t changes;    /* puts and dels so far */
	uint64_t before;     /* those before the call in progress */
	uint64_t bulk;       /* bytes of large values that were put */
	int scatters;        /* the call in progress goes through its tables in an order that is not theirs */
	uint64_t scattered;  /* of the changes, those for which that was so: each may take a page of its own */
	uint64_t scattered_next; /* how many there may be before it is looked again whether there is room for them */
	uint64_t scattered_rest; /* the same for what a call does besides */
	uint64_t scattered_stop; /* and for the call in progress */
	int is_spread;       /* there is not: it has to be committed before anybody goes on */
	int rc;              /* the first put or del that failed: nothing but abort is left */
	uint64_t dels;       /* of the changes, those that may take a page without adding to a table */
	uint64_t pages;      /* in the tables when it was first asked for room */
	int pages_known;
	int is_users;        /* others than we may write in it, to tables of their own */
};

/*
 * Errors: ENOENT path is empty or has no parent; ENOTDIR; EREMOTE network file system; EBUSY open in
 * this process already, or elsewhere with a smaller map; EXDEV open in another PID namespace;
 * EVQ_FORMAT; EVQ_BUSY another process is opening it for longer than the timeout; EINVAL max_bytes.
 */
int evq__store_open(const char *path, const struct evq__store_opts *opts, struct evq__store **out);
void evq__store_close(struct evq__store *s);
uint64_t evq__store_least_map(void); /* bytes: 4 MiB, and more where pages are large */
uint64_t evq__store_room(uint64_t map_size); /* bytes that a quota can be at most; 0: of the default map */
int evq__store_forked(const struct evq__store *s); /* are we a child of the process that opened it? */
struct MDB_env *evq__store_mdb(const struct evq__store *s);
uint64_t evq__store_secret(const struct evq__store *s); /* the hash secret: fixed at creation */
size_t evq__store_name_end(const struct evq__store *s); /* how many bytes of a name stand behind its hash: likewise */
uint32_t evq__store_nonce(struct evq__store *s); /* one more each time */
int evq__store_sync(struct evq__store *s);
int evq__store_is_free(struct evq__store *s); /* nobody writes: a thread that did is at its end, or ended */
int evq__store_is_damage(int rc);  /* LMDB's words for pages that cannot be */
int evq__store_is_crowded(int rc); /* its word for more readers than there is room for */
/* A copy that is a store of its own. Errors: EEXIST there is one; EVQ_BUSY. Needs: no transaction of this thread. */
int evq__store_copy(struct evq__store *s, const char *path, int compact);

/* ---- time: time.c ---- */

int64_t evq__store_now(const struct evq__store *s); /* ms since the Unix epoch; never steps */
void evq__store_saw(struct evq__store *s, int64_t now_ms); /* the time of a writing transaction. Needs: that */

/* ---- transactions: txn.c ---- */

/*
 * For writing, by one call: *out is the tree that the process has open, or own, begun for it.
 * Errors: EVQ_BUSY; EIO the disk has failed before.
 */
int evq__txn_begin(struct evq__store *s, struct evq__txn *own, struct evq__txn **out);
/* For writing, by this thread, in a transaction of LMDB's that holds nothing else. Errors: as before. */
int evq__txn_begin_own(struct evq__store *s, struct evq__txn *own);
/* For reading, with everything in it that was acknowledged, for a moment: others may have to wait for its end. */
int evq__txn_read(struct evq__store *s, struct evq__txn *own, struct evq__txn **out);
int evq__txn_is_cheap(struct evq__store *s); /* does writing need nothing but the gate, just now? */
/* The same for as long as it takes, a snapshot. Errors: EVQ_BUSY another process does not give the tree. */
int evq__txn_snapshot(struct evq__store *s, struct evq__txn *own);
/* A snapshot at once, of what is in the tree: acknowledged calls may be missing. */
int evq__txn_glance(struct evq__store *s, struct evq__txn *own);
/*
 * Ends a call's writing, also on failure. *mark is for evq__txn_settle. Errors: txn's rc; EVQ_UNKNOWN whether it
 * happened cannot be told; EVQ__AGAIN it found no room, but may find some now.
 */
int evq__txn_commit(struct evq__txn *t, uint64_t *mark);
/* Takes back what the call wrote. Errors: EVQ__AGAIN rc, which it failed with, need not stay so. Else rc. */
int evq__txn_abort(struct evq__txn *t, int rc);
/* Waits until the disk has it, where that was asked for. Errors: EVQ_UNKNOWN. Needs: no transaction, no lock. */
int evq__txn_settle(struct evq__store *s, uint64_t mark);

/* ---- the door: tree.c ---- */

/* Errors: EVQ__NONE. */
int evq__tree_get(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len,
                  struct evq__slice *value);
/* The first row at or behind key, and the one behind that last found. Errors: EVQ__NONE. */
int evq__tree_seek(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len,
                   struct evq__slice *key_out, struct evq__slice *value_out);
int evq__tree_next(struct evq__txn *t, enum evq__table table, struct evq__slice *key_out,
                   struct evq__slice *value_out);
/* The row right before key, whether that is there or not; _next goes on from it. Errors: EVQ__NONE. */
int evq__tree_before(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len,
                     struct evq__slice *key_out, struct evq__slice *value_out);
/* The value is the pieces, one behind the other; none of them from this tree. Replaces. Keeps txn's rc. */
int evq__tree_put(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len,
                  const struct evq__slice *pieces, size_t count);
/* The same for a key behind all there are: cheaper. Needs: that it is. */
int evq__tree_append(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len,
                     const struct evq__slice *pieces, size_t count);
/* Errors: EVQ__NONE, which leaves txn usable. */
int evq__tree_del(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len);

/* ---- room: space.c ---- */

/*
 * May so many pages more come in? Asked before anything that adds to the store is written; what takes
 * from it does not ask, and always has the reserve. Errors: EVQ_FULL.
 */
int evq__space_admit(struct evq__txn *t, uint64_t pages);
/*
 * The same for what adds to the tables though it moves messages only: half of the reserve is for that, so that the
 * rest is always there for what takes out.
 */
int evq__space_spare(struct evq__txn *t, uint64_t pages);
/* Has t changed rows in so many pages that it is to be committed before anybody goes on? */
int evq__space_is_spread(struct evq__txn *t);
/* Has it so many that the call has to do with less, or there would be no room left to commit it? */
int evq__space_is_over(struct evq__txn *t);
/* Is it near that? What the call does besides, and can be done later, is to stop. */
int evq__space_is_spent(struct evq__txn *t);
/* From here on, at the beginning of t, count also what the user's own tables take. */
int evq__space_watch(struct evq__txn *t);

/* ---- wake-up: wake.c ---- */

#define EVQ__WAKE_ALL UINT32_MAX

uint32_t evq__wake_read(struct evq__store *s, uint32_t queue);
/*
 * So many messages of the queue became visible; EVQ__WAKE_ALL: or will be sooner than was known, or it is gone.
 * After the commit. Sleepers of other processes wake when the tree shows it.
 */
void evq__wake_post(struct evq__store *s, uint32_t queue, uint32_t count);
void evq__wake_all(struct evq__store *s); /* every sleeper of every process looks again; signal-safe */
/* A sleeper that goes without having taken anything: if it was woken, another is to be. */
void evq__wake_pass_on(struct evq__store *s, uint32_t queue);
/* Sleeps until a post since seen was read, or timeout_ms; may return early. */
void evq__wake_wait(struct evq__store *s, uint32_t queue, uint32_t seen, int64_t timeout_ms);

/* ---- owners of leases: owners.c ---- */

uint32_t evq__owner(const struct evq__store *s); /* the number that leases taken here carry; not 0 */
/* One that died with the store open, and whose leases nobody has ended yet; 0: none. */
uint32_t evq__owners_dead(struct evq__store *s);
void evq__owners_forget(struct evq__store *s, uint32_t owner); /* they are ended */
void evq__owners_lease(struct evq__store *s, uint32_t queue); /* before others can see it: leases are taken in it */
int evq__owners_others_lease(const struct evq__store *s, uint32_t queue); /* may another process have some in it? */

/* ---- descriptors to poll: watch.c ---- */

struct evq__watch;
/* Errors: ENOTSUP there is no such thing on this system; EMFILE; ENOSPC see inotify(7). */
int evq__watch_open(struct evq__store *s, uint32_t queue, struct evq__watch **out);
void evq__watch_close(struct evq__watch *w, int is_store_open);
int evq__watch_fd(const struct evq__watch *w);
/* Around a look into the queue: it is readable again after until_ms, or when something is posted; 0: it stays so. */
void evq__watch_begin(struct evq__watch *w);
void evq__watch_end(struct evq__watch *w, int64_t until_ms);

#endif
