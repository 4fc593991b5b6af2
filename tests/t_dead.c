/* SPDX-License-Identifier: MIT */
/*
 * Dead-lettering: at the receive after the last allowed one, at a release, at the end of a life, by
 * hand. What is kept, what is added, what counts anew; and that a dead letter with no room never
 * costs a message. Damaged bodies have a file of their own, t_corrupt.c.
 */
#include "support.h"

enum { LEASE_MS = 30000 };

static const evq_delivery *
first(evq_queue *q)
{
	return evq_batch_at(take(q, 1), 0);
}

static evq_queue *
work_queue(uint32_t max_receives)
{
	return queue_with("work", EVQ_QUEUE_ATTRS(.max_receives = max_receives, .dead_letter = "dead"));
}

static void
wear_out(evq_queue *q, const char *body, uint32_t times)
{
	for (uint32_t i = 0; i < times; i++) {
		take_one(q, body);
		clock_advance_ms(LEASE_MS);
	}
}

static void
bury_one(evq_queue *q, const char *reason)
{
	evq_receipt receipt = first(q)->receipt;
	ck_ok(evq_bury(q, NULL, &receipt, reason));
}

static size_t
events_of(int type, const char *queue_name, evq_id id)
{
	size_t count = 0;
	for (size_t i = 0; i < seen_count; i++)
		if (seen[i].type == type && seen[i].id == id && !strcmp(seen[i].queue, queue_name))
			count++;
	return count;
}

static const uint32_t limits[] = { 1, 2, 3, 7 };

START_TEST(limit_allows_that_many_receives_and_the_next_moves)
{
	uint32_t limit = limits[_i];
	evq_queue *q = work_queue(limit), *dead = queue("dead");
	evq_id id = send(q, "a");
	wear_out(q, "a", limit);
	expect_counts(q, 1, 0, 0);
	expect_counts(dead, 0, 0, 0);
	expect_empty(q);
	expect_counts(q, 0, 0, 0);
	expect_counts(dead, 1, 0, 0);
	const evq_delivery *d = first(dead);
	ck_assert_uint_eq(d->id, id);
	ck_assert_uint_eq(d->receives, limit + 1);
	ck_assert_uint_eq(d->death_count, 1);
	ck_assert_uint_eq(d->deaths[0].receives, limit);
	ck_assert_uint_eq(events_of(EVQ_EVENT_DEAD_LETTERED, "work", id), 1);
}
END_TEST

START_TEST(no_limit_never_moves)
{
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	send(q, "a");
	wear_out(q, "a", 50);
	ck_assert_uint_eq(first(q)->receives, 51);
	expect_counts(queue("dead"), 0, 0, 0);
}
END_TEST

START_TEST(receive_goes_on_filling_past_what_it_moves)
{
	evq_queue *q = work_queue(1);
	send(q, "worn-1");
	send(q, "worn-2");
	take(q, 2);
	clock_advance_ms(LEASE_MS);
	send(q, "fresh");
	take_one(q, "fresh");
	expect_counts(queue("dead"), 2, 0, 0);
	expect_counts(q, 0, 0, 1);
}
END_TEST

START_TEST(move_keeps_the_message_and_adds_its_death)
{
	evq_queue *q = work_queue(1), *dead = queue("dead");
	const evq_attr attrs[] = { { "kind", "x\0y", 3 }, { "kind", NULL, 0 } };
	evq_id id = send_with(q, "body", EVQ_SEND_OPTS(.priority = 5, .group = "g", .attrs = attrs, .attr_count = 2));
	int64_t sent_at = clock_now_ms();
	clock_advance_ms(7);
	int64_t first_at = clock_now_ms();
	wear_out(q, "body", 1);
	clock_advance_ms(11);
	int64_t moved_at = clock_now_ms();
	expect_empty(q);
	clock_advance_ms(13);
	const evq_delivery *d = first(dead);
	ck_assert_uint_eq(d->id, id);
	ck_assert_uint_eq(d->body_len, 4);
	ck_assert_mem_eq(d->body, "body", 5);
	ck_assert_int_eq(d->priority, 5);
	ck_assert_str_eq(d->group, "g");
	ck_assert_uint_eq(d->attr_count, 2);
	ck_assert_str_eq(d->attrs[0].name, "kind");
	ck_assert_uint_eq(d->attrs[0].len, 3);
	ck_assert_mem_eq(d->attrs[0].value, "x\0y", 4);
	ck_assert_uint_eq(d->attrs[1].len, 0);
	ck_assert_int_eq(d->sent_at_ms, sent_at);
	ck_assert_int_eq(d->first_received_at_ms, first_at);
	ck_assert_uint_eq(d->receives, 2);
	ck_assert_str_eq(d->dead_from, "work");
	ck_assert_str_eq(d->dead_reason, "max-receives");
	ck_assert_int_eq(d->dead_at_ms, moved_at);
	ck_assert_uint_eq(d->death_count, 1);
	ck_assert_str_eq(d->deaths[0].from, "work");
	ck_assert_str_eq(d->deaths[0].reason, "max-receives");
	ck_assert_int_eq(d->deaths[0].at_ms, moved_at);
	ck_assert_uint_eq(d->deaths[0].receives, 1);
}
END_TEST

