/* SPDX-License-Identifier: MIT */
/*
 * Queues as a whole. Each name has attributes it starts with, chosen so that
 * the interesting meets the interesting: a chain a -> b -> c whose end fills
 * up, retention with and without a dead letter, quotas, delays. Later any of
 * them may get attributes at random, a cycle included, be dropped and come back.
 */
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIRST 15 /* of the names are there from the start */
#define KIND ((uint32_t)(EVQ_FIFO | EVQ_FAIR | EVQ_CONTENT_DEDUP))

static evq_queue_attrs
first_attrs(const char *name)
{
	static const struct {
		const char *name;
		evq_queue_attrs attrs;
	} first[] = {
		{ "a", { .max_receives = 2, .dead_letter = "b", .visibility_ms = 1500, .retry_min_ms = 100 } },
		{ "b", { .max_receives = 1, .dead_letter = "c", .retention_ms = 9000, .visibility_ms = 800 } },
		{ "c", { .max_messages = 25, .max_bytes = 90000, .retry_min_ms = 50, .retry_max_ms = 400 } },
		{ "work", { 0 } },
		{ "ret", { .retention_ms = 3000, .visibility_ms = 700 } },
		{ "edl", { .retention_ms = 2500, .dead_letter = "edl.dead", .max_receives = 3,
		           .flags = EVQ_EXPIRE_TO_DEAD_LETTER, .retry_min_ms = 200, .retry_max_ms = 3000 } },
		{ "edl.dead", { .max_messages = 14, .retention_ms = 20000 } },
		{ "quota", { .max_messages = 15, .max_bytes = 20000, .max_body_len = 5000, .delay_ms = 300,
		             .retention_ms = 8000 } },
		{ "fifo", { .flags = EVQ_FIFO, .visibility_ms = 1500, .max_receives = 2, .dead_letter = "fifo.dead",
		            .retry_min_ms = 100 } },
		{ "fifo.dead", { .flags = EVQ_FIFO, .visibility_ms = 800, .max_receives = 1, .dead_letter = "fair",
		                 .retention_ms = 9000, .dedup_ms = 4000 } },
		{ "fifo.ret", { .flags = EVQ_FIFO | EVQ_CONTENT_DEDUP | EVQ_EXPIRE_TO_DEAD_LETTER, .retention_ms = 2500,
		                .delay_ms = 200, .max_receives = 3, .dead_letter = "edl.dead", .retry_min_ms = 200,
		                .dedup_ms = 900 } },
		{ "fair", { .flags = EVQ_FAIR, .visibility_ms = 900, .max_receives = 2, .dead_letter = "c",
		            .retry_min_ms = 50, .retry_max_ms = 400, .dedup_ms = 6000 } },
		{ "fair.ret", { .flags = EVQ_FAIR | EVQ_CONTENT_DEDUP, .retention_ms = 3000, .visibility_ms = 700,
		                .dedup_ms = 700 } },
		{ "dup", { .flags = EVQ_CONTENT_DEDUP, .max_messages = 20, .dedup_ms = 1500, .max_receives = 4,
		           .dead_letter = "fifo.ret" } },
	};
	evq_queue_attrs none = { .size = sizeof(none) };

	for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++)
		if (strcmp(first[i].name, name) == 0) {
			evq_queue_attrs attrs = first[i].attrs;

			attrs.size = sizeof(attrs);
			return attrs;
		}
	return none;
}

static void
draw_times(struct run *r, evq_queue_attrs *a)
{
	if (percent(r, 60))
		a->visibility_ms = one_in(r, 20) ? 1 : between(r, 200, 6000);
	if (percent(r, 20))
		a->delay_ms = between(r, 1, 2000);
	if (percent(r, 40))
		a->retention_ms = between(r, 500, 15000);
	if (percent(r, 50))
		a->retry_min_ms = one_in(r, 6) ? 1 : between(r, 2, 500);
	if (percent(r, 50))
		a->dedup_ms = one_in(r, 6) ? 1 : between(r, 2, 8000);
	if (percent(r, 50))
		a->retry_max_ms = between(r, a->retry_min_ms > 0 ? a->retry_min_ms : 1000, 5000);
}

static void
draw_quotas(struct run *r, evq_queue_attrs *a)
{
	if (percent(r, 20))
		a->max_messages = 1 + below(r, 40);
	if (percent(r, 15))
		a->max_bytes = 100 + below(r, 100000);
	if (percent(r, 10))
		a->max_body_len = (uint32_t)(100 + below(r, 20000));
}

static void
draw_dead_letter(struct run *r, evq_queue_attrs *a)
{
	if (percent(r, 50))
		return;
	a->dead_letter = pick_name(r);
	if (percent(r, 70))
		a->max_receives = (uint32_t)(1 + below(r, 4));
	if (percent(r, 40))
		a->flags |= EVQ_EXPIRE_TO_DEAD_LETTER;
}

