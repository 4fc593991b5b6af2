/* SPDX-License-Identifier: MIT */
/*
 * Dead letters of dead letters: chains, the history a message carries along, and dead letters with
 * no room, which never cost a message.
 */
#include "support.h"

enum { LEASE_MS = 30000 };

static const evq_delivery *
first(evq_queue *q)
{
	return evq_batch_at(take(q, 1), 0);
}

static void
bury_one(evq_queue *q, const char *reason)
{
	evq_receipt receipt = first(q)->receipt;
	ck_ok(evq_bury(q, NULL, &receipt, reason));
}

static size_t
events_of(int type)
{
	size_t count = 0;
	for (size_t i = 0; i < seen_count; i++)
		count += seen[i].type == type;
	return count;
}

START_TEST(limit_of_the_dead_letter_counts_from_arrival)
{
	evq_queue *c = queue("c");
	evq_queue *b = queue_with("b", EVQ_QUEUE_ATTRS(.max_receives = 2, .dead_letter = "c"));
	evq_queue *a = queue_with("a", EVQ_QUEUE_ATTRS(.max_receives = 3, .dead_letter = "b"));
	send(a, "m");
	for (uint32_t i = 1; i <= 3; i++, clock_advance_ms(LEASE_MS))
		ck_assert_uint_eq(first(a)->receives, i);
	expect_empty(a);
	for (uint32_t i = 4; i <= 5; i++, clock_advance_ms(LEASE_MS))
		ck_assert_uint_eq(first(b)->receives, i);
	expect_counts(c, 0, 0, 0);
	expect_empty(b);
	const evq_delivery *d = first(c);
	ck_assert_uint_eq(d->receives, 6);
	ck_assert_str_eq(d->dead_from, "b");
	ck_assert_uint_eq(d->death_count, 2);
	ck_assert_str_eq(d->deaths[0].from, "a");
	ck_assert_uint_eq(d->deaths[0].receives, 3);
	ck_assert_str_eq(d->deaths[1].from, "b");
	ck_assert_uint_eq(d->deaths[1].receives, 5);
}
END_TEST

START_TEST(release_in_the_dead_letter_counts_from_arrival)
{
	evq_queue *b = queue_with("b", EVQ_QUEUE_ATTRS(.max_receives = 2, .dead_letter = "c"));
	evq_queue *a = queue_with("a", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "b"));
	evq_queue *c = queue("c");
	send(a, "m");
	evq_receipt receipt = take_one(a, "m");
	ck_ok(evq_release(a, NULL, &receipt, 0, 0));
	receipt = take_one(b, "m");
	ck_ok(evq_release(b, NULL, &receipt, 0, 0));
	expect_counts(b, 1, 0, 0);
	receipt = take_one(b, "m");
	ck_ok(evq_release(b, NULL, &receipt, 0, EVQ_UNCOUNTED));
	expect_counts(b, 1, 0, 0);
	receipt = take_one(b, "m");
	ck_ok(evq_release(b, NULL, &receipt, 0, 0));
	expect_counts(b, 0, 0, 0);
	expect_counts(c, 1, 0, 0);
}
END_TEST

START_TEST(backoff_in_the_dead_letter_counts_from_arrival)
{
	evq_queue *b = queue_with("b", EVQ_QUEUE_ATTRS(.retry_min_ms = 1000, .retry_max_ms = 900000));
	evq_queue *a = queue_with("a", EVQ_QUEUE_ATTRS(.dead_letter = "b"));
	send(a, "m");
	for (int i = 0; i < 8; i++) {
		take_one(a, "m");
		clock_advance_ms(LEASE_MS);
	}
	bury_one(a, "bad");
	evq_receipt receipt = take_one(b, "m");
	ck_ok(evq_release(b, NULL, &receipt, EVQ_BACKOFF, 0));
	evq_batch *seen_there = batch();
	ck_ok(evq_peek(b, NULL, seen_there));
	int64_t wait_ms = evq_batch_at(seen_there, 0)->visible_at_ms - clock_now_ms();
	ck_assert_int_ge(wait_ms, 500);
	ck_assert_int_le(wait_ms, 1000);
}
END_TEST

