/* SPDX-License-Identifier: MIT */
/*
 * Events: which there are and what each says; that they come after the commit, in order, on the
 * calling thread, with no lock held, and never for what was aborted; and that the callback may do
 * anything with evq, also what causes further events. That of a damaged body is also in t_corrupt.c.
 */
#include "raw.h"

#include <pthread.h>

enum { LEASE_MS = 30000 };

static evq_queue *work, *dead;

static void
setup(void)
{
	store_setup();
	work = queue_with("work", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "dead"));
	dead = queue("dead");
}

static void
expect_event(size_t at, int type, const char *queue_name, evq_id id, const char *reason)
{
	ck_assert_uint_gt(seen_count, at);
	ck_assert_int_eq(seen[at].type, type);
	ck_assert_str_eq(seen[at].queue, queue_name);
	ck_assert_uint_eq(seen[at].id, id);
	if (reason)
		ck_assert_str_eq(seen[at].reason, reason);
}

START_TEST(receive_tells_what_it_moved_in_order)
{
	evq_id ids[5];
	for (int i = 0; i < 5; i++)
		ids[i] = send(work, "m");
	take(work, 5);
	clock_advance_ms(LEASE_MS);
	ck_assert_uint_eq(seen_count, 0);
	expect_empty(work);
	ck_assert_uint_eq(seen_count, 5);
	for (size_t i = 0; i < 5; i++)
		expect_event(i, EVQ_EVENT_DEAD_LETTERED, "work", ids[i], "max-receives");
}
END_TEST

START_TEST(release_and_bury_tell_what_they_moved)
{
	evq_id first = send(work, "a"), second = send(work, "b");
	evq_receipt a = take_one(work, "a"), b = take_one(work, "b");
	ck_ok(evq_release(work, NULL, &a, 0, 0));
	ck_ok(evq_bury(work, NULL, &b, "my reason"));
	ck_assert_uint_eq(seen_count, 2);
	expect_event(0, EVQ_EVENT_DEAD_LETTERED, "work", first, "max-receives");
	expect_event(1, EVQ_EVENT_DEAD_LETTERED, "work", second, "my reason");
}
END_TEST

START_TEST(expiry_tells_what_it_dropped_and_what_it_moved)
{
	evq_queue *mortal = queue_with("mortal", EVQ_QUEUE_ATTRS(.retention_ms = 10));
	evq_queue *moving = queue_with("moving", EVQ_QUEUE_ATTRS(.retention_ms = 10, .dead_letter = "dead",
	                                                         .flags = EVQ_EXPIRE_TO_DEAD_LETTER));
	evq_id dropped = send(mortal, "a"), moved = send(moving, "b");
	clock_advance_ms(10);
	expect_empty(mortal);
	expect_empty(moving);
	ck_assert_uint_eq(seen_count, 2);
	expect_event(0, EVQ_EVENT_EXPIRED, "mortal", dropped, NULL);
	expect_event(1, EVQ_EVENT_DEAD_LETTERED, "moving", moved, "expired");
}
END_TEST

START_TEST(damage_tells_of_itself_and_then_of_the_move)
{
	evq_id id = send(work, "a");
	raw_damage_body(id);
	ck_rc(evq_receive(queue("work"), NULL, NULL, batch()), EVQ_CORRUPT);
	ck_assert_uint_eq(seen_count, 2);
	expect_event(0, EVQ_EVENT_CORRUPT, "work", id, NULL);
	expect_event(1, EVQ_EVENT_DEAD_LETTERED, "work", id, "corrupt");
	size_t purged;
	ck_ok(evq_purge(queue("dead"), NULL, &purged));
}
END_TEST

START_TEST(full_dead_letter_is_told_at_each_try)
{
	ck_ok(evq_queue_set_attrs(dead, NULL, EVQ_QUEUE_ATTRS(.max_messages = 1)));
	send(dead, "x");
	evq_id id = send(work, "a");
	take(work, 1);
	clock_advance_ms(LEASE_MS);
	for (size_t i = 0; i < 3; i++, clock_advance_ms(900000)) {
		expect_empty(work);
		ck_assert_uint_eq(seen_count, i + 1);
		expect_event(i, EVQ_EVENT_DEAD_LETTER_FULL, "work", id, NULL);
		expect_empty(work);
	}
}
END_TEST

