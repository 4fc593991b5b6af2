/* SPDX-License-Identifier: MIT */
/*
 * Attributes of queues: their defaults and bounds, that a refusal changes nothing, that they last, and that a
 * change is in force at once through every handle, in every process.
 */
#include "procs.h"
#include "support.h"

#include <stddef.h>

#define DAY_MS 86400000LL
#define YEAR_MS (365 * DAY_MS)
#define CENTURY_MS 3155760000000LL
#define FIXED (EVQ_FIFO | EVQ_CONTENT_DEDUP | EVQ_FAIR)

static evq_queue_attrs
get(evq_queue *q)
{
	evq_queue_attrs a = { .size = sizeof(a) };
	ck_ok(evq_queue_get_attrs(q, &a));
	return a;
}

/* What get_attrs must answer for what was set. */
static evq_queue_attrs
effective(const evq_queue_attrs *set)
{
	evq_queue_attrs a = *set;
	a.visibility_ms = a.visibility_ms ? a.visibility_ms : 30000;
	a.max_body_len = a.max_body_len ? a.max_body_len : 1048576;
	a.retry_min_ms = a.retry_min_ms ? a.retry_min_ms : 1000;
	a.retry_max_ms = a.retry_max_ms ? a.retry_max_ms : 900000;
	a.dedup_ms = a.dedup_ms ? a.dedup_ms : 300000;
	return a;
}

static void
expect_attrs(evq_queue *q, const evq_queue_attrs *set)
{
	evq_queue_attrs got = get(q), want = effective(set);
	ck_assert_int_eq(got.visibility_ms, want.visibility_ms);
	ck_assert_int_eq(got.delay_ms, want.delay_ms);
	ck_assert_int_eq(got.retention_ms, want.retention_ms);
	ck_assert_uint_eq(got.max_receives, want.max_receives);
	ck_assert_uint_eq(got.max_messages, want.max_messages);
	ck_assert_uint_eq(got.max_bytes, want.max_bytes);
	ck_assert_uint_eq(got.max_body_len, want.max_body_len);
	ck_assert_int_eq(got.retry_min_ms, want.retry_min_ms);
	ck_assert_int_eq(got.retry_max_ms, want.retry_max_ms);
	ck_assert_int_eq(got.dedup_ms, want.dedup_ms);
	ck_assert_uint_eq(got.flags, want.flags);
	ck_assert_pstr_eq(got.dead_letter, want.dead_letter);
}

/* ---- bounds ------------------------------------------------------------------------------------ */

#define ATTRS(...) { .size = sizeof(evq_queue_attrs), __VA_ARGS__ }

