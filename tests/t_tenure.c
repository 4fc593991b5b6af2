/* SPDX-License-Identifier: MIT */
/*
 * Several processes on one store, each of which holds the tree open over many calls of its own: what one
 * acknowledged the others see at once; they take turns, and nobody starves; one that is stopped in the midst of its
 * calls costs the others their timeout, one that is idle or dead nothing.
 */
#include "own_store.h"
#include "procs.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define SOON_MS 1000 /* on a loaded machine; the default timeout is ten times as much */
#define TIMEOUT_MS 300
#define PROCS 8

static const struct {
	int durability, keeper;
} ways[] = {
	{ EVQ_DURABLE_FULL, 0 },
	{ EVQ_DURABLE_RELAXED, 0 },
	{ EVQ_DURABLE_FULL, EVQ_NONE },
	{ EVQ_DURABLE_RELAXED, EVQ_NONE },
};
#define WAYS COUNT(ways)

static evq_env *e;
static evq_queue *q;

/* Between the test and its children. */
static struct {
	_Atomic uint32_t stop;
	struct {
		_Atomic uint32_t sent, calls, worst_ms;
	} of[PROCS];
} *told;

struct child {
	int way, number;
};

static int
open_way(int way, int64_t timeout_ms, evq_env **env_out, evq_queue **q_out)
{
	int rc = evq_env_open(path,
	                      EVQ_ENV_OPTS(.durability = ways[way].durability, .keeper = ways[way].keeper,
	                                   .journal_size = 1 << 20, .lock_timeout_ms = timeout_ms),
	                      env_out);
	return rc ? rc : evq_queue_open(*env_out, "q", EVQ_QUEUE_ATTRS(), q_out);
}

static void
open_here(int way, int64_t timeout_ms)
{
	ck_ok(open_way(way, timeout_ms, &e, &q));
}

static void
close_here(void)
{
	evq_queue_close(q);
	evq_env_close(e);
}

static void
setup_told(void)
{
	setup();
	told = proc_shared(sizeof *told);
}

/* ---- a process that calls all the time ------------------------------------------------------------------- */

static int
note_time(int number, int64_t start, int rc)
{
	uint32_t took = (uint32_t)(real_ms() - start);
	if (took > atomic_load(&told->of[number].worst_ms))
		atomic_store(&told->of[number].worst_ms, took);
	atomic_fetch_add(&told->of[number].calls, 1);
	return rc;
}
#define TIMED(number, call) note_time((number), real_ms(), (call))

/* A message comes, and one goes, if there is one. */
static int
send_and_take(int number, evq_queue *to, evq_batch *b)
{
	EXPECT(TIMED(number, evq_send(to, NULL, "x", 1, NULL, NULL)), 0);
	atomic_fetch_add(&told->of[number].sent, 1);
	int rc = TIMED(number, evq_receive(to, NULL, NULL, b));
	if (rc == EVQ_EMPTY)
		return 0;
	EXPECT(rc, 0);
	EXPECT(TIMED(number, evq_delete(to, NULL, &evq_batch_at(b, 0)->receipt)), 0);
	return 0;
}

static int
call_until_told(void *arg)
{
	const struct child *c = arg;
	evq_env *own = NULL;
	evq_queue *to = NULL;
	evq_batch *b = NULL;
	int rc = 0;
	EXPECT(open_way(c->way, 0, &own, &to), 0);
	EXPECT(evq_batch_new(&b), 0);
	while (!rc && !atomic_load(&told->stop))
		rc = send_and_take(c->number, to, b);
	evq_batch_free(b);
	evq_queue_close(to);
	evq_env_close(own);
	return rc;
}

/* Until it has made so many calls more. */
static void
await_calls(int number, uint32_t more)
{
	uint32_t until = atomic_load(&told->of[number].calls) + more;
	for (int64_t start = real_ms(); atomic_load(&told->of[number].calls) < until;) {
		ck_assert_int_lt(real_ms() - start, 20 * SOON_MS);
		nap_ms(1);
	}
}

static uint64_t
all_sent(void)
{
	uint64_t sent = 0;
	for (int i = 0; i < PROCS; i++)
		sent += atomic_load(&told->of[i].sent);
	return sent;
}

/* ---- stopped --------------------------------------------------------------------------------------------- */

/* Once it is stopped: a call here, and whether it was busy. */
static int
is_busy_beside(pid_t pid)
{
	ck_assert(proc_stop(pid));
	int64_t start = real_ms();
	int rc = evq_send(q, NULL, "y", 1, NULL, NULL);
	int64_t took = real_ms() - start;
	ck_assert_msg(rc == 0 || rc == EVQ_BUSY, "%s", evq_errname(rc));
	ck_assert_int_lt(took, TIMEOUT_MS + SOON_MS);
	if (rc == EVQ_BUSY)
		ck_assert_int_ge(took, TIMEOUT_MS - 2);
	else
		atomic_fetch_add(&told->of[0].sent, 1);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	return rc == EVQ_BUSY;
}

