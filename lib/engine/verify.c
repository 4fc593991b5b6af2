/* SPDX-License-Identifier: MIT */
/*
 * Owns the proof that a store is sound: 1 (one entry a message), 2 (entries and bodies belong together, and
 * bodies are whole), 3 (counters equal a recount), 8 (nothing is unaccounted for) and 10 (dead letters exist
 * and form no cycle); and of 9 what stands in the tables. The messages of each queue are read once, in the order of a
 * walk; then the bodies, in theirs, against the ids that were found. What concerns time, the order of deliveries,
 * cannot be seen in a store at rest; the tests watch over that.
 */
#include "verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bodies.h"
#include "catalog.h"
#include "deduprow.h"
#include "flaws.h"
#include "group.h"
#include "name.h"
#include "verify_rows.h"

struct seen { /* an entry */
	uint64_t id;
	uint64_t group; /* 0: none */
	uint32_t body_len;
	uint32_t queue;
	int unreadable;
};

struct check {
	struct evq__txn *txn;
	struct evq__flaws *flaws;
	struct seen *seen;
	size_t count, room;
	size_t standing; /* of them, in evq.due */
	size_t grouped;  /* rows of evq.group that go with them */
	size_t known;    /* rows of evq.dedup that were accounted for */
	struct evq__storerec store;
	uint64_t sent, gone, alive; /* for 8: of all queues, and of those that are no more */
};

static int
note(struct check *c, const char *queue, evq_id id, const char *what)
{
	return evq__flaws_note(c->flaws, queue, id, what);
}

/* ---- queues ---- */

static int
check_name(struct check *c, const struct evq__queue *q)
{
	struct evq__call call = { .txn = c->txn };
	uint32_t number = 0;
	int rc = evq__catalog_find(&call, q->name, q->name_len, &number);
	if (rc && rc != EVQ_NOQUEUE && rc != EVQ_CORRUPT)
		return rc;
	if (q->state == EVQ__QUEUE_DROPPING)
		return number == q->number ? note(c, q->name, 0, "a dropped queue has its name still") : 0;
	return number == q->number ? 0 : note(c, q->name, 0, "the queue's name leads elsewhere");
}

static int
check_dead_letters(struct check *c, const struct evq__queue *q)
{
	int rc, is_there;
	if (q->state == EVQ__QUEUE_DROPPING) /* it moves nothing any more */
		return 0;
	if (!q->dead_letter && (q->max_receives || (q->flags & EVQ_EXPIRE_TO_DEAD_LETTER)))
		return note(c, q->name, 0, "a dead-letter policy without a dead letter");
	rc = evq__catalog_leads_to(c->txn, q->dead_letter, q->number, &is_there);
	if (rc == EVQ_NOQUEUE)
		return note(c, q->name, 0, "its dead letter does not exist");
	if (rc == EVQ_CORRUPT || (!rc && is_there))
		return note(c, q->name, 0, "its dead letters form a cycle, or cannot be read");
	return rc;
}

/* ---- entries ---- */

static int
remember(struct check *c, const struct evq__found *f)
{
	if (c->count == c->room) {
		size_t room = c->room ? c->room * 2 : 1024;
		struct seen *seen = realloc(c->seen, room * sizeof *seen);
		if (!seen)
			return ENOMEM;
		c->seen = seen;
		c->room = room;
	}
	int has_group = (f->entry.flags & EVQ__ENTRY_GROUP) && !f->unreadable;
	c->seen[c->count++] = (struct seen){ f->place.id, has_group ? f->entry.group : 0, f->entry.body_len,
		                             f->place.queue, f->unreadable };
	c->standing += !f->is_waiting;
	return 0;
}

static int
check_entry(struct check *c, const struct evq__queue *q, const struct evq__found *f)
{
	const struct evq__entry *e = &f->entry;
	int parked = e->flags & EVQ__ENTRY_PARKED, rc = 0;
	if (f->place.id == 0 || f->place.id >= c->store.next_id)
		rc = note(c, q->name, f->place.id, "an id that was never given");
	if (evq__has_turn(&f->place))
		return rc || (q->flags & EVQ_FAIR) ? rc : note(c, q->name, f->place.id, "a turn in a queue that is not fair");
	if (!rc && e->expires_at_ms && f->place.due_ms > (uint64_t)e->expires_at_ms)
		rc = note(c, q->name, f->place.id, "due behind its end");
	if (!rc && (f->place.due_ms > INT64_MAX) != (parked != 0))
		rc = note(c, q->name, f->place.id, "due never without being parked, or the other way round");
	return rc;
}

