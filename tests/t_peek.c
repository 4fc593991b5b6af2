/* SPDX-License-Identifier: MIT */
/*
 * Looking without leasing: every state is told right, pages join without gap or repeat whatever goes
 * on between them, nothing in the store changes, and what was seen cannot be settled.
 */
#include "raw.h"
#include "snapshot.h"

enum { LEASE_MS = 30000, ALL = EVQ_VISIBLE | EVQ_DELAYED | EVQ_LEASED | EVQ_BLOCKED };

static int
peek(evq_queue *q, uint32_t states, uint32_t count, const evq_receipt *after, evq_batch *b)
{
	return evq_peek(q, EVQ_PEEK_OPTS(.states = states, .count = count, .after = after), b);
}

/* A message in each state: its body says in which. */
static evq_queue *
one_of_each(void)
{
	evq_queue *q = queue("q");
	evq_id blocked = send(q, "blocked");
	raw_damage_body(blocked);
	q = queue("q");
	ck_rc(evq_receive(q, NULL, NULL, batch()), EVQ_CORRUPT);
	send(q, "leased");
	take_one(q, "leased");
	send(q, "visible");
	send_with(q, "delayed", EVQ_SEND_OPTS(.delay_ms = 60000));
	return q;
}

static void
purge(evq_queue *q)
{
	size_t purged;
	ck_ok(evq_purge(q, NULL, &purged));
}

static const char *
state_name(int state)
{
	switch (state) {
	case EVQ_VISIBLE: return "visible";
	case EVQ_DELAYED: return "delayed";
	case EVQ_LEASED: return "leased";
	case EVQ_BLOCKED: return "blocked";
	default: return "?";
	}
}

START_TEST(mask_chooses_the_states)
{
	evq_queue *q = one_of_each();
	evq_batch *b = batch();
	uint32_t mask = (uint32_t)_i, wanted = mask ? mask : ALL, shown = 0;
	ck_ok(peek(q, mask, 0, NULL, b));
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		const evq_delivery *d = evq_batch_at(b, i);
		ck_assert_uint_eq(shown & (uint32_t)d->state, 0);
		shown |= (uint32_t)d->state;
		if (d->state == EVQ_BLOCKED)
			ck_assert(d->body == NULL && d->body_len == 0);
		else
			ck_assert_str_eq(d->body, state_name(d->state));
	}
	ck_assert_uint_eq(shown, wanted);
	purge(q);
}
END_TEST

START_TEST(unknown_states_are_refused_and_empty_the_batch)
{
	evq_queue *q = queue("q");
	send(q, "a");
	evq_batch *b = take(q, 1);
	ck_rc(peek(q, 16, 0, NULL, b), EINVAL);
	ck_assert_uint_eq(evq_batch_count(b), 0);
	ck_assert_ptr_null(evq_batch_at(b, 0));
	ck_rc(peek(q, UINT32_MAX, 0, NULL, b), EINVAL);
}
END_TEST

START_TEST(nothing_to_show_is_empty)
{
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	ck_rc(evq_peek(q, NULL, b), EVQ_EMPTY);
	send(q, "a");
	ck_rc(peek(q, EVQ_LEASED | EVQ_DELAYED | EVQ_BLOCKED, 0, NULL, b), EVQ_EMPTY);
	ck_ok(evq_peek(q, NULL, b));
	ck_assert_uint_eq(evq_batch_count(b), 1);
	ck_rc(peek(q, EVQ_LEASED, 0, NULL, b), EVQ_EMPTY);
	ck_assert_uint_eq(evq_batch_count(b), 0);
}
END_TEST

START_TEST(peek_shows_all_there_is_to_a_message)
{
	const evq_attr attrs[] = { { "a", "1", 1 }, { "b", "", 0 } };
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	evq_id id = send_with(q, "body", EVQ_SEND_OPTS(.priority = -7, .group = "g", .attrs = attrs, .attr_count = 2,
	                                               .delay_ms = 500));
	ck_ok(evq_peek(q, NULL, b));
	const evq_delivery *d = evq_batch_at(b, 0);
	ck_assert_uint_eq(d->id, id);
	ck_assert_uint_eq(d->body_len, 4);
	ck_assert_mem_eq(d->body, "body", 5);
	ck_assert_int_eq(d->priority, -7);
	ck_assert_str_eq(d->group, "g");
	ck_assert_uint_eq(d->attr_count, 2);
	ck_assert_str_eq(d->attrs[1].name, "b");
	ck_assert_uint_eq(d->receives, 0);
	ck_assert_int_eq(d->first_received_at_ms, 0);
	ck_assert_int_eq(d->sent_at_ms, clock_now_ms());
	ck_assert_int_eq(d->visible_at_ms, clock_now_ms() + 500);
	ck_assert_int_eq(d->state, EVQ_DELAYED);
	clock_advance_ms(500);
	take_one(q, "body");
	ck_ok(evq_peek(q, NULL, b));
	d = evq_batch_at(b, 0);
	ck_assert_int_eq(d->state, EVQ_LEASED);
	ck_assert_uint_eq(d->receives, 1);
	ck_assert_int_eq(d->first_received_at_ms, clock_now_ms());
	ck_assert_int_eq(d->visible_at_ms, clock_now_ms() + LEASE_MS);
}
END_TEST

