/* SPDX-License-Identifier: MIT */
/*
 * The fence around a lease: of all receipts there ever were of a message, only that of its last lease does
 * anything, and only while nothing else has happened to it. The clock stands still in most of this, so that the
 * time a lease ends never tells two leases apart.
 */
#include "support.h"

static evq_queue *q, *dead;

static void
queues_setup(void)
{
	store_setup();
	dead = queue("dead");
	q = queue_with("q", EVQ_QUEUE_ATTRS(.dead_letter = "dead", .visibility_ms = 1000));
}

/* ---- the ways to settle ------------------------------------------------------------------------ */

static int
by_delete(evq_queue *in, const evq_receipt *r)
{
	return evq_delete(in, NULL, r);
}

static int
by_delete_batch(evq_queue *in, const evq_receipt *r)
{
	int rc = 4711;
	ck_ok(evq_delete_batch(in, NULL, r, 1, &rc));
	return rc;
}

static int
by_extend(evq_queue *in, const evq_receipt *r)
{
	const evq_receipt untouched = { { 1, 2, 3, 4 } };
	evq_receipt out = untouched;
	int rc = evq_extend(in, NULL, r, 500, &out);
	ck_assert((memcmp(&out, &untouched, sizeof(out)) == 0) == (rc != 0));
	return rc;
}

static int
by_release(evq_queue *in, const evq_receipt *r)
{
	return evq_release(in, NULL, r, 0, 0);
}

static int
by_uncounted_release(evq_queue *in, const evq_receipt *r)
{
	return evq_release(in, NULL, r, EVQ_BACKOFF, EVQ_UNCOUNTED);
}

static int
by_bury(evq_queue *in, const evq_receipt *r)
{
	return evq_bury(in, NULL, r, "buried");
}

static int (*const settles[])(evq_queue *in, const evq_receipt *r) = {
	by_delete, by_delete_batch, by_extend, by_release, by_uncounted_release, by_bury,
};

static void
expect_same_stats(evq_queue *of, const evq_stats *before)
{
	evq_stats now = stats(of);
	now.stale = before->stale;
	ck_assert_mem_eq(&now, before, sizeof(now));
}

/* Every way to settle answers rc and changes nothing. */
static void
expect_powerless(const evq_receipt *r, int rc)
{
	evq_stats before = stats(q), dead_before = stats(dead);
	for (int i = 0; i < COUNT(settles); i++)
		ck_rc(settles[i](q, r), rc);
	expect_same_stats(q, &before);
	expect_same_stats(dead, &dead_before);
	ck_assert_uint_eq(stats(q).stale, before.stale + (rc == EVQ_STALE ? COUNT(settles) : 0));
}

/* ---- what makes a receipt stale ---------------------------------------------------------------- */

static evq_receipt lease;

static void
deleted(void)
{
	ck_ok(evq_delete(q, NULL, &lease));
}

static void
released(void)
{
	ck_ok(evq_release(q, NULL, &lease, 0, 0));
}

static void
released_for_later(void)
{
	ck_ok(evq_release(q, NULL, &lease, 1000, 0));
}

static void
given_back(void)
{
	ck_ok(evq_release(q, NULL, &lease, 0, EVQ_UNCOUNTED));
}

static void
given_back_and_received_again(void)
{
	given_back();
	take_one(q, "x");
}

static void
extended_to_the_same_end(void)
{
	evq_receipt newer;
	ck_ok(evq_extend(q, NULL, &lease, 1000, &newer));
	ck_assert_mem_ne(&newer, &lease, sizeof(lease));
}

static void
extended_for_longer(void)
{
	evq_receipt newer;
	ck_ok(evq_extend(q, NULL, &lease, 2000, &newer));
}

static void
received_again(void)
{
	clock_advance_ms(1000);
	take_one(q, "x");
}

static void
buried(void)
{
	ck_ok(evq_bury(q, NULL, &lease, "why"));
}

static void
buried_redriven_and_received_again(void)
{
	size_t moved = 0;
	buried();
	ck_ok(evq_redrive(dead, NULL, NULL, &moved));
	ck_assert_uint_eq(moved, 1);
	take_one(q, "x");
}

static void
purged(void)
{
	size_t count = 0;
	ck_ok(evq_purge(q, NULL, &count));
	ck_assert_uint_eq(count, 1);
}

static void
dead_lettered(void)
{
	evq_queue_attrs a = { .size = sizeof(a) };
	ck_ok(evq_queue_get_attrs(q, &a));
	a.max_receives = 1;
	ck_ok(evq_queue_set_attrs(q, NULL, &a));
	clock_advance_ms(1000);
	expect_empty(q);
	expect_counts(dead, 1, 0, 0);
}

static void
expired(void)
{
	clock_advance_ms(5000);
}

static void
expired_and_cleared(void)
{
	clock_advance_ms(5000);
	expect_empty(q);
	ck_assert_uint_eq(stats(q).messages, 0);
}

static void (*const passings[])(void) = {
	deleted,         released,      released_for_later, given_back, given_back_and_received_again,
	extended_to_the_same_end,       extended_for_longer, received_again, buried, buried_redriven_and_received_again,
	purged,          dead_lettered, expired,            expired_and_cleared,
};