static const struct {
	int rc;
	evq_queue_attrs attrs;
} bounds[] = {
	{ 0, ATTRS(.visibility_ms = 1) },
	{ 0, ATTRS(.visibility_ms = DAY_MS / 2) },
	{ EINVAL, ATTRS(.visibility_ms = DAY_MS / 2 + 1) },
	{ EINVAL, ATTRS(.visibility_ms = -1) },
	{ EINVAL, ATTRS(.visibility_ms = INT64_MAX) },
	{ EINVAL, ATTRS(.visibility_ms = INT64_MIN) },
	{ 0, ATTRS(.delay_ms = 1) },
	{ 0, ATTRS(.delay_ms = YEAR_MS) },
	{ EINVAL, ATTRS(.delay_ms = YEAR_MS + 1) },
	{ EINVAL, ATTRS(.delay_ms = EVQ_NONE) },
	{ EINVAL, ATTRS(.delay_ms = EVQ_BACKOFF) },
	{ EINVAL, ATTRS(.delay_ms = INT64_MAX) },
	{ 0, ATTRS(.retention_ms = 1) },
	{ 0, ATTRS(.retention_ms = CENTURY_MS) },
	{ EINVAL, ATTRS(.retention_ms = CENTURY_MS + 1) },
	{ EINVAL, ATTRS(.retention_ms = EVQ_NONE) },
	{ EINVAL, ATTRS(.retention_ms = INT64_MIN) },
	{ EINVAL, ATTRS(.max_receives = 1) },
	{ 0, ATTRS(.max_receives = 1, .dead_letter = "dead") },
	{ 0, ATTRS(.max_receives = UINT32_MAX, .dead_letter = "dead") },
	{ EINVAL, ATTRS(.dead_letter = "source") },
	{ EINVAL, ATTRS(.dead_letter = "source", .max_receives = 3) },
	{ 0, ATTRS(.max_messages = 1, .max_bytes = 1) },
	{ 0, ATTRS(.max_messages = UINT64_MAX, .max_bytes = UINT64_MAX) },
	{ 0, ATTRS(.max_body_len = 1) },
	{ 0, ATTRS(.max_body_len = EVQ_BODY_MAX) },
	{ EINVAL, ATTRS(.max_body_len = EVQ_BODY_MAX + 1U) },
	{ EINVAL, ATTRS(.max_body_len = UINT32_MAX) },
	{ 0, ATTRS(.retry_min_ms = 1) },
	{ 0, ATTRS(.retry_min_ms = 900000) },
	{ EINVAL, ATTRS(.retry_min_ms = 900001) },
	{ EINVAL, ATTRS(.retry_min_ms = -1) },
	{ EINVAL, ATTRS(.retry_min_ms = YEAR_MS + 1, .retry_max_ms = YEAR_MS + 1) },
	{ 0, ATTRS(.retry_max_ms = 1000) },
	{ EINVAL, ATTRS(.retry_max_ms = 999) },
	{ EINVAL, ATTRS(.retry_max_ms = -1) },
	{ EINVAL, ATTRS(.retry_max_ms = YEAR_MS + 1) },
	{ EINVAL, ATTRS(.retry_max_ms = INT64_MAX) },
	{ 0, ATTRS(.retry_min_ms = 1, .retry_max_ms = 1) },
	{ 0, ATTRS(.retry_min_ms = YEAR_MS, .retry_max_ms = YEAR_MS) },
	{ EINVAL, ATTRS(.retry_min_ms = 2, .retry_max_ms = 1) },
	{ 0, ATTRS(.dedup_ms = 1) },
	{ 0, ATTRS(.dedup_ms = YEAR_MS) },
	{ EINVAL, ATTRS(.dedup_ms = YEAR_MS + 1) },
	{ EINVAL, ATTRS(.dedup_ms = EVQ_NONE) },
	{ EINVAL, ATTRS(.dedup_ms = INT64_MAX) },
	{ EINVAL, ATTRS(.dedup_ms = INT64_MIN) },
	{ EINVAL, ATTRS(.flags = EVQ_EXPIRE_TO_DEAD_LETTER) },
	{ 0, ATTRS(.flags = EVQ_EXPIRE_TO_DEAD_LETTER, .dead_letter = "dead") },
	{ 0, ATTRS(.flags = EVQ_FIFO) },
	{ 0, ATTRS(.flags = EVQ_FAIR) },
	{ 0, ATTRS(.flags = EVQ_CONTENT_DEDUP, .dedup_ms = 9) },
	{ 0, ATTRS(.flags = EVQ_FIFO | EVQ_CONTENT_DEDUP) },
	{ 0, ATTRS(.flags = EVQ_FAIR | EVQ_CONTENT_DEDUP) },
	{ 0, ATTRS(.flags = EVQ_FIFO | EVQ_EXPIRE_TO_DEAD_LETTER, .dead_letter = "dead", .max_receives = 2) },
	{ EINVAL, ATTRS(.flags = EVQ_FIFO | EVQ_EXPIRE_TO_DEAD_LETTER) },
	{ EINVAL, ATTRS(.flags = EVQ_FIFO | EVQ_FAIR) },
	{ EINVAL, ATTRS(.flags = EVQ_FIFO | EVQ_FAIR | EVQ_CONTENT_DEDUP) },
	{ EINVAL, ATTRS(.flags = 16) },
	{ EINVAL, ATTRS(.flags = 0x80000000U) },
	{ EINVAL, ATTRS(.flags = EVQ_EXPIRE_TO_DEAD_LETTER | 0x100, .dead_letter = "dead") },
	{ EINVAL, { .size = 0, .visibility_ms = 5 } },
	{ EINVAL, { .size = sizeof(size_t), .visibility_ms = 5 } },
	{ EINVAL, { .size = offsetof(evq_queue_attrs, flags), .visibility_ms = 5 } },
	/* one field out of bounds, and a dead letter that must not come into being for it */
	{ EINVAL, ATTRS(.visibility_ms = -1, .dead_letter = "dead") },
	{ EINVAL, ATTRS(.flags = EVQ_FIFO | EVQ_FAIR, .dead_letter = "dead") },
	{ EINVAL, ATTRS(.dedup_ms = -1, .dead_letter = "dead") },
};

START_TEST(open_checks_the_bounds_and_a_refusal_creates_nothing)
{
	ck_rc(open_rc("source", &bounds[_i].attrs), bounds[_i].rc);
	if (bounds[_i].rc) {
		ck_rc(open_rc("source", NULL), EVQ_NOQUEUE);
		ck_rc(open_rc("dead", NULL), EVQ_NOQUEUE);
	} else
		expect_attrs(queue_with("source", NULL), &bounds[_i].attrs);
}
END_TEST

