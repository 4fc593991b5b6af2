/* SPDX-License-Identifier: MIT */
/*
 * evq: durable message queues in your own process, on LMDB.
 *
 * Rules that hold for every call (the whole contract is in evq(3)):
 *
 *   result    0 is done; above 0 an errno; -30799 ... -30776 LMDB's own; the EVQ_* below. Nothing is
 *             changed, neither in the store nor in an out-parameter, unless the result is 0.
 *   order     subject, transaction, inputs, options, out.
 *   txn       NULL: a transaction of the call's own, as durable on return as the store is set to be.
 *             Otherwise the call joins that evq_txn and is done when evq_commit() is.
 *   options   made by the macro of their name; a field left 0 or NULL has its default; NULL is all defaults.
 *   memory    what comes out through ** goes back to its close or free function (NULL is fine there);
 *             a pointer returned is borrowed from the argument; inputs are copied before the call returns.
 *   units     _ms milliseconds, _at_ms milliseconds since the Unix epoch (by the store's clock; sent_at_ms by
 *             the wall's), _len bytes.
 *   threads   evq_env, evq_queue: any thread. evq_batch: one thread at a time. evq_txn: its own thread.
 */
#ifndef EVQ_H
#define EVQ_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EVQ_VERSION_MAJOR 0
#define EVQ_VERSION_MINOR 1
#define EVQ_VERSION_PATCH 0

#if defined(__GNUC__) && !defined(EVQ_API)
#define EVQ_API __attribute__((visibility("default")))
#elif !defined(EVQ_API)
#define EVQ_API
#endif

struct MDB_env; /* of <lmdb.h>, which is not needed to use evq */
struct MDB_txn;

typedef struct evq_env evq_env;     /* an open store */
typedef struct evq_queue evq_queue; /* a handle on one queue of it */
typedef struct evq_txn evq_txn;     /* a transaction that several calls join */
typedef struct evq_batch evq_batch; /* messages received, and their memory */

typedef uint64_t evq_id; /* grows with each message sent to a store; never 0, never reused; kept across queues */

/* These three stand in arrays of yours: their layout is frozen. */
typedef struct evq_buf {
	const void *data;
	size_t len;
} evq_buf;

typedef struct evq_attr {
	const char *name;
	const void *value;
	size_t len;
} evq_attr;

typedef struct evq_receipt {
	uint64_t w[4]; /* opaque plain bytes: copy it, store it, send it to another process */
} evq_receipt;

/* ---- errors ----------------------------------------------------------------------------------- */

#define EVQ_EMPTY (-29899)       /* nothing to receive now */
#define EVQ_NOQUEUE (-29898)     /* no queue of that name, or it was dropped */
#define EVQ_STALE (-29897)       /* the lease has passed on: received again, moved, deleted or expired */
#define EVQ_TOOBIG (-29896)      /* body, name, reason or attributes over a limit */
#define EVQ_FULL (-29895)        /* quota of the queue or of the store, or the disk */
#define EVQ_BUSY (-29894)        /* the writer lock was not had within lock_timeout_ms */
#define EVQ_CORRUPT (-29893)     /* a checksum or an invariant does not hold */
#define EVQ_FORMAT (-29892)      /* not a store of this format: another version, damaged, or no store */
#define EVQ_FORKED (-29891)      /* used in a child of the process that opened it */
#define EVQ_INTERRUPTED (-29890) /* evq_env_interrupt() */
#define EVQ_UNKNOWN (-29889)     /* the disk failed half way: it may or may not have happened */

/* A constant text, never NULL, for EVQ_*, LMDB's codes and errno. */
EVQ_API const char *evq_strerror(int rc);
/* The name of the code, "EVQ_STALE"; "?" where it has none. */
EVQ_API const char *evq_errname(int rc);
/* The version linked, "0.1.0"; its parts where the pointers are not NULL. */
EVQ_API const char *evq_version(int *major, int *minor, int *patch);

/* ---- limits ----------------------------------------------------------------------------------- */

