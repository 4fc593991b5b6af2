/* SPDX-License-Identifier: MIT */
/*
 * Damaged bodies: never delivered, never lost in silence, never in the way of the next message. They
 * are damaged through plain LMDB while the store is closed; every test ends by purging them, which
 * must leave nothing behind for evq_verify() to find. Every byte and every part: t_bytes.c.
 */
#include "raw.h"

static size_t
events_of(int type, const char *queue_name, evq_id id)
{
	size_t count = 0;
	for (size_t i = 0; i < seen_count; i++)
		if (seen[i].type == type && seen[i].id == id && !strcmp(seen[i].queue, queue_name))
			count++;
	return count;
}

static int
receive(evq_queue *q, uint32_t count, evq_batch *b)
{
	return evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = count), b);
}

static void
expect_corrupt(evq_queue *q)
{
	evq_batch *b = batch();
	ck_rc(receive(q, 100, b), EVQ_CORRUPT);
	ck_assert_uint_eq(evq_batch_count(b), 0);
}

static void
purge_all(evq_queue *q)
{
	size_t purged;
	ck_ok(evq_purge(q, NULL, &purged));
	ck_assert_uint_eq(stats(q).messages, 0);
}

static void
purge(evq_queue *q)
{
	purge_all(q);
	verify_clean();
}

START_TEST(damaged_body_is_dead_lettered_not_delivered)
{
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	evq_id id = send(q, "a");
	raw_damage_body(id);
	q = queue("work");
	expect_corrupt(q);
	expect_empty(q);
	evq_queue *dead = queue("dead");
	expect_counts(dead, 1, 0, 0);
	ck_assert_uint_eq(stats(q).messages, 0);
	ck_assert_uint_eq(stats(q).dead_lettered, 1);
	ck_assert_uint_eq(stats(q).received, 0);
	ck_assert_uint_eq(events_of(EVQ_EVENT_CORRUPT, "work", id), 1);
	ck_assert_uint_eq(events_of(EVQ_EVENT_DEAD_LETTERED, "work", id), 1);
	evq_batch *b = batch();
	ck_ok(evq_peek(dead, NULL, b));
	ck_assert_str_eq(evq_batch_at(b, 0)->dead_reason, "corrupt");
	ck_assert_str_eq(evq_batch_at(b, 0)->dead_from, "work");
	ck_assert_ptr_null(evq_batch_at(b, 0)->body);
	purge(dead);
}
END_TEST

START_TEST(damaged_dead_letter_is_parked_in_the_last_queue)
{
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	raw_damage_body(send(q, "a"));
	expect_corrupt(queue("work"));
	evq_queue *dead = queue("dead");
	expect_corrupt(dead);
	expect_empty(dead);
	ck_assert_uint_eq(stats(dead).blocked, 1);
	purge(dead);
}
END_TEST

START_TEST(damaged_body_without_a_dead_letter_is_parked)
{
	evq_id id = send(queue("q"), "a");
	raw_damage_body(id);
	evq_queue *q = queue("q");
	expect_corrupt(q);
	expect_empty(q);
	expect_counts(q, 0, 0, 0);
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.blocked, 1);
	ck_assert_uint_eq(s.messages, 1);
	ck_assert_uint_eq(s.bytes, 1);
	ck_assert_uint_eq(s.dead_lettered, 0);
	ck_assert_uint_eq(events_of(EVQ_EVENT_CORRUPT, "q", id), 1);
	evq_batch *b = batch();
	ck_ok(evq_peek(q, EVQ_PEEK_OPTS(.states = EVQ_BLOCKED), b));
	ck_assert_uint_eq(evq_batch_count(b), 1);
	const evq_delivery *d = evq_batch_at(b, 0);
	ck_assert_uint_eq(d->id, id);
	ck_assert_int_eq(d->state, EVQ_BLOCKED);
	ck_assert_ptr_null(d->body);
	purge(q);
}
END_TEST

START_TEST(parked_message_stays_parked)
{
	raw_damage_body(send(queue("q"), "a"));
	expect_corrupt(queue("q"));
	clock_advance_ms(INT64_C(1000) * 365 * 86400000);
	store_reopen();
	evq_queue *q = queue("q");
	expect_empty(q);
	ck_assert_uint_eq(stats(q).blocked, 1);
	queue("other");
	size_t moved = 7;
	ck_ok(evq_redrive(q, NULL, EVQ_REDRIVE_OPTS(.to = "other"), &moved));
	ck_assert_uint_eq(moved, 0);
	ck_assert_uint_eq(seen_count, 1);
	purge(q);
}
END_TEST

START_TEST(parked_message_outlives_its_retention)
{
	raw_damage_body(send(queue_with("q", EVQ_QUEUE_ATTRS(.retention_ms = 1000)), "a"));
	evq_queue *q = queue("q");
	expect_corrupt(q);
	clock_advance_ms(1000);
	expect_empty(q);
	ck_assert_uint_eq(stats(q).blocked, 1);
	ck_assert_uint_eq(stats(q).expired, 0);
	purge(q);
}
END_TEST