static int
check_counters(struct check *c, const struct evq__queue *q, const struct evq__counters *recount)
{
	int rc = 0;
	if (q->c.messages != recount->messages)
		rc = note(c, q->name, 0, "the counter of messages differs from a recount");
	if (!rc && q->c.bytes != recount->bytes)
		rc = note(c, q->name, 0, "the counter of bytes differs from a recount");
	if (!rc && q->c.mortal != recount->mortal)
		rc = note(c, q->name, 0, "the counter of messages that expire differs from a recount");
	return rc;
}

/* One of them, in the order of the walk; group is that of the one before. */
static int
check_one(struct check *c, const struct evq__queue *q, const struct evq__found *f, const struct evq__walk *walk,
          uint64_t *group)
{
	int rc = f->unreadable ? note(c, q->name, f->place.id, "an entry that cannot be read or is missing")
	                       : check_entry(c, q, f);
	if (!rc && (q->flags & EVQ_FIFO)) {
		if (walk->group != *group && f->is_waiting && !f->unreadable)
			rc = note(c, q->name, f->place.id, "the first of its group waits");
		if (!rc && walk->is_astray)
			rc = note(c, q->name, f->place.id, "it stands in another group than its own");
		*group = walk->group;
		c->grouped++;
	}
	return rc ? rc : remember(c, f);
}

static int
check_entries(struct check *c, const struct evq__queue *q)
{
	struct evq__counters recount = { .messages = 0 };
	struct evq__call call = { .txn = c->txn };
	struct evq__found f;
	struct evq__walk walk;
	uint64_t group = 0;
	int rc = evq__walk_seek(&call, q, &(struct evq__place){ .queue = q->number }, &walk, &f);
	while (!rc) {
		if ((rc = check_one(c, q, &f, &walk, &group)))
			return rc;
		recount.messages++;
		recount.bytes += f.entry.body_len;
		recount.mortal += f.entry.expires_at_ms != 0;
		rc = evq__walk_next(&call, q, &walk, &f);
	}
	if (rc == EVQ__NONE)
		rc = check_counters(c, q, &recount);
	if (!rc && (q->flags & EVQ_FAIR))
		rc = evq__verify_turns(c->txn, q, c->flaws, &c->grouped);
	return rc ? rc : evq__verify_dedup(c->txn, &c->store, q, c->flaws, &c->known);
}

static int
check_queues(struct check *c)
{
	struct evq__queue q = { .number = 0 };
	int rc;
	while ((rc = evq__catalog_next(c->txn, q.number, &q)) == 0) {
		c->sent += q.c.sent;
		c->gone += q.c.deleted + q.c.expired + q.c.purged;
		c->alive += q.c.messages;
		rc = q.number >= c->store.next_queue ? note(c, q.name, 0, "a queue number that was never given") : 0;
		if (!rc)
			rc = check_name(c, &q);
		if (!rc)
			rc = check_dead_letters(c, &q);
		if (!rc)
			rc = check_entries(c, &q);
		if (rc)
			return rc;
	}
	if (rc == EVQ_CORRUPT || rc == EVQ_FORMAT)
		return note(c, NULL, 0, "a queue's record that cannot be read");
	return rc == EVQ__NONE ? 0 : rc;
}

/* Every row of a table behind its sentinel is accounted for. */
static int
check_count(struct check *c, enum evq__table table, size_t key_len, size_t count, const char *what)
{
	static const uint8_t zeros[EVQ__DUE_KEY];
	struct evq__slice key, value;
	size_t rows = 0;
	int rc = evq__tree_seek(c->txn, table, zeros, key_len, &key, &value);
	while (!rc) {
		rows += key.len != key_len || memcmp(key.data, zeros, key_len);
		rc = evq__tree_next(c->txn, table, &key, &value);
	}
	return rc != EVQ__NONE ? rc : rows == count ? 0 : note(c, NULL, 0, what);
}

static int
check_orphans(struct check *c)
{
	int rc = check_count(c, EVQ__DUE, EVQ__DUE_KEY, c->standing, "entries of no queue, or of no group");
	if (!rc)
		rc = check_count(c, EVQ__GROUP, EVQ__GROUP_KEY, c->grouped, "rows of evq.group that are of nothing");
	if (!rc)
		rc = check_count(c, EVQ__DEDUP, EVQ__DEDUP_KEY, c->known, "rows of evq.dedup that are of nothing");
	return rc;
}

static int
check_name_row(struct check *c, const struct evq__slice *key)
{
	struct evq__call call = { .txn = c->txn };
	char name[EVQ_NAME_MAX + 1];
	uint32_t number;
	if (!evq__catalog_is_name(key))
		return note(c, NULL, 0, "a name that no queue can have");
	memcpy(name, key->data, key->len);
	name[key->len] = 0;
	int rc = evq__catalog_find(&call, name, key->len, &number);
	if (!rc)
		rc = evq__catalog_enter(&call, number);
	if (!rc && !strcmp(call.q.name, name))
		return 0;
	if (rc && rc != EVQ_NOQUEUE && rc != EVQ_CORRUPT && rc != EVQ_FORMAT)
		return rc;
	return note(c, name, 0, "a name that leads to no queue");
}

