/* SPDX-License-Identifier: MIT */
/*
 * Rows that could not be: a store in which single records of queues, names and entries hold what no call would
 * have written. Nothing may loop, overflow or divide by it; the call that meets it says so, verify finds it, and
 * other queues go on.
 */
#include "raw.h"

#include "queue.h"

enum { AT_VISIBILITY = 8, AT_DELAY = 16, AT_RETENTION = 24, AT_RETRY_MIN = 32, AT_RETRY_MAX = 40, AT_DEAD_LETTER = 60,
       AT_MAX_BODY_LEN = 80, AT_NAME = EVQ__QUEUE_HEAD };

static void
put_le(unsigned char *out, uint64_t value, int width)
{
	for (int i = 0; i < width; i++)
		out[i] = (unsigned char)(value >> (8 * i));
}

/* Overwrites width bytes at in the record of queue number. */
static void
patch_queue(uint32_t number, int at, uint64_t value, int width)
{
	struct raw raw;
	struct raw_row row;
	raw_begin(&raw, "evq.queue");
	raw_queue_key(&row, number);
	ck_assert_int_eq(raw_get(&raw, &row), 0);
	put_le(row.value + at, value, width);
	raw_put(&raw, &row);
	raw_end(&raw);
}

static const struct {
	int at;
	uint64_t value;
	int width;
} patches[] = {
	{ AT_VISIBILITY, 0, 8 },         { AT_VISIBILITY, INT64_MAX, 8 }, { AT_VISIBILITY, (uint64_t)-10000, 8 },
	{ AT_DELAY, (uint64_t)-1, 8 },   { AT_DELAY, INT64_MAX, 8 },      { AT_RETENTION, (uint64_t)-1, 8 },
	{ AT_RETENTION, INT64_MAX, 8 },  { AT_RETRY_MIN, 0, 8 },          { AT_RETRY_MIN, (uint64_t)-2, 8 },
	{ AT_RETRY_MAX, 1, 8 },          { AT_RETRY_MAX, INT64_MAX, 8 },  { AT_MAX_BODY_LEN, UINT32_MAX, 4 },
	{ AT_NAME, 0, 1 },               { AT_NAME, '/', 1 },
};

START_TEST(queue_record_out_of_bounds_is_corrupt_and_others_go_on)
{
	evq_queue *bad = NULL;
	send(queue("bad"), "x");
	send(queue("good"), "y");
	patch_queue(1, patches[_i].at, patches[_i].value, patches[_i].width);
	ck_ok(evq_queue_open(env, "bad", NULL, &bad));
	ck_rc(evq_receive(bad, NULL, NULL, batch()), EVQ_CORRUPT);
	ck_rc(evq_send(bad, NULL, "x", 1, NULL, NULL), EVQ_CORRUPT);
	evq_queue_close(bad);
	take_one(queue("good"), "y");
	ck_rc(evq_verify(env, NULL, NULL), EVQ_CORRUPT);
	raw_abandon();
}
END_TEST

static int
count_names(const char *name, void *arg)
{
	(void)name;
	return ++*(int *)arg > 10;
}

START_TEST(name_with_a_nul_inside_ends_neither_list_nor_verify)
{
	struct raw raw;
	struct raw_row row = { .key = "a\0b", .key_len = 3, .value = { 0, 0, 0, 1 }, .value_len = 4 };
	int count = 0;
	queue("a");
	queue("z");
	raw_begin(&raw, "evq.name");
	raw_put(&raw, &row);
	row.key_len = 200;
	memset(row.key, 'b', sizeof row.key);
	raw_put(&raw, &row);
	raw_end(&raw);
	ck_ok(evq_queue_list(env, count_names, &count));
	ck_assert_int_eq(count, 2);
	ck_rc(evq_verify(env, NULL, NULL), EVQ_CORRUPT);
	raw_abandon();
}
END_TEST

