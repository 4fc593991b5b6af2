/* SPDX-License-Identifier: MIT */
/*
 * What order messages stand in, and what state each is in. A plain queue: by
 * priority, then by the time of becoming due, then by id. A fair one: within a
 * priority first those that have a turn, by their turns. A FIFO queue: group
 * after group, each by id; the groups by their first message's place in a
 * plain queue.
 */
#include "model.h"

#include <stdlib.h>

bool
model_is(const struct m_queue *q, uint32_t flag)
{
	return (q->attrs.flags & flag) != 0;
}

bool
model_expired(const struct model *m, const struct m_msg *msg)
{
	return msg->expiry > 0 && msg->expiry <= m->now;
}

/* One that came without a group is a group of its own. */
bool
model_same_group(const struct m_msg *a, const struct m_msg *b)
{
	if (a->content->group == NULL || b->content->group == NULL)
		return a->id == b->id;
	return a->content->group == b->content->group;
}

/* Does an earlier one of its group stand in its way? What has expired does not. */
static bool
is_blocked(const struct model *m, const struct m_queue *q, const struct m_msg *msg)
{
	for (size_t i = 0; i < q->count; i++) {
		const struct m_msg *other = &q->msgs[i];

		if (other->id < msg->id && model_same_group(other, msg) && other->due > m->now && !model_expired(m, other))
			return true;
	}
	return false;
}

int
model_state(const struct model *m, const struct m_queue *q, const struct m_msg *msg)
{
	if (model_expired(m, msg))
		return 0;
	if (msg->due > m->now)
		return msg->leased ? EVQ_LEASED : EVQ_DELAYED;
	return model_is(q, EVQ_FIFO) && is_blocked(m, q, msg) ? EVQ_BLOCKED : EVQ_VISIBLE;
}

/* ---- order ---- */

static int
compare_ids(const void *pa, const void *pb)
{
	const struct m_msg *a = *(struct m_msg *const *)pa, *b = *(struct m_msg *const *)pb;

	return a->id < b->id ? -1 : a->id > b->id;
}

static int
compare_places(const void *pa, const void *pb)
{
	const struct m_msg *a = *(struct m_msg *const *)pa, *b = *(struct m_msg *const *)pb;

	if (a->priority != b->priority)
		return a->priority > b->priority ? -1 : 1;
	if (a->in_turn != b->in_turn)
		return a->in_turn ? -1 : 1;
	if (a->in_turn && a->turn != b->turn)
		return a->turn < b->turn ? -1 : 1;
	if (!a->in_turn && a->due != b->due)
		return a->due < b->due ? -1 : 1;
	return compare_ids(pa, pb);
}

typedef int compare_fn(const void *, const void *);

/* In a fair queue a peek shows those by their time first. */
static int
compare_shown(const void *pa, const void *pb)
{
	const struct m_msg *a = *(struct m_msg *const *)pa, *b = *(struct m_msg *const *)pb;

	if (a->priority == b->priority && a->in_turn != b->in_turn)
		return a->in_turn ? 1 : -1;
	return compare_places(pa, pb);
}

typedef bool wanted_fn(const struct m_queue *q, const struct m_msg *msg, const struct m_msg *like);

/* Those of q that are wanted, in order. */
static void
sort(const struct m_queue *q, wanted_fn *wanted, const struct m_msg *like, compare_fn *compare, struct m_ids *out)
{
	const struct m_msg **sorted = malloc((q->count + 1) * sizeof(*sorted));
	size_t count = 0;

	if (sorted == NULL)
		abort();
	for (size_t i = 0; i < q->count; i++)
		if (wanted == NULL || wanted(q, &q->msgs[i], like))
			sorted[count++] = &q->msgs[i];
	if (count > 1)
		qsort(sorted, count, sizeof(*sorted), compare);
	out->count = 0;
	for (size_t i = 0; i < count; i++)
		model_ids_add(out, sorted[i]->id);
	free(sorted);
}

static const struct m_msg *
head_of(const struct m_queue *q, const struct m_msg *msg)
{
	const struct m_msg *head = msg;

	for (size_t i = 0; i < q->count; i++)
		if (q->msgs[i].id < head->id && model_same_group(&q->msgs[i], msg))
			head = &q->msgs[i];
	return head;
}

static bool
is_head(const struct m_queue *q, const struct m_msg *msg, const struct m_msg *like)
{
	(void)like;
	return head_of(q, msg) == msg;
}

static bool
is_of_group(const struct m_queue *q, const struct m_msg *msg, const struct m_msg *like)
{
	(void)q;
	return model_same_group(msg, like);
}

/* Of a FIFO queue, with a 0 behind each group. */
void
model__order_groups(const struct m_queue *q, struct m_ids *out)
{
	struct m_ids heads = { 0 }, group = { 0 };

	sort(q, is_head, NULL, compare_places, &heads);
	out->count = 0;
	for (size_t i = 0; i < heads.count; i++) {
		sort(q, is_of_group, model_msg(q, heads.at[i]), compare_ids, &group);
		for (size_t k = 0; k < group.count; k++)
			model_ids_add(out, group.at[k]);
		model_ids_add(out, 0);
	}
	free(heads.at);
	free(group.at);
}

/* Every message of a queue that is not FIFO, in the order of a peek. */
void
model__order_shown(const struct m_queue *q, struct m_ids *out)
{
	sort(q, NULL, NULL, compare_shown, out);
}

/* Every message, in the order of delivery. */
void
model_order(const struct m_queue *q, struct m_ids *out)
{
	size_t kept = 0;

	if (!model_is(q, EVQ_FIFO)) {
		sort(q, NULL, NULL, compare_places, out);
		return;
	}
	model__order_groups(q, out);
	for (size_t i = 0; i < out->count; i++)
		if (out->at[i] != 0)
			out->at[kept++] = out->at[i];
	out->count = kept;
}
