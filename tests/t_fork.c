/* SPDX-License-Identifier: MIT */
/*
 * A process that forks with a store open. LMDB's locks, reader slots and mutexes belong to the parent:
 * in the child every call is EVQ_FORKED, closing gives back memory only, and a store of its own is
 * opened as if the parent's were not there. The parent notices nothing.
 */
#include "every_call.h"
#include "procs.h"
#include "support.h"

#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static int
open_own(evq_env **out)
{
	return evq_env_open(store_dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock), out);
}

/* ---- every call --------------------------------------------------------------------------------- */

static int
try_every_call(void *arg)
{
	struct subject *s = arg;
	int bad = 0;
	for (size_t i = 0; i < EVERY_CALL; i++) {
		int rc = every_call[i].call(s);
		if (rc == EVQ_FORKED)
			continue;
		fprintf(stderr, "in a child, %s: %s (%d)\n", every_call[i].what, evq_errname(rc), rc);
		bad++;
	}
	return bad;
}

START_TEST(every_call_is_refused_in_a_child)
{
	struct subject s;
	char copy[300];
	snprintf(copy, sizeof(copy), "%s/copy", store_dir);
	subject_make(&s, env, copy);
	ck_assert_int_eq(proc_run(try_every_call, &s), 0);
	subject_expect_untouched(&s);
	for (size_t i = 0; i < EVERY_CALL; i++) { /* and each is 0 in the parent: the table can tell */
		snprintf(s.copy, sizeof(s.copy), "%s%zu", copy, i);
		int rc = every_call[i].call(&s);
		ck_assert_msg(rc == 0, "%s: %s", every_call[i].what, evq_errname(rc));
		evq_abort(s.txn);
		s.txn = NULL;
	}
	subject_close(&s);
}
END_TEST

struct joined {
	struct subject *s;
	evq_txn *txn;
};

static int
join_in_child(void *arg)
{
	struct joined *j = arg;
	struct subject *s = j->s;
	size_t count = 0;
	EXPECT(evq_send(s->q, j->txn, "x", 1, NULL, NULL), EVQ_FORKED);
	EXPECT(evq_send_batch(s->q, j->txn, NULL, 0, NULL, NULL), EVQ_FORKED);
	EXPECT(evq_receive(s->q, j->txn, NULL, s->b), EVQ_FORKED);
	EXPECT(evq_delete(s->q, j->txn, &s->r[R_DELETE]), EVQ_FORKED);
	EXPECT(evq_extend(s->q, j->txn, &s->r[R_EXTEND], 0, &s->r[R_EXTEND]), EVQ_FORKED);
	EXPECT(evq_release(s->q, j->txn, &s->r[R_RELEASE], 0, 0), EVQ_FORKED);
	EXPECT(evq_bury(s->q, j->txn, &s->r[R_BURY], "why"), EVQ_FORKED);
	EXPECT(evq_redrive(s->dead, j->txn, NULL, &count), EVQ_FORKED);
	EXPECT(evq_purge(s->q, j->txn, &count), EVQ_FORKED);
	EXPECT(evq_queue_set_attrs(s->q, j->txn, EVQ_QUEUE_ATTRS()), EVQ_FORKED);
	EXPECT(evq_queue_drop(s->env, j->txn, "other"), EVQ_FORKED);
	EXPECT(evq_txn_mdb(j->txn) == NULL, 1);
	EXPECT(evq_env_mdb(s->env) == NULL, 1);
	EXPECT(evq_commit(j->txn), EVQ_FORKED);
	return 0;
}

START_TEST(transaction_of_the_parent_is_out_of_a_childs_reach)
{
	struct subject s;
	subject_make(&s, env, store_dir);
	struct joined j = { &s, NULL };
	ck_ok(evq_begin(env, &j.txn));
	ck_ok(evq_send(s.q, j.txn, "in the parent", 13, NULL, NULL));
	ck_assert_int_eq(proc_run(join_in_child, &j), 0);
	ck_ok(evq_send(s.q, j.txn, "and after", 9, NULL, NULL));
	ck_ok(evq_commit(j.txn));
	ck_assert_uint_eq(stats(s.q).messages, SUBJECT_LEASED + 2);
	subject_close(&s);
}
END_TEST

static int
give_all_back(void *arg)
{
	struct joined *j = arg;
	evq_abort(j->txn);
	evq_batch_free(j->s->b);
	evq_queue_close(j->s->q);
	evq_env_interrupt(j->s->env);
	evq_env_close(j->s->env);
	evq_queue_close(j->s->dead);
	return 0;
}

static int
count_line(const char *line, void *arg)
{
	(void)line;
	++*(int *)arg;
	return 0;
}

static int
reader_lines(void)
{
	int lines = 0;
	mdb_reader_list(evq_env_mdb(env), count_line, &lines);
	return lines;
}

