/* SPDX-License-Identifier: MIT */
/*
 * One store, one handle, many threads: each message reaches one of them once, whatever they do beside;
 * no mixture of calls and transactions ends in a deadlock (the time limit of the test case tells).
 *
 * Threads don't use check's assertions, which must stay in the thread of the test: a thread returns the
 * number of what it found wrong, and says so on stderr.
 */
#include "procs.h"
#include "support.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define THREADS 8
#define EACH 60 /* messages that a thread sends */
#define TOTAL (THREADS * EACH)

static evq_queue *q;
static atomic_int received[TOTAL]; /* times each was received */
static atomic_int left;            /* to be deleted yet */
static atomic_int stopping;

static void
setup(void)
{
	store_setup();
	/* the lock is not handed out in turn, and a checker that runs one thread at a time makes the worst of that */
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock, .lock_timeout_ms = EVQ_NONE));
	q = queue("q");
	for (int i = 0; i < TOTAL; i++)
		atomic_store(&received[i], 0);
	atomic_store(&left, TOTAL);
	atomic_store(&stopping, 0);
}

typedef int work_fn(int number);

struct worker {
	pthread_t thread;
	work_fn *work;
	int number, rc;
};

static void *
run_worker(void *arg)
{
	struct worker *w = arg;
	w->rc = w->work(w->number);
	if (w->rc)
		atomic_store(&left, 0); /* nobody is to wait for what will not come */
	return NULL;
}

static void
start_workers(struct worker *workers, int count, work_fn *work)
{
	for (int i = 0; i < count; i++) {
		workers[i] = (struct worker){ .work = work, .number = i };
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
	}
}

/* How many of them failed: to be asserted when no thread is left that could use what a failed test gives up. */
static int
join_workers(struct worker *workers, int count)
{
	int failed = 0;
	for (int i = 0; i < count; i++)
		failed += pthread_join(workers[i].thread, NULL) != 0 || workers[i].rc != 0;
	return failed;
}

static int
run_workers(work_fn *work)
{
	struct worker workers[THREADS];
	start_workers(workers, THREADS, work);
	return join_workers(workers, THREADS);
}

static void
expect_each_once(void)
{
	for (int i = 0; i < TOTAL; i++)
		ck_assert_msg(atomic_load(&received[i]) == 1, "message %d was received %d times", i, atomic_load(&received[i]));
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.messages, 0);
	ck_assert_uint_eq(s.sent, TOTAL);
	ck_assert_uint_eq(s.received, TOTAL);
	ck_assert_uint_eq(s.deleted, TOTAL);
}

/* ---- each message once --------------------------------------------------------------------------- */

static int
send_number(evq_txn *txn, int number)
{
	return evq_send(q, txn, &number, sizeof(number), NULL, NULL);
}

static int
settle_batch(evq_txn *txn, evq_batch *b)
{
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		const evq_delivery *d = evq_batch_at(b, i);
		int number;
		EXPECT((int)d->body_len, (int)sizeof(number));
		memcpy(&number, d->body, sizeof(number));
		EXPECT(number >= 0 && number < TOTAL, 1);
		EXPECT(evq_delete(q, txn, &d->receipt), 0);
		atomic_fetch_add(&received[number], 1);
		atomic_fetch_sub(&left, 1);
	}
	return 0;
}

static int
receive_some(evq_txn *txn, evq_batch *b, uint32_t count, int64_t wait_ms)
{
	int rc = evq_receive(q, txn, EVQ_RECEIVE_OPTS(.count = count, .wait_ms = wait_ms), b);
	if (rc == EVQ_EMPTY)
		return 0;
	EXPECT(rc, 0);
	return settle_batch(txn, b);
}

static int
receive_the_rest(evq_batch *b)
{
	int rc = 0;
	while (!rc && atomic_load(&left) > 0)
		rc = receive_some(NULL, b, 7, 20);
	return rc;
}

static int
send_and_receive(int number)
{
	evq_batch *b = NULL;
	EXPECT(evq_batch_new(&b), 0);
	for (int i = 0; i < EACH; i++) {
		EXPECT(send_number(NULL, number * EACH + i), 0);
		EXPECT(receive_some(NULL, b, 1 + (uint32_t)i % 3, 0), 0);
	}
	EXPECT(receive_the_rest(b), 0);
	evq_batch_free(b);
	return 0;
}

START_TEST(each_message_is_received_by_one_thread_once)
{
	ck_assert_int_eq(run_workers(send_and_receive), 0);
	expect_each_once();
}
END_TEST

