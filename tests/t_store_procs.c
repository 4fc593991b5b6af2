/* SPDX-License-Identifier: MIT */
/*
 * One store in many processes: made by all of them at once, opened and closed in a storm, with maps
 * of other sizes, from another PID namespace. What stopped and dead processes do to the others is in
 * t_store_lock.c.
 */
#include "procs.h"
#include "support.h"

#include <limits.h>
#include <sched.h>

#define PROCS 8
#define MIB ((uint64_t)1 << 20)

static char dir[256];
static char path[PATH_MAX];

static void
setup(void)
{
	temp_dir(dir);
	snprintf(path, sizeof(path), "%s/store", dir);
}

static int
open_at(evq_env **out)
{
	return evq_env_open(path, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED), out);
}

static void
expect_messages(uint64_t count)
{
	evq_env *e = NULL;
	evq_queue *q = NULL;
	ck_ok(open_at(&e));
	ck_ok(evq_verify(e, NULL, NULL));
	ck_ok(evq_queue_open(e, "q", NULL, &q));
	ck_assert_uint_eq(stats(q).messages, count);
	evq_queue_close(q);
	evq_env_close(e);
}

/* ---- storms ------------------------------------------------------------------------------------ */

struct storm {
	struct turn start; /* closed by the parent: everybody goes */
	int rounds;
};

static int
open_send_close(void *arg)
{
	struct storm *storm = arg;
	close(storm->start.fd[1]);
	turn_await(&storm->start);
	for (int i = 0; i < storm->rounds; i++) {
		evq_env *e = NULL;
		evq_queue *q = NULL;
		EXPECT(open_at(&e), 0);
		EXPECT(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q), 0);
		EXPECT(evq_send(q, NULL, "x", 1, NULL, NULL), 0);
		evq_queue_close(q);
		evq_env_close(e);
	}
	return 0;
}

static void
run_storm(int rounds)
{
	struct storm storm = { .rounds = rounds };
	pid_t pids[PROCS];
	ck_assert_int_eq(turn_make(&storm.start), 0);
	for (int i = 0; i < PROCS; i++)
		pids[i] = proc_start(open_send_close, &storm);
	turn_close(&storm.start);
	for (int i = 0; i < PROCS; i++)
		ck_assert_int_eq(proc_wait(pids[i]), 0);
}

START_TEST(processes_that_create_one_store_at_once_all_get_it)
{
	for (int i = 0; i < 15; i++) {
		snprintf(path, sizeof(path), "%s/%d", dir, i);
		run_storm(1);
		expect_messages(PROCS);
	}
}
END_TEST

START_TEST(storm_of_opens_and_closes_loses_nothing)
{
	run_storm(50);
	expect_messages(PROCS * 50);
}
END_TEST

/* ---- the size of the map ------------------------------------------------------------------------ */

static int
open_mapped(uint64_t map_size, evq_env **out)
{
	return evq_env_open(path, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .map_size = map_size), out);
}

struct mapped {
	uint64_t map_size;
	int want;
};

static int
try_map(void *arg)
{
	const struct mapped *m = arg;
	evq_env *e = NULL;
	EXPECT(open_mapped(m->map_size, &e), m->want);
	evq_env_close(e);
	return 0;
}

START_TEST(map_larger_than_that_of_the_others_is_busy)
{
	struct mapped larger = { 65 * MIB, EBUSY }, same = { 64 * MIB, 0 }, smaller = { 32 * MIB, 0 },
		      by_default = { 0, 0 }; /* is content with what there is */
	evq_env *e = NULL;
	ck_ok(open_mapped(64 * MIB, &e));
	ck_assert_int_eq(proc_run(try_map, &larger), 0);
	ck_assert_int_eq(proc_run(try_map, &by_default), 0);
	ck_assert_int_eq(proc_run(try_map, &same), 0);
	ck_assert_int_eq(proc_run(try_map, &smaller), 0);
	evq_env_close(e);
	larger.want = 0;
	ck_assert_int_eq(proc_run(try_map, &larger), 0);
	ck_assert_int_eq(proc_run(try_map, &smaller), 0);
	ck_assert_int_eq(proc_run(try_map, &same), 0);
}
END_TEST

static int
die_with_a_small_map(void *arg)
{
	(void)arg;
	evq_env *e = NULL;
	EXPECT(open_mapped(16 * MIB, &e), 0);
	raise(SIGKILL);
	return 0;
}

START_TEST(map_of_a_dead_process_binds_nobody)
{
	struct mapped larger = { 64 * MIB, 0 };
	ck_assert_int_eq(proc_run(die_with_a_small_map, NULL), 1000 + SIGKILL);
	ck_assert_int_eq(proc_run(try_map, &larger), 0);
	evq_env *e = NULL;
	ck_ok(open_mapped(32 * MIB, &e));
	ck_assert_int_eq(proc_run(die_with_a_small_map, NULL), 1000 + SIGKILL);
	larger.map_size = 32 * MIB;
	ck_assert_int_eq(proc_run(try_map, &larger), 0);
	evq_env_close(e);
}
END_TEST

static int
fill_past_the_small_map(void *arg)
{
	static char body[100000];
	evq_env *e = NULL;
	evq_queue *q = NULL;
	EXPECT(open_mapped(*(uint64_t *)arg, &e), 0);
	EXPECT(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q), 0);
	for (int i = 0; i < 200; i++) {
		int rc = evq_send(q, NULL, body, sizeof(body), NULL, NULL);
		if (rc == EVQ_FULL)
			break;
		EXPECT(rc, 0);
	}
	evq_queue_close(q);
	evq_env_close(e);
	return 0;
}

