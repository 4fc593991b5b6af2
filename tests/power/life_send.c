/* SPDX-License-Identifier: MIT */
/* What a life sends, and what it is refused. */
#include "ledger.h"
#include "life.h"

size_t
life_messages(size_t longer_than)
{
	size_t count = 0;
	for (size_t i = 0; i < ledger.item_count; i++) {
		const struct item *item = &ledger.items[i];
		count += item->kind == ITEM_MESSAGE && item->alive && (!longer_than || item->len > longer_than);
	}
	return count;
}

size_t
life_pick_queue(void)
{
	size_t i = life_any(10);
	return i < 5 ? QUEUE_A : i < 8 || !life_queues[QUEUE_TEMPORARY] ? QUEUE_B : QUEUE_TEMPORARY;
}

evq_buf
life_pick_body(size_t queue)
{
	static const size_t lens[] = { 0, 100, 100, 100, 700, 3000, 3000, 20000 };
	size_t len = lens[life_any(sizeof(lens) / sizeof(*lens))];
	if (queue == QUEUE_A && life_any(60) == 0 && !life_messages(BIG / 2))
		len = BIG;
	return (evq_buf){ life_bytes + life_any(BODY_MAX - BIG), len };
}

evq_send_opts
life_pick_options(size_t len)
{
	static const evq_attr attr = { "colour", "green", 5 };
	evq_send_opts o = { .size = sizeof(o), .priority = life_any(3) ? 0 : (int)life_any(5) - 2 };
	if (len == BIG) /* it is looked at in each state: not for long */
		o.priority = 100;
	else if (life_any(4) == 0)
		o.delay_ms = 1 + (int64_t)life_any(60000);
	if (life_any(4) == 0) {
		o.attrs = &attr;
		o.attr_count = 1;
	}
	return o;
}

void
life_sent(size_t queue, const evq_buf *body, const evq_send_opts *o, evq_id id)
{
	ledger_add(ITEM_MESSAGE, id, life_names[queue], ledger_content_of(body->data, body->len, o), body->len);
}

void
op_send(void)
{
	size_t queue = life_pick_queue();
	evq_buf body = life_pick_body(queue);
	evq_send_opts o = life_pick_options(body.len);
	evq_id id = 0;
	ledger_begin("send");
	int rc = life_expect(evq_send(life_queues[queue], NULL, body.data, body.len, &o, &id), EVQ_FULL, 0, "send");
	if (!rc)
		life_sent(queue, &body, &o, id);
	ledger_end(rc);
}

void
op_send_batch(void)
{
	evq_buf bodies[TOGETHER_MAX];
	evq_id ids[TOGETHER_MAX];
	size_t queue = life_pick_queue(), count = 2 + life_any(TOGETHER_MAX - 1);
	evq_send_opts o = life_pick_options(0);
	for (size_t i = 0; i < count; i++)
		bodies[i] = life_pick_body(queue);
	ledger_begin("send batch");
	int rc = life_expect(evq_send_batch(life_queues[queue], NULL, bodies, count, &o, ids), EVQ_FULL, 0, "send batch");
	for (size_t i = 0; i < count && !rc; i++)
		life_sent(queue, &bodies[i], &o, ids[i]);
	ledger_end(rc);
}

/* One body of the batch is too long: none is there. */
void
op_refused(void)
{
	evq_buf bodies[2] = { life_pick_body(QUEUE_B), { life_bytes, BIG } };
	ledger_begin("send life_batch, to be refused");
	if (ledger_end(evq_send_batch(life_queues[QUEUE_B], NULL, bodies, 2, NULL, NULL)) != EVQ_TOOBIG)
		life_expect(EVQ_CORRUPT, 0, 0, "a batch with a body that is too long");
}
