/* SPDX-License-Identifier: MIT */
/*
 * What an id outlives: the message, the process, the handle. Moves neither ask nor tell, and what was aborted was not
 * sent. What forgets is in t_forgotten.c; a process that is killed, with all in the journal, in t_kinds_killed.c.
 */
#include "procs.h"
#include "repeats.h"

static evq_queue *work, *dead;

static void
setup(void)
{
	store_setup();
	work = queue_with("work", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "dead"));
	dead = queue("dead");
}

/* ---- the end of the message ---------------------------------------------------------------------------- */

static void
end_by_delete(void)
{
	finish_all(work, take(work, 1));
}

static void
end_by_bury(void)
{
	ck_ok(evq_bury(work, NULL, &evq_batch_at(take(work, 1), 0)->receipt, "why"));
}

static void
end_by_limit(void)
{
	take(work, 1);
	clock_advance_ms(LEASE_MS);
	expect_empty(work);
}

static void
end_by_limit_and_delete(void)
{
	end_by_limit();
	finish_all(dead, take(dead, 1));
}

static void
end_by_expiry(void)
{
	clock_advance_ms(60000);
	expect_empty(work);
	ck_assert_uint_eq(stats(work).expired, 1);
}

static void (*const ends[])(void) = { end_by_delete, end_by_bury, end_by_limit, end_by_limit_and_delete, end_by_expiry };

START_TEST(repeat_after_the_message_is_gone_is_still_a_repeat)
{
	int64_t sent_at = clock_now_ms();
	evq_id first = send_with(work, "a", EVQ_SEND_OPTS(.dedup_id = "id", .expires_ms = 60000));
	ends[_i]();
	ck_assert_uint_eq(stats(work).messages, 0);
	expect_repeat(work, "id", first);
	store_reopen();
	work = queue("work");
	clock_set_ms(sent_at + 299999);
	expect_repeat(work, "id", first);
	clock_advance_ms(1);
	expect_new(work, "id"); /* its window did not begin anew */
}
END_TEST

/* ---- moves --------------------------------------------------------------------------------------------- */

START_TEST(dead_lettered_message_does_not_take_its_id_along)
{
	evq_id first = send_id(work, "a", "id");
	end_by_bury();
	evq_id second = expect_new(dead, "id");
	ck_assert_uint_ne(second, first);
	expect_repeat(dead, "id", second);
	expect_repeat(work, "id", first);
	ck_assert_uint_eq(stats(dead).messages, 2);
}
END_TEST

START_TEST(moved_message_meets_no_memory)
{
	evq_id there = send_id(dead, "b", "id");
	evq_id first = send_id(work, "a", "id");
	end_by_bury();
	get(dead, MANY, "b a");
	clock_advance_ms(LEASE_MS);
	expect_repeat(dead, "id", there);
	size_t moved = 0;
	ck_rc(evq_redrive(dead, NULL, EVQ_REDRIVE_OPTS(.to = "work"), &moved), 0);
	ck_assert_uint_eq(moved, 2);
	get(work, MANY, "b a");
	expect_repeat(work, "id", first);
	expect_repeat(dead, "id", there);
}
END_TEST

START_TEST(moves_into_a_queue_that_compares_bodies_are_no_repeats)
{
	evq_queue *same = queue_with("same", EVQ_QUEUE_ATTRS(.flags = EVQ_CONTENT_DEDUP));
	send(same, "a");
	ck_ok(evq_queue_set_attrs(work, NULL, EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "same")));
	send(work, "a");
	end_by_bury();
	send(work, "a");
	end_by_bury();
	send(work, "b");
	end_by_bury();
	get(same, MANY, "a a a b");
	ck_assert_uint_eq(stats(same).duplicates, 0);
	evq_id first = send(same, "b"); /* nobody sent it here */
	ck_assert_uint_eq(send(same, "b"), first);
}
END_TEST

/* ---- other handles, other processes -------------------------------------------------------------------- */

struct sender {
	evq_id id;
	int how;
};

enum { CLOSES, EXITS, IS_KILLED };

static int
send_in_child(void *arg)
{
	struct sender *s = arg;
	evq_env *own = NULL;
	evq_queue *to = NULL;
	EXPECT(evq_env_open(store_dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock), &own), 0);
	EXPECT(evq_queue_open(own, "work", NULL, &to), 0);
	EXPECT(evq_send(to, NULL, "a", 1, EVQ_SEND_OPTS(.dedup_id = "id"), &s->id), 0);
	if (s->how == IS_KILLED)
		raise(SIGKILL);
	if (s->how == CLOSES) {
		evq_queue_close(to);
		evq_env_close(own);
	}
	return 0;
}