/* Names and reasons of the greatest length: the longest record there is. */
static char *
long_name(char out[EVQ_NAME_MAX + 1], int i)
{
	memset(out, 'n', EVQ_NAME_MAX);
	out[EVQ_NAME_MAX] = '\0';
	out[0] = (char)('a' + i);
	return out;
}

static char *
long_reason(char out[EVQ_REASON_MAX + 1], int i)
{
	memset(out, 'r', EVQ_REASON_MAX);
	out[EVQ_REASON_MAX] = '\0';
	out[EVQ_REASON_MAX - 1] = (char)('a' + i);
	return out;
}

enum { CHAIN = 11 };

START_TEST(history_keeps_the_last_eight_of_the_longest_moves)
{
	char name[EVQ_NAME_MAX + 1], next[EVQ_NAME_MAX + 1], reason[EVQ_REASON_MAX + 1], group[EVQ_GROUP_MAX + 1];
	memset(group, 'g', EVQ_GROUP_MAX);
	group[EVQ_GROUP_MAX] = '\0';
	for (int i = CHAIN; i-- > 0;) /* from the end: a dead letter that is missing is made with defaults */
		queue_with(long_name(name, i), EVQ_QUEUE_ATTRS(.dead_letter = long_name(next, i + 1)));
	send_with(queue(long_name(name, 0)), "m", EVQ_SEND_OPTS(.group = group));
	int64_t start = clock_now_ms();
	for (int i = 0; i < CHAIN; i++, clock_advance_ms(1000))
		bury_one(queue(long_name(name, i)), long_reason(reason, i));
	const evq_delivery *d = first(queue(long_name(name, CHAIN)));
	ck_assert_uint_eq(d->death_count, EVQ_DEATHS_MAX);
	for (int i = 0; i < EVQ_DEATHS_MAX; i++) {
		int move = CHAIN - EVQ_DEATHS_MAX + i;
		ck_assert_str_eq(d->deaths[i].from, long_name(name, move));
		ck_assert_str_eq(d->deaths[i].reason, long_reason(reason, move));
		ck_assert_int_eq(d->deaths[i].at_ms, start + 1000 * move);
		ck_assert_int_eq((int)d->deaths[i].receives, move + 1);
	}
	ck_assert_str_eq(d->dead_from, long_name(name, CHAIN - 1));
	ck_assert_str_eq(d->group, group);
	ck_assert_mem_eq(d->body, "m", 2);
}
END_TEST

START_TEST(history_survives_redrive_and_reopening)
{
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	evq_queue *dead = queue("dead");
	send(q, "m");
	for (int i = 0; i < 3; i++) {
		bury_one(q, i ? "again" : "once");
		size_t moved = 0;
		ck_ok(evq_redrive(dead, NULL, NULL, &moved));
		ck_assert_uint_eq(moved, 1);
	}
	store_reopen();
	const evq_delivery *d = first(queue("work"));
	ck_assert_uint_eq(d->receives, 1);
	ck_assert_ptr_null(d->dead_from);
	ck_assert_uint_eq(d->death_count, 3);
	ck_assert_str_eq(d->deaths[0].reason, "once");
	ck_assert_str_eq(d->deaths[2].reason, "again");
	ck_assert_uint_eq(d->deaths[2].receives, 1);
}
END_TEST

/* Dead letters with room for one message of one byte. */
static const evq_queue_attrs small[] = {
	{ .size = sizeof(evq_queue_attrs), .max_messages = 1 },
	{ .size = sizeof(evq_queue_attrs), .max_bytes = 1 },
};
enum { SMALL = sizeof small / sizeof *small };