#define EVQ_NAME_MAX 80         /* bytes of a queue's name, of [A-Za-z0-9._-] */
#define EVQ_BATCH_MAX 10000     /* messages in one call */
#define EVQ_BODY_MAX 1073741824 /* bytes of a body: 1 GiB */
#define EVQ_GROUP_MAX 128       /* bytes of a group */
#define EVQ_DEDUP_MAX 128       /* bytes of a dedup_id */
#define EVQ_REASON_MAX 128      /* bytes of evq_bury()'s reason */
#define EVQ_ATTRS_MAX 64        /* attributes of a message */
#define EVQ_ATTR_NAME_MAX 255   /* bytes of an attribute's name */
#define EVQ_ATTRS_LEN_MAX 65536 /* bytes of all of them: 8 + name + value each */
#define EVQ_DEATHS_MAX 8        /* dead-letter moves remembered by a message */

#define EVQ_NONE (-1) /* for a field in which 0 means "the default" */

/* ---- store: evq_env(3) ------------------------------------------------------------------------ */

enum {
	EVQ_DURABLE_FULL = 0,   /* a call that returned 0 survives power loss */
	EVQ_DURABLE_RELAXED = 1 /* it survives any process crash; power loss may undo the last ms; never corrupt */
};

typedef int64_t evq_clock_fn(void *arg); /* ms since the Unix epoch; any thread; must not call evq */

enum {
	EVQ_EVENT_DEAD_LETTERED = 1,    /* moved from queue to its dead letter, for reason */
	EVQ_EVENT_EXPIRED = 2,          /* dropped at the end of its retention */
	EVQ_EVENT_CORRUPT = 3,          /* its body failed the checksum; it was not delivered */
	EVQ_EVENT_DEAD_LETTER_FULL = 4, /* stays in queue, to be tried again: the dead letter has no room */
	EVQ_EVENT_NOT_REDRIVEN = 5,     /* stays in the dead letter: "no-origin", "no-queue" or "full" */
	EVQ_EVENT_OWNER_DIED = 6        /* its lease ended with the process that had it */
};

typedef struct evq_event { /* library-allocated: may grow; valid during the callback */
	int type;
	const char *queue;
	evq_id id;
	const char *reason;
} evq_event;
typedef void evq_event_fn(const evq_event *event, void *arg);

typedef struct evq_env_opts {
	size_t size;
	int durability;          /* EVQ_DURABLE_*; default full */
	unsigned mode;           /* permission bits of the files, less the umask; default 0600 */
	uint64_t map_size;       /* address space reserved; default 16 GiB; at least 4 MiB */
	uint64_t max_bytes;      /* quota; default and most: map_size less a reserve of 1 %, at least 256 pages */
	unsigned user_dbs;       /* named LMDB databases of your own in this store; default 16; up to 1000 */
	int64_t lock_timeout_ms; /* default 10000; EVQ_NONE for ever */
	int64_t flush_ms;        /* relaxed: how often it flushes; default 20; up to 60000 */
	uint64_t journal_size;   /* disk space taken for evq.journal; default 64 MiB; 1 MiB ... 64 GiB */
	int keeper;              /* 0: a thread of the library's; EVQ_NONE: none, every call commits for itself */
	evq_clock_fn *clock;     /* default: one that does not jump, see evq(7) */
	void *clock_arg;
	evq_event_fn *on_event; /* called after the commit, outside any transaction and lock */
	void *event_arg;
} evq_env_opts;
#define EVQ_ENV_OPTS(...) (&(const evq_env_opts){ .size = sizeof(evq_env_opts), __VA_ARGS__ })

/*
 * Opens the store in the directory path, creating both where missing (not path's parents). One open store per
 * process and path (EBUSY); any number of processes. A child after fork() must open its own.
 */
EVQ_API int evq_env_open(const char *path, const evq_env_opts *opts, evq_env **out);
/* No call may be in progress. Queue handles left open answer EBADF and are still to be closed. */
EVQ_API void evq_env_close(evq_env *env);
/* The LMDB environment, for databases of your own in evq_txn_mdb()'s transactions; NULL after fork. */
EVQ_API struct MDB_env *evq_env_mdb(const evq_env *env);
/* Everything done so far survives power loss when this returns 0, also with EVQ_DURABLE_RELAXED. */
EVQ_API int evq_sync(evq_env *env);
/* Every wait in progress in this env returns EVQ_INTERRUPTED. Safe in a signal handler. */
EVQ_API void evq_env_interrupt(evq_env *env);

#define EVQ_COPY_COMPACT ((uint32_t)1) /* leave free pages out */
/* A hot backup: a store of its own in the directory path, synced before it gets its name. EEXIST if one is there. */
EVQ_API int evq_env_copy(evq_env *env, const char *path, uint32_t flags);

