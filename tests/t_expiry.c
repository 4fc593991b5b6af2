/* SPDX-License-Identifier: MIT */
/*
 * The end of a message's life: exact to the millisecond, whatever its state, by the queue's retention
 * or its own; and the clearing away of what has expired, by receives and sends, to the last one.
 */
#include "support.h"

enum { LIFE_MS = 10000 };

/* retention of the queue, expires_ms of the message, what its life is */
static const struct {
	int64_t retention_ms, expires_ms, life_ms;
} lives[] = {
	{ 10000, 0, 10000 }, { 0, 7000, 7000 },   { 10000, 7000, 7000 }, { 7000, 10000, 7000 },
	{ 1, 0, 1 },         { 0, 1, 1 },         { 100, 100, 100 },
	{ INT64_C(3155760000000), 0, INT64_C(3155760000000) },
};

START_TEST(message_lives_to_the_millisecond)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.retention_ms = lives[_i].retention_ms));
	evq_id id = send_with(q, "a", EVQ_SEND_OPTS(.expires_ms = lives[_i].expires_ms));
	clock_advance_ms(lives[_i].life_ms - 1);
	expect_counts(q, 1, 0, 0);
	evq_receipt receipt = take_one(q, "a");
	ck_ok(evq_release(q, NULL, &receipt, 0, 0));
	expect_counts(q, 1, 0, 0);
	clock_advance_ms(1);
	expect_counts(q, 0, 0, 0);
	expect_empty(q);
	ck_assert_uint_eq(stats(q).expired, 1);
	ck_assert_uint_eq(seen_count, 1);
	ck_assert_int_eq(seen[0].type, EVQ_EVENT_EXPIRED);
	ck_assert_str_eq(seen[0].queue, "q");
	ck_assert_uint_eq(seen[0].id, id);
}
END_TEST

START_TEST(without_retention_it_lives_for_ever)
{
	evq_queue *q = queue("q");
	send(q, "a");
	clock_advance_ms(INT64_C(100) * 365 * 86400000);
	take_one(q, "a");
}
END_TEST

static evq_queue *
mortal_queue(void)
{
	return queue_with("q", EVQ_QUEUE_ATTRS(.retention_ms = LIFE_MS, .visibility_ms = 60000, .dead_letter = "dead"));
}

START_TEST(lease_never_outlives_the_message)
{
	static evq_receipt out;
	int rcs[1] = { 0 };
	evq_queue *q = mortal_queue();
	send(q, "a");
	int64_t end = clock_now_ms() + LIFE_MS;
	const evq_delivery *d = evq_batch_at(take(q, 1), 0);
	ck_assert_int_eq(d->visible_at_ms, end);
	evq_receipt receipt = d->receipt;
	ck_ok(evq_extend(q, NULL, &receipt, 3600000, &receipt));
	clock_advance_ms(LIFE_MS - 1);
	expect_counts(q, 0, 0, 1);
	clock_advance_ms(1);
	ck_rc(evq_delete(q, NULL, &receipt), EVQ_STALE);
	ck_rc(evq_extend(q, NULL, &receipt, 0, &out), EVQ_STALE);
	ck_rc(evq_release(q, NULL, &receipt, 0, 0), EVQ_STALE);
	ck_rc(evq_bury(q, NULL, &receipt, "late"), EVQ_STALE);
	ck_ok(evq_delete_batch(q, NULL, &receipt, 1, rcs));
	ck_rc(rcs[0], EVQ_STALE);
	expect_empty(q);
	ck_assert_uint_eq(stats(q).expired, 1);
	ck_assert_uint_eq(stats(q).deleted, 0);
	ck_assert_uint_eq(stats(queue("dead")).messages, 0);
}
END_TEST

START_TEST(lease_that_ends_first_makes_it_visible_as_ever)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.retention_ms = LIFE_MS, .visibility_ms = 100));
	send(q, "a");
	for (int i = 0; i < 5; i++, clock_advance_ms(100))
		take_one(q, "a");
	clock_advance_ms(LIFE_MS);
	expect_empty(q);
}
END_TEST