START_TEST(set_attrs_checks_the_bounds_and_a_refusal_changes_nothing)
{
	const evq_queue_attrs before = ATTRS(.visibility_ms = 77, .delay_ms = 88, .dead_letter = "first", .max_receives = 9);
	evq_queue *q = queue_with("source", &before);
	int rc = bounds[_i].attrs.flags & FIXED ? EINVAL : bounds[_i].rc;
	ck_rc(evq_queue_set_attrs(q, NULL, &bounds[_i].attrs), rc);
	expect_attrs(q, rc ? &before : &bounds[_i].attrs);
	if (rc)
		ck_rc(open_rc("dead", NULL), EVQ_NOQUEUE);
}
END_TEST

static const uint32_t kinds[] = {
	0, EVQ_FIFO, EVQ_CONTENT_DEDUP, EVQ_FAIR, EVQ_FIFO | EVQ_CONTENT_DEDUP, EVQ_FAIR | EVQ_CONTENT_DEDUP,
};

START_TEST(flags_of_its_kind_are_fixed_at_creation)
{
	evq_queue_attrs now = ATTRS(.flags = kinds[_i]);
	evq_queue *q = queue_with("q", &now);
	for (uint32_t flags = 0; flags < 16; flags++) {
		evq_queue_attrs a = ATTRS(.flags = flags, .delay_ms = flags + 1, .dead_letter = "dead");
		int fits = (flags & FIXED) == kinds[_i];
		ck_rc(evq_queue_set_attrs(q, NULL, &a), fits ? 0 : EINVAL);
		now = fits ? a : now;
		expect_attrs(q, &now);
	}
	ck_ok(open_rc("q", EVQ_QUEUE_ATTRS(.flags = kinds[(_i + 1) % COUNT(kinds)]))); /* an existing one keeps its own */
	store_reopen();
	expect_attrs(queue("q"), &now);
}
END_TEST

START_TEST(open_of_an_existing_queue_checks_the_attributes_then_ignores_them)
{
	const evq_queue_attrs before = ATTRS(.visibility_ms = 77, .delay_ms = 88);
	evq_queue *q = queue_with("source", &before);
	ck_rc(open_rc("source", &bounds[_i].attrs), bounds[_i].rc);
	expect_attrs(q, &before);
	ck_rc(open_rc("dead", NULL), EVQ_NOQUEUE);
}
END_TEST

START_TEST(attributes_of_a_later_version_pass_when_they_are_zero)
{
	struct {
		evq_queue_attrs now;
		uint64_t later[3];
	} a = { ATTRS(.visibility_ms = 55), { 0 } };
	a.now.size = sizeof(a);
	ck_ok(open_rc("q", &a.now));
	ck_assert_int_eq(get(queue("q")).visibility_ms, 55);
	a.later[2] = 1;
	ck_rc(open_rc("r", &a.now), E2BIG);
	ck_rc(evq_queue_set_attrs(queue("q"), NULL, &a.now), E2BIG);
	ck_rc(open_rc("r", NULL), EVQ_NOQUEUE);
}
END_TEST

/* ---- attributes at work ------------------------------------------------------------------------ */

START_TEST(a_queue_of_defaults_says_what_they_are)
{
	expect_attrs(queue("q"), EVQ_QUEUE_ATTRS());
}
END_TEST

START_TEST(attributes_survive_a_reopen)
{
	const evq_queue_attrs set = ATTRS(.visibility_ms = 1, .delay_ms = 2, .retention_ms = 3, .max_receives = 4,
	                                  .dead_letter = "dead", .max_messages = 5, .max_bytes = 6, .max_body_len = 7,
	                                  .retry_min_ms = 8, .retry_max_ms = 9, .dedup_ms = 10,
	                                  .flags = EVQ_EXPIRE_TO_DEAD_LETTER);
	queue_with("q", &set);
	store_reopen();
	expect_attrs(queue_with("q", NULL), &set);
	expect_attrs(queue_with("dead", NULL), EVQ_QUEUE_ATTRS());
}
END_TEST

START_TEST(get_then_change_then_set_keeps_the_rest)
{
	evq_queue_attrs want = ATTRS(.visibility_ms = 11, .dead_letter = "dead", .max_receives = 3, .retry_min_ms = 5,
	                             .dedup_ms = 4444);
	evq_queue *q = queue_with("q", &want);
	evq_queue_attrs a = get(q);
	a.delay_ms = 12;
	ck_ok(evq_queue_set_attrs(q, NULL, &a));
	want.delay_ms = 12;
	expect_attrs(q, &want);
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS()));
	expect_attrs(q, EVQ_QUEUE_ATTRS());
}
END_TEST

