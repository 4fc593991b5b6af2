/* SPDX-License-Identifier: MIT */
/*
 * A look at queues with groups: which are blocked and which are not, group by group and each in its order, in pages
 * that join, and without a trace. The figures say the same. Peeking at plain queues is in t_peek.c.
 */
#include "groups.h"
#include "raw.h"
#include "snapshot.h"

static evq_queue *q;

static void
setup(void)
{
	store_setup();
	q = fifo("q");
}

static char
letter_of(int state)
{
	return state == EVQ_VISIBLE ? 'v' : state == EVQ_DELAYED ? 'd' : state == EVQ_LEASED ? 'l' :
	       state == EVQ_BLOCKED ? 'b' : '?';
}

/* The states of one group's, in their order: a letter each. */
static void
expect_states(char group, const char *states)
{
	char got[256];
	size_t len = 0;
	evq_batch *b = batch();
	evq_id last = 0;
	int rc = evq_peek(q, NULL, b);
	ck_assert(rc == 0 || rc == EVQ_EMPTY);
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		const evq_delivery *d = evq_batch_at(b, i);
		if (!d->group || d->group[0] != group)
			continue;
		ck_assert_uint_gt(d->id, last);
		last = d->id;
		got[len++] = letter_of(d->state);
	}
	got[len] = 0;
	ck_assert_str_eq(got, states);
}

START_TEST(peek_and_stats_show_what_is_blocked)
{
	put(q, "a1 a2 a3 b1 c1 c2");
	expect_states('a', "vvv");
	expect_blocked(q, 6, 0, 0, 0);
	evq_batch *a = get(q, 2, "a1 a2");
	expect_states('a', "llb");
	expect_states('b', "v");
	expect_blocked(q, 3, 0, 2, 1);
	get(q, 1, "b1");
	evq_batch *c = get(q, 1, "c1");
	give_back_one(q, c, "c1", 500);
	expect_states('c', "db");
	expect_blocked(q, 0, 1, 3, 2);
	give_back_one(q, a, "a1", 0);
	expect_states('a', "vlb");
	expect_blocked(q, 1, 1, 2, 2);
	clock_advance_ms(500);
	expect_states('c', "vv");
	expect_blocked(q, 3, 0, 2, 1);
	give_back_one(q, a, "a2", 100);
	expect_states('a', "vdb");
	get(q, 1, "a1");
	expect_states('a', "ldb");
	clock_advance_ms(100);
	expect_states('a', "lbb");
	expect_states('b', "l");
	clock_advance_ms(LEASE_MS);
	expect_states('a', "vvv");
	expect_blocked(q, 6, 0, 0, 0);
}
END_TEST

START_TEST(delay_of_the_queue_is_a_delay_and_what_is_due_behind_it_blocked)
{
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO, .delay_ms = 100)));
	put(q, "a1 a2");
	expect_states('a', "dd");
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO)));
	put(q, "a3");
	expect_states('a', "ddb");
	expect_blocked(q, 0, 2, 0, 1);
	clock_advance_ms(100);
	expect_states('a', "vvv");
}
END_TEST

START_TEST(expired_ones_neither_show_nor_block)
{
	PUT(q, "a1", .expires_ms = 50);
	PUT(q, "a2", .expires_ms = 60);
	put(q, "a3");
	give_back_one(q, get(q, 1, "a1"), "a1", 5000);
	get(q, 1, "");
	expect_states('a', "dbb");
	clock_advance_ms(50);
	expect_states('a', "vv");
	get(q, 1, "a2");
	expect_states('a', "lb");
	clock_advance_ms(10);
	expect_states('a', "v");
	expect_blocked(q, 1, 0, 0, 0);
	ck_assert_int_eq(stats(q).oldest_sent_at_ms, clock_now_ms() - 60);
}
END_TEST

