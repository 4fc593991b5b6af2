/* SPDX-License-Identifier: MIT */
/*
 * Many groups in one queue: in which order a receive goes through them, that none hides or blocks another, what a
 * send must say, and that any number of consumers keeps the order of each.
 */
#include "groups.h"
#include "procs.h"

static evq_queue *q;

static void
setup(void)
{
	store_setup();
	q = fifo("q");
}

/* ---- which group, and how much of it ------------------------------------------------------------------- */

START_TEST(receive_fills_from_one_group_before_the_next)
{
	put(q, "a1 b1 c1 a2 b2 a3");
	get(q, 4, "a1 a2 a3 b1");
	get(q, MANY, "c1");
	expect_blocked(q, 0, 0, 5, 1);
}
END_TEST

START_TEST(groups_come_in_the_order_in_which_their_first_became_due)
{
	put(q, "a1 a2 b1");
	evq_batch *b = get(q, 1, "a1");
	clock_advance_ms(10);
	put(q, "c1");
	clock_advance_ms(10);
	give_back_one(q, b, "a1", 0);
	get(q, 1, "b1");
	get(q, 1, "c1");
	get(q, MANY, "a1 a2");
}
END_TEST

/* What finds a name is made of its last two bytes and of those before them. */
START_TEST(names_that_end_or_begin_alike_are_groups_of_their_own)
{
	static const char *const names[] = { "a", "aa", "aaa", "b", "ba", "ab", "aab", "aaaa", "baaa", "abaa" };
	enum { NAMES = sizeof(names) / sizeof(names[0]) };
	for (int i = 0; i < NAMES; i++)
		send_with(q, names[i], EVQ_SEND_OPTS(.group = names[i]));
	for (int i = 0; i < NAMES; i++)
		get(q, 1, names[i]);
	expect_blocked(q, 0, 0, NAMES, 0);
}
END_TEST

START_TEST(end_of_a_lease_is_when_it_became_due)
{
	put(q, "a1 b1 b2");
	get_with(q, "a1", EVQ_RECEIVE_OPTS(.visibility_ms = 200));
	evq_batch *b = get_with(q, "b1", EVQ_RECEIVE_OPTS(.visibility_ms = 100));
	clock_advance_ms(150);
	put(q, "c1");
	clock_advance_ms(150);
	get(q, MANY, "b1 b2 c1 a1");
	ck_rc(evq_delete(q, NULL, receipt_of(b, "b1")), EVQ_STALE);
}
END_TEST

START_TEST(next_of_a_group_counts_from_when_it_was_sent)
{
	put(q, "a1 a2");
	clock_advance_ms(10);
	put(q, "b1");
	clock_advance_ms(10);
	finish_all(q, get(q, 1, "a1"));
	get(q, 1, "a2");
	get(q, 1, "b1");
}
END_TEST

START_TEST(priority_of_the_first_decides_between_groups_and_never_within_one)
{
	PUT(q, "a1", .priority = 0);
	PUT(q, "a2", .priority = 100);
	PUT(q, "b1", .priority = -1);
	PUT(q, "b2", .priority = 127);
	PUT(q, "c1", .priority = 5);
	PUT(q, "c2", .priority = -100);
	evq_batch *b = get(q, 3, "c1 c2 a1");
	finish_all(q, b);
	get(q, MANY, "a2 b1 b2");
}
END_TEST

START_TEST(blocked_groups_are_passed_over)
{
	put(q, "a1 b1 c1 d1 a2 b2 c2 d2");
	get(q, 1, "a1");
	evq_batch *b = get(q, 1, "b1");
	give_back_one(q, b, "b1", 5000);
	get(q, MANY, "c1 c2 d1 d2");
	expect_blocked(q, 0, 1, 5, 2);
}
END_TEST

/* ---- what a group is ----------------------------------------------------------------------------------- */

START_TEST(groups_of_128_bytes_that_differ_in_the_last_are_two)
{
	char one[EVQ_GROUP_MAX + 1], two[EVQ_GROUP_MAX + 1];
	memset(one, 'g', EVQ_GROUP_MAX);
	one[EVQ_GROUP_MAX] = 0;
	strcpy(two, one);
	two[EVQ_GROUP_MAX - 1] = 'h';
	send_with(q, "one", EVQ_SEND_OPTS(.group = one));
	send_with(q, "one-again", EVQ_SEND_OPTS(.group = one));
	send_with(q, "two", EVQ_SEND_OPTS(.group = two));
	get(q, 1, "one");
	evq_batch *b = get(q, MANY, "two");
	ck_assert_str_eq(evq_batch_at(b, 0)->group, two);
}
END_TEST

START_TEST(same_group_in_another_queue_is_another)
{
	evq_queue *other = fifo("other");
	put(q, "a1 a2");
	put(other, "a1 a2");
	get(q, 1, "a1");
	get(other, MANY, "a1 a2");
	get(q, MANY, "");
}
END_TEST

START_TEST(a_batch_is_of_one_group)
{
	const evq_buf bodies[] = { { "a1", 2 }, { "a2", 2 }, { "a3", 2 } };
	ck_ok(evq_send_batch(q, NULL, bodies, 3, EVQ_SEND_OPTS(.group = "a"), NULL));
	put(q, "b1");
	get(q, 1, "a1");
	get(q, MANY, "b1");
}
END_TEST

START_TEST(group_that_was_emptied_begins_anew)
{
	for (int i = 0; i < 50; i++) {
		put(q, "a1 a2");
		finish_all(q, get(q, 1, "a1"));
		finish_all(q, get(q, 1, "a2"));
	}
	ck_assert_uint_eq(stats(q).messages, 0);
}
END_TEST

