/* SPDX-License-Identifier: MIT */
/*
 * The floor's calls, written as well as we know how. Cursors are opened once
 * in a transaction and each is kept for one task, so that it stands near its
 * next place and LMDB need not come down from the root; what fills the
 * bodies at one end has one of its own (sharing it cost a sixth of the rate
 * at batch 1). Bodies are written where LMDB reserves the room, without a
 * copy between.
 */
#include "floor.h"

#include <string.h>

#define QUEUE 1u
#define LANE 127

static void
store_be(unsigned char *to, uint64_t n, size_t len)
{
	while (len-- > 0) {
		to[len] = (unsigned char)n;
		n >>= 8;
	}
}

static uint64_t
load_be(const unsigned char *from, size_t len)
{
	uint64_t n = 0;

	while (len-- > 0)
		n = n << 8 | *from++;
	return n;
}

static void
due_key(unsigned char key[DUE_KEY], int64_t due_ms, uint64_t id)
{
	store_be(key, QUEUE, 4);
	key[4] = LANE;
	store_be(key + 5, (uint64_t)due_ms, 8);
	store_be(key + 13, id, 8);
}

/* ---- send ------------------------------------------------------------------ */

static int
put_entry(MDB_cursor *cursor, struct entry *e)
{
	MDB_val key = { DUE_KEY, e->key };
	MDB_val value = { DUE_VALUE, e->value };

	return mdb_cursor_put(cursor, &key, &value, 0);
}

static int
put_body(struct floor *f, uint64_t id)
{
	unsigned char bytes[BODY_KEY];
	MDB_val key = { BODY_KEY, bytes };
	uint32_t part = 0;

	store_be(bytes, id, 8);
	for (size_t at = 0; at < f->record_len; at += PART) {
		size_t left = f->record_len - at;
		MDB_val room = { left < PART ? left : PART, NULL };
		int rc;

		store_be(bytes + 8, part++, 4);
		rc = mdb_cursor_put(f->cursor[TASK_APPEND], &key, &room, MDB_APPEND | MDB_RESERVE);
		if (rc != 0)
			return rc;
		memcpy(room.mv_data, f->record + at, room.mv_size);
	}
	return 0;
}

int
floor_send(void *store, size_t count)
{
	struct floor *f = store;
	struct entry e = { .value = { 1 } };
	int64_t now = measure_wall_ms();
	int rc = floor_enter(f);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		due_key(e.key, now, ++f->last_id);
		rc = put_entry(f->cursor[TASK_SEND], &e);
		if (rc == 0)
			rc = put_body(f, f->last_id);
	}
	return floor_leave(f, rc);
}

/* The last id is what the table says: another process may have sent since. */
int
floor_send_among(void *store, size_t count)
{
	struct floor *f = store;
	MDB_val key, value;
	int rc = floor_enter(f);

	if (rc != 0)
		return floor_leave(f, rc);
	rc = mdb_cursor_get(f->cursor[TASK_APPEND], &key, &value, MDB_LAST);
	if (rc == 0)
		f->last_id = load_be(key.mv_data, 8);
	return rc == 0 || rc == MDB_NOTFOUND ? floor_send(f, count) : floor_leave(f, rc);
}

/* ---- receive --------------------------------------------------------------- */

/* Copies one part, less the head if it is the first. Shape: *to moves on. */
static int
copy_part(const MDB_val *value, size_t head, unsigned char **to, size_t *left)
{
	size_t len = value->mv_size - head;

	if (value->mv_size < head || len > *left)
		return MDB_CORRUPTED;
	memcpy(*to, (const unsigned char *)value->mv_data + head, len);
	*to += len;
	*left -= len;
	return 0;
}

static int
copy_body(struct floor *f, const unsigned char id[8], unsigned char *to)
{
	unsigned char bytes[BODY_KEY] = { 0 };
	MDB_val key = { BODY_KEY, bytes }, value;
	size_t left = f->body_len;
	int rc;

	memcpy(bytes, id, 8);
	rc = mdb_cursor_get(f->cursor[TASK_BODY], &key, &value, MDB_SET);
	if (rc == 0)
		rc = copy_part(&value, BODY_HEAD, &to, &left);
	while (rc == 0 && left > 0) {
		rc = mdb_cursor_get(f->cursor[TASK_BODY], &key, &value, MDB_NEXT);
		if (rc == 0)
			rc = copy_part(&value, 0, &to, &left);
	}
	return rc;
}

/* Moves the entry under the cursor to where its lease ends. */
static int
lease(struct floor *f, struct entry *e, int64_t until)
{
	int rc = mdb_cursor_del(f->cursor[TASK_TAKE], 0);

	store_be(e->key + 5, (uint64_t)until, 8);
	e->value[1]++;
	return rc != 0 ? rc : put_entry(f->cursor[TASK_LEASE], e);
}

static int
take(struct floor *f, MDB_cursor_op op, int64_t now, size_t i)
{
	struct entry *e = &f->leased[i];
	MDB_val key = { DUE_KEY, e->key }, value;
	int rc;

	due_key(e->key, 0, 0);
	rc = mdb_cursor_get(f->cursor[TASK_TAKE], &key, &value, op);
	if (rc != 0)
		return rc;
	if (key.mv_size != DUE_KEY || value.mv_size != DUE_VALUE)
		return MDB_CORRUPTED;
	memcpy(e->key, key.mv_data, DUE_KEY);
	memcpy(e->value, value.mv_data, DUE_VALUE);
	if (load_be(e->key, 4) != QUEUE || load_be(e->key + 5, 8) > (uint64_t)now)
		return MDB_NOTFOUND;
	rc = copy_body(f, e->key + 13, f->out + i * f->body_len);
	return rc != 0 ? rc : lease(f, e, now + BENCH_LEASE_MS);
}

int
floor_receive(void *store, size_t count)
{
	struct floor *f = store;
	int64_t now = measure_wall_ms();
	int rc = floor_enter(f);

	/* behind a deletion the cursor stands on what follows, which MDB_NEXT then gives */
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = take(f, i == 0 ? MDB_SET_RANGE : MDB_NEXT, now, i);
	return floor_leave(f, rc);
}

/* ---- delete ---------------------------------------------------------------- */

static int
delete_entry(struct floor *f, struct entry *e)
{
	MDB_val key = { DUE_KEY, e->key }, value;
	int rc = mdb_cursor_get(f->cursor[TASK_LEASE], &key, &value, MDB_SET);

	return rc != 0 ? rc : mdb_cursor_del(f->cursor[TASK_LEASE], 0);
}

static int
delete_body(struct floor *f, const unsigned char id[8])
{
	unsigned char bytes[BODY_KEY] = { 0 };
	MDB_val key = { BODY_KEY, bytes }, value;
	int rc;

	memcpy(bytes, id, 8);
	rc = mdb_cursor_get(f->cursor[TASK_BODY], &key, &value, MDB_SET);
	for (size_t at = 0; rc == 0 && at < f->record_len; at += PART) {
		if (at > 0)
			rc = mdb_cursor_get(f->cursor[TASK_BODY], &key, &value, MDB_NEXT);
		if (rc == 0)
			rc = mdb_cursor_del(f->cursor[TASK_BODY], 0);
	}
	return rc;
}

int
floor_settle(void *store, size_t count)
{
	struct floor *f = store;
	int rc = floor_enter(f);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = delete_entry(f, &f->leased[i]);
		if (rc == 0)
			rc = delete_body(f, f->leased[i].key + 13);
	}
	return floor_leave(f, rc);
}
