/* SPDX-License-Identifier: MIT */
/*
 * Damage in evq.group and evq.dedup: each row taken away, doubled, cut short and, byte by byte, altered. verify finds
 * what is missing and what is of nothing; whatever else is altered, no call hangs, none answers what it may not, and
 * after a purge the queue is as good as new.
 */
#include "groups.h"
#include "raw.h"

enum { QUEUES = 3, KEY_MAX = 64, VALUE_MAX = 512 };

static const char *const names[QUEUES] = { "fifo", "fair", "ids" };
static const uint32_t kinds[QUEUES] = { EVQ_FIFO, EVQ_FAIR, EVQ_CONTENT_DEDUP };
static evq_queue *queues[QUEUES];

/* Of a group one leased and two behind it, and one put aside; turns that wait, and one that came back; ids, a body. */
static void
build(void)
{
	char before[256];
	strcpy(before, store_dir);
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock));
	remove_tree(before);
	for (int i = 0; i < QUEUES; i++)
		queues[i] = queue_with(names[i], EVQ_QUEUE_ATTRS(.flags = kinds[i]));
	put(queues[0], "a1 a2 a3 b1");
	evq_batch *b = NULL;
	ck_ok(evq_batch_new(&b));
	ck_ok(evq_receive(queues[0], NULL, EVQ_RECEIVE_OPTS(.count = 2, .visibility_ms = 100), b));
	ck_ok(evq_extend(queues[0], NULL, &evq_batch_at(b, 0)->receipt, 100000, &(evq_receipt){ { 0 } }));
	put(queues[1], "a1 a2 b1");
	ck_ok(evq_receive(queues[1], NULL, EVQ_RECEIVE_OPTS(.count = 2, .visibility_ms = 100), b));
	clock_advance_ms(100);
	ck_ok(evq_receive(queues[0], NULL, NULL, b)); /* b1: and a2 is put aside */
	put(queues[1], "c1");
	ck_ok(evq_receive(queues[1], NULL, NULL, b));
	evq_batch_free(b);
	send_with(queues[2], "x", EVQ_SEND_OPTS(.dedup_id = "one"));
	send_with(queues[2], "y", EVQ_SEND_OPTS(.dedup_id = "two"));
	send(queues[2], "body");
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

struct row {
	unsigned char key[KEY_MAX], value[VALUE_MAX];
	size_t key_len, value_len;
};

static evq_txn *txn;
static MDB_dbi dbi;

static void
open_table(const char *table)
{
	ck_ok(evq_begin(env, &txn));
	ck_assert_int_eq(mdb_dbi_open(evq_txn_mdb(txn), table, 0, &dbi), 0);
}

/* The nth that is a queue's; 0 where there is none. */
static int
nth(size_t n, struct row *row)
{
	MDB_cursor *cursor;
	MDB_val k, v;
	int found = 0;
	ck_assert_int_eq(mdb_cursor_open(evq_txn_mdb(txn), dbi, &cursor), 0);
	while (!found && mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0)
		if (k.mv_size > 4 && memcmp(k.mv_data, "\0\0\0", 4) != 0 && n-- == 0) {
			ck_assert(k.mv_size <= KEY_MAX && v.mv_size <= VALUE_MAX);
			memcpy(row->key, k.mv_data, row->key_len = k.mv_size);
			memcpy(row->value, v.mv_data, row->value_len = v.mv_size);
			found = 1;
		}
	mdb_cursor_close(cursor);
	return found;
}

static void
put_row(struct row *row)
{
	MDB_val k = { row->key_len, row->key }, v = { row->value_len, row->value };
	ck_assert_int_eq(mdb_put(evq_txn_mdb(txn), dbi, &k, &v, 0), 0);
}

static void
del_row(struct row *row)
{
	MDB_val k = { row->key_len, row->key };
	ck_assert_int_eq(mdb_del(evq_txn_mdb(txn), dbi, &k, NULL), 0);
}

/* ---- afterwards ---------------------------------------------------------------------------------------- */

static int
is_allowed(int rc)
{
	return rc == 0 || rc == EVQ_EMPTY || rc == EVQ_CORRUPT || rc == EVQ_FORMAT;
}

