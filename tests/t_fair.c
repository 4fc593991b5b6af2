/* SPDX-License-Identifier: MIT */
/*
 * Fair queues: tenants take turns, however much one of them has waiting, and from wherever it came. Nothing else is
 * different from a plain queue: nothing is ever blocked. What comes back is in t_fair_back.c.
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

/* ---- turns --------------------------------------------------------------------------------------------- */

START_TEST(tenants_take_turns)
{
	put_many(q, 'a', 100);
	put(q, "b1 c1");
	if (_i)
		get(q, 6, "a1 b1 c1 a2 a3 a4");
	else
		for (const char *order = "a1 b1 c1 a2 a3 a4", *end = order + strlen(order); order < end;) {
			char body[32];
			next_word(&order, body);
			get(q, 1, body);
		}
	expect_blocked(q, 96, 0, 6, 0);
}
END_TEST

START_TEST(tenants_with_as_much_share_alike)
{
	put_many(q, 'a', 4);
	put_many(q, 'b', 3);
	put_many(q, 'c', 2);
	get(q, MANY, "a1 b1 c1 a2 b2 c2 a3 b3 a4");
}
END_TEST

START_TEST(single_tenant_is_served_in_the_order_sent)
{
	char body[32];
	for (int i = 0; i < 200; i++) {
		snprintf(body, sizeof(body), "a%d", i);
		PUT(q, body, .priority = 0);
		clock_advance_ms(i % 2);
	}
	evq_batch *b = take(q, 200);
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(atoi((const char *)evq_batch_at(b, (size_t)i)->body + 1), i);
}
END_TEST

START_TEST(messages_without_a_group_are_one_tenant)
{
	for (int i = 0; i < 3; i++)
		send(q, "none");
	put(q, "a1 a2");
	get(q, MANY, "none a1 none a2 none");
}
END_TEST

START_TEST(quiet_tenant_is_next_after_at_most_one_of_each)
{
	put_many(q, 'a', 300);
	put_many(q, 'b', 200);
	put_many(q, 'c', 100);
	take(q, (uint32_t)(1 + 97 * _i));
	clock_advance_ms(10);
	put(q, "z1");
	ck_assert_int_le(waits_for(q, "z1", 600), 3);
	put(q, "z2");
	ck_assert_int_le(waits_for(q, "z2", 600), 3);
	put(q, "z3 z4");
	ck_assert_int_le(waits_for(q, "z4", 600), 7);
}
END_TEST

/* A tenant that was away has saved up nothing, and owes nothing. */
START_TEST(tenant_that_comes_back_starts_with_the_others)
{
	put_many(q, 'a', 50);
	take(q, 50);
	put_many(q, 'b', 10);
	get(q, 3, "b1 b2 b3");
	put(q, "a51 a52");
	get(q, 4, "b4 a51 b5 a52");
}
END_TEST

START_TEST(priorities_come_before_turns)
{
	char body[32];
	for (int i = 0; i < 5; i++) {
		snprintf(body, sizeof(body), "a%d", i);
		PUT(q, body, .priority = 0);
	}
	PUT(q, "b-low", .priority = -1);
	for (int i = 0; i < 3; i++) {
		snprintf(body, sizeof(body), "a%d-high", i);
		PUT(q, body, .priority = 1);
	}
	PUT(q, "b-high", .priority = 1);
	put(q, "b0");
	get(q, MANY, "a0-high b-high a1-high a2-high a0 b0 a1 a2 a3 a4 b-low");
}
END_TEST

START_TEST(turns_of_one_priority_are_no_others)
{
	PUT(q, "a1", .priority = 1);
	PUT(q, "a2", .priority = 1);
	PUT(q, "a3", .priority = 0);
	PUT(q, "a4", .priority = 0);
	PUT(q, "b1", .priority = 0);
	get(q, MANY, "a1 a2 a3 b1 a4");
}
END_TEST

/* ---- moves, transactions, other processes -------------------------------------------------------------- */

START_TEST(dead_letters_take_turns_in_a_fair_queue)
{
	evq_queue *work = queue_with("work", EVQ_QUEUE_ATTRS(.dead_letter = "q", .max_receives = 1));
	put_many(work, 'a', 50);
	put(work, "b1");
	take(work, 51);
	clock_advance_ms(LEASE_MS);
	expect_empty(work);
	expect_blocked(q, 51, 0, 0, 0);
	put(q, "c1");
	get(q, 4, "a1 b1 c1 a2");
}
END_TEST

START_TEST(redriven_ones_take_turns_in_a_fair_queue)
{
	evq_queue *dead = queue("dead");
	put_many(dead, 'a', 30);
	put(dead, "b1");
	put(q, "c1 c2");
	size_t moved = 0;
	ck_ok(evq_redrive(dead, NULL, EVQ_REDRIVE_OPTS(.to = "q"), &moved));
	ck_assert_uint_eq(moved, 31);
	get(q, 5, "a1 b1 c1 a2 c2"); /* of one turn, by id */
}
END_TEST

static int
note_body(const evq_delivery *d, void *arg)
{
	char *order = arg;
	strcat(strcat(order, *order ? " " : ""), d->body);
	return 1;
}