START_TEST(parked_ones_are_blocked_and_block_nothing)
{
	evq_id bad = PUT(q, "a1", .priority = 0);
	put(q, "a2 a3");
	raw_damage_body(bad);
	q = fifo("q");
	expect_states('a', "vv"); /* what is damaged tells no group */
	expect_blocked(q, 3, 0, 0, 0); /* and nobody has met it yet */
	get(q, 1, "a2");
	expect_blocked(q, 0, 0, 1, 2);
	ck_ok(evq_purge(q, NULL, NULL));
}
END_TEST

static const uint32_t masks[] = { EVQ_VISIBLE, EVQ_DELAYED, EVQ_LEASED, EVQ_BLOCKED, EVQ_BLOCKED | EVQ_LEASED, 0 };

/* Four groups, in each of which are some of all states. */
static void
mixed(void)
{
	put(q, "a1 b1 c1 d1 a2 b2 c2 d2 a3 b3 c3 d3 a4 b4 c4 d4");
	evq_batch *b = get(q, 9, "a1 a2 a3 a4 b1 b2 b3 b4 c1");
	give_back_one(q, b, "a1", 0);
	give_back_one(q, b, "a3", 0);
	give_back_one(q, b, "b1", 700);
	give_back_one(q, b, "b2", 0);
}

START_TEST(mask_chooses_the_states_of_groups_too)
{
	evq_batch *all = batch(), *some = batch();
	uint32_t mask = masks[_i];
	size_t at = 0;
	mixed();
	ck_ok(evq_peek(q, NULL, all));
	ck_assert_uint_eq(evq_batch_count(all), 16);
	ck_ok(evq_peek(q, EVQ_PEEK_OPTS(.states = mask), some));
	for (size_t i = 0; i < 16; i++)
		if (!mask || (uint32_t)evq_batch_at(all, i)->state & mask)
			ck_assert_uint_eq(evq_batch_at(some, at++)->id, evq_batch_at(all, i)->id);
	ck_assert_uint_eq(evq_batch_count(some), at);
	evq_stats s = stats(q);
	if (mask == EVQ_BLOCKED)
		ck_assert_uint_eq(s.blocked, at);
	ck_assert_uint_eq(s.visible + s.delayed + s.leased + s.blocked, 16);
}
END_TEST

START_TEST(peek_goes_group_by_group)
{
	int seen_groups[4] = { 0 };
	char last = 0;
	evq_batch *b = batch();
	mixed();
	ck_ok(evq_peek(q, NULL, b));
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		const evq_delivery *d = evq_batch_at(b, i);
		int g = d->group[0] - 'a';
		if (d->group[0] != last)
			ck_assert_int_eq(seen_groups[g]++, 0);
		else
			ck_assert_uint_gt(d->id, evq_batch_at(b, i - 1)->id);
		last = d->group[0];
	}
}
END_TEST

static const uint32_t page_sizes[] = { 1, 2, 3, 5, 15, 16, 17 };

START_TEST(pages_of_groups_join_without_gap_or_repeat)
{
	mixed();
	evq_batch *whole = batch(), *page = batch();
	for (int m = 0; m < COUNT(masks); m++) {
		evq_receipt after = { { 0, 0, 0, 0 } };
		size_t at = 0;
		ck_ok(evq_peek(q, EVQ_PEEK_OPTS(.states = masks[m]), whole));
		while (evq_peek(q, EVQ_PEEK_OPTS(.states = masks[m], .count = page_sizes[_i], .after = at ? &after : NULL),
		                page) == 0) {
			ck_assert_uint_le(evq_batch_count(page), page_sizes[_i]);
			for (size_t i = 0; i < evq_batch_count(page); i++, at++) {
				ck_assert_uint_eq(evq_batch_at(page, i)->id, evq_batch_at(whole, at)->id);
				ck_assert_int_eq(evq_batch_at(page, i)->state, evq_batch_at(whole, at)->state);
			}
			after = evq_batch_at(page, evq_batch_count(page) - 1)->receipt;
		}
		ck_assert_uint_eq(at, evq_batch_count(whole));
	}
}
END_TEST

