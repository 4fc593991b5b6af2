/* SPDX-License-Identifier: MIT */
/*
 * Leases end when the process that has them dies, and only then: not when it closes the store, stops, forks, or
 * loses a thread.
 */
#include "waiter.h"

#include <pthread.h>

enum how { DIE, CLOSE, STOP, FORK_AND_DIE_IN_CHILD, LOSE_A_THREAD };

struct taker {
	struct turn taken, end;
	enum how how;
	uint32_t count;
	int keeper;
};

static int
open_q(evq_env **e, evq_queue **q, int keeper)
{
	int rc = evq_env_open(store_dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock, .keeper = keeper), e);
	return rc ? rc : evq_queue_open(*e, "q", NULL, q);
}

struct job {
	evq_queue *q;
	uint32_t count;
	int rc;
};

static void *
take_some(void *arg)
{
	struct job *job = arg;
	evq_batch *b = NULL;
	job->rc = evq_batch_new(&b);
	if (!job->rc)
		job->rc = evq_receive(job->q, NULL, EVQ_RECEIVE_OPTS(.count = job->count), b);
	evq_batch_free(b);
	return NULL;
}

/* Takes count messages in its own process, and then does something else than to settle them. */
static int
take_and(void *arg)
{
	struct taker *t = arg;
	evq_env *e = NULL;
	struct job job = { .count = t->count };
	pthread_t thread;
	EXPECT(open_q(&e, &job.q, t->keeper), 0);
	if (t->how == LOSE_A_THREAD) {
		EXPECT(pthread_create(&thread, NULL, take_some, &job), 0);
		EXPECT(pthread_join(thread, NULL), 0);
	} else
		(void)take_some(&job);
	EXPECT(job.rc, 0);
	if (t->how == FORK_AND_DIE_IN_CHILD) {
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		EXPECT(waitpid(child, NULL, 0) == child, 1);
	}
	if (t->how == CLOSE) {
		evq_queue_close(job.q);
		evq_env_close(e);
	}
	if (t->how == STOP)
		nap_ms(100); /* until it has let the tree go: or whoever wants that waits for it */
	turn_pass(&t->taken);
	if (t->how == STOP)
		raise(SIGSTOP);
	turn_await(&t->end);
	return 0;
}

static pid_t
start_taker(struct taker *t, enum how how, uint32_t count)
{
	*t = (struct taker){ .how = how, .count = count };
	ck_assert_int_eq(turn_make(&t->taken), 0);
	ck_assert_int_eq(turn_make(&t->end), 0);
	pid_t pid = proc_start(take_and, t);
	ck_assert_int_eq(turn_await(&t->taken), 0);
	return pid;
}

static evq_queue *
queue_of(const char *bodies)
{
	evq_queue *q = queue("q");
	for (char body[2] = { 0 }; (body[0] = *bodies); bodies++)
		send(q, body);
	return q;
}

START_TEST(leases_of_a_process_that_died_are_due_at_once)
{
	struct taker t;
	evq_queue *q = queue_of("ab");
	pid_t pid = start_taker(&t, DIE, 2);
	expect_empty(q);
	proc_kill(pid);
	evq_batch *b = take(q, 2);
	for (size_t i = 0; i < 2; i++)
		ck_assert_uint_eq(evq_batch_at(b, i)->receives, 2);
	ck_assert_uint_eq(seen_count, 2);
	ck_assert_int_eq(seen[0].type, EVQ_EVENT_OWNER_DIED);
	ck_assert_str_eq(seen[0].queue, "q");
	ck_assert_str_eq(seen[0].reason, "owner-died");
}
END_TEST

START_TEST(leases_of_a_process_that_lives_are_left_alone)
{
	struct taker t;
	evq_queue *q = queue_of("a");
	pid_t pid = start_taker(&t, (enum how)_i, 1);
	for (int i = 0; i < 5; i++) {
		expect_empty(q);
		receive_ms(q, EVQ_RECEIVE_OPTS(.wait_ms = 100), EVQ_EMPTY);
	}
	evq_txn *txn = NULL;
	ck_ok(evq_begin(env, &txn));
	evq_abort(txn);
	expect_counts(q, 0, 0, 1);
	proc_kill(pid);
	if (_i == CLOSE) /* it was gone before it died, and its leases run their time */
		expect_empty(q);
	else
		take_one(q, "a");
}
END_TEST

static int64_t
ms_until_taken(evq_queue *q, pid_t victim)
{
	struct waiter w;
	start_waiting(&w, q, WAIT(.count = 1));
	int64_t start = real_ms();
	proc_kill(victim);
	expect_woken(&w, 0, "a");
	return real_ms() - start;
}

