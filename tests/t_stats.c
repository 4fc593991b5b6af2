/* SPDX-License-Identifier: MIT */
/*
 * Figures: what each call does to each of them, told as a transcript; time alone moving messages from
 * one count to another; the oldest. That they add up over all queues: t_conserve.c.
 */
#include "support.h"

enum { LEASE_MS = 30000 };

static evq_queue *work, *dead;
static evq_receipt held;

static void
setup(void)
{
	store_setup();
	work = queue_with("work", EVQ_QUEUE_ATTRS(.max_receives = 3, .dead_letter = "dead"));
	dead = queue("dead");
}

/* ---- a transcript ------------------------------------------------------------------------------- */

static void
send_three(void)
{
	send(work, "a");
	send(work, "bb");
	send_with(work, "ccc", EVQ_SEND_OPTS(.delay_ms = 60000));
}

static void
receive_one(void)
{
	held = evq_batch_at(take(work, 1), 0)->receipt;
}

static void
extend(void)
{
	ck_ok(evq_extend(work, NULL, &held, 0, &held));
}

static void
release(void)
{
	ck_ok(evq_release(work, NULL, &held, 0, 0));
}

static void
give_back(void)
{
	ck_ok(evq_release(work, NULL, &held, 0, EVQ_UNCOUNTED));
}

static void
settle(void)
{
	ck_ok(evq_delete(work, NULL, &held));
}

static void
settle_again(void)
{
	ck_rc(evq_delete(work, NULL, &held), EVQ_STALE);
}

static void
bury(void)
{
	ck_ok(evq_bury(work, NULL, &held, "bad"));
}

static void
redrive(void)
{
	size_t moved;
	ck_ok(evq_redrive(dead, NULL, NULL, &moved));
}

static void
purge(void)
{
	size_t purged;
	ck_ok(evq_purge(work, NULL, &purged));
}

static void
lapse(void)
{
	clock_advance_ms(LEASE_MS);
}

static void
nothing(void)
{
}

/* visible delayed leased bytes, sent received deleted dead-lettered redriven purged stale, in dead */
enum { FIGURES = 12 };

struct figures {
	uint64_t n[FIGURES];
};

static const struct {
	void (*step)(void);
	struct figures want;
} transcript[] = {
	{ nothing, { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 } } },
	{ send_three, { { 2, 1, 0, 6, 3, 0, 0, 0, 0, 0, 0, 0 } } },
	{ receive_one, { { 1, 1, 1, 6, 3, 1, 0, 0, 0, 0, 0, 0 } } },
	{ extend, { { 1, 1, 1, 6, 3, 1, 0, 0, 0, 0, 0, 0 } } },
	{ release, { { 2, 1, 0, 6, 3, 1, 0, 0, 0, 0, 0, 0 } } },
	{ receive_one, { { 1, 1, 1, 6, 3, 2, 0, 0, 0, 0, 0, 0 } } },
	{ give_back, { { 2, 1, 0, 6, 3, 2, 0, 0, 0, 0, 0, 0 } } },
	{ receive_one, { { 1, 1, 1, 6, 3, 3, 0, 0, 0, 0, 0, 0 } } },
	{ bury, { { 1, 1, 0, 5, 3, 3, 0, 1, 0, 0, 0, 1 } } },
	{ redrive, { { 2, 1, 0, 6, 3, 3, 0, 1, 0, 0, 0, 0 } } },
	{ receive_one, { { 1, 1, 1, 6, 3, 4, 0, 1, 0, 0, 0, 0 } } },
	{ lapse, { { 2, 1, 0, 6, 3, 4, 0, 1, 0, 0, 0, 0 } } },
	{ settle, { { 1, 1, 0, 5, 3, 4, 1, 1, 0, 0, 0, 0 } } },
	{ settle_again, { { 1, 1, 0, 5, 3, 4, 1, 1, 0, 0, 1, 0 } } },
	{ lapse, { { 2, 0, 0, 5, 3, 4, 1, 1, 0, 0, 1, 0 } } },
	{ purge, { { 0, 0, 0, 0, 3, 4, 1, 1, 0, 2, 1, 0 } } },
};

static struct figures
figures_now(void)
{
	evq_stats s = stats(work);
	ck_assert_uint_eq(s.blocked, 0);
	ck_assert_uint_eq(s.expired, 0);
	ck_assert_uint_eq(s.duplicates, 0);
	ck_assert_uint_eq(s.messages, s.visible + s.delayed + s.leased);
	return (struct figures){ { s.visible, s.delayed, s.leased, s.bytes, s.sent, s.received, s.deleted,
		                   s.dead_lettered, s.redriven, s.purged, s.stale, stats(dead).messages } };
}