START_TEST(nothing_ordinary_is_an_event)
{
	size_t done;
	evq_queue *q = queue("q");
	send(q, "a");
	evq_receipt receipt = take_one(q, "a");
	ck_ok(evq_extend(q, NULL, &receipt, 0, &receipt));
	ck_ok(evq_release(q, NULL, &receipt, 0, 0));
	receipt = take_one(q, "a");
	ck_ok(evq_delete(q, NULL, &receipt));
	send(q, "b");
	ck_ok(evq_redrive(q, NULL, EVQ_REDRIVE_OPTS(.to = "work"), &done));
	ck_ok(evq_purge(work, NULL, &done));
	ck_ok(evq_queue_drop(env, NULL, "q"));
	ck_assert_uint_eq(seen_count, 0);
}
END_TEST

START_TEST(transaction_tells_all_at_its_commit_in_order)
{
	evq_id first = send(work, "a"), second = send(work, "b");
	evq_batch *b = take(work, 2);
	evq_receipt ra = evq_batch_at(b, 0)->receipt, rb = evq_batch_at(b, 1)->receipt;
	for (int commit = 0; commit <= 1; commit++) {
		evq_txn *txn;
		ck_ok(evq_begin(env, &txn));
		ck_ok(evq_bury(work, txn, &rb, "second goes first"));
		ck_ok(evq_release(work, txn, &ra, 0, 0));
		ck_assert_uint_eq(seen_count, 0);
		if (commit)
			ck_ok(evq_commit(txn));
		else
			evq_abort(txn);
		ck_assert_uint_eq(seen_count, commit ? 2 : 0);
	}
	expect_event(0, EVQ_EVENT_DEAD_LETTERED, "work", second, "second goes first");
	expect_event(1, EVQ_EVENT_DEAD_LETTERED, "work", first, "max-receives");
}
END_TEST

START_TEST(refused_call_tells_nothing)
{
	ck_ok(evq_queue_set_attrs(dead, NULL, EVQ_QUEUE_ATTRS(.max_messages = 1)));
	send(dead, "x");
	send(work, "a");
	evq_receipt receipt = take_one(work, "a");
	ck_rc(evq_bury(work, NULL, &receipt, "r"), EVQ_FULL);
	ck_assert_uint_eq(seen_count, 0);
}
END_TEST

/* ---- callbacks that do things ------------------------------------------------------------------- */

struct listener {
	pthread_t thread;
	int calls, depth, deepest;
	evq_queue *audit;
	void (*act)(struct listener *l, const evq_event *event);
};

static void
listen_to(const evq_event *event, void *arg)
{
	struct listener *l = arg;
	ck_assert(pthread_equal(l->thread, pthread_self()));
	l->calls++;
	if (++l->depth > l->deepest)
		l->deepest = l->depth;
	l->act(l, event);
	l->depth--;
}

/* A store whose listener is l: q dead-letters to dead, and dead to grave. */
static void
open_with(struct listener *l)
{
	l->thread = pthread_self();
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock, .on_event = listen_to,
	                             .event_arg = l));
	dead = queue_with("dead", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "grave"));
	work = queue_with("work", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "dead"));
	l->audit = queue("audit");
}

static void
wear_out_three(void)
{
	for (int i = 0; i < 3; i++)
		send(work, "m");
	take(work, 3);
	clock_advance_ms(LEASE_MS);
	expect_empty(work);
}

static void
write_down(struct listener *l, const evq_event *event)
{
	evq_txn *txn;
	ck_assert_uint_eq(stats(work).messages, 0);
	send(l->audit, event->reason);
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_send(l->audit, txn, event->queue, strlen(event->queue), NULL, NULL));
	ck_ok(evq_commit(txn));
	ck_ok(evq_verify(env, NULL, NULL));
	ck_ok(evq_sync(env));
}

START_TEST(callback_may_call_evq)
{
	struct listener l = { .act = write_down };
	open_with(&l);
	wear_out_three();
	ck_assert_int_eq(l.calls, 3);
	expect_counts(l.audit, 6, 0, 0);
}
END_TEST

START_TEST(callback_at_a_commit_may_call_evq)
{
	struct listener l = { .act = write_down };
	open_with(&l);
	send(work, "m");
	evq_receipt receipt = take_one(work, "m");
	evq_txn *txn;
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_bury(work, txn, &receipt, "r"));
	ck_ok(evq_commit(txn));
	ck_assert_int_eq(l.calls, 1);
	expect_counts(l.audit, 2, 0, 0);
}
END_TEST

