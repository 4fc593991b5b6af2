/* SPDX-License-Identifier: MIT */
/*
 * Ids and bodies that differ and have one hash: none is taken for another as long as that can be told, so that no
 * message is lost. The hash is the library's; the linker hands it to us, and we make it the same for all. An id's last two
 * bytes stand in it as they are: so here all end as the hash does.
 */
#include "repeats.h"

#include "hash.h"

static evq_queue *q;
static int alike; /* what each byte of it is; 0: as it is */

void __real_evq__hash128(const void *data, size_t len, uint64_t seed, uint8_t out[static 16]);
void __wrap_evq__hash128(const void *data, size_t len, uint64_t seed, uint8_t out[static 16]);

void
__wrap_evq__hash128(const void *data, size_t len, uint64_t seed, uint8_t out[static 16])
{
	__real_evq__hash128(data, len, seed, out);
	if (alike)
		memset(out, alike, 16);
	if (alike == 7)
		memset(out + 12, 0, 4); /* where an id has its number in a batch */
}

static void
setup(void)
{
	store_setup();
	q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP));
	alike = 7;
}

/* So that what verify counts is counted with one hash, too. */
static void
teardown(void)
{
	store_teardown();
	alike = 0;
}

START_TEST(bodies_of_one_hash_are_told_apart)
{
	evq_id first = send(q, "one");
	ck_assert_uint_ne(send(q, "two"), first);
	ck_assert_uint_ne(send(q, ""), first);
	ck_assert_uint_ne(send(q, "onf"), first);
	ck_assert_uint_eq(send(q, "one"), first);
	expect_sent(q, 4, 1);
	get(q, MANY, "one two  onf");
}
END_TEST

START_TEST(long_bodies_of_one_hash_are_told_apart)
{
	static char body[100000];
	evq_id first = 0, other = 0;
	memset(body, 'b', sizeof(body));
	ck_ok(evq_send(q, NULL, body, sizeof(body), NULL, &first));
	body[sizeof(body) - 1] = 'c';
	ck_ok(evq_send(q, NULL, body, sizeof(body), NULL, &other));
	ck_assert_uint_ne(other, first);
	body[sizeof(body) - 1] = 'b';
	ck_ok(evq_send(q, NULL, body, sizeof(body), NULL, &other));
	ck_assert_uint_eq(other, first);
	ck_ok(evq_send(q, NULL, body, sizeof(body) - 1, NULL, &other));
	ck_assert_uint_ne(other, first);
	expect_sent(q, 3, 1);
}
END_TEST

START_TEST(bodies_of_one_hash_are_told_apart_in_a_dead_letter)
{
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP, .dead_letter = "dead")));
	evq_id first = send(q, "one");
	evq_receipt r = take_one(q, "one");
	ck_ok(evq_bury(q, NULL, &r, "why"));
	ck_assert_uint_ne(send(q, "two"), first);
	ck_assert_uint_eq(send(q, "one"), first);
	expect_sent(q, 2, 1);
}
END_TEST

/* When nothing is left to compare with, there is nothing but the hash. */
START_TEST(hash_alone_decides_when_the_first_is_gone)
{
	evq_id first = send(q, "one");
	finish_all(q, take(q, 1));
	ck_assert_uint_eq(send(q, "two"), first);
	expect_sent(q, 1, 1);
}
END_TEST

START_TEST(bodies_of_a_batch_of_one_hash_are_told_apart)
{
	const evq_buf bodies[] = { { "1", 1 }, { "2", 1 }, { "1", 1 }, { "3", 1 } };
	evq_id ids[4];
	ck_ok(evq_send_batch(q, NULL, bodies, 4, NULL, ids));
	ck_assert_uint_eq(ids[2], ids[0]);
	expect_sent(q, 3, 1);
	get(q, MANY, "1 2 3");
}
END_TEST

