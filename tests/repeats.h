/* SPDX-License-Identifier: MIT */
/* Verbs for sends that repeat others, or do not. */
#ifndef EVQ_TESTS_REPEATS_H
#define EVQ_TESTS_REPEATS_H

#include "groups.h"

static inline evq_id
send_id(evq_queue *to, const char *body, const char *dedup_id)
{
	return send_with(to, body, EVQ_SEND_OPTS(.dedup_id = dedup_id));
}

static inline void
expect_repeat(evq_queue *to, const char *dedup_id, evq_id first)
{
	uint64_t duplicates = stats(to).duplicates, messages = stats(to).messages;
	ck_assert_uint_eq(send_id(to, "again", dedup_id), first);
	ck_assert_uint_eq(stats(to).duplicates, duplicates + 1);
	ck_assert_uint_eq(stats(to).messages, messages);
}

static inline evq_id
expect_new(evq_queue *to, const char *dedup_id)
{
	uint64_t duplicates = stats(to).duplicates, messages = stats(to).messages;
	evq_id id = send_id(to, "again", dedup_id);
	ck_assert_uint_eq(stats(to).duplicates, duplicates);
	ck_assert_uint_eq(stats(to).messages, messages + 1);
	return id;
}

static inline void
expect_sent(evq_queue *of, uint64_t sent, uint64_t duplicates)
{
	evq_stats s = stats(of);
	ck_assert_uint_eq(s.sent, sent);
	ck_assert_uint_eq(s.duplicates, duplicates);
	ck_assert_uint_eq(s.messages, sent - s.deleted - s.purged - s.expired - s.dead_lettered);
}

#endif
