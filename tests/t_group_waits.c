/* SPDX-License-Identifier: MIT */
/*
 * Several threads on one queue with groups. Of those that wait, each message wakes one, and what follows it in its group
 * nobody, until it was settled; of those that take all they can, none meets the order of a group broken. What unblocks,
 * and from where, is in t_unblocked.c; processes are in t_group_rule.c.
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

/* What is due and blocked is no reason to look again and again. */
START_TEST(waiting_for_a_blocked_group_burns_no_processor_time)
{
	struct timespec ts;
	evq_receipt renewed;
	evq_batch *b = batch();
	evq_queue *on = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO));
	for (int i = 0; i < 5; i++)
		send_with(on, "x", EVQ_SEND_OPTS(.group = "a"));
	ck_ok(evq_receive(on, NULL, EVQ_RECEIVE_OPTS(.count = 3, .visibility_ms = 1000), b));
	ck_ok(evq_extend(on, NULL, &evq_batch_at(b, 0)->receipt, PATIENCE, &renewed));
	clock_advance_ms(1000);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	int64_t before = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	receive_ms(on, EVQ_RECEIVE_OPTS(.wait_ms = 1500), EVQ_EMPTY);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	ck_assert_int_lt((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 - before, 500);
}
END_TEST

/* ---- threads ------------------------------------------------------------------------------------------- */

enum { THREADS = 4, GROUPS = 6, EACH = 80 };

static atomic_int next[GROUPS], in_hand[GROUPS], left, faults;

/* A run of each group that it is given, which nobody else has any of; all deleted, the last one last. */
static void
consume(evq_queue *from, const evq_batch *b)
{
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		const evq_delivery *d = evq_batch_at(b, i), *before = i ? evq_batch_at(b, i - 1) : NULL;
		int group = d->group[0] - 'a';
		int is_first = !before || strcmp(before->group, d->group) != 0;
		faults += atomic_exchange(&in_hand[group], 1) && is_first;
		faults += atoi(d->body) != next[group]++;
	}
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		const evq_delivery *d = evq_batch_at(b, i), *after = evq_batch_at(b, i + 1);
		if (!after || strcmp(after->group, d->group) != 0)
			in_hand[d->group[0] - 'a'] = 0;
		left--;
		faults += evq_delete(from, NULL, &d->receipt) != 0;
	}
}

static void *
consume_all(void *arg)
{
	evq_batch *b = NULL;
	faults += evq_batch_new(&b) != 0;
	for (uint32_t turn = 1; left > 0; turn++) {
		int rc = evq_receive(arg, NULL, EVQ_RECEIVE_OPTS(.count = turn % 7 + 1, .wait_ms = 20), b);
		faults += rc != 0 && rc != EVQ_EMPTY;
		consume(arg, b);
	}
	evq_batch_free(b);
	return NULL;
}

START_TEST(threads_keep_the_order_of_each_group)
{
	char body[16];
	pthread_t threads[THREADS];
	evq_queue *on = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO));
	faults = 0;
	left = GROUPS * EACH;
	for (int i = 0; i < GROUPS; i++)
		next[i] = in_hand[i] = 0;
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, consume_all, on), 0);
	for (int i = 0; i < GROUPS * EACH; i++) {
		snprintf(body, sizeof(body), "%d", i / GROUPS);
		send_with(on, body, EVQ_SEND_OPTS(.group = (const char[]){ (char)('a' + i % GROUPS), 0 }));
	}
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(faults, 0);
	ck_assert_int_eq(left, 0);
	for (int i = 0; i < GROUPS; i++)
		ck_assert_int_eq(next[i], EACH);
	ck_assert_uint_eq(stats(on).messages, 0);
}
END_TEST

/* Threads that send the same: one message of each. */
static void *
send_alike(void *arg)
{
	char id[16];
	for (int i = 0; i < EACH; i++) {
		snprintf(id, sizeof(id), "%d", i);
		faults += evq_send(arg, NULL, id, strlen(id), EVQ_SEND_OPTS(.dedup_id = id, .group = "g"), NULL) != 0;
	}
	return NULL;
}

START_TEST(threads_that_send_the_same_send_it_once)
{
	static const uint32_t kinds[] = { 0, EVQ_FIFO, EVQ_FAIR };
	pthread_t threads[THREADS];
	evq_queue *on = queue_with("q", EVQ_QUEUE_ATTRS(.flags = kinds[_i]));
	faults = 0;
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, send_alike, on), 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(faults, 0);
	ck_assert_uint_eq(stats(on).sent, EACH);
	ck_assert_uint_eq(stats(on).duplicates, (THREADS - 1) * EACH);
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
	tcase_add_test(t, waiting_for_a_blocked_group_burns_no_processor_time);
	tcase_add_test(t, threads_keep_the_order_of_each_group);
	tcase_add_loop_test(t, threads_that_send_the_same_send_it_once, 0, 3);
	suite_add_tcase(s, t);
	return s;
}