START_TEST(a_lease_that_has_passed_on_settles_nothing)
{
	send_with(q, "x", EVQ_SEND_OPTS(.expires_ms = 5000));
	lease = take_one(q, "x");
	passings[_i]();
	expect_powerless(&lease, EVQ_STALE);
}
END_TEST

START_TEST(a_lease_that_ran_out_but_was_not_taken_still_settles)
{
	send(q, "x");
	lease = take_one(q, "x");
	clock_advance_ms(1000000);
	expect_counts(q, 1, 0, 0);
	ck_ok(settles[_i](q, &lease));
	ck_rc(settles[_i](q, &lease), EVQ_STALE);
}
END_TEST

START_TEST(settling_twice_is_stale_the_second_time)
{
	for (int second = 0; second < COUNT(settles); second++) {
		send(q, "x");
		lease = take_one(q, "x");
		ck_ok(settles[_i](q, &lease));
		ck_rc(settles[second](q, &lease), EVQ_STALE);
		size_t count = 0;
		ck_ok(evq_purge(q, NULL, &count));
	}
}
END_TEST

/* ---- leases that look alike -------------------------------------------------------------------- */

START_TEST(leases_of_the_same_end_and_count_are_told_apart)
{
	evq_receipt was[20];
	send(q, "x");
	for (int i = 0; i < COUNT(was); i++) {
		const evq_delivery *d = evq_batch_at(take(q, 1), 0);
		ck_assert_uint_eq(d->receives, 1);
		ck_assert_int_eq(d->visible_at_ms, clock_now_ms() + 1000);
		was[i] = d->receipt;
		for (int n = 0; n < i; n++) {
			ck_assert_mem_ne(&was[n], &was[i], sizeof(was[i]));
			ck_rc(evq_delete(q, NULL, &was[n]), EVQ_STALE);
		}
		ck_ok(evq_release(q, NULL, &was[i], 0, EVQ_UNCOUNTED));
	}
}
END_TEST

START_TEST(they_are_told_apart_inside_one_transaction)
{
	evq_receipt first, second;
	evq_batch *b = batch();
	evq_txn *txn = NULL;
	send(q, "x");
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_receive(q, txn, NULL, b));
	first = evq_batch_at(b, 0)->receipt;
	ck_ok(evq_release(q, txn, &first, 0, EVQ_UNCOUNTED));
	ck_ok(evq_receive(q, txn, NULL, b));
	second = evq_batch_at(b, 0)->receipt;
	ck_rc(evq_delete(q, txn, &first), EVQ_STALE);
	ck_ok(evq_commit(txn));
	expect_powerless(&first, EVQ_STALE);
	ck_ok(evq_delete(q, NULL, &second));
}
END_TEST

/* However often a lease is renewed at one moment: a narrow counter would come round. */
START_TEST(a_receipt_from_an_aborted_transaction_settles_nothing)
{
	evq_batch *b = batch();
	evq_txn *txn = NULL;
	send(q, "x");
	for (int i = 0; i < 50; i++) {
		ck_ok(evq_begin(env, &txn));
		ck_ok(evq_receive(q, txn, NULL, b));
		evq_receipt aborted = evq_batch_at(b, 0)->receipt;
		evq_abort(txn);
		evq_receipt good = take_one(q, "x"); /* in the same millisecond, with the same count */
		ck_rc(evq_delete(q, NULL, &aborted), EVQ_STALE);
		ck_ok(evq_release(q, NULL, &good, 0, EVQ_UNCOUNTED));
	}
}
END_TEST

START_TEST(the_fence_does_not_come_round_in_70000_turns)
{
	int turns = getenv("EVQ_TEST_SMALL") ? 700 : 70000;
	evq_txn *txn = NULL;
	send(q, "x");
	lease = take_one(q, "x");
	evq_receipt newest = lease;
	ck_ok(evq_begin(env, &txn));
	for (int i = 0; i < turns; i++) {
		ck_ok(evq_extend(q, txn, &newest, 1000, &newest));
		if (memcmp(&newest, &lease, sizeof(lease)) == 0)
			ck_abort_msg("the first receipt is good again after %d turns", i);
	}
	ck_ok(evq_commit(txn));
	expect_powerless(&lease, EVQ_STALE);
	ck_ok(evq_delete(q, NULL, &newest));
}
END_TEST

START_TEST(a_receipt_of_peek_settles_nothing_in_any_state)
{
	evq_batch *b = batch();
	send(q, "released");
	evq_receipt r = take_one(q, "released");
	ck_ok(evq_release(q, NULL, &r, 0, 0));
	send(q, "fresh");
	send_with(q, "delayed", EVQ_SEND_OPTS(.delay_ms = 5000));
	send_with(q, "leased", EVQ_SEND_OPTS(.priority = 1));
	lease = take_one(q, "leased");
	for (int again = 0; again < 2; again++) {
		ck_ok(evq_peek(q, NULL, b));
		ck_assert_uint_eq(evq_batch_count(b), 4);
		for (size_t i = 0; i < 4; i++)
			expect_powerless(&evq_batch_at(b, i)->receipt, EVQ_STALE);
		clock_advance_ms(1000); /* the second time the lease has run out */
	}
	ck_ok(evq_delete(q, NULL, &lease));
}
END_TEST

