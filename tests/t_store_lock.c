/* SPDX-License-Identifier: MIT */
/*
 * What a process that is stopped, or dead, does to the others: a writer that holds the lock gives them
 * EVQ_BUSY in lock_timeout_ms while it is stopped, and nothing at all once it is dead; a reader that died
 * costs no slot and holds no space.
 */
#include "every_call.h"
#include "procs.h"
#include "support.h"

#include <limits.h>
#include <lmdb.h>
#include <pthread.h>

#define TIMEOUT_MS 100
#define PATIENCE_MS 5000 /* for a loaded machine; far below the default timeout of 10 s */

static char dir[256];
static char path[PATH_MAX];
static evq_env *e;
static evq_queue *q;

static int
open_at(evq_env **out)
{
	return evq_env_open(path, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .lock_timeout_ms = TIMEOUT_MS), out);
}

static void
setup(void)
{
	temp_dir(dir);
	snprintf(path, sizeof(path), "%s/store", dir);
	ck_ok(open_at(&e));
	ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(.dead_letter = "dead"), &q));
}

static void
teardown(void)
{
	ck_ok(evq_verify(e, NULL, NULL));
	evq_queue_close(q);
	evq_env_close(e);
	store_teardown();
}

/* ---- a writer in another process ----------------------------------------------------------------- */

/* Sends in a transaction, stops itself, goes on when told to, and commits. */
static int
stop_in_a_transaction(void *arg)
{
	(void)arg;
	evq_env *mine = NULL;
	evq_queue *mine_q = NULL;
	evq_txn *txn = NULL;
	MDB_dbi dbi;
	MDB_val k = { 1, "k" }, v = { 1, "v" };
	EXPECT(open_at(&mine), 0);
	EXPECT(evq_queue_open(mine, "q", NULL, &mine_q), 0);
	EXPECT(evq_begin(mine, &txn), 0);
	EXPECT(evq_send(mine_q, txn, "from the stopped one", 20, NULL, NULL), 0);
	EXPECT(mdb_dbi_open(evq_txn_mdb(txn), "mine", MDB_CREATE, &dbi), 0);
	EXPECT(mdb_put(evq_txn_mdb(txn), dbi, &k, &v, 0), 0);
	raise(SIGSTOP);
	EXPECT(evq_commit(txn), 0);
	evq_queue_close(mine_q);
	evq_env_close(mine);
	return 0;
}

static int
is_as_wanted(int kind, int rc)
{
	if (kind == CALL_FLUSHES)
		return rc == 0 || rc == EVQ_BUSY;
	return rc == (kind == CALL_READS ? 0 : EVQ_BUSY);
}

START_TEST(stopped_writer_makes_the_others_busy_and_changes_nothing)
{
	struct subject s;
	subject_make(&s, e, path);
	pid_t pid = proc_start(stop_in_a_transaction, NULL);
	ck_assert(proc_wait_stopped(pid));
	for (size_t i = 0; i < EVERY_CALL; i++) {
		const struct every_call *c = &every_call[i];
		snprintf(s.copy, sizeof(s.copy), "%s/copy%zu", dir, i);
		int64_t before = real_ms();
		int rc = c->call(&s);
		int64_t took = real_ms() - before;
		ck_assert_msg(is_as_wanted(c->kind, rc), "%s: %s (%d)", c->what, evq_errname(rc), rc);
		ck_assert_msg(rc != EVQ_BUSY || took >= TIMEOUT_MS - 10, "%s: busy after %d ms", c->what, (int)took);
		ck_assert_msg(took < PATIENCE_MS, "%s took %d ms", c->what, (int)took);
	}
	ck_assert_ptr_null(s.txn);
	subject_expect_untouched(&s);
	kill(pid, SIGCONT);
	ck_assert_int_eq(proc_wait(pid), 0);
	ck_assert_uint_eq(stats(q).messages, SUBJECT_LEASED + 1);
	ck_ok(call_delete(&s));
	ck_ok(call_extend(&s));
	ck_ok(call_release(&s));
	ck_ok(call_bury(&s));
	subject_close(&s);
}
END_TEST

