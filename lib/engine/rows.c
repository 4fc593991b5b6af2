/* SPDX-License-Identifier: MIT */
/*
 * Owns how rows of evq.group are read and written in FIFO queues: which of them, and when, is group.c's. Nothing read is
 * believed: what cannot be read is as good as parked, and says so.
 */
#include "rows.h"

#include <string.h>

#include "group.h"
#include "grouprow.h"

/* As long as its entry is not read, or where it cannot be: that of a parked message. */
static void
make_up(struct evq__found *f, uint64_t group)
{
	f->entry = (struct evq__entry){ .flags = EVQ__ENTRY_PARKED | EVQ__ENTRY_PARTS | EVQ__ENTRY_GROUP,
		                        .group = group };
}

static int
read_row(const struct evq__slice *key, const struct evq__slice *value, uint32_t queue, uint64_t *group,
         struct evq__found *f)
{
	const uint8_t *k = key->data;
	*f = (struct evq__found){ .place = { .queue = evq__be32_get(k), .id = evq__be64_get(k + 12) } };
	*group = evq__be64_get(k + 4);
	if (f->place.queue != queue)
		return EVQ__NONE;
	int rc = evq__stand_unpack(value->data, value->len, &f->place, &f->entry, &f->is_waiting);
	if (rc || !f->is_waiting)
		make_up(f, *group);
	if (rc) {
		f->is_waiting = 1;
		f->place.due_ms = EVQ__DUE_NEVER;
	}
	f->unreadable = rc != 0;
	return 0;
}

/* Goes on to the first row, from the one that was found, whose key is one: others verify counts. */
static int
read_rows(struct evq__txn *txn, int rc, struct evq__slice *key, struct evq__slice *value, uint32_t queue,
          uint64_t *group, struct evq__found *f)
{
	while (!rc && key->len != EVQ__GROUP_KEY)
		rc = evq__tree_next(txn, EVQ__GROUP, key, value);
	return rc ? rc : read_row(key, value, queue, group, f);
}

int
evq__rows_seek(struct evq__txn *txn, uint32_t queue, uint64_t id, uint64_t *group, struct evq__found *f)
{
	uint8_t from[EVQ__GROUP_KEY];
	struct evq__slice key, value;
	evq__group_key(queue, *group, id, from);
	int rc = evq__tree_seek(txn, EVQ__GROUP, from, sizeof from, &key, &value);
	return read_rows(txn, rc, &key, &value, queue, group, f);
}

int
evq__rows_behind(struct evq__txn *txn, uint32_t queue, uint64_t *group, struct evq__found *f)
{
	struct evq__slice key, value;
	int rc = evq__tree_next(txn, EVQ__GROUP, &key, &value);
	return read_rows(txn, rc, &key, &value, queue, group, f);
}

int
evq__rows_next(struct evq__txn *txn, uint32_t queue, uint64_t group, struct evq__found *f)
{
	uint64_t found;
	int rc = evq__rows_behind(txn, queue, &found, f);
	return !rc && found != group ? EVQ__NONE : rc;
}

int
evq__rows_first(struct evq__txn *txn, uint32_t queue, uint64_t group, uint64_t id, struct evq__found *f)
{
	uint64_t found = group;
	int rc = evq__rows_seek(txn, queue, id, &found, f);
	return !rc && found != group ? EVQ__NONE : rc;
}

int
evq__rows_put(struct evq__call *call, uint64_t group, const struct evq__place *at, const struct evq__entry *e)
{
	uint8_t key[EVQ__GROUP_KEY], head[EVQ__STAND + EVQ__ENTRY_HEAD_MAX];
	struct evq__slice pieces[2] = { { head, EVQ__STAND }, { NULL, 0 } };
	evq__group_key(at->queue, group, at->id, key);
	evq__stand_pack(at, head);
	if (e) {
		pieces[0].len += evq__entry_pack(e, head + EVQ__STAND);
		if (e->deaths)
			pieces[1] = e->history;
	}
	return evq__tree_put(call->txn, EVQ__GROUP, key, sizeof key, pieces, pieces[1].len ? 2 : 1);
}

int
evq__rows_del(struct evq__call *call, const struct evq__place *at, uint64_t group)
{
	uint8_t key[EVQ__GROUP_KEY];
	evq__group_key(at->queue, group, at->id, key);
	int rc = evq__tree_del(call->txn, EVQ__GROUP, key, sizeof key);
	return rc == EVQ__NONE ? 0 : rc; /* a row that is missing is verify's to find */
}

int
evq__rows_load(struct evq__txn *txn, struct evq__found *f)
{
	uint64_t group = f->entry.group;
	if (f->is_waiting)
		return 0;
	int rc = evq__due_get(txn, &f->place, &f->entry);
	if (rc != EVQ__NONE && rc != EVQ_CORRUPT && rc != EVQ_FORMAT)
		return rc;
	f->unreadable = 1;
	f->is_waiting = rc == EVQ__NONE; /* there is nothing but the row */
	make_up(f, group);
	return 0;
}

int
evq__rows_get(struct evq__txn *txn, struct evq__found *f)
{
	uint8_t key[EVQ__GROUP_KEY];
	struct evq__slice value;
	evq__group_key(f->place.queue, evq__group_of(f), f->place.id, key);
	int rc = evq__tree_get(txn, EVQ__GROUP, key, sizeof key, &value);
	return rc ? rc : evq__stand_unpack(value.data, value.len, &f->place, &f->entry, &f->is_waiting);
}
