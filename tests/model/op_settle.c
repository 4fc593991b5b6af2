/* SPDX-License-Identifier: MIT */
/*
 * Settling with receipts of every kind: good ones, old ones, those of another
 * queue or store, of a peek, and damaged ones.
 */
#include "run.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define MANY 24

static void
say_ticket(struct run *r, const char *call, const struct m_queue *q, const struct m_ticket *t)
{
	say(r, "%s %s: message %llu%s%s%s%s%s", call, q->name, (unsigned long long)t->id, t->damaged ? ", damaged" : "",
	    t->foreign ? ", of another store" : "", t->peeked ? ", of a peek" : "",
	    t->phantom ? ", of an aborted transaction" : "", t->uid != q->uid && !t->foreign ? ", of another queue" : "");
}

/* As every settling call begins: the result, and what was reported meanwhile. */
static void
took(struct run *r, int rc)
{
	say_more(r, " = %s", rc_name(rc));
	run_look(r);
	model_clear_seen(r->m);
}

bool
op_delete(struct run *r)
{
	struct m_queue *q = pick_queue(r);
	struct m_ticket t;
	int rc;

	if (q == NULL)
		return false;
	t = pick_ticket(r, q);
	say_ticket(r, "delete", q, &t);
	rc = evq_delete(store_queue(r, q), r->txn, &t.r);
	took(r, rc);
	expect_rc(r, "evq_delete", model_delete(r->m, q, &t), rc);
	run_settle(r);
	return true;
}

static size_t
draw_many(struct run *r, const struct m_queue *q, struct m_ticket *tickets)
{
	size_t count = 1 + below(r, one_in(r, 4) ? MANY : 5);

	for (size_t i = 0; i < count; i++)
		tickets[i] = i > 0 && one_in(r, 8) ? tickets[below(r, i)] : pick_ticket(r, q);
	return count;
}

bool
op_delete_batch(struct run *r)
{
	struct m_queue *q = pick_queue(r);
	struct m_ticket tickets[MANY];
	evq_receipt receipts[MANY];
	int rcs[MANY], rc;
	size_t count;

	if (q == NULL)
		return false;
	count = draw_many(r, q, tickets);
	say(r, "delete_batch %s:", q->name);
	for (size_t i = 0; i < count; i++) {
		receipts[i] = tickets[i].r;
		rcs[i] = -1;
		say_more(r, " %llu%s", (unsigned long long)tickets[i].id, tickets[i].damaged ? "!" : "");
	}
	rc = evq_delete_batch(store_queue(r, q), r->txn, receipts, count, rcs);
	took(r, rc);
	expect_rc(r, "evq_delete_batch", 0, rc);
	for (size_t i = 0; i < count; i++) {
		say_more(r, " %s", rcs[i] == 0 ? "ok" : rcs[i] == EVQ_STALE ? "stale" : rcs[i] == EINVAL ? "EINVAL" : "?");
		expect_rc(r, "evq_delete_batch: an entry", model_delete(r->m, q, &tickets[i]), rcs[i]);
	}
	run_settle(r);
	return true;
}

/* The new receipt, into the message and the pool. */
static void
keep_extended(struct run *r, const struct m_queue *q, const struct m_ticket *old, const evq_receipt *receipt)
{
	struct m_msg *msg = model_msg(q, old->id);
	struct m_ticket t;

	if (memcmp(&old->r, receipt, sizeof(*receipt)) == 0)
		differ(r, "evq_extend of message %llu gave the same receipt", (unsigned long long)old->id);
	msg->receipt = *receipt;
	t = ticket_of(q, msg);
	pool_put(r, old);
	pool_put(r, &t);
}

bool
op_extend(struct run *r)
{
	struct m_queue *q = pick_queue(r);
	int64_t visibility = percent(r, 30) ? 0 : between(r, 1, 5000);
	evq_receipt receipt;
	struct m_ticket t;
	int rc;

	if (q == NULL)
		return false;
	t = pick_ticket(r, q);
	memset(&receipt, 0x55, sizeof(receipt));
	if (one_in(r, 2))
		receipt = t.r;
	say_ticket(r, "extend", q, &t);
	say_more(r, " by %lld", (long long)visibility);
	rc = evq_extend(store_queue(r, q), r->txn, &t.r, visibility, &receipt);
	took(r, rc);
	expect_rc(r, "evq_extend", model_extend(r->m, q, &t, visibility), rc);
	if (rc == 0)
		keep_extended(r, q, &t, &receipt);
	run_settle(r);
	return true;
}

static int64_t
draw_delay(struct run *r)
{
	if (percent(r, 40))
		return 0;
	return percent(r, 40) ? EVQ_BACKOFF : between(r, 1, 3000);
}

bool
op_release(struct run *r)
{
	struct m_queue *q = pick_queue(r);
	int64_t delay = draw_delay(r);
	uint32_t flags = percent(r, 30) ? EVQ_UNCOUNTED : 0;
	struct m_ticket t;
	int rc;

	if (q == NULL || touchy(r, q))
		return false;
	t = pick_ticket(r, q);
	say_ticket(r, "release", q, &t);
	say_more(r, " delay %lld%s", (long long)delay, flags != 0 ? " uncounted" : "");
	rc = evq_release(store_queue(r, q), r->txn, &t.r, delay, flags);
	took(r, rc);
	expect_rc(r, "evq_release", model_release(r->m, q, &t, delay, flags), rc);
	run_settle(r);
	return true;
}

bool
op_bury(struct run *r)
{
	static const char *const reasons[] = { "no such customer", "x", "max-receives", "poison" };
	struct m_queue *q = pick_queue(r);
	const char *reason = reasons[below(r, sizeof(reasons) / sizeof(*reasons))];
	struct m_ticket t;
	int rc, want;

	if (q == NULL || touchy(r, q))
		return false;
	t = pick_ticket(r, q);
	say_ticket(r, "bury", q, &t);
	rc = evq_bury(store_queue(r, q), r->txn, &t.r, reason);
	took(r, rc);
	want = model_bury(r->m, q, &t, reason);
	/* Stale or damaged, and no dead letter to go to: both are true. */
	if (q->attrs.dead_letter == NULL && (want == EVQ_STALE || want == EINVAL) && rc == ENOENT) {
		q->did.stale -= want == EVQ_STALE;
		q->stale_perhaps += want == EVQ_STALE;
		want = ENOENT;
	}
	expect_rc(r, "evq_bury", want, rc);
	run_settle(r);
	return true;
}

bool
op_receipt_text(struct run *r)
{
	char text[EVQ_RECEIPT_TEXT];
	evq_receipt back;

	if (r->pool_count == 0)
		return false;
	say(r, "receipt as text");
	for (size_t i = 0; i < 4; i++) {
		const evq_receipt *receipt = &r->pool[below(r, r->pool_count)].r;

		expect_rc(r, "evq_receipt_format", 0, evq_receipt_format(receipt, text));
		expect_int(r, "length of a receipt's text", EVQ_RECEIPT_TEXT - 1, (int64_t)strlen(text));
		for (size_t k = 0; one_in(r, 2) && k < sizeof(text); k++)
			text[k] = (char)toupper((unsigned char)text[k]);
		expect_rc(r, "evq_receipt_parse", 0, evq_receipt_parse(text, &back));
		expect_int(r, "receipt through text and back differs", 0, memcmp(receipt, &back, sizeof(back)));
		text[below(r, sizeof(text) - 1)] = "gG. +\n"[below(r, 6)];
		expect_rc(r, "evq_receipt_parse of a wrong text", EINVAL, evq_receipt_parse(text, &back));
	}
	return true;
}