#define ALLOWED(call)                                                                        \
	do {                                                                                 \
		int rc_ = (call);                                                            \
		ck_assert_msg(is_allowed(rc_), "row %zu, byte %zu: %s: %s", damaged_row, damaged_byte, #call, evq_errname(rc_)); \
	} while (0)

static size_t damaged_row, damaged_byte;

/* All that is there is asked for, and more is sent. */
static void
use(void)
{
	evq_batch *b = NULL;
	evq_stats s = { .size = sizeof(s) };
	ck_ok(evq_batch_new(&b));
	for (int i = 0; i < QUEUES; i++) {
		ALLOWED(evq_queue_stats(queues[i], &s));
		ALLOWED(evq_peek(queues[i], NULL, b));
		ALLOWED(evq_peek(queues[i], EVQ_PEEK_OPTS(.count = 1), b));
		for (int n = 0; n < 3; n++)
			ALLOWED(evq_send(queues[i], NULL, "x", 1, EVQ_SEND_OPTS(.group = "a", .dedup_id = n ? "one" : NULL), NULL));
		for (int n = 0; n < 4; n++) {
			ALLOWED(evq_receive(queues[i], NULL, EVQ_RECEIVE_OPTS(.count = 2 + 3 * (uint32_t)n), b));
			for (size_t at = 0; at < evq_batch_count(b); at += 2) {
				int rc = evq_delete(queues[i], NULL, &evq_batch_at(b, at)->receipt);
				ck_assert_msg(is_allowed(rc) || rc == EVQ_STALE, "evq_delete: %s", evq_errname(rc));
			}
			clock_advance_ms(20000);
		}
	}
	evq_batch_free(b);
}

static int
takes(evq_queue *of, evq_id id)
{
	evq_batch *b = NULL;
	int found = 0;
	ck_ok(evq_batch_new(&b));
	while (!found && evq_receive(of, NULL, EVQ_RECEIVE_OPTS(.count = 10), b) == 0)
		for (size_t i = 0; i < evq_batch_count(b); i++)
			found |= evq_batch_at(b, i)->id == id;
	evq_batch_free(b);
	return found;
}

/* However it looked. */
static void
expect_good_after_purge(void)
{
	for (int i = 0; i < QUEUES; i++) {
		ck_ok(evq_purge(queues[i], NULL, NULL));
		for (int n = 0; n < 3; n++) {
			evq_id id = 0;
			const char *const groups[] = { "a", "b", "new" };
			int rc = evq_send(queues[i], NULL, names[n], 4, EVQ_SEND_OPTS(.group = groups[n]), &id);
			ck_assert_msg(rc == 0 && takes(queues[i], id), "row %zu, byte %zu: %s takes no message: %s", damaged_row,
			              damaged_byte, names[i], evq_errname(rc));
		}
	}
}

/* ---- what is missing, what is too many ------------------------------------------------------------------ */

static const char *const tables[] = { "evq.group", "evq.dedup" };

/* The last turn of a group may be missing: then it has left. */
static int
may_be_missing(const struct row *row)
{
	return row->key_len == 20 && row->value_len == 8 && memcmp(row->key + 12, "\xff\xff\xff\xff\xff\xff\xff\xff", 8) != 0;
}

START_TEST(row_that_is_missing_is_found)
{
	struct row row;
	size_t rows = 0;
	for (;; rows++) {
		damaged_row = rows;
		build();
		ck_ok(evq_verify(env, NULL, NULL));
		open_table(tables[_i]);
		if (!nth(rows, &row))
			break;
		del_row(&row);
		ck_ok(evq_commit(txn));
		int rc = evq_verify(env, NULL, NULL);
		ck_assert_msg(rc == EVQ_CORRUPT || may_be_missing(&row), "row %zu: %s", rows, evq_errname(rc));
		use();
		expect_good_after_purge();
	}
	evq_abort(txn);
	ck_assert_uint_ge(rows, 6);
}
END_TEST

START_TEST(row_that_is_of_nothing_is_found)
{
	struct row row;
	size_t rows = 0;
	for (;; rows++) {
		damaged_row = rows;
		build();
		open_table(tables[_i]);
		if (!nth(rows, &row))
			break;
		row.key[row.key_len - 2] ^= 0x11;
		put_row(&row);
		ck_ok(evq_commit(txn));
		ck_rc(evq_verify(env, NULL, NULL), EVQ_CORRUPT);
		use();
		expect_good_after_purge();
	}
	evq_abort(txn);
}
END_TEST

START_TEST(row_cut_short_or_too_long_is_in_nobodys_way)
{
	struct row row;
	for (size_t rows = 0;; rows++) {
		damaged_row = rows;
		build();
		open_table(tables[_i / 2]);
		if (!nth(rows, &row))
			break;
		memset(row.value + row.value_len, 7, 5);
		row.value_len = _i % 2 ? row.value_len + 5 : row.value_len / 2;
		put_row(&row);
		ck_ok(evq_commit(txn));
		use();
		expect_good_after_purge();
	}
	evq_abort(txn);
}
END_TEST

/* ---- bytes --------------------------------------------------------------------------------------------- */

static const unsigned char masks[] = { 0x01, 0x80 };

/* One after the other of a row; what is not tried any more is behind its end. The queue's number is left alone. */
static int
damage_byte(struct row *row, unsigned char mask)
{
	if (damaged_byte >= row->key_len + row->value_len)
		return 0;
	if (damaged_byte < row->key_len) {
		del_row(row);
		row->key[damaged_byte] ^= mask;
	} else
		row->value[damaged_byte - row->key_len] ^= mask;
	put_row(row);
	return 1;
}

START_TEST(no_byte_of_a_row_that_is_altered_hurts_for_long)
{
	struct row row;
	size_t step = getenv("EVQ_TEST_SMALL") ? 7 : 2;
	int is_row = 1;
	for (damaged_row = 0; is_row; damaged_row++) {
		int is_byte = 1;
		for (damaged_byte = 4 + damaged_row % step; is_byte; damaged_byte += step) {
			build();
			open_table(tables[_i / COUNT(masks)]);
			is_row = nth(damaged_row, &row);
			is_byte = is_row && damage_byte(&row, masks[_i % COUNT(masks)]);
			ck_ok(evq_commit(txn));
			int rc = evq_verify(env, NULL, NULL);
			ck_assert(rc == 0 || rc == EVQ_CORRUPT);
			use();
			expect_good_after_purge();
		}
	}
}
END_TEST

/* The store is damaged. */
static void
teardown(void)
{
	raw_abandon();
	store_teardown();
}

Suite *
rows_kinds_suite(void)
{
	Suite *s = suite_create("rows_kinds");
	TCase *t = tcase_create("rows_kinds");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, store_setup, teardown);
	tcase_add_loop_test(t, row_that_is_missing_is_found, 0, COUNT(tables));
	tcase_add_loop_test(t, row_that_is_of_nothing_is_found, 0, COUNT(tables));
	tcase_add_loop_test(t, row_cut_short_or_too_long_is_in_nobodys_way, 0, 2 * COUNT(tables));
	tcase_add_loop_test(t, no_byte_of_a_row_that_is_altered_hurts_for_long, 0, COUNT(tables) * COUNT(masks));
	suite_add_tcase(s, t);
	return s;
}
