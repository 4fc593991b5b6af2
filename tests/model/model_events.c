/* SPDX-License-Identifier: MIT */
/*
 * Lists of events, and their comparison. The order of the events of one call
 * is not promised, so the two lists are compared sorted; the type, the queue
 * and the message always count, the reason where the contract gives one.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>

void
model_events_add(struct m_events *list, const struct m_event *event)
{
	if (list->count == list->cap) {
		list->cap = list->cap * 2 + 64;
		list->at = realloc(list->at, list->cap * sizeof(*list->at));
		if (list->at == NULL)
			abort();
	}
	list->at[list->count++] = *event;
}

void
model_events_copy(struct m_events *to, const struct m_events *from)
{
	for (size_t i = 0; i < from->count; i++)
		model_events_add(to, &from->at[i]);
}

void
model_ids_add(struct m_ids *list, evq_id id)
{
	if (list->count == list->cap) {
		list->cap = list->cap * 2 + 64;
		list->at = realloc(list->at, list->cap * sizeof(*list->at));
		if (list->at == NULL)
			abort();
	}
	list->at[list->count++] = id;
}

static bool
has_reason(int type)
{
	return type == EVQ_EVENT_DEAD_LETTERED || type == EVQ_EVENT_NOT_REDRIVEN;
}

void
model__tell(struct model *m, int type, const char *queue, evq_id id, const char *reason)
{
	struct m_event event = { type, model_intern(queue), id, has_reason(type) ? model_intern(reason) : NULL };

	model_events_add(&m->told, &event);
}

/* An event of this kind about an expired message says that its expiry was dealt with. */
static bool
is_clearing(const struct m_event *e)
{
	if (e->type == EVQ_EVENT_DEAD_LETTERED)
		return e->reason != NULL && strcmp(e->reason, "expired") == 0;
	return e->type == EVQ_EVENT_EXPIRED || e->type == EVQ_EVENT_DEAD_LETTER_FULL;
}

bool
model__was_cleared(const struct model *m, const struct m_queue *q, evq_id id)
{
	if (m->seen == NULL)
		return false;
	for (size_t i = 0; i < m->seen->count; i++) {
		const struct m_event *e = &m->seen->at[i];

		if (e->id == id && is_clearing(e) && strcmp(e->queue, q->name) == 0)
			return true;
	}
	return false;
}

static int
compare_texts(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

static int
compare(const void *pa, const void *pb)
{
	const struct m_event *a = pa, *b = pb;
	int c;

	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	if ((c = compare_texts(a->queue, b->queue)) != 0)
		return c;
	return has_reason(a->type) ? compare_texts(a->reason, b->reason) : 0;
}

static size_t
count_same(const struct m_events *list, const struct m_event *event)
{
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++)
		count += compare(&list->at[i], event) == 0;
	return count;
}

/* Of those that tell what could not be redriven from queue, takes out what was told before. */
void
model_events_drop_repeats(struct m_events *seen, const struct m_events *told, const char *queue)
{
	for (size_t i = 0; i < seen->count;) {
		const struct m_event *e = &seen->at[i];
		bool counts = e->type == EVQ_EVENT_NOT_REDRIVEN && strcmp(e->queue, queue) == 0;
		size_t want = counts ? count_same(told, e) : 0;

		if (want > 0 && count_same(seen, e) > want)
			seen->at[i] = seen->at[--seen->count];
		else
			i++;
	}
}

/* The first event that one list lacks: *lacks was told and not seen, *odd seen and not told. */
bool
model_events_differ(struct m_events *told, struct m_events *seen, const struct m_event **lacks,
                    const struct m_event **odd)
{
	size_t i;

	if (told->count > 1)
		qsort(told->at, told->count, sizeof(*told->at), compare);
	if (seen->count > 1)
		qsort(seen->at, seen->count, sizeof(*seen->at), compare);
	for (i = 0; i < told->count && i < seen->count; i++)
		if (compare(&told->at[i], &seen->at[i]) != 0)
			break;
	*lacks = i < told->count ? &told->at[i] : NULL;
	*odd = i < seen->count ? &seen->at[i] : NULL;
	if (*lacks != NULL && *odd != NULL) {
		if (compare(*lacks, *odd) < 0)
			*odd = NULL;
		else
			*lacks = NULL;
	}
	return *lacks != NULL || *odd != NULL;
}