/* Half of the threads in transactions, with a table of their own: as much in it as was received. */
static int
work_in_transactions(int number)
{
	evq_batch *b = NULL;
	EXPECT(evq_batch_new(&b), 0);
	for (int i = 0; i < EACH; i += 5) {
		evq_txn *txn = NULL;
		MDB_dbi dbi;
		EXPECT(evq_begin(env, &txn), 0);
		for (int n = i; n < i + 5; n++) {
			int key = number * EACH + n;
			MDB_val k = { sizeof(key), &key }, v = { sizeof(key), &key };
			EXPECT(send_number(txn, key), 0);
			EXPECT(mdb_dbi_open(evq_txn_mdb(txn), "mine", MDB_CREATE, &dbi), 0);
			EXPECT(mdb_put(evq_txn_mdb(txn), dbi, &k, &v, MDB_NOOVERWRITE), 0);
		}
		EXPECT(receive_some(txn, b, 3, 0), 0);
		EXPECT(evq_commit(txn), 0);
	}
	EXPECT(receive_the_rest(b), 0);
	evq_batch_free(b);
	return 0;
}

static int
work_either_way(int number)
{
	return number % 2 ? work_in_transactions(number) : send_and_receive(number);
}

START_TEST(transactions_and_single_calls_mix_without_deadlock)
{
	ck_assert_int_eq(run_workers(work_either_way), 0);
	expect_each_once();
	evq_txn *txn = NULL;
	MDB_dbi dbi;
	MDB_stat st;
	ck_ok(evq_begin(env, &txn));
	ck_ok(mdb_dbi_open(evq_txn_mdb(txn), "mine", 0, &dbi));
	ck_ok(mdb_stat(evq_txn_mdb(txn), dbi, &st));
	ck_assert_uint_eq(st.ms_entries, TOTAL / 2);
	evq_abort(txn);
}
END_TEST

/* ---- waiting ------------------------------------------------------------------------------------- */

static int
wait_for_messages(int number)
{
	(void)number;
	evq_batch *b = NULL;
	int rc = 0;
	EXPECT(evq_batch_new(&b), 0);
	while (!rc && atomic_load(&left) > 0)
		rc = receive_some(NULL, b, 5, 50);
	evq_batch_free(b);
	return rc;
}

static int
send_all(int number)
{
	for (int i = number; i < TOTAL; i += 2)
		EXPECT(send_number(NULL, i), 0);
	return 0;
}

START_TEST(waiting_threads_share_what_two_others_send)
{
	struct worker waiters[THREADS], senders[2];
	start_workers(waiters, THREADS, wait_for_messages);
	start_workers(senders, 2, send_all);
	int failed = join_workers(senders, 2);
	failed += join_workers(waiters, THREADS);
	ck_assert_int_eq(failed, 0);
	expect_each_once();
}
END_TEST

static atomic_int waiting;

static int
wait_for_ever(int number)
{
	(void)number;
	evq_batch *b = NULL;
	EXPECT(evq_batch_new(&b), 0);
	atomic_fetch_add(&waiting, 1);
	int rc = evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.wait_ms = EVQ_NONE), b);
	evq_batch_free(b);
	atomic_fetch_sub(&waiting, 1);
	return rc == EVQ_INTERRUPTED || rc == EVQ_NOQUEUE ? 0 : 1;
}

static void
wait_until_all_wait(void)
{
	while (atomic_load(&waiting) < THREADS)
		nap_ms(1);
	nap_ms(50);
}

START_TEST(interrupt_ends_every_wait)
{
	struct worker workers[THREADS];
	atomic_store(&waiting, 0);
	start_workers(workers, THREADS, wait_for_ever);
	wait_until_all_wait();
	while (atomic_load(&waiting) > 0) { /* one is enough, but for a thread that was slow to begin its wait */
		evq_env_interrupt(env);
		nap_ms(20);
	}
	ck_assert_int_eq(join_workers(workers, THREADS), 0);
	send(q, "later calls are not affected");
	take_one(q, "later calls are not affected");
}
END_TEST

START_TEST(drop_ends_every_wait)
{
	struct worker workers[THREADS];
	atomic_store(&waiting, 0);
	start_workers(workers, THREADS, wait_for_ever);
	wait_until_all_wait();
	ck_ok(evq_queue_drop(env, NULL, "q"));
	ck_assert_int_eq(join_workers(workers, THREADS), 0);
}
END_TEST

/* ---- everything at once --------------------------------------------------------------------------- */

static int
open_and_close_queues(void)
{
	evq_queue *other = NULL;
	EXPECT(evq_queue_open(env, "q", NULL, &other), 0);
	evq_queue_attrs attrs = { .size = sizeof(attrs) };
	EXPECT(evq_queue_get_attrs(other, &attrs), 0);
	EXPECT(evq_queue_set_attrs(other, NULL, &attrs), 0);
	evq_queue_close(other);
	int rc = evq_queue_open(env, "comes and goes", NULL, &other);
	EXPECT(rc, EINVAL);
	EXPECT(evq_queue_open(env, "comes-and-goes", EVQ_QUEUE_ATTRS(), &other), 0);
	rc = evq_send(other, NULL, "x", 1, NULL, NULL);
	EXPECT(rc == 0 || rc == EVQ_NOQUEUE, 1);
	evq_queue_close(other);
	return 0;
}

