/* SPDX-License-Identifier: MIT */
/*
 * Calls that must be refused, for what they say and not for the state of the
 * queue, and that change nothing. One at a time is wrong in each.
 */
#include "run.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)

struct verdict {
	const char *what;
	int want, got;
};

#define REFUSED(what, want, call) return (struct verdict){ what, want, call }

static char long_text[400]; /* filled with 'x' */

static const char *
text_of(size_t len)
{
	memset(long_text, 'x', sizeof(long_text) - 1);
	return long_text + sizeof(long_text) - 1 - len;
}

/* ---- sending ---- */

/* With a group where there must be one, so that but one thing is wrong. */
static int
send_with(struct run *r, evq_queue *q, const evq_send_opts *opts)
{
	evq_send_opts grouped = *opts;
	evq_id id = 4711;
	int rc;

	if (grouped.group == NULL)
		grouped.group = "g";
	rc = evq_send(q, r->txn, "body", 4, &grouped, &id);
	if (id != 4711)
		differ(r, "a refused send wrote to id_out");
	return rc;
}

#define GROUPED EVQ_SEND_OPTS(.group = "g")

static struct verdict
bad_send(struct run *r, evq_queue *q)
{
	const evq_buf bodies[2] = { { "x", 1 }, { NULL, 3 } };

	switch (below(r, 13)) {
	case 0: REFUSED("send, no queue", EINVAL, evq_send(NULL, r->txn, "x", 1, NULL, NULL));
	case 1: REFUSED("send, NULL body", EINVAL, evq_send(q, r->txn, NULL, 1, GROUPED, NULL));
	case 2: REFUSED("send, priority 128", EINVAL, send_with(r, q, EVQ_SEND_OPTS(.priority = 128)));
	case 3: REFUSED("send, priority -129", EINVAL, send_with(r, q, EVQ_SEND_OPTS(.priority = -129)));
	case 4: REFUSED("send, delay -2", EINVAL, send_with(r, q, EVQ_SEND_OPTS(.delay_ms = -2)));
	case 5: REFUSED("send, delay over a year", EINVAL, send_with(r, q, EVQ_SEND_OPTS(.delay_ms = 365 * DAY_MS + 1)));
	case 6: REFUSED("send, expires NONE", EINVAL, send_with(r, q, EVQ_SEND_OPTS(.expires_ms = EVQ_NONE)));
	case 7: REFUSED("send, expires too late", EINVAL, send_with(r, q, EVQ_SEND_OPTS(.expires_ms = INT64_C(3155760000001))));
	case 8: REFUSED("send, empty dedup_id", EINVAL, send_with(r, q, EVQ_SEND_OPTS(.dedup_id = "")));
	case 9: REFUSED("send, dedup_id of 129", EVQ_TOOBIG, send_with(r, q, EVQ_SEND_OPTS(.dedup_id = text_of(129))));
	case 10: REFUSED("send_batch, NULL bodies", EINVAL, evq_send_batch(q, r->txn, NULL, 2, GROUPED, NULL));
	case 11: REFUSED("send_batch, a NULL body", EINVAL, evq_send_batch(q, r->txn, bodies, 2, GROUPED, NULL));
	default: REFUSED("send_batch, 10001", E2BIG, evq_send_batch(q, r->txn, bodies, EVQ_BATCH_MAX + 1, GROUPED, NULL));
	}
}