static int
open_beside_a_stopped_writer(void *arg)
{
	(void)arg;
	evq_env *mine = NULL;
	int64_t before = real_ms();
	int rc = open_at(&mine);
	if (rc != EVQ_BUSY)
		EXPECT(rc, 0);
	evq_env_close(mine);
	return real_ms() - before < PATIENCE_MS ? 0 : 98;
}

START_TEST(store_opens_and_closes_beside_a_stopped_writer)
{
	pid_t pid = proc_start(stop_in_a_transaction, NULL);
	ck_assert(proc_wait_stopped(pid));
	ck_assert_int_eq(proc_run(open_beside_a_stopped_writer, NULL), 0);
	ck_assert_int_eq(proc_kill(pid), 1000 + SIGKILL);
}
END_TEST

START_TEST(killed_writer_leaves_nothing_and_delays_nobody)
{
	for (uint64_t i = 1; i <= 20; i++) {
		pid_t pid = proc_start(stop_in_a_transaction, NULL);
		ck_assert(proc_wait_stopped(pid));
		ck_assert_int_eq(proc_kill(pid), 1000 + SIGKILL);
		send(q, "x"); /* within TIMEOUT_MS, or this fails */
		ck_assert_uint_eq(stats(q).messages, i);
	}
	evq_txn *txn = NULL;
	MDB_dbi dbi;
	ck_ok(evq_begin(e, &txn));
	ck_rc(mdb_dbi_open(evq_txn_mdb(txn), "mine", 0, &dbi), MDB_NOTFOUND);
	evq_abort(txn);
}
END_TEST

/* The last process that had the store open died holding the lock: nobody was there to see it. */
START_TEST(store_whose_last_user_was_killed_writing_opens)
{
	for (int i = 0; i < 5; i++) {
		evq_queue_close(q);
		evq_env_close(e);
		pid_t pid = proc_start(stop_in_a_transaction, NULL);
		ck_assert(proc_wait_stopped(pid));
		ck_assert_int_eq(proc_kill(pid), 1000 + SIGKILL);
		ck_ok(open_at(&e));
		ck_ok(evq_queue_open(e, "q", NULL, &q));
		send(q, "x");
	}
	ck_assert_uint_eq(stats(q).messages, 5);
}
END_TEST

static int
work_for_ever(void *arg)
{
	(void)arg;
	evq_env *mine = NULL;
	evq_queue *mine_q = NULL;
	evq_batch *b = NULL;
	EXPECT(evq_env_open(path, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .lock_timeout_ms = EVQ_NONE), &mine), 0);
	EXPECT(evq_queue_open(mine, "q", NULL, &mine_q), 0);
	EXPECT(evq_batch_new(&b), 0);
	for (;;) {
		EXPECT(evq_send(mine_q, NULL, "x", 1, NULL, NULL), 0);
		int rc = evq_receive(mine_q, NULL, NULL, b);
		if (rc == 0)
			EXPECT(evq_delete(mine_q, NULL, &evq_batch_at(b, 0)->receipt), 0);
		else if (rc != EVQ_EMPTY)
			EXPECT(rc, 0);
	}
}

/* Wherever it is stopped, also in the middle of LMDB's own work. */
START_TEST(process_stopped_anywhere_delays_nobody_beyond_the_timeout)
{
	pid_t pid = proc_start(work_for_ever, NULL);
	unsigned seed = 1;
	nap_ms(50);
	for (int i = 0; i < 20; i++) {
		seed = seed * 1103515245 + 12345;
		usleep(seed >> 16 & 1023);
		kill(pid, SIGSTOP);
		ck_assert(proc_wait_stopped(pid));
		int64_t before = real_ms();
		int rc = evq_send(q, NULL, "y", 1, NULL, NULL);
		ck_assert_msg(rc == 0 || rc == EVQ_BUSY, "%s", evq_errname(rc));
		ck_assert_int_lt(real_ms() - before, PATIENCE_MS);
		kill(pid, SIGCONT);
	}
	ck_assert_int_eq(proc_kill(pid), 1000 + SIGKILL);
	send(q, "z");
}
END_TEST

