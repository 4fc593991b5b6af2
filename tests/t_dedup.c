/* SPDX-License-Identifier: MIT */
/*
 * Deduplication by an id of the sender's: what is a repeat and what is not, for how long, in one and in batches, and
 * that a repeat succeeds and changes nothing. What an id outlives is in t_remembered.c, what forgets it in
 * t_forgotten.c, bodies as ids in t_content.c, and ids and bodies of one hash in t_same_hash.c.
 */
#include "repeats.h"
#include "snapshot.h"

#define YEAR_MS 31536000000LL
#define UNTOUCHED ((evq_id)4711)

enum { WINDOW_MS = 300000 };

static evq_queue *q;

static void
setup(void)
{
	store_setup();
	q = queue("q");
}

/* ---- one at a time ------------------------------------------------------------------------------------- */

START_TEST(repeat_returns_the_first_id_and_adds_nothing)
{
	evq_id first = send_id(q, "a", "id");
	send(q, "b");
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(send_id(q, "a", "id"), first);
	expect_sent(q, 2, 3);
	expect_counts(q, 2, 0, 0);
	ck_assert_uint_eq(stats(q).bytes, 2);
	get(q, MANY, "a b");
	ck_assert_uint_eq(seen_count, 0);
}
END_TEST

START_TEST(repeat_changes_nothing_that_can_be_seen)
{
	static struct snapshot before;
	send_with(q, "a", EVQ_SEND_OPTS(.dedup_id = "id", .delay_ms = 500, .priority = 3, .group = "g", .expires_ms = 9000));
	send(q, "b");
	take_one(q, "b");
	snap_take(&before);
	clock_advance_ms(1);
	for (int i = 0; i < 5; i++)
		send_id(q, "a", "id");
	clock_advance_ms(-1);
	snap_expect(&before);
}
END_TEST

START_TEST(different_body_with_the_same_id_is_a_repeat)
{
	evq_id first = send_id(q, "a", "id");
	ck_assert_uint_eq(send_id(q, "another and longer", "id"), first);
	ck_assert_uint_eq(send_id(q, "", "id"), first);
	ck_assert_uint_eq(send_with(q, "a", EVQ_SEND_OPTS(.dedup_id = "id", .priority = 9, .delay_ms = 77)), first);
	get(q, MANY, "a");
}
END_TEST

START_TEST(same_id_in_another_group_is_a_repeat)
{
	evq_queue *f = queue_with("f", EVQ_QUEUE_ATTRS(.flags = _i == 0 ? EVQ_FIFO : _i == 1 ? EVQ_FAIR : 0));
	evq_id first = send_with(f, "a1", EVQ_SEND_OPTS(.group = "a", .dedup_id = "id"));
	ck_assert_uint_eq(send_with(f, "b1", EVQ_SEND_OPTS(.group = "b", .dedup_id = "id")), first);
	expect_sent(f, 1, 1);
	get(f, MANY, "a1");
}
END_TEST

START_TEST(same_id_in_another_queue_is_not_a_repeat)
{
	evq_queue *other = queue("other");
	evq_id first = send_id(q, "a", "id"), second = send_id(other, "a", "id");
	ck_assert_uint_ne(first, second);
	ck_assert_uint_eq(send_id(q, "a", "id"), first);
	ck_assert_uint_eq(send_id(other, "a", "id"), second);
	expect_sent(q, 1, 1);
	expect_sent(other, 1, 1);
}
END_TEST

START_TEST(ids_are_compared_to_their_last_byte)
{
	char one[EVQ_DEDUP_MAX + 1], two[EVQ_DEDUP_MAX + 1];
	memset(one, 'i', EVQ_DEDUP_MAX);
	one[EVQ_DEDUP_MAX] = 0;
	strcpy(two, one);
	two[EVQ_DEDUP_MAX - 1] = 'j';
	const char *const ids[] = { one, two, one + 1, one + 127, "I", "i ", "ii", "\xff\x01", "\xff\x01\x01", "0" };
	evq_id sent[COUNT(ids)];
	for (int i = 0; i < COUNT(ids); i++)
		sent[i] = send_id(q, "x", ids[i]);
	expect_sent(q, COUNT(ids), 0);
	for (int i = 0; i < COUNT(ids); i++)
		ck_assert_uint_eq(send_id(q, "x", ids[i]), sent[i]);
	expect_sent(q, COUNT(ids), COUNT(ids));
}
END_TEST

