/* SPDX-License-Identifier: MIT */
/*
 * Receiving without waiting: which messages come and in what order, how many, how long they stay leased, what a
 * delivery tells, and the batch that holds them. Waiting is in t_wait.c.
 */
#include "support.h"

#define HALF_DAY_MS 43200000LL

/* The bodies received with these options, one letter each, in order. */
static void
expect_taken(evq_queue *q, const evq_receive_opts *opts, const char *letters)
{
	char got[300] = "";
	evq_batch *b = batch();
	int rc = evq_receive(q, NULL, opts, b);
	for (size_t i = 0; i < evq_batch_count(b); i++)
		got[i] = ((const char *)evq_batch_at(b, i)->body)[0];
	ck_assert_str_eq(got, letters);
	ck_rc(rc, letters[0] ? 0 : EVQ_EMPTY);
}

static void
send_letters(evq_queue *q, const char *letters, const evq_send_opts *opts)
{
	for (; *letters; letters++)
		send_with(q, (char[]){ *letters, 0 }, opts);
}

/* ---- options ----------------------------------------------------------------------------------- */

#define OPTS(...) { .size = sizeof(evq_receive_opts), __VA_ARGS__ }

static const struct {
	int rc;
	evq_receive_opts opts;
} options[] = {
	{ 0, OPTS(.count = 1) },
	{ 0, OPTS(.count = EVQ_BATCH_MAX) },
	{ E2BIG, OPTS(.count = EVQ_BATCH_MAX + 1) },
	{ E2BIG, OPTS(.count = UINT32_MAX) },
	{ 0, OPTS(.visibility_ms = 1) },
	{ 0, OPTS(.visibility_ms = HALF_DAY_MS) },
	{ EINVAL, OPTS(.visibility_ms = HALF_DAY_MS + 1) },
	{ EINVAL, OPTS(.visibility_ms = EVQ_NONE) },
	{ EINVAL, OPTS(.visibility_ms = INT64_MAX) },
	{ EINVAL, OPTS(.visibility_ms = INT64_MIN) },
	{ 0, OPTS(.wait_ms = EVQ_NONE) },
	{ 0, OPTS(.wait_ms = INT64_MAX) },
	{ EINVAL, OPTS(.wait_ms = -2) },
	{ EINVAL, OPTS(.wait_ms = INT64_MIN) },
	{ 0, OPTS(.window_ms = INT64_MAX) },
	{ EINVAL, OPTS(.window_ms = -2) },
	{ EINVAL, OPTS(.window_ms = INT64_MIN) },
	{ 0, OPTS(.max_bytes = 1) },
	{ 0, OPTS(.max_bytes = UINT64_MAX) },
	{ EINVAL, { .size = 0 } },
	{ EINVAL, { .size = sizeof(size_t) } },
	{ EINVAL, { .size = sizeof(evq_receive_opts) - 1 } },
};

/* With as many messages as are asked for, so that no wait or window is entered. */
START_TEST(options_out_of_bounds_are_refused_and_lease_nothing)
{
	static evq_buf bodies[EVQ_BATCH_MAX];
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	size_t count = options[_i].opts.count == EVQ_BATCH_MAX ? EVQ_BATCH_MAX : 1;
	ck_ok(evq_send_batch(q, NULL, bodies, count, NULL, NULL));
	ck_rc(evq_receive(q, NULL, &options[_i].opts, b), options[_i].rc);
	ck_assert_uint_eq(evq_batch_count(b), options[_i].rc ? 0 : count);
	expect_counts(q, options[_i].rc ? count : 0, 0, options[_i].rc ? 0 : count);
}
END_TEST

START_TEST(options_of_a_later_version_pass_when_they_are_zero)
{
	struct {
		evq_receive_opts now;
		char later[8];
	} o = { OPTS(.count = 3), { 0 } };
	o.now.size = sizeof(o);
	evq_queue *q = queue("q");
	send_letters(q, "abcde", NULL);
	expect_taken(q, &o.now, "abc");
	o.later[7] = 1;
	ck_rc(evq_receive(q, NULL, &o.now, batch()), E2BIG);
	expect_counts(q, 2, 0, 3);
}
END_TEST

START_TEST(null_arguments_are_einval)
{
	evq_queue *q = queue("q");
	send(q, "x");
	ck_rc(evq_receive(NULL, NULL, NULL, batch()), EINVAL);
	ck_rc(evq_receive(q, NULL, NULL, NULL), EINVAL);
	ck_rc(evq_batch_new(NULL), EINVAL);
	evq_batch_free(NULL);
	expect_counts(q, 1, 0, 0);
}
END_TEST

/* ---- order ------------------------------------------------------------------------------------- */

