/* SPDX-License-Identifier: MIT */
/*
 * What comes back to a fair queue, by a release, at the end of a lease or of a delay, by a move or with a process that
 * died: it is given a turn as if it had just come, so that however much of one tenant's comes at once, it delays no other.
 */
#include "groups.h"
#include "procs.h"

static evq_queue *q;

static void
setup(void)
{
	store_setup();
	q = fair("q");
}

/* ---- what comes back ----------------------------------------------------------------------------------- */

START_TEST(released_message_goes_behind_those_of_its_tenant)
{
	put(q, "a1 a2 b1 b2");
	evq_batch *b = get(q, 1, "a1");
	give_back_one(q, b, "a1", 0);
	get(q, MANY, "b1 a2 b2 a1");
}
END_TEST

START_TEST(delayed_ones_are_given_their_turn_when_due)
{
	PUT(q, "a1", .delay_ms = 100);
	PUT(q, "a2", .delay_ms = 50);
	put(q, "a3 a4");
	expect_blocked(q, 2, 2, 0, 0);
	clock_advance_ms(50);
	put(q, "b1");
	clock_advance_ms(50);
	get(q, MANY, "a3 b1 a4 a2 a1"); /* in the order of their due times */
}
END_TEST

START_TEST(leases_that_ran_out_come_behind_what_waits_already)
{
	put(q, "a1");
	get(q, 1, "a1");
	clock_advance_ms(LEASE_MS);
	put(q, "a2");
	get(q, MANY, "a2 a1");
}
END_TEST

/* A burst: a thousand leases of one tenant that end at once. */
START_TEST(noisy_leases_that_all_end_at_once_do_not_delay_the_quiet_one)
{
	put_many(q, 'a', 1000);
	put(q, "b1");
	evq_batch *b = take(q, 1001);
	ck_assert_str_eq(evq_batch_at(b, 1)->body, "b1");
	if (_i == 0) { /* the quiet one's is sent while they are leased */
		finish(q, b, "b1");
		put(q, "b2");
	}
	if (_i == 1) { /* or after */
		finish(q, b, "b1");
		clock_advance_ms(LEASE_MS);
		put(q, "b2");
	} else
		clock_advance_ms(LEASE_MS); /* or is one of them */
	ck_assert_int_le(waits_for(q, _i == 2 ? "b1" : "b2", 1000), 1);
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.messages, 1001);
	ck_assert_uint_eq(s.visible + s.leased, 1001);
}
END_TEST

START_TEST(releases_of_a_thousand_do_not_delay_the_quiet_one)
{
	put_many(q, 'a', 1000);
	evq_batch *b = take(q, 1000);
	for (size_t i = 0; i < 1000; i++)
		ck_ok(evq_release(q, NULL, &evq_batch_at(b, i)->receipt, _i, 0));
	put(q, "b1");
	clock_advance_ms(_i);
	ck_assert_int_le(waits_for(q, "b1", 1000), 1);
}
END_TEST

START_TEST(nothing_is_blocked_by_what_is_leased_or_delayed)
{
	put(q, "a1 a2 a3");
	evq_batch *b = get(q, 1, "a1");
	give_back_one(q, b, "a1", 1000);
	get(q, 1, "a2");
	get(q, 1, "a3");
	expect_blocked(q, 0, 1, 2, 0);
	clock_advance_ms(1000);
	get(q, MANY, "a1");
}
END_TEST

START_TEST(expired_ones_are_passed_over)
{
	for (int i = 0; i < 5; i++)
		PUT(q, "a-short", .expires_ms = 10);
	put(q, "a1 b1 b2");
	clock_advance_ms(10);
	get(q, MANY, "b1 b2 a1");
	ck_assert_uint_eq(stats(q).expired, 5);
}
END_TEST