START_TEST(delay_never_outlives_the_message)
{
	evq_queue *q = mortal_queue();
	send_with(q, "sent", EVQ_SEND_OPTS(.delay_ms = 3600000));
	send(q, "released");
	evq_receipt receipt = take_one(q, "released");
	ck_ok(evq_release(q, NULL, &receipt, 3600000, 0));
	clock_advance_ms(LIFE_MS - 1);
	expect_counts(q, 0, 2, 0);
	clock_advance_ms(1);
	expect_counts(q, 0, 0, 0);
	expect_empty(q);
	ck_assert_uint_eq(stats(q).expired, 2);
	ck_assert_uint_eq(stats(q).messages, 0);
}
END_TEST

START_TEST(expiry_is_kept_over_a_reopening)
{
	send(mortal_queue(), "a");
	store_reopen();
	clock_advance_ms(LIFE_MS);
	expect_empty(queue("q"));
	ck_assert_uint_eq(stats(queue("q")).expired, 1);
}
END_TEST

/* ---- clearing ----------------------------------------------------------------------------------- */

enum { MANY = 350 };

/* Of every priority, some visible, some delayed, some leased; all past their end. */
static void
many_expired(evq_queue *q)
{
	for (int i = 0; i < MANY; i++)
		send_with(q, "m", EVQ_SEND_OPTS(.priority = i % 3 - 1, .delay_ms = i % 5 ? 0 : 60000));
	take(q, 50);
	clock_advance_ms(LIFE_MS);
	expect_counts(q, 0, 0, 0);
	ck_assert_uint_eq(stats(q).messages, MANY);
}

static void
expect_all_cleared(evq_queue *q)
{
	ck_assert_uint_eq(stats(q).messages, 0);
	ck_assert_uint_eq(stats(q).bytes, 0);
	ck_assert_uint_eq(stats(q).expired, MANY);
	ck_assert_uint_eq(seen_count, MANY);
}

START_TEST(one_empty_receive_clears_them_all)
{
	evq_queue *q = mortal_queue();
	many_expired(q);
	expect_empty(q);
	expect_all_cleared(q);
}
END_TEST

START_TEST(receive_of_all_there_is_clears_them_all)
{
	evq_queue *q = mortal_queue();
	many_expired(q);
	send_with(q, "fresh", EVQ_SEND_OPTS(.priority = -1));
	evq_batch *b = batch();
	ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = EVQ_BATCH_MAX), b));
	ck_assert_uint_eq(evq_batch_count(b), 1);
	ck_assert_str_eq(evq_batch_at(b, 0)->body, "fresh");
	ck_assert_uint_eq(stats(q).messages, 1);
	ck_assert_uint_eq(stats(q).expired, MANY);
}
END_TEST

START_TEST(expired_ones_do_not_stand_before_a_fresh_one)
{
	evq_queue *q = mortal_queue();
	many_expired(q);
	send_with(q, "fresh", EVQ_SEND_OPTS(.priority = -1));
	take_one(q, "fresh");
}
END_TEST

START_TEST(sends_alone_clear_them_in_the_end)
{
	evq_queue *q = mortal_queue();
	for (int i = 0; i < MANY; i++)
		send_with(q, "m", EVQ_SEND_OPTS(.delay_ms = i % 5 ? 0 : 60000));
	take(q, 50);
	clock_advance_ms(LIFE_MS);
	uint64_t before = 0;
	for (int i = 0; i < MANY && before < MANY; i++) {
		send(q, "new");
		uint64_t expired = stats(q).expired;
		ck_assert_uint_gt(expired, before);
		before = expired;
	}
	ck_assert_uint_eq(before, MANY);
}
END_TEST

START_TEST(expired_one_makes_room_for_a_send)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.retention_ms = LIFE_MS, .max_messages = 1));
	for (int i = 0; i < 5; i++, clock_advance_ms(LIFE_MS)) {
		send(q, "a");
		ck_rc(evq_send(q, NULL, "b", 1, NULL, NULL), EVQ_FULL);
	}
	ck_assert_uint_eq(stats(q).sent, 5);
}
END_TEST

/* Priorities of the one that lives and of those that do not. */
static const int live_before[][2] = { { 0, 0 }, { 1, 0 }, { 0, 1 } };

START_TEST(expired_ones_behind_a_live_one_make_room_for_a_send)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.max_messages = 3));
	send_with(q, "live", EVQ_SEND_OPTS(.priority = live_before[_i][0]));
	for (int i = 0; i < 2; i++)
		send_with(q, "short", EVQ_SEND_OPTS(.expires_ms = 10, .priority = live_before[_i][1]));
	ck_rc(evq_send(q, NULL, "new", 3, NULL, NULL), EVQ_FULL);
	clock_advance_ms(10);
	send(q, "new");
}
END_TEST