START_TEST(messages_come_in_the_order_they_became_due_then_by_id)
{
	evq_queue *q = queue("q");
	send_with(q, "f", EVQ_SEND_OPTS(.delay_ms = 300));
	send_with(q, "c", EVQ_SEND_OPTS(.delay_ms = 100));
	send_with(q, "e", EVQ_SEND_OPTS(.delay_ms = 200));
	send_with(q, "d", EVQ_SEND_OPTS(.delay_ms = 100));
	send(q, "a");
	clock_advance_ms(50);
	send(q, "b");
	send_with(q, "g", EVQ_SEND_OPTS(.delay_ms = 250));
	clock_advance_ms(250);
	expect_taken(q, EVQ_RECEIVE_OPTS(.count = 10), "abcdefg");
}
END_TEST

START_TEST(a_lease_that_ran_out_comes_behind_what_was_due_before_its_end)
{
	evq_queue *q = queue("q");
	send_letters(q, "ab", NULL);
	expect_taken(q, EVQ_RECEIVE_OPTS(.visibility_ms = 100), "a");
	clock_advance_ms(99);
	send(q, "c");
	clock_advance_ms(1);
	send(q, "d");
	expect_taken(q, EVQ_RECEIVE_OPTS(.count = 10), "bcad");
}
END_TEST

START_TEST(a_higher_priority_goes_first_whenever_it_was_sent)
{
	evq_queue *q = queue("q");
	send_letters(q, "lL", EVQ_SEND_OPTS(.priority = -128));
	send_letters(q, "mM", NULL);
	clock_advance_ms(1000);
	send_letters(q, "hH", EVQ_SEND_OPTS(.priority = 127));
	send_letters(q, "dD", EVQ_SEND_OPTS(.priority = 127, .delay_ms = 1));
	send_letters(q, "nN", EVQ_SEND_OPTS(.priority = 1));
	expect_taken(q, NULL, "h");
	expect_taken(q, EVQ_RECEIVE_OPTS(.count = 4), "HnNm");
	clock_advance_ms(1);
	expect_taken(q, EVQ_RECEIVE_OPTS(.count = 100), "dDMlL");
	expect_taken(q, NULL, "");
}
END_TEST

/* In every lane something that is not due stands before what is, in the lanes below. */
START_TEST(lanes_with_nothing_due_are_skipped)
{
	evq_queue *q = queue("q");
	for (int p = 127; p >= -128; p--)
		send_letters(q, "x", EVQ_SEND_OPTS(.priority = p, .delay_ms = 1000));
	expect_taken(q, EVQ_RECEIVE_OPTS(.count = 300), "");
	send_letters(q, "z", EVQ_SEND_OPTS(.priority = -128));
	send_letters(q, "y", EVQ_SEND_OPTS(.priority = -127));
	expect_taken(q, EVQ_RECEIVE_OPTS(.count = 300), "yz");
	expect_counts(q, 0, 256, 2);
}
END_TEST

START_TEST(queues_do_not_see_each_other)
{
	evq_queue *a = queue("a"), *b = queue("b"), *c = queue("c");
	send_letters(a, "aA", NULL);
	send_letters(c, "cC", NULL);
	expect_taken(b, EVQ_RECEIVE_OPTS(.count = 10), "");
	expect_taken(a, EVQ_RECEIVE_OPTS(.count = 10), "aA");
	expect_taken(c, EVQ_RECEIVE_OPTS(.count = 10), "cC");
}
END_TEST

/* ---- how many ---------------------------------------------------------------------------------- */

START_TEST(count_is_at_most_and_one_by_default)
{
	evq_queue *q = queue("q");
	send_letters(q, "abcdefghij", NULL);
	expect_taken(q, NULL, "a");
	expect_taken(q, EVQ_RECEIVE_OPTS(), "b");
	expect_taken(q, EVQ_RECEIVE_OPTS(.count = 2), "cd");
	expect_taken(q, EVQ_RECEIVE_OPTS(.count = 6), "efghij");
	expect_taken(q, EVQ_RECEIVE_OPTS(.count = 6), "");
	send_letters(q, "kl", NULL);
	expect_taken(q, EVQ_RECEIVE_OPTS(.count = EVQ_BATCH_MAX), "kl");
}
END_TEST

/* Bodies of 3, 0, 4, 2 and 1 bytes. */
static const struct {
	uint64_t max_bytes;
	size_t count;
} sums[] = {
	{ 0, 5 }, { 1, 1 }, { 2, 1 }, { 3, 2 }, { 6, 2 }, { 7, 3 }, { 8, 3 }, { 9, 4 }, { 10, 5 }, { 11, 5 }, { UINT64_MAX, 5 },
};