typedef struct evq_finding { /* library-allocated: may grow; valid during the callback */
	int code;
	const char *queue; /* or NULL */
	evq_id id;         /* or 0 */
	const char *what;
} evq_finding;
typedef void evq_finding_fn(const evq_finding *finding, void *arg);
/* Checks every invariant of the store, reading all of it. 0, or EVQ_CORRUPT and each finding told to fn (may be NULL). */
EVQ_API int evq_verify(evq_env *env, evq_finding_fn *fn, void *arg);

/* ---- transactions, with your own LMDB data: evq_txn(3) ----------------------------------------- */

/* Takes the store's writer lock until commit or abort. EDEADLK if this thread has a transaction already. */
EVQ_API int evq_begin(evq_env *env, evq_txn **out);
/* Consumes txn, also on failure: then nothing of it happened, unless EVQ_UNKNOWN. Not on EPERM, EVQ_FORKED. */
EVQ_API int evq_commit(evq_txn *txn);
EVQ_API void evq_abort(evq_txn *txn);
/* The LMDB transaction, for your own databases. Do not commit or abort it. NULL when unusable from here. */
EVQ_API struct MDB_txn *evq_txn_mdb(const evq_txn *txn);

/* ---- queues: evq_queue(3) ----------------------------------------------------------------------- */

enum {
	EVQ_FIFO = 1,                  /* the messages of a group in the order sent, one after the other: evq_group(3) */
	EVQ_CONTENT_DEDUP = 2,         /* a body sent again within dedup_ms is a repeat: evq_dedup(3) */
	EVQ_EXPIRE_TO_DEAD_LETTER = 4, /* a message whose retention ends is moved, not dropped; needs dead_letter */
	EVQ_FAIR = 8                   /* groups take turns: one with a long backlog delays no other: evq_group(3) */
};

typedef struct evq_queue_attrs {
	size_t size;
	int64_t visibility_ms;   /* lease; default 30000; 1 ms ... 12 h */
	int64_t delay_ms;        /* before a new message is visible; default 0; up to 365 days */
	int64_t retention_ms;    /* from the send; default 0 = for ever; up to 100 years */
	uint32_t max_receives;   /* then dead-lettered; default 0 = no limit; > 0 needs dead_letter */
	const char *dead_letter; /* queue name; created with defaults if missing; cycles are EINVAL */
	uint64_t max_messages;   /* quota; default 0 = none */
	uint64_t max_bytes;      /* quota of the bodies; default 0 = none */
	uint32_t max_body_len;   /* default 1 MiB; up to EVQ_BODY_MAX */
	int64_t retry_min_ms;    /* default 1000. evq_release(..., EVQ_BACKOFF): min * 2^(receives-1), */
	int64_t retry_max_ms;    /* default 900000. at most max, jittered between half and all of it */
	int64_t dedup_ms;        /* how long a repeat is known for one; default 300000; 1 ms ... 365 days */
	uint32_t flags;          /* EVQ_FIFO or EVQ_FAIR, and EVQ_CONTENT_DEDUP: fixed at creation. EVQ_EXPIRE_... */
} evq_queue_attrs;
#define EVQ_QUEUE_ATTRS(...) (&(const evq_queue_attrs){ .size = sizeof(evq_queue_attrs), __VA_ARGS__ })

/* create NULL: it must exist. Otherwise created with these if missing; an existing queue keeps its own. */
EVQ_API int evq_queue_open(evq_env *env, const char *name, const evq_queue_attrs *create, evq_queue **out);
EVQ_API void evq_queue_close(evq_queue *q);
/*
 * *out polls readable when the queue may have something, also through another process or the passing of time, until
 * an evq_receive() on this handle answers EVQ_EMPTY: for poll(2), epoll(7) and event loops. It is the handle's, the
 * same at each call, and closed with it; nothing but waiting is to be done with it.
 */