/* Also where it would be a repeat. */
static struct verdict
bad_fifo_send(struct run *r, evq_queue *q, const struct m_queue *mq)
{
	const evq_buf bodies[2] = { { "x", 1 }, { "y", 1 } };
	const char *dedup_id = one_in(r, 2) ? "d" : NULL;
	const struct m_known *known = mq->known_count == 0 ? NULL : &mq->known[below(r, mq->known_count)];

	if (!model_is(mq, EVQ_FIFO))
		return bad_send(r, q);
	if (known != NULL && known->k == 0 && one_in(r, 2))
		dedup_id = known->dedup_id;
	switch (below(r, 5)) {
	case 0: REFUSED("FIFO: send, no options", EINVAL, evq_send(q, r->txn, "x", 1, NULL, NULL));
	case 1: REFUSED("FIFO: send, no group", EINVAL, evq_send(q, r->txn, "x", 1, EVQ_SEND_OPTS(.dedup_id = dedup_id), NULL));
	case 2: REFUSED("FIFO: send_batch, no group", EINVAL, evq_send_batch(q, r->txn, bodies, 2, EVQ_SEND_OPTS(.dedup_id = dedup_id), NULL));
	case 3: REFUSED("FIFO: send, delay 1", EINVAL, send_with(r, q, EVQ_SEND_OPTS(.delay_ms = 1, .dedup_id = dedup_id)));
	default: REFUSED("FIFO: send, delay NONE", EINVAL, send_with(r, q, EVQ_SEND_OPTS(.delay_ms = EVQ_NONE, .dedup_id = dedup_id)));
	}
}

static struct verdict
bad_headers(struct run *r, evq_queue *q)
{
	evq_attr attrs[EVQ_ATTRS_MAX + 1];
	evq_send_opts opts = { .size = sizeof(opts), .attrs = attrs, .attr_count = 1 };

	for (size_t i = 0; i < EVQ_ATTRS_MAX + 1; i++)
		attrs[i] = (evq_attr){ "name", "value", 5 };
	switch (below(r, 10)) {
	case 0: attrs[0].name = NULL; REFUSED("send, attribute without name", EINVAL, send_with(r, q, &opts));
	case 1: attrs[0].name = ""; REFUSED("send, attribute with empty name", EINVAL, send_with(r, q, &opts));
	case 2: attrs[0].value = NULL; REFUSED("send, attribute NULL, 5 bytes", EINVAL, send_with(r, q, &opts));
	case 3: opts.attr_count = EVQ_ATTRS_MAX + 1; REFUSED("send, 65 attributes", EVQ_TOOBIG, send_with(r, q, &opts));
	case 4: attrs[0].name = text_of(256); REFUSED("send, attribute's name 256", EVQ_TOOBIG, send_with(r, q, &opts));
	case 5:
		attrs[0] = (evq_attr){ "n", r->bytes, EVQ_ATTRS_LEN_MAX - 7 };
		REFUSED("send, 65537 bytes of attributes", EVQ_TOOBIG, send_with(r, q, &opts));
	case 6: opts.attrs = NULL; REFUSED("send, 1 attribute, NULL", EINVAL, send_with(r, q, &opts));
	case 7: REFUSED("send, empty group", EINVAL, send_with(r, q, EVQ_SEND_OPTS(.group = "")));
	default: REFUSED("send, group of 129", EVQ_TOOBIG, send_with(r, q, EVQ_SEND_OPTS(.group = text_of(129))));
	}
}

/* ---- receiving ---- */

static int
receive_with(struct run *r, evq_queue *q, const evq_receive_opts *opts)
{
	int rc = evq_receive(q, r->txn, opts, r->batch);

	expect_int(r, "messages in the batch of a refused receive", 0, (int64_t)evq_batch_count(r->batch));
	return rc;
}

