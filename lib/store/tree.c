/* SPDX-License-Identifier: MIT */
/*
 * Owns the one door to the tables: everything that the engine writes passes evq__tree_put, _append or _del,
 * and what it reads comes through _get, _seek and _next. What is written is noted for the journal on the way.
 *
 * A transaction keeps up to three cursors a table, for scanning, for single rows and for putting: work on rows
 * that stand side by side then finds its page at once, and moving a row from one end of a tree to the other
 * does not walk down from the root each time. LMDB keeps them right while the tree changes under them.
 */
#include "inside.h"

#include <string.h>

enum { BULKY = 1000 }; /* bytes from which on a value counts as large */

static int
open_cursor(struct evq__txn *t, MDB_cursor **cursor, enum evq__table table)
{
	return *cursor ? 0 : mdb_cursor_open(t->mdb, t->store->dbi[table], cursor);
}

static int
look(struct evq__txn *t, MDB_cursor **cursor, enum evq__table table, MDB_val *k, MDB_val *v, MDB_cursor_op op)
{
	int rc = open_cursor(t, cursor, table);
	if (!rc)
		rc = mdb_cursor_get(*cursor, k, v, op);
	return rc == MDB_NOTFOUND ? EVQ__NONE : evq__store_rc(t->store, rc);
}

static void
hand_out(const MDB_val *from, struct evq__slice *to)
{
	to->data = from->mv_data;
	to->len = from->mv_size;
}

int
evq__tree_get(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len,
              struct evq__slice *value)
{
	MDB_val k = { key_len, (void *)(uintptr_t)key }, v;
	int rc = look(t, &t->at[table], table, &k, &v, MDB_SET);
	t->stand.len = 0;
	if (rc)
		return rc;
	hand_out(&v, value);
	if (key_len <= EVQ__STAND_MAX) {
		t->stand.table = table;
		t->stand.len = key_len;
		t->stand.changes = t->changes;
		memcpy(t->stand.key, key, key_len);
	}
	return 0;
}

/* What is removed or replaced has often just been looked up. */
static int
stands_on(const struct evq__txn *t, enum evq__table table, const void *key, size_t key_len)
{
	return t->stand.len == key_len && t->stand.table == table && t->stand.changes == t->changes &&
	       !memcmp(t->stand.key, key, key_len);
}

int
evq__tree_seek(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len,
               struct evq__slice *key_out, struct evq__slice *value_out)
{
	MDB_val k = { key_len, (void *)(uintptr_t)key }, v;
	int rc = look(t, &t->scan[table], table, &k, &v, MDB_SET_RANGE);
	if (rc)
		return rc;
	hand_out(&k, key_out);
	hand_out(&v, value_out);
	return 0;
}

int
evq__tree_next(struct evq__txn *t, enum evq__table table, struct evq__slice *key_out,
               struct evq__slice *value_out)
{
	MDB_val k, v;
	int rc = look(t, &t->scan[table], table, &k, &v, MDB_NEXT);
	if (rc)
		return rc;
	hand_out(&k, key_out);
	hand_out(&v, value_out);
	return 0;
}

int
evq__tree_before(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len,
                 struct evq__slice *key_out, struct evq__slice *value_out)
{
	MDB_val k = { key_len, (void *)(uintptr_t)key }, v;
	int rc = look(t, &t->scan[table], table, &k, &v, MDB_SET_RANGE);
	if (!rc || rc == EVQ__NONE)
		rc = look(t, &t->scan[table], table, &k, &v, rc ? MDB_LAST : MDB_PREV);
	if (rc)
		return rc;
	hand_out(&k, key_out);
	hand_out(&v, value_out);
	return 0;
}

static int
failed(struct evq__txn *t, int rc)
{
	int dead;
	if (rc == MDB_KEYEXIST) /* of an append: there is a row behind the last that could be */
		rc = EVQ_CORRUPT;
	if (rc == MDB_MAP_FULL) /* it may be full of what a dead reader holds: the next try finds it free */
		(void)mdb_reader_check(t->store->env, &dead);
	if (rc && !t->rc)
		t->rc = evq__store_rc(t->store, rc);
	return t->rc;
}