START_TEST(many_move_to_the_dead_letter_in_one_empty_receive)
{
	evq_queue *dead = queue("dead");
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.retention_ms = LIFE_MS, .dead_letter = "dead",
	                                               .flags = EVQ_EXPIRE_TO_DEAD_LETTER));
	many_expired(q);
	expect_empty(q);
	expect_counts(dead, MANY, 0, 0);
	ck_assert_uint_eq(stats(q).messages, 0);
	ck_assert_uint_eq(stats(q).dead_lettered, MANY);
	evq_batch *b = take(dead, MANY);
	for (size_t i = 0; i < MANY; i++)
		ck_assert_str_eq(evq_batch_at(b, i)->dead_reason, "expired");
}
END_TEST

START_TEST(clearing_in_an_aborted_transaction_did_not_happen)
{
	evq_queue *q = mortal_queue();
	send(q, "a");
	clock_advance_ms(LIFE_MS);
	evq_txn *txn;
	ck_ok(evq_begin(env, &txn));
	ck_rc(evq_receive(q, txn, NULL, batch()), EVQ_EMPTY);
	evq_abort(txn);
	ck_assert_uint_eq(stats(q).messages, 1);
	ck_assert_uint_eq(stats(q).expired, 0);
	ck_assert_uint_eq(seen_count, 0);
	expect_empty(q);
	ck_assert_uint_eq(stats(q).expired, 1);
}
END_TEST

START_TEST(refused_send_in_a_transaction_clears_but_sends_nothing)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.retention_ms = LIFE_MS, .max_messages = 2));
	const evq_buf three[] = { { "a", 1 }, { "b", 1 }, { "c", 1 } };
	send(q, "old");
	clock_advance_ms(LIFE_MS);
	for (int commit = 0; commit <= 1; commit++) {
		evq_txn *txn;
		ck_ok(evq_begin(env, &txn));
		ck_rc(evq_send_batch(q, txn, three, 3, NULL, NULL), EVQ_FULL);
		ck_ok(evq_send_batch(q, txn, three, 2, NULL, NULL));
		if (commit)
			ck_ok(evq_commit(txn));
		else
			evq_abort(txn);
	}
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.sent, 3);
	ck_assert_uint_eq(s.messages, 2);
	ck_assert_uint_eq(s.expired, 1);
	ck_assert_uint_eq(seen_count, 1);
}
END_TEST

START_TEST(expired_ones_are_not_cleared_twice)
{
	evq_queue *q = mortal_queue();
	send(q, "a");
	clock_advance_ms(LIFE_MS);
	for (int i = 0; i < 3; i++)
		expect_empty(q);
	ck_assert_uint_eq(stats(q).expired, 1);
	ck_assert_uint_eq(seen_count, 1);
}
END_TEST

Suite *
expiry_suite(void)
{
	Suite *suite = suite_create("expiry");
	TCase *tc = tcase_create("expiry");
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_loop_test(tc, message_lives_to_the_millisecond, 0, COUNT(lives));
	tcase_add_test(tc, without_retention_it_lives_for_ever);
	tcase_add_test(tc, lease_never_outlives_the_message);
	tcase_add_test(tc, lease_that_ends_first_makes_it_visible_as_ever);
	tcase_add_test(tc, delay_never_outlives_the_message);
	tcase_add_test(tc, expiry_is_kept_over_a_reopening);
	tcase_add_test(tc, one_empty_receive_clears_them_all);
	tcase_add_test(tc, receive_of_all_there_is_clears_them_all);
	tcase_add_test(tc, expired_ones_do_not_stand_before_a_fresh_one);
	tcase_add_test(tc, sends_alone_clear_them_in_the_end);
	tcase_add_test(tc, expired_one_makes_room_for_a_send);
	tcase_add_loop_test(tc, expired_ones_behind_a_live_one_make_room_for_a_send, 0, COUNT(live_before));
	tcase_add_test(tc, many_move_to_the_dead_letter_in_one_empty_receive);
	tcase_add_test(tc, clearing_in_an_aborted_transaction_did_not_happen);
	tcase_add_test(tc, refused_send_in_a_transaction_clears_but_sends_nothing);
	tcase_add_test(tc, expired_ones_are_not_cleared_twice);
	suite_add_tcase(suite, tc);
	return suite;
}