/* Not the parent's transaction, nor its locks, nor its slot in LMDB's reader table. */
START_TEST(closing_everything_in_a_child_takes_nothing_from_the_parent)
{
	struct subject s;
	MDB_txn *snapshot = NULL;
	subject_make(&s, env, store_dir);
	struct joined j = { &s, NULL };
	ck_assert_int_eq(mdb_txn_begin(evq_env_mdb(env), NULL, MDB_RDONLY, &snapshot), 0);
	int lines = reader_lines();
	ck_ok(evq_begin(env, &j.txn));
	ck_ok(evq_send(s.q, j.txn, "in the parent", 13, NULL, NULL));
	ck_assert_int_eq(proc_run(give_all_back, &j), 0);
	ck_assert_int_eq(reader_lines(), lines);
	ck_ok(evq_commit(j.txn));
	ck_assert_uint_eq(stats(s.q).messages, SUBJECT_LEASED + 1);
	mdb_txn_abort(snapshot);
	evq_env *again = NULL;
	ck_rc(open_own(&again), EBUSY);
	subject_close(&s);
}
END_TEST

static int
is_lock_file_locked(void *arg)
{
	(void)arg;
	char name[PATH_MAX];
	snprintf(name, sizeof(name), "%s/lock.mdb", store_dir);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(name, O_RDWR);
	EXPECT(fcntl(fd, F_GETLK, &lock), 0);
	return lock.l_type != F_UNLCK;
}

static int
open_and_close_own(void *arg)
{
	evq_queue *q = NULL;
	evq_env *own = NULL;
	EXPECT(open_own(&own), 0);
	EXPECT(evq_queue_open(own, "q", EVQ_QUEUE_ATTRS(), &q), 0);
	EXPECT(evq_send(q, NULL, "from the child", 14, NULL, NULL), 0);
	evq_env *again = NULL;
	EXPECT(open_own(&again), EBUSY);
	evq_queue_close(q);
	evq_env_close(own);
	evq_env_close(arg); /* the parent's: after its own */
	EXPECT(open_own(&own), 0);
	evq_env_close(own);
	return 0;
}

START_TEST(child_opens_a_store_of_its_own_at_the_same_path)
{
	evq_queue *q = queue("q");
	for (uint64_t i = 1; i <= 5; i++) {
		ck_assert_int_eq(proc_run(open_and_close_own, env), 0);
		ck_assert_uint_eq(stats(q).messages, i);
		ck_assert_int_eq(proc_run(is_lock_file_locked, NULL), 1);
	}
	take_one(q, "from the child");
}
END_TEST

static int
use_the_grandparents(void *arg)
{
	EXPECT(evq_sync(arg), EVQ_FORKED);
	EXPECT(evq_sync(env), EVQ_FORKED);
	return 0;
}

static int
fork_again(void *arg)
{
	(void)arg;
	evq_env *own = NULL;
	EXPECT(open_own(&own), 0);
	EXPECT(proc_run(use_the_grandparents, own), 0);
	EXPECT(evq_sync(own), 0);
	evq_env_close(own);
	return 0;
}

START_TEST(grandchild_is_refused_the_store_of_either)
{
	ck_assert_int_eq(proc_run(fork_again, NULL), 0);
}
END_TEST

/* ---- what needs no store ------------------------------------------------------------------------- */

static int
read_inherited(void *arg)
{
	evq_batch *b = arg, *fresh = NULL;
	char text[EVQ_RECEIPT_TEXT];
	evq_receipt r;
	EXPECT(evq_batch_count(b) == 1, 1);
	EXPECT(strcmp(evq_batch_at(b, 0)->body, "before the fork"), 0);
	EXPECT(evq_receipt_format(&evq_batch_at(b, 0)->receipt, text), 0);
	EXPECT(evq_receipt_parse(text, &r), 0);
	EXPECT(evq_batch_new(&fresh), 0);
	evq_batch_free(fresh);
	EXPECT(evq_strerror(EVQ_FORKED)[0] != 0, 1);
	return 0;
}

START_TEST(batch_received_before_the_fork_is_readable_in_the_child)
{
	evq_queue *q = queue("q");
	send(q, "before the fork");
	evq_batch *b = take(q, 1);
	ck_assert_int_eq(proc_run(read_inherited, b), 0);
	ck_ok(evq_delete(q, NULL, &evq_batch_at(b, 0)->receipt));
}
END_TEST

/* ---- exec ---------------------------------------------------------------------------------------- */

static int
list_descriptors(void *arg)
{
	(void)arg;
	setenv("STORE", store_dir, 1);
	execl("/bin/sh", "sh", "-c", "for fd in /proc/$$/fd/*; do readlink \"$fd\"; done | grep -q \"^$STORE\"", (char *)NULL);
	return 98;
}

START_TEST(program_run_by_exec_inherits_no_descriptor_of_the_store)
{
	evq_queue *q = queue("q");
	for (int i = 0; i < 10; i++) {
		send(q, "x");
		ck_assert_int_eq(proc_run(list_descriptors, NULL), 1); /* grep found none */
		ck_assert_int_eq(system("exit 0"), 0);
	}
	ck_assert_int_eq(proc_run(is_lock_file_locked, NULL), 1);
	ck_assert_uint_eq(stats(q).messages, 10);
}
END_TEST