/* Where it is stopped between two calls and had let go just then, it is stopped once more. */
START_TEST(process_stopped_in_the_midst_of_its_calls_makes_others_busy_after_the_timeout)
{
	struct child c = { _i, 1 };
	int tries = 0;
	open_here(_i, TIMEOUT_MS);
	pid_t pid = proc_start(call_until_told, &c);
	do {
		ck_assert_int_lt(tries++, 100);
		await_calls(1, 20);
	} while (!is_busy_beside(pid));
	await_calls(1, 20);
	ck_ok(evq_send(q, NULL, "y", 1, NULL, NULL));
	await_calls(1, 20);
	atomic_store(&told->stop, 1);
	ck_assert_int_eq(proc_wait(pid), 0);
	ck_assert_uint_eq(stats(q).sent, all_sent() + 1);
	ck_ok(evq_verify(e, NULL, NULL));
	close_here();
}
END_TEST

static int
call_and_stay(void *arg)
{
	const struct child *c = arg;
	evq_env *own = NULL;
	evq_queue *to = NULL;
	evq_batch *b = NULL;
	EXPECT(open_way(c->way, 0, &own, &to), 0);
	EXPECT(evq_batch_new(&b), 0);
	for (int i = 0; i < 20; i++)
		EXPECT(send_and_take(c->number, to, b), 0);
	for (;;)
		pause();
}

START_TEST(idle_process_that_is_stopped_blocks_nobody)
{
	struct child c = { _i, 1 };
	evq_batch *b = batch();
	pid_t pid = proc_start(call_and_stay, &c);
	await_calls(1, 60);
	nap_ms(150);
	ck_assert(proc_stop(pid));
	open_here(_i, 20);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(send_and_take(0, q, b), 0);
	ck_assert_uint_lt(told->of[0].worst_ms, SOON_MS);
	ck_ok(evq_sync(e));
	ck_assert_uint_eq(stats(q).sent, all_sent());
	kill(pid, SIGCONT);
	ck_assert_int_eq(proc_kill(pid), 1000 + SIGKILL);
	close_here();
}
END_TEST

/* ---- killed ---------------------------------------------------------------------------------------------- */

enum { KILLS = 30 };

/* What was acknowledged is there; of the one call that was under way, all or nothing. */
START_TEST(process_killed_at_any_moment_delays_nobody_and_loses_nothing)
{
	uint32_t dice = 12345;
	uint64_t unsure = 0;
	open_here(_i, 0);
	for (int i = 0; i < KILLS; i++) {
		struct child c = { i % WAYS, 1 };
		evq_batch *b = batch();
		pid_t pid = proc_start(call_until_told, &c);
		await_calls(1, 1);
		for (int n = 0; n < i % 3; n++)
			ck_assert_int_eq(send_and_take(0, q, b), 0);
		dice = dice * 1664525 + 1013904223;
		nanosleep(&(struct timespec){ .tv_nsec = (long)(dice >> 8) % 8000000 }, NULL);
		ck_assert_int_eq(proc_kill(pid), 1000 + SIGKILL);
		ck_assert_int_eq(send_and_take(0, q, b), 0);
		ck_assert_uint_lt(told->of[0].worst_ms, SOON_MS);
		uint64_t sent = stats(q).sent, least = all_sent() + unsure;
		ck_assert_msg(sent == least || sent == least + 1, "%d sent, %d acknowledged", (int)sent, (int)least);
		unsure += sent - least;
	}
	ck_ok(evq_verify(e, NULL, NULL));
	close_here();
}
END_TEST

/* ---- turns ------------------------------------------------------------------------------------------------ */

enum { CALL_MS = 2000 };

START_TEST(eight_processes_take_turns_and_nobody_starves)
{
	struct child c[PROCS];
	pid_t pids[PROCS];
	for (int i = 0; i < PROCS; i++) {
		c[i] = (struct child){ _i ? i % WAYS : 1, i };
		pids[i] = proc_start(call_until_told, &c[i]);
	}
	for (int i = 0; i < PROCS; i++)
		await_calls(i, 1);
	uint32_t before[PROCS];
	for (int i = 0; i < PROCS; i++)
		before[i] = atomic_load(&told->of[i].calls);
	nap_ms(CALL_MS);
	for (int i = 0; i < PROCS; i++)
		ck_assert_msg(told->of[i].calls - before[i] >= 20, "process %d made %u calls in %d ms", i,
		              told->of[i].calls - before[i], CALL_MS);
	atomic_store(&told->stop, 1);
	for (int i = 0; i < PROCS; i++) {
		ck_assert_int_eq(proc_wait(pids[i]), 0);
		ck_assert_uint_lt(told->of[i].worst_ms, SOON_MS);
	}
	open_here(0, 0);
	ck_assert_uint_eq(stats(q).sent, all_sent());
	ck_ok(evq_verify(e, NULL, NULL));
	close_here();
}
END_TEST

