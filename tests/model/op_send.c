/* SPDX-License-Identifier: MIT */
/*
 * Sending: one, a batch, and now and then a burst of hundreds, so that the
 * calls which work in slices need several.
 */
#include "run.h"

#include <stdio.h>
#include <string.h>

#define BURST 300

struct plan {
	evq_send_opts opts;
	evq_attr attrs[EVQ_ATTRS_MAX];
	char names[EVQ_ATTRS_MAX][16];
	char group[EVQ_GROUP_MAX + 1];
	evq_buf bodies[BURST];
	evq_id ids[BURST];
	size_t count;
};

static struct plan plan;

static void
plan_attrs(struct run *r)
{
	plan.opts.attr_count = percent(r, 60) ? 0 : one_in(r, 50) ? EVQ_ATTRS_MAX : 1 + below(r, 4);
	plan.opts.attrs = plan.attrs;
	for (size_t i = 0; i < plan.opts.attr_count; i++) {
		size_t len = one_in(r, 5) ? 0 : one_in(r, 60) ? below(r, 900) : below(r, 30);

		snprintf(plan.names[i], sizeof(plan.names[i]), "name-%zu", below(r, 20));
		plan.attrs[i].name = plan.names[i];
		plan.attrs[i].len = len;
		plan.attrs[i].value = len == 0 && one_in(r, 2) ? NULL : bytes_of(r, len);
	}
}

static void
plan_group(struct run *r)
{
	size_t len = one_in(r, 30) ? EVQ_GROUP_MAX : 1 + below(r, 5);

	if (percent(r, 70))
		return;
	memset(plan.group, 'g', len);
	plan.group[len] = 0;
	plan.group[len - 1] = (char)('0' + below(r, 10));
	plan.opts.group = plan.group;
}

static int
plan_priority(struct run *r)
{
	static const int few[] = { -128, -1, 1, 2, 127 };

	return percent(r, 65) ? 0 : few[below(r, sizeof(few) / sizeof(*few))];
}

/* Returns the options, or NULL for none. */
static const evq_send_opts *
plan_opts(struct run *r)
{
	plan.opts = (evq_send_opts){ .size = sizeof(plan.opts) };
	if (percent(r, 20))
		return NULL;
	if (percent(r, 40))
		plan.opts.delay_ms = percent(r, 30) ? EVQ_NONE : between(r, 1, 3000);
	if (percent(r, 15))
		plan.opts.expires_ms = between(r, 1, 6000);
	plan.opts.priority = plan_priority(r);
	plan_group(r);
	plan_attrs(r);
	return &plan.opts;
}

static void
plan_bodies(struct run *r, size_t count, size_t most)
{
	plan.count = count;
	for (size_t i = 0; i < count; i++) {
		size_t len = body_length(r);

		plan.bodies[i].len = len > most ? len % (most + 1) : len;
		plan.bodies[i].data = len == 0 && one_in(r, 2) ? NULL : bytes_of(r, len);
	}
}

/* A body as long as the queue allows, or as its quota has left, or one byte more than that. */
static void
plan_edge(struct run *r, const struct m_queue *q)
{
	uint64_t left = q->attrs.max_body_len;

	if (q->attrs.max_bytes > 0 && one_in(r, 2)) {
		left = q->attrs.max_bytes;
		for (size_t i = 0; i < q->count; i++)
			left -= left < q->msgs[i].content->len ? left : q->msgs[i].content->len;
	}
	if (left == 0 || left >= BYTES_LEN / 2)
		return;
	plan.bodies[0].len = (size_t)left + below(r, 2);
	plan.bodies[0].data = bytes_of(r, plan.bodies[0].len);
}

static void
say_plan(struct run *r, const struct m_queue *q, const char *call, const evq_send_opts *opts)
{
	say(r, "%s %s: %zu of", call, q->name, plan.count);
	for (size_t i = 0; i < plan.count && i < 6; i++)
		say_more(r, " %zu", plan.bodies[i].len);
	say_more(r, " bytes");
	if (opts != NULL)
		say_more(r, ", delay %lld, expires %lld, priority %d, %s, %zu attributes", (long long)opts->delay_ms,
		         (long long)opts->expires_ms, opts->priority, opts->group == NULL ? "no group" : opts->group,
		         opts->attr_count);
}

