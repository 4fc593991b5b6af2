/* SPDX-License-Identifier: MIT */
/*
 * What comes back to its group: released, put off, run out, extended again, delayed by the queue, expired; and a clock
 * that steps back. Whatever it was, it stands at its place in the order.
 */
#include "groups.h"

static evq_queue *q;

static void
setup(void)
{
	store_setup();
	q = fifo("q");
}

/* ---- given back, put off, run out ---------------------------------------------------------------------- */

START_TEST(released_one_comes_again_at_its_place)
{
	put(q, "a1 a2 a3");
	evq_batch *b = get(q, MANY, "a1 a2 a3");
	give_back_one(q, b, "a2", 0);
	get(q, MANY, "");
	finish(q, b, "a1");
	expect_blocked(q, 1, 0, 1, 0);
	evq_batch *again = get(q, MANY, "a2");
	ck_assert_uint_eq(evq_batch_at(again, 0)->receives, 2);
	finish(q, b, "a3");
	get(q, MANY, "");
}
END_TEST

START_TEST(released_in_whatever_order_they_come_in_the_order_sent)
{
	put(q, "a1 a2 a3 a4");
	for (int round = 0; round < 3; round++) {
		evq_batch *b = get(q, 3, "a1 a2 a3");
		give_back_one(q, b, "a3", 0);
		get(q, MANY, "");
		clock_advance_ms(1);
		give_back_one(q, b, "a2", 0);
		get(q, MANY, "");
		clock_advance_ms(1);
		give_back_one(q, b, "a1", 0);
		expect_blocked(q, 4, 0, 0, 0);
	}
	get(q, MANY, "a1 a2 a3 a4");
}
END_TEST

START_TEST(released_with_a_delay_the_first_blocks_until_it_is_due)
{
	put(q, "a1 a2");
	evq_batch *b = get(q, 1, "a1");
	give_back_one(q, b, "a1", 500);
	expect_blocked(q, 0, 1, 0, 1);
	clock_advance_ms(499);
	get(q, MANY, "");
	clock_advance_ms(1);
	get(q, MANY, "a1 a2");
}
END_TEST

START_TEST(released_with_a_delay_one_in_the_middle_ends_the_run)
{
	put(q, "a1 a2 a3");
	evq_batch *b = get(q, MANY, "a1 a2 a3");
	give_back_one(q, b, "a2", 500);
	give_back_one(q, b, "a3", 0);
	give_back_one(q, b, "a1", 0);
	expect_blocked(q, 1, 1, 0, 1);
	get(q, MANY, "a1");
	clock_advance_ms(LEASE_MS);
	get(q, MANY, "a1 a2 a3");
}
END_TEST

START_TEST(leases_that_ran_out_come_again_in_the_order_sent)
{
	evq_receipt renewed;
	put(q, "a1 a2 a3 a4");
	evq_batch *b = get(q, 3, "a1 a2 a3");
	clock_advance_ms(10);
	ck_ok(evq_extend(q, NULL, receipt_of(b, "a1"), LEASE_MS, &renewed)); /* it ends last */
	clock_advance_ms(LEASE_MS);
	b = get(q, MANY, "a1 a2 a3 a4");
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(evq_batch_at(b, i)->receives, i < 3 ? 2 : 1);
	ck_rc(evq_delete(q, NULL, &renewed), EVQ_STALE);
}
END_TEST

START_TEST(extending_a_lease_that_ran_out_blocks_again)
{
	evq_receipt renewed;
	put(q, "a1 a2");
	evq_batch *b = get(q, 1, "a1");
	clock_advance_ms(LEASE_MS);
	expect_blocked(q, 2, 0, 0, 0);
	ck_ok(evq_extend(q, NULL, receipt_of(b, "a1"), 100, &renewed));
	expect_blocked(q, 0, 0, 1, 1);
	get(q, MANY, "");
	clock_advance_ms(100);
	get(q, MANY, "a1 a2");
}
END_TEST

START_TEST(group_is_blocked_by_the_delay_of_the_queue)
{
	evq_queue *slow = queue_with("slow", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO, .delay_ms = 1000));
	put(slow, "a1");
	clock_advance_ms(500);
	put(slow, "a2");
	expect_blocked(slow, 0, 2, 0, 0);
	clock_advance_ms(500);
	expect_blocked(slow, 1, 1, 0, 0);
	evq_batch *b = get(slow, MANY, "a1");
	clock_advance_ms(500);
	get(slow, MANY, "");
	finish(slow, b, "a1");
	get(slow, MANY, "a2");
}
END_TEST

