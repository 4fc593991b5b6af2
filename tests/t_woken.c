/* SPDX-License-Identifier: MIT */
/*
 * Whatever makes a message visible wakes a receive that waits for it: a call, of this process or of another, with a
 * keeper or without, or the time that passes.
 */
#include "sleeper.h"

/* Whoever does it, in this process or in another. */
struct actor {
	evq_env *env;
	evq_queue *q, *source; /* whose dead letter is q */
	evq_batch *b;
	evq_receipt held;
};

static int
take_from(struct actor *a, evq_queue *from, int64_t visibility_ms)
{
	EXPECT(evq_send(from, NULL, "x", 1, NULL, NULL), 0);
	EXPECT(evq_receive(from, NULL, EVQ_RECEIVE_OPTS(.visibility_ms = visibility_ms), a->b), 0);
	a->held = evq_batch_at(a->b, 0)->receipt;
	return 0;
}

static int
nothing(struct actor *a)
{
	(void)a;
	return 0;
}

static int
lease(struct actor *a)
{
	return take_from(a, a->q, 0);
}

static int
lease_briefly(struct actor *a)
{
	return take_from(a, a->q, 150);
}

static int
delay_briefly(struct actor *a)
{
	return evq_send(a->q, NULL, "x", 1, EVQ_SEND_OPTS(.delay_ms = 150), NULL);
}

static int
lease_of_source(struct actor *a)
{
	return take_from(a, a->source, 0);
}

static int
lease_of_source_briefly(struct actor *a)
{
	return take_from(a, a->source, 1);
}

static int
by_send(struct actor *a)
{
	return evq_send(a->q, NULL, "x", 1, NULL, NULL);
}

static int
by_commit(struct actor *a)
{
	evq_txn *txn = NULL;
	EXPECT(evq_begin(a->env, &txn), 0);
	EXPECT(evq_send(a->q, txn, "x", 1, NULL, NULL), 0);
	return evq_commit(txn);
}

static int
by_release(struct actor *a)
{
	return evq_release(a->q, NULL, &a->held, 0, 0);
}

static int
by_late_release(struct actor *a)
{
	return evq_release(a->q, NULL, &a->held, 50, 0);
}

static int
by_shortening(struct actor *a)
{
	return evq_extend(a->q, NULL, &a->held, 50, &a->held);
}

static int
by_redrive(struct actor *a)
{
	size_t moved = 0;
	EXPECT(evq_release(a->source, NULL, &a->held, 0, EVQ_UNCOUNTED), 0);
	EXPECT(evq_redrive(a->source, NULL, EVQ_REDRIVE_OPTS(.to = "q"), &moved), 0);
	EXPECT((int)moved, 1);
	return 0;
}

static int
by_bury(struct actor *a)
{
	return evq_bury(a->source, NULL, &a->held, "why");
}

static int
by_receive_over_the_limit(struct actor *a)
{
	nap_ms(5);
	EXPECT(evq_receive(a->source, NULL, NULL, a->b), EVQ_EMPTY);
	return 0;
}

static int
by_drop(struct actor *a)
{
	evq_queue_close(a->source);
	a->source = NULL;
	EXPECT(evq_queue_drop(a->env, NULL, "source"), 0);
	return evq_queue_drop(a->env, NULL, "q");
}

static const struct {
	int (*before)(struct actor *a);
	int (*act)(struct actor *a);
	int rc;
} wakers[] = {
	{ nothing, by_send, 0 },
	{ nothing, by_commit, 0 },
	{ nothing, delay_briefly, 0 }, /* sooner than what the sleeper knew of */
	{ delay_briefly, nothing, 0 },
	{ lease, by_release, 0 },
	{ lease, by_late_release, 0 },
	{ lease, by_shortening, 0 },
	{ lease_briefly, nothing, 0 },
	{ lease_of_source, by_redrive, 0 },
	{ lease_of_source, by_bury, 0 },
	{ lease_of_source_briefly, by_receive_over_the_limit, 0 },
	{ nothing, by_drop, EVQ_NOQUEUE },
};