static int
look_around(void)
{
	evq_batch *b = NULL;
	evq_stats s = { .size = sizeof(s) };
	EXPECT(evq_batch_new(&b), 0);
	int rc = evq_peek(q, NULL, b);
	EXPECT(rc == 0 || rc == EVQ_EMPTY, 1);
	evq_batch_free(b);
	EXPECT(evq_queue_stats(q, &s), 0);
	EXPECT(evq_verify(env, NULL, NULL), 0);
	return 0;
}

static int
drop_and_sync(void)
{
	int rc = evq_queue_drop(env, NULL, "comes-and-goes");
	EXPECT(rc == 0 || rc == EVQ_NOQUEUE, 1);
	EXPECT(evq_sync(env), 0);
	return 0;
}

static int
meddle(int number)
{
	int (*const way[])(void) = { open_and_close_queues, look_around, drop_and_sync };
	int rc = 0;
	while (!rc && !atomic_load(&stopping))
		rc = way[number % 3]();
	return rc;
}

START_TEST(other_calls_of_other_threads_do_not_disturb)
{
	struct worker meddlers[3];
	start_workers(meddlers, 3, meddle);
	int failed = run_workers(work_either_way);
	atomic_store(&stopping, 1);
	failed += join_workers(meddlers, 3);
	ck_assert_int_eq(failed, 0);
	expect_each_once();
}
END_TEST

/* ---- opening --------------------------------------------------------------------------------------- */

static char shared_path[300];
static atomic_int opened_now, opened_ever;

static int
open_and_close(int number)
{
	char own[300];
	snprintf(own, sizeof(own), "%s/own%d", store_dir, number);
	for (int i = 0; i < 20; i++) {
		evq_env *e = NULL;
		EXPECT(evq_env_open(own, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED), &e), 0);
		evq_env_close(e);
		e = NULL;
		int rc = evq_env_open(shared_path, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED), &e);
		if (rc == EBUSY)
			continue;
		EXPECT(rc, 0);
		EXPECT(atomic_fetch_add(&opened_now, 1), 0);
		atomic_fetch_add(&opened_ever, 1);
		nap_ms(1);
		atomic_fetch_sub(&opened_now, 1);
		evq_env_close(e);
	}
	return 0;
}

START_TEST(only_one_thread_has_a_store_open)
{
	snprintf(shared_path, sizeof(shared_path), "%s/shared", store_dir);
	atomic_store(&opened_ever, 0);
	ck_assert_int_eq(run_workers(open_and_close), 0);
	ck_assert_int_gt(atomic_load(&opened_ever), 0);
}
END_TEST

/* ---- whose transaction ------------------------------------------------------------------------------ */

static evq_txn *of_another_thread;

static int
use_the_txn_of_another(int number)
{
	(void)number;
	size_t count;
	EXPECT(send_number(of_another_thread, 1), EPERM);
	EXPECT(evq_purge(q, of_another_thread, &count), EPERM);
	EXPECT(evq_txn_mdb(of_another_thread) == NULL, 1);
	EXPECT(evq_queue_drop(env, of_another_thread, "q"), EPERM);
	return 0;
}

START_TEST(transaction_of_another_thread_is_refused)
{
	struct worker worker;
	ck_ok(evq_begin(env, &of_another_thread));
	ck_ok(send_number(of_another_thread, 0));
	start_workers(&worker, 1, use_the_txn_of_another);
	ck_assert_int_eq(join_workers(&worker, 1), 0);
	ck_rc(send_number(NULL, 1), EDEADLK);
	ck_ok(evq_commit(of_another_thread));
	expect_counts(q, 1, 0, 0);
}
END_TEST

Suite *
threads_suite(void)
{
	Suite *s = suite_create("threads");
	TCase *tc = tcase_create("threads");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, store_teardown);
	tcase_add_test(tc, each_message_is_received_by_one_thread_once);
	tcase_add_test(tc, transactions_and_single_calls_mix_without_deadlock);
	tcase_add_test(tc, waiting_threads_share_what_two_others_send);
	tcase_add_test(tc, interrupt_ends_every_wait);
	tcase_add_test(tc, drop_ends_every_wait);
	tcase_add_test(tc, other_calls_of_other_threads_do_not_disturb);
	tcase_add_test(tc, only_one_thread_has_a_store_open);
	tcase_add_test(tc, transaction_of_another_thread_is_refused);
	suite_add_tcase(s, tc);
	return s;
}