START_TEST(lease_that_ran_out_shows_as_visible)
{
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	send(q, "a");
	take_one(q, "a");
	clock_advance_ms(LEASE_MS - 1);
	ck_rc(peek(q, EVQ_VISIBLE, 0, NULL, b), EVQ_EMPTY);
	clock_advance_ms(1);
	ck_ok(peek(q, EVQ_VISIBLE, 0, NULL, b));
	ck_rc(peek(q, EVQ_LEASED, 0, NULL, b), EVQ_EMPTY);
}
END_TEST

START_TEST(expired_messages_are_never_shown)
{
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	send_with(q, "short", EVQ_SEND_OPTS(.expires_ms = 10));
	send(q, "long");
	clock_advance_ms(9);
	ck_ok(evq_peek(q, NULL, b));
	ck_assert_uint_eq(evq_batch_count(b), 2);
	clock_advance_ms(1);
	ck_ok(evq_peek(q, NULL, b));
	ck_assert_uint_eq(evq_batch_count(b), 1);
	ck_assert_str_eq(evq_batch_at(b, 0)->body, "long");
}
END_TEST

static const uint32_t asked[] = { 0, 1, 99, 100, 101, EVQ_BATCH_MAX };

START_TEST(count_bounds_what_is_shown)
{
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	for (int i = 0; i < 120; i++)
		send(q, "a");
	uint32_t most = asked[_i] ? asked[_i] : 100;
	ck_ok(peek(q, 0, asked[_i], NULL, b));
	ck_assert_uint_eq(evq_batch_count(b), most < 120 ? most : 120);
}
END_TEST

START_TEST(count_over_the_limit_is_refused)
{
	evq_queue *q = queue("q");
	send(q, "a");
	evq_batch *b = take(q, 1);
	ck_rc(peek(q, 0, EVQ_BATCH_MAX + 1, NULL, b), E2BIG);
	ck_assert_uint_eq(evq_batch_count(b), 0);
}
END_TEST

START_TEST(order_is_that_of_a_receive)
{
	evq_queue *q = queue("q");
	send_with(q, "5", EVQ_SEND_OPTS(.priority = -128));
	send_with(q, "4", EVQ_SEND_OPTS(.delay_ms = 20));
	send_with(q, "3", EVQ_SEND_OPTS(.delay_ms = 10));
	send(q, "1");
	send(q, "2");
	send_with(q, "0", EVQ_SEND_OPTS(.priority = 127, .delay_ms = 50));
	evq_batch *b = batch();
	ck_ok(evq_peek(q, NULL, b));
	ck_assert_uint_eq(evq_batch_count(b), 6);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(atoi(evq_batch_at(b, (size_t)i)->body), i);
}
END_TEST

/* ---- pages -------------------------------------------------------------------------------------- */

enum { MESSAGES = 60 };

static evq_queue *
mixed_queue(void)
{
	evq_queue *q = queue("q");
	for (int i = 0; i < MESSAGES; i++)
		send_with(q, "m", EVQ_SEND_OPTS(.priority = i % 5 - 2, .delay_ms = i % 3 ? EVQ_NONE : 1000 + i));
	take(q, 10);
	return q;
}

static const uint32_t page_sizes[] = { 1, 7, 30, 59, 60, 61 };

START_TEST(pages_join_without_gap_or_repeat)
{
	static const uint32_t masks[] = { ALL, EVQ_VISIBLE, EVQ_LEASED | EVQ_DELAYED };
	evq_queue *q = mixed_queue();
	evq_batch *whole = batch(), *page = batch();
	for (int m = 0; m < COUNT(masks); m++) {
		ck_ok(peek(q, masks[m], MESSAGES, NULL, whole));
		evq_receipt after = { { 0, 0, 0, 0 } };
		size_t at = 0;
		while (peek(q, masks[m], page_sizes[_i], at ? &after : NULL, page) == 0) {
			ck_assert_uint_le(evq_batch_count(page), page_sizes[_i]);
			for (size_t i = 0; i < evq_batch_count(page); i++, at++)
				ck_assert_uint_eq(evq_batch_at(page, i)->id, evq_batch_at(whole, at)->id);
			after = evq_batch_at(page, evq_batch_count(page) - 1)->receipt;
		}
		ck_assert_uint_eq(at, evq_batch_count(whole));
		ck_rc(peek(q, masks[m], 1, &after, page), EVQ_EMPTY);
	}
}
END_TEST