/* Of the next page the states are told by what is before it, on the page that was seen or not. */
START_TEST(page_goes_on_behind_one_that_went_away_or_was_taken)
{
	put(q, "a1 a2 a3 a4");
	evq_batch *b = batch();
	ck_ok(evq_peek(q, EVQ_PEEK_OPTS(.count = 2), b));
	evq_receipt after = evq_batch_at(b, 1)->receipt;
	evq_batch *taken = get(q, 2, "a1 a2");
	for (int i = 0; i < 3; i++) {
		ck_ok(evq_peek(q, EVQ_PEEK_OPTS(.after = &after), b));
		ck_assert_str_eq(bodies_of(b), "a3 a4");
		for (size_t at = 0; at < 2; at++)
			ck_assert_int_eq(evq_batch_at(b, at)->state, i < 2 ? EVQ_BLOCKED : EVQ_VISIBLE);
		if (i < 2)
			finish(q, taken, i ? "a1" : "a2");
	}
}
END_TEST

START_TEST(look_at_groups_changes_nothing)
{
	static struct snapshot before;
	static evq_receipt out;
	evq_batch *b = batch();
	mixed();
	snap_take(&before);
	ck_ok(evq_peek(q, NULL, b));
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		const evq_receipt *r = &evq_batch_at(b, i)->receipt;
		ck_rc(evq_delete(q, NULL, r), EVQ_STALE);
		ck_rc(evq_extend(q, NULL, r, 0, &out), EVQ_STALE);
		ck_rc(evq_release(q, NULL, r, 0, 0), EVQ_STALE);
	}
	snap_expect(&before);
}
END_TEST

START_TEST(fair_queue_shows_nothing_blocked)
{
	evq_queue *f = fair("f");
	put(f, "a1 a2 a3 b1");
	give_back_one(f, get(f, 2, "a1 b1"), "a1", 1000);
	expect_blocked(f, 2, 1, 1, 0);
	evq_batch *whole = batch(), *page = batch();
	ck_ok(evq_peek(f, NULL, whole));
	ck_assert_uint_eq(evq_batch_count(whole), 4);
	ck_rc(evq_peek(f, EVQ_PEEK_OPTS(.states = EVQ_BLOCKED), page), EVQ_EMPTY);
	for (size_t i = 0; i < 4; i++) { /* in pages of one */
		ck_ok(evq_peek(f, EVQ_PEEK_OPTS(.count = 1, .after = i ? &evq_batch_at(whole, i - 1)->receipt : NULL), page));
		ck_assert_uint_eq(evq_batch_at(page, 0)->id, evq_batch_at(whole, i)->id);
	}
	ck_rc(evq_peek(f, EVQ_PEEK_OPTS(.after = &evq_batch_at(whole, 3)->receipt), page), EVQ_EMPTY);
	get(f, MANY, "a2 a3");
}
END_TEST

Suite *
peek_groups_suite(void)
{
	Suite *s = suite_create("peek_groups");
	TCase *t = tcase_create("peek_groups");
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, peek_and_stats_show_what_is_blocked);
	tcase_add_test(t, delay_of_the_queue_is_a_delay_and_what_is_due_behind_it_blocked);
	tcase_add_test(t, expired_ones_neither_show_nor_block);
	tcase_add_test(t, parked_ones_are_blocked_and_block_nothing);
	tcase_add_loop_test(t, mask_chooses_the_states_of_groups_too, 0, COUNT(masks));
	tcase_add_test(t, peek_goes_group_by_group);
	tcase_add_loop_test(t, pages_of_groups_join_without_gap_or_repeat, 0, COUNT(page_sizes));
	tcase_add_test(t, page_goes_on_behind_one_that_went_away_or_was_taken);
	tcase_add_test(t, look_at_groups_changes_nothing);
	tcase_add_test(t, fair_queue_shows_nothing_blocked);
	suite_add_tcase(s, t);
	return s;
}
