/* SPDX-License-Identifier: MIT */
/*
 * The reference model: what evq promises, said a second time in the plainest
 * way. A store is an array of queues, a queue an array of messages, a
 * transaction a copy of the whole. Nothing is indexed, nothing is cached, no
 * rule is shared with the library: a disagreement between the two is a mistake
 * in one of them.
 *
 * The library is called first, the model second. From the library the model
 * takes only what the contract leaves to it, and checks that it was allowed:
 *
 *   ids          any that grow (a batch: consecutive);
 *   receipts     opaque bytes, that must differ from the message's last;
 *   the jitter   of a backoff: open_due until the test has seen it, in
 *                [due_lo, due_hi];
 *   the clearing of what has expired: which messages, and when, is read
 *                from the events ("seen"); a message that is not expired
 *                may not be among them;
 *   the place    among groups of one whose first message has expired: that
 *                message's, or that of the first behind it ("got").
 *
 * Everything else is predicted, the events included ("told").
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <evq.h>

struct m_attr {
	char *name;
	unsigned char *value;
	size_t len;
};

/* What never changes in a message's life, and is shared by the copies of it. */
struct m_content {
	unsigned refs;
	unsigned char *body;
	size_t len;
	const char *group;
	struct m_attr *attrs;
	size_t attr_count;
};

struct m_death {
	const char *from, *reason;
	int64_t at;
	uint32_t receives;
};

struct m_msg {
	evq_id id;
	struct m_content *content;
	int priority;
	uint32_t receives, receives_here;
	int64_t sent_at, first_received_at;
	int64_t due, expiry; /* expiry 0: never */
	bool leased;
	bool in_turn; /* of a fair queue, visible and waiting with this turn */
	uint64_t turn;
	uint64_t token;      /* of the receipt that settles it; 0: none does */
	evq_receipt receipt; /* the last one given out for it */
	bool has_receipt;
	const char *dead_from, *dead_reason;
	int64_t dead_at;
	struct m_death deaths[EVQ_DEATHS_MAX];
	size_t death_count;
	bool open_due, expiry_follows; /* the jitter is not known yet; it is the expiry, too */
	int64_t due_lo, due_hi;
};

struct m_attrs {
	int64_t visibility, delay, retention, retry_min, retry_max, dedup;
	uint32_t max_receives, max_body_len, flags;
	uint64_t max_messages, max_bytes;
	const char *dead_letter;
};

struct m_counters {
	uint64_t sent, received, deleted, dead_lettered, expired, redriven, purged, duplicates, stale;
};

/* A send that is remembered: the k-th message of a dedup_id, or where that is NULL, a body. */
struct m_known {
	const char *dedup_id;
	size_t k;
	struct m_content *content; /* NULL with a dedup_id */
	evq_id first;
	int64_t ends_at;
};

/* The last turn given to a tenant at a priority, as long as a message has it. */
struct m_tenant {
	int priority;
	const char *name; /* NULL: those without a group */
	uint64_t last;
};

struct m_queue {
	uint64_t uid; /* never used again, also when the name is */
	const char *name;
	struct m_attrs attrs;
	struct m_msg *msgs; /* in no order */
	size_t count, cap;
	struct m_known *known;
	size_t known_count, known_cap;
	struct m_tenant *tenants;
	size_t tenant_count, tenant_cap;
	struct m_counters did;
	uint64_t stale_perhaps; /* refused in transactions that were aborted */
};

struct m_event {
	int type;
	const char *queue;
	evq_id id;
	const char *reason;
};

struct m_events {
	struct m_event *at;
	size_t count, cap;
};

struct m_ids {
	evq_id *at;
	size_t count, cap;
};

#define MODEL_OWN 16

struct model {
	int64_t now;
	evq_id last_id;
	uint64_t last_uid, last_token;
	struct m_queue *queues;
	size_t queue_count, queue_cap;
	struct m_events told;        /* what the library must report */
	const struct m_events *seen; /* what it has reported, or NULL */
	const struct m_ids *got;     /* what it has delivered */
	const char *broken;          /* the library did what it may not */
	uint64_t own[MODEL_OWN];     /* the user's data, in the same transactions */
};

/* A receipt as the test keeps it. */
struct m_ticket {
	evq_receipt r;
	uint64_t uid; /* the queue */
	evq_id id;
	uint64_t token;
	int64_t due;
	int priority;
	bool in_turn;
	uint64_t turn;
	const char *group;
	bool peeked, damaged, foreign;
	bool phantom; /* of an aborted transaction: a later one may be the same, byte for byte */
};

/* model.c: the store, its queues and messages */
struct model *model_new(void);
struct model *model_clone(const struct model *m);
void model_free(struct model *m);
const char *model_intern(const char *text); /* NULL stays NULL; the same text is the same pointer */
struct m_queue *model_queue(const struct model *m, const char *name);
struct m_queue *model_queue_uid(const struct model *m, uint64_t uid);
struct m_queue *model__queue_add(struct model *m, const char *name);
struct m_msg *model_msg(const struct m_queue *q, evq_id id);
struct m_msg *model__msg_add(struct m_queue *q, const struct m_msg *msg);
void model__msg_take(struct m_queue *q, evq_id id, struct m_msg *out);
void model__msg_drop(struct m_queue *q, evq_id id);
void model__queue_clear(struct m_queue *q);
void model__queue_free(struct m_queue *q);
struct m_content *model_content(const void *body, size_t len, const evq_send_opts *opts);
void model_content_free(struct m_content *content);

