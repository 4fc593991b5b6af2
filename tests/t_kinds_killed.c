/* SPDX-License-Identifier: MIT */
/*
 * Groups, turns and remembered ids of a process that was killed: what it acknowledged stands in the journal alone, and
 * is all there when the store is opened again.
 */
#include "killed.h"

static char order[4096];

static int
send_word(evq_queue *to, const char *body, const char *dedup_id)
{
	const char group[2] = { body[0], 0 };
	EXPECT(evq_send(to, NULL, body, strlen(body), EVQ_SEND_OPTS(.group = group, .dedup_id = dedup_id), NULL), 0);
	return 0;
}

static void
make(uint32_t flags)
{
	ck_ok(open_rc_of(path, &e));
	ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(.flags = flags, .visibility_ms = 43200000), &q));
	shut();
}

/* Receives, as often as there is something to; the bodies in their order. */
static const char *
all(void)
{
	evq_batch *b = batch();
	order[0] = 0;
	while (evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 100), b) == 0)
		for (size_t i = 0; i < evq_batch_count(b); i++)
			strcat(strcat(order, *order ? " " : ""), evq_batch_at(b, i)->body);
	return order;
}

static int
send_six(evq_queue *to)
{
	static const char *const words[] = { "a1", "a2", "b1", "a3", "b2", "c1" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		EXPECT(send_word(to, words[i], NULL), 0);
	return 0;
}

static int
act_groups(evq_env *own, evq_queue *to)
{
	evq_batch *b = NULL;
	(void)own;
	EXPECT(send_six(to), 0);
	EXPECT(evq_batch_new(&b), 0);
	EXPECT(evq_receive(to, NULL, EVQ_RECEIVE_OPTS(.count = 4), b), 0); /* a1 a2 a3 b1 */
	EXPECT(evq_delete(to, NULL, &evq_batch_at(b, 0)->receipt), 0);
	return evq_release(to, NULL, &evq_batch_at(b, 3)->receipt, 43200000, 0); /* b1: and so b2 has to wait */
}

START_TEST(order_of_groups_is_what_the_journal_says)
{
	make(EVQ_FIFO);
	leave_behind(act_groups);
	nap_ms(2);
	reopen();
	ck_assert_str_eq(all(), "c1 a2 a3"); /* the latter are due since their owner died */
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.delayed, 1);
	ck_assert_uint_eq(s.blocked, 1);
	shut();
}
END_TEST

static int
act_turns(evq_env *own, evq_queue *to)
{
	evq_batch *b = NULL;
	(void)own;
	EXPECT(send_six(to), 0); /* a1 b1 c1, a2 b2, a3 */
	EXPECT(evq_batch_new(&b), 0);
	EXPECT(evq_receive(to, NULL, EVQ_RECEIVE_OPTS(.count = 3), b), 0);
	for (size_t i = 0; i < 3; i++)
		EXPECT(evq_delete(to, NULL, &evq_batch_at(b, i)->receipt), 0);
	return send_word(to, "d1", NULL);
}

START_TEST(turns_are_what_the_journal_says)
{
	make(EVQ_FAIR);
	leave_behind(act_turns);
	reopen();
	ck_assert_int_eq(send_word(q, "c2", NULL), 0);
	ck_assert_str_eq(all(), "a2 b2 d1 c2 a3");
	shut();
}
END_TEST

static int
act_ids(evq_env *own, evq_queue *to)
{
	char id[16];
	(void)own;
	for (int i = 0; i < 50; i++) {
		snprintf(id, sizeof(id), "%d", i);
		EXPECT(send_word(to, "by id", id), 0);
	}
	EXPECT(send_word(to, "by content", NULL), 0);
	return send_word(to, "by id", "0");
}

static const uint32_t kinds[] = { 0, EVQ_FIFO, EVQ_FAIR };

START_TEST(ids_and_contents_are_remembered_from_the_journal)
{
	make(kinds[_i] | EVQ_CONTENT_DEDUP);
	leave_behind(act_ids);
	for (int times = 0; times < 2; times++) {
		reopen();
		ck_assert_int_eq(act_ids(e, q), 0);
		ck_assert_uint_eq(stats(q).sent, 51);
		ck_assert_uint_eq(stats(q).messages, 51);
		shut();
	}
	reopen();
	ck_assert_uint_eq(stats(q).duplicates, 1 + 2 * 52);
	shut();
}
END_TEST

static int
act_purge(evq_env *own, evq_queue *to)
{
	EXPECT(act_ids(own, to), 0);
	EXPECT(evq_purge(to, NULL, NULL), 0);
	return send_word(to, "by id", "1");
}

START_TEST(purge_has_forgotten_what_the_journal_says)
{
	make(kinds[_i] | EVQ_CONTENT_DEDUP);
	leave_behind(act_purge);
	reopen();
	ck_assert_int_eq(act_ids(e, q), 0);
	ck_assert_uint_eq(stats(q).messages, 51);
	ck_assert_uint_eq(stats(q).duplicates, 3);
	shut();
}
END_TEST

Suite *
kinds_killed_suite(void)
{
	Suite *s = suite_create("kinds_killed");
	TCase *t = tcase_create("kinds_killed");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, order_of_groups_is_what_the_journal_says);
	tcase_add_test(t, turns_are_what_the_journal_says);
	tcase_add_loop_test(t, ids_and_contents_are_remembered_from_the_journal, 0, COUNT(kinds));
	tcase_add_loop_test(t, purge_has_forgotten_what_the_journal_says, 0, COUNT(kinds));
	suite_add_tcase(s, t);
	return s;
}
