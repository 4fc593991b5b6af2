/* SPDX-License-Identifier: MIT */
/*
 * Settling what was received: delete, alone and in batches, extend, and release with its retry policy. Which
 * receipts are refused is in t_fence.c; burying is in t_bury.c.
 */
#include "support.h"

#define HALF_DAY_MS 43200000LL
#define YEAR_MS 31536000000LL

static const evq_receipt untouched = { { 4711, 4712, 4713, 4714 } };

static const evq_delivery *
look(evq_queue *q)
{
	evq_batch *b = batch();
	ck_ok(evq_peek(q, NULL, b));
	ck_assert_uint_eq(evq_batch_count(b), 1);
	return evq_batch_at(b, 0);
}

/* ---- delete ------------------------------------------------------------------------------------ */

START_TEST(a_deleted_message_never_comes_back)
{
	evq_queue *q = queue("q");
	send(q, "x");
	send(q, "y");
	evq_receipt r = take_one(q, "x");
	ck_ok(evq_delete(q, NULL, &r));
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.messages, 1);
	ck_assert_uint_eq(s.bytes, 1);
	ck_assert_uint_eq(s.deleted, 1);
	clock_advance_ms(10 * YEAR_MS);
	take_one(q, "y");
	expect_empty(q);
	ck_rc(evq_delete(q, NULL, &r), EVQ_STALE);
	ck_assert_uint_eq(stats(q).deleted, 1);
	ck_assert_uint_eq(stats(q).stale, 1);
}
END_TEST

START_TEST(an_aborted_delete_leaves_the_lease)
{
	evq_queue *q = queue("q");
	evq_txn *txn = NULL;
	send(q, "x");
	evq_receipt r = take_one(q, "x");
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_delete(q, txn, &r));
	ck_rc(evq_delete(q, txn, &r), EVQ_STALE);
	evq_abort(txn);
	expect_counts(q, 0, 0, 1);
	ck_ok(evq_delete(q, NULL, &r));
}
END_TEST

START_TEST(delete_batch_tells_of_each)
{
	enum { GOOD, TWICE, GONE, DAMAGED, FOREIGN, LAST, N };
	static const int want[N] = { 0, EVQ_STALE, EVQ_STALE, EINVAL, EINVAL, 0 };
	evq_queue *q = queue("q"), *other = queue("other");
	evq_receipt rs[N];
	int rcs[N + 1] = { 1, 2, 3, 4, 5, 6, 4711 };
	send(q, "a");
	send(q, "gone");
	send(q, "b");
	send(q, "c");
	send(other, "foreign");
	rs[GOOD] = rs[TWICE] = take_one(q, "a");
	rs[GONE] = take_one(q, "gone");
	ck_ok(evq_delete(q, NULL, &rs[GONE]));
	rs[DAMAGED] = take_one(q, "b");
	rs[DAMAGED].w[3] ^= 1;
	rs[LAST] = take_one(q, "c");
	rs[FOREIGN] = take_one(other, "foreign");
	ck_ok(evq_delete_batch(q, NULL, rs, N, rcs));
	for (int i = 0; i < N; i++)
		ck_rc(rcs[i], want[i]);
	ck_assert_int_eq(rcs[N], 4711);
	ck_assert_uint_eq(stats(q).stale, 2);
	expect_counts(q, 0, 0, 1);
	expect_counts(other, 0, 0, 1);
}
END_TEST

START_TEST(delete_batch_holds_0_to_10000_receipts)
{
	static evq_buf bodies[EVQ_BATCH_MAX];
	static evq_receipt rs[EVQ_BATCH_MAX + 1];
	static int rcs[EVQ_BATCH_MAX + 1];
	evq_queue *q = queue("q");
	ck_ok(evq_send_batch(q, NULL, bodies, EVQ_BATCH_MAX, NULL, NULL));
	evq_batch *b = take(q, EVQ_BATCH_MAX);
	for (size_t i = 0; i < EVQ_BATCH_MAX; i++)
		rs[i] = evq_batch_at(b, EVQ_BATCH_MAX - 1 - i)->receipt;
	rcs[0] = 4711;
	ck_rc(evq_delete_batch(q, NULL, rs, EVQ_BATCH_MAX + 1, rcs), E2BIG);
	ck_rc(evq_delete_batch(q, NULL, rs, SIZE_MAX, rcs), E2BIG);
	ck_rc(evq_delete_batch(q, NULL, rs, 1, NULL), EINVAL);
	ck_rc(evq_delete_batch(q, NULL, NULL, 1, rcs), EINVAL);
	ck_rc(evq_delete_batch(NULL, NULL, rs, 1, rcs), EINVAL);
	ck_ok(evq_delete_batch(q, NULL, rs, 0, rcs));
	ck_assert_int_eq(rcs[0], 4711);
	expect_counts(q, 0, 0, EVQ_BATCH_MAX);
	ck_ok(evq_delete_batch(q, NULL, rs, EVQ_BATCH_MAX, rcs));
	for (size_t i = 0; i < EVQ_BATCH_MAX; i++)
		ck_assert_int_eq(rcs[i], 0);
	ck_assert_uint_eq(stats(q).messages, 0);
}
END_TEST

