/* SPDX-License-Identifier: MIT */
/*
 * Promises that must hold in spite of somebody: an old reader, a user's own tables, a thread that ends in the middle,
 * a store closed or replaced under its users, messages that nobody receives and that only expire.
 */
#include "procs.h"
#include "support.h"

#include <lmdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { MIB = 1 << 20, MINUTE = 60000 };
static char bytes[MIB];

static void
open_small(void)
{
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock, .map_size = 8 * MIB));
}

static size_t
fill(evq_queue *q, evq_txn *txn, size_t len, const evq_send_opts *opts)
{
	size_t sent = 0;
	int rc;
	while ((rc = evq_send(q, txn, bytes, len, opts, NULL)) == 0)
		sent++;
	ck_rc(rc, EVQ_FULL);
	return sent;
}

static void
drain(evq_queue *q, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		evq_batch *b = NULL;
		ck_ok(evq_batch_new(&b));
		ck_ok(evq_receive(q, NULL, NULL, b));
		ck_ok(evq_delete(q, NULL, &evq_batch_at(b, 0)->receipt));
		evq_batch_free(b);
	}
}

START_TEST(store_full_of_what_has_expired_takes_new_messages)
{
	open_small();
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.retention_ms = MINUTE));
	ck_assert_uint_gt(fill(q, NULL, 1000, NULL), 1000);
	clock_advance_ms(2 * MINUTE);
	send(q, "new");
	take_one(q, "new");
}
END_TEST

START_TEST(queue_full_of_what_has_expired_takes_new_messages_in_a_transaction_too)
{
	store_setup();
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.retention_ms = MINUTE, .max_messages = 500));
	evq_txn *txn = NULL;
	ck_assert_uint_eq(fill(q, NULL, 10, NULL), 500);
	clock_advance_ms(2 * MINUTE);
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_send(q, txn, "new", 3, NULL, NULL));
	ck_ok(evq_commit(txn));
	take_one(q, "new");
}
END_TEST

START_TEST(reserve_is_kept_from_pages_that_a_reader_pins)
{
	open_small();
	evq_queue *q = queue("q");
	MDB_txn *old = NULL;
	for (int i = 0; i < 300; i++)
		ck_ok(evq_send(q, NULL, bytes, 3000, NULL, NULL));
	ck_assert_int_eq(mdb_txn_begin(evq_env_mdb(env), NULL, MDB_RDONLY, &old), 0);
	size_t sent = 300 + fill(q, NULL, 3000, NULL); /* nothing that is given back can be had meanwhile */
	drain(q, 15);
	mdb_txn_abort(old);
	drain(q, sent - 15);
	expect_empty(q);
}
END_TEST

START_TEST(reserve_is_kept_from_the_users_own_tables_in_a_transaction)
{
	open_small();
	evq_queue *q = queue("q");
	evq_txn *txn = NULL;
	MDB_dbi dbi;
	ck_ok(evq_begin(env, &txn));
	ck_assert_int_eq(mdb_dbi_open(evq_txn_mdb(txn), "mine", MDB_CREATE, &dbi), 0);
	for (uint32_t i = 0; i < 1500; i++) {
		MDB_val k = { sizeof i, &i }, v = { 4000, bytes };
		ck_assert_int_eq(mdb_put(evq_txn_mdb(txn), dbi, &k, &v, 0), 0);
	}
	size_t sent = fill(q, txn, 3000, NULL);
	ck_ok(evq_commit(txn)); /* refused, and not broken half way */
	drain(q, sent);
	expect_empty(q);
}
END_TEST

/* Bodies of which two take a page where three nearly would: the estimate must see it. */
START_TEST(reserve_is_kept_whatever_the_size_of_bodies)
{
	static const size_t sizes[] = { 1316, 1300, 1340, 1990, 2000, 660, 5000 };
	static evq_buf bodies[2000];
	open_small();
	evq_queue *q = queue("q");
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		bodies[i] = (evq_buf){ bytes, sizes[_i] };
	size_t sent = 0;
	for (size_t count = 2000; count > 0; count /= 2)
		while (!evq_send_batch(q, NULL, bodies, count, NULL, NULL))
			sent += count;
	ck_assert_uint_gt(sent, 100);
	evq_batch *b = batch();
	ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = EVQ_BATCH_MAX), b));
	ck_assert_uint_eq(evq_batch_count(b), sent);
	ck_ok(evq_purge(q, NULL, NULL));
}
END_TEST

/* ---- threads that end, stores that close --------------------------------------------------------- */

static evq_txn *others;
static atomic_int turn;

static void
wait_for(int value)
{
	while (atomic_load(&turn) != value)
		sched_yield();
}

static void *
commit_after_the_close(void *arg)
{
	(void)arg;
	ck_ok(evq_begin(env, &others));
	atomic_store(&turn, 1);
	wait_for(2);
	return (void *)(intptr_t)evq_commit(others);
}