/* One field out of bounds. */
static void
spoil(struct run *r, evq_queue_attrs *a)
{
	switch (below(r, 18)) {
	case 0: a->visibility_ms = 43200001; break;
	case 1: a->visibility_ms = EVQ_NONE; break;
	case 2: a->delay_ms = INT64_C(31536000001); break;
	case 3: a->delay_ms = EVQ_NONE; break;
	case 4: a->retention_ms = INT64_C(3155760000001); break;
	case 5: a->retention_ms = -5; break;
	case 6: a->retry_min_ms = -1; break;
	case 7: a->retry_min_ms = 5000, a->retry_max_ms = 4999; break;
	case 8: a->retry_max_ms = INT64_C(31536000001); break;
	case 9: a->max_body_len = (uint32_t)EVQ_BODY_MAX + 1; break;
	case 10: a->dead_letter = NULL, a->max_receives = 1; break;
	case 11: a->dead_letter = NULL, a->flags |= EVQ_EXPIRE_TO_DEAD_LETTER; break;
	case 12: a->flags |= 16; break;
	case 13: a->flags |= UINT32_C(1) << 31; break;
	case 14: a->dedup_ms = EVQ_NONE; break;
	case 15: a->dedup_ms = INT64_C(31536000001); break;
	case 16: a->flags |= EVQ_FIFO | EVQ_FAIR; break;
	default: a->retry_min_ms = 900001, a->retry_max_ms = 0; break;
	}
}

/* FIFO or fair or neither; told apart by content or not. */
static uint32_t
draw_kind(struct run *r)
{
	static const uint32_t kinds[] = { 0, EVQ_FIFO, EVQ_FAIR };

	return kinds[below(r, 3)] | (percent(r, 30) ? EVQ_CONTENT_DEDUP : 0);
}

/* q: the queue that is to have them, or NULL: a new one. Its kind stays as it is, or it is refused. */
static evq_queue_attrs
draw_attrs(struct run *r, const char *name, const struct m_queue *q)
{
	evq_queue_attrs attrs = first_attrs(name);
	uint32_t as_first = attrs.flags & KIND, flags;
	bool is_first = percent(r, 50);

	if (q != NULL && !one_in(r, 12))
		flags = q->attrs.flags & KIND;
	else
		flags = as_first != 0 && percent(r, 70) ? as_first : draw_kind(r);
	if (is_first) {
		attrs.flags = (attrs.flags & ~KIND) | flags;
		return attrs;
	}
	attrs = (evq_queue_attrs){ .size = sizeof(attrs), .flags = flags };
	draw_times(r, &attrs);
	draw_quotas(r, &attrs);
	draw_dead_letter(r, &attrs);
	if (one_in(r, 8))
		spoil(r, &attrs);
	return attrs;
}

static void
say_attrs(struct run *r, const char *call, const char *name, const evq_queue_attrs *a)
{
	say(r, "%s %s:", call, name);
	if (a == NULL)
		say_more(r, " must exist");
	else
		say_more(r, " visibility %lld, delay %lld, retention %lld, receives %u, dead letter %s, quota %llu %llu, "
		            "body %u, retry %lld %lld, dedup %lld, flags %u",
		         (long long)a->visibility_ms, (long long)a->delay_ms, (long long)a->retention_ms, a->max_receives,
		         a->dead_letter == NULL ? "none" : a->dead_letter, (unsigned long long)a->max_messages,
		         (unsigned long long)a->max_bytes, a->max_body_len, (long long)a->retry_min_ms,
		         (long long)a->retry_max_ms, (long long)a->dedup_ms, a->flags);
}

/* A second handle on the queue: either of the two goes on. */
static void
keep_handle(struct run *r, const char *name, evq_queue *q)
{
	uint64_t uid = model_queue(view(r), name)->uid;

	for (size_t i = 0; i < r->handle_count; i++)
		if (r->handles[i].uid == uid && one_in(r, 2)) {
			evq_queue *old = r->handles[i].q;

			r->handles[i].q = q;
			q = old;
		}
	evq_queue_close(q);
}

static void
open_queue(struct run *r, const char *name, const evq_queue_attrs *create)
{
	evq_queue *q = NULL;
	int want, got;

	say_attrs(r, "open", name, create);
	got = evq_queue_open(r->env, name, create, &q);
	say_more(r, " = %s", rc_name(got));
	if (r->txn == NULL || model_queue(r->committed, name) != NULL)
		want = model_open(r->txn == NULL ? r->m : r->committed, name, create);
	else
		want = create == NULL ? EVQ_NOQUEUE : EDEADLK;
	expect_rc(r, "evq_queue_open", want, got);
	if (got == 0)
		keep_handle(r, name, q);
	run_settle(r);
}