START_TEST(waiter_finds_a_death_within_100_ms)
{
	struct taker t;
	evq_queue *q = queue_of("a");
	int64_t least = INT64_MAX;
	for (int i = 0; i < 3 && least > 100; i++) { /* the machine may be busy with something else for once */
		pid_t pid = start_taker(&t, DIE, 1);
		int64_t ms = ms_until_taken(q, pid);
		least = ms < least ? ms : least;
		clock_advance_ms(PATIENCE);
	}
	ck_assert_int_le(least, 100);
}
END_TEST

START_TEST(death_is_found_at_open_by_whoever_comes_next)
{
	struct taker t;
	queue_of("abc");
	pid_t pid = start_taker(&t, DIE, 3);
	store_reopen(); /* so that nobody of us was there when it died */
	evq_env_close(env);
	proc_kill(pid);
	env = NULL;
	store_reopen();
	expect_counts(queue("q"), 3, 0, 0);
}
END_TEST

START_TEST(death_is_found_before_a_transaction)
{
	struct taker t;
	evq_queue *q = queue_of("a");
	evq_txn *txn = NULL;
	proc_kill(start_taker(&t, DIE, 1));
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_receive(q, txn, NULL, batch()));
	ck_ok(evq_commit(txn));
}
END_TEST

START_TEST(death_ends_leases_in_every_queue_and_no_others)
{
	struct taker t;
	char body[16];
	evq_queue *q = queue("q"), *mine = queue("mine");
	for (int i = 0; i < 450; i++) {
		snprintf(body, sizeof(body), "%d", i);
		send_with(q, body, EVQ_SEND_OPTS(.priority = i % 7));
	}
	send(mine, "x");
	take_one(mine, "x");
	pid_t pid = start_taker(&t, DIE, 350);
	send_with(q, "later", EVQ_SEND_OPTS(.delay_ms = 1000));
	take(q, 50);
	proc_kill(pid);
	take(q, 50);
	expect_empty(mine);
	ck_assert_uint_eq(evq_batch_count(take(q, 350)), 350);
	expect_counts(q, 0, 1, 450);
	expect_counts(mine, 0, 0, 1);
}
END_TEST

START_TEST(receipt_of_a_process_that_died_is_stale_and_who_extends_owns)
{
	struct taker t;
	evq_queue *q = queue_of("a");
	evq_receipt r = take_one(q, "a"), renewed;
	ck_ok(evq_extend(q, NULL, &r, 0, &renewed));
	send(q, "b");
	proc_kill(start_taker(&t, DIE, 1)); /* that takes b */
	take_one(q, "b");
	ck_ok(evq_delete(q, NULL, &renewed));
	ck_rc(evq_delete(q, NULL, &r), EVQ_STALE);
}
END_TEST

struct extender {
	struct turn done, end;
	evq_receipt receipt;
};

static int
extend_and_wait(void *arg)
{
	struct extender *x = arg;
	evq_env *e = NULL;
	evq_queue *q = NULL;
	EXPECT(open_q(&e, &q, 0), 0);
	EXPECT(evq_extend(q, NULL, &x->receipt, PATIENCE, &x->receipt), 0);
	turn_pass(&x->done);
	turn_await(&x->end);
	return 0;
}

START_TEST(lease_that_another_process_extended_ends_with_that_one)
{
	evq_queue *q = queue_of("a");
	struct extender x = { .receipt = take_one(q, "a") };
	ck_assert_int_eq(turn_make(&x.done), 0);
	ck_assert_int_eq(turn_make(&x.end), 0);
	pid_t pid = proc_start(extend_and_wait, &x);
	ck_assert_int_eq(turn_await(&x.done), 0);
	ms_until_taken(q, pid);
}
END_TEST

START_TEST(more_processes_than_there_are_slots_for_one_after_the_other)
{
	struct taker t;
	evq_queue *q = queue_of("a");
	for (int i = 0; i < 300; i++) {
		proc_kill(start_taker(&t, DIE, 1));
		turn_close(&t.taken);
		turn_close(&t.end);
		if (i % 50 == 0)
			expect_counts(q, 0, 0, 1);
	}
	take_one(q, "a");
}
END_TEST

Suite *
owners_suite(void)
{
	Suite *s = suite_create("owners");
	TCase *tc = tcase_create("owners");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_test(tc, leases_of_a_process_that_died_are_due_at_once);
	tcase_add_loop_test(tc, leases_of_a_process_that_lives_are_left_alone, CLOSE, LOSE_A_THREAD + 1);
	tcase_add_test(tc, waiter_finds_a_death_within_100_ms);
	tcase_add_test(tc, death_is_found_at_open_by_whoever_comes_next);
	tcase_add_test(tc, death_is_found_before_a_transaction);
	tcase_add_test(tc, death_ends_leases_in_every_queue_and_no_others);
	tcase_add_test(tc, receipt_of_a_process_that_died_is_stale_and_who_extends_owns);
	tcase_add_test(tc, lease_that_another_process_extended_ends_with_that_one);
	tcase_add_test(tc, more_processes_than_there_are_slots_for_one_after_the_other);
	suite_add_tcase(s, tc);
	return s;
}
