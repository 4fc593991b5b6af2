/* SPDX-License-Identifier: MIT */
/*
 * Turns. In a fair queue a message that becomes visible gets the turn after
 * the last one of its tenant's, but none that has passed: the turn of the
 * first message waiting at that priority is the one at which they are. A
 * tenant's last turn is forgotten when a message leaves it.
 */
#include "model.h"

#include <stdlib.h>

static struct m_tenant *
find_tenant(const struct m_queue *q, int priority, const char *name)
{
	for (size_t i = 0; i < q->tenant_count; i++)
		if (q->tenants[i].priority == priority && q->tenants[i].name == name)
			return &q->tenants[i];
	return NULL;
}

static void
set_last(struct m_queue *q, int priority, const char *name, uint64_t turn)
{
	struct m_tenant *tenant = find_tenant(q, priority, name);

	if (tenant == NULL) {
		if (q->tenant_count == q->tenant_cap) {
			q->tenant_cap = q->tenant_cap * 2 + 8;
			q->tenants = realloc(q->tenants, q->tenant_cap * sizeof(*q->tenants));
			if (q->tenants == NULL)
				abort();
		}
		tenant = &q->tenants[q->tenant_count++];
	}
	*tenant = (struct m_tenant){ priority, name, turn };
}

static uint64_t
current_turn(const struct m_queue *q, int priority)
{
	const struct m_msg *first = NULL;

	for (size_t i = 0; i < q->count; i++) {
		const struct m_msg *msg = &q->msgs[i];

		if (msg->in_turn && msg->priority == priority && (first == NULL || msg->turn < first->turn))
			first = msg;
	}
	return first == NULL ? 0 : first->turn;
}

/* At the end of the turns, or nowhere in a queue that is not fair. */
void
model__turn_give(struct m_queue *q, struct m_msg *msg)
{
	const char *name = msg->content->group;
	const struct m_tenant *tenant;
	uint64_t turn;

	if (!model_is(q, EVQ_FAIR) || msg->in_turn)
		return;
	turn = current_turn(q, msg->priority);
	tenant = find_tenant(q, msg->priority, name);
	if (tenant != NULL && tenant->last + 1 > turn)
		turn = tenant->last + 1;
	set_last(q, msg->priority, name, turn);
	msg->turn = turn;
	msg->in_turn = true;
}

void
model__turn_end(struct m_queue *q, struct m_msg *msg)
{
	struct m_tenant *tenant = find_tenant(q, msg->priority, msg->content->group);

	if (!msg->in_turn)
		return;
	msg->in_turn = false;
	if (tenant != NULL && tenant->last == msg->turn)
		*tenant = q->tenants[--q->tenant_count];
}

/* Those that came due since, one after the other; what has expired meanwhile needs none. */
void
model__turns_come_due(struct model *m, struct m_queue *q, int priority)
{
	struct m_ids order = { 0 };

	model_order(q, &order);
	for (size_t i = 0; i < order.count; i++) {
		struct m_msg *msg = model_msg(q, order.at[i]);

		if (msg->priority != priority || msg->in_turn || msg->due > m->now)
			continue;
		if (!model_expired(m, msg))
			model__turn_give(q, msg);
		else if (model__was_cleared(m, q, msg->id))
			model__clear(m, q, msg->id);
	}
	free(order.at);
}
