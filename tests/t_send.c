/* SPDX-License-Identifier: MIT */
/*
 * Sending: what is refused and that a refusal changes nothing, ids, batches that are all or nothing, delay,
 * expiry, priority and quotas. What a message carries (body, headers, group) is in t_body.c.
 */
#include "support.h"

#define YEAR_MS 31536000000LL
#define CENTURY_MS 3155760000000LL
#define UNTOUCHED ((evq_id)4711)

static void
expect_nothing_sent(evq_queue *q)
{
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.messages, 0);
	ck_assert_uint_eq(s.bytes, 0);
	ck_assert_uint_eq(s.sent, 0);
}

/* ---- options and their bounds ------------------------------------------------------------------ */

#define OPTS(...) { .size = sizeof(evq_send_opts), __VA_ARGS__ }

static const struct {
	int rc;
	evq_send_opts opts;
} options[] = {
	{ 0, OPTS(.delay_ms = 1) },
	{ 0, OPTS(.delay_ms = EVQ_NONE) },
	{ 0, OPTS(.delay_ms = YEAR_MS) },
	{ EINVAL, OPTS(.delay_ms = YEAR_MS + 1) },
	{ EINVAL, OPTS(.delay_ms = EVQ_BACKOFF) },
	{ EINVAL, OPTS(.delay_ms = INT64_MAX) },
	{ EINVAL, OPTS(.delay_ms = INT64_MIN) },
	{ 0, OPTS(.expires_ms = 1) },
	{ 0, OPTS(.expires_ms = CENTURY_MS) },
	{ EINVAL, OPTS(.expires_ms = CENTURY_MS + 1) },
	{ EINVAL, OPTS(.expires_ms = EVQ_NONE) },
	{ EINVAL, OPTS(.expires_ms = INT64_MAX) },
	{ EINVAL, OPTS(.expires_ms = INT64_MIN) },
	{ 0, OPTS(.priority = -128) },
	{ 0, OPTS(.priority = 127) },
	{ EINVAL, OPTS(.priority = -129) },
	{ EINVAL, OPTS(.priority = 128) },
	{ EINVAL, OPTS(.priority = 256) },
	{ EINVAL, OPTS(.priority = INT32_MAX) },
	{ EINVAL, OPTS(.priority = INT32_MIN) },
	{ EINVAL, OPTS(.group = "") },
	{ EINVAL, OPTS(.dedup_id = "") },
	{ EVQ_TOOBIG, OPTS(.dedup_id = "129 bytes: 0123456789012345678901234567890123456789012345678901234567890123456789"
	                               "01234567890123456789012345678901234567890123456789") },
	{ EINVAL, OPTS(.attr_count = 1) },
	{ EINVAL, { .size = 0 } },
	{ EINVAL, { .size = sizeof(size_t) } },
	{ EINVAL, { .size = sizeof(evq_send_opts) - 1 } },
};

START_TEST(options_out_of_bounds_are_refused_and_change_nothing)
{
	int rc = options[_i].rc;
	const evq_buf bodies[] = { { "a", 1 }, { "b", 1 } };
	evq_id ids[] = { UNTOUCHED, UNTOUCHED };
	evq_queue *q = queue("q");
	ck_rc(evq_send(q, NULL, "x", 1, &options[_i].opts, &ids[0]), rc);
	ck_assert((ids[0] == UNTOUCHED) == (rc != 0));
	ck_rc(evq_send_batch(q, NULL, bodies, 2, &options[_i].opts, ids), rc);
	ck_assert((ids[1] == UNTOUCHED) == (rc != 0));
	if (rc)
		expect_nothing_sent(q);
	else
		ck_assert_uint_eq(stats(q).sent, 3);
}
END_TEST

START_TEST(options_of_a_later_version_pass_when_they_are_zero)
{
	struct {
		evq_send_opts now;
		char later[40];
	} o = { OPTS(.priority = 7), { 0 } };
	o.now.size = sizeof(o);
	evq_queue *q = queue("q");
	send_with(q, "x", &o.now);
	ck_assert_int_eq(evq_batch_at(take(q, 1), 0)->priority, 7);
	o.later[39] = 1;
	ck_rc(evq_send(q, NULL, "x", 1, &o.now, NULL), E2BIG);
	ck_assert_uint_eq(stats(q).sent, 1);
}
END_TEST

