/* SPDX-License-Identifier: MIT */
/*
 * Groups and moves: a message that is dead-lettered, by whatever way, makes way for the next of its group, and one
 * that cannot be keeps it waiting; one that comes by a move takes the place that its id has; redriving keeps the order.
 */
#include "groups.h"

static evq_queue *work, *dead;

static void
setup(void)
{
	store_setup();
	work = queue_with("work", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO, .max_receives = 1, .dead_letter = "dead",
	                                          .retry_min_ms = 1000, .retry_max_ms = 1000));
	dead = queue("dead");
}

static size_t
redrive(const evq_redrive_opts *opts)
{
	size_t moved = 0;
	ck_ok(evq_redrive(dead, NULL, opts, &moved));
	return moved;
}

/* Those of a batch, into the dead letter of q. */
static void
bury(evq_queue *q, const evq_batch *b, const char *bodies)
{
	char body[32];
	while (next_word(&bodies, body))
		ck_ok(evq_bury(q, NULL, receipt_of(b, body), "by hand"));
}

static void
remake_dead(uint32_t flags)
{
	ck_ok(evq_queue_set_attrs(work, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO)));
	ck_ok(evq_queue_drop(env, NULL, "dead"));
	dead = queue_with("dead", EVQ_QUEUE_ATTRS(.flags = flags));
	ck_ok(evq_queue_set_attrs(work, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO, .max_receives = 1, .dead_letter = "dead")));
}

/* ---- what unblocks ------------------------------------------------------------------------------------- */

START_TEST(message_over_its_limit_makes_way_in_the_same_receive)
{
	put(work, "a1 a2 b1");
	get(work, 1, "a1");
	get(work, MANY, "b1");
	clock_advance_ms(LEASE_MS);
	get(work, MANY, "a2");
	expect_counts(dead, 2, 0, 0);
	expect_blocked(work, 0, 0, 1, 0);
	get(dead, MANY, "a1 b1");
}
END_TEST

START_TEST(run_goes_on_behind_several_over_their_limit)
{
	put(work, "a1 a2 a3 a4 a5");
	get(work, 3, "a1 a2 a3");
	clock_advance_ms(LEASE_MS);
	get(work, MANY, "a4 a5");
	get(dead, MANY, "a1 a2 a3");
}
END_TEST

START_TEST(release_at_the_limit_unblocks_the_group)
{
	put(work, "a1 a2");
	evq_batch *b = get(work, 1, "a1");
	get(work, MANY, "");
	give_back_one(work, b, "a1", 3600000);
	expect_blocked(work, 1, 0, 0, 0);
	get(work, MANY, "a2");
	get(dead, MANY, "a1");
}
END_TEST

START_TEST(bury_unblocks_the_group)
{
	put(work, "a1 a2 a3");
	evq_batch *b = get(work, 2, "a1 a2");
	bury(work, b, "a1");
	get(work, MANY, "");
	bury(work, b, "a2");
	get(work, MANY, "a3");
	get(dead, MANY, "a1 a2");
}
END_TEST

START_TEST(expiry_into_the_dead_letter_unblocks_the_group)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO | EVQ_EXPIRE_TO_DEAD_LETTER, .dead_letter = "dead"));
	PUT(q, "a1", .expires_ms = 100);
	put(q, "a2");
	evq_batch *b = get(q, 1, "a1");
	if (_i)
		give_back_one(q, b, "a1", 3600000);
	clock_advance_ms(99);
	get(q, MANY, "");
	clock_advance_ms(1);
	expect_blocked(q, 1, 0, 0, 0);
	get(q, MANY, "a2");
	b = get(dead, MANY, "a1");
	ck_assert_str_eq(evq_batch_at(b, 0)->dead_reason, "expired");
}
END_TEST

/* ---- what does not ------------------------------------------------------------------------------------- */

static void
fill_dead(void)
{
	ck_ok(evq_queue_set_attrs(dead, NULL, EVQ_QUEUE_ATTRS(.max_messages = 1)));
	send(dead, "x");
}

static void
make_room(void)
{
	evq_receipt r = take_one(dead, "x");
	ck_ok(evq_delete(dead, NULL, &r));
}