/* ---- extend ------------------------------------------------------------------------------------ */

START_TEST(an_extended_lease_ends_so_long_from_now)
{
	static const struct {
		int64_t ask_ms, lease_ms;
	} cases[] = { { 0, 700 }, { 1, 1 }, { 300, 300 }, { 5000, 5000 }, { HALF_DAY_MS, HALF_DAY_MS } };
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.visibility_ms = 700));
	send(q, "x");
	for (int i = 0; i < COUNT(cases); i++) {
		evq_receipt r = take_one(q, "x"), old = r;
		clock_advance_ms(650);
		ck_ok(evq_extend(q, NULL, &r, cases[i].ask_ms, &r));
		ck_rc(evq_extend(q, NULL, &old, cases[i].ask_ms, &old), EVQ_STALE);
		ck_assert_int_eq(look(q)->visible_at_ms, clock_now_ms() + cases[i].lease_ms);
		clock_advance_ms(cases[i].lease_ms - 1);
		expect_counts(q, 0, 0, 1);
		expect_empty(q);
		clock_advance_ms(1);
		expect_counts(q, 1, 0, 0);
	}
}
END_TEST

START_TEST(an_extend_is_not_a_receive)
{
	evq_queue *q = queue("q");
	send(q, "x");
	int64_t first = clock_now_ms();
	evq_receipt r = take_one(q, "x"), out;
	for (int i = 0; i < 5; i++) {
		clock_advance_ms(100);
		ck_ok(evq_extend(q, NULL, &r, 0, &out));
		r = out;
	}
	const evq_delivery *d = look(q);
	ck_assert_uint_eq(d->receives, 1);
	ck_assert_int_eq(d->first_received_at_ms, first);
	ck_assert_int_eq(d->state, EVQ_LEASED);
	ck_assert_uint_eq(stats(q).received, 1);
	ck_ok(evq_delete(q, NULL, &r));
}
END_TEST

START_TEST(an_extend_out_of_bounds_changes_nothing)
{
	static const int64_t bad[] = { EVQ_NONE, EVQ_BACKOFF, HALF_DAY_MS + 1, INT64_MAX, INT64_MIN };
	evq_queue *q = queue("q");
	send(q, "x");
	evq_receipt r = take_one(q, "x"), out = untouched;
	for (int i = 0; i < COUNT(bad); i++)
		ck_rc(evq_extend(q, NULL, &r, bad[i], &out), EINVAL);
	ck_rc(evq_extend(q, NULL, &r, 0, NULL), EINVAL);
	ck_rc(evq_extend(q, NULL, NULL, 0, &out), EINVAL);
	ck_rc(evq_extend(NULL, NULL, &r, 0, &out), EINVAL);
	ck_assert_mem_eq(&out, &untouched, sizeof(out));
	ck_ok(evq_delete(q, NULL, &r));
}
END_TEST

START_TEST(an_extend_does_not_outlive_the_expiry)
{
	evq_queue *q = queue("q");
	send_with(q, "x", EVQ_SEND_OPTS(.expires_ms = 100));
	evq_receipt r = take_one(q, "x");
	ck_ok(evq_extend(q, NULL, &r, 5000, &r));
	ck_assert_int_eq(look(q)->visible_at_ms, clock_now_ms() + 100);
	clock_advance_ms(100);
	ck_rc(evq_extend(q, NULL, &r, 5000, &r), EVQ_STALE);
	expect_empty(q);
	ck_assert_uint_eq(stats(q).expired, 1);
}
END_TEST

/* ---- release ----------------------------------------------------------------------------------- */