START_TEST(null_arguments_are_einval)
{
	evq_queue *q = queue("q");
	const evq_buf bad = { NULL, 1 };
	evq_id id = UNTOUCHED;
	ck_rc(evq_send(NULL, NULL, "x", 1, NULL, &id), EINVAL);
	ck_rc(evq_send(q, NULL, NULL, 1, NULL, &id), EINVAL);
	ck_rc(evq_send_batch(NULL, NULL, &bad, 1, NULL, &id), EINVAL);
	ck_rc(evq_send_batch(q, NULL, NULL, 1, NULL, &id), EINVAL);
	ck_rc(evq_send_batch(q, NULL, &bad, 1, NULL, &id), EINVAL);
	ck_assert_uint_eq(id, UNTOUCHED);
	expect_nothing_sent(q);
	ck_ok(evq_send(q, NULL, NULL, 0, NULL, NULL));
	ck_ok(evq_send(q, NULL, "", 0, NULL, NULL));
}
END_TEST

/* ---- ids and batches --------------------------------------------------------------------------- */

START_TEST(ids_grow_over_all_queues_and_are_never_reused)
{
	evq_queue *a = queue("a"), *b = queue("b");
	evq_id last = 0;
	for (int i = 0; i < 20; i++) {
		evq_id id = send(i % 2 ? a : b, "x");
		ck_assert_uint_gt(id, last);
		last = id;
		if (i % 3 == 0) {
			evq_receipt r = take_one(i % 2 ? a : b, "x");
			ck_ok(evq_delete(i % 2 ? a : b, NULL, &r));
		}
	}
	size_t purged = 0;
	ck_ok(evq_purge(a, NULL, &purged));
	ck_ok(evq_purge(b, NULL, &purged));
	store_reopen();
	ck_assert_uint_gt(send(queue("c"), "x"), last);
}
END_TEST

START_TEST(a_batch_has_consecutive_ids_in_its_order)
{
	const evq_buf bodies[] = { { "one", 3 }, { NULL, 0 }, { "three", 5 }, { "", 0 }, { "five", 4 } };
	enum { N = COUNT(bodies) };
	evq_queue *q = queue("q");
	evq_id ids[N];
	ck_ok(evq_send_batch(q, NULL, bodies, N, NULL, ids));
	ck_ok(evq_send_batch(q, NULL, bodies, N, NULL, NULL));
	evq_batch *b = take(q, 2 * N);
	for (size_t i = 0; i < 2 * N; i++) {
		const evq_delivery *d = evq_batch_at(b, i);
		ck_assert_uint_eq(d->id, ids[0] + i);
		ck_assert_uint_eq(d->body_len, bodies[i % N].len);
		ck_assert_mem_eq(d->body, bodies[i % N].data ? bodies[i % N].data : "", d->body_len);
	}
	for (size_t i = 0; i < N; i++)
		ck_assert_uint_eq(ids[i], ids[0] + i);
}
END_TEST

START_TEST(options_hold_for_every_message_of_a_batch)
{
	const evq_buf bodies[] = { { "a", 1 }, { "b", 1 }, { "c", 1 } };
	const evq_attr attr = { "k", "v", 1 };
	evq_queue *q = queue("q");
	ck_ok(evq_send_batch(q, NULL, bodies, 3,
	                     EVQ_SEND_OPTS(.priority = -3, .group = "g", .attrs = &attr, .attr_count = 1, .delay_ms = 10,
	                                   .expires_ms = 20),
	                     NULL));
	expect_counts(q, 0, 3, 0);
	clock_advance_ms(10);
	evq_batch *b = take(q, 3);
	for (size_t i = 0; i < 3; i++) {
		const evq_delivery *d = evq_batch_at(b, i);
		ck_assert_int_eq(d->priority, -3);
		ck_assert_str_eq(d->group, "g");
		ck_assert_uint_eq(d->attr_count, 1);
		ck_assert_int_eq(d->visible_at_ms, clock_now_ms() + 10);
	}
}
END_TEST

