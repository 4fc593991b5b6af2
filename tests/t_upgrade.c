/* SPDX-License-Identifier: MIT */
/*
 * Stores of the formats before. Format 2: the names of groups and ids are hashed whole, and it stays so. Format 1: without the tables of groups and of what was sent, and with queues' records that lack a
 * counter. It is made here of one of today's. Whoever opens it alone brings it up, and all that was in it is there.
 */
#include "raw.h"

#include "hash.h"
#include "storerec.h"

enum { MESSAGES = 3, COUNTERS_END = 184 };

static evq_id ids[MESSAGES];
static evq_receipt leased;

static void
drop_table(const char *table)
{
	struct raw raw;
	raw_open(&raw, table);
	ck_assert_int_eq(mdb_drop(raw.txn, raw.dbi, 1), 0);
	raw_close(&raw);
}

/* Version 1 of a queue's record: dedup_ms was 0, and the last counter not there yet. */
static void
age_queue(struct raw_row *row)
{
	row->value[0] = 1;
	memset(row->value + 48, 0, 8);
	memmove(row->value + COUNTERS_END, row->value + COUNTERS_END + 8, row->value_len - COUNTERS_END - 8);
	row->value_len -= 8;
}

static void
age_store(void)
{
	struct raw_row row;
	struct raw raw;
	evq_env_close(env);
	env = NULL;
	drop_table("evq.group");
	drop_table("evq.dedup");
	raw_open(&raw, "evq.queue");
	for (size_t n = 0; !raw_nth(&raw, n, &row); n++) {
		if (n == 0)
			row.value[8] = EVQ__STORE_WITHOUT_GROUPS;
		else
			age_queue(&row);
		raw_put(&raw, &row);
	}
	raw_close(&raw);
}

static void
setup(void)
{
	store_setup();
	evq_queue *q = queue("old");
	for (int i = 0; i < MESSAGES; i++)
		ids[i] = send(q, "message");
	leased = evq_batch_at(take(q, 1), 0)->receipt;
	age_store();
}

START_TEST(store_of_the_format_before_has_all_that_was_in_it)
{
	store_reopen();
	evq_queue *q = queue("old");
	evq_queue_attrs attrs = { .size = sizeof attrs };
	evq_stats stats = { .size = sizeof stats };
	ck_ok(evq_queue_get_attrs(q, &attrs));
	ck_assert_int_eq(attrs.dedup_ms, 300000);
	ck_ok(evq_queue_stats(q, &stats));
	ck_assert_uint_eq(stats.sent, MESSAGES);
	ck_assert_uint_eq(stats.leased, 1);
	ck_ok(evq_delete(q, NULL, &leased));
	evq_batch *b = take(q, MESSAGES - 1);
	for (size_t i = 0; i + 1 < MESSAGES; i++)
		ck_assert_uint_eq(evq_batch_at(b, i)->id, ids[i + 1]);
	ck_ok(evq_verify(env, NULL, NULL));
}
END_TEST

START_TEST(store_of_the_format_before_can_do_what_is_new)
{
	evq_id first, again;
	store_reopen();
	evq_queue *q = queue("old"), *fifo = queue_with("fifo", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO));
	ck_ok(evq_send(q, NULL, "x", 1, EVQ_SEND_OPTS(.dedup_id = "once"), &first));
	store_reopen();
	q = queue("old");
	fifo = queue("fifo");
	ck_ok(evq_send(q, NULL, "x", 1, EVQ_SEND_OPTS(.dedup_id = "once"), &again));
	ck_assert_uint_eq(first, again);
	ck_ok(evq_send(fifo, NULL, "y", 1, EVQ_SEND_OPTS(.group = "g"), NULL));
	take(fifo, 1);
	ck_ok(evq_verify(env, NULL, NULL));
}
END_TEST

/* The tables are gone, but the format says that they are there: that is damage, and not for opening to mend. */
START_TEST(store_without_a_table_that_its_format_has_is_refused)
{
	store_reopen();
	evq_env_close(env);
	env = NULL;
	drop_table("evq.dedup");
	ck_rc(raw_reopen(), EVQ_FORMAT);
	raw_abandon();
}
END_TEST

/* ---- format 2 --------------------------------------------------------------------------------------------- */

enum { SECRET_AT = 32 };

static void
set_format(uint8_t format)
{
	struct raw_row row;
	struct raw raw;
	evq_env_close(env);
	env = NULL;
	raw_open(&raw, "evq.queue");
	ck_assert(!raw_nth(&raw, 0, &row));
	row.value[8] = format;
	raw_put(&raw, &row);
	raw_close(&raw);
	store_reopen();
}

static void
expect_format(uint8_t format, uint64_t *secret)
{
	struct raw_row row;
	struct raw raw;
	evq_env_close(env);
	env = NULL;
	raw_open(&raw, "evq.queue");
	ck_assert(!raw_nth(&raw, 0, &row));
	ck_assert_uint_eq(row.value[8], format);
	*secret = evq__le64_get(row.value + SECRET_AT);
	raw_close(&raw);
}

/* The first row of a table that is the queue's first; its hash stands from at on. */
static void
expect_hash(const char *table, size_t at, const void *hash, size_t len)
{
	struct raw_row row;
	struct raw raw;
	raw_open(&raw, table);
	ck_assert(!raw_nth(&raw, 1, &row)); /* behind the row that is in each table */
	ck_assert_mem_eq(row.key + at, hash, len);
	raw_close(&raw);
}

START_TEST(store_that_hashes_names_whole_goes_on_to)
{
	uint8_t of_group[8], of_id[16];
	uint64_t secret;
	store_reopen(); /* of format 1 until then */
	set_format(_i ? EVQ__STORE_WHOLE_NAMES : EVQ__STORE_FORMAT);
	evq_queue *q = queue_with("fifo", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO));
	ck_ok(evq_send(q, NULL, "x", 1, EVQ_SEND_OPTS(.group = "group", .dedup_id = "the id"), NULL));
	expect_format(_i ? EVQ__STORE_WHOLE_NAMES : EVQ__STORE_FORMAT, &secret);
	evq__be64_put(of_group, evq__hash("group", 5, secret));
	evq__hash128("the id", 6, secret + 1, of_id);
	if (!_i) {
		evq__be64_put(of_group, evq__hash("gro", 3, secret));
		memcpy(of_group + 6, "up", 2);
		evq__hash128("the ", 4, secret + 1, of_id);
		memcpy(of_id + 10, "id", 2);
	}
	expect_hash("evq.group", 4, of_group, 8);
	expect_hash("evq.dedup", 5, of_id, 12);
	store_reopen();
	q = queue("fifo");
	ck_ok(evq_send(q, NULL, "x", 1, EVQ_SEND_OPTS(.group = "group", .dedup_id = "the id"), NULL));
	ck_ok(evq_send(q, NULL, "y", 1, EVQ_SEND_OPTS(.group = "group"), NULL));
	take(q, 2);
	ck_ok(evq_verify(env, NULL, NULL));
}
END_TEST

Suite *
upgrade_suite(void)
{
	Suite *s = suite_create("upgrade");
	TCase *t = tcase_create("upgrade");
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, store_of_the_format_before_has_all_that_was_in_it);
	tcase_add_test(t, store_of_the_format_before_can_do_what_is_new);
	tcase_add_loop_test(t, store_that_hashes_names_whole_goes_on_to, 0, 2);
	tcase_add_test(t, store_without_a_table_that_its_format_has_is_refused);
	suite_add_tcase(s, t);
	return s;
}