START_TEST(drop_takes_parked_messages_along)
{
	raw_damage_body(send(queue("q"), "a"));
	expect_corrupt(queue("q"));
	ck_ok(evq_queue_drop(env, NULL, "q"));
	verify_clean();
}
END_TEST

/* Enough that they fill more than one slice of any work done in slices. */
enum { MANY = 250 };

START_TEST(many_damaged_bodies_do_not_hide_the_good_one)
{
	evq_queue *q = queue("q");
	evq_id ids[MANY];
	for (int i = 0; i < MANY; i++)
		ids[i] = send(q, "bad");
	send(q, "good");
	struct raw raw;
	raw_begin(&raw, "evq.body");
	for (int i = 0; i < MANY; i++)
		raw_flip_body(&raw, ids[i], 0);
	raw_end(&raw);
	q = queue("q");
	take_one(q, "good");
	expect_counts(q, 0, 0, 1);
	ck_assert_uint_eq(stats(q).blocked, MANY);
	purge(q);
}
END_TEST

START_TEST(receive_with_something_good_tells_of_damage_by_event_only)
{
	evq_queue *q = queue("q");
	send(q, "one");
	evq_id bad = send(q, "two");
	send(q, "three");
	raw_damage_body(bad);
	q = queue("q");
	evq_batch *b = batch();
	ck_ok(receive(q, 3, b));
	ck_assert_uint_eq(evq_batch_count(b), 2);
	ck_assert_str_eq(evq_batch_at(b, 0)->body, "one");
	ck_assert_str_eq(evq_batch_at(b, 1)->body, "three");
	ck_assert_uint_eq(events_of(EVQ_EVENT_CORRUPT, "q", bad), 1);
	purge(q);
}
END_TEST

START_TEST(damaged_body_is_kept_while_the_dead_letter_is_full)
{
	send(queue_with("full", EVQ_QUEUE_ATTRS(.max_messages = 1)), "x");
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.dead_letter = "full"));
	raw_damage_body(send(q, "a"));
	q = queue("work");
	evq_batch *b = batch();
	for (int i = 0; i < 3; i++, clock_advance_ms(900000)) {
		int rc = receive(q, 10, b);
		ck_assert_msg(rc == EVQ_CORRUPT || rc == EVQ_EMPTY, "%s", evq_errname(rc));
		ck_assert_uint_eq(stats(q).messages, 1);
	}
	send(q, "good");
	take_one(q, "good");
	purge_all(queue("full"));
	clock_advance_ms(900000);
	(void)receive(q, 10, b);
	ck_assert_uint_eq(stats(queue("full")).messages, 1);
	purge_all(q);
	purge(queue("full"));
}
END_TEST

START_TEST(redriven_damaged_body_dies_again)
{
	evq_queue *q = queue_with("work", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	raw_damage_body(send(q, "a"));
	expect_corrupt(queue("work"));
	size_t moved = 0;
	ck_ok(evq_redrive(queue("dead"), NULL, NULL, &moved));
	ck_assert_uint_eq(moved, 1);
	expect_corrupt(queue("work"));
	expect_counts(queue("dead"), 1, 0, 0);
	purge(queue("dead"));
}
END_TEST

START_TEST(damage_met_in_a_transaction_is_told_at_its_commit)
{
	evq_id id = send(queue("q"), "a");
	raw_damage_body(id);
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	evq_txn *txn;
	ck_ok(evq_begin(env, &txn));
	ck_rc(evq_receive(q, txn, NULL, b), EVQ_CORRUPT);
	evq_abort(txn);
	ck_assert_uint_eq(seen_count, 0);
	ck_assert_uint_eq(stats(q).blocked, 0);
	ck_ok(evq_begin(env, &txn));
	ck_rc(evq_receive(q, txn, NULL, b), EVQ_CORRUPT);
	ck_assert_uint_eq(seen_count, 0);
	ck_ok(evq_commit(txn));
	ck_assert_uint_eq(events_of(EVQ_EVENT_CORRUPT, "q", id), 1);
	ck_assert_uint_eq(stats(q).blocked, 1);
	purge(q);
}
END_TEST

Suite *
corrupt_suite(void)
{
	Suite *suite = suite_create("corrupt");
	TCase *tc = tcase_create("corrupt");
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_test(tc, damaged_body_is_dead_lettered_not_delivered);
	tcase_add_test(tc, damaged_dead_letter_is_parked_in_the_last_queue);
	tcase_add_test(tc, damaged_body_without_a_dead_letter_is_parked);
	tcase_add_test(tc, parked_message_stays_parked);
	tcase_add_test(tc, parked_message_outlives_its_retention);
	tcase_add_test(tc, drop_takes_parked_messages_along);
	tcase_add_test(tc, many_damaged_bodies_do_not_hide_the_good_one);
	tcase_add_test(tc, receive_with_something_good_tells_of_damage_by_event_only);
	tcase_add_test(tc, damaged_body_is_kept_while_the_dead_letter_is_full);
	tcase_add_test(tc, redriven_damaged_body_dies_again);
	tcase_add_test(tc, damage_met_in_a_transaction_is_told_at_its_commit);
	suite_add_tcase(suite, tc);
	return suite;
}