static const struct {
	evq_send_opts opts;
	int rc;
} refused[] = {
#define OPTS(...) { .size = sizeof(evq_send_opts), __VA_ARGS__ }
	{ OPTS(.priority = 0), EINVAL },
	{ OPTS(.group = ""), EINVAL },
	{ OPTS(.group = "129 bytes: 0123456789012345678901234567890123456789012345678901234567890123456789"
	                "01234567890123456789012345678901234567890123456789"),
	  EVQ_TOOBIG },
	{ OPTS(.group = "g", .delay_ms = 1), EINVAL },
	{ OPTS(.group = "g", .delay_ms = 86400000), EINVAL },
	{ OPTS(.group = "g", .delay_ms = EVQ_NONE), EINVAL },
	{ OPTS(.group = "g", .delay_ms = -5), EINVAL },
};

START_TEST(no_group_or_a_delay_of_its_own_is_refused)
{
	const evq_buf body = { "x", 1 };
	evq_id id = 77;
	for (int i = 0; i < 2; i++) { /* also where the delay is the queue's own */
		ck_rc(evq_send(q, NULL, "x", 1, &refused[_i].opts, &id), refused[_i].rc);
		ck_rc(evq_send_batch(q, NULL, &body, 1, &refused[_i].opts, &id), refused[_i].rc);
		ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO, .delay_ms = 86400000)));
	}
	ck_assert_uint_eq(id, 77);
	ck_assert_uint_eq(stats(q).sent, 0);
	ck_assert_uint_eq(stats(q).messages, 0);
}
END_TEST

START_TEST(no_options_at_all_are_no_group)
{
	const evq_buf body = { "x", 1 };
	ck_rc(evq_send(q, NULL, "x", 1, NULL, NULL), EINVAL);
	ck_rc(evq_send_batch(q, NULL, &body, 1, NULL, NULL), EINVAL);
	ck_assert_uint_eq(stats(q).messages, 0);
}
END_TEST

/* ---- many ---------------------------------------------------------------------------------------------- */

enum { DEEP = 20000 };

static void
send_deep(evq_queue *to, const char *group)
{
	static evq_buf bodies[DEEP / 2];
	for (size_t i = 0; i < DEEP / 2; i++)
		bodies[i] = (evq_buf){ "deep", 4 };
	for (int i = 0; i < 2; i++)
		ck_ok(evq_send_batch(to, NULL, bodies, DEEP / 2, EVQ_SEND_OPTS(.group = group), NULL));
}

START_TEST(deep_blocked_group_does_not_hide_another)
{
	char body[32];
	evq_batch *first;
	put(q, "a1");
	send_deep(q, "a");
	first = get(q, 1, "a1");
	if (_i)
		give_back_one(q, first, "a1", 3600000);
	ck_assert_uint_eq(stats(q).blocked, DEEP);
	int64_t start = real_ms();
	for (int i = 0; i < 300; i++) {
		snprintf(body, sizeof(body), "%c%d", 'b' + i % 20, i);
		PUT(q, body, .priority = 0);
		finish_all(q, get(q, 10, body));
		expect_empty(q);
	}
	ck_assert_int_lt(real_ms() - start, 10000);
	clock_advance_ms(3600000);
	evq_batch *b = take(q, 3);
	ck_assert_str_eq(bodies_of(b), "a1 deep deep");
}
END_TEST

START_TEST(thousands_of_groups_each_keep_their_order)
{
	enum { GROUPS = 3000, EACH = 3 };
	int next[GROUPS] = { 0 };
	char group[16], body[32];
	for (int i = 0; i < GROUPS * EACH; i++) {
		snprintf(group, sizeof(group), "%d", i % GROUPS);
		snprintf(body, sizeof(body), "%d", i / GROUPS);
		send_with(q, body, EVQ_SEND_OPTS(.group = group));
	}
	evq_batch *b = batch();
	while (evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 500), b) == 0) {
		for (size_t i = 0; i < evq_batch_count(b); i++)
			ck_assert_int_eq(atoi(evq_batch_at(b, i)->body), next[atoi(evq_batch_at(b, i)->group)]++);
		finish_all(q, b);
	}
	for (int i = 0; i < GROUPS; i++)
		ck_assert_int_eq(next[i], EACH);
}
END_TEST

Suite *
groups_suite(void)
{
	Suite *s = suite_create("groups");
	TCase *t = tcase_create("groups");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, receive_fills_from_one_group_before_the_next);
	tcase_add_test(t, groups_come_in_the_order_in_which_their_first_became_due);
	tcase_add_test(t, end_of_a_lease_is_when_it_became_due);
	tcase_add_test(t, next_of_a_group_counts_from_when_it_was_sent);
	tcase_add_test(t, priority_of_the_first_decides_between_groups_and_never_within_one);
	tcase_add_test(t, blocked_groups_are_passed_over);
	tcase_add_test(t, groups_of_128_bytes_that_differ_in_the_last_are_two);
	tcase_add_test(t, same_group_in_another_queue_is_another);
	tcase_add_test(t, a_batch_is_of_one_group);
	tcase_add_test(t, group_that_was_emptied_begins_anew);
	tcase_add_loop_test(t, no_group_or_a_delay_of_its_own_is_refused, 0, COUNT(refused));
	tcase_add_test(t, names_that_end_or_begin_alike_are_groups_of_their_own);
	tcase_add_test(t, no_options_at_all_are_no_group);
	tcase_add_loop_test(t, deep_blocked_group_does_not_hide_another, 0, 2);
	tcase_add_test(t, thousands_of_groups_each_keep_their_order);
	suite_add_tcase(s, t);
	return s;
}