START_TEST(message_that_never_died_tells_of_no_death)
{
	evq_queue *q = work_queue(3);
	send(q, "a");
	const evq_delivery *d = first(q);
	ck_assert_ptr_null(d->dead_from);
	ck_assert_ptr_null(d->dead_reason);
	ck_assert_int_eq(d->dead_at_ms, 0);
	ck_assert_uint_eq(d->death_count, 0);
}
END_TEST

START_TEST(dead_letter_is_visible_at_once_whatever_the_delay_there)
{
	evq_queue *dead = queue_with("dead", EVQ_QUEUE_ATTRS(.delay_ms = 3600000));
	evq_queue *q = work_queue(1);
	send(q, "a");
	bury_one(q, "bad");
	expect_counts(dead, 1, 0, 0);
	take_one(dead, "a");
}
END_TEST

START_TEST(move_at_receive_leaves_the_old_receipt_stale)
{
	evq_queue *q = work_queue(1), *dead = queue("dead");
	send(q, "a");
	evq_receipt old = take_one(q, "a"), out = old;
	clock_advance_ms(LEASE_MS);
	expect_empty(q);
	ck_rc(evq_delete(q, NULL, &old), EVQ_STALE);
	ck_rc(evq_extend(q, NULL, &old, 1000, &out), EVQ_STALE);
	ck_rc(evq_release(q, NULL, &old, 0, 0), EVQ_STALE);
	ck_rc(evq_bury(q, NULL, &old, "again"), EVQ_STALE);
	ck_rc(evq_delete(dead, NULL, &old), EINVAL);
	ck_assert_mem_eq(&out, &old, sizeof out);
	expect_counts(dead, 1, 0, 0);
}
END_TEST

START_TEST(release_at_the_limit_moves_at_once)
{
	evq_queue *q = work_queue(2), *dead = queue("dead");
	evq_id id = send(q, "a");
	evq_receipt receipt = take_one(q, "a");
	ck_ok(evq_release(q, NULL, &receipt, 0, 0));
	expect_counts(q, 1, 0, 0);
	receipt = take_one(q, "a");
	ck_ok(evq_release(q, NULL, &receipt, 3600000, 0));
	expect_counts(q, 0, 0, 0);
	expect_counts(dead, 1, 0, 0);
	ck_rc(evq_release(q, NULL, &receipt, 0, 0), EVQ_STALE);
	ck_assert_uint_eq(events_of(EVQ_EVENT_DEAD_LETTERED, "work", id), 1);
	const evq_delivery *d = first(dead);
	ck_assert_str_eq(d->dead_reason, "max-receives");
	ck_assert_uint_eq(d->deaths[0].receives, 2);
}
END_TEST

START_TEST(uncounted_release_never_moves)
{
	evq_queue *q = work_queue(1), *dead = queue("dead");
	send(q, "a");
	for (int i = 0; i < 5; i++) {
		const evq_delivery *d = first(q);
		ck_assert_uint_eq(d->receives, 1);
		evq_receipt receipt = d->receipt;
		ck_ok(evq_release(q, NULL, &receipt, 0, EVQ_UNCOUNTED));
	}
	expect_counts(q, 1, 0, 0);
	expect_counts(dead, 0, 0, 0);
}
END_TEST

START_TEST(extend_does_not_bring_the_limit_nearer)
{
	evq_queue *q = work_queue(2);
	send(q, "a");
	evq_receipt receipt = take_one(q, "a");
	for (int i = 0; i < 4; i++)
		ck_ok(evq_extend(q, NULL, &receipt, 0, &receipt));
	clock_advance_ms(LEASE_MS);
	ck_assert_uint_eq(first(q)->receives, 2);
	expect_counts(queue("dead"), 0, 0, 0);
}
END_TEST