enum { PINGS = 200 };

/* Each waits for the other's message, and answers. */
static int
answer(int number, evq_env *env_, int is_first)
{
	evq_queue *in = NULL, *out = NULL;
	evq_batch *b = NULL;
	EXPECT(evq_queue_open(env_, is_first ? "pong" : "ping", EVQ_QUEUE_ATTRS(), &in), 0);
	EXPECT(evq_queue_open(env_, is_first ? "ping" : "pong", EVQ_QUEUE_ATTRS(), &out), 0);
	EXPECT(evq_batch_new(&b), 0);
	for (int i = 0; i < PINGS; i++) {
		if (is_first)
			EXPECT(TIMED(number, evq_send(out, NULL, "x", 1, NULL, NULL)), 0);
		EXPECT(TIMED(number, evq_receive(in, NULL, EVQ_RECEIVE_OPTS(.wait_ms = EVQ_NONE), b)), 0);
		EXPECT(TIMED(number, evq_delete(in, NULL, &evq_batch_at(b, 0)->receipt)), 0);
		if (!is_first)
			EXPECT(TIMED(number, evq_send(out, NULL, "x", 1, NULL, NULL)), 0);
	}
	evq_batch_free(b);
	evq_queue_close(in);
	evq_queue_close(out);
	return 0;
}

static int
answer_all(void *arg)
{
	const struct child *c = arg;
	evq_env *own = NULL;
	evq_queue *to = NULL;
	EXPECT(open_way(c->way, 0, &own, &to), 0);
	int rc = answer(c->number, own, 0);
	evq_queue_close(to);
	evq_env_close(own);
	return rc;
}

START_TEST(two_processes_that_answer_each_other_go_on_without_a_pause)
{
	struct child c = { _i / WAYS, 1 };
	pid_t pid = proc_start(answer_all, &c);
	open_here(_i % WAYS, 0);
	ck_assert_int_eq(answer(0, e, 1), 0);
	ck_assert_int_eq(proc_wait(pid), 0);
	ck_assert_uint_lt(told->of[0].worst_ms, SOON_MS);
	ck_assert_uint_lt(told->of[1].worst_ms, SOON_MS);
	close_here();
}
END_TEST

/* ---- seen at once ------------------------------------------------------------------------------------------- */

enum { ROUNDS = 20 };

struct sides {
	struct turn mine, yours;
	int way;
};

static int
expect_seen(evq_queue *at, uint64_t messages, evq_batch *b)
{
	evq_stats s = { .size = sizeof s };
	EXPECT(evq_queue_stats(at, &s), 0);
	EXPECT((int)s.messages, (int)messages);
	EXPECT(evq_peek(at, NULL, b), messages ? 0 : EVQ_EMPTY);
	EXPECT((int)evq_batch_count(b), (int)messages);
	return 0;
}

/* What the other did first is there; then it is this one's turn. */
static int
take_two_send_three(evq_queue *at, evq_batch *b)
{
	EXPECT(expect_seen(at, 2, b), 0);
	for (int i = 0; i < 2; i++) {
		EXPECT(evq_receive(at, NULL, NULL, b), 0);
		EXPECT(evq_delete(at, NULL, &evq_batch_at(b, 0)->receipt), 0);
	}
	EXPECT(evq_receive(at, NULL, NULL, b), EVQ_EMPTY);
	for (int i = 0; i < 3; i++)
		EXPECT(evq_send(at, NULL, "x", 1, NULL, NULL), 0);
	return 0;
}

static int
see_and_act(void *arg)
{
	struct sides *s = arg;
	evq_env *own = NULL;
	evq_queue *at = NULL;
	evq_batch *b = NULL;
	EXPECT(open_way(s->way, 0, &own, &at), 0);
	EXPECT(evq_batch_new(&b), 0);
	for (int i = 0; i < ROUNDS; i++) {
		EXPECT(turn_await(&s->yours), 0);
		EXPECT(take_two_send_three(at, b), 0);
		EXPECT(turn_pass(&s->mine), 0);
	}
	evq_batch_free(b);
	evq_queue_close(at);
	evq_env_close(own);
	return 0;
}