START_TEST(every_call_moves_its_own_figures_and_no_other)
{
	for (int i = 0; i < COUNT(transcript); i++) {
		transcript[i].step();
		struct figures got = figures_now(), want = transcript[i].want;
		for (int f = 0; f < FIGURES; f++)
			ck_assert_msg(got.n[f] == want.n[f], "step %d, figure %d: %llu, wanted %llu", i, f,
			              (unsigned long long)got.n[f], (unsigned long long)want.n[f]);
	}
	evq_stats d = stats(dead);
	ck_assert_uint_eq(d.redriven, 1);
	ck_assert_uint_eq(d.sent, 0);
	ck_assert_uint_eq(d.bytes, 0);
}
END_TEST

START_TEST(figures_survive_reopening)
{
	for (int i = 0; i < COUNT(transcript) - 1; i++)
		transcript[i].step();
	struct figures before = figures_now();
	store_reopen();
	work = queue("work");
	dead = queue("dead");
	struct figures after = figures_now();
	after.n[10] = before.n[10]; /* stale may lag */
	ck_assert_mem_eq(&after, &before, sizeof before);
}
END_TEST

START_TEST(figures_start_at_nought_in_a_queue_made_anew)
{
	send(work, "a");
	take_one(work, "a");
	ck_ok(evq_queue_drop(env, NULL, "work"));
	work = queue("work");
	struct figures none = { { 0 } }, now = figures_now();
	ck_assert_mem_eq(&now, &none, sizeof none);
}
END_TEST

START_TEST(refused_calls_count_nothing)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.max_messages = 2));
	const evq_buf three[] = { { "a", 1 }, { "b", 1 }, { "c", 1 } };
	ck_rc(evq_send_batch(q, NULL, three, 3, NULL, NULL), EVQ_FULL);
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.sent, 0);
	ck_assert_uint_eq(s.messages, 0);
	ck_ok(evq_send_batch(q, NULL, three, 2, NULL, NULL));
	take(q, 2);
	expect_empty(q);
	ck_assert_uint_eq(stats(q).received, 2);
}
END_TEST

/* ---- groups, repeats ---------------------------------------------------------------------------- */

START_TEST(every_message_of_a_group_is_counted_in_one_state)
{
	static const struct {
		uint64_t visible, delayed, leased, blocked;
	} want[] = { { 4, 0, 0, 0 }, { 1, 0, 2, 1 }, { 1, 1, 1, 1 }, { 1, 1, 0, 1 }, { 3, 0, 0, 0 } };
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO));
	evq_batch *b = NULL;
	for (int i = 0; i < 4; i++)
		send_with(q, "m", EVQ_SEND_OPTS(.group = i < 3 ? "a" : "b"));
	for (int i = 0; i < COUNT(want); i++) {
		if (i == 1)
			b = take(q, 2);
		else if (i == 2)
			ck_ok(evq_release(q, NULL, &evq_batch_at(b, 0)->receipt, LEASE_MS, 0));
		else if (i == 3)
			ck_ok(evq_delete(q, NULL, &evq_batch_at(b, 1)->receipt));
		else if (i == 4)
			lapse();
		evq_stats s = stats(q);
		ck_assert_uint_eq(s.visible, want[i].visible);
		ck_assert_uint_eq(s.delayed, want[i].delayed);
		ck_assert_uint_eq(s.leased, want[i].leased);
		ck_assert_uint_eq(s.blocked, want[i].blocked);
		ck_assert_uint_eq(s.messages, s.visible + s.delayed + s.leased + s.blocked);
	}
}
END_TEST

START_TEST(repeats_are_counted_as_such_and_stay_so)
{
	const evq_buf three[] = { { "a", 1 }, { "b", 1 }, { "a", 1 } };
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP));
	ck_ok(evq_send_batch(q, NULL, three, 3, NULL, NULL));
	send_with(q, "c", EVQ_SEND_OPTS(.dedup_id = "id"));
	send_with(q, "d", EVQ_SEND_OPTS(.dedup_id = "id"));
	ck_ok(evq_send_batch(q, NULL, three, 3, EVQ_SEND_OPTS(.dedup_id = "id"), NULL)); /* the first is a repeat */
	for (int i = 0; i < 2; i++) {
		evq_stats s = stats(q);
		ck_assert_uint_eq(s.duplicates, 3);
		ck_assert_uint_eq(s.sent, 5);
		ck_assert_uint_eq(s.messages, 5);
		ck_assert_uint_eq(s.bytes, 5);
		store_reopen();
		q = queue("q");
	}
	ck_ok(evq_purge(q, NULL, NULL));
	ck_assert_uint_eq(stats(q).duplicates, 3);
	ck_ok(evq_queue_drop(env, NULL, "q"));
	ck_assert_uint_eq(stats(queue("q")).duplicates, 0);
}
END_TEST

/* ---- time --------------------------------------------------------------------------------------- */