START_TEST(delete_after_the_last_allowed_lease_ran_out_still_works)
{
	evq_queue *q = work_queue(1), *dead = queue("dead");
	send(q, "a");
	evq_receipt receipt = take_one(q, "a");
	clock_advance_ms(LEASE_MS + 1);
	ck_ok(evq_delete(q, NULL, &receipt));
	expect_empty(q);
	expect_counts(dead, 0, 0, 0);
}
END_TEST

START_TEST(lower_limit_holds_for_messages_already_there)
{
	evq_queue *q = work_queue(5), *dead = queue("dead");
	send(q, "a");
	wear_out(q, "a", 3);
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.max_receives = 2, .dead_letter = "dead")));
	expect_empty(q);
	expect_counts(dead, 1, 0, 0);
}
END_TEST

START_TEST(limit_taken_away_lets_the_message_live)
{
	evq_queue *q = work_queue(1);
	send(q, "a");
	wear_out(q, "a", 1);
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.dead_letter = "dead")));
	wear_out(q, "a", 3);
	expect_counts(q, 1, 0, 0);
}
END_TEST

START_TEST(bury_moves_with_its_reason)
{
	evq_queue *q = work_queue(9), *dead = queue("dead");
	char reason[EVQ_REASON_MAX + 1];
	memset(reason, 'r', EVQ_REASON_MAX);
	reason[EVQ_REASON_MAX] = '\0';
	evq_id id = send(q, "a");
	evq_receipt receipt = take_one(q, "a");
	ck_ok(evq_bury(q, NULL, &receipt, reason));
	ck_rc(evq_bury(q, NULL, &receipt, reason), EVQ_STALE);
	expect_counts(q, 0, 0, 0);
	const evq_delivery *d = first(dead);
	ck_assert_uint_eq(d->id, id);
	ck_assert_str_eq(d->dead_reason, reason);
	ck_assert_str_eq(d->dead_from, "work");
	ck_assert_uint_eq(seen_count, 1);
	ck_assert_str_eq(seen[0].reason, reason);
}
END_TEST

START_TEST(bury_after_the_lease_ran_out_works_until_it_is_received_again)
{
	evq_queue *q = work_queue(9), *dead = queue("dead");
	send(q, "a");
	evq_receipt lapsed = take_one(q, "a");
	clock_advance_ms(LEASE_MS);
	evq_receipt fresh = take_one(q, "a");
	ck_rc(evq_bury(q, NULL, &lapsed, "late"), EVQ_STALE);
	expect_counts(q, 0, 0, 1);
	clock_advance_ms(LEASE_MS);
	ck_ok(evq_bury(q, NULL, &fresh, "late"));
	expect_counts(dead, 1, 0, 0);
}
END_TEST

static const struct {
	const char *reason;
	int want;
} bad_reasons[] = {
	{ NULL, EINVAL },
	{ "", EINVAL },
	{ "129 bytes: 0123456789012345678901234567890123456789012345678901234567890123456789"
	  "01234567890123456789012345678901234567890123456789",
	  EVQ_TOOBIG },
};

START_TEST(bury_refuses_a_bad_reason)
{
	evq_queue *q = work_queue(9);
	send(q, "a");
	evq_receipt receipt = take_one(q, "a");
	if (bad_reasons[_i].want == EVQ_TOOBIG)
		ck_assert_uint_gt(strlen(bad_reasons[_i].reason), EVQ_REASON_MAX);
	ck_rc(evq_bury(q, NULL, &receipt, bad_reasons[_i].reason), bad_reasons[_i].want);
	expect_counts(q, 0, 0, 1);
	ck_assert_uint_eq(seen_count, 0);
	ck_ok(evq_delete(q, NULL, &receipt));
}
END_TEST

START_TEST(bury_without_a_dead_letter_leaves_the_lease)
{
	evq_queue *q = queue("plain");
	send(q, "a");
	evq_receipt receipt = take_one(q, "a");
	ck_rc(evq_bury(q, NULL, &receipt, "bad"), ENOENT);
	expect_counts(q, 0, 0, 1);
	ck_ok(evq_delete(q, NULL, &receipt));
}
END_TEST