START_TEST(what_one_process_acknowledged_another_sees_at_once)
{
	struct sides s = { .way = _i / WAYS };
	size_t purged;
	ck_assert_int_eq(turn_make(&s.mine) | turn_make(&s.yours), 0);
	pid_t pid = proc_start(see_and_act, &s);
	close(s.mine.fd[1]);
	open_here(_i % WAYS, 0);
	for (int i = 0; i < ROUNDS; i++) {
		evq_batch *b = batch();
		for (int n = 0; n < 2; n++)
			send(q, "y");
		ck_assert_int_eq(turn_pass(&s.yours) | turn_await(&s.mine), 0);
		ck_assert_int_eq(expect_seen(q, 3, b), 0);
		ck_ok(evq_purge(q, NULL, &purged));
		ck_assert_uint_eq(purged, 3);
	}
	ck_assert_int_eq(proc_wait(pid), 0);
	close_here();
}
END_TEST

/* ---- user transactions ------------------------------------------------------------------------------------- */

enum { TXNS = 100 };

static void *
call_in_a_thread(void *arg)
{
	evq_batch *b = NULL;
	intptr_t rc = evq_batch_new(&b);
	while (!rc && !atomic_load(&told->stop))
		rc = send_and_take(2, q, b);
	evq_batch_free(b);
	return rc ? arg : NULL;
}

/* A row of the user's, and a message that tells its number, in one. */
static int
write_both(uint32_t number)
{
	evq_txn *txn = NULL;
	MDB_dbi dbi;
	MDB_val k = { sizeof number, &number }, v = k;
	EXPECT(evq_begin(e, &txn), 0);
	EXPECT(mdb_dbi_open(evq_txn_mdb(txn), "mine", MDB_CREATE, &dbi), 0);
	EXPECT(mdb_put(evq_txn_mdb(txn), dbi, &k, &v, MDB_NOOVERWRITE), 0);
	EXPECT(evq_send(q, txn, &number, sizeof number, NULL, NULL), 0);
	if (number % 4 == 3) {
		evq_abort(txn);
		return 0;
	}
	EXPECT(evq_commit(txn), 0);
	atomic_fetch_add(&told->of[0].sent, 1);
	return 0;
}

START_TEST(transactions_of_the_user_go_in_between_calls_of_threads_and_processes)
{
	struct child c = { _i, 1 };
	pthread_t thread;
	void *failed;
	evq_txn *txn = NULL;
	MDB_dbi dbi;
	MDB_stat st;
	open_here(_i, 0);
	pid_t pid = proc_start(call_until_told, &c);
	ck_assert_int_eq(pthread_create(&thread, NULL, call_in_a_thread, told), 0);
	for (uint32_t i = 0; i < TXNS; i++)
		ck_assert_int_eq(write_both(i), 0);
	await_calls(1, 3);
	await_calls(2, 3);
	atomic_store(&told->stop, 1);
	ck_assert_int_eq(pthread_join(thread, &failed), 0);
	ck_assert_ptr_null(failed);
	ck_assert_int_eq(proc_wait(pid), 0);
	ck_assert_uint_eq(stats(q).sent, all_sent());
	ck_ok(evq_begin(e, &txn));
	ck_ok(mdb_dbi_open(evq_txn_mdb(txn), "mine", 0, &dbi));
	ck_ok(mdb_stat(evq_txn_mdb(txn), dbi, &st));
	ck_assert_uint_eq(st.ms_entries, atomic_load(&told->of[0].sent));
	evq_abort(txn);
	ck_ok(evq_verify(e, NULL, NULL));
	close_here();
}
END_TEST

Suite *
tenure_suite(void)
{
	Suite *s = suite_create("tenure");
	TCase *t = tcase_create("tenure");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup_told, store_teardown);
	tcase_add_loop_test(t, process_stopped_in_the_midst_of_its_calls_makes_others_busy_after_the_timeout, 0, WAYS);
	tcase_add_loop_test(t, idle_process_that_is_stopped_blocks_nobody, 0, WAYS);
	tcase_add_loop_test(t, process_killed_at_any_moment_delays_nobody_and_loses_nothing, 0, WAYS);
	tcase_add_loop_test(t, eight_processes_take_turns_and_nobody_starves, 0, 2);
	tcase_add_loop_test(t, two_processes_that_answer_each_other_go_on_without_a_pause, 0, WAYS * WAYS);
	tcase_add_loop_test(t, what_one_process_acknowledged_another_sees_at_once, 0, WAYS * WAYS);
	tcase_add_loop_test(t, transactions_of_the_user_go_in_between_calls_of_threads_and_processes, 0, WAYS);
	suite_add_tcase(s, t);
	return s;
}
