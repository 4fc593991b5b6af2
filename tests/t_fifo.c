/* SPDX-License-Identifier: MIT */
/*
 * The order within one group: whatever is leased, given back, put off or left to run out, a message comes only when
 * all those before it that are still in the queue have come with it, in the same receive. Many groups are in
 * t_groups.c, moves from queue to queue in t_group_moves.c, who wakes in t_unblocked.c.
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

/* ---- one after the other ------------------------------------------------------------------------------ */

START_TEST(messages_of_a_group_come_in_the_order_sent)
{
	char body[32];
	for (int i = 0; i < 300; i++) {
		snprintf(body, sizeof(body), "a%d", i);
		PUT(q, body, .priority = i * 37 % 256 - 128);
		clock_advance_ms(i % 3);
	}
	for (int i = 0; i < 300;) {
		evq_batch *b = take(q, (uint32_t)(1 + i % 5 < 300 - i ? 1 + i % 5 : 300 - i));
		for (size_t at = 0; at < evq_batch_count(b); at++, i++)
			ck_assert_int_eq(atoi((const char *)evq_batch_at(b, at)->body + 1), i);
		finish_all(q, b);
	}
	expect_empty(q);
}
END_TEST

START_TEST(next_one_comes_when_the_first_is_deleted)
{
	put(q, "a1 a2 a3");
	evq_batch *b = get(q, 1, "a1");
	get(q, MANY, "");
	finish(q, b, "a1");
	b = get(q, 1, "a2");
	get(q, MANY, "");
	finish(q, b, "a2");
	get(q, 1, "a3");
}
END_TEST

START_TEST(one_receive_takes_the_run_of_a_group)
{
	put(q, "a1 a2 a3 a4 a5");
	evq_batch *b = get(q, 3, "a1 a2 a3");
	get(q, MANY, "");
	expect_blocked(q, 0, 0, 3, 2);
	finish_all(q, b);
	get(q, MANY, "a4 a5");
}
END_TEST

START_TEST(bodies_over_the_bytes_asked_for_end_the_run_and_the_batch)
{
	put(q, "a1 a2 a3 b1");
	evq_batch *b = get_with(q, "a1 a2", EVQ_RECEIVE_OPTS(.count = MANY, .max_bytes = 5));
	finish_all(q, b);
	PUT(q, "a-rather-long", .priority = 0);
	b = get_with(q, "a3", EVQ_RECEIVE_OPTS(.count = MANY, .max_bytes = 14));
	get(q, MANY, "b1");
	finish(q, b, "a3");
	get_with(q, "a-rather-long", EVQ_RECEIVE_OPTS(.count = MANY, .max_bytes = 1));
}
END_TEST

/* ---- three leased -------------------------------------------------------------------------------------- */

static const char *const after_extending[] = { "", "a1", "a1 a2" };

START_TEST(of_three_leased_those_before_the_one_extended_come_again)
{
	const char *extended[] = { "a1", "a2", "a3" };
	evq_receipt renewed;
	put(q, "a1 a2 a3 a4");
	evq_batch *b = get(q, 3, "a1 a2 a3");
	ck_ok(evq_extend(q, NULL, receipt_of(b, extended[_i]), 2 * LEASE_MS, &renewed));
	clock_advance_ms(LEASE_MS - 1);
	get(q, MANY, "");
	clock_advance_ms(1);
	expect_blocked(q, (uint64_t)_i, 0, 1, 3 - (uint64_t)_i);
	get(q, MANY, after_extending[_i]);
	get(q, MANY, "");
	clock_advance_ms(LEASE_MS);
	get(q, MANY, "a1 a2 a3 a4");
}
END_TEST

START_TEST(those_behind_the_one_extended_may_still_be_deleted)
{
	evq_receipt renewed;
	put(q, "a1 a2 a3 a4");
	evq_batch *b = get(q, 3, "a1 a2 a3");
	ck_ok(evq_extend(q, NULL, receipt_of(b, "a1"), 2 * LEASE_MS, &renewed));
	clock_advance_ms(LEASE_MS);
	if (_i)
		get(q, MANY, ""); /* it has met them, and left them */
	finish(q, b, "a3");
	get(q, MANY, "");
	finish(q, b, "a2");
	get(q, MANY, "");
	ck_ok(evq_delete(q, NULL, &renewed));
	get(q, MANY, "a4");
}
END_TEST

/* Which of three leased ones are deleted: a bit of _i for each. */
START_TEST(partial_delete_keeps_the_group_blocked)
{
	static const char *const bodies[] = { "a1", "a2", "a3" };
	char left[16] = "";
	put(q, "a1 a2 a3 a4");
	evq_batch *b = get(q, 3, "a1 a2 a3");
	for (int i = 0; i < 3; i++)
		if (_i >> i & 1)
			finish(q, b, bodies[i]);
		else
			strcat(strcat(left, bodies[i]), " ");
	get(q, MANY, "");
	ck_assert_uint_eq(stats(q).blocked, 1);
	clock_advance_ms(LEASE_MS);
	get(q, MANY, strcat(left, "a4"));
}
END_TEST

START_TEST(delete_of_all_unblocks_the_group)
{
	static const char *const orders[] = { "a1 a2 a3", "a3 a2 a1", "a2 a3 a1" };
	put(q, "a1 a2 a3 a4");
	evq_batch *b = get(q, 3, "a1 a2 a3");
	get(q, MANY, "");
	finish(q, b, orders[_i]);
	expect_blocked(q, 1, 0, 0, 0);
	get(q, MANY, "a4");
}
END_TEST