EVQ_API int evq_queue_fd(evq_queue *q, int *out);
/* out->size says how much of it there is. out->dead_letter is borrowed from q. */
EVQ_API int evq_queue_get_attrs(evq_queue *q, evq_queue_attrs *out);
/* Sets them all (0 is the default): get, change, set. In force from then on, in every process. */
EVQ_API int evq_queue_set_attrs(evq_queue *q, evq_txn *txn, const evq_queue_attrs *attrs);
/* With all its messages. EBUSY while it is some queue's dead_letter. Handles on it answer EVQ_NOQUEUE. */
EVQ_API int evq_queue_drop(evq_env *env, evq_txn *txn, const char *name);
typedef int evq_queue_fn(const char *name, void *arg);
/* By name; non-zero from fn stops and is returned. */
EVQ_API int evq_queue_list(evq_env *env, evq_queue_fn *fn, void *arg);

/* ---- sending: evq_send(3) ----------------------------------------------------------------------- */

typedef struct evq_send_opts {
	size_t size;
	int64_t delay_ms;      /* default the queue's, which is the only one with EVQ_FIFO; EVQ_NONE = now */
	int64_t expires_ms;    /* a life shorter than the queue's retention */
	int priority;          /* -128 ... 127, higher first; default 0 */
	const char *group;     /* carried with the message; needed with EVQ_FIFO; who takes turns with EVQ_FAIR */
	const char *dedup_id;  /* a repeat within dedup_ms succeeds, returns the first id, adds nothing */
	const evq_attr *attrs; /* headers, kept in order */
	size_t attr_count;
} evq_send_opts;
#define EVQ_SEND_OPTS(...) (&(const evq_send_opts){ .size = sizeof(evq_send_opts), __VA_ARGS__ })

EVQ_API int evq_send(evq_queue *q, evq_txn *txn, const void *body, size_t len, const evq_send_opts *opts,
                     evq_id *id_out);
/* All or nothing, in one transaction; opts are those of each. ids_out: count of them, or NULL. */
EVQ_API int evq_send_batch(evq_queue *q, evq_txn *txn, const evq_buf *bodies, size_t count,
                           const evq_send_opts *opts, evq_id *ids_out);

/* ---- receiving: evq_receive(3), evq_batch(3), evq_peek(3) --------------------------------------- */

typedef struct evq_receive_opts {
	size_t size;
	uint32_t count;        /* at most; default 1; up to EVQ_BATCH_MAX */
	int64_t wait_ms;       /* sleep for the first message; default 0; EVQ_NONE = for ever; in a txn: 0 only */
	int64_t window_ms;     /* after the first, go on filling up to count for this long; in a txn: 0 only */
	int64_t visibility_ms; /* default the queue's */
	uint64_t max_bytes;    /* stop before the bodies exceed this; the first always fits; default 0 = no bound */
} evq_receive_opts;
#define EVQ_RECEIVE_OPTS(...) (&(const evq_receive_opts){ .size = sizeof(evq_receive_opts), __VA_ARGS__ })

typedef struct evq_death { /* library-allocated: may grow */
	const char *from;
	const char *reason;
	int64_t at_ms;
	uint32_t receives;
} evq_death;

enum {
	EVQ_VISIBLE = 1, /* may be received now */
	EVQ_DELAYED = 2, /* not before visible_at_ms */
	EVQ_LEASED = 4,  /* received; not again before visible_at_ms */
	EVQ_BLOCKED = 8  /* an earlier one of its group is leased or delayed; or its body is damaged, and no dead letter */
};

typedef struct evq_delivery { /* library-allocated: may grow */
	evq_receipt receipt;
	evq_id id;
	const void *body; /* borrowed from the batch; aligned as malloc's; NUL after the end */
	size_t body_len;
	uint32_t receives; /* this one included; goes on counting across a dead-letter move */
	int priority;
	int64_t sent_at_ms, first_received_at_ms, visible_at_ms; /* visible_at: lease end, or when due */
	const char *group;       /* or NULL */
	const char *dead_from;   /* queue it was dead-lettered from, or NULL */
	const char *dead_reason; /* "max-receives", "expired", "corrupt", or evq_bury()'s text */
	int64_t dead_at_ms;
	const evq_attr *attrs; /* names end in NUL, values too */
	size_t attr_count;
	int state; /* EVQ_VISIBLE ...: of interest after evq_peek */
	const evq_death *deaths; /* every dead-letter move, oldest first; the last EVQ_DEATHS_MAX */
	size_t death_count;
} evq_delivery;

EVQ_API int evq_batch_new(evq_batch **out);
EVQ_API void evq_batch_free(evq_batch *b);
EVQ_API size_t evq_batch_count(const evq_batch *b);
/* NULL when i is not below the count. Valid until the batch is received into again, or freed. */
EVQ_API const evq_delivery *evq_batch_at(const evq_batch *b, size_t i);

