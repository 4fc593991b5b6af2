/* SPDX-License-Identifier: MIT */
/*
 * Deduplication by content: which bodies are one and the same, that nothing else of a message is looked at, that an id
 * of the sender's comes before it, and what decides when the first is gone.
 */
#include "procs.h"
#include "raw.h"
#include "repeats.h"

static evq_queue *q;

static void
setup(void)
{
	store_setup();
	q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP));
}

static evq_id
send_bytes(const void *body, size_t len)
{
	evq_id id = 0;
	ck_ok(evq_send(q, NULL, body, len, NULL, &id));
	ck_assert_uint_ne(id, 0);
	return id;
}

/* ---- bodies -------------------------------------------------------------------------------------------- */

START_TEST(equal_bodies_are_repeats)
{
	evq_id first = send(q, "body");
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(send(q, "body"), first);
	expect_sent(q, 1, 3);
	get(q, MANY, "body");
}
END_TEST

START_TEST(content_dedup_compares_bodies_to_the_last_byte)
{
	static const evq_buf bodies[] = {
		{ "", 0 },     { "\0", 1 },   { "\0\0", 2 }, { "a", 1 },     { "a\0", 2 },
		{ "\0a", 2 },  { "b", 1 },    { "ab", 2 },   { "ba", 2 },    { "A", 1 },
		{ "a\0b", 3 }, { "a\0c", 3 }, { "abc", 3 },  { "abcd", 4 },  { "abc\n", 4 },
	};
	evq_id ids[COUNT(bodies)];
	for (int i = 0; i < COUNT(bodies); i++)
		ids[i] = send_bytes(bodies[i].data, bodies[i].len);
	expect_sent(q, COUNT(bodies), 0);
	for (int i = 0; i < COUNT(bodies); i++)
		ck_assert_uint_eq(send_bytes(bodies[i].data, bodies[i].len), ids[i]);
	expect_sent(q, COUNT(bodies), COUNT(bodies));
}
END_TEST

static const size_t lengths[] = { 100, 1000, 3000, 4080, 4081, 12000, 300000 };

START_TEST(long_bodies_that_differ_in_one_byte_are_two)
{
	static char body[300000];
	size_t len = lengths[_i];
	const size_t places[] = { 0, len / 2, len - 1 };
	memset(body, 'b', sizeof(body));
	evq_id first = send_bytes(body, len);
	for (int i = 0; i < COUNT(places); i++) {
		body[places[i]] ^= 1;
		ck_assert_uint_ne(send_bytes(body, len), first);
		body[places[i]] ^= 1;
		ck_assert_uint_eq(send_bytes(body, len), first);
	}
	ck_assert_uint_ne(send_bytes(body, len - 1), first);
	expect_sent(q, 5, 3);
}
END_TEST

START_TEST(empty_bodies_equal_each_other)
{
	evq_id first = send_bytes("", 0);
	ck_assert_uint_eq(send_bytes(NULL, 0), first);
	finish_all(q, take(q, 1));
	ck_assert_uint_eq(send_bytes(NULL, 0), first);
	expect_sent(q, 1, 2);
}
END_TEST

START_TEST(nothing_but_the_body_is_looked_at)
{
	const evq_attr attrs[] = { { "a", "1", 1 }, { "b", "2", 1 } };
	evq_id first = send_with(q, "body", EVQ_SEND_OPTS(.group = "a", .attrs = attrs, .attr_count = 1));
	ck_assert_uint_eq(send_with(q, "body", EVQ_SEND_OPTS(.group = "b", .attrs = attrs, .attr_count = 2)), first);
	ck_assert_uint_eq(send_with(q, "body", EVQ_SEND_OPTS(.priority = 9, .delay_ms = 77, .expires_ms = 5)), first);
	ck_assert_uint_eq(send(q, "body"), first);
	expect_sent(q, 1, 3);
	const evq_delivery *d = evq_batch_at(take(q, 1), 0);
	ck_assert_str_eq(d->group, "a");
	ck_assert_uint_eq(d->attr_count, 1);
}
END_TEST

START_TEST(queue_without_the_flag_takes_equal_bodies)
{
	evq_queue *plain = queue_with("plain", EVQ_QUEUE_ATTRS(.dedup_ms = 1000));
	send(plain, "body");
	send(plain, "body");
	expect_sent(plain, 2, 0);
}
END_TEST