START_TEST(repeat_of_what_another_process_sent_is_a_repeat)
{
	struct sender *s = proc_shared(sizeof(*s));
	s->how = _i;
	ck_assert_int_eq(proc_run(send_in_child, s), _i == IS_KILLED ? 1000 + SIGKILL : 0);
	expect_repeat(work, "id", s->id);
	ck_assert_uint_eq(stats(work).sent, 1);
	evq_id first = s->id;
	s->how = CLOSES;
	ck_assert_int_eq(proc_run(send_in_child, s), 0); /* and the other way round */
	ck_assert_uint_eq(s->id, first);
	ck_assert_uint_eq(stats(work).duplicates, 2);
}
END_TEST

START_TEST(repeat_after_reopening_is_a_repeat)
{
	evq_id first = send_id(work, "a", "id");
	store_reopen();
	work = queue("work");
	expect_repeat(work, "id", first);
	store_reopen();
	work = queue("work");
	ck_assert_uint_eq(stats(work).duplicates, 1);
	clock_advance_ms(300000);
	ck_assert_uint_gt(expect_new(work, "id"), first);
}
END_TEST

/* ---- transactions -------------------------------------------------------------------------------------- */

START_TEST(send_in_an_aborted_transaction_is_not_remembered)
{
	evq_txn *txn = NULL;
	evq_id first = 0, again = 0;
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_send(work, txn, "a", 1, EVQ_SEND_OPTS(.dedup_id = "id"), &first));
	ck_ok(evq_send(work, txn, "a", 1, EVQ_SEND_OPTS(.dedup_id = "id"), &again));
	ck_assert_uint_eq(again, first);
	evq_abort(txn);
	ck_assert_uint_eq(stats(work).duplicates, 0);
	first = expect_new(work, "id");
	expect_repeat(work, "id", first);
}
END_TEST

START_TEST(send_in_a_committed_transaction_is_remembered)
{
	evq_txn *txn = NULL;
	evq_id first = 0, again = 0;
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_send(work, txn, "a", 1, EVQ_SEND_OPTS(.dedup_id = "id"), &first));
	ck_ok(evq_commit(txn));
	expect_repeat(work, "id", first);
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_send(work, txn, "a", 1, EVQ_SEND_OPTS(.dedup_id = "id"), &again));
	ck_assert_uint_eq(again, first);
	ck_ok(evq_commit(txn));
	ck_assert_uint_eq(stats(work).duplicates, 2);
	ck_assert_uint_eq(stats(work).messages, 1);
}
END_TEST

START_TEST(repeat_in_an_aborted_transaction_leaves_the_first_remembered)
{
	evq_txn *txn = NULL;
	evq_id first = send_id(work, "a", "id"), again = 0;
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_send(work, txn, "a", 1, EVQ_SEND_OPTS(.dedup_id = "id"), &again));
	evq_abort(txn);
	ck_assert_uint_eq(again, first);
	ck_assert_uint_eq(stats(work).duplicates, 0);
	expect_repeat(work, "id", first);
}
END_TEST

Suite *
remembered_suite(void)
{
	Suite *s = suite_create("remembered");
	TCase *t = tcase_create("remembered");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_loop_test(t, repeat_after_the_message_is_gone_is_still_a_repeat, 0, COUNT(ends));
	tcase_add_test(t, dead_lettered_message_does_not_take_its_id_along);
	tcase_add_test(t, moved_message_meets_no_memory);
	tcase_add_test(t, moves_into_a_queue_that_compares_bodies_are_no_repeats);
	tcase_add_loop_test(t, repeat_of_what_another_process_sent_is_a_repeat, CLOSES, IS_KILLED + 1);
	tcase_add_test(t, repeat_after_reopening_is_a_repeat);
	tcase_add_test(t, send_in_an_aborted_transaction_is_not_remembered);
	tcase_add_test(t, send_in_a_committed_transaction_is_remembered);
	tcase_add_test(t, repeat_in_an_aborted_transaction_leaves_the_first_remembered);
	suite_add_tcase(s, t);
	return s;
}
