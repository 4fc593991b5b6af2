/* SPDX-License-Identifier: MIT */
/* Purging: every message that was there, in whatever state and queue and of whatever size, and no other. */
#include "support.h"

static size_t
purge(evq_queue *q)
{
	size_t purged = 12345;
	ck_ok(evq_purge(q, NULL, &purged));
	return purged;
}

START_TEST(purge_takes_every_state)
{
	evq_queue *q = queue("q");
	send(q, "leased");
	evq_receipt leased = take_one(q, "leased");
	send(q, "visible");
	send_with(q, "delayed", EVQ_SEND_OPTS(.delay_ms = 1000));
	ck_assert_uint_eq(purge(q), 3);
	expect_counts(q, 0, 0, 0);
	expect_empty(q);
	ck_rc(evq_delete(q, NULL, &leased), EVQ_STALE);
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.purged, 3);
	ck_assert_uint_eq(s.deleted, 0);
	ck_assert_uint_eq(s.messages, 0);
	ck_assert_uint_eq(s.bytes, 0);
	ck_assert_int_eq(s.oldest_sent_at_ms, 0);
	ck_assert_uint_eq(seen_count, 0);
}
END_TEST

static const uint32_t kinds[] = { EVQ_FIFO, EVQ_FAIR, EVQ_FIFO | EVQ_CONTENT_DEDUP, EVQ_FAIR | EVQ_CONTENT_DEDUP };

/* Leased, given back to come later, behind those, and visible: in groups of three. */
START_TEST(purge_takes_every_state_of_every_kind)
{
	char body[16], group[2] = { 0 };
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = kinds[_i]));
	for (int i = 0; i < 300; i++) {
		snprintf(body, sizeof(body), "%d", i);
		group[0] = (char)('a' + i % 100 % 26);
		send_with(q, body, EVQ_SEND_OPTS(.group = group, .priority = i % 3));
	}
	evq_batch *b = take(q, 50);
	for (size_t i = 0; i < 50; i += 3)
		ck_ok(evq_release(q, NULL, &evq_batch_at(b, i)->receipt, i % 2 ? 5000 : 0, 0));
	ck_assert_uint_eq(purge(q), 300);
	verify_clean();
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.messages + s.bytes + s.visible + s.delayed + s.leased + s.blocked, 0);
	ck_rc(evq_delete(q, NULL, &evq_batch_at(b, 1)->receipt), EVQ_STALE);
	send_with(q, "0", EVQ_SEND_OPTS(.group = "a"));
	take_one(q, "0");
	ck_assert_uint_eq(stats(q).duplicates, 0);
}
END_TEST

START_TEST(purge_of_nothing_is_none)
{
	ck_ok(evq_purge(queue("q"), NULL, NULL));
	ck_assert_uint_eq(purge(queue("q")), 0);
}
END_TEST

static const uint32_t counts[] = { 1, 99, 100, 101, 200, 1050 };

START_TEST(purge_works_in_slices_to_the_end)
{
	evq_queue *q = queue("q");
	for (uint32_t i = 0; i < counts[_i]; i++)
		send_with(q, "m", EVQ_SEND_OPTS(.priority = (int)(i % 7)));
	ck_assert_uint_eq(purge(q), counts[_i]);
	expect_empty(q);
	ck_assert_uint_eq(purge(q), 0);
}
END_TEST

START_TEST(purge_leaves_other_queues_alone)
{
	evq_queue *before = queue("p"), *q = queue("q"), *behind = queue("r");
	send(before, "p");
	send(q, "q");
	send(behind, "r");
	ck_assert_uint_eq(purge(q), 1);
	take_one(before, "p");
	take_one(behind, "r");
}
END_TEST

START_TEST(purge_takes_bodies_of_many_parts_whole)
{
	static char body[300000];
	memset(body, 'b', sizeof body);
	evq_queue *q = queue("q");
	for (int i = 0; i < 3; i++)
		ck_ok(evq_send(q, NULL, body, sizeof body, NULL, NULL));
	send(q, "");
	ck_assert_uint_eq(purge(q), 4);
	verify_clean();
	ck_assert_uint_eq(stats(q).bytes, 0);
}
END_TEST

START_TEST(purge_gives_the_quota_back)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.max_messages = 2, .max_bytes = 10));
	send(q, "12345");
	send(q, "67890");
	ck_rc(evq_send(q, NULL, "", 0, NULL, NULL), EVQ_FULL);
	purge(q);
	send(q, "1234567890");
}
END_TEST

START_TEST(purge_counts_what_expired_but_was_there)
{
	evq_queue *q = queue("q");
	send_with(q, "short", EVQ_SEND_OPTS(.expires_ms = 10));
	send(q, "long");
	clock_advance_ms(10);
	size_t purged = purge(q);
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.messages, 0);
	ck_assert_uint_eq(s.purged, purged);
	ck_assert_uint_eq(s.purged + s.expired, 2);
}
END_TEST

START_TEST(purged_queue_goes_on)
{
	evq_queue *q = queue("q");
	evq_id old = send(q, "old");
	purge(q);
	evq_id new = send(q, "new");
	ck_assert_uint_gt(new, old);
	take_one(q, "new");
	ck_assert_uint_eq(stats(q).sent, 2);
}
END_TEST

START_TEST(purge_in_a_transaction_is_all_or_nothing)
{
	evq_queue *q = queue("q");
	evq_txn *txn;
	size_t purged = 0;
	for (int i = 0; i < 250; i++)
		send(q, "m");
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_purge(q, txn, &purged));
	ck_assert_uint_eq(purged, 250);
	evq_abort(txn);
	expect_counts(q, 250, 0, 0);
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_send(q, txn, "mine", 4, NULL, NULL));
	ck_ok(evq_purge(q, txn, &purged));
	ck_assert_uint_eq(purged, 251);
	ck_ok(evq_send(q, txn, "after", 5, NULL, NULL));
	ck_ok(evq_commit(txn));
	take_one(q, "after");
}
END_TEST

START_TEST(purge_of_a_dropped_queue_is_refused)
{
	evq_queue *q = queue("q");
	size_t purged = 77;
	ck_ok(evq_queue_drop(env, NULL, "q"));
	ck_rc(evq_purge(q, NULL, &purged), EVQ_NOQUEUE);
	ck_assert_uint_eq(purged, 77);
}
END_TEST

Suite *
purge_suite(void)
{
	Suite *suite = suite_create("purge");
	TCase *tc = tcase_create("purge");
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_test(tc, purge_takes_every_state);
	tcase_add_loop_test(tc, purge_takes_every_state_of_every_kind, 0, COUNT(kinds));
	tcase_add_test(tc, purge_of_nothing_is_none);
	tcase_add_loop_test(tc, purge_works_in_slices_to_the_end, 0, COUNT(counts));
	tcase_add_test(tc, purge_leaves_other_queues_alone);
	tcase_add_test(tc, purge_takes_bodies_of_many_parts_whole);
	tcase_add_test(tc, purge_gives_the_quota_back);
	tcase_add_test(tc, purge_counts_what_expired_but_was_there);
	tcase_add_test(tc, purged_queue_goes_on);
	tcase_add_test(tc, purge_in_a_transaction_is_all_or_nothing);
	tcase_add_test(tc, purge_of_a_dropped_queue_is_refused);
	suite_add_tcase(suite, tc);
	return suite;
}