/* Attributes for a queue that is there are checked and then of no effect. */
static void
open_existing(struct run *r, const char *name)
{
	evq_queue_attrs attrs = { .size = sizeof(attrs) };
	const char *missing = pick_name(r);

	if (one_in(r, 3)) {
		open_queue(r, name, NULL);
		return;
	}
	draw_times(r, &attrs);
	attrs.flags = draw_kind(r);
	if (model_queue(r->m, missing) == NULL && model_queue(view(r), missing) == NULL)
		attrs.dead_letter = missing;
	if (one_in(r, 3))
		spoil(r, &attrs);
	open_queue(r, name, &attrs);
}

bool
op_open(struct run *r)
{
	const char *name = pick_name(r);
	evq_queue_attrs attrs;

	if (model_queue(view(r), name) != NULL) {
		open_existing(r, name);
		return true;
	}
	attrs = draw_attrs(r, name, NULL);
	if (r->txn != NULL)
		attrs = first_attrs(name);
	open_queue(r, name, one_in(r, 6) ? NULL : &attrs);
	return true;
}

bool
op_set_attrs(struct run *r)
{
	struct m_queue *q = pick_queue(r);
	evq_queue_attrs attrs;
	int got;

	if (q == NULL)
		return false;
	attrs = draw_attrs(r, q->name, q);
	say_attrs(r, "set_attrs", q->name, &attrs);
	got = evq_queue_set_attrs(store_queue(r, q), r->txn, &attrs);
	say_more(r, " = %s", rc_name(got));
	run_look(r);
	model_clear_seen(r->m);
	expect_rc(r, "evq_queue_set_attrs", model_set_attrs(r->m, q, &attrs), got);
	run_settle(r);
	return true;
}

bool
op_drop(struct run *r)
{
	const char *name = one_in(r, 10) ? "no-such-queue" : pick_name(r);
	int got;

	say(r, "drop %s", name);
	got = evq_queue_drop(r->env, r->txn, name);
	say_more(r, " = %s", rc_name(got));
	run_look(r);
	model_clear_seen(r->m);
	expect_rc(r, "evq_queue_drop", model_drop(r->m, name), got);
	if (r->txn == NULL)
		store_bury_handles(r);
	run_settle(r);
	return true;
}

/* A handle of a queue that was dropped, in this transaction or before. */
static evq_queue *
pick_ghost(struct run *r)
{
	for (size_t i = 0; r->txn != NULL && i < r->handle_count; i++)
		if (model_queue_uid(r->m, r->handles[i].uid) == NULL)
			return r->handles[i].q;
	return r->ghost_count == 0 ? NULL : r->ghosts[below(r, r->ghost_count)];
}

bool
op_ghost(struct run *r)
{
	evq_queue *q = pick_ghost(r);
	size_t n = 0;
	evq_id id = 0;

	if (q == NULL)
		return false;
	say(r, "calls on a dropped queue");
	expect_rc(r, "send", EVQ_NOQUEUE, evq_send(q, r->txn, "x", 1, EVQ_SEND_OPTS(.group = "g", .dedup_id = "d"), &id));
	expect_rc(r, "receive", EVQ_NOQUEUE, evq_receive(q, r->txn, NULL, r->batch));
	expect_int(r, "messages received", 0, (int64_t)evq_batch_count(r->batch));
	expect_rc(r, "set_attrs", EVQ_NOQUEUE, evq_queue_set_attrs(q, r->txn, EVQ_QUEUE_ATTRS(0)));
	expect_rc(r, "purge", EVQ_NOQUEUE, evq_purge(q, r->txn, &n));
	expect_rc(r, "redrive", EVQ_NOQUEUE, evq_redrive(q, r->txn, NULL, &n));
	if (r->txn == NULL) {
		evq_stats stats = { .size = sizeof(stats) };
		evq_queue_attrs attrs = { .size = sizeof(attrs) };

		expect_rc(r, "peek", EVQ_NOQUEUE, evq_peek(q, NULL, r->batch));
		expect_rc(r, "stats", EVQ_NOQUEUE, evq_queue_stats(q, &stats));
		expect_rc(r, "get_attrs", EVQ_NOQUEUE, evq_queue_get_attrs(q, &attrs));
	}
	run_settle(r);
	return true;
}

/* The queues that a run starts with. Each is made for itself first, or it would be made with defaults, as a dead letter. */
void
queues_start(struct run *r)
{
	for (size_t i = 0; i < FIRST && i < queue_name_count; i++) {
		evq_queue_attrs attrs = first_attrs(queue_names[i]), kind = { .size = sizeof(kind) };

		kind.flags = attrs.flags & KIND;
		open_queue(r, queue_names[i], &kind);
	}
	for (size_t i = 0; i < FIRST && i < queue_name_count; i++) {
		struct m_queue *q = model_queue(r->m, queue_names[i]);
		evq_queue_attrs attrs = first_attrs(queue_names[i]);

		expect_rc(r, "evq_queue_set_attrs", 0, evq_queue_set_attrs(store_queue(r, q), NULL, &attrs));
		expect_rc(r, "the model's", 0, model_set_attrs(r->m, q, &attrs));
	}
}
