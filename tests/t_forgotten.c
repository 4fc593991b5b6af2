/* SPDX-License-Identifier: MIT */
/* What forgets an id: a purge, a drop, and the end of its window, after which its row goes too. */
#include "repeats.h"

#include <lmdb.h>

static evq_queue *work;

static void
setup(void)
{
	store_setup();
	work = queue("work");
}

/* ---- purge, drop --------------------------------------------------------------------------------------- */

START_TEST(purge_forgets)
{
	evq_queue *other = queue("other");
	send_id(work, "b", "gone already");
	finish_all(work, take(work, 1));
	evq_id first = send_id(work, "a", "id"), kept = send_id(other, "a", "id");
	ck_ok(evq_purge(work, NULL, NULL));
	evq_id second = expect_new(work, "id");
	ck_assert_uint_gt(second, first);
	expect_new(work, "gone already");
	expect_repeat(work, "id", second);
	expect_repeat(other, "id", kept);
	store_reopen();
	work = queue("work");
	expect_repeat(work, "id", second);
}
END_TEST

static const int amounts[] = { 1, 99, 100, 101, 1050 };

START_TEST(purge_forgets_in_any_number_of_slices)
{
	char id[16];
	for (int i = 0; i < amounts[_i]; i++) {
		snprintf(id, sizeof(id), "%d", i);
		send_id(work, "x", id);
	}
	ck_ok(evq_purge(work, NULL, NULL));
	for (int i = 0; i < amounts[_i]; i++) {
		snprintf(id, sizeof(id), "%d", i);
		send_id(work, "x", id);
	}
	ck_assert_uint_eq(stats(work).messages, (uint64_t)amounts[_i]);
	ck_assert_uint_eq(stats(work).duplicates, 0);
}
END_TEST

START_TEST(purge_forgets_what_has_no_message_any_more)
{
	send_id(work, "a", "id");
	finish_all(work, take(work, 1));
	size_t purged = 77;
	ck_ok(evq_purge(work, NULL, &purged));
	ck_assert_uint_eq(purged, 0);
	expect_new(work, "id");
}
END_TEST

START_TEST(purge_that_is_aborted_forgets_nothing)
{
	evq_txn *txn = NULL;
	evq_id first = send_id(work, "a", "id"), inside = 0;
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_purge(work, txn, NULL));
	ck_ok(evq_send(work, txn, "a", 1, EVQ_SEND_OPTS(.dedup_id = "id"), &inside));
	ck_assert_uint_ne(inside, first);
	evq_abort(txn);
	expect_repeat(work, "id", first);
}
END_TEST

START_TEST(drop_and_making_anew_forgets)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP));
	evq_id first = send_id(q, "a", "id"), body = send(q, "body");
	ck_ok(evq_queue_drop(env, NULL, "q"));
	q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP));
	ck_assert_uint_gt(expect_new(q, "id"), first);
	ck_assert_uint_gt(send(q, "body"), body);
	ck_assert_uint_eq(stats(q).duplicates, 0);
}
END_TEST

START_TEST(drop_that_is_aborted_forgets_nothing)
{
	evq_txn *txn = NULL;
	evq_queue *q = queue("q");
	evq_id first = send_id(q, "a", "id");
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_queue_drop(env, txn, "q"));
	evq_abort(txn);
	expect_repeat(q, "id", first);
}
END_TEST

/* ---- the memory ---------------------------------------------------------------------------------------- */

static size_t
rows(void)
{
	evq_txn *txn = NULL;
	MDB_dbi dbi;
	MDB_stat stat;
	ck_ok(evq_begin(env, &txn));
	ck_assert_int_eq(mdb_dbi_open(evq_txn_mdb(txn), "evq.dedup", 0, &dbi), 0);
	ck_assert_int_eq(mdb_stat(evq_txn_mdb(txn), dbi, &stat), 0);
	evq_abort(txn);
	return stat.ms_entries;
}

enum { IDS = 300 };

static evq_queue *
queue_of_ids(void)
{
	char id[16];
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.dedup_ms = 1000));
	for (int i = 0; i < IDS; i++) {
		snprintf(id, sizeof(id), "%d", i);
		send_id(q, "x", id);
	}
	return q;
}

START_TEST(memory_is_cleared_by_sends_once_its_window_ended)
{
	size_t before = rows();
	evq_queue *q = queue_of_ids();
	ck_assert_uint_ge(rows(), before + IDS);
	clock_advance_ms(999);
	send(q, "x");
	ck_assert_uint_ge(rows(), before + IDS);
	clock_advance_ms(1);
	for (int i = 0; i < IDS / 2; i++)
		send(q, "x");
	ck_assert_uint_eq(rows(), before);
}
END_TEST

START_TEST(memory_is_cleared_by_receives_once_its_window_ended)
{
	size_t before = rows();
	evq_queue *q = queue_of_ids();
	clock_advance_ms(1000);
	for (int i = 0; i < IDS; i++)
		finish_all(q, take(q, 1));
	ck_assert_uint_eq(rows(), before);
}
END_TEST

START_TEST(memory_of_a_queue_goes_with_its_purge_and_its_drop)
{
	size_t before = rows();
	evq_queue *q = queue_of_ids();
	if (_i)
		ck_ok(evq_purge(q, NULL, NULL));
	else
		ck_ok(evq_queue_drop(env, NULL, "q"));
	ck_assert_uint_eq(rows(), before);
}
END_TEST

/* Ids alone fill a small store; when their time is over, there is room again, whoever comes first. */
START_TEST(store_full_of_ids_takes_messages_again_when_their_window_ends)
{
	char id[EVQ_DEDUP_MAX + 1];
	int sent = 0, tries = 0, rc = 0;
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock, .map_size = 8 << 20));
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	for (; rc == 0; sent++) {
		snprintf(id, sizeof(id), "%0*d", EVQ_DEDUP_MAX, sent);
		rc = evq_send(q, NULL, "", 0, EVQ_SEND_OPTS(.dedup_id = id), NULL);
		if (evq_receive(q, NULL, NULL, b) == 0)
			finish_all(q, b);
		ck_assert_int_lt(sent, 200000);
	}
	ck_rc(rc, EVQ_FULL);
	ck_assert_int_gt(sent, 5000);
	ck_assert_uint_eq(stats(q).messages, 0);
	clock_advance_ms(300000);
	do {
		expect_empty(q);
		rc = evq_send(q, NULL, "", 0, EVQ_SEND_OPTS(.dedup_id = "new"), NULL);
	} while (rc == EVQ_FULL && ++tries < sent);
	ck_ok(rc);
	ck_assert_int_lt(tries, 1000);
}
END_TEST

Suite *
forgotten_suite(void)
{
	Suite *s = suite_create("forgotten");
	TCase *t = tcase_create("forgotten");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, purge_forgets);
	tcase_add_loop_test(t, purge_forgets_in_any_number_of_slices, 0, COUNT(amounts));
	tcase_add_test(t, purge_forgets_what_has_no_message_any_more);
	tcase_add_test(t, purge_that_is_aborted_forgets_nothing);
	tcase_add_test(t, drop_and_making_anew_forgets);
	tcase_add_test(t, drop_that_is_aborted_forgets_nothing);
	tcase_add_test(t, memory_is_cleared_by_sends_once_its_window_ended);
	tcase_add_test(t, memory_is_cleared_by_receives_once_its_window_ended);
	tcase_add_loop_test(t, memory_of_a_queue_goes_with_its_purge_and_its_drop, 0, 2);
	tcase_add_test(t, store_full_of_ids_takes_messages_again_when_their_window_ends);
	suite_add_tcase(s, t);
	return s;
}