START_TEST(an_id_of_no_bytes_or_too_many_is_refused)
{
	char longer[EVQ_DEDUP_MAX + 2];
	const evq_buf body = { "x", 1 };
	evq_id id = UNTOUCHED;
	memset(longer, 'i', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	ck_rc(evq_send(q, NULL, "x", 1, EVQ_SEND_OPTS(.dedup_id = ""), &id), EINVAL);
	ck_rc(evq_send(q, NULL, "x", 1, EVQ_SEND_OPTS(.dedup_id = longer), &id), EVQ_TOOBIG);
	ck_rc(evq_send_batch(q, NULL, &body, 1, EVQ_SEND_OPTS(.dedup_id = ""), &id), EINVAL);
	ck_rc(evq_send_batch(q, NULL, &body, 1, EVQ_SEND_OPTS(.dedup_id = longer), &id), EVQ_TOOBIG);
	ck_assert_uint_eq(id, UNTOUCHED);
	expect_sent(q, 0, 0);
}
END_TEST

/* What is wrong with a send is wrong with its repeat, and what was refused is not remembered. */
START_TEST(arguments_are_checked_before_a_repeat_is_one)
{
	evq_queue *small = queue_with("small", EVQ_QUEUE_ATTRS(.max_body_len = 3));
	for (int i = 0; i < 2; i++) {
		evq_id id = UNTOUCHED;
		ck_rc(evq_send(small, NULL, "four", 4, EVQ_SEND_OPTS(.dedup_id = "id"), &id), EVQ_TOOBIG);
		ck_rc(evq_send(small, NULL, NULL, 1, EVQ_SEND_OPTS(.dedup_id = "id"), &id), EINVAL);
		ck_rc(evq_send(small, NULL, "x", 1, EVQ_SEND_OPTS(.dedup_id = "id", .priority = 128), &id), EINVAL);
		ck_rc(evq_send(small, NULL, "x", 1, EVQ_SEND_OPTS(.dedup_id = "id", .delay_ms = -9), &id), EINVAL);
		ck_rc(evq_send(small, NULL, "x", 1, EVQ_SEND_OPTS(.dedup_id = "id", .group = ""), &id), EINVAL);
		ck_assert_uint_eq(id, UNTOUCHED);
		expect_sent(small, (uint64_t)i, 0);
		if (i == 0)
			send_id(small, "x", "id");
	}
}
END_TEST

START_TEST(repeat_succeeds_on_a_full_queue)
{
	evq_queue *full = queue_with("full", EVQ_QUEUE_ATTRS(.max_messages = 2, .max_bytes = 10));
	evq_id first = send_id(full, "12345", "id");
	send(full, "12345");
	ck_rc(evq_send(full, NULL, "x", 1, EVQ_SEND_OPTS(.dedup_id = "other"), NULL), EVQ_FULL);
	ck_assert_uint_eq(send_id(full, "123456789", "id"), first);
	expect_sent(full, 2, 1);
	finish_all(full, take(full, 1));
	ck_assert_uint_ne(send_id(full, "x", "other"), first); /* the one refused is not remembered */
	expect_sent(full, 3, 1);
}
END_TEST

/* ---- the window ---------------------------------------------------------------------------------------- */

static const int64_t windows[] = { 1, 2, 1000, 0, YEAR_MS };

START_TEST(window_ends_to_the_millisecond)
{
	int64_t ms = windows[_i] ? windows[_i] : WINDOW_MS;
	evq_queue *w = queue_with("w", EVQ_QUEUE_ATTRS(.dedup_ms = windows[_i]));
	evq_id first = send_id(w, "a", "id");
	clock_advance_ms(ms - 1);
	ck_assert_uint_eq(send_id(w, "a", "id"), first);
	clock_advance_ms(1);
	evq_id second = send_id(w, "a", "id");
	ck_assert_uint_ne(second, first);
	clock_advance_ms(ms - 1); /* which began a window of its own */
	ck_assert_uint_eq(send_id(w, "a", "id"), second);
	clock_advance_ms(1);
	ck_assert_uint_gt(send_id(w, "a", "id"), second);
	expect_sent(w, 3, 2);
}
END_TEST

START_TEST(repeats_do_not_extend_the_window)
{
	evq_queue *w = queue_with("w", EVQ_QUEUE_ATTRS(.dedup_ms = 1000));
	evq_id first = send_id(w, "a", "id");
	for (int i = 0; i < 10; i++) {
		ck_assert_uint_eq(send_id(w, "a", "id"), first);
		clock_advance_ms(100);
	}
	ck_assert_uint_ne(send_id(w, "a", "id"), first);
}
END_TEST

START_TEST(window_is_the_one_in_force_when_the_first_was_sent)
{
	evq_queue *w = queue_with("w", EVQ_QUEUE_ATTRS(.dedup_ms = 1000));
	evq_id first = send_id(w, "a", "id");
	ck_ok(evq_queue_set_attrs(w, NULL, EVQ_QUEUE_ATTRS(.dedup_ms = _i ? 10 : 100000)));
	evq_id other = send_id(w, "b", "other");
	clock_advance_ms(999);
	ck_assert_uint_eq(send_id(w, "a", "id"), first);
	ck_assert((send_id(w, "b", "other") == other) == !_i);
	clock_advance_ms(1);
	ck_assert_uint_ne(send_id(w, "a", "id"), first);
}
END_TEST

START_TEST(window_counts_from_the_send_whatever_the_delay)
{
	evq_queue *w = queue_with("w", EVQ_QUEUE_ATTRS(.dedup_ms = 1000, .delay_ms = 5000));
	evq_id first = send_id(w, "a", "id");
	clock_advance_ms(1000);
	ck_assert_uint_ne(send_id(w, "a", "id"), first);
	expect_counts(w, 0, 2, 0);
}
END_TEST

/* ---- batches ------------------------------------------------------------------------------------------- */

static const evq_buf five[] = { { "1", 1 }, { "2", 1 }, { "3", 1 }, { "4", 1 }, { "5", 1 } };

static void
send_five(evq_queue *to, size_t count, const char *dedup_id, evq_id ids[static 5])
{
	for (size_t i = 0; i < 5; i++)
		ids[i] = UNTOUCHED;
	ck_ok(evq_send_batch(to, NULL, five, count, EVQ_SEND_OPTS(.dedup_id = dedup_id), ids));
}

START_TEST(batch_with_its_id_repeated_adds_nothing)
{
	evq_id first[5], again[5];
	send_five(q, 5, "id", first);
	for (int i = 0; i < 2; i++) {
		send_five(q, 5, "id", again);
		ck_assert_mem_eq(again, first, sizeof(first));
	}
	ck_ok(evq_send_batch(q, NULL, five, 5, EVQ_SEND_OPTS(.dedup_id = "id"), NULL));
	expect_sent(q, 5, 15);
	get(q, MANY, "1 2 3 4 5");
}
END_TEST

START_TEST(messages_of_a_batch_are_told_apart_by_their_place)
{
	evq_id first[5], again[5];
	send_five(q, 2, "id", first);
	send_five(q, 1, "id", again);
	ck_assert_uint_eq(again[0], first[0]);
	ck_assert_uint_eq(again[1], UNTOUCHED);
	send_five(q, 5, "id", again); /* three more of them */
	ck_assert_mem_eq(again, first, 2 * sizeof(first[0]));
	for (int i = 2; i < 5; i++)
		ck_assert_uint_gt(again[i], again[i - 1]);
	expect_sent(q, 5, 3);
	get(q, MANY, "1 2 3 4 5");
}
END_TEST

START_TEST(single_send_is_the_first_of_a_batch)
{
	evq_id ids[5];
	evq_id first = send_id(q, "1", "id");
	send_five(q, 2, "id", ids);
	ck_assert_uint_eq(ids[0], first);
	ck_assert_uint_eq(send_id(q, "1", "id"), first);
	send_five(q, 1, "later", ids);
	ck_assert_uint_eq(send_id(q, "another", "later"), ids[0]);
	expect_sent(q, 3, 3);
}
END_TEST

START_TEST(batch_of_equal_bodies_is_no_repeat_of_itself)
{
	const evq_buf same[] = { { "x", 1 }, { "x", 1 }, { "x", 1 } };
	ck_ok(evq_send_batch(q, NULL, same, 3, EVQ_SEND_OPTS(.dedup_id = "id"), NULL));
	expect_sent(q, 3, 0);
}
END_TEST

/* A number behind an id, or bytes that look like one, make no other id equal. */
START_TEST(place_in_a_batch_is_no_part_of_the_id)
{
	static const char *const ids[] = { "id", "id0", "id1", "id\x01", "id\x01\x01", "id 1", "id/1", "id:1" };
	evq_id sent[5];
	for (int i = 0; i < COUNT(ids); i++)
		send_five(q, 5, ids[i], sent);
	expect_sent(q, 5 * COUNT(ids), 0);
}
END_TEST

START_TEST(window_of_a_batch_ends_for_each_of_its_messages)
{
	evq_id first[5], again[5];
	evq_queue *w = queue_with("w", EVQ_QUEUE_ATTRS(.dedup_ms = 1000));
	send_five(w, 2, "id", first);
	clock_advance_ms(600);
	send_five(w, 3, "id", first);
	clock_advance_ms(400);
	send_five(w, 3, "id", again);
	ck_assert_uint_ne(again[0], first[0]);
	ck_assert_uint_ne(again[1], first[1]);
	ck_assert_uint_eq(again[2], first[2]);
	expect_sent(w, 5, 3);
}
END_TEST

START_TEST(batch_of_repeats_and_new_ones_is_all_or_nothing)
{
	evq_id first[5], again[5] = { UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED };
	evq_queue *full = queue_with("full", EVQ_QUEUE_ATTRS(.max_messages = 4));
	send_five(full, 3, "id", first);
	ck_rc(evq_send_batch(full, NULL, five, 5, EVQ_SEND_OPTS(.dedup_id = "id"), again), EVQ_FULL);
	ck_assert_uint_eq(again[0], UNTOUCHED);
	expect_sent(full, 3, 0);
	send_five(full, 4, "id", again); /* its last one fits */
	ck_assert_mem_eq(again, first, 3 * sizeof(first[0]));
	send_five(full, 4, "id", again);
	expect_sent(full, 4, 7);
}
END_TEST

START_TEST(large_batch_is_repeated_whole)
{
	enum { LARGE = 10000 };
	static evq_buf bodies[LARGE];
	static evq_id first[LARGE], again[LARGE];
	for (size_t i = 0; i < LARGE; i++)
		bodies[i] = (evq_buf){ "0123456789", i % 11 };
	ck_ok(evq_send_batch(q, NULL, bodies, LARGE, EVQ_SEND_OPTS(.dedup_id = "id"), first));
	ck_ok(evq_send_batch(q, NULL, bodies, LARGE, EVQ_SEND_OPTS(.dedup_id = "id"), again));
	ck_assert_mem_eq(again, first, sizeof(first));
	expect_sent(q, LARGE, LARGE);
}
END_TEST

Suite *
dedup_suite(void)
{
	Suite *s = suite_create("dedup");
	TCase *t = tcase_create("dedup");
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, repeat_returns_the_first_id_and_adds_nothing);
	tcase_add_test(t, repeat_changes_nothing_that_can_be_seen);
	tcase_add_test(t, different_body_with_the_same_id_is_a_repeat);
	tcase_add_loop_test(t, same_id_in_another_group_is_a_repeat, 0, 3);
	tcase_add_test(t, same_id_in_another_queue_is_not_a_repeat);
	tcase_add_test(t, ids_are_compared_to_their_last_byte);
	tcase_add_test(t, an_id_of_no_bytes_or_too_many_is_refused);
	tcase_add_test(t, arguments_are_checked_before_a_repeat_is_one);
	tcase_add_test(t, repeat_succeeds_on_a_full_queue);
	tcase_add_loop_test(t, window_ends_to_the_millisecond, 0, COUNT(windows));
	tcase_add_test(t, repeats_do_not_extend_the_window);
	tcase_add_loop_test(t, window_is_the_one_in_force_when_the_first_was_sent, 0, 2);
	tcase_add_test(t, window_counts_from_the_send_whatever_the_delay);
	tcase_add_test(t, batch_with_its_id_repeated_adds_nothing);
	tcase_add_test(t, messages_of_a_batch_are_told_apart_by_their_place);
	tcase_add_test(t, single_send_is_the_first_of_a_batch);
	tcase_add_test(t, batch_of_equal_bodies_is_no_repeat_of_itself);
	tcase_add_test(t, place_in_a_batch_is_no_part_of_the_id);
	tcase_add_test(t, window_of_a_batch_ends_for_each_of_its_messages);
	tcase_add_test(t, batch_of_repeats_and_new_ones_is_all_or_nothing);
	tcase_add_test(t, large_batch_is_repeated_whole);
	suite_add_tcase(s, t);
	return s;
}