START_TEST(time_alone_makes_messages_visible)
{
	send_with(work, "d", EVQ_SEND_OPTS(.delay_ms = 10));
	send(work, "l");
	take_one(work, "l");
	expect_counts(work, 0, 1, 1);
	clock_advance_ms(9);
	expect_counts(work, 0, 1, 1);
	clock_advance_ms(1);
	expect_counts(work, 1, 0, 1);
	clock_advance_ms(LEASE_MS - 11);
	expect_counts(work, 1, 0, 1);
	clock_advance_ms(1);
	expect_counts(work, 2, 0, 0);
}
END_TEST

START_TEST(expired_ones_leave_the_counts_at_once_and_the_store_when_cleared)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.retention_ms = 1000));
	send(q, "leased");
	take_one(q, "leased");
	send(q, "visible");
	send_with(q, "delayed", EVQ_SEND_OPTS(.delay_ms = 5000));
	clock_advance_ms(999);
	expect_counts(q, 1, 1, 1);
	clock_advance_ms(1);
	expect_counts(q, 0, 0, 0);
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.messages, 3);
	ck_assert_uint_eq(s.bytes, 20);
	ck_assert_uint_eq(s.expired, 0);
	ck_assert_int_eq(s.oldest_sent_at_ms, 0);
	expect_empty(q);
	s = stats(q);
	ck_assert_uint_eq(s.messages, 0);
	ck_assert_uint_eq(s.bytes, 0);
	ck_assert_uint_eq(s.expired, 3);
}
END_TEST

static int64_t
oldest(evq_queue *q)
{
	return stats(q).oldest_sent_at_ms;
}

START_TEST(oldest_is_the_first_sent_in_whatever_state)
{
	int64_t start = clock_now_ms();
	ck_assert_int_eq(oldest(work), 0);
	send_with(work, "0", EVQ_SEND_OPTS(.delay_ms = 90000, .priority = -1));
	clock_advance_ms(1);
	send(work, "1");
	clock_advance_ms(1);
	send_with(work, "2", EVQ_SEND_OPTS(.priority = 1));
	ck_assert_int_eq(oldest(work), start);
	clock_advance_ms(90000);
	evq_batch *b = take(work, 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(atoi(evq_batch_at(b, i)->body), 2 - (int)i);
	ck_assert_int_eq(oldest(work), start);
	held = evq_batch_at(b, 2)->receipt;
	bury();
	ck_assert_int_eq(oldest(work), start + 1);
	ck_assert_int_eq(oldest(dead), start);
	held = evq_batch_at(b, 1)->receipt;
	settle();
	ck_assert_int_eq(oldest(work), start + 2);
	purge();
	ck_assert_int_eq(oldest(work), 0);
}
END_TEST

START_TEST(oldest_passes_over_expired_ones)
{
	send_with(work, "short", EVQ_SEND_OPTS(.expires_ms = 5));
	clock_advance_ms(1);
	send(work, "long");
	int64_t sent_at = clock_now_ms();
	clock_advance_ms(4);
	ck_assert_int_eq(oldest(work), sent_at);
}
END_TEST

START_TEST(expiry_to_a_dead_letter_counts_as_dead_lettered)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.retention_ms = 10, .dead_letter = "dead",
	                                               .flags = EVQ_EXPIRE_TO_DEAD_LETTER));
	send(q, "a");
	clock_advance_ms(10);
	expect_empty(q);
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.dead_lettered, 1);
	ck_assert_uint_eq(s.expired, 0);
	ck_assert_uint_eq(stats(dead).messages, 1);
	ck_assert_uint_eq(stats(dead).sent, 0);
}
END_TEST

Suite *
stats_suite(void)
{
	Suite *suite = suite_create("stats");
	TCase *tc = tcase_create("stats");
	tcase_add_checked_fixture(tc, setup, store_teardown);
	tcase_add_test(tc, every_call_moves_its_own_figures_and_no_other);
	tcase_add_test(tc, figures_survive_reopening);
	tcase_add_test(tc, figures_start_at_nought_in_a_queue_made_anew);
	tcase_add_test(tc, refused_calls_count_nothing);
	tcase_add_test(tc, every_message_of_a_group_is_counted_in_one_state);
	tcase_add_test(tc, repeats_are_counted_as_such_and_stay_so);
	tcase_add_test(tc, time_alone_makes_messages_visible);
	tcase_add_test(tc, expired_ones_leave_the_counts_at_once_and_the_store_when_cleared);
	tcase_add_test(tc, oldest_is_the_first_sent_in_whatever_state);
	tcase_add_test(tc, oldest_passes_over_expired_ones);
	tcase_add_test(tc, expiry_to_a_dead_letter_counts_as_dead_lettered);
	suite_add_tcase(suite, tc);
	return suite;
}