START_TEST(store_closed_beside_another_threads_transaction_ends_with_it)
{
	store_setup();
	pthread_t thread;
	void *rc;
	evq_env *beside = env;
	evq_queue *q = NULL;
	ck_ok(evq_queue_open(env, "q", EVQ_QUEUE_ATTRS(.flags = 0), &q));
	ck_assert_int_eq(pthread_create(&thread, NULL, commit_after_the_close, NULL), 0);
	wait_for(1);
	evq_env_close(beside);
	env = NULL;
	atomic_store(&turn, 2);
	ck_assert_int_eq(pthread_join(thread, &rc), 0);
	ck_rc((int)(intptr_t)rc, EBADF);
	evq_queue_close(q);
	ck_ok(evq_env_open(store_dir, EVQ_ENV_OPTS(.clock = fake_clock), &env));
	send(queue("q"), "the writer lock is free");
}
END_TEST

static void *
begin_and_end(void *arg)
{
	(void)arg;
	ck_ok(evq_begin(env, &others));
	return NULL;
}

START_TEST(store_whose_writing_thread_has_ended_can_be_closed_and_opened_again)
{
	store_setup();
	pthread_t thread;
	evq_queue *q = NULL;
	ck_ok(evq_queue_open(env, "q", EVQ_QUEUE_ATTRS(.flags = 0), &q));
	ck_assert_int_eq(pthread_create(&thread, NULL, begin_and_end, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_ne(evq_send(q, NULL, "x", 1, NULL, NULL), 0); /* LMDB gives the environment up */
	evq_queue_close(q);
	evq_env_close(env);
	evq_abort(others);
	ck_ok(evq_env_open(store_dir, EVQ_ENV_OPTS(.clock = fake_clock), &env));
	send(queue("q"), "on it goes");
}
END_TEST

static void *
send_for_ever(void *arg)
{
	evq_queue *q = arg;
	while (evq_send(q, NULL, "x", 1, NULL, NULL) == 0) {
		atomic_fetch_add(&turn, 1);
		pthread_testcancel(); /* a call has no such place, or had one with the lock held */
	}
	return NULL;
}

START_TEST(thread_that_is_cancelled_leaves_the_store_usable)
{
	store_open_opts(EVQ_ENV_OPTS(.clock = fake_clock));
	evq_queue *q = queue("q");
	for (int i = 0; i < 10; i++) {
		pthread_t thread;
		int begun = atomic_load(&turn);
		ck_assert_int_eq(pthread_create(&thread, NULL, send_for_ever, q), 0);
		while (atomic_load(&turn) < begun + 3 + i)
			sched_yield();
		pthread_cancel(thread);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		send(q, "on it goes");
	}
}
END_TEST

static void *
look_for_ever(void *arg)
{
	evq_queue *q = arg;
	evq_stats s = { .size = sizeof(s) };
	while (evq_queue_stats(q, &s) == 0 && evq_sync(env) == 0) {
		atomic_fetch_add(&turn, 1);
		pthread_testcancel();
	}
	return NULL;
}

START_TEST(thread_that_is_cancelled_while_it_waits_for_a_commit_leaves_the_store_usable)
{
	store_open_opts(EVQ_ENV_OPTS(.clock = fake_clock));
	evq_queue *q = queue("q");
	for (int i = 0; i < 30; i++) {
		pthread_t thread;
		int begun = atomic_load(&turn);
		ck_assert_int_eq(pthread_create(&thread, NULL, look_for_ever, q), 0);
		while (atomic_load(&turn) < begun + 3)
			send(q, "x"); /* so that there is something to commit */
		pthread_cancel(thread);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		send(q, "on it goes");
	}
}
END_TEST

static int
open_and_send(void *arg)
{
	evq_env *e = NULL;
	(void)arg;
	EXPECT(evq_env_open(store_dir, EVQ_ENV_OPTS(.clock = fake_clock), &e), EBUSY);
	return 0;
}

START_TEST(data_file_replaced_under_its_users_is_refused)
{
	char name[512], copy[512];
	store_setup();
	send(queue("q"), "x");
	snprintf(name, sizeof name, "%s/data.mdb", store_dir);
	snprintf(copy, sizeof copy, "%s/backup", store_dir);
	ck_ok(evq_env_copy(env, copy, 0));
	snprintf(copy, sizeof copy, "%s/backup/data.mdb", store_dir);
	ck_assert_int_eq(rename(copy, name), 0);
	ck_assert_int_eq(proc_run(open_and_send, NULL), 0);
	evq_env *second = NULL;
	ck_rc(evq_env_open(store_dir, EVQ_ENV_OPTS(.clock = fake_clock), &second), EBUSY);
}
END_TEST

static int
open_without_memory(void *path)
{
	evq_env *e = NULL;
	struct rlimit little = { 256 * MIB, 256 * MIB };
	EXPECT(setrlimit(RLIMIT_AS, &little), 0);
	return evq_env_open(path, EVQ_ENV_OPTS(.clock = fake_clock), &e) == 0;
}

/* Leaves a store cut short, that an open has made longer and not judged; its whole file is in backup. */
static void
cut_and_fail_to_open(char name[static 512], char backup[static 600])
{
	store_setup();
	evq_queue *q = queue("q");
	for (int i = 0; i < 200; i++)
		ck_ok(evq_send(q, NULL, bytes, 5000, NULL, NULL));
	snprintf(backup, 600, "%s/backup", store_dir);
	ck_ok(evq_env_copy(env, backup, 0));
	send(q, "later than the backup");
	evq_env_close(env);
	snprintf(backup, 600, "%s/backup/data.mdb", store_dir);
	snprintf(name, 512, "%s/data.mdb", store_dir);
	ck_assert_int_eq(truncate(name, 200 * 4096), 0);
	ck_assert_int_eq(proc_run(open_without_memory, store_dir), 0);
}

START_TEST(store_restored_after_an_open_that_failed_is_not_cut)
{
	char name[512], backup[600];
	cut_and_fail_to_open(name, backup);
	ck_assert_int_eq(rename(backup, name), 0);
	ck_ok(evq_env_open(store_dir, EVQ_ENV_OPTS(.clock = fake_clock), &env));
	expect_counts(queue("q"), 200, 0, 0);
}
END_TEST

START_TEST(store_cut_short_is_refused_also_after_an_open_that_failed)
{
	char name[512], backup[600];
	struct stat st;
	cut_and_fail_to_open(name, backup);
	ck_rc(evq_env_open(store_dir, EVQ_ENV_OPTS(.clock = fake_clock), &env), EVQ_FORMAT);
	ck_assert_int_eq(stat(name, &st), 0);
	ck_assert_int_eq(st.st_size, 200 * 4096);
	env = NULL;
	remove_tree(store_dir);
	store_setup();
}
END_TEST

/* ---- waiting ------------------------------------------------------------------------------------- */

static void *
hold_a_transaction(void *arg)
{
	(void)arg;
	ck_ok(evq_begin(env, &others));
	atomic_store(&turn, 1);
	wait_for(2);
	evq_abort(others);
	return NULL;
}

START_TEST(wait_on_an_empty_queue_does_not_wait_for_the_writer)
{
	store_setup();
	pthread_t thread;
	struct timespec begin, end;
	evq_queue *q = queue("q");
	ck_assert_int_eq(pthread_create(&thread, NULL, hold_a_transaction, NULL), 0);
	wait_for(1);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	ck_rc(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.wait_ms = 50), batch()), EVQ_EMPTY);
	clock_gettime(CLOCK_MONOTONIC, &end);
	ck_assert_int_lt((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000, 5000);
	atomic_store(&turn, 2);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static int asked;

static int
drop_the_destination_half_way(const evq_delivery *d, void *txn)
{
	(void)d;
	if (++asked == 101)
		ck_ok(evq_queue_drop(env, txn, "to"));
	return 1;
}

START_TEST(call_that_fails_half_way_in_a_transaction_breaks_it)
{
	store_setup();
	evq_queue *dead = queue("dead");
	evq_txn *txn = NULL;
	size_t moved = 77;
	queue("to");
	for (int i = 0; i < 150; i++)
		send(dead, "x");
	asked = 0;
	ck_ok(evq_begin(env, &txn));
	ck_rc(evq_redrive(dead, txn,
	                  EVQ_REDRIVE_OPTS(.to = "to", .match = drop_the_destination_half_way, .match_arg = txn), &moved),
	      EVQ_NOQUEUE);
	ck_assert_uint_eq(moved, 77);
	ck_rc(evq_send(dead, txn, "y", 1, NULL, NULL), EVQ_NOQUEUE); /* it is broken, and says why */
	ck_rc(evq_commit(txn), EVQ_NOQUEUE);
	expect_counts(dead, 150, 0, 0);
	expect_empty(queue("to"));
}
END_TEST

static void
setup(void)
{
	atomic_store(&turn, 0);
}

Suite *
kept_suite(void)
{
	Suite *s = suite_create("kept");
	TCase *t = tcase_create("kept");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_test(t, store_full_of_what_has_expired_takes_new_messages);
	tcase_add_test(t, queue_full_of_what_has_expired_takes_new_messages_in_a_transaction_too);
	tcase_add_test(t, reserve_is_kept_from_pages_that_a_reader_pins);
	tcase_add_test(t, reserve_is_kept_from_the_users_own_tables_in_a_transaction);
	tcase_add_loop_test(t, reserve_is_kept_whatever_the_size_of_bodies, 0, 7);
	tcase_add_test(t, store_closed_beside_another_threads_transaction_ends_with_it);
	tcase_add_test(t, store_whose_writing_thread_has_ended_can_be_closed_and_opened_again);
	tcase_add_test(t, thread_that_is_cancelled_leaves_the_store_usable);
	tcase_add_test(t, thread_that_is_cancelled_while_it_waits_for_a_commit_leaves_the_store_usable);
	tcase_add_test(t, data_file_replaced_under_its_users_is_refused);
	tcase_add_test(t, store_restored_after_an_open_that_failed_is_not_cut);
	tcase_add_test(t, store_cut_short_is_refused_also_after_an_open_that_failed);
	tcase_add_test(t, wait_on_an_empty_queue_does_not_wait_for_the_writer);
	tcase_add_test(t, call_that_fails_half_way_in_a_transaction_breaks_it);
	suite_add_tcase(s, t);
	return s;
}