START_TEST(shorter_delay_of_the_queue_lets_nothing_pass)
{
	evq_queue *slow = queue_with("slow", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO, .delay_ms = 1000));
	put(slow, "a1");
	ck_ok(evq_queue_set_attrs(slow, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO)));
	put(slow, "a2");
	expect_blocked(slow, 0, 1, 0, 1);
	get(slow, MANY, "");
	clock_advance_ms(1000);
	get(slow, MANY, "a1 a2");
}
END_TEST

START_TEST(expired_ones_are_not_waited_for)
{
	PUT(q, "a1", .expires_ms = 50);
	PUT(q, "a2", .expires_ms = 60);
	put(q, "a3");
	evq_batch *b = get(q, 1, "a1");
	clock_advance_ms(49);
	get(q, MANY, "");
	clock_advance_ms(1);
	expect_blocked(q, 2, 0, 0, 0);
	ck_rc(evq_delete(q, NULL, receipt_of(b, "a1")), EVQ_STALE);
	get(q, 1, "a2");
	clock_advance_ms(10);
	get(q, MANY, "a3");
	ck_assert_uint_eq(stats(q).expired, 2);
	ck_assert_uint_eq(events_of(EVQ_EVENT_EXPIRED), 2);
}
END_TEST

START_TEST(leased_or_delayed_one_that_expires_behind_the_first_is_dropped)
{
	put(q, "a1");
	PUT(q, "a2", .expires_ms = 50);
	PUT(q, "a3", .expires_ms = 50);
	put(q, "a4");
	evq_batch *b = get(q, 3, "a1 a2 a3");
	give_back_one(q, b, "a3", 1000);
	clock_advance_ms(50);
	expect_blocked(q, 0, 0, 1, 1);
	get(q, MANY, "");
	ck_assert_uint_eq(stats(q).messages, 2);
	ck_assert_uint_eq(stats(q).expired, 2);
	ck_rc(evq_delete(q, NULL, receipt_of(b, "a2")), EVQ_STALE);
	finish(q, b, "a1");
	get(q, MANY, "a4");
}
END_TEST

/* Wherever it stands in its group, and whichever group that is. */
START_TEST(send_makes_room_by_clearing_what_expired_in_a_group)
{
	for (int i = 0; i < 40; i++) {
		char name[16];
		snprintf(name, sizeof(name), "q%d", i);
		evq_queue *full = queue_with(name, EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO, .max_messages = 3));
		put(full, "a1");
		get(full, 1, "a1");
		PUT(full, "a2", .expires_ms = 10);
		put(full, "a3");
		ck_rc(evq_send(full, NULL, "b1", 2, EVQ_SEND_OPTS(.group = "b"), NULL), EVQ_FULL);
		clock_advance_ms(10);
		put(full, "b1");
		ck_assert_uint_eq(stats(full).expired, 1);
		ck_rc(evq_send(full, NULL, "b2", 2, EVQ_SEND_OPTS(.group = "b"), NULL), EVQ_FULL);
	}
}
END_TEST

START_TEST(order_is_kept_when_the_clock_steps_back)
{
	char order[64] = "";
	int64_t start = clock_now_ms();
	evq_batch *b = batch();
	put(q, "a1");
	clock_set_ms(start - 3600000);
	put(q, "a2");
	clock_set_ms(start - 1800000);
	put(q, "a3");
	for (int i = 0; i < 3; i++) {
		if (evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = MANY, .visibility_ms = 7200000), b) == 0) {
			strcat(strcat(order, *order ? " " : ""), bodies_of(b));
			finish_all(q, b);
		}
		clock_set_ms(start + i);
	}
	ck_assert_str_eq(order, "a1 a2 a3");
}
END_TEST

Suite *
fifo_back_suite(void)
{
	Suite *s = suite_create("fifo_back");
	TCase *t = tcase_create("fifo_back");
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, released_one_comes_again_at_its_place);
	tcase_add_test(t, released_in_whatever_order_they_come_in_the_order_sent);
	tcase_add_test(t, released_with_a_delay_the_first_blocks_until_it_is_due);
	tcase_add_test(t, released_with_a_delay_one_in_the_middle_ends_the_run);
	tcase_add_test(t, leases_that_ran_out_come_again_in_the_order_sent);
	tcase_add_test(t, extending_a_lease_that_ran_out_blocks_again);
	tcase_add_test(t, group_is_blocked_by_the_delay_of_the_queue);
	tcase_add_test(t, shorter_delay_of_the_queue_lets_nothing_pass);
	tcase_add_test(t, expired_ones_are_not_waited_for);
	tcase_add_test(t, leased_or_delayed_one_that_expires_behind_the_first_is_dropped);
	tcase_add_test(t, send_makes_room_by_clearing_what_expired_in_a_group);
	tcase_add_test(t, order_is_kept_when_the_clock_steps_back);
	suite_add_tcase(s, t);
	return s;
}
