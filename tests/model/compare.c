/* SPDX-License-Identifier: MIT */
/*
 * Side by side: a delivery and a message, the figures, the attributes, the
 * list of queues, and everything there is. Inside a transaction a reading call
 * sees what was committed, so it is compared with that (view()).
 */
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct model *
view(const struct run *r)
{
	return r->committed != NULL ? r->committed : r->m;
}

/* ---- one message ---- */

struct subject {
	struct run *r;
	const struct m_queue *q;
	const struct m_msg *msg;
};

static void
same(const struct subject *s, const char *field, int64_t expected, int64_t got)
{
	if (expected != got)
		differ(s->r, "message %llu of %s: %s: expected %lld, got %lld", (unsigned long long)s->msg->id,
		       s->q->name, field, (long long)expected, (long long)got);
}

static void
same_text(const struct subject *s, const char *field, const char *expected, const char *got)
{
	if ((expected == NULL) != (got == NULL) || (expected != NULL && strcmp(expected, got) != 0))
		differ(s->r, "message %llu of %s: %s: expected %s, got %s", (unsigned long long)s->msg->id, s->q->name,
		       field, expected == NULL ? "(none)" : expected, got == NULL ? "(none)" : got);
}

static void
same_bytes(const struct subject *s, const char *field, const void *expected, const void *got, size_t len)
{
	const unsigned char *a = expected, *b = got;

	if (len == 0 || memcmp(a, b, len) == 0)
		return;
	for (size_t i = 0; i < len; i++)
		if (a[i] != b[i])
			differ(s->r, "message %llu of %s: %s, %zu bytes, differs at byte %zu",
			       (unsigned long long)s->msg->id, s->q->name, field, len, i);
}

static void
same_body(const struct subject *s, const evq_delivery *d)
{
	const struct m_content *c = s->msg->content;

	same(s, "body_len", (int64_t)c->len, (int64_t)d->body_len);
	same(s, "body is not NULL", 1, d->body != NULL);
	same_bytes(s, "body", c->body, d->body, c->len);
	same(s, "byte after the body", 0, ((const unsigned char *)d->body)[c->len]);
	same(s, "alignment of the body", 0, (int64_t)((uintptr_t)d->body % _Alignof(max_align_t)));
}

static void
same_attrs(const struct subject *s, const evq_delivery *d)
{
	const struct m_content *c = s->msg->content;

	same(s, "attr_count", (int64_t)c->attr_count, (int64_t)d->attr_count);
	for (size_t i = 0; i < c->attr_count; i++) {
		same_text(s, "attribute's name", c->attrs[i].name, d->attrs[i].name);
		same(s, "attribute's length", (int64_t)c->attrs[i].len, (int64_t)d->attrs[i].len);
		same_bytes(s, "attribute's value", c->attrs[i].value, d->attrs[i].value, c->attrs[i].len);
	}
}

static void
same_deaths(const struct subject *s, const evq_delivery *d)
{
	const struct m_msg *msg = s->msg;

	same_text(s, "dead_from", msg->dead_from, d->dead_from);
	same_text(s, "dead_reason", msg->dead_reason, d->dead_reason);
	same(s, "dead_at", msg->dead_at, d->dead_at_ms);
	same(s, "death_count", (int64_t)msg->death_count, (int64_t)d->death_count);
	for (size_t i = 0; i < msg->death_count; i++) {
		same_text(s, "death's from", msg->deaths[i].from, d->deaths[i].from);
		same_text(s, "death's reason", msg->deaths[i].reason, d->deaths[i].reason);
		same(s, "death's at", msg->deaths[i].at, d->deaths[i].at_ms);
		same(s, "death's receives", msg->deaths[i].receives, d->deaths[i].receives);
	}
}

void
compare_delivery(struct run *r, const struct m_queue *q, const struct m_msg *msg, const evq_delivery *d, int state)
{
	const struct subject s = { r, q, msg };

	same(&s, "id", (int64_t)msg->id, (int64_t)d->id);
	same(&s, "state", state, d->state);
	same(&s, "receives", msg->receives, d->receives);
	same(&s, "priority", msg->priority, d->priority);
	same(&s, "sent_at", msg->sent_at, d->sent_at_ms);
	same(&s, "first_received_at", msg->first_received_at, d->first_received_at_ms);
	same(&s, "visible_at", msg->in_turn ? r->now : msg->due, d->visible_at_ms);
	same_text(&s, "group", msg->content->group, d->group);
	same_deaths(&s, d);
	same_attrs(&s, d);
	same_body(&s, d);
}

/* ---- figures and attributes ---- */

static void
figure(struct run *r, const struct m_queue *q, const char *field, uint64_t expected, uint64_t got)
{
	if (expected != got)
		differ(r, "stats of %s: %s: expected %llu, got %llu", q->name, field, (unsigned long long)expected,
		       (unsigned long long)got);
}

