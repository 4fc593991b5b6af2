/* SPDX-License-Identifier: MIT */
/*
 * Receiving: the batch is compared message by message with what the model
 * leased, and the receipts are kept.
 */
#include "run.h"

#include <string.h>

static void
keep_receipt(struct run *r, const struct m_queue *q, struct m_msg *msg, const evq_receipt *receipt)
{
	struct m_ticket t;

	if (msg->has_receipt && memcmp(&msg->receipt, receipt, sizeof(*receipt)) == 0)
		differ(r, "message %llu of %s: the new receipt is the same as the last", (unsigned long long)msg->id,
		       q->name);
	msg->receipt = *receipt;
	msg->has_receipt = true;
	t = ticket_of(q, msg);
	pool_put(r, &t);
}

static void
compare_batch(struct run *r, const struct m_queue *q)
{
	size_t got = evq_batch_count(r->batch);

	for (size_t i = 0; i < r->ids.count && i < got; i++)
		if (evq_batch_at(r->batch, i)->id != r->ids.at[i])
			differ(r, "evq_receive from %s: at place %zu expected message %llu, got %llu", q->name, i,
			       (unsigned long long)r->ids.at[i], (unsigned long long)evq_batch_at(r->batch, i)->id);
	expect_int(r, "evq_receive: messages", (int64_t)r->ids.count, (int64_t)got);
	for (size_t i = 0; i < got; i++) {
		const evq_delivery *d = evq_batch_at(r->batch, i);
		struct m_msg *msg = model_msg(q, d->id);

		compare_delivery(r, q, msg, d, EVQ_LEASED);
		keep_receipt(r, q, msg, &d->receipt);
	}
	if (evq_batch_at(r->batch, got) != NULL)
		differ(r, "evq_batch_at behind the last: expected NULL");
}

bool
receive(struct run *r, struct m_queue *q, const evq_receive_opts *opts)
{
	evq_queue *handle = store_queue(r, q);
	int got, want;

	if (opts == NULL)
		say(r, "receive %s", q->name);
	else
		say(r, "receive %s: count %u, visibility %lld, max_bytes %llu", q->name, opts->count,
		    (long long)opts->visibility_ms, (unsigned long long)opts->max_bytes);
	got = evq_receive(handle, r->txn, opts, r->batch);
	say_more(r, " = %s", rc_name(got));
	run_look(r);
	r->order.count = 0;
	for (size_t i = 0; i < evq_batch_count(r->batch); i++)
		model_ids_add(&r->order, evq_batch_at(r->batch, i)->id);
	r->m->got = &r->order;
	want = model_receive(r->m, q, opts, &r->ids);
	r->m->got = NULL;
	say_ids(r, &r->ids);
	if (want != got)
		differ(r, "evq_receive from %s: expected %s and %zu messages, got %s and %zu", q->name, rc_name(want),
		       r->ids.count, rc_name(got), evq_batch_count(r->batch));
	compare_batch(r, q);
	run_settle(r);
	return true;
}

static uint32_t
draw_count(struct run *r)
{
	size_t roll = below(r, 100);

	if (roll < 50)
		return (uint32_t)below(r, 3);
	return roll < 92 ? (uint32_t)(1 + below(r, 12)) : EVQ_BATCH_MAX;
}

/* Often just what the first few have together, or a byte less. */
static uint64_t
draw_max_bytes(struct run *r, const struct m_queue *q)
{
	size_t few = 1 + below(r, 4), less = below(r, 2);
	uint64_t sum = 0;

	if (one_in(r, 2))
		return 1 + below(r, 5000);
	model_order(q, &r->ids);
	for (size_t i = 0; i < r->ids.count && few > 0; i++) {
		const struct m_msg *msg = model_msg(q, r->ids.at[i]);

		if (model_state(r->m, q, msg) != EVQ_VISIBLE)
			continue;
		sum += msg->content->len;
		few--;
	}
	return sum > less ? sum - less : 1;
}

bool
op_receive(struct run *r)
{
	struct m_queue *q = pick_queue(r);
	evq_receive_opts opts = { .size = sizeof(opts) };

	if (q == NULL || touchy(r, q))
		return false;
	if (one_in(r, 8))
		return receive(r, q, NULL);
	opts.count = draw_count(r);
	if (percent(r, 40))
		opts.visibility_ms = one_in(r, 20) ? INT64_C(43200000) : between(r, 1, 4000);
	if (percent(r, 15))
		opts.max_bytes = draw_max_bytes(r, q);
	if (r->txn == NULL && one_in(r, 500))
		opts.wait_ms = 1;
	if (r->txn == NULL && one_in(r, 500))
		opts.window_ms = 1;
	return receive(r, q, &opts);
}

static int
delete_taken(struct run *r, struct m_queue *q, const struct m_ids *taken)
{
	for (size_t i = 0; i < taken->count; i++) {
		struct m_msg *msg = model_msg(q, taken->at[i]);
		struct m_ticket t;

		if (one_in(r, 10))
			continue;
		t = ticket_of(q, msg);
		expect_rc(r, "evq_delete of what was just received", 0, evq_delete(store_queue(r, q), r->txn, &t.r));
		expect_rc(r, "the model's delete of it", 0, model_delete(r->m, q, &t));
	}
	return 0;
}

/* Where much has gathered: everything is received, and most of it deleted. */
bool
op_drain(struct run *r)
{
	struct m_queue *q = pick_queue(r);

	if (q == NULL || q->count < 40 || touchy(r, q))
		return false;
	receive(r, q, EVQ_RECEIVE_OPTS(.count = EVQ_BATCH_MAX));
	say(r, "delete from %s most of these", q->name);
	delete_taken(r, q, &r->ids);
	run_settle(r);
	return true;
}
