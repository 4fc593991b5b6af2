/* SPDX-License-Identifier: MIT */
/*
 * Redriving dead letters: which are taken, in slices of whatever number, where they go, what is
 * forgotten and what is kept, what stays behind and how that is told. By choice: t_match.c.
 */
#include "dead_letters.h"

static void
expect_events(const char *reason, size_t count)
{
	ck_assert_uint_eq(seen_count, count);
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(seen[i].type, EVQ_EVENT_NOT_REDRIVEN);
		ck_assert_str_eq(seen[i].queue, "dead");
		ck_assert_str_eq(seen[i].reason, reason);
		ck_assert_uint_ne(seen[i].id, 0);
	}
}

static const uint32_t counts[] = { 1, 99, 100, 101, 350 };

START_TEST(all_go_back_to_their_origin_in_any_number_of_slices)
{
	uint32_t count = counts[_i];
	dead_letters(count);
	ck_assert_uint_eq(redrive(NULL), count);
	expect_counts(work, count, 0, 0);
	expect_counts(dead, 0, 0, 0);
	evq_batch *b = take(work, count);
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(atoi(evq_batch_at(b, i)->body), (int)i);
	ck_assert_uint_eq(stats(dead).redriven, count);
	ck_assert_uint_eq(stats(work).sent, count);
	ck_assert_uint_eq(seen_count, 0);
}
END_TEST

START_TEST(default_maximum_is_a_thousand)
{
	dead_letters(1003);
	ck_assert_uint_eq(redrive(NULL), 1000);
	expect_counts(dead, 3, 0, 0);
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.max = 2)), 2);
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.max = SIZE_MAX)), 1);
}
END_TEST

START_TEST(maximum_takes_the_first_in_the_order_of_a_receive)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "dead"));
	send_with(q, "third", EVQ_SEND_OPTS(.priority = -3));
	send_with(q, "second", NULL);
	send_with(q, "first", EVQ_SEND_OPTS(.priority = 9));
	take(q, 3);
	clock_advance_ms(LEASE_MS);
	expect_empty(q);
	static const char *const order[] = { "first", "second", "third" };
	for (int i = 0; i < COUNT(order); i++) {
		ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.max = 1)), 1);
		take_one(q, order[i]);
	}
}
END_TEST

START_TEST(redriven_message_starts_anew_but_keeps_its_history)
{
	const evq_attr attr = { "k", "v", 1 };
	evq_id id = send_with(work, "m", EVQ_SEND_OPTS(.priority = 3, .group = "g", .attrs = &attr, .attr_count = 1));
	int64_t sent_at = clock_now_ms();
	take(work, 1);
	clock_advance_ms(LEASE_MS);
	expect_empty(work);
	int64_t died_at = clock_now_ms();
	take(dead, 1);
	clock_advance_ms(LEASE_MS);
	ck_assert_uint_eq(redrive(NULL), 1);
	clock_advance_ms(5);
	const evq_delivery *d = evq_batch_at(take(work, 1), 0);
	ck_assert_uint_eq(d->id, id);
	ck_assert_uint_eq(d->receives, 1);
	ck_assert_int_eq(d->first_received_at_ms, clock_now_ms());
	ck_assert_int_eq(d->sent_at_ms, sent_at);
	ck_assert_int_eq(d->priority, 3);
	ck_assert_str_eq(d->group, "g");
	ck_assert_uint_eq(d->attr_count, 1);
	ck_assert_ptr_null(d->dead_from);
	ck_assert_ptr_null(d->dead_reason);
	ck_assert_int_eq(d->dead_at_ms, 0);
	ck_assert_uint_eq(d->death_count, 1);
	ck_assert_str_eq(d->deaths[0].from, "work");
	ck_assert_int_eq(d->deaths[0].at_ms, died_at);
	ck_assert_uint_eq(d->deaths[0].receives, 1);
}
END_TEST

START_TEST(redriven_message_has_all_its_receives_again)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.max_receives = 2, .dead_letter = "dead"));
	send(q, "m");
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 1; i <= 2; i++, clock_advance_ms(LEASE_MS))
			ck_assert_uint_eq(evq_batch_at(take(q, 1), 0)->receives, i);
		expect_empty(q);
		ck_assert_uint_eq(redrive(NULL), 1);
	}
	expect_counts(q, 1, 0, 0);
}
END_TEST