/* In each priority: those in a turn, then those that are delayed. */
START_TEST(redrive_from_a_fair_queue_is_in_the_order_of_receiving)
{
	char order[TEXT] = "";
	size_t moved = 0;
	evq_queue *to = queue("to");
	PUT(q, "a1", .delay_ms = 5000);
	put(q, "a2 a3 b1 c1");
	PUT(q, "d1", .priority = 1, .delay_ms = 60000);
	PUT(q, "d2", .priority = 1);
	evq_batch *b = get(q, 2, "d2 a2");
	give_back_one(q, b, "d2", 0);
	ck_ok(evq_redrive(q, NULL, EVQ_REDRIVE_OPTS(.to = "to", .max = 3), &moved));
	ck_assert_uint_eq(moved, 3);
	get(to, MANY, "d1 d2 b1"); /* came at the same time: by priority and id there */
	ck_ok(evq_redrive(q, NULL, EVQ_REDRIVE_OPTS(.to = "to", .match = note_body, .match_arg = order), &moved));
	ck_assert_str_eq(order, "c1 a3 a1");
	expect_counts(q, 0, 0, 1);
}
END_TEST

START_TEST(fair_queue_dead_letters_as_a_plain_one)
{
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_FAIR, .dead_letter = "dead", .max_receives = 1)));
	put(q, "a1 a2 b1");
	evq_batch *b = get(q, 1, "a1");
	give_back_one(q, b, "a1", 0);
	b = get(q, 1, "b1");
	ck_ok(evq_bury(q, NULL, receipt_of(b, "b1"), "why"));
	get(queue("dead"), MANY, "a1 b1");
	get(q, MANY, "a2");
	clock_advance_ms(LEASE_MS);
	put(q, "c1");
	get(q, MANY, "c1");
	expect_counts(queue("dead"), 3, 0, 0);
}
END_TEST

START_TEST(turns_are_undone_by_an_abort)
{
	evq_txn *txn = NULL;
	evq_batch *b = batch();
	put(q, "a1 a2 a3 b1");
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_receive(q, txn, EVQ_RECEIVE_OPTS(.count = 3), b));
	ck_assert_str_eq(bodies_of(b), "a1 b1 a2");
	ck_ok(evq_send(q, txn, "c1", 2, EVQ_SEND_OPTS(.group = "c"), NULL));
	evq_abort(txn);
	get(q, MANY, "a1 b1 a2 a3");
}
END_TEST

START_TEST(turns_survive_reopening)
{
	put_many(q, 'a', 10);
	get(q, 2, "a1 a2");
	put(q, "b1");
	store_reopen();
	q = fair("q");
	put(q, "b2 c1");
	get(q, 6, "a3 b1 c1 a4 b2 a5");
}
END_TEST

static int
put_in_child(void *arg)
{
	(void)arg;
	evq_env *own = NULL;
	evq_queue *to = NULL;
	EXPECT(evq_env_open(store_dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock), &own), 0);
	EXPECT(evq_queue_open(own, "q", NULL, &to), 0);
	EXPECT(evq_send(to, NULL, "b1", 2, EVQ_SEND_OPTS(.group = "b"), NULL), 0);
	EXPECT(evq_send(to, NULL, "b2", 2, EVQ_SEND_OPTS(.group = "b"), NULL), 0);
	evq_queue_close(to);
	evq_env_close(own);
	return 0;
}

START_TEST(what_another_process_sends_has_its_turn)
{
	put_many(q, 'a', 10);
	ck_assert_int_eq(proc_run(put_in_child, NULL), 0);
	put(q, "b3");
	get(q, 6, "a1 b1 a2 b2 a3 b3");
}
END_TEST

START_TEST(a_batch_of_a_tenant_takes_as_many_turns_as_it_has_messages)
{
	const evq_buf bodies[] = { { "a1", 2 }, { "a2", 2 }, { "a3", 2 } };
	ck_ok(evq_send_batch(q, NULL, bodies, 3, EVQ_SEND_OPTS(.group = "a"), NULL));
	put(q, "b1 b2");
	get(q, MANY, "a1 b1 a2 b2 a3");
}
END_TEST

START_TEST(bytes_asked_for_end_a_batch_of_turns)
{
	put(q, "a1 a2 b1 c-long");
	get_with(q, "a1 b1", EVQ_RECEIVE_OPTS(.count = MANY, .max_bytes = 9));
	get_with(q, "c-long a2", EVQ_RECEIVE_OPTS(.count = MANY, .max_bytes = 9));
}
END_TEST

Suite *
fair_suite(void)
{
	Suite *s = suite_create("fair");
	TCase *t = tcase_create("fair");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_loop_test(t, tenants_take_turns, 0, 2);
	tcase_add_test(t, tenants_with_as_much_share_alike);
	tcase_add_test(t, single_tenant_is_served_in_the_order_sent);
	tcase_add_test(t, messages_without_a_group_are_one_tenant);
	tcase_add_loop_test(t, quiet_tenant_is_next_after_at_most_one_of_each, 0, 4);
	tcase_add_test(t, tenant_that_comes_back_starts_with_the_others);
	tcase_add_test(t, priorities_come_before_turns);
	tcase_add_test(t, turns_of_one_priority_are_no_others);
	tcase_add_test(t, dead_letters_take_turns_in_a_fair_queue);
	tcase_add_test(t, redriven_ones_take_turns_in_a_fair_queue);
	tcase_add_test(t, redrive_from_a_fair_queue_is_in_the_order_of_receiving);
	tcase_add_test(t, fair_queue_dead_letters_as_a_plain_one);
	tcase_add_test(t, turns_are_undone_by_an_abort);
	tcase_add_test(t, turns_survive_reopening);
	tcase_add_test(t, what_another_process_sends_has_its_turn);
	tcase_add_test(t, a_batch_of_a_tenant_takes_as_many_turns_as_it_has_messages);
	tcase_add_test(t, bytes_asked_for_end_a_batch_of_turns);
	suite_add_tcase(s, t);
	return s;
}