static struct verdict
bad_receive(struct run *r, evq_queue *q)
{
	switch (below(r, 9)) {
	case 0: REFUSED("receive, no queue", EINVAL, evq_receive(NULL, r->txn, NULL, r->batch));
	case 1: REFUSED("receive, no batch", EINVAL, evq_receive(q, r->txn, NULL, NULL));
	case 2: REFUSED("receive, 10001", E2BIG, receive_with(r, q, EVQ_RECEIVE_OPTS(.count = EVQ_BATCH_MAX + 1)));
	case 3: REFUSED("receive, visibility -1", EINVAL, receive_with(r, q, EVQ_RECEIVE_OPTS(.visibility_ms = -1)));
	case 4: REFUSED("receive, over 12 h", EINVAL, receive_with(r, q, EVQ_RECEIVE_OPTS(.visibility_ms = DAY_MS / 2 + 1)));
	case 5: REFUSED("receive, wait -2", EINVAL, receive_with(r, q, EVQ_RECEIVE_OPTS(.wait_ms = -2)));
	case 6: REFUSED("receive, window -1", EINVAL, receive_with(r, q, EVQ_RECEIVE_OPTS(.window_ms = -1)));
	default:
		if (r->txn == NULL)
			REFUSED("receive, window -9", EINVAL, receive_with(r, q, EVQ_RECEIVE_OPTS(.window_ms = -9)));
		if (one_in(r, 2))
			REFUSED("receive in a transaction, window 1", EINVAL,
			        receive_with(r, q, EVQ_RECEIVE_OPTS(.window_ms = 1)));
		REFUSED("receive in a transaction, wait 1", EINVAL, receive_with(r, q, EVQ_RECEIVE_OPTS(.wait_ms = 1)));
	}
}

static struct verdict
bad_peek(struct run *r, evq_queue *q)
{
	evq_receipt damaged = r->foreign.r;

	damaged.w[1] ^= 4;
	switch (below(r, 6)) {
	case 0: REFUSED("peek, no queue", EINVAL, evq_peek(NULL, NULL, r->batch));
	case 1: REFUSED("peek, no batch", EINVAL, evq_peek(q, NULL, NULL));
	case 2: REFUSED("peek, states 16", EINVAL, evq_peek(q, EVQ_PEEK_OPTS(.states = 16), r->batch));
	case 3: REFUSED("peek, 10001", E2BIG, evq_peek(q, EVQ_PEEK_OPTS(.count = EVQ_BATCH_MAX + 1), r->batch));
	case 4: REFUSED("peek behind a foreign one", EINVAL, evq_peek(q, EVQ_PEEK_OPTS(.after = &r->foreign.r), r->batch));
	default: REFUSED("peek behind a damaged one", EINVAL, evq_peek(q, EVQ_PEEK_OPTS(.after = &damaged), r->batch));
	}
}

/* ---- settling: t is good ---- */

static struct verdict
bad_settle(struct run *r, evq_queue *q, const struct m_ticket *t)
{
	evq_receipt out;
	int rcs[1];

	switch (below(r, 12)) {
	case 0: REFUSED("delete, NULL receipt", EINVAL, evq_delete(q, r->txn, NULL));
	case 1: REFUSED("delete, no queue", EINVAL, evq_delete(NULL, r->txn, &t->r));
	case 2: REFUSED("delete_batch, NULL rcs", EINVAL, evq_delete_batch(q, r->txn, &t->r, 1, NULL));
	case 3: REFUSED("delete_batch, NULL receipts", EINVAL, evq_delete_batch(q, r->txn, NULL, 1, rcs));
	case 4: REFUSED("delete_batch, 10001", E2BIG, evq_delete_batch(q, r->txn, &t->r, EVQ_BATCH_MAX + 1, rcs));
	case 5: REFUSED("extend, -1", EINVAL, evq_extend(q, r->txn, &t->r, -1, &out));
	case 6: REFUSED("extend, over 12 h", EINVAL, evq_extend(q, r->txn, &t->r, DAY_MS / 2 + 1, &out));
	case 7: REFUSED("extend, no out", EINVAL, evq_extend(q, r->txn, &t->r, 0, NULL));
	case 8: REFUSED("release, NONE", EINVAL, evq_release(q, r->txn, &t->r, EVQ_NONE, 0));
	case 9: REFUSED("release, -3", EINVAL, evq_release(q, r->txn, &t->r, -3, 0));
	case 10: REFUSED("release, over a year", EINVAL, evq_release(q, r->txn, &t->r, 365 * DAY_MS + 1, 0));
	default: REFUSED("release, flag 2", EINVAL, evq_release(q, r->txn, &t->r, 0, 2));
	}
}