START_TEST(max_bytes_stops_before_the_sum_exceeds_it_but_the_first_fits)
{
	evq_queue *q = queue("q");
	const char *bodies[] = { "abc", "", "defg", "hi", "j" };
	evq_batch *b = batch();
	for (int i = 0; i < 5; i++)
		send_with(q, bodies[i], EVQ_SEND_OPTS(.priority = -i));
	ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 5, .max_bytes = sums[_i].max_bytes), b));
	ck_assert_uint_eq(evq_batch_count(b), sums[_i].count);
	for (size_t i = 0; i < sums[_i].count; i++)
		ck_assert_str_eq(evq_batch_at(b, i)->body, bodies[i]);
	expect_counts(q, 5 - sums[_i].count, 0, sums[_i].count);
}
END_TEST

/* ---- leases ------------------------------------------------------------------------------------ */

START_TEST(a_lease_lasts_as_long_as_asked_and_no_longer)
{
	static const struct {
		int64_t queue_ms, receive_ms, lease_ms;
	} cases[] = { { 0, 0, 30000 }, { 7, 0, 7 }, { 7, 1, 1 }, { 7, 9, 9 }, { 0, HALF_DAY_MS, HALF_DAY_MS } };
	for (int i = 0; i < COUNT(cases); i++) {
		evq_queue *q = queue_with((char[]){ (char)('a' + i), 0 }, EVQ_QUEUE_ATTRS(.visibility_ms = cases[i].queue_ms));
		send(q, "x");
		expect_taken(q, EVQ_RECEIVE_OPTS(.visibility_ms = cases[i].receive_ms), "x");
		clock_advance_ms(cases[i].lease_ms - 1);
		expect_counts(q, 0, 0, 1);
		expect_taken(q, NULL, "");
		clock_advance_ms(1);
		expect_counts(q, 1, 0, 0);
		expect_taken(q, NULL, "x");
	}
}
END_TEST

START_TEST(a_delivery_tells_its_history)
{
	evq_queue *q = queue("q");
	int64_t start = clock_now_ms();
	evq_id id = send_with(q, "x", EVQ_SEND_OPTS(.delay_ms = 10, .priority = 3));
	clock_advance_ms(15);
	for (uint32_t n = 1; n <= 40; n++) {
		const evq_delivery *d = evq_batch_at(take(q, 1), 0);
		ck_assert_uint_eq(d->id, id);
		ck_assert_uint_eq(d->receives, n);
		ck_assert_int_eq(d->priority, 3);
		ck_assert_int_eq(d->sent_at_ms, start);
		ck_assert_int_eq(d->first_received_at_ms, start + 15);
		ck_assert_int_eq(d->visible_at_ms, clock_now_ms() + 30000);
		ck_assert_int_eq(d->state, EVQ_LEASED);
		clock_advance_ms(30000 + n);
	}
	ck_assert_uint_eq(stats(q).received, 40);
}
END_TEST

START_TEST(a_lease_never_outlives_the_expiry)
{
	evq_queue *q = queue("q");
	send_with(q, "x", EVQ_SEND_OPTS(.expires_ms = 50));
	ck_assert_int_eq(evq_batch_at(take(q, 1), 0)->visible_at_ms, clock_now_ms() + 50);
	expect_counts(q, 0, 0, 1);
	clock_advance_ms(50);
	expect_counts(q, 0, 0, 0);
	expect_taken(q, NULL, "");
}
END_TEST

START_TEST(leases_survive_a_reopen)
{
	evq_queue *q = queue("q");
	send(q, "x");
	evq_receipt r = take_one(q, "x");
	store_reopen();
	q = queue("q");
	expect_counts(q, 0, 0, 1);
	expect_taken(q, NULL, "");
	ck_ok(evq_delete(q, NULL, &r));
	expect_counts(q, 0, 0, 0);
}
END_TEST

/* ---- the batch --------------------------------------------------------------------------------- */

START_TEST(a_batch_holds_the_last_receive_and_only_it)
{
	evq_queue *q = queue("q"), *other = queue("other");
	evq_batch *b = batch();
	ck_assert_uint_eq(evq_batch_count(b), 0);
	ck_assert_ptr_null(evq_batch_at(b, 0));
	send_letters(q, "abcdefgh", NULL);
	send(other, "other");
	for (uint32_t n = 1; n <= 3; n++) {
		ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 3 - n + 1), b));
		ck_assert_uint_eq(evq_batch_count(b), 3 - n + 1);
		ck_assert_ptr_nonnull(evq_batch_at(b, 3 - n));
		ck_assert_ptr_null(evq_batch_at(b, 3 - n + 1));
		ck_assert_ptr_null(evq_batch_at(b, SIZE_MAX));
	}
	ck_ok(evq_receive(other, NULL, NULL, b));
	ck_assert_str_eq(evq_batch_at(b, 0)->body, "other");
}
END_TEST