START_TEST(a_batch_holds_0_to_10000_messages)
{
	static evq_buf bodies[EVQ_BATCH_MAX + 1];
	static evq_id ids[EVQ_BATCH_MAX + 1];
	evq_queue *q = queue("q");
	for (size_t i = 0; i <= EVQ_BATCH_MAX; i++) {
		bodies[i] = (evq_buf){ &"0123456789"[i % 10], 1 };
		ids[i] = UNTOUCHED;
	}
	ck_ok(evq_send_batch(q, NULL, bodies, 0, NULL, ids));
	ck_rc(evq_send_batch(q, NULL, bodies, EVQ_BATCH_MAX + 1, NULL, ids), E2BIG);
	ck_rc(evq_send_batch(q, NULL, bodies, SIZE_MAX, NULL, ids), E2BIG);
	ck_assert_uint_eq(ids[0], UNTOUCHED);
	expect_nothing_sent(q);
	ck_ok(evq_send_batch(q, NULL, bodies, EVQ_BATCH_MAX, NULL, ids));
	ck_assert_uint_eq(ids[EVQ_BATCH_MAX], UNTOUCHED);
	evq_batch *b = take(q, EVQ_BATCH_MAX);
	for (size_t i = 0; i < EVQ_BATCH_MAX; i++) {
		ck_assert_uint_eq(evq_batch_at(b, i)->id, ids[i]);
		ck_assert_mem_eq(evq_batch_at(b, i)->body, bodies[i].data, 1);
	}
}
END_TEST

START_TEST(one_bad_message_refuses_the_batch)
{
	static const struct {
		int rc;
		evq_buf bad;
	} cases[] = { { EINVAL, { NULL, 1 } }, { EVQ_TOOBIG, { "1234", 4 } }, { EVQ_TOOBIG, { "", SIZE_MAX } } };
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.max_body_len = 3));
	for (int c = 0; c < COUNT(cases); c++)
		for (size_t at = 0; at < 5; at++) {
			evq_buf bodies[] = { { "a", 1 }, { "b", 1 }, { "c", 1 }, { "d", 1 }, { "e", 1 } };
			evq_id ids[5] = { UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED };
			bodies[at] = cases[c].bad;
			ck_rc(evq_send_batch(q, NULL, bodies, 5, NULL, ids), cases[c].rc);
			for (int i = 0; i < 5; i++)
				ck_assert_uint_eq(ids[i], UNTOUCHED);
			expect_nothing_sent(q);
		}
}
END_TEST

/* ---- delay, expiry, priority ------------------------------------------------------------------- */

START_TEST(a_delayed_message_comes_when_it_is_due_and_not_before)
{
	static const struct {
		int64_t queue_ms, send_ms, due_ms;
	} cases[] = { { 0, 1, 1 },     { 0, 5000, 5000 }, { 700, 0, 700 },         { 700, 5, 5 },
		          { 700, 900, 900 }, { 0, 0, 0 },       { 700, EVQ_NONE, 0 }, { 0, EVQ_NONE, 0 } };
	for (int i = 0; i < COUNT(cases); i++) {
		evq_queue *q = queue_with((char[]){ (char)('a' + i), 0 }, EVQ_QUEUE_ATTRS(.delay_ms = cases[i].queue_ms));
		send_with(q, "x", EVQ_SEND_OPTS(.delay_ms = cases[i].send_ms));
		if (cases[i].due_ms) {
			clock_advance_ms(cases[i].due_ms - 1);
			expect_counts(q, 0, 1, 0);
			expect_empty(q);
			clock_advance_ms(1);
		}
		expect_counts(q, 1, 0, 0);
		take_one(q, "x");
	}
}
END_TEST

