/* SPDX-License-Identifier: MIT */
/*
 * Redriving by choice: a match that takes one or some, that calls evq, or under which the messages
 * go away; and redriving in a transaction.
 */
#include "dead_letters.h"

static int
body_is_odd(const evq_delivery *d, void *arg)
{
	size_t *asked = arg;
	++*asked;
	ck_assert_str_eq(d->dead_from, "work");
	ck_assert_str_eq(d->dead_reason, "max-receives");
	ck_assert_uint_eq(d->body_len, strlen(d->body));
	return atoi(d->body) % 2;
}

START_TEST(match_takes_some)
{
	size_t asked = 0;
	dead_letters(401);
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.match = body_is_odd, .match_arg = &asked)), 200);
	ck_assert_uint_eq(asked, 401);
	expect_counts(dead, 201, 0, 0);
	evq_batch *b = take(work, 200);
	for (size_t i = 0; i < 200; i++)
		ck_assert_int_eq(atoi(evq_batch_at(b, i)->body) % 2, 1);
	ck_assert_uint_eq(seen_count, 0);
}
END_TEST

static int
id_is(const evq_delivery *d, void *arg)
{
	return d->id == *(evq_id *)arg;
}

START_TEST(match_takes_one_from_behind_many)
{
	dead_letters(250);
	evq_batch *b = batch();
	ck_ok(evq_peek(dead, EVQ_PEEK_OPTS(.count = 250), b));
	evq_id last = evq_batch_at(b, 249)->id;
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.match = id_is, .match_arg = &last, .max = 1)), 1);
	ck_assert_uint_eq(evq_batch_at(take(work, 1), 0)->id, last);
}
END_TEST

static int
none(const evq_delivery *d, void *arg)
{
	(void)d;
	(void)arg;
	return 0;
}

START_TEST(match_of_none_moves_none)
{
	dead_letters(120);
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.match = none)), 0);
	expect_counts(dead, 120, 0, 0);
	ck_assert_uint_eq(seen_count, 0);
}
END_TEST

static int
log_and_take(const evq_delivery *d, void *arg)
{
	evq_queue *audit = arg;
	ck_ok(evq_send(audit, NULL, d->body, d->body_len, NULL, NULL));
	ck_assert_uint_le(stats(dead).messages, 250);
	return 1;
}

START_TEST(match_may_call_evq)
{
	dead_letters(250);
	evq_queue *audit = queue("audit");
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.match = log_and_take, .match_arg = audit)), 250);
	expect_counts(audit, 250, 0, 0);
}
END_TEST

static int
purge_and_take(const evq_delivery *d, void *arg)
{
	size_t purged;
	(void)d;
	(void)arg;
	ck_ok(evq_purge(dead, NULL, &purged));
	return 1;
}

START_TEST(what_went_away_during_match_is_not_moved)
{
	dead_letters(30);
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.match = purge_and_take)), 0);
	expect_counts(work, 0, 0, 0);
	expect_counts(dead, 0, 0, 0);
	ck_assert_uint_eq(stats(dead).redriven, 0);
}
END_TEST

static int
lease_and_take(const evq_delivery *d, void *arg)
{
	(void)d;
	if (!*(evq_batch **)arg)
		*(evq_batch **)arg = take(dead, 1);
	return 1;
}

START_TEST(what_was_leased_during_match_is_not_moved)
{
	evq_batch *leased = NULL;
	dead_letters(3);
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.match = lease_and_take, .match_arg = &leased)), 2);
	expect_counts(dead, 0, 0, 1);
	evq_receipt receipt = evq_batch_at(leased, 0)->receipt;
	ck_ok(evq_delete(dead, NULL, &receipt));
}
END_TEST

static int
let_time_pass_and_take(const evq_delivery *d, void *arg)
{
	(void)d;
	(void)arg;
	clock_advance_ms(1000);
	return 1;
}

START_TEST(what_expired_during_match_is_not_moved)
{
	ck_ok(evq_queue_set_attrs(dead, NULL, EVQ_QUEUE_ATTRS(.retention_ms = 1000)));
	dead_letters(3);
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.match = let_time_pass_and_take)), 0);
	expect_counts(work, 0, 0, 0);
}
END_TEST

/* ---- in a transaction --------------------------------------------------------------------------- */

START_TEST(redrive_in_a_transaction_is_all_or_nothing)
{
	size_t moved = 0, asked = 0;
	evq_txn *txn;
	dead_letters(250);
	for (int commit = 0; commit <= 1; commit++) {
		ck_ok(evq_begin(env, &txn));
		ck_ok(evq_redrive(dead, txn, EVQ_REDRIVE_OPTS(.match = body_is_odd, .match_arg = &asked), &moved));
		ck_assert_uint_eq(moved, 125);
		expect_counts(work, 0, 0, 0);
		expect_counts(dead, 250, 0, 0);
		if (commit)
			ck_ok(evq_commit(txn));
		else
			evq_abort(txn);
		expect_counts(work, commit ? 125 : 0, 0, 0);
	}
}
END_TEST

START_TEST(obstacle_in_a_transaction_is_told_at_its_commit)
{
	size_t moved = 77;
	evq_txn *txn;
	send(dead, "m");
	ck_ok(evq_begin(env, &txn));
	ck_rc(evq_redrive(dead, txn, NULL, &moved), EVQ_NOQUEUE);
	ck_assert_uint_eq(seen_count, 0);
	ck_ok(evq_redrive(dead, txn, EVQ_REDRIVE_OPTS(.to = "work"), &moved));
	ck_ok(evq_commit(txn));
	ck_assert_uint_eq(moved, 1);
	take_one(work, "m");
}
END_TEST

Suite *
match_suite(void)
{
	Suite *suite = suite_create("match");
	TCase *tc = tcase_create("match");
	tcase_add_checked_fixture(tc, setup, store_teardown);
	tcase_add_test(tc, match_takes_some);
	tcase_add_test(tc, match_takes_one_from_behind_many);
	tcase_add_test(tc, match_of_none_moves_none);
	tcase_add_test(tc, match_may_call_evq);
	tcase_add_test(tc, what_went_away_during_match_is_not_moved);
	tcase_add_test(tc, what_was_leased_during_match_is_not_moved);
	tcase_add_test(tc, what_expired_during_match_is_not_moved);
	tcase_add_test(tc, redrive_in_a_transaction_is_all_or_nothing);
	tcase_add_test(tc, obstacle_in_a_transaction_is_told_at_its_commit);
	suite_add_tcase(suite, tc);
	return suite;
}