static int
actor_open(struct actor *a, evq_env *env_, evq_queue *at)
{
	a->env = env_;
	a->q = at;
	EXPECT(evq_batch_new(&a->b), 0);
	EXPECT(evq_queue_open(env_, "source", EVQ_QUEUE_ATTRS(.dead_letter = "q", .max_receives = 1), &a->source), 0);
	return 0;
}

static void
actor_close(struct actor *a)
{
	evq_batch_free(a->b);
	evq_queue_close(a->source);
}

struct scene {
	struct turn prepared, act;
	int waker, keeper;
};

/* It goes on having the store open: a close would have the tree committed. */
static int
act_in_a_child(void *arg)
{
	struct scene *s = arg;
	struct actor a = { .q = NULL };
	evq_env *own = NULL;
	evq_queue *at = NULL;
	EXPECT(open_store(s->keeper, &own, &at), 0);
	EXPECT(actor_open(&a, own, at), 0);
	EXPECT(wakers[s->waker].before(&a), 0);
	EXPECT(turn_pass(&s->prepared), 0);
	EXPECT(turn_await(&s->act), 0);
	EXPECT(wakers[s->waker].act(&a), 0);
	while (!atomic_load(&told->stop))
		nap_ms(5);
	actor_close(&a);
	evq_queue_close(at);
	evq_env_close(own);
	return 0;
}

static void
expect_woken(int rc)
{
	await_done(1);
	atomic_store(&told->stop, 1);
	ck_assert_int_eq(sleeper_end(&told->sleepers[0]), 0);
	ck_rc(told->sleepers[0].rc, rc);
}

START_TEST(whatever_makes_a_message_visible_wakes_a_sleeper)
{
	struct actor a = { .q = NULL };
	ck_ok(open_store(_i % 2 ? EVQ_NONE : 0, &e, &q));
	ck_assert_int_eq(actor_open(&a, e, q), 0);
	ck_assert_int_eq(wakers[_i / 2].before(&a), 0);
	ck_assert_int_eq(sleeper_start(&told->sleepers[0], q), 0);
	await_sleep(&told->sleepers[0], getpid());
	ck_assert_int_eq(wakers[_i / 2].act(&a), 0);
	expect_woken(wakers[_i / 2].rc);
	actor_close(&a);
	close_here();
}
END_TEST

START_TEST(whatever_another_process_makes_visible_wakes_a_sleeper)
{
	struct scene s = { .waker = _i / 4, .keeper = _i % 2 ? EVQ_NONE : 0 };
	ck_assert_int_eq(turn_make(&s.prepared) | turn_make(&s.act), 0);
	pid_t pid = proc_start(act_in_a_child, &s);
	close(s.prepared.fd[1]);
	ck_assert_int_eq(turn_await(&s.prepared), 0);
	ck_ok(open_store(_i / 2 % 2 ? EVQ_NONE : 0, &e, &q));
	ck_assert_int_eq(sleeper_start(&told->sleepers[0], q), 0);
	await_sleep(&told->sleepers[0], getpid());
	ck_assert_int_eq(turn_pass(&s.act), 0);
	expect_woken(wakers[_i / 4].rc);
	ck_assert_int_eq(proc_wait(pid), 0);
	close_here();
}
END_TEST

Suite *
woken_suite(void)
{
	Suite *s = suite_create("woken");
	TCase *t = tcase_create("woken");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup_told, store_teardown);
	tcase_add_loop_test(t, whatever_makes_a_message_visible_wakes_a_sleeper, 0, 2 * COUNT(wakers));
	tcase_add_loop_test(t, whatever_another_process_makes_visible_wakes_a_sleeper, 0, 4 * COUNT(wakers));
	suite_add_tcase(s, t);
	return s;
}