START_TEST(deleted_in_one_call_unblock_the_group_too)
{
	evq_receipt receipts[2];
	int rcs[2];
	put(q, "a1 a2 a3");
	evq_batch *b = get(q, 2, "a1 a2");
	for (size_t i = 0; i < 2; i++)
		receipts[i] = evq_batch_at(b, i)->receipt;
	ck_ok(evq_delete_batch(q, NULL, receipts, 2, rcs));
	get(q, MANY, "a3");
}
END_TEST

START_TEST(send_to_a_group_in_flight_does_not_make_it_visible)
{
	put(q, "a1");
	evq_batch *b = get(q, MANY, "a1");
	put(q, "a2");
	expect_blocked(q, 0, 0, 1, 1);
	get(q, MANY, "");
	PUT(q, "a3", .priority = 127);
	get(q, MANY, "");
	finish(q, b, "a1");
	get(q, MANY, "a2 a3");
}
END_TEST

/* ---- the one who has it dies; a transaction ------------------------------------------------------------- */

struct taker {
	struct turn taken, end;
};

static int
take_two_and_wait(void *arg)
{
	struct taker *t = arg;
	evq_env *own = NULL;
	evq_queue *mine = NULL;
	evq_batch *b = NULL;
	EXPECT(evq_env_open(store_dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock), &own), 0);
	EXPECT(evq_queue_open(own, "q", NULL, &mine), 0);
	EXPECT(evq_batch_new(&b), 0);
	EXPECT(evq_receive(mine, NULL, EVQ_RECEIVE_OPTS(.count = 2), b), 0);
	EXPECT((int)evq_batch_count(b), 2);
	turn_pass(&t->taken);
	turn_await(&t->end);
	return 0;
}

START_TEST(order_is_kept_after_the_owner_was_killed)
{
	struct taker t;
	put(q, "a1 a2 a3 b1");
	ck_assert_int_eq(turn_make(&t.taken) | turn_make(&t.end), 0);
	pid_t pid = proc_start(take_two_and_wait, &t);
	ck_assert_int_eq(turn_await(&t.taken), 0);
	evq_batch *b = get(q, MANY, "b1");
	finish_all(q, b);
	proc_kill(pid);
	b = get(q, MANY, "a1 a2 a3");
	ck_assert_uint_eq(evq_batch_at(b, 1)->receives, 2);
	ck_assert_uint_eq(evq_batch_at(b, 2)->receives, 1);
	ck_assert_uint_eq(events_of(EVQ_EVENT_OWNER_DIED), 2);
}
END_TEST

START_TEST(receive_in_a_transaction_blocks_until_its_abort)
{
	evq_txn *txn = NULL;
	evq_batch *b = batch();
	put(q, "a1 a2 b1");
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_receive(q, txn, NULL, b));
	ck_assert_str_eq(bodies_of(b), "a1");
	evq_receipt first = evq_batch_at(b, 0)->receipt;
	ck_ok(evq_receive(q, txn, EVQ_RECEIVE_OPTS(.count = MANY), b));
	ck_assert_str_eq(bodies_of(b), "b1");
	ck_ok(evq_delete(q, txn, &first));
	ck_ok(evq_receive(q, txn, EVQ_RECEIVE_OPTS(.count = MANY), b));
	ck_assert_str_eq(bodies_of(b), "a2");
	evq_abort(txn);
	expect_blocked(q, 3, 0, 0, 0);
	get(q, MANY, "a1 a2 b1");
}
END_TEST

START_TEST(order_is_kept_over_a_reopening)
{
	put(q, "a1 b1 a2 b2 a3");
	evq_receipt r = *receipt_of(get(q, 1, "a1"), "a1");
	store_reopen();
	q = fifo("q");
	get(q, 1, "b1");
	get(q, MANY, "");
	ck_ok(evq_delete(q, NULL, &r));
	store_reopen();
	q = fifo("q");
	get(q, MANY, "a2 a3");
}
END_TEST

Suite *
fifo_suite(void)
{
	Suite *s = suite_create("fifo");
	TCase *t = tcase_create("fifo");
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, messages_of_a_group_come_in_the_order_sent);
	tcase_add_test(t, next_one_comes_when_the_first_is_deleted);
	tcase_add_test(t, one_receive_takes_the_run_of_a_group);
	tcase_add_test(t, bodies_over_the_bytes_asked_for_end_the_run_and_the_batch);
	tcase_add_loop_test(t, of_three_leased_those_before_the_one_extended_come_again, 0, COUNT(after_extending));
	tcase_add_loop_test(t, those_behind_the_one_extended_may_still_be_deleted, 0, 2);
	tcase_add_loop_test(t, partial_delete_keeps_the_group_blocked, 0, 7);
	tcase_add_loop_test(t, delete_of_all_unblocks_the_group, 0, 3);
	tcase_add_test(t, deleted_in_one_call_unblock_the_group_too);
	tcase_add_test(t, send_to_a_group_in_flight_does_not_make_it_visible);
	tcase_add_test(t, order_is_kept_after_the_owner_was_killed);
	tcase_add_test(t, receive_in_a_transaction_blocks_until_its_abort);
	tcase_add_test(t, order_is_kept_over_a_reopening);
	suite_add_tcase(s, t);
	return s;
}
