/* SPDX-License-Identifier: MIT */
/*
 * All that can be seen of a store, as text: every queue with its attributes, its figures and each
 * message that peek shows. Two texts that are equal say that what was done between them changed
 * nothing. The figure `stale` is left out: a refused settle is counted, and may be late.
 */
#ifndef EVQ_TESTS_SNAPSHOT_H
#define EVQ_TESTS_SNAPSHOT_H

#include "support.h"

#include <stdarg.h>

struct snapshot {
	char text[65536];
	size_t len;
};

static inline void __attribute__((format(printf, 2, 3)))
snap_add(struct snapshot *snap, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int len = vsnprintf(snap->text + snap->len, sizeof snap->text - snap->len, format, args);
	va_end(args);
	ck_assert(len >= 0 && (size_t)len < sizeof snap->text - snap->len);
	snap->len += (size_t)len;
}

static inline void
snap_attrs(struct snapshot *snap, evq_queue *q)
{
	evq_queue_attrs a = { .size = sizeof a };
	ck_ok(evq_queue_get_attrs(q, &a));
	snap_add(snap, "  visibility %lld delay %lld retention %lld limit %u dead %s quota %llu %llu body %u",
	         (long long)a.visibility_ms, (long long)a.delay_ms, (long long)a.retention_ms, a.max_receives,
	         a.dead_letter ? a.dead_letter : "-", (unsigned long long)a.max_messages,
	         (unsigned long long)a.max_bytes, a.max_body_len);
	snap_add(snap, " retry %lld %lld dedup %lld flags %x\n", (long long)a.retry_min_ms, (long long)a.retry_max_ms,
	         (long long)a.dedup_ms, a.flags);
}

static inline void
snap_stats(struct snapshot *snap, evq_queue *q)
{
	evq_stats s = stats(q);
	const uint64_t figures[] = {
		s.visible, s.delayed, s.leased, s.blocked, s.messages, s.bytes, (uint64_t)s.oldest_sent_at_ms,
		s.sent, s.received, s.deleted, s.dead_lettered, s.expired, s.redriven, s.purged,
	};
	snap_add(snap, " ");
	for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
		snap_add(snap, " %llu", (unsigned long long)figures[i]);
	snap_add(snap, "\n");
}

static inline void
snap_messages(struct snapshot *snap, evq_queue *q)
{
	evq_batch *b;
	ck_ok(evq_batch_new(&b));
	int rc = evq_peek(q, EVQ_PEEK_OPTS(.count = EVQ_BATCH_MAX), b);
	ck_assert_msg(rc == 0 || rc == EVQ_EMPTY, "evq_peek: %s", evq_errname(rc));
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		const evq_delivery *d = evq_batch_at(b, i);
		snap_add(snap, "  %llu state %d at %lld sent %lld first %lld receives %u priority %d from %s %s %zu\n",
		         (unsigned long long)d->id, d->state, (long long)d->visible_at_ms, (long long)d->sent_at_ms,
		         (long long)d->first_received_at_ms, d->receives, d->priority,
		         d->dead_from ? d->dead_from : "-", d->dead_reason ? d->dead_reason : "-", d->death_count);
	}
	evq_batch_free(b);
}

static inline int
snap_queue(const char *name, void *arg)
{
	struct snapshot *snap = arg;
	evq_queue *q;
	ck_ok(evq_queue_open(env, name, NULL, &q));
	snap_add(snap, "%s\n", name);
	snap_attrs(snap, q);
	snap_stats(snap, q);
	snap_messages(snap, q);
	evq_queue_close(q);
	return 0;
}

static inline void
snap_take(struct snapshot *snap)
{
	snap->len = 0;
	snap->text[0] = '\0';
	ck_ok(evq_queue_list(env, snap_queue, snap));
}

/* Fails when the store does not look as it did. */
static inline void
snap_expect(const struct snapshot *before)
{
	static struct snapshot now;
	snap_take(&now);
	ck_assert_str_eq(now.text, before->text);
}

#endif