/* model_events.c: what is told, and what was seen */
void model_events_add(struct m_events *list, const struct m_event *event);
void model_events_copy(struct m_events *to, const struct m_events *from);
void model__tell(struct model *m, int type, const char *queue, evq_id id, const char *reason);
bool model__was_cleared(const struct model *m, const struct m_queue *q, evq_id id);
bool model_events_differ(struct m_events *told, struct m_events *seen, const struct m_event **lacks,
                         const struct m_event **odd);
void model_events_drop_repeats(struct m_events *seen, const struct m_events *told, const char *queue);
void model_ids_add(struct m_ids *list, evq_id id);

/* model_order.c: order and states */
bool model_is(const struct m_queue *q, uint32_t flag); /* EVQ_FIFO ... */
bool model_expired(const struct model *m, const struct m_msg *msg);
int model_state(const struct model *m, const struct m_queue *q, const struct m_msg *msg); /* EVQ_VISIBLE ...; 0: expired */
bool model_same_group(const struct m_msg *a, const struct m_msg *b); /* of a FIFO queue */
void model_order(const struct m_queue *q, struct m_ids *out);
void model__order_shown(const struct m_queue *q, struct m_ids *out);
void model__order_groups(const struct m_queue *q, struct m_ids *out);

/* model_fair.c: turns */
void model__turn_give(struct m_queue *q, struct m_msg *msg); /* where the queue is fair */
void model__turn_end(struct m_queue *q, struct m_msg *msg);  /* it is visible no more */
void model__turns_come_due(struct model *m, struct m_queue *q, int priority);

/* model_dedup.c: what is remembered of what was sent */
struct m_fate {
	bool repeat;
	evq_id first;    /* of which it is a repeat; or 0: */
	size_t sent_now; /* of this one of the same batch */
};
void model_fates(const struct model *m, const struct m_queue *q, const evq_buf *bodies, size_t count,
                 const evq_send_opts *opts, struct m_fate *fates);
void model__remember(struct model *m, struct m_queue *q, const struct m_msg *msg, const evq_send_opts *opts, size_t k);
void model__forget(struct m_queue *q);

/* model_attrs.c: queues as a whole; each returns what the library must */
int model_open(struct model *m, const char *name, const evq_queue_attrs *create);
int model_set_attrs(struct model *m, struct m_queue *q, const evq_queue_attrs *attrs);
int model_drop(struct model *m, const char *name);

/* model_send.c */
int model_send_check(const struct m_queue *q, const evq_buf *bodies, size_t count, const struct m_fate *fates);
void model_send(struct model *m, struct m_queue *q, const evq_buf *bodies, size_t count, const evq_send_opts *opts,
                const struct m_fate *fates, evq_id *ids);
bool model__fits(const struct m_queue *q, uint64_t messages, uint64_t bytes);

/* model_receive.c */
size_t model_limbo(const struct model *m, const struct m_queue *q); /* expired, not cleared yet */
bool model_has_open_due(const struct m_queue *q);
bool model_must_clear(const struct model *m, const struct m_queue *q, const struct m_msg *msg);
int model_receive(struct model *m, struct m_queue *q, const evq_receive_opts *opts, struct m_ids *taken);

/* model_settle.c */
int model_receipt(const struct model *m, const struct m_queue *q, const struct m_ticket *t, struct m_msg **out);
int model_delete(struct model *m, struct m_queue *q, const struct m_ticket *t);
int model_extend(struct model *m, struct m_queue *q, const struct m_ticket *t, int64_t visibility);
int model_release(struct model *m, struct m_queue *q, const struct m_ticket *t, int64_t delay, uint32_t flags);
int model_bury(struct model *m, struct m_queue *q, const struct m_ticket *t, const char *reason);

/* model_dead.c */
typedef bool model_match_fn(const struct m_msg *msg, void *arg);
bool model__over_limit(const struct m_queue *q, const struct m_msg *msg);
void model__backoff(struct model *m, struct m_queue *q, struct m_msg *msg, uint32_t receives);
bool model__bury(struct model *m, struct m_queue *q, evq_id id, const char *reason);
void model__bury_or_retry(struct model *m, struct m_queue *q, evq_id id, const char *reason);
void model__clear(struct model *m, struct m_queue *q, evq_id id);
void model__clear_before(struct model *m, const struct m_queue *q, evq_id id);
void model_clear_seen(struct model *m);
bool model_redrivable(const struct model *m, const struct m_queue *dead, const struct m_msg *msg);
int model_redrive(struct model *m, struct m_queue *dead, const evq_redrive_opts *opts, model_match_fn *match,
                  void *arg, size_t *moved);
size_t model_purge(struct m_queue *q);

/* model_read.c */
void model_stats(const struct model *m, const struct m_queue *q, evq_stats *out);
bool model_shows(const struct model *m, const struct m_queue *q, const struct m_msg *msg, uint32_t states);
int model_peek(const struct model *m, const struct m_queue *q, uint32_t states, uint32_t count,
               const struct m_ticket *after, struct m_ids *out);
void model_names(const struct model *m, const char **names); /* sorted; queue_count of them */

#endif