/* ---- a writer in another thread ------------------------------------------------------------------ */

static void *
hold_for_a_while(void *arg)
{
	evq_txn *txn = NULL;
	if (evq_begin(e, &txn) != 0)
		return NULL;
	turn_pass(arg);
	nap_ms(400);
	return evq_commit(txn) == 0 ? arg : NULL;
}

static int
send_beside_a_thread(void)
{
	struct turn begun;
	pthread_t thread;
	void *result = NULL;
	ck_assert_int_eq(turn_make(&begun), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, hold_for_a_while, &begun), 0);
	ck_assert_int_eq(turn_await(&begun), 0);
	int rc = evq_send(q, NULL, "x", 1, NULL, NULL);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_nonnull(result);
	turn_close(&begun);
	return rc;
}

START_TEST(transaction_of_another_thread_makes_a_call_busy_too)
{
	ck_rc(send_beside_a_thread(), EVQ_BUSY);
	send(q, "x");
}
END_TEST

START_TEST(without_a_timeout_a_call_waits_for_its_turn)
{
	evq_queue_close(q);
	evq_env_close(e);
	ck_ok(evq_env_open(path, EVQ_ENV_OPTS(.lock_timeout_ms = EVQ_NONE), &e));
	ck_ok(evq_queue_open(e, "q", NULL, &q));
	ck_ok(send_beside_a_thread());
}
END_TEST

/* ---- readers that died -------------------------------------------------------------------------- */

static int
die_reading(void *arg)
{
	(void)arg;
	evq_env *mine = NULL;
	MDB_txn *txn = NULL;
	EXPECT(open_at(&mine), 0);
	EXPECT(mdb_txn_begin(evq_env_mdb(mine), NULL, MDB_RDONLY, &txn), 0);
	raise(SIGKILL);
	return 0;
}

/* Sends, receives and deletes: three commits, and so much less space. */
static int
cycle(size_t len)
{
	static unsigned char body[100000];
	evq_batch *b = NULL;
	ck_ok(evq_batch_new(&b));
	int rc = evq_send(q, NULL, body, len, NULL, NULL);
	if (!rc)
		rc = evq_receive(q, NULL, NULL, b);
	if (!rc)
		rc = evq_delete(q, NULL, &evq_batch_at(b, 0)->receipt);
	evq_batch_free(b);
	return rc;
}

START_TEST(processes_that_die_reading_cost_no_slot)
{
	unsigned slots = 0;
	ck_ok(mdb_env_get_maxreaders(evq_env_mdb(e), &slots));
	for (unsigned i = 0; i < slots + 50; i++)
		ck_assert_int_eq(proc_run(die_reading, NULL), 1000 + SIGKILL);
	ck_ok(cycle(10));
	ck_rc(evq_peek(q, NULL, batch()), EVQ_EMPTY);
}
END_TEST

/* The pages of what it was reading cannot be used again until somebody sees that it is dead. */
START_TEST(process_that_died_reading_does_not_fill_the_store)
{
	evq_queue_close(q);
	evq_env_close(e);
	ck_ok(evq_env_open(path, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .map_size = 4 << 20), &e));
	ck_ok(evq_queue_open(e, "q", NULL, &q));
	ck_assert_int_eq(proc_run(die_reading, NULL), 1000 + SIGKILL);
	for (int i = 0; i < 200; i++) {
		int rc = cycle(100000);
		ck_assert_msg(rc == 0, "cycle %d: %s", i, evq_errname(rc));
	}
}
END_TEST

