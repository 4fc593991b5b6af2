/* SPDX-License-Identifier: MIT */
/*
 * The file evq.shared, which every process that has the store open maps, and the locks in it. It holds nothing
 * that a store needs to be opened again, and is made anew by whoever opens it alone; what stands in struct
 * evq__kept outlives that.
 */
#ifndef EVQ__SHARED_H
#define EVQ__SHARED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum {
	EVQ__WAKE_WORDS = 1024,
	EVQ__SLOTS = 256,      /* processes that may have the store open at once */
	EVQ__BOOT_ID = 36,
	EVQ__WAITS = 32
};

/* One open store of one process. */
struct evq__slot {
	_Atomic uint32_t owner;  /* its number, which leases of its carry; 0: the slot is free */
	_Atomic uint32_t calls;  /* counts what its keeper is called for: a futex */
	_Atomic uint32_t asleep; /* the keeper may sleep on calls */
	_Atomic uint32_t leases; /* it took some in queues of these hashes, a bit each */
	_Atomic uint16_t waits[EVQ__WAITS]; /* threads asleep for a queue; hashed by queue */
};

/* What outlives the processes that share it. */
struct evq__kept {
	/* What the store's time hangs on, for as long as the machine runs. */
	char boot_id[EVQ__BOOT_ID]; /* of the run of the machine that offset_ms is for; zeros: none */
	uint32_t last_owner;        /* the last number that was given */
	int64_t offset_ms;          /* the store's time less the time since the machine was started */
	_Atomic int64_t seen_ms;    /* the latest time of a writing transaction */
	uint64_t short_len;         /* data.mdb was found to be so long, and is being made longer; 0: no */
	uint64_t short_txn;         /* and its last transaction was this, */
	uint64_t short_ino;         /* its inode this: another file is none of this */
	struct evq__slot slots[EVQ__SLOTS]; /* those of the dead stay until their leases are ended */
};

/*
 * How far the journal goes. Numbers are sequence numbers (record.h). Always
 * durable <= committed <= end, and flushed <= end.
 */
struct evq__progress {
	_Atomic uint64_t end;      /* written; the tenure's holder alone moves it */
	uint64_t chain;            /* check of the last record. Under the tenure, as the next three */
	uint64_t committed;        /* in the tree */
	uint64_t durable;          /* in the tree, on disk: the ring before it may be used again */
	uint32_t is_uncertain;     /* the journal may go on behind end, or end before it: whoever wrote last died */
	uint32_t is_unsynced;      /* the last commit of the tree holds what the journal does not, and may not be on disk */
	uint32_t is_distrusted;    /* a flush or a commit of the tree failed: another that succeeds proves nothing */
	_Atomic uint32_t is_dirty; /* the tree lacks what the journal has */
	_Atomic uint64_t flushed;  /* on disk, by the journal or by the tree */
	_Atomic uint64_t suspect;  /* a flush of the journal failed: only the tree makes what is before it durable */
	_Atomic uint32_t rounds;   /* counts flushes that ended: a futex */
};

struct evq__shared {
	uint64_t magic;
	uint64_t layout;        /* sizes that depend on the C library: a process of another one is refused */
	uint64_t pid_namespace; /* inode of the first opener's */
	uint64_t map_size;      /* what the first asked for: sends keep within it, in every process */
	uint64_t mapped_size;   /* what every process maps: more, where the file needs it */
	uint64_t data_dev;      /* which data.mdb it is that they map */
	uint64_t data_ino;
	struct evq__kept kept;
	pthread_mutex_t tenure; /* robust, process-shared: held by whoever may write to the tree and the journal */
	_Atomic uint32_t holder;    /* the slot whose keeper holds it, and 1; 0: nobody, or a thread for one transaction */
	_Atomic uint32_t handovers; /* counts takings of it: a futex */
	_Atomic uint32_t wanting;   /* threads that wait for it; a killed one stays counted until nobody comes for it */
	_Atomic int64_t wanted_until_ms; /* one of them said so shortly before then; by the monotonic clock */
	pthread_mutex_t flusher; /* robust, process-shared: held while the journal is flushed */
	struct evq__progress journal;
	_Atomic uint32_t slots_used;  /* no slot from here on was ever used */
	_Atomic uint32_t last_queue;  /* the highest number of a queue that was waited for */
	_Atomic uint32_t wake[EVQ__WAKE_WORDS]; /* counts posts; hashed by queue: futexes */
	_Atomic uint16_t polled[EVQ__WAKE_WORDS]; /* descriptors of evq_queue_fd() for it; a killed one stays counted */
	uint8_t touched; /* written to, through the file, when one of those is to be told: the last byte of all */
};

#define EVQ__SHARED_LEN ((sizeof(struct evq__shared) + 4095) / 4096 * 4096)

struct evq__store;
struct evq__store_opts;

/* Opens and maps evq.shared, holding its opening lock. s->shared_fd and s->shared are set. */
int evq__shared_open(struct evq__store *s, int dir_fd, const struct evq__store_opts *opts);
void evq__shared_opened(struct evq__store *s); /* lets go of the opening lock */
void evq__shared_close(struct evq__store *s);

/*
 * The tenure, for this thread. Whoever holds it is told that it is wanted. Where its holder died, what the
 * journal says of its end is marked as uncertain. Errors: EVQ_BUSY not had within timeout_ms (below 0: for ever).
 */
int evq__shared_take(struct evq__store *s, int64_t timeout_ms);
int evq__shared_try(struct evq__store *s); /* Errors: EBUSY */
void evq__shared_give(struct evq__store *s);
int evq__shared_is_wanted(const struct evq__store *s); /* by others than its holder */
void evq__shared_nobody_came(struct evq__store *s);    /* it was let go, and not taken: what was wanted is no more */

/* Errors: ETIMEDOUT; EOWNERDEAD. */
int evq__shared_lock_for(pthread_mutex_t *mutex, int64_t ms);
/* A robust mutex that this thread has now, whatever became of who had it before. Errors: EBUSY. */
int evq__shared_try_robust(pthread_mutex_t *mutex);

/* A lock on a byte of evq.shared: the kernel lets go of it when this process ends. Errors: EAGAIN. */
enum { EVQ__BYTE_OPENING = 0, EVQ__BYTE_PRESENT = 1, EVQ__BYTE_SLOTS = 16 };
int evq__shared_byte_lock(int fd, short type, long at);
int evq__shared_byte_is_locked(int fd, long at); /* by another process */

/* ---- owners.c ---- */

/* Takes a slot and a number. Needs: the opening lock. Errors: EUSERS every slot is taken. */
int evq__owners_join(struct evq__store *s);
void evq__owners_leave(struct evq__store *s);
int evq__owners_have_company(const struct evq__store *s); /* has anybody else it open? */

#endif