START_TEST(a_receive_that_fails_leaves_the_batch_empty)
{
	evq_queue *q = queue("q"), *empty = queue("empty"), *gone = queue("gone");
	evq_batch *b = batch();
	ck_ok(evq_queue_drop(env, NULL, "gone"));
	static const evq_receive_opts too_many = OPTS(.count = EVQ_BATCH_MAX + 1);
	const struct {
		evq_queue *q;
		const evq_receive_opts *opts;
		int rc;
	} cases[] = { { empty, NULL, EVQ_EMPTY }, { gone, NULL, EVQ_NOQUEUE }, { q, &too_many, E2BIG }, { NULL, NULL, EINVAL } };
	for (int i = 0; i < COUNT(cases); i++) {
		send(q, "x");
		ck_ok(evq_receive(q, NULL, NULL, b));
		ck_assert_uint_eq(evq_batch_count(b), 1);
		ck_rc(evq_receive(cases[i].q, NULL, cases[i].opts, b), cases[i].rc);
		ck_assert_uint_eq(evq_batch_count(b), 0);
		ck_assert_ptr_null(evq_batch_at(b, 0));
	}
}
END_TEST

START_TEST(a_batch_outlives_its_messages_queue_and_store)
{
	evq_queue *q = queue("q");
	const evq_attr attr = { "name", "value", 5 };
	send_with(q, "body", EVQ_SEND_OPTS(.attrs = &attr, .attr_count = 1, .group = "group"));
	evq_batch *b = NULL;
	ck_ok(evq_batch_new(&b));
	ck_ok(evq_receive(q, NULL, NULL, b));
	const evq_delivery *d = evq_batch_at(b, 0);
	ck_ok(evq_delete(q, NULL, &d->receipt));
	ck_ok(evq_queue_drop(env, NULL, "q"));
	for (int i = 0; i < 20; i++)
		send(queue("other"), "overwrites the page the message was on");
	store_reopen();
	ck_assert_str_eq(d->body, "body");
	ck_assert_str_eq(d->attrs[0].name, "name");
	ck_assert_str_eq(d->attrs[0].value, "value");
	ck_assert_str_eq(d->group, "group");
	evq_batch_free(b);
}
END_TEST

START_TEST(an_aborted_receive_leases_nothing_and_counts_nothing)
{
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	evq_txn *txn = NULL;
	send(q, "x");
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_receive(q, txn, NULL, b));
	evq_abort(txn);
	evq_receipt r = evq_batch_at(b, 0)->receipt;
	expect_counts(q, 1, 0, 0);
	ck_rc(evq_delete(q, NULL, &r), EVQ_STALE);
	ck_assert_uint_eq(stats(q).received, 0);
	const evq_delivery *d = evq_batch_at(take(q, 1), 0);
	ck_assert_uint_eq(d->receives, 1);
}
END_TEST

Suite *
receive_suite(void)
{
	Suite *s = suite_create("receive");
	TCase *t = tcase_create("receive");
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_loop_test(t, options_out_of_bounds_are_refused_and_lease_nothing, 0, COUNT(options));
	tcase_add_test(t, options_of_a_later_version_pass_when_they_are_zero);
	tcase_add_test(t, null_arguments_are_einval);
	tcase_add_test(t, messages_come_in_the_order_they_became_due_then_by_id);
	tcase_add_test(t, a_lease_that_ran_out_comes_behind_what_was_due_before_its_end);
	tcase_add_test(t, a_higher_priority_goes_first_whenever_it_was_sent);
	tcase_add_test(t, lanes_with_nothing_due_are_skipped);
	tcase_add_test(t, queues_do_not_see_each_other);
	tcase_add_test(t, count_is_at_most_and_one_by_default);
	tcase_add_loop_test(t, max_bytes_stops_before_the_sum_exceeds_it_but_the_first_fits, 0, COUNT(sums));
	tcase_add_test(t, a_lease_lasts_as_long_as_asked_and_no_longer);
	tcase_add_test(t, a_delivery_tells_its_history);
	tcase_add_test(t, a_lease_never_outlives_the_expiry);
	tcase_add_test(t, leases_survive_a_reopen);
	tcase_add_test(t, a_batch_holds_the_last_receive_and_only_it);
	tcase_add_test(t, a_receive_that_fails_leaves_the_batch_empty);
	tcase_add_test(t, a_batch_outlives_its_messages_queue_and_store);
	tcase_add_test(t, an_aborted_receive_leases_nothing_and_counts_nothing);
	suite_add_tcase(s, t);
	return s;
}