static struct verdict
bad_bury(struct run *r, evq_queue *q, const struct m_ticket *t)
{
	switch (below(r, 4)) {
	case 0: REFUSED("bury, no reason", EINVAL, evq_bury(q, r->txn, &t->r, NULL));
	case 1: REFUSED("bury, empty reason", EINVAL, evq_bury(q, r->txn, &t->r, ""));
	case 2: REFUSED("bury, reason of 129", EVQ_TOOBIG, evq_bury(q, r->txn, &t->r, text_of(129)));
	default: REFUSED("bury, NULL receipt", EINVAL, evq_bury(q, r->txn, NULL, "x"));
	}
}

/* ---- queues and the rest ---- */

/* What a queue is can't be changed. */
static struct verdict
bad_kind(struct run *r, evq_queue *q, const struct m_queue *mq)
{
	evq_queue_attrs attrs = { .size = sizeof(attrs), .flags = mq->attrs.flags & (uint32_t)~EVQ_EXPIRE_TO_DEAD_LETTER };

	switch (below(r, 3)) {
	case 0: attrs.flags ^= EVQ_FIFO; break;
	case 1: attrs.flags ^= EVQ_FAIR; break;
	default: attrs.flags ^= EVQ_CONTENT_DEDUP; break;
	}
	REFUSED("set_attrs, another kind", EINVAL, evq_queue_set_attrs(q, r->txn, &attrs));
}

static struct verdict
bad_queue(struct run *r, evq_queue *q)
{
	evq_queue *out = NULL;
	evq_queue_attrs attrs = { .size = 0 };
	evq_stats stats = { .size = 0 };

	switch (below(r, 15)) {
	case 0: REFUSED("open, empty name", EINVAL, evq_queue_open(r->env, "", NULL, &out));
	case 1: REFUSED("open, name with a blank", EINVAL, evq_queue_open(r->env, "a b", NULL, &out));
	case 2: REFUSED("open, name of 81", EVQ_TOOBIG, evq_queue_open(r->env, text_of(81), NULL, &out));
	case 3: REFUSED("open, NULL name", EINVAL, evq_queue_open(r->env, NULL, NULL, &out));
	case 4: REFUSED("open, no out", EINVAL, evq_queue_open(r->env, "a", NULL, NULL));
	case 5: REFUSED("open, missing", EVQ_NOQUEUE, evq_queue_open(r->env, text_of(80), NULL, &out));
	case 6: REFUSED("get_attrs, size 0", EINVAL, evq_queue_get_attrs(q, &attrs));
	case 7: REFUSED("stats, size 0", EINVAL, evq_queue_stats(q, &stats));
	case 8: REFUSED("stats, NULL", EINVAL, evq_queue_stats(q, NULL));
	case 9: REFUSED("list, NULL", EINVAL, evq_queue_list(r->env, NULL, NULL));
	case 10: REFUSED("drop, NULL", EINVAL, evq_queue_drop(r->env, r->txn, NULL));
	case 11: REFUSED("drop, bad name", EINVAL, evq_queue_drop(r->env, r->txn, "a/b"));
	case 12: REFUSED("drop, name of 81", EVQ_TOOBIG, evq_queue_drop(r->env, r->txn, text_of(81)));
	case 13: REFUSED("set_attrs, NULL", EINVAL, evq_queue_set_attrs(q, r->txn, NULL));
	default: REFUSED("open, FIFO and fair", EINVAL, evq_queue_open(r->env, text_of(80), EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO | EVQ_FAIR), &out));
	}
}

static struct verdict
bad_redrive(struct run *r, evq_queue *q, const char *name)
{
	size_t moved = 0;

	switch (below(r, 4)) {
	case 0: REFUSED("redrive to itself", EINVAL, evq_redrive(q, r->txn, EVQ_REDRIVE_OPTS(.to = name), &moved));
	case 1: REFUSED("redrive to a bad name", EINVAL, evq_redrive(q, r->txn, EVQ_REDRIVE_OPTS(.to = "?"), &moved));
	case 2: REFUSED("redrive, no queue", EINVAL, evq_redrive(NULL, r->txn, NULL, &moved));
	default: REFUSED("purge, no queue", EINVAL, evq_purge(NULL, r->txn, &moved));
	}
}