/* An id stands in the memory, so it is compared whatever became of the message. */
START_TEST(ids_of_one_hash_are_told_apart)
{
	evq_id first = send_id(q, "a", "one\a\a");
	if (_i)
		finish_all(q, take(q, 1));
	ck_assert_uint_ne(send_id(q, "a", "two\a\a"), first);
	ck_assert_uint_ne(send_id(q, "a", "on\a\a"), first);
	ck_assert_uint_eq(send_id(q, "a", "one\a\a"), first);
	expect_sent(q, 3, 1);
}
END_TEST

START_TEST(an_id_and_a_body_of_one_hash_are_two)
{
	evq_id by_id = send_id(q, "body", "word\a\a");
	ck_assert_uint_ne(send(q, "word\a\a"), by_id);
	ck_assert_uint_ne(send(q, "body"), by_id);
	ck_assert_uint_eq(send_id(q, "body", "word\a\a"), by_id);
	expect_sent(q, 3, 1);
}
END_TEST

START_TEST(places_in_a_batch_of_one_hash_are_told_apart)
{
	const evq_buf bodies[] = { { "1", 1 }, { "2", 1 }, { "3", 1 } };
	evq_id first[3], again[3];
	ck_ok(evq_send_batch(q, NULL, bodies, 3, EVQ_SEND_OPTS(.dedup_id = "id\a\a"), first));
	expect_sent(q, 3, 0);
	ck_ok(evq_send_batch(q, NULL, bodies, 3, EVQ_SEND_OPTS(.dedup_id = "id\a\a"), again));
	ck_assert_uint_eq(again[0], first[0]);
	ck_assert_uint_ne(again[1], first[0]);
	ck_assert_uint_ne(again[2], first[0]);
}
END_TEST

START_TEST(what_has_one_hash_goes_when_its_window_ends)
{
	evq_id first = send_id(q, "a", "one\a\a");
	send_id(q, "a", "two\a\a");
	clock_advance_ms(300000);
	evq_id second = send_id(q, "a", "two\a\a");
	ck_assert_uint_eq(send_id(q, "a", "two\a\a"), second);
	ck_assert_uint_ne(send_id(q, "a", "one\a\a"), first);
	expect_sent(q, 4, 1);
	ck_ok(evq_purge(q, NULL, NULL));
	ck_assert_uint_gt(send_id(q, "a", "two\a\a"), second);
}
END_TEST

START_TEST(purge_of_the_last_hash_there_is_comes_to_an_end)
{
	evq_txn *txn = NULL;
	alike = 0xff;
	send_id(q, "a", "one\xff\xff");
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_send(q, txn, "b", 1, EVQ_SEND_OPTS(.dedup_id = "two\xff\xff"), NULL));
	ck_ok(evq_purge(q, txn, NULL));
	ck_ok(evq_send(q, txn, "c", 1, EVQ_SEND_OPTS(.dedup_id = "three\xff\xff"), NULL));
	ck_ok(evq_commit(txn));
	ck_ok(evq_purge(q, NULL, NULL));
	send_id(q, "a", "one\xff\xff");
	expect_sent(q, 4, 0);
}
END_TEST

Suite *
same_hash_suite(void)
{
	Suite *s = suite_create("same_hash");
	TCase *t = tcase_create("same_hash");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, bodies_of_one_hash_are_told_apart);
	tcase_add_test(t, long_bodies_of_one_hash_are_told_apart);
	tcase_add_test(t, bodies_of_one_hash_are_told_apart_in_a_dead_letter);
	tcase_add_test(t, hash_alone_decides_when_the_first_is_gone);
	tcase_add_test(t, bodies_of_a_batch_of_one_hash_are_told_apart);
	tcase_add_loop_test(t, ids_of_one_hash_are_told_apart, 0, 2);
	tcase_add_test(t, an_id_and_a_body_of_one_hash_are_two);
	tcase_add_test(t, places_in_a_batch_of_one_hash_are_told_apart);
	tcase_add_test(t, what_has_one_hash_goes_when_its_window_ends);
	tcase_add_test(t, purge_of_the_last_hash_there_is_comes_to_an_end);
	suite_add_tcase(s, t);
	return s;
}
