/* SPDX-License-Identifier: MIT */
/*
 * What a queue remembers of the sends it accepted: a row for each that had a
 * dedup_id, or whose body stood for one, kept until the window that it began
 * is over, whatever becomes of the message. Bodies are compared as they are.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>

/* What a message to be sent is known by. */
struct mark {
	const char *dedup_id; /* NULL: the body */
	size_t k;
	const evq_buf *body;
};

/* False: by nothing. */
static bool
mark_of(const struct m_queue *q, const evq_send_opts *opts, const evq_buf *body, size_t k, struct mark *out)
{
	out->dedup_id = opts == NULL ? NULL : opts->dedup_id;
	out->k = k;
	out->body = body;
	return out->dedup_id != NULL || model_is(q, EVQ_CONTENT_DEDUP);
}

static bool
is_known_by(const struct m_known *known, const struct mark *mark)
{
	if (known->dedup_id != NULL || mark->dedup_id != NULL)
		return known->dedup_id != NULL && mark->dedup_id != NULL && known->k == mark->k
		    && strcmp(known->dedup_id, mark->dedup_id) == 0;
	return known->content->len == mark->body->len
	    && (mark->body->len == 0 || memcmp(known->content->body, mark->body->data, mark->body->len) == 0);
}

static const struct m_known *
recall(const struct model *m, const struct m_queue *q, const struct mark *mark)
{
	for (size_t i = 0; i < q->known_count; i++)
		if (m->now < q->known[i].ends_at && is_known_by(&q->known[i], mark))
			return &q->known[i];
	return NULL;
}

static bool
same_body(const evq_buf *a, const evq_buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* Is body i, looked for by content, in the batch before? */
static bool
sent_before(const evq_buf *bodies, size_t i, size_t *before)
{
	for (*before = 0; *before < i; ++*before)
		if (same_body(&bodies[*before], &bodies[i]))
			return true;
	return false;
}

/* Of each message of a send: is it new, or a repeat of which? */
void
model_fates(const struct model *m, const struct m_queue *q, const evq_buf *bodies, size_t count,
            const evq_send_opts *opts, struct m_fate *fates)
{
	for (size_t i = 0; i < count; i++) {
		const struct m_known *known;
		struct mark mark;

		fates[i] = (struct m_fate){ .repeat = false };
		if (!mark_of(q, opts, &bodies[i], i, &mark))
			continue;
		if ((known = recall(m, q, &mark)) != NULL)
			fates[i] = (struct m_fate){ .repeat = true, .first = known->first };
		else if (mark.dedup_id == NULL)
			fates[i].repeat = sent_before(bodies, i, &fates[i].sent_now);
	}
}

static void
drop_row(struct m_queue *q, size_t i)
{
	if (q->known[i].content != NULL)
		model_content_free(q->known[i].content);
	q->known[i] = q->known[--q->known_count];
}

/* Rows that mean nothing any more, so that the list stays short. */
static void
drop_ended(const struct model *m, struct m_queue *q)
{
	for (size_t i = q->known_count; i > 0; i--)
		if (q->known[i - 1].ends_at <= m->now)
			drop_row(q, i - 1);
}

static void
add_row(struct m_queue *q, const struct m_known *row)
{
	if (q->known_count == q->known_cap) {
		q->known_cap = q->known_cap * 2 + 16;
		q->known = realloc(q->known, q->known_cap * sizeof(*q->known));
		if (q->known == NULL)
			abort();
	}
	q->known[q->known_count++] = *row;
}

/* Of the k-th message of a send, which was new. */
void
model__remember(struct model *m, struct m_queue *q, const struct m_msg *msg, const evq_send_opts *opts, size_t k)
{
	struct m_known row = { .k = k, .first = msg->id, .ends_at = m->now + q->attrs.dedup };

	drop_ended(m, q);
	row.dedup_id = model_intern(opts == NULL ? NULL : opts->dedup_id);
	if (row.dedup_id == NULL) {
		if (!model_is(q, EVQ_CONTENT_DEDUP))
			return;
		row.content = msg->content;
		row.content->refs++;
	}
	add_row(q, &row);
}

void
model__forget(struct m_queue *q)
{
	while (q->known_count > 0)
		drop_row(q, q->known_count - 1);
}
