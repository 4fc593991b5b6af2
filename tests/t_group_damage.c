/* SPDX-License-Identifier: MIT */
/*
 * Damage in queues with groups: a message whose body or entry is damaged is in nobody's way, whatever its place in its
 * group, and a turn that is damaged delays others at the most.
 */
#include "groups.h"
#include "raw.h"

static evq_queue *q;

static void
setup(void)
{
	store_setup();
	q = fifo("q");
}

static void
purge(evq_queue *of)
{
	ck_ok(evq_purge(of, NULL, NULL));
	verify_clean();
}

START_TEST(parked_message_does_not_block_its_group)
{
	evq_id bad = PUT(q, "a1", .priority = 0);
	put(q, "a2 a3 b1");
	raw_damage_body(bad);
	q = fifo("q");
	evq_batch *b = get(q, 2, "a2 a3");
	expect_blocked(q, 1, 0, 2, 1);
	ck_assert_uint_eq(events_of(EVQ_EVENT_CORRUPT), 1);
	finish(q, b, "a2");
	put(q, "a4");
	get(q, MANY, "b1");
	finish(q, b, "a3");
	get(q, MANY, "a4");
	purge(q);
}
END_TEST

START_TEST(parked_message_in_the_middle_does_not_end_the_run)
{
	put(q, "a1");
	evq_id bad = PUT(q, "a2", .priority = 0);
	put(q, "a3");
	raw_damage_body(bad);
	q = fifo("q");
	evq_batch *b = get(q, MANY, "a1 a3");
	get(q, MANY, "");
	finish(q, b, "a3");
	clock_advance_ms(LEASE_MS);
	get(q, MANY, "a1");
	purge(q);
}
END_TEST

/* Damages the entry of a message, in evq.due. */
static void
damage_entry(evq_id id)
{
	struct raw raw;
	struct raw_row row;
	raw_begin(&raw, "evq.due");
	raw_find_due(&raw, id, &row);
	row.value[1] ^= 0x80;
	raw_put(&raw, &row);
	raw_end(&raw);
}

START_TEST(message_whose_entry_cannot_be_read_does_not_block_its_group)
{
	evq_id bad = PUT(q, "a1", .priority = 0);
	put(q, "a2 a3 b1");
	damage_entry(bad);
	q = fifo("q");
	evq_batch *b = get(q, 1, "a2");
	expect_blocked(q, 1, 0, 1, 2);
	get(q, MANY, "b1");
	finish(q, b, "a2");
	get(q, MANY, "a3");
	ck_ok(evq_purge(q, NULL, NULL));
	ck_assert_uint_eq(stats(q).messages, 0);
}
END_TEST

/* The row of a message that waits behind others, in evq.group: queue, group, id. */
static void
damage_waiting(evq_id id)
{
	struct raw raw;
	struct raw_row row;
	size_t at = 0;
	raw_begin(&raw, "evq.group");
	do
		ck_assert_int_eq(raw_nth(&raw, at++, &row), 0);
	while (row.key_len != 20 || raw_get_be(row.key + 12, 8) != id);
	ck_assert_uint_gt(row.value_len, 11);
	row.value[10] ^= 0x80;
	raw_put(&raw, &row);
	raw_end(&raw);
}

START_TEST(message_whose_entry_cannot_be_read_as_it_waits_does_not_block_its_group)
{
	put(q, "a1");
	evq_id bad = PUT(q, "a2", .priority = 0);
	put(q, "a3 a4");
	damage_waiting(bad);
	q = fifo("q");
	evq_batch *b = get(q, 1, "a1");
	get(q, MANY, "");
	finish(q, b, "a1");
	b = get(q, 1, "a3");
	get(q, MANY, "");
	finish(q, b, "a3");
	get(q, MANY, "a4");
	ck_ok(evq_purge(q, NULL, NULL));
	ck_assert_uint_eq(stats(q).messages, 0);
}
END_TEST

START_TEST(run_of_a_group_passes_over_what_cannot_be_read)
{
	put(q, "a1");
	evq_id bad = PUT(q, "a2", .priority = 0);
	put(q, "a3 a4");
	damage_waiting(bad);
	q = fifo("q");
	evq_batch *b = get(q, 2, "a1 a3");
	finish_all(q, b);
	get(q, MANY, "a4");
	ck_ok(evq_purge(q, NULL, NULL));
}
END_TEST

START_TEST(damaged_message_that_is_dead_lettered_makes_way_for_the_next)
{
	evq_queue *work = queue_with("work", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO, .dead_letter = "dead"));
	evq_id bad = PUT(work, "a1", .priority = 0);
	put(work, "a2 a3");
	raw_damage_body(bad);
	work = fifo("work");
	get(work, MANY, "a2 a3");
	expect_counts(queue("dead"), 1, 0, 0);
	ck_assert_uint_eq(events_of(EVQ_EVENT_DEAD_LETTERED), 1);
	purge(queue("dead"));
}
END_TEST

/* The last turn that was given to a group of a fair queue, in evq.group: the turn, of 8 bytes. */
static void
damage_turn(uint64_t turn)
{
	struct raw raw;
	struct raw_row row;
	size_t at = 0;
	raw_begin(&raw, "evq.group");
	do
		ck_assert_int_eq(raw_nth(&raw, at++, &row), 0);
	while (row.key_len != 20 || row.value_len != 8);
	for (int i = 0; i < 8; i++)
		row.value[i] = (unsigned char)(turn >> 8 * i);
	raw_put(&raw, &row);
	raw_end(&raw);
}

static const uint64_t turns[] = { (UINT64_C(1) << 63) - 2, (UINT64_C(1) << 63) - 3, UINT64_C(1) << 62, UINT64_MAX, 1000 };

START_TEST(damaged_turn_loses_no_message)
{
	evq_queue *f = fair("f");
	put(f, "a1");
	damage_turn(turns[_i]);
	f = fair("f");
	put(f, "a2 b1 a3");
	evq_batch *b = take(f, 4);
	int seen_letters[2] = { 0 };
	for (size_t i = 0; i < 4; i++)
		seen_letters[((const char *)evq_batch_at(b, i)->body)[0] - 'a']++;
	ck_assert_int_eq(seen_letters[0], 3);
	clock_advance_ms(LEASE_MS);
	take(f, 4);
	ck_ok(evq_purge(f, NULL, NULL));
}
END_TEST

Suite *
group_damage_suite(void)
{
	Suite *s = suite_create("group_damage");
	TCase *t = tcase_create("group_damage");
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, parked_message_does_not_block_its_group);
	tcase_add_test(t, parked_message_in_the_middle_does_not_end_the_run);
	tcase_add_test(t, message_whose_entry_cannot_be_read_does_not_block_its_group);
	tcase_add_test(t, message_whose_entry_cannot_be_read_as_it_waits_does_not_block_its_group);
	tcase_add_test(t, run_of_a_group_passes_over_what_cannot_be_read);
	tcase_add_test(t, damaged_message_that_is_dead_lettered_makes_way_for_the_next);
	tcase_add_loop_test(t, damaged_turn_loses_no_message, 0, COUNT(turns));
	suite_add_tcase(s, t);
	return s;
}
