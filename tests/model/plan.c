/* SPDX-License-Identifier: MIT */
/*
 * What to send: options, groups, ids and bodies, with repeats often enough
 * that a queue knows many of them.
 */
#include "plan.h"

#include <stdio.h>
#include <string.h>

struct plan plan;

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

/* Few, so that they meet; now and then one of many, or two that differ in their last byte. */
static void
draw_group(struct run *r)
{
	if (one_in(r, 30)) {
		memset(plan.group, 'g', EVQ_GROUP_MAX);
		plan.group[EVQ_GROUP_MAX] = 0;
		plan.group[EVQ_GROUP_MAX - 1] = (char)('0' + below(r, 2));
	} else if (one_in(r, 15)) {
		snprintf(plan.group, sizeof(plan.group), "many-%zu", below(r, 200));
	} else {
		snprintf(plan.group, sizeof(plan.group), "g%zu", below(r, 1 + below(r, 6)));
	}
	plan.opts.group = plan.group;
}

static void
plan_group(struct run *r, const struct m_queue *q)
{
	if (model_is(q, EVQ_FIFO) || percent(r, model_is(q, EVQ_FAIR) ? 85 : 30))
		draw_group(r);
}

/* Some that would be the same if what tells one message of a batch from another were written behind them. */
static const char *const dedup_ids[] = { "d", "d0", "d00", "d1", "d\x01", "D", "id 6", "id 7", "id 8" };

static void
plan_dedup(struct run *r, const struct m_queue *q)
{
	if (!percent(r, model_is(q, EVQ_CONTENT_DEDUP) ? 15 : 25))
		return;
	if (one_in(r, 20)) {
		memset(plan.dedup_id, 'd', EVQ_DEDUP_MAX);
		plan.dedup_id[EVQ_DEDUP_MAX] = 0;
		plan.dedup_id[EVQ_DEDUP_MAX - 1] = (char)('0' + below(r, 2));
	} else if (percent(r, 40)) {
		snprintf(plan.dedup_id, sizeof(plan.dedup_id), "many-%zu", below(r, 500));
	} else {
		snprintf(plan.dedup_id, sizeof(plan.dedup_id), "%s",
		         dedup_ids[below(r, sizeof(dedup_ids) / sizeof(*dedup_ids))]);
	}
	plan.opts.dedup_id = plan.dedup_id;
}

static int
plan_priority(struct run *r)
{
	static const int few[] = { -128, -1, 1, 2, 127 };

	return percent(r, 65) ? 0 : few[below(r, sizeof(few) / sizeof(*few))];
}

const evq_send_opts *
plan_opts(struct run *r, const struct m_queue *q)
{
	plan.opts = (evq_send_opts){ .size = sizeof(plan.opts) };
	if (!model_is(q, EVQ_FIFO) && percent(r, 20))
		return NULL;
	if (!model_is(q, EVQ_FIFO) && percent(r, 40))
		plan.opts.delay_ms = percent(r, 30) ? EVQ_NONE : between(r, 1, 3000);
	if (percent(r, 15))
		plan.opts.expires_ms = between(r, 1, 6000);
	plan.opts.priority = plan_priority(r);
	plan_group(r, q);
	plan_dedup(r, q);
	plan_attrs(r);
	return &plan.opts;
}

/* One of few: none, the text of a dedup_id, or one of two that differ in their last byte. */
static evq_buf
known_body(struct run *r)
{
	static const size_t lens[] = { 1, 9, 200, 4070, 4090, 20000 };
	static unsigned char texts[sizeof(lens) / sizeof(*lens)][2][20000];
	size_t roll = below(r, 11), last = below(r, 2);
	unsigned char *text;

	if (roll == 10)
		return (evq_buf){ NULL, 0 };
	if (roll >= 6)
		return (evq_buf){ dedup_ids[roll - 6], strlen(dedup_ids[roll - 6]) };
	text = texts[roll][last];
	memset(text, 'd', lens[roll]);
	text[lens[roll] - 1] = (unsigned char)('0' + last);
	return (evq_buf){ text, lens[roll] };
}

static evq_buf
any_body(struct run *r, size_t most)
{
	size_t len = body_length(r);

	if (len > most)
		len %= most + 1;
	return (evq_buf){ len == 0 && one_in(r, 2) ? NULL : bytes_of(r, len), len };
}

void
plan_bodies(struct run *r, const struct m_queue *q, size_t count, size_t most)
{
	plan.count = count;
	for (size_t i = 0; i < count; i++) {
		bool known = percent(r, model_is(q, EVQ_CONTENT_DEDUP) ? 50 : 5);

		plan.bodies[i] = known ? known_body(r) : any_body(r, most);
		if (plan.bodies[i].len > most)
			plan.bodies[i] = any_body(r, most);
	}
}

/* A body as long as the queue allows, or as its quota has left, or one byte more than that. */
void
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

/* What was sent before, as far as it is remembered; with a dedup_id the bodies may be others. Into plan.opts, too. */
void
plan_repeat(struct run *r, const struct m_queue *q, const struct m_known *known)
{
	plan_opts(r, q);
	plan.opts.dedup_id = NULL;
	plan_bodies(r, q, 1 + (known->dedup_id == NULL ? below(r, 3) : known->k), 300);
	if (known->dedup_id != NULL) {
		snprintf(plan.dedup_id, sizeof(plan.dedup_id), "%s", known->dedup_id);
		plan.opts.dedup_id = plan.dedup_id;
	} else {
		memcpy(plan.body, known->content->body, known->content->len);
		plan.bodies[plan.count - 1] = (evq_buf){ plan.body, known->content->len };
	}
}

void
plan_say(struct run *r, const struct m_queue *q, const char *call, const evq_send_opts *opts)
{
	say(r, "%s %s: %zu of", call, q->name, plan.count);
	for (size_t i = 0; i < plan.count && i < 6; i++)
		say_more(r, " %zu", plan.bodies[i].len);
	say_more(r, " bytes");
	if (opts != NULL)
		say_more(r, ", delay %lld, expires %lld, priority %d, group %s, id %s, %zu attributes",
		         (long long)opts->delay_ms, (long long)opts->expires_ms, opts->priority,
		         opts->group == NULL ? "-" : opts->group, opts->dedup_id == NULL ? "-" : opts->dedup_id,
		         opts->attr_count);
}

/* What the model makes of it. */
void
plan_fates(struct run *r, const struct m_queue *q, const evq_send_opts *opts)
{
	model_fates(r->m, q, plan.bodies, plan.count, opts, plan.fates);
	plan.fresh = 0;
	for (size_t i = 0; i < plan.count; i++)
		plan.fresh += !plan.fates[i].repeat;
}