/* Each death in work is followed by one in dead, from within the callback. */
static void
bury_on(struct listener *l, const evq_event *event)
{
	(void)l;
	if (strcmp(event->queue, "work") != 0)
		return;
	evq_batch *b;
	ck_ok(evq_batch_new(&b));
	ck_ok(evq_receive(dead, NULL, NULL, b));
	evq_receipt receipt = evq_batch_at(b, 0)->receipt;
	evq_batch_free(b);
	ck_ok(evq_bury(dead, NULL, &receipt, "on"));
	ck_assert_str_eq(event->queue, "work");
	ck_assert_str_eq(event->reason, "max-receives");
}

START_TEST(callback_may_cause_further_events)
{
	struct listener l = { .act = bury_on };
	open_with(&l);
	wear_out_three();
	ck_assert_int_eq(l.calls, 6);
	ck_assert_int_eq(l.depth, 0);
	expect_counts(queue("grave"), 3, 0, 0);
	expect_counts(dead, 0, 0, 0);
}
END_TEST

static void
drop_its_queue(struct listener *l, const evq_event *event)
{
	(void)l;
	char name[EVQ_NAME_MAX + 1];
	snprintf(name, sizeof name, "%s", event->queue);
	int rc = evq_queue_drop(env, NULL, event->queue);
	ck_assert(rc == 0 || rc == EVQ_NOQUEUE);
	ck_assert_str_eq(event->queue, name);
	ck_assert_uint_ne(event->id, 0);
}

START_TEST(callback_may_drop_the_queue_it_is_told_of)
{
	struct listener l = { .act = drop_its_queue };
	open_with(&l);
	for (int i = 0; i < 3; i++)
		send(work, "m");
	take(work, 3);
	clock_advance_ms(LEASE_MS);
	evq_batch *b = batch();
	int rc = evq_receive(work, NULL, NULL, b);
	ck_assert_msg(rc == EVQ_EMPTY || rc == EVQ_NOQUEUE, "%s", evq_errname(rc));
	ck_assert_int_eq(l.calls, 3);
	expect_counts(dead, 3, 0, 0);
}
END_TEST

static void *
send_elsewhere(void *arg)
{
	send(arg, "from another thread");
	return NULL;
}

static void
wait_for_another_thread(struct listener *l, const evq_event *event)
{
	pthread_t thread;
	(void)event;
	ck_assert_int_eq(pthread_create(&thread, NULL, send_elsewhere, l->audit), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

START_TEST(callback_holds_up_nobody)
{
	struct listener l = { .act = wait_for_another_thread };
	open_with(&l);
	wear_out_three();
	expect_counts(l.audit, 3, 0, 0);
}
END_TEST

START_TEST(without_a_callback_events_are_nobodys)
{
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock));
	work = queue_with("work", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "dead"));
	wear_out_three();
	expect_counts(queue("dead"), 3, 0, 0);
	ck_assert_uint_eq(seen_count, 0);
}
END_TEST

Suite *
event_suite(void)
{
	Suite *suite = suite_create("event");
	TCase *tc = tcase_create("event");
	tcase_add_checked_fixture(tc, setup, store_teardown);
	tcase_add_test(tc, receive_tells_what_it_moved_in_order);
	tcase_add_test(tc, release_and_bury_tell_what_they_moved);
	tcase_add_test(tc, expiry_tells_what_it_dropped_and_what_it_moved);
	tcase_add_test(tc, damage_tells_of_itself_and_then_of_the_move);
	tcase_add_test(tc, full_dead_letter_is_told_at_each_try);
	tcase_add_test(tc, nothing_ordinary_is_an_event);
	tcase_add_test(tc, transaction_tells_all_at_its_commit_in_order);
	tcase_add_test(tc, refused_call_tells_nothing);
	tcase_add_test(tc, callback_may_call_evq);
	tcase_add_test(tc, callback_at_a_commit_may_call_evq);
	tcase_add_test(tc, callback_may_cause_further_events);
	tcase_add_test(tc, callback_may_drop_the_queue_it_is_told_of);
	tcase_add_test(tc, callback_holds_up_nobody);
	tcase_add_test(tc, without_a_callback_events_are_nobodys);
	suite_add_tcase(suite, tc);
	return suite;
}