/* Leases up to count messages; into holds them and only them. EVQ_EMPTY: none, and into is empty. */
EVQ_API int evq_receive(evq_queue *q, evq_txn *txn, const evq_receive_opts *opts, evq_batch *into);

typedef struct evq_peek_opts {
	size_t size;
	uint32_t states;          /* EVQ_VISIBLE | ...; default all */
	uint32_t count;           /* default 100; up to EVQ_BATCH_MAX */
	const evq_receipt *after; /* go on behind this one */
} evq_peek_opts;
#define EVQ_PEEK_OPTS(...) (&(const evq_peek_opts){ .size = sizeof(evq_peek_opts), __VA_ARGS__ })
/* Looks without leasing: changes nothing, and its receipts settle nothing. A damaged body shows as NULL. */
EVQ_API int evq_peek(evq_queue *q, const evq_peek_opts *opts, evq_batch *into);

/* ---- settling a receipt: evq_settle(3), evq_receipt(3) ------------------------------------------ */

#define EVQ_BACKOFF (-2)            /* evq_release: by the queue's retry policy */
#define EVQ_UNCOUNTED ((uint32_t)1) /* evq_release: give it back as if never received */

EVQ_API int evq_delete(evq_queue *q, evq_txn *txn, const evq_receipt *r);
/* 0 when done; rcs_out tells of each: 0, EVQ_STALE or EINVAL. */
EVQ_API int evq_delete_batch(evq_queue *q, evq_txn *txn, const evq_receipt *rs, size_t count, int *rcs_out);
/* The lease ends visibility_ms from now (0: the queue's). r is stale then; out may be r. */
EVQ_API int evq_extend(evq_queue *q, evq_txn *txn, const evq_receipt *r, int64_t visibility_ms, evq_receipt *out);
/* Visible again after delay_ms or EVQ_BACKOFF; or dead-lettered, where max_receives is reached. */
EVQ_API int evq_release(evq_queue *q, evq_txn *txn, const evq_receipt *r, int64_t delay_ms, uint32_t flags);
/* Dead-letters it now. ENOENT: the queue has no dead_letter. */
EVQ_API int evq_bury(evq_queue *q, evq_txn *txn, const evq_receipt *r, const char *reason);

#define EVQ_RECEIPT_TEXT 68 /* four groups of 16 hexadecimal digits, joined by '-', and a NUL */
EVQ_API int evq_receipt_format(const evq_receipt *r, char text[EVQ_RECEIPT_TEXT]);
EVQ_API int evq_receipt_parse(const char *text, evq_receipt *out);

/* ---- dead letters, purging, figures: evq_redrive(3), evq_purge(3), evq_stats(3) ----------------- */

typedef int evq_match_fn(const evq_delivery *d, void *arg); /* non-zero = take it */
typedef struct evq_redrive_opts {
	size_t size;
	const char *to;      /* default: each message to the queue it came from */
	size_t max;          /* in this call; default 1000 */
	evq_match_fn *match; /* default every one */
	void *match_arg;
} evq_redrive_opts;
#define EVQ_REDRIVE_OPTS(...) (&(const evq_redrive_opts){ .size = sizeof(evq_redrive_opts), __VA_ARGS__ })
/* Moves messages out of the dead letter, in the order a receive would take them; receives restart at 0. */
EVQ_API int evq_redrive(evq_queue *dead, evq_txn *txn, const evq_redrive_opts *opts, size_t *moved_out);
/* Removes every message: visible, delayed and leased. What was sent before may be sent again: dedup_ids are forgotten. */
EVQ_API int evq_purge(evq_queue *q, evq_txn *txn, size_t *purged_out);

typedef struct evq_stats {
	size_t size;
	uint64_t visible, delayed, leased, blocked; /* exact, now */
	uint64_t messages, bytes;                   /* stored, with what has expired and is not cleared yet */
	int64_t oldest_sent_at_ms;                  /* 0 when empty */
	uint64_t sent, received, deleted, dead_lettered, expired, redriven, purged, duplicates, stale; /* since creation */
} evq_stats;
/* out->size says how much of it there is. Reads every entry of the queue. */
EVQ_API int evq_queue_stats(evq_queue *q, evq_stats *out);

#ifdef __cplusplus
}
#endif
#endif