START_TEST(a_dead_letter_name_got_stays_readable_until_the_handle_is_closed)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.dead_letter = "first"));
	const char *first = get(q).dead_letter;
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.dead_letter = "a-second-and-longer-name")));
	const char *second = get(q).dead_letter;
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS()));
	ck_assert_ptr_null(get(q).dead_letter);
	ck_assert_str_eq(first, "first");
	ck_assert_str_eq(second, "a-second-and-longer-name");
}
END_TEST

START_TEST(attributes_set_through_one_handle_rule_the_other)
{
	evq_queue *one = queue("q"), *two = queue("q");
	ck_ok(evq_queue_set_attrs(one, NULL, EVQ_QUEUE_ATTRS(.delay_ms = 500, .visibility_ms = 70, .max_body_len = 3,
	                                                     .max_messages = 2)));
	ck_assert_int_eq(get(two).delay_ms, 500);
	ck_rc(evq_send(two, NULL, "four", 4, NULL, NULL), EVQ_TOOBIG);
	send(two, "a");
	send(two, "b");
	ck_rc(evq_send(two, NULL, "c", 1, NULL, NULL), EVQ_FULL);
	expect_empty(two);
	clock_advance_ms(500);
	evq_batch *b = take(two, 2);
	ck_assert_int_eq(evq_batch_at(b, 0)->visible_at_ms, clock_now_ms() + 70);
}
END_TEST

static int
set_in_child(void *arg)
{
	(void)arg;
	evq_env *own = NULL;
	evq_queue *q = NULL;
	EXPECT(evq_env_open(store_dir, EVQ_ENV_OPTS(.clock = fake_clock), &own), 0);
	EXPECT(evq_queue_open(own, "q", NULL, &q), 0);
	EXPECT(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.visibility_ms = 4321, .dead_letter = "born-in-child")), 0);
	evq_queue_close(q);
	evq_env_close(own);
	return 0;
}

START_TEST(attributes_set_in_another_process_rule_here)
{
	evq_queue *q = queue("q");
	send(q, "m");
	ck_assert_int_eq(proc_run(set_in_child, NULL), 0);
	expect_attrs(q, EVQ_QUEUE_ATTRS(.visibility_ms = 4321, .dead_letter = "born-in-child"));
	ck_assert_int_eq(evq_batch_at(take(q, 1), 0)->visible_at_ms, clock_now_ms() + 4321);
	send(q, "n");
	evq_receipt r = take_one(q, "n");
	ck_ok(evq_bury(q, NULL, &r, "to the new one"));
	expect_counts(queue_with("born-in-child", NULL), 1, 0, 0);
}
END_TEST

START_TEST(a_quota_below_what_is_there_only_refuses_sends)
{
	evq_queue *q = queue("q");
	for (int i = 0; i < 5; i++)
		send(q, "x");
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.max_messages = 2)));
	ck_rc(evq_send(q, NULL, "x", 1, NULL, NULL), EVQ_FULL);
	evq_batch *b = take(q, 5);
	for (size_t i = 0; i < 5; i++) {
		evq_receipt r = evq_batch_at(b, i)->receipt;
		int rc = evq_send(q, NULL, "", 0, NULL, NULL);
		ck_rc(rc, i < 4 ? EVQ_FULL : 0);
		ck_ok(evq_delete(q, NULL, &r));
	}
}
END_TEST

Suite *
attrs_suite(void)
{
	Suite *s = suite_create("attrs");
	TCase *t = tcase_create("attrs");
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_loop_test(t, open_checks_the_bounds_and_a_refusal_creates_nothing, 0, COUNT(bounds));
	tcase_add_loop_test(t, set_attrs_checks_the_bounds_and_a_refusal_changes_nothing, 0, COUNT(bounds));
	tcase_add_loop_test(t, flags_of_its_kind_are_fixed_at_creation, 0, COUNT(kinds));
	tcase_add_loop_test(t, open_of_an_existing_queue_checks_the_attributes_then_ignores_them, 0, COUNT(bounds));
	tcase_add_test(t, attributes_of_a_later_version_pass_when_they_are_zero);
	tcase_add_test(t, a_queue_of_defaults_says_what_they_are);
	tcase_add_test(t, attributes_survive_a_reopen);
	tcase_add_test(t, get_then_change_then_set_keeps_the_rest);
	tcase_add_test(t, a_dead_letter_name_got_stays_readable_until_the_handle_is_closed);
	tcase_add_test(t, attributes_set_through_one_handle_rule_the_other);
	tcase_add_test(t, attributes_set_in_another_process_rule_here);
	tcase_add_test(t, a_quota_below_what_is_there_only_refuses_sends);
	suite_add_tcase(s, t);
	return s;
}