START_TEST(full_dead_letter_keeps_the_group_blocked)
{
	fill_dead();
	put(work, "a1 a2 b1 b2");
	evq_batch *b = get(work, 1, "a1");
	clock_advance_ms(LEASE_MS - 1);
	if (_i) {
		give_back_one(work, b, "a1", 0);
		expect_blocked(work, 2, 1, 0, 1);
	} else
		clock_advance_ms(1);
	get(work, MANY, "b1 b2");
	expect_blocked(work, 0, 1, 2, 1);
	get(work, MANY, "");
	ck_assert_uint_eq(events_of(EVQ_EVENT_DEAD_LETTER_FULL), 1);
	ck_assert_uint_eq(stats(work).dead_lettered, 0);
	make_room();
	get(work, MANY, "");
	clock_advance_ms(1000);
	get(work, MANY, "a2");
	get(dead, MANY, "a1");
}
END_TEST

START_TEST(one_in_the_middle_that_cannot_be_dead_lettered_ends_the_run)
{
	fill_dead();
	put(work, "a1 a2 a3 b1");
	evq_batch *b = get(work, 2, "a1 a2");
	ck_ok(evq_release(work, NULL, receipt_of(b, "a1"), 0, EVQ_UNCOUNTED));
	clock_advance_ms(LEASE_MS);
	get(work, MANY, "a1 b1");
	expect_blocked(work, 0, 1, 2, 1);
}
END_TEST

START_TEST(bury_into_a_full_dead_letter_keeps_the_lease_and_the_group_blocked)
{
	fill_dead();
	put(work, "a1 a2");
	evq_batch *b = get(work, 1, "a1");
	ck_rc(evq_bury(work, NULL, receipt_of(b, "a1"), "by hand"), EVQ_FULL);
	expect_blocked(work, 0, 0, 1, 1);
	get(work, MANY, "");
	make_room();
	bury(work, b, "a1");
	get(work, MANY, "a2");
}
END_TEST

/* ---- places -------------------------------------------------------------------------------------------- */

START_TEST(order_is_kept_by_a_redrive)
{
	put(work, "a1 b1 a2 b2 a3");
	evq_batch *b = get(work, 4, "a1 a2 a3 b1");
	bury(work, b, "a3 b1 a1 a2");
	put(work, "a4");
	ck_assert_uint_eq(redrive(NULL), 4);
	expect_blocked(work, 6, 0, 0, 0);
	evq_batch *all = batch();
	char a[64] = "", bs[64] = "";
	ck_ok(evq_receive(work, NULL, EVQ_RECEIVE_OPTS(.count = MANY), all));
	for (size_t i = 0; i < evq_batch_count(all); i++) {
		const char *body = evq_batch_at(all, i)->body;
		strcat(strcat(body[0] == 'a' ? a : bs, body), " ");
	}
	ck_assert_str_eq(a, "a1 a2 a3 a4 ");
	ck_assert_str_eq(bs, "b1 b2 ");
}
END_TEST

START_TEST(message_that_comes_back_goes_to_its_place_before_those_that_wait)
{
	put(work, "a1 a2 a3");
	bury(work, get(work, 2, "a1 a2"), "a1 a2");
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.max = 1)), 1);
	evq_batch *b = get(work, 1, "a1");
	ck_assert_uint_eq(redrive(NULL), 1);
	get(work, MANY, "");
	finish(work, b, "a1");
	get(work, MANY, "a2 a3");
}
END_TEST

START_TEST(message_that_comes_back_does_not_wait_for_later_ones_in_flight)
{
	put(work, "a1 a2 a3");
	bury(work, get(work, 1, "a1"), "a1");
	evq_batch *b = get(work, 1, "a2");
	redrive(NULL);
	expect_blocked(work, 1, 0, 1, 1);
	evq_batch *first = get(work, MANY, "a1");
	finish(work, b, "a2");
	get(work, MANY, "");
	finish(work, first, "a1");
	get(work, MANY, "a3");
}
END_TEST

