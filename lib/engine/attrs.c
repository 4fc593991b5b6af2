/* SPDX-License-Identifier: MIT */
/*
 * Owns the bounds and defaults of a queue's attributes. What is out of bounds is refused before anything
 * is written, never bent to fit.
 */
#include <errno.h>

#include "catalog.h"
#include "key.h"
#include "bounds.h"
#include "opts.h"

/* The field's value, or its default where it is 0. */
static int
check(int64_t given, int64_t standard, int64_t least, int64_t most, int64_t *out)
{
	*out = given ? given : standard;
	return *out < least || *out > most ? EINVAL : 0;
}

static int
check_times(const evq_queue_attrs *a, struct evq__queue *q)
{
	int rc = check(a->visibility_ms, EVQ__VISIBILITY_DEFAULT, 1, EVQ__VISIBILITY_MAX, &q->visibility_ms);
	if (!rc)
		rc = check(a->delay_ms, 0, 0, EVQ__DELAY_MAX, &q->delay_ms);
	if (!rc)
		rc = check(a->retention_ms, 0, 0, EVQ__LIFE_MAX, &q->retention_ms);
	if (!rc)
		rc = check(a->retry_min_ms, EVQ__RETRY_MIN_DEFAULT, 1, EVQ__DELAY_MAX, &q->retry_min_ms);
	if (!rc)
		rc = check(a->retry_max_ms, EVQ__RETRY_MAX_DEFAULT, q->retry_min_ms, EVQ__DELAY_MAX,
		           &q->retry_max_ms);
	if (!rc)
		rc = check(a->dedup_ms, EVQ__DEDUP_DEFAULT, 1, EVQ__DEDUP_MAX, &q->dedup_ms);
	return rc;
}

static int
check_rest(const evq_queue_attrs *a, struct evq__queue *q)
{
	uint32_t known = EVQ__FLAGS_FIXED | EVQ_EXPIRE_TO_DEAD_LETTER;
	if ((a->flags & ~known) || a->max_body_len > EVQ_BODY_MAX)
		return EINVAL;
	if ((a->flags & EVQ_FIFO) && (a->flags & EVQ_FAIR))
		return EINVAL;
	if (!a->dead_letter && (a->max_receives || (a->flags & EVQ_EXPIRE_TO_DEAD_LETTER)))
		return EINVAL;
	q->flags = a->flags;
	q->max_receives = a->max_receives;
	q->max_messages = a->max_messages;
	q->max_bytes = a->max_bytes;
	q->max_body_len = a->max_body_len ? a->max_body_len : EVQ__BODY_LEN_DEFAULT;
	return 0;
}

int
evq__attrs_check(const evq_queue_attrs *given, struct evq__attrs *out)
{
	evq_queue_attrs a;
	*out = (struct evq__attrs){ .dead_letter = NULL };
	int rc = evq__opts_load(&a, sizeof a, EVQ__QUEUE_ATTRS_FIRST, given);
	if (!rc)
		rc = check_times(&a, &out->q);
	if (!rc)
		rc = check_rest(&a, &out->q);
	if (!rc && a.dead_letter)
		rc = evq__name_check(a.dead_letter, &out->dead_letter_len);
	out->dead_letter = a.dead_letter;
	return rc;
}