/* The caller asked for no ids: find the first of them, the smallest that the model doesn't know. */
static evq_id
look_up_first(struct run *r, const struct m_queue *q)
{
	evq_id first = 0;

	expect_rc(r, "evq_peek for the new message", 0,
	          evq_peek(store_queue(r, q), EVQ_PEEK_OPTS(.count = EVQ_BATCH_MAX), r->batch));
	for (size_t i = 0; i < evq_batch_count(r->batch); i++) {
		evq_id id = evq_batch_at(r->batch, i)->id;

		if (model_msg(q, id) == NULL && (first == 0 || id < first))
			first = id;
	}
	return first;
}

static void
check_ids(struct run *r)
{
	for (size_t i = 1; i < plan.count; i++)
		if (plan.ids[i] != plan.ids[0] + i)
			differ(r, "ids of a batch: expected %llu at place %zu, got %llu",
			       (unsigned long long)(plan.ids[0] + i), i, (unsigned long long)plan.ids[i]);
}

/* Would clearing one expired message make the room? Then a send may not be refused: it does that first. */
static bool
has_room_behind_one(struct run *r, const struct m_queue *q)
{
	if (q->attrs.flags != 0 || q->attrs.max_bytes > 0 || model_limbo(r->m, q) == 0)
		return false;
	return q->count - 1 + plan.count <= q->attrs.max_messages;
}

static void
compare_send(struct run *r, struct m_queue *q, const evq_send_opts *opts, int got, bool want_ids)
{
	say_more(r, " = %s", rc_name(got));
	if (got == EVQ_FULL && has_room_behind_one(r, q))
		differ(r, "EVQ_FULL, though %s holds expired messages that a send clears first", q->name);
	run_look(r);
	model_clear_seen(r->m);
	expect_rc(r, "send", model_send_check(q, plan.bodies, plan.count), got);
	if (got == 0) {
		if (want_ids)
			check_ids(r);
		else
			plan.ids[0] = look_up_first(r, q);
		say_more(r, " id %llu", (unsigned long long)plan.ids[0]);
		model_send(r->m, q, plan.bodies, plan.count, opts, plan.ids[0]);
	}
	run_settle(r);
}

bool
op_send(struct run *r)
{
	struct m_queue *q = pick_queue(r);
	bool want_id = r->txn != NULL || !one_in(r, 40);
	const evq_send_opts *opts = plan_opts(r);

	if (q == NULL || touchy(r, q))
		return false;
	plan_bodies(r, 1, SIZE_MAX - 1);
	if (one_in(r, 20))
		plan_edge(r, q);
	say_plan(r, q, "send", opts);
	compare_send(r, q, opts,
	             evq_send(store_queue(r, q), r->txn, plan.bodies[0].data, plan.bodies[0].len, opts,
	                      want_id ? plan.ids : NULL),
	             want_id);
	return true;
}

static bool
send_batch(struct run *r, struct m_queue *q, size_t count, size_t most)
{
	bool want_ids = r->txn != NULL || !one_in(r, 20);
	const evq_send_opts *opts = plan_opts(r);

	plan_bodies(r, count, most);
	say_plan(r, q, "send_batch", opts);
	compare_send(r, q, opts,
	             evq_send_batch(store_queue(r, q), r->txn, plan.bodies, count, opts, want_ids ? plan.ids : NULL),
	             want_ids);
	return true;
}

bool
op_send_batch(struct run *r)
{
	struct m_queue *q = pick_queue(r);

	if (q == NULL || touchy(r, q))
		return false;
	return send_batch(r, q, 1 + below(r, one_in(r, 8) ? 20 : 6), SIZE_MAX - 1);
}

bool
op_burst(struct run *r)
{
	struct m_queue *q = pick_queue(r);

	if (q == NULL || touchy(r, q))
		return false;
	return send_batch(r, q, BURST - below(r, 200), 300);
}