static uint64_t
drain(evq_queue *q)
{
	uint64_t count = 0;
	evq_batch *b = batch();
	int rc;
	while ((rc = evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 10), b)) == 0)
		for (size_t i = 0; i < evq_batch_count(b); i++, count++)
			ck_ok(evq_delete(q, NULL, &evq_batch_at(b, i)->receipt));
	ck_rc(rc, EVQ_EMPTY);
	return count;
}

struct two_turns {
	struct turn opened, done;
};

static int
open_large_and_stay(void *arg)
{
	struct two_turns *t = arg;
	evq_env *e = NULL;
	EXPECT(open_mapped(32 * MIB, &e), 0);
	turn_pass(&t->opened);
	turn_await(&t->done);
	return 0;
}

/* The larger one was there first; the smaller one goes on with what the larger one wrote. */
START_TEST(process_with_a_small_map_sees_all_that_a_large_one_wrote)
{
	uint64_t large = 32 * MIB;
	struct two_turns t;
	evq_env *e = NULL;
	ck_assert_int_eq(turn_make(&t.opened) | turn_make(&t.done), 0);
	pid_t pid = proc_start(open_large_and_stay, &t);
	ck_assert_int_eq(turn_await(&t.opened), 0);
	ck_ok(open_mapped(8 * MIB, &e));
	ck_assert_int_eq(proc_run(fill_past_the_small_map, &large), 0);
	evq_queue *q = NULL;
	ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q));
	uint64_t waiting = stats(q).messages;
	ck_assert_uint_gt(waiting, 50);
	ck_assert_uint_eq(drain(q), waiting);
	ck_ok(evq_verify(e, NULL, NULL));
	evq_queue_close(q);
	evq_env_close(e);
	ck_assert_int_eq(proc_kill(pid), 1000 + SIGKILL);
	turn_close(&t.opened);
	turn_close(&t.done);
}
END_TEST

START_TEST(store_larger_than_the_map_asked_for_opens_and_drains)
{
	uint64_t large = 32 * MIB;
	evq_env *e = NULL;
	evq_queue *q = NULL;
	ck_assert_int_eq(proc_run(fill_past_the_small_map, &large), 0);
	ck_ok(open_mapped(4 * MIB, &e));
	ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q));
	for (int i = 0; i < 3; i++) /* the larger map is for emptying it only; one may still fit */
		(void)evq_send(q, NULL, "x", 1, NULL, NULL);
	ck_rc(evq_send(q, NULL, "x", 1, NULL, NULL), EVQ_FULL);
	uint64_t waiting = stats(q).messages;
	ck_assert_uint_eq(drain(q), waiting);
	evq_queue_close(q);
	ck_ok(evq_verify(e, NULL, NULL));
	evq_env_close(e);
}
END_TEST

/* ---- another PID namespace ---------------------------------------------------------------------- */

#define SKIPPED 77

struct inside {
	proc_fn *fn;
	void *arg;
};

static int
run_inside(void *arg)
{
	const struct inside *in = arg;
	if (unshare(CLONE_NEWPID) != 0)
		return SKIPPED;
	pid_t pid = proc_start(in->fn, in->arg);
	return pid < 0 ? SKIPPED : proc_wait(pid);
}

static int
open_with(void *arg)
{
	evq_env *e = NULL;
	EXPECT(open_at(&e), *(int *)arg);
	evq_env_close(e);
	return 0;
}

START_TEST(another_pid_namespace_is_refused_while_one_has_the_store_open)
{
	int want = EXDEV;
	struct inside in = { open_with, &want };
	evq_env *e = NULL;
	ck_ok(open_at(&e));
	int rc = proc_run(run_inside, &in);
	if (rc != SKIPPED)
		ck_assert_int_eq(rc, 0);
	evq_env_close(e);
	want = 0;
	rc = proc_run(run_inside, &in);
	if (rc != SKIPPED)
		ck_assert_int_eq(rc, 0);
	ck_ok(open_at(&e));
	evq_env_close(e);
}
END_TEST

static int
open_and_stay(void *arg)
{
	struct two_turns *t = arg;
	static evq_env *e;
	EXPECT(open_at(&e), 0);
	turn_pass(&t->opened);
	turn_await(&t->done);
	return 0; /* without closing it: as good as killed */
}

START_TEST(dead_process_of_another_pid_namespace_binds_nobody)
{
	struct two_turns t;
	struct inside in = { open_and_stay, &t };
	evq_env *e = NULL;
	ck_assert_int_eq(turn_make(&t.opened) | turn_make(&t.done), 0);
	pid_t pid = proc_start(run_inside, &in);
	close(t.opened.fd[1]);
	if (turn_await(&t.opened) == 0) {
		ck_rc(open_at(&e), EXDEV);
		turn_pass(&t.done);
		proc_wait(pid);
		ck_ok(open_at(&e));
		evq_env_close(e);
	} else {
		ck_assert_int_eq(proc_wait(pid), SKIPPED);
	}
}
END_TEST

Suite *
store_procs_suite(void)
{
	Suite *s = suite_create("store_procs");
	TCase *tc = tcase_create("procs");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, store_teardown);
	tcase_add_test(tc, processes_that_create_one_store_at_once_all_get_it);
	tcase_add_test(tc, storm_of_opens_and_closes_loses_nothing);
	tcase_add_test(tc, map_larger_than_that_of_the_others_is_busy);
	tcase_add_test(tc, map_of_a_dead_process_binds_nobody);
	tcase_add_test(tc, process_with_a_small_map_sees_all_that_a_large_one_wrote);
	tcase_add_test(tc, store_larger_than_the_map_asked_for_opens_and_drains);
	tcase_add_test(tc, another_pid_namespace_is_refused_while_one_has_the_store_open);
	tcase_add_test(tc, dead_process_of_another_pid_namespace_binds_nobody);
	suite_add_tcase(s, tc);
	return s;
}