START_TEST(content_is_remembered_by_its_queue_alone)
{
	evq_queue *other = queue_with("other", EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP));
	evq_id first = send(q, "body");
	ck_assert_uint_ne(send(other, "body"), first);
	ck_assert_uint_eq(send(q, "body"), first);
}
END_TEST

static const uint32_t kinds[] = { EVQ_FIFO, EVQ_FAIR };

START_TEST(groups_of_other_kinds_of_queue_share_the_memory)
{
	evq_queue *f = queue_with("f", EVQ_QUEUE_ATTRS(.flags = kinds[_i] | EVQ_CONTENT_DEDUP));
	evq_id first = send_with(f, "body", EVQ_SEND_OPTS(.group = "a"));
	ck_assert_uint_eq(send_with(f, "body", EVQ_SEND_OPTS(.group = "b")), first);
	send_with(f, "other", EVQ_SEND_OPTS(.group = "a"));
	expect_sent(f, 2, 1);
	get(f, MANY, "body other");
}
END_TEST

/* ---- an id of the sender's ----------------------------------------------------------------------------- */

START_TEST(explicit_id_comes_before_the_content)
{
	evq_id first = send(q, "body");
	evq_id second = send_with(q, "body", EVQ_SEND_OPTS(.dedup_id = "id"));
	ck_assert_uint_ne(second, first); /* not looked up */
	ck_assert_uint_eq(send_with(q, "another", EVQ_SEND_OPTS(.dedup_id = "id")), second);
	evq_id third = send(q, "another");
	ck_assert_uint_ne(third, second);
	send_with(q, "mine", EVQ_SEND_OPTS(.dedup_id = "id of mine"));
	evq_id fourth = send(q, "mine"); /* nor remembered */
	ck_assert_uint_eq(send(q, "mine"), fourth);
	ck_assert_uint_eq(send(q, "body"), first);
	expect_sent(q, 5, 3);
}
END_TEST

START_TEST(explicit_id_never_equals_a_content)
{
	evq_id by_id = send_with(q, "x", EVQ_SEND_OPTS(.dedup_id = "word"));
	evq_id by_content = send(q, "word");
	ck_assert_uint_ne(by_id, by_content);
	ck_assert_uint_eq(send_with(q, "y", EVQ_SEND_OPTS(.dedup_id = "word")), by_id);
	ck_assert_uint_eq(send(q, "word"), by_content);
	send(q, "other");
	send_with(q, "z", EVQ_SEND_OPTS(.dedup_id = "other"));
	expect_sent(q, 4, 2);
}
END_TEST

/* ---- when the first is gone ---------------------------------------------------------------------------- */

START_TEST(body_of_a_deleted_message_is_known_for_its_window)
{
	evq_id first = send(q, "body");
	finish_all(q, take(q, 1));
	ck_assert_uint_eq(send(q, "body"), first);
	send(q, "bodies");
	clock_advance_ms(299999);
	ck_assert_uint_eq(send(q, "body"), first);
	clock_advance_ms(1);
	ck_assert_uint_ne(send(q, "body"), first);
	expect_sent(q, 3, 2);
}
END_TEST

START_TEST(body_of_a_dead_lettered_message_is_known_too)
{
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP, .dead_letter = "dead")));
	evq_id first = send(q, "body");
	evq_receipt r = take_one(q, "body");
	ck_ok(evq_bury(q, NULL, &r, "why"));
	ck_assert_uint_eq(send(q, "body"), first);
	send(q, "other");
	expect_sent(q, 2, 1);
	ck_ok(evq_purge(queue("dead"), NULL, NULL));
	ck_assert_uint_eq(send(q, "body"), first);
}
END_TEST

START_TEST(damaged_first_body_lets_the_same_be_sent)
{
	evq_id first = send(q, "body");
	raw_damage_body(first);
	q = queue("q");
	(void)send(q, "body"); /* a repeat or not */
	send(q, "other");
	ck_ok(evq_purge(q, NULL, NULL));
}
END_TEST

static int
send_body_in_child(void *arg)
{
	evq_id *id = arg;
	evq_env *own = NULL;
	evq_queue *to = NULL;
	EXPECT(evq_env_open(store_dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock), &own), 0);
	EXPECT(evq_queue_open(own, "q", NULL, &to), 0);
	EXPECT(evq_send(to, NULL, "body", 4, NULL, id), 0);
	evq_queue_close(to);
	evq_env_close(own);
	return 0;
}