static evq_queue *
full_dead_letter(int i)
{
	evq_queue *dead = queue_with("dead", &small[i]);
	send(dead, "x");
	return dead;
}

static void
empty_out(evq_queue *dead)
{
	evq_receipt receipt = take_one(dead, "x");
	ck_ok(evq_delete(dead, NULL, &receipt));
}

static int64_t
peeked_wait_ms(evq_queue *q)
{
	evq_batch *b = batch();
	ck_ok(evq_peek(q, NULL, b));
	ck_assert_uint_eq(evq_batch_count(b), 1);
	return evq_batch_at(b, 0)->visible_at_ms - clock_now_ms();
}

START_TEST(receive_leaves_it_with_backoff_while_the_dead_letter_is_full)
{
	evq_queue *dead = full_dead_letter(_i);
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.max_receives = 2, .dead_letter = "dead",
	                                                  .retry_min_ms = 1000, .retry_max_ms = 4000));
	evq_id id = send(q, "m");
	for (int i = 0; i < 2; i++, clock_advance_ms(LEASE_MS))
		take_one(q, "m");
	expect_empty(q);
	expect_counts(q, 0, 1, 0);
	int64_t wait_ms = peeked_wait_ms(q);
	ck_assert_int_ge(wait_ms, 1000);
	ck_assert_int_le(wait_ms, 2000);
	ck_assert_uint_eq(events_of(EVQ_EVENT_DEAD_LETTER_FULL), 1);
	ck_assert_str_eq(seen[0].queue, "work");
	ck_assert_uint_eq(seen[0].id, id);
	empty_out(dead);
	clock_advance_ms(wait_ms);
	expect_empty(q);
	expect_counts(q, 0, 0, 0);
	const evq_delivery *d = first(dead);
	ck_assert_uint_eq(d->id, id);
	ck_assert_uint_eq(d->deaths[0].receives, 2);
}
END_TEST

START_TEST(receive_goes_on_to_others_while_the_dead_letter_is_full)
{
	full_dead_letter(_i);
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "dead"));
	send(q, "m");
	take_one(q, "m");
	clock_advance_ms(LEASE_MS);
	send(q, "n");
	take_one(q, "n");
	expect_counts(q, 0, 1, 1);
}
END_TEST

START_TEST(release_at_the_limit_leaves_it_while_the_dead_letter_is_full)
{
	evq_queue *dead = full_dead_letter(_i);
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "dead",
	                                                  .retry_min_ms = 600, .retry_max_ms = 4000));
	send(q, "m");
	evq_receipt receipt = take_one(q, "m");
	ck_ok(evq_release(q, NULL, &receipt, 0, 0));
	expect_counts(q, 0, 1, 0);
	expect_counts(dead, 1, 0, 0);
	int64_t wait_ms = peeked_wait_ms(q);
	ck_assert_int_ge(wait_ms, 300);
	ck_assert_int_le(wait_ms, 600);
	ck_assert_uint_eq(events_of(EVQ_EVENT_DEAD_LETTER_FULL), 1);
	ck_rc(evq_delete(q, NULL, &receipt), EVQ_STALE);
	empty_out(dead);
	clock_advance_ms(600);
	expect_empty(q);
	expect_counts(dead, 1, 0, 0);
}
END_TEST

START_TEST(bury_into_a_full_dead_letter_changes_nothing)
{
	evq_queue *dead = full_dead_letter(_i);
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	send(q, "m");
	evq_receipt receipt = take_one(q, "m");
	ck_rc(evq_bury(q, NULL, &receipt, "bad"), EVQ_FULL);
	expect_counts(q, 0, 0, 1);
	ck_assert_uint_eq(stats(q).dead_lettered, 0);
	ck_assert_uint_eq(events_of(EVQ_EVENT_DEAD_LETTERED), 0);
	empty_out(dead);
	ck_ok(evq_bury(q, NULL, &receipt, "bad"));
	expect_counts(dead, 1, 0, 0);
}
END_TEST