/* Every name leads to a queue that has it. */
static int
check_names(struct check *c)
{
	struct evq__slice key;
	int rc = evq__catalog_first_name(c->txn, NULL, &key);
	while (!rc && !(rc = check_name_row(c, &key)))
		rc = evq__catalog_next_name(c->txn, &key);
	return rc == EVQ__NONE ? 0 : rc;
}

/* ---- bodies ---- */

static int
compare_ids(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* The name of an entry's queue, for a finding. */
static int
note_at(struct check *c, const struct seen *s, const char *what)
{
	struct evq__call call = { .txn = c->txn };
	int rc = evq__catalog_enter_any(&call, s->queue);
	return note(c, rc ? NULL : call.q.name, s->id, what);
}

static uint64_t
hash_of(const struct check *c, const char *group)
{
	return evq__name_hash(group, strlen(group), evq__storerec_name_end(&c->store), c->store.secret);
}

/* Reads it as a receive would. */
static int
check_body(struct check *c, const struct seen *s, struct evq_batch *scratch)
{
	evq_delivery d;
	evq__batch_reset(scratch);
	int rc = evq__bodies_read(c->txn, s->id, scratch, &d);
	if (rc == EVQ_CORRUPT)
		return note_at(c, s, "its body is missing, incomplete or damaged");
	if (!rc && !s->unreadable && d.body_len != s->body_len)
		return note_at(c, s, "its body is of another length than its entry says");
	if (!rc && s->group && (!d.group || hash_of(c, d.group) != s->group))
		return note_at(c, s, "its group is another than its entry says");
	return rc;
}

static uint64_t
parts_of(const struct evq__slice *value)
{
	struct evq__body_head head;
	return evq__body_head_unpack(value->data, value->len, &head) ? 0 : evq__body_parts(evq__body_total(&head));
}

/* Every row of a body belongs to an entry, and its part to the body. */
static int
check_rows(struct check *c)
{
	static const uint8_t first[EVQ__BODY_KEY] = { 0, 0, 0, 0, 0, 0, 0, 1 };
	struct evq__slice key, value;
	size_t at = 0;
	uint64_t id = 0, parts = 0;
	int rc = evq__tree_seek(c->txn, EVQ__BODY, first, sizeof first, &key, &value);
	for (; !rc; rc = evq__tree_next(c->txn, EVQ__BODY, &key, &value)) {
		if (key.len != EVQ__BODY_KEY)
			return note(c, NULL, 0, "a body's key that cannot be read");
		uint64_t row = evq__be64_get(key.data);
		uint32_t part = evq__be32_get((const uint8_t *)key.data + 8);
		if (row != id)
			parts = part ? 0 : parts_of(&value);
		id = row;
		while (at < c->count && c->seen[at].id < id)
			at++;
		if (at == c->count || c->seen[at].id != id)
			rc = note(c, NULL, id, "a body without an entry");
		else if (parts && part >= parts)
			rc = note_at(c, &c->seen[at], "a part too many");
		if (rc)
			return rc;
	}
	return rc == EVQ__NONE ? 0 : rc;
}

static int
check_bodies(struct check *c)
{
	struct evq_batch scratch = { .items = NULL };
	int rc = 0;
	if (c->count)
		qsort(c->seen, c->count, sizeof *c->seen, compare_ids);
	for (size_t i = 0; !rc && i < c->count; i++) {
		if (i && c->seen[i].id == c->seen[i - 1].id)
			rc = note_at(c, &c->seen[i], "more entries than one");
		if (!rc)
			rc = check_body(c, &c->seen[i], &scratch);
	}
	evq__batch_clear(&scratch);
	return rc ? rc : check_rows(c);
}

int
evq__verify(struct evq__txn *txn, struct evq__flaws *out)
{
	struct check c = { .txn = txn, .flaws = out };
	*out = (struct evq__flaws){ .list = NULL };
	int rc = evq__catalog_store(txn, &c.store);
	c.sent = c.store.sent;
	c.gone = c.store.deleted + c.store.expired + c.store.purged;
	if (!rc)
		rc = check_queues(&c);
	if (!rc)
		rc = check_orphans(&c);
	if (!rc)
		rc = check_names(&c);
	if (!rc)
		rc = check_bodies(&c);
	if (!rc && c.sent != c.gone + c.alive)
		rc = note(&c, NULL, 0, "sent is not deleted, expired, purged and alive together");
	if (evq__store_is_damage(rc))
		rc = note(&c, NULL, 0, "LMDB cannot read a page; what stands behind it was not checked");
	free(c.seen);
	return rc;
}