static size_t
length(const struct evq__slice *pieces, size_t count)
{
	size_t len = 0;
	for (size_t i = 0; i < count; i++)
		len += pieces[i].len;
	return len;
}

static void
join(char *to, const struct evq__slice *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (pieces[i].len)
			memcpy(to, pieces[i].data, pieces[i].len);
		to += pieces[i].len;
	}
}

/* LMDB says where the value goes, so that it is written once, into its page. */
static int
put_pieces(struct evq__txn *t, MDB_cursor *cursor, MDB_val *k, const struct evq__slice *pieces, size_t count,
           size_t len, unsigned flags)
{
	MDB_val v = { len, NULL };
	int rc = mdb_cursor_put(cursor, k, &v, MDB_RESERVE | flags);
	if (!rc)
		join(v.mv_data, pieces, count);
	return failed(t, rc);
}

/* Errors: EVQ_FULL the call is to do with less. */
static int
count_change(struct evq__txn *t, enum evq__table table)
{
	t->changes++;
	if (!t->scatters && table != EVQ__DEDUP)
		return 0;
	t->scattered++;
	return t->scatters && t->scattered >= t->scattered_stop && evq__space_is_over(t) ? EVQ_FULL : 0;
}

/* Where it is noted it is in one piece already. */
static int
put(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len,
    const struct evq__slice *pieces, size_t count, unsigned flags)
{
	MDB_val k = { key_len, (void *)(uintptr_t)key }, v = { length(pieces, count), NULL };
	struct evq__slice noted = { key, key_len };
	if (t->rc)
		return t->rc;
	int is_there = !flags && stands_on(t, table, key, key_len);
	MDB_cursor **cursor = is_there ? &t->at[table] : &t->put[table];
	t->bulk += v.mv_size >= BULKY ? v.mv_size : 0;
	int rc = count_change(t, table);
	if (!rc)
		rc = open_cursor(t, cursor, table);
	if (!rc && t->is_noted) {
		uint8_t *to = evq__notes_put(t->store, table, &noted, v.mv_size, &rc);
		if (to)
			join((char *)to, pieces, count);
		v.mv_data = to;
	}
	if (!rc && v.mv_data)
		rc = mdb_cursor_put(*cursor, &k, &v, is_there ? MDB_CURRENT : flags);
	else if (!rc)
		return put_pieces(t, *cursor, &k, pieces, count, v.mv_size, flags);
	return rc ? failed(t, rc) : 0;
}

int
evq__tree_put(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len,
              const struct evq__slice *pieces, size_t count)
{
	return put(t, table, key, key_len, pieces, count, 0);
}

int
evq__tree_append(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len,
                 const struct evq__slice *pieces, size_t count)
{
	return put(t, table, key, key_len, pieces, count, MDB_APPEND);
}

int
evq__tree_del(struct evq__txn *t, enum evq__table table, const void *key, size_t key_len)
{
	MDB_val k = { key_len, (void *)(uintptr_t)key }, v;
	struct evq__slice noted = { key, key_len };
	if (t->rc)
		return t->rc;
	int rc = open_cursor(t, &t->at[table], table);
	if (!rc && !stands_on(t, table, key, key_len)) {
		t->stand.len = 0;
		rc = mdb_cursor_get(t->at[table], &k, &v, MDB_SET);
	}
	if (rc == MDB_NOTFOUND)
		return EVQ__NONE;
	t->dels++;
	if (!rc)
		rc = count_change(t, table);
	if (!rc)
		rc = mdb_cursor_del(t->at[table], 0);
	if (!rc && t->is_noted)
		rc = evq__notes_del(t->store, table, &noted);
	return failed(t, rc);
}

/* The row is there, since the call that deleted it had found it. */
int
evq__tree_apply(struct evq__txn *t, const struct evq__note *note)
{
	enum evq__table table = (enum evq__table)note->table;
	int rc = EVQ__NONE;
	if (note->table < EVQ__TABLES && note->key.len)
		rc = note->kind == EVQ__NOTE_PUT ? evq__tree_put(t, table, note->key.data, note->key.len, &note->value, 1)
		                                 : evq__tree_del(t, table, note->key.data, note->key.len);
	return rc == EVQ__NONE ? EVQ_CORRUPT : rc;
}