START_TEST(redriven_message_lives_for_the_retention_of_its_destination)
{
	dead_letters(1);
	evq_queue *other = queue_with("other", EVQ_QUEUE_ATTRS(.retention_ms = 1000, .delay_ms = 500));
	clock_advance_ms(3600000);
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.to = "other")), 1);
	expect_counts(other, 1, 0, 0);
	clock_advance_ms(999);
	expect_counts(other, 1, 0, 0);
	clock_advance_ms(1);
	expect_counts(other, 0, 0, 0);
}
END_TEST

START_TEST(leased_ones_stay_until_their_lease_ran_out)
{
	dead_letters(3);
	evq_receipt leased = take_one(dead, "0");
	ck_assert_uint_eq(redrive(NULL), 2);
	expect_counts(dead, 0, 0, 1);
	clock_advance_ms(LEASE_MS);
	ck_assert_uint_eq(redrive(NULL), 1);
	ck_rc(evq_delete(dead, NULL, &leased), EVQ_STALE);
	expect_counts(work, 3, 0, 0);
}
END_TEST

START_TEST(delayed_ones_go_and_are_visible_at_once)
{
	dead_letters(1);
	evq_receipt receipt = take_one(dead, "0");
	ck_ok(evq_release(dead, NULL, &receipt, 3600000, 0));
	expect_counts(dead, 0, 1, 0);
	ck_assert_uint_eq(redrive(NULL), 1);
	expect_counts(work, 1, 0, 0);
}
END_TEST

START_TEST(expired_ones_do_not_come_back)
{
	ck_ok(evq_queue_set_attrs(dead, NULL, EVQ_QUEUE_ATTRS(.retention_ms = 1000)));
	dead_letters(2);
	clock_advance_ms(1000);
	ck_assert_uint_eq(redrive(NULL), 0);
	expect_counts(work, 0, 0, 0);
}
END_TEST

START_TEST(redrive_of_an_empty_queue_moves_none)
{
	ck_assert_uint_eq(redrive(NULL), 0);
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.to = "work")), 0);
	ck_assert_uint_eq(seen_count, 0);
}
END_TEST

START_TEST(number_moved_need_not_be_asked_for)
{
	dead_letters(2);
	ck_ok(evq_redrive(dead, NULL, NULL, NULL));
	expect_counts(work, 2, 0, 0);
}
END_TEST

START_TEST(chain_is_gone_back_link_by_link)
{
	evq_queue *first = queue_with("first", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "work"));
	send(first, "m");
	take(first, 1);
	clock_advance_ms(LEASE_MS);
	expect_empty(first);
	take(work, 1);
	clock_advance_ms(LEASE_MS);
	expect_empty(work);
	ck_assert_uint_eq(redrive(NULL), 1);
	expect_counts(work, 1, 0, 0);
	size_t moved = 0;
	ck_rc(evq_redrive(work, NULL, NULL, &moved), EVQ_NOQUEUE);
	expect_counts(work, 1, 0, 0);
}
END_TEST

/* ---- where to ----------------------------------------------------------------------------------- */

static const struct {
	const char *to;
	int want;
} bad_destinations[] = {
	{ "dead", EINVAL },
	{ "", EINVAL },
	{ "no such", EINVAL },
	{ "missing", EVQ_NOQUEUE },
	{ "a-name-of-eighty-one-bytes-0123456789012345678901234567890123456789012345678901234",
	  EVQ_TOOBIG },
};

START_TEST(bad_destination_is_refused_and_nothing_moves)
{
	dead_letters(2);
	size_t moved = 77;
	ck_rc(evq_redrive(dead, NULL, EVQ_REDRIVE_OPTS(.to = bad_destinations[_i].to), &moved),
	      bad_destinations[_i].want);
	ck_assert_uint_eq(moved, 77);
	expect_counts(dead, 2, 0, 0);
	expect_counts(work, 0, 0, 0);
}
END_TEST

START_TEST(gone_origin_leaves_them_and_says_so)
{
	dead_letters(3);
	ck_ok(evq_queue_drop(env, NULL, "work"));
	size_t moved = 77;
	ck_rc(evq_redrive(dead, NULL, NULL, &moved), EVQ_NOQUEUE);
	ck_assert_uint_eq(moved, 77);
	expect_counts(dead, 3, 0, 0);
	expect_events("no-queue", 3);
	ck_assert_uint_eq(stats(dead).redriven, 0);
}
END_TEST