START_TEST(damaged_first_body_and_a_batch_of_it_harm_no_other_queue)
{
	const evq_buf bodies[] = { { "body", 4 }, { "body", 4 } };
	raw_damage_body(send(q, "body"));
	q = queue("q");
	evq_queue *other = queue("other");
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP, .max_messages = 2)));
	for (int i = 0; i < 3; i++) {
		int rc = evq_send_batch(q, NULL, bodies, 2, NULL, NULL);
		ck_assert_msg(rc == 0 || rc == EVQ_FULL, "%s", evq_errname(rc));
		send(other, "x");
	}
	ck_ok(evq_purge(q, NULL, NULL));
}
END_TEST

START_TEST(content_is_the_same_in_every_process_and_after_reopening)
{
	evq_id *id = proc_shared(sizeof(*id));
	ck_assert_int_eq(proc_run(send_body_in_child, id), 0);
	ck_assert_uint_eq(send(q, "body"), *id);
	finish_all(q, take(q, 1));
	store_reopen();
	q = queue("q");
	ck_assert_uint_eq(send(q, "body"), *id);
	expect_sent(q, 1, 2);
}
END_TEST

START_TEST(purge_forgets_contents)
{
	evq_id first = send(q, "body");
	ck_ok(evq_purge(q, NULL, NULL));
	ck_assert_uint_gt(send(q, "body"), first);
	expect_sent(q, 2, 0);
}
END_TEST

/* ---- batches, quotas, transactions --------------------------------------------------------------------- */

START_TEST(batch_repeats_within_itself_and_of_what_was_before)
{
	const evq_buf bodies[] = { { "1", 1 }, { "old", 3 }, { "1", 1 }, { "2", 1 }, { "", 0 }, { "1", 1 }, { NULL, 0 } };
	evq_id old = send(q, "old"), ids[COUNT(bodies)];
	ck_ok(evq_send_batch(q, NULL, bodies, COUNT(bodies), NULL, ids));
	ck_assert_uint_eq(ids[1], old);
	ck_assert_uint_eq(ids[2], ids[0]);
	ck_assert_uint_eq(ids[5], ids[0]);
	ck_assert_uint_eq(ids[6], ids[4]);
	ck_assert_uint_gt(ids[0], old);
	ck_assert_uint_gt(ids[3], ids[0]);
	ck_assert_uint_gt(ids[4], ids[3]);
	expect_sent(q, 4, 4);
	evq_batch *b = take(q, 4);
	ck_assert_str_eq(bodies_of(b), "old 1 2 ");
}
END_TEST

START_TEST(batch_of_one_body_a_thousand_times_is_one_message)
{
	enum { TIMES = 1000 };
	static evq_buf bodies[TIMES];
	static evq_id ids[TIMES];
	for (size_t i = 0; i < TIMES; i++)
		bodies[i] = (evq_buf){ "same", 4 };
	ck_ok(evq_send_batch(q, NULL, bodies, TIMES, NULL, ids));
	for (size_t i = 1; i < TIMES; i++)
		ck_assert_uint_eq(ids[i], ids[0]);
	expect_sent(q, 1, TIMES - 1);
}
END_TEST

START_TEST(batch_of_repeats_needs_no_room_in_the_store)
{
	enum { TIMES = 10000 };
	static char body[1000];
	static evq_buf bodies[TIMES];
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock, .map_size = 4 << 20));
	q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP));
	for (size_t i = 0; i < TIMES; i++)
		bodies[i] = (evq_buf){ body, sizeof(body) };
	ck_ok(evq_send_batch(q, NULL, bodies, TIMES, NULL, NULL));
	bodies[TIMES - 1].len--;
	ck_ok(evq_send_batch(q, NULL, bodies, TIMES, NULL, NULL));
	expect_sent(q, 2, 2 * TIMES - 2);
}
END_TEST

/* Others wait for it: to compare each with each would take many seconds. */
START_TEST(batch_of_bodies_much_alike_is_soon_refused)
{
	enum { TIMES = 10000, LEN = 4000 };
	static char all[TIMES][LEN];
	static evq_buf bodies[TIMES];
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP, .max_messages = TIMES - 1)));
	for (size_t i = 0; i < TIMES; i++) {
		snprintf(all[i] + LEN - 8, 8, "%zu", i);
		bodies[i] = (evq_buf){ all[i], LEN };
	}
	int64_t start = real_ms();
	ck_rc(evq_send_batch(q, NULL, bodies, TIMES, NULL, NULL), EVQ_FULL);
	ck_assert_int_lt(real_ms() - start, getenv("EVQ_TEST_SMALL") ? 20000 : 4000);
	expect_sent(q, 0, 0);
}
END_TEST