/* Whether a refusal in a transaction counts at once, or only after a commit, is not promised. */
static void
compare_stale(struct run *r, const struct m_queue *q, uint64_t got)
{
	const struct m_queue *coming = model_queue_uid(r->m, q->uid);
	uint64_t least = q->did.stale, most = q->did.stale + q->stale_perhaps;

	if (coming != NULL)
		most += coming->did.stale - q->did.stale;
	if (got < least || got > most)
		differ(r, "stats of %s: stale: expected %llu to %llu, got %llu", q->name, (unsigned long long)least,
		       (unsigned long long)most, (unsigned long long)got);
}

static void
compare_counters(struct run *r, const struct m_queue *q, const evq_stats *want, const evq_stats *got)
{
	figure(r, q, "sent", want->sent, got->sent);
	figure(r, q, "received", want->received, got->received);
	figure(r, q, "deleted", want->deleted, got->deleted);
	figure(r, q, "dead_lettered", want->dead_lettered, got->dead_lettered);
	figure(r, q, "expired", want->expired, got->expired);
	figure(r, q, "redriven", want->redriven, got->redriven);
	figure(r, q, "purged", want->purged, got->purged);
	figure(r, q, "duplicates", want->duplicates, got->duplicates);
	compare_stale(r, q, got->stale);
}

/* q is a queue of view(). */
void
compare_stats(struct run *r, const struct m_queue *q)
{
	evq_stats want, got = { .size = sizeof(got) };

	model_stats(view(r), q, &want);
	expect_rc(r, "evq_queue_stats", 0, evq_queue_stats(store_queue(r, q), &got));
	figure(r, q, "size", sizeof(got), got.size);
	figure(r, q, "messages", want.messages, got.messages);
	figure(r, q, "bytes", want.bytes, got.bytes);
	figure(r, q, "visible", want.visible, got.visible);
	figure(r, q, "delayed", want.delayed, got.delayed);
	figure(r, q, "leased", want.leased, got.leased);
	figure(r, q, "blocked", want.blocked, got.blocked);
	figure(r, q, "oldest_sent_at", (uint64_t)want.oldest_sent_at_ms, (uint64_t)got.oldest_sent_at_ms);
	compare_counters(r, q, &want, &got);
}

void
compare_attrs(struct run *r, const struct m_queue *q)
{
	const struct m_attrs *want = &q->attrs;
	evq_queue_attrs got = { .size = sizeof(got) };

	expect_rc(r, "evq_queue_get_attrs", 0, evq_queue_get_attrs(store_queue(r, q), &got));
	expect_int(r, "attrs: visibility_ms", want->visibility, got.visibility_ms);
	expect_int(r, "attrs: delay_ms", want->delay, got.delay_ms);
	expect_int(r, "attrs: retention_ms", want->retention, got.retention_ms);
	expect_int(r, "attrs: retry_min_ms", want->retry_min, got.retry_min_ms);
	expect_int(r, "attrs: retry_max_ms", want->retry_max, got.retry_max_ms);
	expect_int(r, "attrs: max_receives", want->max_receives, got.max_receives);
	expect_text(r, "attrs: dead_letter", want->dead_letter, got.dead_letter);
	expect_int(r, "attrs: max_messages", (int64_t)want->max_messages, (int64_t)got.max_messages);
	expect_int(r, "attrs: max_bytes", (int64_t)want->max_bytes, (int64_t)got.max_bytes);
	expect_int(r, "attrs: max_body_len", want->max_body_len, got.max_body_len);
	expect_int(r, "attrs: flags", want->flags, got.flags);
	expect_int(r, "attrs: dedup_ms", want->dedup, got.dedup_ms);
}

/* ---- everything ---- */

struct listing {
	const char **names;
	size_t count, place;
	struct run *r;
};

static int
check_name(const char *name, void *arg)
{
	struct listing *l = arg;

	expect_text(l->r, "evq_queue_list: name", l->place < l->count ? l->names[l->place] : NULL, name);
	l->place++;
	return 0;
}

void
compare_list(struct run *r)
{
	const char *names[64];
	struct listing l = { names, view(r)->queue_count, 0, r };

	model_names(view(r), names);
	expect_rc(r, "evq_queue_list", 0, evq_queue_list(r->env, check_name, &l));
	expect_int(r, "evq_queue_list: queues", (int64_t)l.count, (int64_t)l.place);
}

static void
print_finding(const evq_finding *f, void *arg)
{
	(void)arg;
	printf("evq_verify: %s, queue %s, message %llu: %s\n", evq_errname(f->code), f->queue == NULL ? "-" : f->queue,
	       (unsigned long long)f->id, f->what);
}

void
compare_all(struct run *r)
{
	expect_rc(r, "evq_verify", 0, evq_verify(r->env, print_finding, NULL));
	compare_list(r);
	for (size_t i = 0; i < view(r)->queue_count; i++) {
		const struct m_queue *q = &view(r)->queues[i];

		compare_stats(r, q);
		compare_attrs(r, q);
		compare_peek(r, q, 0, EVQ_BATCH_MAX, NULL);
	}
}