START_TEST(fifo_dead_letter_keeps_the_order_in_which_they_were_sent)
{
	remake_dead(EVQ_FIFO);
	put(work, "a1 a2 a3");
	evq_batch *b = get(work, MANY, "a1 a2 a3");
	bury(work, b, "a2");
	evq_batch *second = get(dead, MANY, "a2");
	bury(work, b, "a3");
	get(dead, MANY, "");
	bury(work, b, "a1");
	get(dead, MANY, "a1");
	get(dead, MANY, "");
	finish(dead, second, "a2");
	clock_advance_ms(LEASE_MS);
	get(dead, MANY, "a1 a3");
}
END_TEST

START_TEST(moved_message_is_due_from_when_it_came)
{
	remake_dead(_i ? EVQ_FIFO : 0);
	put(work, "a1 a2");
	PUT(dead, "b1", .priority = 0);
	clock_advance_ms(10);
	bury(work, get(work, MANY, "a1 a2"), "a1 a2");
	clock_advance_ms(10);
	PUT(dead, "c1", .priority = 0);
	get(dead, MANY, "b1 a1 a2 c1");
}
END_TEST

static int
note_body(const evq_delivery *d, void *arg)
{
	char *order = arg;
	strcat(strcat(order, *order ? " " : ""), d->body);
	return 1;
}

START_TEST(redrive_from_a_fifo_dead_letter_is_in_the_order_of_receiving)
{
	char order[TEXT] = "";
	remake_dead(EVQ_FIFO);
	evq_queue *to = queue("to");
	put(work, "a1 b1 a2 c1 b2");
	bury(work, get(work, MANY, "a1 a2 b1 b2 c1"), "b2 c1 a1 b1 a2");
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.to = "to", .max = 3)), 3);
	get(to, MANY, "a1 b1 a2"); /* came at the same time: by id there */
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.to = "to", .match = note_body, .match_arg = order)), 2);
	ck_assert_str_eq(order, "c1 b2");
}
END_TEST

START_TEST(redrive_leaves_those_behind_a_lease)
{
	remake_dead(EVQ_FIFO);
	put(work, "a1 a2 a3 b1");
	bury(work, get(work, MANY, "a1 a2 a3 b1"), "a1 a2 a3 b1");
	evq_batch *b = get(dead, 1, "a1");
	ck_assert_uint_eq(redrive(NULL), 1);
	get(work, MANY, "b1");
	expect_blocked(dead, 0, 0, 1, 2);
	finish(dead, b, "a1");
	ck_assert_uint_eq(redrive(NULL), 2);
	get(work, MANY, "a2 a3");
}
END_TEST

/* While it asks, somebody receives the first. */
static int
receive_meanwhile(const evq_delivery *d, void *arg)
{
	evq_batch **taken = arg;
	if (!*taken)
		*taken = get(dead, 1, "a1");
	return d != NULL;
}

START_TEST(redrive_leaves_those_whose_first_was_leased_meanwhile)
{
	evq_batch *taken = NULL;
	size_t moved = 0;
	remake_dead(EVQ_FIFO);
	put(work, "a1 a2 a3 b1");
	bury(work, get(work, MANY, "a1 a2 a3 b1"), "a1 a2 a3 b1");
	ck_ok(evq_redrive(dead, NULL, EVQ_REDRIVE_OPTS(.match = receive_meanwhile, .match_arg = &taken), &moved));
	ck_assert_uint_eq(moved, 1);
	get(work, MANY, "b1");
	expect_blocked(dead, 0, 0, 1, 2);
	finish(dead, taken, "a1");
	ck_assert_uint_eq(redrive(NULL), 2);
	get(work, MANY, "a2 a3");
}
END_TEST

START_TEST(redrive_takes_delayed_ones_and_then_those_behind)
{
	remake_dead(EVQ_FIFO);
	put(work, "a1 a2");
	bury(work, get(work, MANY, "a1 a2"), "a1 a2");
	give_back_one(dead, get(dead, 1, "a1"), "a1", 3600000);
	size_t moved = redrive(NULL);
	ck_assert_uint_ge(moved, 1);
	if (moved < 2)
		moved += redrive(NULL);
	ck_assert_uint_eq(moved, 2);
	get(work, MANY, "a1 a2");
}
END_TEST