START_TEST(repeats_take_no_room_in_a_full_queue)
{
	const evq_buf bodies[] = { { "1", 1 }, { "2", 1 }, { "1", 1 }, { "2", 1 } };
	const evq_buf more[] = { { "1", 1 }, { "2", 1 }, { "3", 1 } };
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP, .max_messages = 2, .max_bytes = 2)));
	ck_ok(evq_send_batch(q, NULL, bodies, 4, NULL, NULL));
	ck_ok(evq_send_batch(q, NULL, bodies, 4, NULL, NULL));
	ck_rc(evq_send_batch(q, NULL, more, 3, NULL, NULL), EVQ_FULL);
	expect_sent(q, 2, 6);
}
END_TEST

START_TEST(batch_that_repeats_itself_needs_room_for_one)
{
	const evq_buf bodies[] = { { "x", 1 }, { "x", 1 }, { "y", 1 } };
	evq_id ids[3];
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP, .max_messages = 1)));
	ck_rc(evq_send_batch(q, NULL, bodies, 3, NULL, ids), EVQ_FULL);
	expect_sent(q, 0, 0);
	ck_ok(evq_send_batch(q, NULL, bodies, 2, NULL, ids));
	ck_assert_uint_eq(ids[1], ids[0]);
	expect_sent(q, 1, 1);
}
END_TEST

START_TEST(content_of_an_aborted_transaction_is_not_remembered)
{
	evq_txn *txn = NULL;
	evq_id inside[2];
	ck_ok(evq_begin(env, &txn));
	for (int i = 0; i < 2; i++)
		ck_ok(evq_send(q, txn, "body", 4, NULL, &inside[i]));
	ck_assert_uint_eq(inside[0], inside[1]);
	evq_abort(txn);
	expect_sent(q, 0, 0);
	send(q, "body");
	expect_sent(q, 1, 0);
}
END_TEST

Suite *
content_suite(void)
{
	Suite *s = suite_create("content");
	TCase *t = tcase_create("content");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, equal_bodies_are_repeats);
	tcase_add_test(t, content_dedup_compares_bodies_to_the_last_byte);
	tcase_add_loop_test(t, long_bodies_that_differ_in_one_byte_are_two, 0, COUNT(lengths));
	tcase_add_test(t, empty_bodies_equal_each_other);
	tcase_add_test(t, nothing_but_the_body_is_looked_at);
	tcase_add_test(t, queue_without_the_flag_takes_equal_bodies);
	tcase_add_test(t, content_is_remembered_by_its_queue_alone);
	tcase_add_loop_test(t, groups_of_other_kinds_of_queue_share_the_memory, 0, COUNT(kinds));
	tcase_add_test(t, explicit_id_comes_before_the_content);
	tcase_add_test(t, explicit_id_never_equals_a_content);
	tcase_add_test(t, body_of_a_deleted_message_is_known_for_its_window);
	tcase_add_test(t, body_of_a_dead_lettered_message_is_known_too);
	tcase_add_test(t, damaged_first_body_lets_the_same_be_sent);
	tcase_add_test(t, damaged_first_body_and_a_batch_of_it_harm_no_other_queue);
	tcase_add_test(t, content_is_the_same_in_every_process_and_after_reopening);
	tcase_add_test(t, purge_forgets_contents);
	tcase_add_test(t, batch_repeats_within_itself_and_of_what_was_before);
	tcase_add_test(t, batch_of_one_body_a_thousand_times_is_one_message);
	tcase_add_test(t, batch_of_repeats_needs_no_room_in_the_store);
	tcase_add_test(t, batch_of_bodies_much_alike_is_soon_refused);
	tcase_add_test(t, repeats_take_no_room_in_a_full_queue);
	tcase_add_test(t, batch_that_repeats_itself_needs_room_for_one);
	tcase_add_test(t, content_of_an_aborted_transaction_is_not_remembered);
	suite_add_tcase(s, t);
	return s;
}