START_TEST(cycle_of_dead_letters_is_found_and_not_followed)
{
	evq_queue *q = queue_with("first", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "second"));
	(void)q; /* first is 2: its dead letter was made before it */
	queue_with("third", EVQ_QUEUE_ATTRS(.flags = 0));
	patch_queue(1, AT_DEAD_LETTER, 2, 4);
	q = queue("third");
	ck_rc(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.dead_letter = "first")), EVQ_CORRUPT);
	ck_rc(evq_verify(env, NULL, NULL), EVQ_CORRUPT);
	raw_abandon();
}
END_TEST

START_TEST(drop_that_was_not_finished_is_no_damage)
{
	queue_with("q", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "dead"));
	struct raw raw;
	struct raw_row row;
	raw_begin(&raw, "evq.name"); /* as a process that died after the first step leaves it */
	raw_name_key(&row, "q");
	raw_del(&raw, &row);
	raw_name_key(&row, "dead");
	raw_del(&raw, &row);
	ck_assert_int_eq(mdb_dbi_open(raw.txn, "evq.queue", 0, &raw.dbi), 0);
	raw_queue_key(&row, 1);
	raw_del(&raw, &row);
	raw_queue_key(&row, 2);
	ck_assert_int_eq(raw_get(&raw, &row), 0);
	row.value[1] = EVQ__QUEUE_DROPPING;
	raw_put(&raw, &row);
	raw_end(&raw); /* which finishes the drop */
	ck_ok(evq_verify(env, NULL, NULL));
	evq_queue *gone = NULL;
	ck_rc(evq_queue_open(env, "q", NULL, &gone), EVQ_NOQUEUE);
}
END_TEST

/* Cuts the entry of message id short: it cannot be read any more. */
static void
damage_entry(evq_id id)
{
	struct raw raw;
	struct raw_row row;
	raw_begin(&raw, "evq.due");
	raw_find_due(&raw, id, &row);
	row.value_len = 10;
	raw_put(&raw, &row);
	raw_end(&raw);
}

START_TEST(unreadable_entry_hides_nothing_and_can_be_purged)
{
	evq_queue *q = queue("q");
	size_t purged = 0;
	evq_id bad = send(q, "bad");
	send(q, "good");
	damage_entry(bad);
	q = queue("q");
	ck_rc(evq_verify(env, NULL, NULL), EVQ_CORRUPT);
	take_one(q, "good");
	expect_empty(q);
	ck_rc(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.wait_ms = 50), batch()), EVQ_EMPTY); /* it does not spin */
	ck_assert_uint_eq(stats(q).blocked, 1);
	ck_ok(evq_purge(q, NULL, &purged));
	ck_assert_uint_eq(purged, 2);
	ck_ok(evq_verify(env, NULL, NULL));
}
END_TEST

START_TEST(dead_entry_without_a_history_is_not_redriven_by_chance)
{
	evq_queue *q = queue("q");
	struct raw raw;
	struct raw_row row;
	evq_id id = send(q, "x");
	raw_begin(&raw, "evq.due");
	raw_find_due(&raw, id, &row);
	row.value[1] |= 2; /* dead */
	raw_put(&raw, &row);
	raw_end(&raw);
	size_t moved = 7;
	q = queue("q");
	ck_ok(evq_redrive(q, NULL, NULL, &moved));
	ck_assert_uint_eq(moved, 0);
	ck_rc(evq_verify(env, NULL, NULL), EVQ_CORRUPT);
	raw_abandon();
}
END_TEST

Suite *
rows_suite(void)
{
	Suite *s = suite_create("rows");
	TCase *t = tcase_create("rows");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_loop_test(t, queue_record_out_of_bounds_is_corrupt_and_others_go_on, 0,
	                    sizeof patches / sizeof *patches);
	tcase_add_test(t, name_with_a_nul_inside_ends_neither_list_nor_verify);
	tcase_add_test(t, cycle_of_dead_letters_is_found_and_not_followed);
	tcase_add_test(t, drop_that_was_not_finished_is_no_damage);
	tcase_add_test(t, unreadable_entry_hides_nothing_and_can_be_purged);
	tcase_add_test(t, dead_entry_without_a_history_is_not_redriven_by_chance);
	suite_add_tcase(s, t);
	return s;
}