/* A live one holds them by right: the store may be full as long, and drains when it ends. */
START_TEST(reader_that_lives_fills_the_store_only_until_it_ends)
{
	evq_queue_close(q);
	evq_env_close(e);
	ck_ok(evq_env_open(path, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .map_size = 4 << 20), &e));
	ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(.visibility_ms = 1), &q));
	evq_queue *dead = NULL;
	ck_ok(evq_queue_open(e, "dead", NULL, &dead));
	for (int i = 0; i < 5; i++)
		send(dead, "from before");
	MDB_txn *snapshot = NULL;
	ck_ok(mdb_txn_begin(evq_env_mdb(e), NULL, MDB_RDONLY, &snapshot));
	int full = 0;
	for (int i = 0; i < 300; i++) {
		int rc = cycle(100000);
		ck_assert_msg(rc == 0 || rc == EVQ_FULL || rc == EVQ_STALE, "%s", evq_errname(rc));
		full += rc == EVQ_FULL;
	}
	ck_assert_int_gt(full, 0);
	ck_ok(evq_verify(e, NULL, NULL));
	mdb_txn_abort(snapshot);
	for (int i = 0; i < 5; i++) {
		evq_receipt r = take_one(dead, "from before");
		ck_ok(evq_delete(dead, NULL, &r));
	}
	size_t purged;
	ck_ok(evq_purge(q, NULL, &purged));
	ck_ok(cycle(100000));
	evq_queue_close(dead);
}
END_TEST

struct two_turns {
	struct turn opened, done;
};

/* Takes every slot of the reader table, more than one process may have, and waits. */
static int
take_all_slots(void *arg)
{
	struct two_turns *t = arg;
	evq_env *mine = NULL;
	MDB_txn *txn = NULL;
	int rc = 0;
	EXPECT(open_at(&mine), 0);
	while (!rc)
		rc = mdb_txn_begin(evq_env_mdb(mine), NULL, MDB_RDONLY, &txn);
	EXPECT(rc, MDB_READERS_FULL);
	turn_pass(&t->opened);
	turn_await(&t->done);
	return 1;
}

START_TEST(full_reader_table_is_an_error_until_its_owner_dies)
{
	struct two_turns t;
	send(q, "x");
	ck_assert_int_eq(turn_make(&t.opened) | turn_make(&t.done), 0);
	pid_t pid = proc_start(take_all_slots, &t);
	close(t.opened.fd[1]);
	ck_assert_int_eq(turn_await(&t.opened), 0);
	int rc = evq_peek(q, NULL, batch());
	ck_assert_msg(rc == 0 || rc == MDB_READERS_FULL, "%s", evq_errname(rc));
	evq_receipt r = take_one(q, "x");
	ck_ok(evq_delete(q, NULL, &r));
	send(q, "y");
	ck_assert_int_eq(proc_kill(pid), 1000 + SIGKILL);
	ck_ok(evq_peek(q, NULL, batch()));
}
END_TEST

Suite *
store_lock_suite(void)
{
	Suite *s = suite_create("store_lock");
	TCase *tc = tcase_create("lock");
	tcase_set_timeout(tc, 40);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, stopped_writer_makes_the_others_busy_and_changes_nothing);
	tcase_add_test(tc, store_opens_and_closes_beside_a_stopped_writer);
	tcase_add_test(tc, killed_writer_leaves_nothing_and_delays_nobody);
	tcase_add_test(tc, store_whose_last_user_was_killed_writing_opens);
	tcase_add_test(tc, process_stopped_anywhere_delays_nobody_beyond_the_timeout);
	tcase_add_test(tc, transaction_of_another_thread_makes_a_call_busy_too);
	tcase_add_test(tc, without_a_timeout_a_call_waits_for_its_turn);
	tcase_add_test(tc, processes_that_die_reading_cost_no_slot);
	tcase_add_test(tc, process_that_died_reading_does_not_fill_the_store);
	tcase_add_test(tc, reader_that_lives_fills_the_store_only_until_it_ends);
	tcase_add_test(tc, full_reader_table_is_an_error_until_its_owner_dies);
	suite_add_tcase(s, tc);
	return s;
}
