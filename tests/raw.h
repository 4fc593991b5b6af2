/* SPDX-License-Identifier: MIT */
/*
 * The store of the fixture as plain LMDB, to damage it: what a bad disk or a bad program would do.
 * raw_begin() closes the store and opens one of its tables; raw_end() commits and opens the store
 * again with the fixture's clock and events. Queue handles from before answer EBADF: open them anew.
 *
 * Keys are those of the format: evq.body is id u64 BE, part u32 BE; evq.due is queue u32 BE, lane u8,
 * due_ms u64 BE, id u64 BE; evq.queue is a u32 BE and evq.name the name. What stands in the values is
 * the library's affair: nothing here relies on it.
 */
#ifndef EVQ_TESTS_RAW_H
#define EVQ_TESTS_RAW_H

#include "support.h"

#include <lmdb.h>

struct raw {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
};

struct raw_row {
	unsigned char key[512], value[8192];
	size_t key_len, value_len;
};

static inline void
raw_open(struct raw *raw, const char *table)
{
	ck_assert_int_eq(mdb_env_create(&raw->env), 0);
	ck_assert_int_eq(mdb_env_set_maxdbs(raw->env, 32), 0);
	ck_assert_int_eq(mdb_env_open(raw->env, store_dir, 0, 0600), 0);
	ck_assert_int_eq(mdb_txn_begin(raw->env, NULL, 0, &raw->txn), 0);
	ck_assert_int_eq(mdb_dbi_open(raw->txn, table, 0, &raw->dbi), 0);
}

static inline void
raw_close(struct raw *raw)
{
	ck_assert_int_eq(mdb_txn_commit(raw->txn), 0);
	mdb_env_close(raw->env);
}

/* Opens the store again where that may fail; env is NULL then. */
static inline int
raw_reopen(void)
{
	return evq_env_open(store_dir,
	                    EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock,
	                                 .on_event = record_event),
	                    &env);
}

static inline void
raw_begin(struct raw *raw, const char *table)
{
	evq_env_close(env);
	env = NULL;
	raw_open(raw, table);
}

static inline void
raw_end(struct raw *raw)
{
	raw_close(raw);
	store_reopen();
}

/* Leaves a store damaged for good behind and gives the teardown a sound one. */
static inline void
raw_abandon(void)
{
	evq_env_close(env);
	env = NULL;
	remove_tree(store_dir);
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock,
	                             .on_event = record_event));
}

static inline void
raw_put_be(unsigned char *out, uint64_t value, int width)
{
	for (int i = 0; i < width; i++)
		out[i] = (unsigned char)(value >> (8 * (width - 1 - i)));
}

static inline uint64_t
raw_get_be(const unsigned char *in, int width)
{
	uint64_t value = 0;
	for (int i = 0; i < width; i++)
		value = value << 8 | in[i];
	return value;
}

static inline void
raw_body_key(struct raw_row *row, evq_id id, uint32_t part)
{
	raw_put_be(row->key, id, 8);
	raw_put_be(row->key + 8, part, 4);
	row->key_len = 12;
}

static inline void
raw_queue_key(struct raw_row *row, uint32_t number)
{
	raw_put_be(row->key, number, 4);
	row->key_len = 4;
}

static inline void
raw_name_key(struct raw_row *row, const char *name)
{
	row->key_len = strlen(name);
	memcpy(row->key, name, row->key_len);
}

/* Reads the row of row->key; 0 or MDB_NOTFOUND. */
static inline int
raw_get(struct raw *raw, struct raw_row *row)
{
	MDB_val key = { row->key_len, row->key }, value;
	int rc = mdb_get(raw->txn, raw->dbi, &key, &value);
	if (rc)
		return rc;
	ck_assert(value.mv_size <= sizeof row->value);
	memcpy(row->value, value.mv_data, value.mv_size);
	row->value_len = value.mv_size;
	return 0;
}

static inline void
raw_put(struct raw *raw, struct raw_row *row)
{
	MDB_val key = { row->key_len, row->key }, value = { row->value_len, row->value };
	ck_assert_int_eq(mdb_put(raw->txn, raw->dbi, &key, &value, 0), 0);
}

static inline void
raw_del(struct raw *raw, struct raw_row *row)
{
	MDB_val key = { row->key_len, row->key };
	ck_assert_int_eq(mdb_del(raw->txn, raw->dbi, &key, NULL), 0);
}

/* The row-th row of the table in key order; 0 or MDB_NOTFOUND. */
static inline int
raw_nth(struct raw *raw, size_t nth, struct raw_row *row)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	ck_assert_int_eq(mdb_cursor_open(raw->txn, raw->dbi, &cursor), 0);
	int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
	while (!rc && nth-- > 0)
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	mdb_cursor_close(cursor);
	if (rc)
		return rc;
	ck_assert(key.mv_size <= sizeof row->key && value.mv_size <= sizeof row->value);
	memcpy(row->key, key.mv_data, key.mv_size);
	memcpy(row->value, value.mv_data, value.mv_size);
	row->key_len = key.mv_size;
	row->value_len = value.mv_size;
	return 0;
}

/* The entry of a message in evq.due: its key ends with the id. */
static inline void
raw_find_due(struct raw *raw, evq_id id, struct raw_row *row)
{
	for (size_t i = 0; !raw_nth(raw, i, row); i++)
		if (row->key_len == 21 && raw_get_be(row->key + 13, 8) == id)
			return;
	ck_abort_msg("no entry of message %llu", (unsigned long long)id);
}

/* Flips bits in the last byte of one part of a body; the store must not be open. */
static inline void
raw_flip_body(struct raw *raw, evq_id id, uint32_t part)
{
	struct raw_row row;
	raw_body_key(&row, id, part);
	ck_assert_int_eq(raw_get(raw, &row), 0);
	ck_assert_uint_gt(row.value_len, 0);
	row.value[row.value_len - 1] ^= 0x24;
	raw_put(raw, &row);
}

/* Closes the store, damages the end of that message's body, opens it again. */
static inline void
raw_damage_body(evq_id id)
{
	struct raw raw;
	raw_begin(&raw, "evq.body");
	raw_flip_body(&raw, id, 0);
	raw_end(&raw);
}

#endif