START_TEST(move_starts_the_retention_of_the_dead_letter)
{
	evq_queue *dead = queue_with("dead", EVQ_QUEUE_ATTRS(.retention_ms = 20000));
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.retention_ms = 10000, .dead_letter = "dead"));
	send(q, "a");
	clock_advance_ms(9999);
	bury_one(q, "bad");
	clock_advance_ms(19999);
	expect_counts(dead, 1, 0, 0);
	clock_advance_ms(1);
	expect_counts(dead, 0, 0, 0);
	expect_empty(dead);
}
END_TEST

START_TEST(move_to_a_dead_letter_without_retention_lives_for_ever)
{
	evq_queue *dead = queue("dead");
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.retention_ms = 10000, .dead_letter = "dead"));
	send(q, "a");
	send_with(q, "b", EVQ_SEND_OPTS(.expires_ms = 5000));
	bury_one(q, "bad");
	bury_one(q, "bad");
	clock_advance_ms(INT64_C(10) * 365 * 86400000);
	take(dead, 2);
}
END_TEST

START_TEST(expiry_moves_what_is_visible_delayed_or_leased)
{
	evq_queue *dead = queue("dead");
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.retention_ms = 10000, .dead_letter = "dead",
	                                                  .flags = EVQ_EXPIRE_TO_DEAD_LETTER));
	send(q, "leased");
	evq_receipt leased = take_one(q, "leased");
	send(q, "visible");
	send_with(q, "delayed", EVQ_SEND_OPTS(.delay_ms = 3600000));
	clock_advance_ms(9999);
	expect_counts(q, 1, 1, 1);
	clock_advance_ms(1);
	expect_counts(q, 0, 0, 0);
	ck_rc(evq_delete(q, NULL, &leased), EVQ_STALE);
	expect_empty(q);
	expect_counts(dead, 3, 0, 0);
	evq_batch *b = take(dead, 3);
	for (size_t i = 0; i < 3; i++) {
		const evq_delivery *d = evq_batch_at(b, i);
		ck_assert_str_eq(d->dead_reason, "expired");
		ck_assert_int_eq(d->dead_at_ms, clock_now_ms());
		ck_assert_uint_eq(events_of(EVQ_EVENT_DEAD_LETTERED, "work", d->id), 1);
	}
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.dead_lettered, 3);
	ck_assert_uint_eq(s.expired, 0);
	ck_assert_uint_eq(s.messages, 0);
}
END_TEST

Suite *
dead_suite(void)
{
	Suite *suite = suite_create("dead");
	TCase *tc = tcase_create("dead");
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_loop_test(tc, limit_allows_that_many_receives_and_the_next_moves, 0,
	                    (int)(sizeof limits / sizeof *limits));
	tcase_add_test(tc, no_limit_never_moves);
	tcase_add_test(tc, receive_goes_on_filling_past_what_it_moves);
	tcase_add_test(tc, move_keeps_the_message_and_adds_its_death);
	tcase_add_test(tc, message_that_never_died_tells_of_no_death);
	tcase_add_test(tc, dead_letter_is_visible_at_once_whatever_the_delay_there);
	tcase_add_test(tc, move_at_receive_leaves_the_old_receipt_stale);
	tcase_add_test(tc, release_at_the_limit_moves_at_once);
	tcase_add_test(tc, uncounted_release_never_moves);
	tcase_add_test(tc, extend_does_not_bring_the_limit_nearer);
	tcase_add_test(tc, delete_after_the_last_allowed_lease_ran_out_still_works);
	tcase_add_test(tc, lower_limit_holds_for_messages_already_there);
	tcase_add_test(tc, limit_taken_away_lets_the_message_live);
	tcase_add_test(tc, bury_moves_with_its_reason);
	tcase_add_test(tc, bury_after_the_lease_ran_out_works_until_it_is_received_again);
	tcase_add_loop_test(tc, bury_refuses_a_bad_reason, 0,
	                    (int)(sizeof bad_reasons / sizeof *bad_reasons));
	tcase_add_test(tc, bury_without_a_dead_letter_leaves_the_lease);
	tcase_add_test(tc, move_starts_the_retention_of_the_dead_letter);
	tcase_add_test(tc, move_to_a_dead_letter_without_retention_lives_for_ever);
	tcase_add_test(tc, expiry_moves_what_is_visible_delayed_or_leased);
	suite_add_tcase(suite, tc);
	return suite;
}