START_TEST(a_released_message_comes_back_after_its_delay)
{
	static const int64_t delays[] = { 0, 1, 250, YEAR_MS };
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.delay_ms = 77));
	send_with(q, "x", EVQ_SEND_OPTS(.delay_ms = EVQ_NONE));
	for (int i = 0; i < COUNT(delays); i++) {
		evq_receipt r = take_one(q, "x");
		clock_advance_ms(10);
		ck_ok(evq_release(q, NULL, &r, delays[i], 0));
		if (delays[i] > 0) {
			expect_counts(q, 0, 1, 0);
			clock_advance_ms(delays[i] - 1);
			expect_empty(q);
			clock_advance_ms(1);
		}
		expect_counts(q, 1, 0, 0);
		ck_assert_uint_eq(look(q)->receives, (uint32_t)i + 1);
		ck_assert_int_eq(look(q)->visible_at_ms, clock_now_ms());
	}
}
END_TEST

START_TEST(a_message_released_uncounted_is_as_if_never_received)
{
	evq_queue *q = queue("q");
	send(q, "x");
	for (int i = 0; i < 5; i++) {
		evq_receipt r = take_one(q, "x");
		ck_ok(evq_release(q, NULL, &r, 0, EVQ_UNCOUNTED));
		ck_assert_uint_eq(look(q)->receives, 0);
		ck_assert_int_eq(look(q)->first_received_at_ms, 0);
		ck_assert_int_eq(look(q)->state, EVQ_VISIBLE);
		clock_advance_ms(1);
	}
	int64_t first = clock_now_ms();
	evq_receipt r = take_one(q, "x");
	ck_ok(evq_release(q, NULL, &r, 0, 0));
	clock_advance_ms(1);
	r = take_one(q, "x");
	ck_ok(evq_release(q, NULL, &r, 0, EVQ_UNCOUNTED));
	ck_assert_uint_eq(look(q)->receives, 1);
	ck_assert_int_eq(look(q)->first_received_at_ms, first);
	ck_assert_uint_eq(stats(q).received, 7);
}
END_TEST

START_TEST(a_release_out_of_bounds_changes_nothing)
{
	static const struct {
		int64_t delay_ms;
		uint32_t flags;
	} bad[] = { { EVQ_NONE, 0 }, { -3, 0 }, { YEAR_MS + 1, 0 }, { INT64_MAX, 0 }, { INT64_MIN, 0 },
		    { 0, 2 },        { 0, 3 },  { 0, 0x80000000U }, { EVQ_BACKOFF, 4 } };
	evq_queue *q = queue("q");
	send(q, "x");
	evq_receipt r = take_one(q, "x");
	for (int i = 0; i < COUNT(bad); i++)
		ck_rc(evq_release(q, NULL, &r, bad[i].delay_ms, bad[i].flags), EINVAL);
	ck_rc(evq_release(q, NULL, NULL, 0, 0), EINVAL);
	ck_rc(evq_release(NULL, NULL, &r, 0, 0), EINVAL);
	ck_rc(evq_delete(q, NULL, NULL), EINVAL);
	ck_rc(evq_delete(NULL, NULL, &r), EINVAL);
	expect_counts(q, 0, 0, 1);
	ck_ok(evq_delete(q, NULL, &r));
}
END_TEST

START_TEST(a_release_for_longer_than_the_expiry_ends_with_it)
{
	evq_queue *q = queue("q");
	send_with(q, "x", EVQ_SEND_OPTS(.expires_ms = 100));
	evq_receipt r = take_one(q, "x");
	ck_ok(evq_release(q, NULL, &r, 5000, 0));
	expect_counts(q, 0, 1, 0);
	clock_advance_ms(100);
	expect_counts(q, 0, 0, 0);
	expect_empty(q);
	ck_assert_uint_eq(stats(q).messages, 0);
}
END_TEST

START_TEST(a_message_released_now_keeps_its_place_among_those_due_now)
{
	evq_queue *q = queue("q");
	send(q, "a");
	send(q, "b");
	evq_receipt r = take_one(q, "a");
	ck_ok(evq_release(q, NULL, &r, 0, 0));
	r = take_one(q, "a");
	clock_advance_ms(1);
	ck_ok(evq_release(q, NULL, &r, 0, 0));
	take_one(q, "b");
	take_one(q, "a");
}
END_TEST

/* ---- backoff ----------------------------------------------------------------------------------- */

