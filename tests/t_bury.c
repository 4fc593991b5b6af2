/* SPDX-License-Identifier: MIT */
/*
 * Burying by hand: the message goes to the dead letter whole, with the reason given, or nothing happens at all.
 * The other ways there are in t_dead.c.
 */
#include "support.h"

#define REASON_128                                                     \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static evq_queue *q, *dead;

static void
queues_setup(void)
{
	store_setup();
	q = queue_with("q", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	dead = queue_with("dead", NULL);
}

START_TEST(a_buried_message_is_whole_in_the_dead_letter)
{
	static char body[50000];
	const evq_attr attr = { "name", "value", 5 };
	memset(body, 'b', sizeof(body) - 1);
	int64_t start = clock_now_ms();
	evq_id id = send_with(q, body, EVQ_SEND_OPTS(.priority = -9, .group = "g", .attrs = &attr, .attr_count = 1));
	clock_advance_ms(5);
	evq_receipt r = take_one(q, body);
	clock_advance_ms(6);
	ck_ok(evq_bury(q, NULL, &r, "no good"));
	clock_advance_ms(7);
	expect_counts(q, 0, 0, 0);
	expect_counts(dead, 1, 0, 0);
	const evq_delivery *d = evq_batch_at(take(dead, 1), 0);
	ck_assert_uint_eq(d->id, id);
	ck_assert_str_eq(d->body, body);
	ck_assert_int_eq(d->priority, -9);
	ck_assert_str_eq(d->group, "g");
	ck_assert_str_eq(d->attrs[0].value, "value");
	ck_assert_uint_eq(d->receives, 2);
	ck_assert_int_eq(d->sent_at_ms, start);
	ck_assert_int_eq(d->first_received_at_ms, start + 5);
	ck_assert_str_eq(d->dead_from, "q");
	ck_assert_str_eq(d->dead_reason, "no good");
	ck_assert_int_eq(d->dead_at_ms, start + 11);
	ck_assert_uint_eq(d->death_count, 1);
	ck_assert_str_eq(d->deaths[0].from, "q");
	ck_assert_str_eq(d->deaths[0].reason, "no good");
	ck_assert_int_eq(d->deaths[0].at_ms, start + 11);
	ck_assert_uint_eq(d->deaths[0].receives, 1);
}
END_TEST

START_TEST(a_burial_is_counted_in_the_source_and_told)
{
	evq_id id = send(q, "x");
	evq_receipt r = take_one(q, "x");
	ck_ok(evq_bury(q, NULL, &r, "why"));
	evq_stats from = stats(q), to = stats(dead);
	ck_assert_uint_eq(from.dead_lettered, 1);
	ck_assert_uint_eq(from.messages + from.bytes + from.deleted + from.expired, 0);
	ck_assert_uint_eq(to.messages, 1);
	ck_assert_uint_eq(to.bytes, 1);
	ck_assert_uint_eq(to.sent + to.dead_lettered, 0);
	ck_assert_uint_eq(seen_count, 1);
	ck_assert_int_eq(seen[0].type, EVQ_EVENT_DEAD_LETTERED);
	ck_assert_str_eq(seen[0].queue, "q");
	ck_assert_str_eq(seen[0].reason, "why");
	ck_assert_uint_eq(seen[0].id, id);
}
END_TEST

static const struct {
	const char *reason;
	int rc;
} reasons[] = {
	{ NULL, EINVAL },      { "", EINVAL },   { REASON_128 "x", EVQ_TOOBIG }, { REASON_128 REASON_128, EVQ_TOOBIG }, { "r", 0 },
	{ &REASON_128[1], 0 }, { REASON_128, 0 }, { "max-receives", 0 },         { "\xc3\xa9 \n\t\"", 0 },
};

START_TEST(a_reason_is_1_to_128_bytes)
{
	send(q, "x");
	evq_receipt r = take_one(q, "x");
	ck_rc(evq_bury(q, NULL, &r, reasons[_i].reason), reasons[_i].rc);
	if (reasons[_i].rc) {
		expect_counts(q, 0, 0, 1);
		ck_ok(evq_bury(q, NULL, &r, "good"));
	}
	ck_assert_str_eq(evq_batch_at(take(dead, 1), 0)->dead_reason, reasons[_i].rc ? "good" : reasons[_i].reason);
}
END_TEST

START_TEST(a_queue_without_a_dead_letter_buries_nothing)
{
	evq_queue *plain = queue("plain");
	send(plain, "x");
	evq_receipt r = take_one(plain, "x");
	ck_rc(evq_bury(plain, NULL, &r, "why"), ENOENT);
	expect_counts(plain, 0, 0, 1);
	ck_ok(evq_delete(plain, NULL, &r));
}
END_TEST

START_TEST(a_full_dead_letter_refuses_and_nothing_changes)
{
	ck_ok(evq_queue_set_attrs(dead, NULL, _i ? EVQ_QUEUE_ATTRS(.max_messages = 1) : EVQ_QUEUE_ATTRS(.max_bytes = 3)));
	send(dead, "ab");
	send(q, "xy");
	evq_receipt r = take_one(q, "xy");
	ck_rc(evq_bury(q, NULL, &r, "why"), EVQ_FULL);
	expect_counts(q, 0, 0, 1);
	expect_counts(dead, 1, 0, 0);
	ck_assert_uint_eq(stats(q).dead_lettered, 0);
	evq_receipt room = take_one(dead, "ab");
	ck_ok(evq_delete(dead, NULL, &room));
	ck_ok(evq_bury(q, NULL, &r, "why"));
	take_one(dead, "xy");
}
END_TEST

START_TEST(an_aborted_burial_leaves_the_lease_and_tells_nothing)
{
	evq_txn *txn = NULL;
	send(q, "x");
	evq_receipt r = take_one(q, "x");
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_bury(q, txn, &r, "why"));
	evq_abort(txn);
	ck_assert_uint_eq(seen_count, 0);
	expect_counts(q, 0, 0, 1);
	expect_counts(dead, 0, 0, 0);
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_bury(q, txn, &r, "why"));
	ck_assert_uint_eq(seen_count, 0);
	ck_ok(evq_commit(txn));
	ck_assert_uint_eq(seen_count, 1);
}
END_TEST

START_TEST(null_arguments_are_einval)
{
	send(q, "x");
	evq_receipt r = take_one(q, "x");
	ck_rc(evq_bury(NULL, NULL, &r, "why"), EINVAL);
	ck_rc(evq_bury(q, NULL, NULL, "why"), EINVAL);
	expect_counts(q, 0, 0, 1);
}
END_TEST

Suite *
bury_suite(void)
{
	Suite *s = suite_create("bury");
	TCase *t = tcase_create("bury");
	tcase_add_checked_fixture(t, queues_setup, store_teardown);
	tcase_add_test(t, a_buried_message_is_whole_in_the_dead_letter);
	tcase_add_test(t, a_burial_is_counted_in_the_source_and_told);
	tcase_add_loop_test(t, a_reason_is_1_to_128_bytes, 0, COUNT(reasons));
	tcase_add_test(t, a_queue_without_a_dead_letter_buries_nothing);
	tcase_add_loop_test(t, a_full_dead_letter_refuses_and_nothing_changes, 0, 2);
	tcase_add_test(t, an_aborted_burial_leaves_the_lease_and_tells_nothing);
	tcase_add_test(t, null_arguments_are_einval);
	suite_add_tcase(s, t);
	return s;
}
