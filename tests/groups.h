/* SPDX-License-Identifier: MIT */
/*
 * Verbs for queues with groups. A body is the letter of its group and a number, "a2", so that what is sent, received
 * and settled can be told as one text, "a1 a2 b1", in its order.
 */
#ifndef EVQ_TESTS_GROUPS_H
#define EVQ_TESTS_GROUPS_H

#include "support.h"

enum { LEASE_MS = 30000, MANY = 100, TEXT = 4096 };

static inline evq_queue *
fifo(const char *name)
{
	return queue_with(name, EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO));
}

static inline evq_queue *
fair(const char *name)
{
	return queue_with(name, EVQ_QUEUE_ATTRS(.flags = EVQ_FAIR));
}

static inline evq_id
put_with(evq_queue *q, const char *body, evq_send_opts *opts)
{
	const char group[2] = { body[0], 0 };
	opts->size = sizeof(*opts);
	opts->group = group;
	return send_with(q, body, opts);
}
/* One that has options of its own, too. */
#define PUT(q, body, ...) put_with(q, body, &(evq_send_opts){ .size = sizeof(evq_send_opts), __VA_ARGS__ })

/* The next word of a text, which goes on behind it; 0 where there is none. */
static inline int
next_word(const char **text, char word[32])
{
	size_t len = strcspn(*text, " ");
	ck_assert_uint_lt(len, 32);
	memcpy(word, *text, len);
	word[len] = 0;
	*text += len + ((*text)[len] == ' ');
	return len > 0;
}

static inline void
put(evq_queue *q, const char *bodies)
{
	char body[32];
	while (next_word(&bodies, body))
		PUT(q, body, .priority = 0);
}

/* From "a1" to the count-th; the letter is the tenant. */
static inline void
put_many(evq_queue *to, char tenant, int count)
{
	char body[32];
	for (int i = 1; i <= count; i++) {
		snprintf(body, sizeof(body), "%c%d", tenant, i);
		PUT(to, body, .priority = 0);
	}
}

static inline const char *
bodies_of(const evq_batch *b)
{
	static char text[TEXT];
	size_t len = 0;
	text[0] = 0;
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		const evq_delivery *d = evq_batch_at(b, i);
		int more = snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "",
		                    d->body ? (const char *)d->body : "damaged");
		ck_assert(more > 0 && (size_t)more < sizeof(text) - len);
		len += (size_t)more;
	}
	return text;
}

/* Receives: these in this order and no others; "" where there is nothing. */
static inline evq_batch *
get_with(evq_queue *q, const char *bodies, const evq_receive_opts *opts)
{
	evq_batch *b = batch();
	int rc = evq_receive(q, NULL, opts, b);
	ck_assert_str_eq(bodies_of(b), bodies);
	ck_rc(rc, *bodies ? 0 : EVQ_EMPTY);
	return b;
}

static inline evq_batch *
get(evq_queue *q, uint32_t count, const char *bodies)
{
	return get_with(q, bodies, EVQ_RECEIVE_OPTS(.count = count));
}

/* How many come before that one does, taken one by one. */
static inline int
waits_for(evq_queue *of, const char *body, int at_most)
{
	evq_batch *b = batch();
	for (int before = 0; before <= at_most; before++) {
		ck_ok(evq_receive(of, NULL, NULL, b));
		if (!strcmp(evq_batch_at(b, 0)->body, body))
			return before;
	}
	ck_abort_msg("%s did not come", body);
	return -1;
}

static inline const evq_receipt *
receipt_of(const evq_batch *b, const char *body)
{
	for (size_t i = 0; i < evq_batch_count(b); i++)
		if (!strcmp(evq_batch_at(b, i)->body, body))
			return &evq_batch_at(b, i)->receipt;
	ck_abort_msg("%s is not in the batch", body);
	return NULL;
}

/* Deletes these of a batch. */
static inline void
finish(evq_queue *q, const evq_batch *b, const char *bodies)
{
	char body[32];
	while (next_word(&bodies, body))
		ck_ok(evq_delete(q, NULL, receipt_of(b, body)));
}

static inline void
finish_all(evq_queue *q, const evq_batch *b)
{
	for (size_t i = 0; i < evq_batch_count(b); i++)
		ck_ok(evq_delete(q, NULL, &evq_batch_at(b, i)->receipt));
}

static inline void
give_back_one(evq_queue *q, const evq_batch *b, const char *body, int64_t delay_ms)
{
	ck_ok(evq_release(q, NULL, receipt_of(b, body), delay_ms, 0));
}

static inline void
expect_blocked(evq_queue *q, uint64_t visible, uint64_t delayed, uint64_t leased, uint64_t blocked)
{
	expect_counts(q, visible, delayed, leased);
	ck_assert_uint_eq(stats(q).blocked, blocked);
}

static inline size_t
events_of(int type)
{
	size_t count = 0;
	for (size_t i = 0; i < seen_count; i++)
		count += seen[i].type == type;
	return count;
}

#endif