static const struct {
	int64_t min_ms, max_ms;
} policies[] = { { 0, 0 }, { 1, 1 }, { 1, YEAR_MS }, { 3, 1000 }, { 1000, 1500 }, { YEAR_MS, YEAR_MS } };

/* Through 80 receives: twice over where 2^(n-1) leaves 64 bits. */
START_TEST(backoff_doubles_from_min_to_max_and_lies_between_half_and_all)
{
	int64_t max = policies[_i].max_ms ? policies[_i].max_ms : 900000;
	int64_t step = policies[_i].min_ms ? policies[_i].min_ms : 1000;
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.retry_min_ms = policies[_i].min_ms, .retry_max_ms = policies[_i].max_ms));
	send(q, "x");
	for (int n = 1; n <= 80; n++) {
		evq_receipt r = take_one(q, "x");
		ck_ok(evq_release(q, NULL, &r, EVQ_BACKOFF, 0));
		int64_t delay = look(q)->visible_at_ms - clock_now_ms();
		ck_assert_msg(delay >= step / 2 && delay <= step, "receive %d: %lld of %lld", n, (long long)delay, (long long)step);
		clock_advance_ms(delay);
		step = step > max / 2 ? max : step * 2;
	}
}
END_TEST

START_TEST(backoff_is_spread_over_its_range)
{
	enum { N = 200, D = 1000000 };
	static evq_buf bodies[N];
	int quarters[4] = { 0 };
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.retry_min_ms = D, .retry_max_ms = D));
	ck_ok(evq_send_batch(q, NULL, bodies, N, NULL, NULL));
	evq_batch *b = take(q, N);
	for (size_t i = 0; i < N; i++)
		ck_ok(evq_release(q, NULL, &evq_batch_at(b, i)->receipt, EVQ_BACKOFF, 0));
	ck_ok(evq_peek(q, EVQ_PEEK_OPTS(.count = N), b));
	for (size_t i = 0; i < N; i++) {
		int64_t beyond = evq_batch_at(b, i)->visible_at_ms - clock_now_ms() - D / 2;
		ck_assert(beyond >= 0 && beyond <= D / 2);
		quarters[beyond == D / 2 ? 3 : beyond * 4 / (D / 2)]++;
	}
	for (int i = 0; i < 4; i++)
		ck_assert_msg(quarters[i] >= N / 16, "%d of %d in quarter %d", quarters[i], N, i);
}
END_TEST

START_TEST(backoff_follows_attributes_changed_since_the_receive)
{
	evq_queue *q = queue("q");
	send(q, "x");
	evq_receipt r = take_one(q, "x");
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.retry_min_ms = 500000, .retry_max_ms = 500000)));
	ck_ok(evq_release(q, NULL, &r, EVQ_BACKOFF, EVQ_UNCOUNTED));
	ck_assert_int_ge(look(q)->visible_at_ms - clock_now_ms(), 250000);
	ck_assert_int_le(look(q)->visible_at_ms - clock_now_ms(), 500000);
	ck_assert_uint_eq(look(q)->receives, 0);
}
END_TEST

Suite *
settle_suite(void)
{
	Suite *s = suite_create("settle");
	TCase *t = tcase_create("settle");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_test(t, a_deleted_message_never_comes_back);
	tcase_add_test(t, an_aborted_delete_leaves_the_lease);
	tcase_add_test(t, delete_batch_tells_of_each);
	tcase_add_test(t, delete_batch_holds_0_to_10000_receipts);
	tcase_add_test(t, an_extended_lease_ends_so_long_from_now);
	tcase_add_test(t, an_extend_is_not_a_receive);
	tcase_add_test(t, an_extend_out_of_bounds_changes_nothing);
	tcase_add_test(t, an_extend_does_not_outlive_the_expiry);
	tcase_add_test(t, a_released_message_comes_back_after_its_delay);
	tcase_add_test(t, a_message_released_uncounted_is_as_if_never_received);
	tcase_add_test(t, a_release_out_of_bounds_changes_nothing);
	tcase_add_test(t, a_release_for_longer_than_the_expiry_ends_with_it);
	tcase_add_test(t, a_message_released_now_keeps_its_place_among_those_due_now);
	tcase_add_loop_test(t, backoff_doubles_from_min_to_max_and_lies_between_half_and_all, 0, COUNT(policies));
	tcase_add_test(t, backoff_is_spread_over_its_range);
	tcase_add_test(t, backoff_follows_attributes_changed_since_the_receive);
	suite_add_tcase(s, t);
	return s;
}