/* 0 is "no end" for the queue's retention, "the queue's" for the message; the shorter of both rules. */
START_TEST(a_message_is_gone_at_its_expiry_and_not_before)
{
	static const struct {
		int64_t retention_ms, expires_ms, end_ms;
	} cases[] = { { 0, 1, 1 },         { 0, 400, 400 },     { 300, 0, 300 },
		      { 300, 299, 299 }, { 300, 301, 300 }, { 300, CENTURY_MS, 300 } };
	for (int i = 0; i < COUNT(cases); i++) {
		evq_queue *q = queue_with((char[]){ (char)('a' + i), 0 },
		                          EVQ_QUEUE_ATTRS(.retention_ms = cases[i].retention_ms, .visibility_ms = 1));
		send_with(q, "x", EVQ_SEND_OPTS(.expires_ms = cases[i].expires_ms));
		clock_advance_ms(cases[i].end_ms - 1);
		expect_counts(q, 1, 0, 0);
		take_one(q, "x");
		clock_advance_ms(1);
		expect_counts(q, 0, 0, 0);
		expect_empty(q);
		evq_stats s = stats(q);
		ck_assert_uint_eq(s.messages, 0);
		ck_assert_uint_eq(s.expired, 1);
		ck_assert_uint_eq(s.deleted + s.dead_lettered + s.purged, 0);
	}
}
END_TEST

START_TEST(a_message_that_expires_before_it_is_due_is_never_seen)
{
	evq_queue *q = queue("q");
	send_with(q, "x", EVQ_SEND_OPTS(.delay_ms = 100, .expires_ms = 100));
	send_with(q, "y", EVQ_SEND_OPTS(.delay_ms = 1000, .expires_ms = 10));
	expect_counts(q, 0, 2, 0);
	clock_advance_ms(10);
	expect_counts(q, 0, 1, 0);
	clock_advance_ms(2000);
	expect_empty(q);
	ck_assert_uint_eq(stats(q).expired, 2);
	ck_assert_uint_eq(seen_count, 2);
	ck_assert_int_eq(seen[0].type, EVQ_EVENT_EXPIRED);
	ck_assert_str_eq(seen[0].queue, "q");
}
END_TEST

START_TEST(a_message_without_expiry_outlives_a_century)
{
	evq_queue *q = queue("q");
	send(q, "x");
	clock_advance_ms(2 * CENTURY_MS);
	take_one(q, "x");
}
END_TEST

START_TEST(every_priority_comes_back_highest_first)
{
	evq_queue *q = queue("q");
	for (int i = 0; i < 256; i++)
		send_with(q, "x", EVQ_SEND_OPTS(.priority = (i * 37 & 255) - 128));
	evq_batch *b = take(q, 256);
	for (int i = 0; i < 256; i++)
		ck_assert_int_eq(evq_batch_at(b, (size_t)i)->priority, 127 - i);
}
END_TEST

/* ---- quotas ------------------------------------------------------------------------------------ */

START_TEST(a_quota_of_messages_counts_every_state)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.max_messages = 3));
	evq_id id = UNTOUCHED;
	send(q, "leased");
	evq_receipt r = take_one(q, "leased");
	send_with(q, "delayed", EVQ_SEND_OPTS(.delay_ms = 1000));
	send(q, "visible");
	ck_rc(evq_send(q, NULL, NULL, 0, NULL, &id), EVQ_FULL);
	ck_assert_uint_eq(id, UNTOUCHED);
	expect_counts(q, 1, 1, 1);
	ck_assert_uint_eq(stats(q).sent, 3);
	send(queue("other"), "x");
	ck_ok(evq_delete(q, NULL, &r));
	send(q, "fits again");
	ck_rc(evq_send(q, NULL, "x", 1, NULL, NULL), EVQ_FULL);
}
END_TEST

START_TEST(a_quota_of_bytes_counts_bodies_alone)
{
	const evq_attr attr = { "a-name", "a-value-of-some-length", 22 };
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.max_bytes = 10));
	send_with(q, "sixsix", EVQ_SEND_OPTS(.attrs = &attr, .attr_count = 1, .group = "group"));
	ck_rc(evq_send(q, NULL, "fives", 5, NULL, NULL), EVQ_FULL);
	send(q, "four");
	send(q, "");
	ck_rc(evq_send(q, NULL, "x", 1, NULL, NULL), EVQ_FULL);
	ck_assert_uint_eq(stats(q).bytes, 10);
	evq_receipt r = take_one(q, "sixsix");
	ck_ok(evq_delete(q, NULL, &r));
	ck_assert_uint_eq(stats(q).bytes, 4);
	send(q, "sixsix");
}
END_TEST