/* Options of a program built against another header. */
static struct verdict
bad_size(struct run *r, evq_queue *q)
{
	struct {
		evq_send_opts known;
		uint64_t unknown[2];
	} later = { { .size = sizeof(later), .group = "g" }, { 0, 1 } };
	evq_receive_opts receive_none = { .size = 0 };
	evq_peek_opts peek_short = { .size = sizeof(size_t) };
	evq_redrive_opts redrive_none = { .size = 0 };
	size_t moved;

	switch (below(r, 5)) {
	case 0: REFUSED("send, options of a later header", E2BIG, evq_send(q, r->txn, "x", 1, &later.known, NULL));
	case 1: REFUSED("send, size 3", EINVAL, send_with(r, q, &(evq_send_opts){ .size = 3 }));
	case 2: REFUSED("receive, size 0", EINVAL, receive_with(r, q, &receive_none));
	case 3: REFUSED("peek, size too small", EINVAL, evq_peek(q, &peek_short, r->batch));
	default: REFUSED("redrive, size 0", EINVAL, evq_redrive(q, r->txn, &redrive_none, &moved));
	}
}

/* Too long for this queue: the bytes behind it are not there, and may not be read. */
static struct verdict
bad_body(struct run *r, evq_queue *q, const struct m_queue *mq)
{
	evq_buf bodies[2] = { { "x", 1 }, { r->bytes, mq->attrs.max_body_len + (size_t)1 } };

	if (one_in(r, 2))
		REFUSED("send, body too long", EVQ_TOOBIG, evq_send(q, r->txn, bodies[1].data, bodies[1].len, GROUPED, NULL));
	REFUSED("send_batch, a body too long", EVQ_TOOBIG, evq_send_batch(q, r->txn, bodies, 2, GROUPED, NULL));
}

/* Nothing to do is no mistake. */
static struct verdict
empty(struct run *r, evq_queue *q)
{
	int rcs[1];

	if (one_in(r, 2))
		REFUSED("send_batch of none", 0, evq_send_batch(q, r->txn, &(evq_buf){ "x", 1 }, 0, GROUPED, NULL));
	REFUSED("delete_batch of none", 0, evq_delete_batch(q, r->txn, &r->foreign.r, 0, rcs));
}

static struct verdict
judge(struct run *r, evq_queue *q, const struct m_queue *mq)
{
	struct m_ticket t;

	switch (below(r, 13)) {
	case 0: return bad_send(r, q);
	case 1: return bad_headers(r, q);
	case 2: return bad_receive(r, q);
	case 3: return bad_peek(r, q);
	case 4: return bad_redrive(r, q, mq->name);
	case 5: return bad_size(r, q);
	case 6: return bad_body(r, q, mq);
	case 7: return empty(r, q);
	case 8: return pick_live(r, mq, &t) ? bad_settle(r, q, &t) : bad_send(r, q);
	case 9: return pick_live(r, mq, &t) && mq->attrs.dead_letter != NULL ? bad_bury(r, q, &t) : bad_headers(r, q);
	case 10: return bad_fifo_send(r, q, mq);
	case 11: return bad_kind(r, q, mq);
	default: return bad_queue(r, q);
	}
}

bool
op_bad(struct run *r)
{
	struct m_queue *q = pick_queue(r);
	struct verdict v;

	if (q == NULL)
		return false;
	v = judge(r, store_queue(r, q), q);
	say(r, "refused on %s: %s = %s", q->name, v.what, rc_name(v.got));
	expect_rc(r, v.what, v.want, v.got);
	run_settle(r);
	if (r->txn == NULL)
		compare_stats(r, q);
	return true;
}
