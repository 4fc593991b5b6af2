/* SPDX-License-Identifier: MIT */
/*
 * Several who wait for one queue with groups: each message wakes one, and what follows it in its group nobody, until it
 * was settled. What unblocks, and from where, is in t_unblocked.c.
 */
#include "waiter.h"

enum { WAITERS = 3 };

static struct waiter waiters[WAITERS];

static int
waiters_done(void)
{
	int done = 0;
	for (int i = 0; i < WAITERS; i++)
		done += waiters[i].done;
	return done;
}

/* Until so many are done; and a moment later there are no more. The one that has this body. */
static struct waiter *
await_waiters(int count, char letter)
{
	for (int64_t start = real_ms(); waiters_done() < count; nap_ms(1))
		ck_assert_msg(real_ms() - start < SOON, "%d of %d are awake", waiters_done(), count);
	nap_ms(60);
	ck_assert_int_eq(waiters_done(), count);
	for (int i = 0; i < WAITERS; i++)
		if (waiters[i].done && waiters[i].letters[0] == letter)
			return &waiters[i];
	ck_abort_msg("nobody has %c", letter);
	return NULL;
}

static void
start_waiters(evq_queue *on)
{
	for (int i = 0; i < WAITERS; i++)
		start_waiting(&waiters[i], on, WAIT(.count = 1));
}

static void
end_waiters(void)
{
	for (int i = 0; i < WAITERS; i++)
		ck_assert_int_eq(pthread_join(waiters[i].thread, NULL), 0);
}

START_TEST(three_waiters_on_one_group_wake_one_after_the_other)
{
	const evq_buf bodies[] = { { "1", 1 }, { "2", 1 }, { "3", 1 } };
	evq_queue *on = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO));
	start_waiters(on);
	ck_ok(evq_send_batch(on, NULL, bodies, 3, EVQ_SEND_OPTS(.group = "a"), NULL));
	struct waiter *w = await_waiters(1, '1');
	ck_ok(evq_delete(on, NULL, &w->first));
	w = await_waiters(2, '2');
	ck_ok(evq_delete(on, NULL, &w->first));
	w = await_waiters(3, '3');
	ck_ok(evq_delete(on, NULL, &w->first));
	end_waiters();
	ck_assert_uint_eq(stats(on).messages, 0);
}
END_TEST

START_TEST(messages_of_three_groups_wake_three_waiters)
{
	evq_queue *on = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO));
	start_waiters(on);
	send_with(on, "1", EVQ_SEND_OPTS(.group = "a"));
	send_with(on, "2", EVQ_SEND_OPTS(.group = "b"));
	send_with(on, "3", EVQ_SEND_OPTS(.group = "c"));
	await_waiters(3, '3');
	end_waiters();
}
END_TEST

START_TEST(send_to_a_blocked_group_ends_no_wait)
{
	evq_queue *on = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO));
	send_with(on, "0", EVQ_SEND_OPTS(.group = "a"));
	evq_receipt held = take_one(on, "0");
	start_waiters(on);
	send_with(on, "1", EVQ_SEND_OPTS(.group = "a"));
	send_with(on, "2", EVQ_SEND_OPTS(.group = "a"));
	nap_ms(60);
	ck_assert_int_eq(waiters_done(), 0);
	ck_ok(evq_delete(on, NULL, &held));
	await_waiters(1, '1');
	send_with(on, "b", EVQ_SEND_OPTS(.group = "b"));
	await_waiters(2, 'b');
	send_with(on, "c", EVQ_SEND_OPTS(.group = "c"));
	await_waiters(3, 'c');
	end_waiters();
}
END_TEST

Suite *
group_waits_suite(void)
{
	Suite *s = suite_create("group_waits");
	TCase *t = tcase_create("group_waits");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_test(t, three_waiters_on_one_group_wake_one_after_the_other);
	tcase_add_test(t, messages_of_three_groups_wake_three_waiters);
	tcase_add_test(t, send_to_a_blocked_group_ends_no_wait);
	suite_add_tcase(s, t);
	return s;
}