/* ---- a fork at any moment ------------------------------------------------------------------------ */

static atomic_int stopping, sent;

static void *
send_until_stopped(void *arg)
{
	evq_batch *b = NULL;
	if (evq_batch_new(&b) != 0)
		return arg;
	int rc = 0;
	while (!atomic_load(&stopping) && !rc) {
		rc = evq_send(arg, NULL, "x", 1, NULL, NULL);
		if (!rc)
			atomic_fetch_add(&sent, 1);
		if (!rc && evq_peek(arg, EVQ_PEEK_OPTS(.count = 1), b) != 0)
			rc = 1;
	}
	evq_batch_free(b);
	return rc ? arg : NULL;
}

static void *
open_and_close_until_stopped(void *arg)
{
	char dir[300];
	snprintf(dir, sizeof(dir), "%s/another", store_dir);
	while (!atomic_load(&stopping)) {
		evq_env *another = NULL;
		if (evq_env_open(dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED), &another) != 0)
			return arg;
		evq_env_close(another);
	}
	return NULL;
}

static int
live_as_a_child(void *arg)
{
	evq_env *own = NULL;
	evq_queue *q = NULL;
	EXPECT(evq_send(arg, NULL, "x", 1, NULL, NULL), EVQ_FORKED);
	EXPECT(evq_sync(env), EVQ_FORKED);
	evq_queue_close(arg);
	evq_env_close(env);
	EXPECT(open_own(&own), 0);
	EXPECT(evq_queue_open(own, "children", EVQ_QUEUE_ATTRS(), &q), 0);
	EXPECT(evq_send(q, NULL, "x", 1, NULL, NULL), 0);
	evq_queue_close(q);
	evq_env_close(own);
	execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL); /* a leak checker would count what the lost threads had */
	return 98;
}

/* Whichever lock another thread holds at that moment, the child does not hang on it. */
START_TEST(fork_in_the_middle_of_other_threads_calls_is_safe)
{
	evq_queue *q = queue("q");
	pthread_t threads[3];
	void *failed = NULL;
	atomic_store(&stopping, 0);
	atomic_store(&sent, 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, send_until_stopped, q), 0);
	ck_assert_int_eq(pthread_create(&threads[2], NULL, open_and_close_until_stopped, q), 0);
	int rc = 0, children = 0;
	for (; children < 50 && !rc; children++)
		rc = proc_run(live_as_a_child, q);
	atomic_store(&stopping, 1);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	ck_assert_msg(rc == 0, "child %d: %d", children, rc);
	ck_assert_uint_eq(stats(q).messages, (uint64_t)atomic_load(&sent));
	ck_assert_uint_eq(stats(queue("children")).messages, 50);
}
END_TEST

/* ---- a child with its parent's PID: the first process of a new PID namespace is 1, and so is its child's first */

static int
same_pid_child(void *arg)
{
	EXPECT(evq_sync(arg), EVQ_FORKED);
	evq_env_close(arg);
	return 0;
}

static int
open_and_unshare(void *arg)
{
	(void)arg;
	evq_env *own = NULL;
	char dir[300];
	snprintf(dir, sizeof(dir), "%s/inner", store_dir);
	EXPECT(evq_env_open(dir, NULL, &own), 0);
	EXPECT(unshare(CLONE_NEWPID), 0);
	EXPECT(proc_run(same_pid_child, own), 0);
	EXPECT(evq_sync(own), 0);
	evq_env_close(own);
	return 0;
}

static int
unshare_and_open(void *arg)
{
	if (unshare(CLONE_NEWPID) != 0)
		return 0; /* needs root */
	return proc_run(open_and_unshare, arg);
}

START_TEST(child_that_has_the_parents_pid_is_a_child_all_the_same)
{
	ck_assert_int_eq(proc_run(unshare_and_open, NULL), 0);
}
END_TEST

Suite *
fork_suite(void)
{
	Suite *s = suite_create("fork");
	TCase *tc = tcase_create("fork");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_test(tc, every_call_is_refused_in_a_child);
	tcase_add_test(tc, transaction_of_the_parent_is_out_of_a_childs_reach);
	tcase_add_test(tc, closing_everything_in_a_child_takes_nothing_from_the_parent);
	tcase_add_test(tc, child_opens_a_store_of_its_own_at_the_same_path);
	tcase_add_test(tc, grandchild_is_refused_the_store_of_either);
	tcase_add_test(tc, batch_received_before_the_fork_is_readable_in_the_child);
	tcase_add_test(tc, program_run_by_exec_inherits_no_descriptor_of_the_store);
#if !defined(__SANITIZE_ADDRESS__) /* whose allocator does not survive a fork beside busy threads */
	tcase_add_test(tc, fork_in_the_middle_of_other_threads_calls_is_safe);
#else
	(void)fork_in_the_middle_of_other_threads_calls_is_safe;
#endif
	tcase_add_test(tc, child_that_has_the_parents_pid_is_a_child_all_the_same);
	suite_add_tcase(s, tc);
	return s;
}