/* A receive that passes gives it a turn, which is not to take it. */
START_TEST(receipt_of_a_lease_that_ran_out_is_good_until_somebody_takes_the_message)
{
	static const uint64_t delayed[] = { 0, 0, 1, 0, 0 }, leased[] = { 1, 2, 1, 1, 2 };
	evq_receipt r, out;
	put(q, "b1 a1");
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_FAIR, .dead_letter = "dead")));
	evq_batch *b = get(q, 2, "b1 a1");
	give_back_one(q, b, "b1", 0);
	r = *receipt_of(b, "a1");
	clock_advance_ms(LEASE_MS);
	get(q, 1, "b1");
	switch (_i) {
	case 0: ck_ok(evq_delete(q, NULL, &r)); break;
	case 1: ck_ok(evq_extend(q, NULL, &r, 100, &out)); break;
	case 2: ck_ok(evq_release(q, NULL, &r, 100, 0)); break;
	case 3: ck_ok(evq_bury(q, NULL, &r, "why")); break;
	case 4: get(q, 1, "a1"); break;
	}
	ck_rc(evq_delete(q, NULL, &r), EVQ_STALE);
	expect_counts(q, 0, delayed[_i], leased[_i]);
	expect_empty(q);
}
END_TEST

/* Whether or not the queue has anything that may expire, for which a send looks around. */
START_TEST(sends_give_no_turn_to_what_came_due)
{
	PUT(q, "a1", .delay_ms = 50);
	PUT(q, "z1", .delay_ms = 90, .expires_ms = _i ? 60000 : 0);
	clock_advance_ms(60);
	put(q, "a2 a3");
	get(q, MANY, "a2 a3 a1");
}
END_TEST

START_TEST(batch_that_is_full_gives_no_turns_at_lower_priorities)
{
	PUT(q, "b1", .priority = 1);
	PUT(q, "b2", .priority = 1);
	PUT(q, "a1", .delay_ms = 50);
	clock_advance_ms(60);
	get_with(q, "b1", EVQ_RECEIVE_OPTS(.count = MANY, .max_bytes = 3));
	put(q, "a2");
	get(q, MANY, "b2 a2 a1");
}
END_TEST

static int
take_and_be_killed(void *arg)
{
	(void)arg;
	evq_env *own = NULL;
	evq_queue *mine = NULL;
	evq_batch *b = NULL;
	EXPECT(evq_env_open(store_dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock), &own), 0);
	EXPECT(evq_queue_open(own, "q", NULL, &mine), 0);
	EXPECT(evq_batch_new(&b), 0);
	EXPECT(evq_receive(mine, NULL, EVQ_RECEIVE_OPTS(.count = 300), b), 0);
	EXPECT((int)evq_batch_count(b), 300);
	raise(SIGKILL);
	return 98;
}

START_TEST(leases_of_one_that_died_do_not_delay_the_quiet_one)
{
	put_many(q, 'a', 300);
	ck_assert_int_eq(proc_run(take_and_be_killed, NULL), 1000 + SIGKILL);
	expect_counts(q, 0, 0, 300);
	get(q, 1, "a1"); /* who finds nothing looks whether somebody died */
	ck_assert_uint_eq(stats(q).visible, 299);
	put(q, "b1");
	ck_assert_int_le(waits_for(q, "b1", 300), 1);
}
END_TEST

Suite *
fair_back_suite(void)
{
	Suite *s = suite_create("fair_back");
	TCase *t = tcase_create("fair_back");
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, released_message_goes_behind_those_of_its_tenant);
	tcase_add_test(t, delayed_ones_are_given_their_turn_when_due);
	tcase_add_test(t, leases_that_ran_out_come_behind_what_waits_already);
	tcase_add_loop_test(t, noisy_leases_that_all_end_at_once_do_not_delay_the_quiet_one, 0, 3);
	tcase_add_loop_test(t, releases_of_a_thousand_do_not_delay_the_quiet_one, 0, 2);
	tcase_add_test(t, nothing_is_blocked_by_what_is_leased_or_delayed);
	tcase_add_test(t, expired_ones_are_passed_over);
	tcase_add_loop_test(t, receipt_of_a_lease_that_ran_out_is_good_until_somebody_takes_the_message, 0, 5);
	tcase_add_loop_test(t, sends_give_no_turn_to_what_came_due, 0, 2);
	tcase_add_test(t, batch_that_is_full_gives_no_turns_at_lower_priorities);
	tcase_add_test(t, leases_of_one_that_died_do_not_delay_the_quiet_one);
	suite_add_tcase(s, t);
	return s;
}