START_TEST(expiry_never_drops_while_the_dead_letter_is_full)
{
	evq_queue *dead = full_dead_letter(_i);
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.retention_ms = 10000, .dead_letter = "dead",
	                                                  .flags = EVQ_EXPIRE_TO_DEAD_LETTER,
	                                                  .retry_min_ms = 1000, .retry_max_ms = 4000));
	evq_id id = send(q, "m");
	clock_advance_ms(10000);
	for (int i = 0; i < 20; i++, clock_advance_ms(4000)) {
		expect_empty(q);
		expect_empty(q); /* it waits for its retry: this meets nothing */
		expect_counts(q, 0, 1, 0);
		ck_assert_uint_eq(stats(q).messages, 1);
	}
	ck_assert_uint_eq(events_of(EVQ_EVENT_DEAD_LETTER_FULL), 20);
	ck_assert_uint_eq(stats(q).expired, 0);
	empty_out(dead);
	expect_empty(q);
	ck_assert_uint_eq(stats(q).messages, 0);
	const evq_delivery *d = first(dead);
	ck_assert_uint_eq(d->id, id);
	ck_assert_str_eq(d->dead_reason, "expired");
}
END_TEST

START_TEST(dead_letter_room_is_taken_up_to_the_last_message)
{
	evq_queue *dead = queue_with("dead", EVQ_QUEUE_ATTRS(.max_messages = 5));
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "dead"));
	for (int i = 0; i < 8; i++)
		send(q, "m");
	take(q, 8);
	clock_advance_ms(LEASE_MS);
	expect_empty(q);
	expect_counts(dead, 5, 0, 0);
	expect_counts(q, 0, 3, 0);
	ck_assert_uint_eq(events_of(EVQ_EVENT_DEAD_LETTERED), 5);
	ck_assert_uint_eq(events_of(EVQ_EVENT_DEAD_LETTER_FULL), 3);
}
END_TEST

START_TEST(one_receive_never_carries_a_message_down_two_links)
{
	evq_queue *b = queue_with("b", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "c"));
	evq_queue *a = queue_with("a", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "b"));
	send(a, "m");
	take_one(a, "m");
	clock_advance_ms(LEASE_MS);
	expect_empty(a);
	ck_assert_uint_eq(first(b)->receives, 2);
	expect_counts(queue("c"), 0, 0, 0);
}
END_TEST

Suite *
deaths_suite(void)
{
	Suite *suite = suite_create("deaths");
	TCase *tc = tcase_create("deaths");
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_test(tc, limit_of_the_dead_letter_counts_from_arrival);
	tcase_add_test(tc, release_in_the_dead_letter_counts_from_arrival);
	tcase_add_test(tc, backoff_in_the_dead_letter_counts_from_arrival);
	tcase_add_test(tc, history_keeps_the_last_eight_of_the_longest_moves);
	tcase_add_test(tc, history_survives_redrive_and_reopening);
	tcase_add_loop_test(tc, receive_leaves_it_with_backoff_while_the_dead_letter_is_full, 0, SMALL);
	tcase_add_loop_test(tc, receive_goes_on_to_others_while_the_dead_letter_is_full, 0, SMALL);
	tcase_add_loop_test(tc, release_at_the_limit_leaves_it_while_the_dead_letter_is_full, 0, SMALL);
	tcase_add_loop_test(tc, bury_into_a_full_dead_letter_changes_nothing, 0, SMALL);
	tcase_add_loop_test(tc, expiry_never_drops_while_the_dead_letter_is_full, 0, SMALL);
	tcase_add_test(tc, dead_letter_room_is_taken_up_to_the_last_message);
	tcase_add_test(tc, one_receive_never_carries_a_message_down_two_links);
	suite_add_tcase(suite, tc);
	return suite;
}