START_TEST(message_without_a_group_is_one_of_its_own_in_a_fifo_queue)
{
	evq_queue *plain = queue_with("plain", EVQ_QUEUE_ATTRS(.dead_letter = "work"));
	send(plain, "x");
	send(plain, "y");
	put(plain, "a1 a2");
	bury(plain, get(plain, MANY, "x y a1 a2"), "a2 y x a1");
	evq_batch *x = get(work, 1, "x");
	ck_assert_ptr_null(evq_batch_at(x, 0)->group);
	get(work, 1, "y");
	get(work, 1, "a1");
	get(work, MANY, "");
	clock_advance_ms(LEASE_MS);
	expect_blocked(work, 4, 0, 0, 0);
}
END_TEST

START_TEST(redriven_into_another_fifo_queue_they_join_its_groups)
{
	put(work, "a1 a2");
	bury(work, get(work, MANY, "a1 a2"), "a2 a1");
	evq_queue *other = fifo("other");
	put(other, "a3");
	ck_assert_uint_eq(redrive(EVQ_REDRIVE_OPTS(.to = "other")), 2);
	put(other, "a4");
	get(other, 2, "a1 a2");
	get(other, MANY, "");
}
END_TEST

static const uint32_t kinds[] = { 0, EVQ_FIFO, EVQ_FAIR, EVQ_FIFO | EVQ_CONTENT_DEDUP };

START_TEST(dead_letter_of_a_fifo_queue_may_be_of_any_kind)
{
	remake_dead(kinds[_i]);
	put(work, "a1 a2 b1");
	bury(work, get(work, MANY, "a1 a2 b1"), "a1 a2 b1");
	expect_counts(dead, 3, 0, 0);
	ck_assert_uint_eq(redrive(NULL), 3);
	get(work, MANY, "a1 a2 b1");
}
END_TEST

START_TEST(dead_letter_made_with_defaults_is_a_plain_queue)
{
	evq_queue_attrs a = { .size = sizeof(a) };
	ck_ok(evq_queue_get_attrs(dead, &a));
	ck_assert_uint_eq(a.flags, 0);
	put(work, "a1 a2");
	bury(work, get(work, MANY, "a1 a2"), "a1 a2");
	get(dead, 1, "a1");
	get(dead, 1, "a2");
}
END_TEST

Suite *
group_moves_suite(void)
{
	Suite *s = suite_create("group_moves");
	TCase *t = tcase_create("group_moves");
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, message_over_its_limit_makes_way_in_the_same_receive);
	tcase_add_test(t, run_goes_on_behind_several_over_their_limit);
	tcase_add_test(t, release_at_the_limit_unblocks_the_group);
	tcase_add_test(t, bury_unblocks_the_group);
	tcase_add_loop_test(t, expiry_into_the_dead_letter_unblocks_the_group, 0, 2);
	tcase_add_loop_test(t, full_dead_letter_keeps_the_group_blocked, 0, 2);
	tcase_add_test(t, one_in_the_middle_that_cannot_be_dead_lettered_ends_the_run);
	tcase_add_test(t, bury_into_a_full_dead_letter_keeps_the_lease_and_the_group_blocked);
	tcase_add_test(t, order_is_kept_by_a_redrive);
	tcase_add_test(t, message_that_comes_back_goes_to_its_place_before_those_that_wait);
	tcase_add_test(t, message_that_comes_back_does_not_wait_for_later_ones_in_flight);
	tcase_add_test(t, fifo_dead_letter_keeps_the_order_in_which_they_were_sent);
	tcase_add_loop_test(t, moved_message_is_due_from_when_it_came, 0, 2);
	tcase_add_test(t, redrive_from_a_fifo_dead_letter_is_in_the_order_of_receiving);
	tcase_add_test(t, redrive_leaves_those_behind_a_lease);
	tcase_add_test(t, redrive_leaves_those_whose_first_was_leased_meanwhile);
	tcase_add_test(t, redrive_takes_delayed_ones_and_then_those_behind);
	tcase_add_test(t, message_without_a_group_is_one_of_its_own_in_a_fifo_queue);
	tcase_add_test(t, redriven_into_another_fifo_queue_they_join_its_groups);
	tcase_add_loop_test(t, dead_letter_of_a_fifo_queue_may_be_of_any_kind, 0, COUNT(kinds));
	tcase_add_test(t, dead_letter_made_with_defaults_is_a_plain_queue);
	suite_add_tcase(s, t);
	return s;
}