START_TEST(paging_goes_on_behind_a_message_that_went_away)
{
	evq_queue *q = queue("q");
	send(q, "one");
	send(q, "two");
	send(q, "three");
	evq_batch *b = batch();
	ck_ok(peek(q, EVQ_VISIBLE, 2, NULL, b));
	evq_receipt after = evq_batch_at(b, 1)->receipt;
	evq_batch *taken = take(q, 2);
	evq_receipt two = evq_batch_at(taken, 1)->receipt;
	for (int i = 0; i < 2; i++) {
		ck_ok(peek(q, EVQ_VISIBLE, 0, &after, b));
		ck_assert_uint_eq(evq_batch_count(b), 1);
		ck_assert_str_eq(evq_batch_at(b, 0)->body, "three");
		if (i == 0)
			ck_ok(evq_delete(q, NULL, &two));
	}
}
END_TEST

START_TEST(after_of_another_queue_or_garbage_is_refused)
{
	evq_queue *q = queue("q"), *other = queue("other");
	send(q, "a");
	send(other, "b");
	evq_batch *b = batch();
	ck_ok(evq_peek(other, NULL, b));
	evq_receipt foreign = evq_batch_at(b, 0)->receipt, garbage = { { 1, 2, 3, 4 } };
	ck_rc(peek(q, 0, 0, &foreign, b), EINVAL);
	ck_assert_uint_eq(evq_batch_count(b), 0);
	ck_rc(peek(q, 0, 0, &garbage, b), EINVAL);
}
END_TEST

/* ---- no trace ----------------------------------------------------------------------------------- */

static size_t
last_txn(void)
{
	MDB_envinfo info;
	ck_assert_int_eq(mdb_env_info(evq_env_mdb(env), &info), 0);
	return info.me_last_txnid;
}

START_TEST(peek_changes_nothing)
{
	static struct snapshot before;
	evq_queue *q = one_of_each();
	seen_count = 0;
	snap_take(&before);
	size_t txn = last_txn();
	evq_batch *b = batch();
	for (int i = 0; i < 5; i++)
		ck_ok(evq_peek(q, NULL, b));
	ck_assert_uint_eq(last_txn(), txn);
	ck_assert_uint_eq(seen_count, 0);
	snap_expect(&before);
	take_one(q, "visible");
	purge(q);
}
END_TEST

START_TEST(peek_meets_damage_without_a_word)
{
	raw_damage_body(send(queue("q"), "a"));
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	ck_ok(evq_peek(q, NULL, b));
	ck_assert_uint_eq(evq_batch_count(b), 1);
	ck_assert_ptr_null(evq_batch_at(b, 0)->body);
	ck_assert_int_eq(evq_batch_at(b, 0)->state, EVQ_VISIBLE);
	ck_assert_uint_eq(seen_count, 0);
	expect_counts(q, 1, 0, 0);
	purge(q);
}
END_TEST

START_TEST(peeked_receipts_settle_nothing_in_any_state)
{
	static struct snapshot before;
	static evq_receipt out;
	evq_queue *q = one_of_each();
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.dead_letter = "dead")));
	evq_batch *b = batch();
	ck_ok(evq_peek(q, NULL, b));
	ck_assert_uint_eq(evq_batch_count(b), 4);
	snap_take(&before);
	for (size_t i = 0; i < 4; i++) {
		const evq_receipt *receipt = &evq_batch_at(b, i)->receipt;
		int rcs[1] = { 0 };
		ck_rc(evq_delete(q, NULL, receipt), EVQ_STALE);
		ck_rc(evq_extend(q, NULL, receipt, 0, &out), EVQ_STALE);
		ck_rc(evq_release(q, NULL, receipt, 0, 0), EVQ_STALE);
		ck_rc(evq_bury(q, NULL, receipt, "x"), EVQ_STALE);
		ck_ok(evq_delete_batch(q, NULL, receipt, 1, rcs));
		ck_rc(rcs[0], EVQ_STALE);
	}
	snap_expect(&before);
	purge(q);
}
END_TEST

Suite *
peek_suite(void)
{
	Suite *suite = suite_create("peek");
	TCase *tc = tcase_create("peek");
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_loop_test(tc, mask_chooses_the_states, 0, ALL + 1);
	tcase_add_test(tc, unknown_states_are_refused_and_empty_the_batch);
	tcase_add_test(tc, nothing_to_show_is_empty);
	tcase_add_test(tc, peek_shows_all_there_is_to_a_message);
	tcase_add_test(tc, lease_that_ran_out_shows_as_visible);
	tcase_add_test(tc, expired_messages_are_never_shown);
	tcase_add_loop_test(tc, count_bounds_what_is_shown, 0, COUNT(asked));
	tcase_add_test(tc, count_over_the_limit_is_refused);
	tcase_add_test(tc, order_is_that_of_a_receive);
	tcase_add_loop_test(tc, pages_join_without_gap_or_repeat, 0, COUNT(page_sizes));
	tcase_add_test(tc, paging_goes_on_behind_a_message_that_went_away);
	tcase_add_test(tc, after_of_another_queue_or_garbage_is_refused);
	tcase_add_test(tc, peek_changes_nothing);
	tcase_add_test(tc, peek_meets_damage_without_a_word);
	tcase_add_test(tc, peeked_receipts_settle_nothing_in_any_state);
	suite_add_tcase(suite, tc);
	return suite;
}