START_TEST(origin_is_found_again_by_name)
{
	dead_letters(1);
	ck_ok(evq_queue_drop(env, NULL, "work"));
	work = queue("work");
	ck_assert_uint_eq(redrive(NULL), 1);
	take_one(work, "0");
}
END_TEST

START_TEST(message_sent_straight_to_the_dead_letter_has_no_origin)
{
	send(dead, "m");
	size_t moved = 77;
	ck_rc(evq_redrive(dead, NULL, NULL, &moved), EVQ_NOQUEUE);
	ck_assert_uint_eq(moved, 77);
	expect_events("no-origin", 1);
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.to = "work")), 1);
	take_one(work, "m");
}
END_TEST

START_TEST(one_that_can_go_is_enough_for_success)
{
	send(dead, "stuck");
	send(work, "m");
	take(work, 1);
	clock_advance_ms(LEASE_MS);
	expect_empty(work);
	seen_count = 0;
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.max = 1)), 1);
	expect_events("no-origin", 1);
	take_one(work, "m");
	take_one(dead, "stuck");
}
END_TEST

START_TEST(full_destination_takes_what_fits)
{
	dead_letters(5);
	ck_ok(evq_queue_set_attrs(work, NULL, EVQ_QUEUE_ATTRS(.max_messages = 3)));
	ck_assert_uint_eq(redrive(NULL), 3);
	expect_events("full", 2);
	expect_counts(work, 3, 0, 0);
	expect_counts(dead, 2, 0, 0);
	seen_count = 0;
	size_t moved = 77;
	ck_rc(evq_redrive(dead, NULL, NULL, &moved), EVQ_FULL);
	ck_assert_uint_eq(moved, 77);
	expect_events("full", 2);
}
END_TEST

START_TEST(destination_full_of_bytes_takes_what_fits)
{
	dead_letters(12);
	ck_ok(evq_queue_set_attrs(work, NULL, EVQ_QUEUE_ATTRS(.max_bytes = 11)));
	ck_assert_uint_eq(redrive(NULL), 10);
	ck_assert_uint_le(stats(work).bytes, 11);
	expect_counts(dead, 2, 0, 0);
}
END_TEST

Suite *
redrive_suite(void)
{
	Suite *suite = suite_create("redrive");
	TCase *tc = tcase_create("redrive");
	tcase_add_checked_fixture(tc, setup, store_teardown);
	tcase_add_loop_test(tc, all_go_back_to_their_origin_in_any_number_of_slices, 0, COUNT(counts));
	tcase_add_test(tc, default_maximum_is_a_thousand);
	tcase_add_test(tc, maximum_takes_the_first_in_the_order_of_a_receive);
	tcase_add_test(tc, redriven_message_starts_anew_but_keeps_its_history);
	tcase_add_test(tc, redriven_message_has_all_its_receives_again);
	tcase_add_test(tc, redriven_message_lives_for_the_retention_of_its_destination);
	tcase_add_test(tc, leased_ones_stay_until_their_lease_ran_out);
	tcase_add_test(tc, delayed_ones_go_and_are_visible_at_once);
	tcase_add_test(tc, expired_ones_do_not_come_back);
	tcase_add_test(tc, redrive_of_an_empty_queue_moves_none);
	tcase_add_test(tc, number_moved_need_not_be_asked_for);
	tcase_add_test(tc, chain_is_gone_back_link_by_link);
	tcase_add_loop_test(tc, bad_destination_is_refused_and_nothing_moves, 0, COUNT(bad_destinations));
	tcase_add_test(tc, gone_origin_leaves_them_and_says_so);
	tcase_add_test(tc, origin_is_found_again_by_name);
	tcase_add_test(tc, message_sent_straight_to_the_dead_letter_has_no_origin);
	tcase_add_test(tc, one_that_can_go_is_enough_for_success);
	tcase_add_test(tc, full_destination_takes_what_fits);
	tcase_add_test(tc, destination_full_of_bytes_takes_what_fits);
	suite_add_tcase(suite, tc);
	return suite;
}