/* ---- receipts that are not of this queue ------------------------------------------------------- */

START_TEST(a_receipt_with_any_bit_flipped_is_einval)
{
	evq_stats before;
	send(q, "x");
	send(q, "y");
	lease = take_one(q, "x");
	before = stats(q);
	for (int bit = 0; bit < 256; bit++) {
		evq_receipt r = lease;
		r.w[bit / 64] ^= 1ULL << bit % 64;
		ck_rc(settles[_i](q, &r), EINVAL);
	}
	expect_same_stats(q, &before);
	ck_assert_uint_eq(stats(q).stale, before.stale);
	ck_ok(settles[_i](q, &lease));
}
END_TEST

START_TEST(a_receipt_made_up_or_mixed_is_einval)
{
	send(q, "x");
	send(q, "y");
	const evq_receipt one = take_one(q, "x"), two = take_one(q, "y");
	for (int mask = 1; mask < 15; mask++) {
		evq_receipt r;
		for (int i = 0; i < 4; i++)
			r.w[i] = mask >> i & 1 ? one.w[i] : two.w[i];
		if (memcmp(&r, &one, sizeof(r)) && memcmp(&r, &two, sizeof(r)))
			expect_powerless(&r, EINVAL);
	}
	expect_powerless(&(evq_receipt){ { 0, 0, 0, 0 } }, EINVAL);
	expect_powerless(&(evq_receipt){ { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX } }, EINVAL);
	expect_powerless(&(evq_receipt){ { one.w[1], one.w[0], one.w[3], one.w[2] } }, EINVAL);
	ck_ok(evq_delete(q, NULL, &one));
	ck_ok(evq_delete(q, NULL, &two));
}
END_TEST

START_TEST(a_receipt_of_another_queue_is_einval)
{
	evq_queue *other = queue("other");
	send(other, "x");
	evq_receipt r = take_one(other, "x");
	expect_powerless(&r, EINVAL);
	ck_ok(evq_delete(other, NULL, &r));
	expect_powerless(&r, EINVAL);
}
END_TEST

/* The other store has gone through the same, so that all numbers in it are the same. */
START_TEST(a_receipt_of_another_store_is_einval)
{
	evq_env *env2 = NULL;
	evq_queue *q2 = NULL;
	evq_batch *b = batch();
	char dir[256];
	temp_dir(dir);
	ck_ok(evq_env_open(dir, EVQ_ENV_OPTS(.clock = fake_clock), &env2));
	ck_ok(evq_queue_open(env2, "dead", EVQ_QUEUE_ATTRS(), &q2));
	evq_queue_close(q2);
	ck_ok(evq_queue_open(env2, "q", EVQ_QUEUE_ATTRS(.dead_letter = "dead", .visibility_ms = 1000), &q2));
	ck_ok(evq_send(q2, NULL, "x", 1, NULL, NULL));
	ck_ok(evq_receive(q2, NULL, NULL, b));
	send(q, "x");
	lease = take_one(q, "x");
	expect_powerless(&evq_batch_at(b, 0)->receipt, EINVAL);
	ck_rc(evq_delete(q2, NULL, &lease), EINVAL);
	ck_ok(evq_delete(q2, NULL, &evq_batch_at(b, 0)->receipt));
	ck_ok(evq_delete(q, NULL, &lease));
	evq_queue_close(q2);
	ck_ok(evq_verify(env2, NULL, NULL));
	evq_env_close(env2);
}
END_TEST

Suite *
fence_suite(void)
{
	Suite *s = suite_create("fence");
	TCase *t = tcase_create("fence");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, queues_setup, store_teardown);
	tcase_add_loop_test(t, a_lease_that_has_passed_on_settles_nothing, 0, COUNT(passings));
	tcase_add_loop_test(t, a_lease_that_ran_out_but_was_not_taken_still_settles, 0, COUNT(settles));
	tcase_add_loop_test(t, settling_twice_is_stale_the_second_time, 0, COUNT(settles));
	tcase_add_test(t, leases_of_the_same_end_and_count_are_told_apart);
	tcase_add_test(t, they_are_told_apart_inside_one_transaction);
	tcase_add_test(t, a_receipt_from_an_aborted_transaction_settles_nothing);
	tcase_add_test(t, the_fence_does_not_come_round_in_70000_turns);
	tcase_add_test(t, a_receipt_of_peek_settles_nothing_in_any_state);
	tcase_add_loop_test(t, a_receipt_with_any_bit_flipped_is_einval, 0, COUNT(settles));
	tcase_add_test(t, a_receipt_made_up_or_mixed_is_einval);
	tcase_add_test(t, a_receipt_of_another_queue_is_einval);
	tcase_add_test(t, a_receipt_of_another_store_is_einval);
	suite_add_tcase(s, t);
	return s;
}