START_TEST(a_batch_over_a_quota_is_refused_whole)
{
	const evq_buf bodies[] = { { "aaa", 3 }, { "bbb", 3 }, { "ccc", 3 } };
	evq_queue *few = queue_with("few", EVQ_QUEUE_ATTRS(.max_messages = 2));
	evq_queue *small = queue_with("small", EVQ_QUEUE_ATTRS(.max_bytes = 8));
	evq_id ids[] = { UNTOUCHED, UNTOUCHED, UNTOUCHED };
	ck_rc(evq_send_batch(few, NULL, bodies, 3, NULL, ids), EVQ_FULL);
	ck_rc(evq_send_batch(small, NULL, bodies, 3, NULL, ids), EVQ_FULL);
	ck_assert_uint_eq(ids[0] + ids[1] + ids[2], 3 * UNTOUCHED);
	expect_nothing_sent(few);
	expect_nothing_sent(small);
	ck_ok(evq_send_batch(few, NULL, bodies, 2, NULL, ids));
	ck_ok(evq_send_batch(small, NULL, bodies, 2, NULL, ids));
}
END_TEST

START_TEST(a_send_makes_room_by_clearing_what_has_expired)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.max_messages = 1, .retention_ms = 50));
	for (int i = 0; i < 10; i++) {
		send(q, "x");
		ck_rc(evq_send(q, NULL, "y", 1, NULL, NULL), EVQ_FULL);
		clock_advance_ms(50);
	}
	ck_assert_uint_eq(stats(q).expired, 9);
}
END_TEST

START_TEST(a_quota_holds_inside_a_transaction)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.max_messages = 2));
	evq_txn *txn = NULL;
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_send(q, txn, "a", 1, NULL, NULL));
	ck_ok(evq_send(q, txn, "b", 1, NULL, NULL));
	ck_rc(evq_send(q, txn, "c", 1, NULL, NULL), EVQ_FULL);
	ck_ok(evq_commit(txn));
	expect_counts(q, 2, 0, 0);
}
END_TEST

Suite *
send_suite(void)
{
	Suite *s = suite_create("send");
	TCase *t = tcase_create("send");
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_loop_test(t, options_out_of_bounds_are_refused_and_change_nothing, 0, COUNT(options));
	tcase_add_test(t, options_of_a_later_version_pass_when_they_are_zero);
	tcase_add_test(t, null_arguments_are_einval);
	tcase_add_test(t, ids_grow_over_all_queues_and_are_never_reused);
	tcase_add_test(t, a_batch_has_consecutive_ids_in_its_order);
	tcase_add_test(t, options_hold_for_every_message_of_a_batch);
	tcase_add_test(t, a_batch_holds_0_to_10000_messages);
	tcase_add_test(t, one_bad_message_refuses_the_batch);
	tcase_add_test(t, a_delayed_message_comes_when_it_is_due_and_not_before);
	tcase_add_test(t, a_message_is_gone_at_its_expiry_and_not_before);
	tcase_add_test(t, a_message_that_expires_before_it_is_due_is_never_seen);
	tcase_add_test(t, a_message_without_expiry_outlives_a_century);
	tcase_add_test(t, every_priority_comes_back_highest_first);
	tcase_add_test(t, a_quota_of_messages_counts_every_state);
	tcase_add_test(t, a_quota_of_bytes_counts_bodies_alone);
	tcase_add_test(t, a_batch_over_a_quota_is_refused_whole);
	tcase_add_test(t, a_send_makes_room_by_clearing_what_has_expired);
	tcase_add_test(t, a_quota_holds_inside_a_transaction);
	suite_add_tcase(s, t);
	return s;
}
