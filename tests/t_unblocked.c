/* SPDX-License-Identifier: MIT */
/*
 * Whatever unblocks a group wakes a receive that waits for it: a call, of this process or of another, with a keeper or
 * without, or the time that passes.
 */
#include "sleeper.h"

/* Whoever has the first of the group, in this process or in another; behind it waits another. */
struct holder {
	evq_env *env;
	evq_queue *q;
	evq_batch *b;
	evq_receipt held;
};

static int
send_a(struct holder *h, int64_t expires_ms)
{
	return evq_send(h->q, NULL, "x", 1, EVQ_SEND_OPTS(.group = "a", .expires_ms = expires_ms), NULL);
}

static int
lease_with(struct holder *h, int64_t visibility_ms, int64_t expires_ms)
{
	EXPECT(send_a(h, expires_ms), 0);
	EXPECT(evq_receive(h->q, NULL, EVQ_RECEIVE_OPTS(.visibility_ms = visibility_ms), h->b), 0);
	h->held = evq_batch_at(h->b, 0)->receipt;
	return send_a(h, 0);
}

static int
lease(struct holder *h)
{
	return lease_with(h, 0, 0);
}

static int
lease_briefly(struct holder *h)
{
	return lease_with(h, 150, 0);
}

static int
lease_what_expires(struct holder *h)
{
	return lease_with(h, 0, 150);
}

static int
delay_what_expires(struct holder *h)
{
	EXPECT(lease_with(h, 0, 150), 0);
	return evq_release(h->q, NULL, &h->held, 3600000, EVQ_UNCOUNTED);
}

static int
delay_briefly(struct holder *h)
{
	EXPECT(lease_with(h, 0, 0), 0);
	return evq_release(h->q, NULL, &h->held, 150, EVQ_UNCOUNTED);
}

static int
lease_twice(struct holder *h)
{
	EXPECT(lease(h), 0);
	EXPECT(evq_release(h->q, NULL, &h->held, 0, 0), 0);
	EXPECT(evq_receive(h->q, NULL, NULL, h->b), 0);
	h->held = evq_batch_at(h->b, 0)->receipt;
	return 0;
}

static int
lease_twice_briefly(struct holder *h)
{
	EXPECT(lease_twice(h), 0);
	return evq_extend(h->q, NULL, &h->held, 150, &h->held);
}

static int
nothing(struct holder *h)
{
	(void)h;
	return 0;
}

static int
by_delete(struct holder *h)
{
	return evq_delete(h->q, NULL, &h->held);
}

static int
by_delete_batch(struct holder *h)
{
	int rc = 0;
	EXPECT(evq_delete_batch(h->q, NULL, &h->held, 1, &rc), 0);
	return rc;
}

static int
by_delete_in_a_transaction(struct holder *h)
{
	evq_txn *txn = NULL;
	EXPECT(evq_begin(h->env, &txn), 0);
	EXPECT(evq_delete(h->q, txn, &h->held), 0);
	return evq_commit(txn);
}

static int
by_bury(struct holder *h)
{
	return evq_bury(h->q, NULL, &h->held, "why");
}

static int
by_release(struct holder *h)
{
	return evq_release(h->q, NULL, &h->held, 0, 0);
}

static int
by_late_release(struct holder *h)
{
	return evq_release(h->q, NULL, &h->held, 50, 0);
}

static int
by_shortening(struct holder *h)
{
	return evq_extend(h->q, NULL, &h->held, 50, &h->held);
}

/* The limit is two receives. */
static const struct {
	int (*before)(struct holder *h);
	int (*act)(struct holder *h);
} wakers[] = {
	{ lease, by_delete },
	{ lease, by_delete_batch },
	{ lease, by_delete_in_a_transaction },
	{ lease, by_bury },
	{ lease, by_release },
	{ lease, by_late_release },
	{ lease, by_shortening },
	{ lease_briefly, nothing },
	{ delay_briefly, nothing },
	{ lease_what_expires, nothing },
	{ delay_what_expires, nothing },
	{ lease_twice, by_release }, /* which dead-letters it */
	{ lease_twice_briefly, nothing },
};

static int
holder_open(struct holder *h, evq_env *env_, evq_queue *at)
{
	h->env = env_;
	h->q = at;
	return evq_batch_new(&h->b);
}

struct scene {
	struct turn prepared, act;
	int waker, keeper;
};

/* It goes on having the store open: a close would have the tree committed. */
static int
hold_in_a_child(void *arg)
{
	struct scene *s = arg;
	struct holder h = { .q = NULL };
	evq_env *own = NULL;
	evq_queue *at = NULL;
	EXPECT(open_store(s->keeper, &own, &at), 0);
	EXPECT(holder_open(&h, own, at), 0);
	EXPECT(wakers[s->waker].before(&h), 0);
	EXPECT(turn_pass(&s->prepared), 0);
	EXPECT(turn_await(&s->act), 0);
	EXPECT(wakers[s->waker].act(&h), 0);
	while (!atomic_load(&told->stop))
		nap_ms(5);
	evq_batch_free(h.b);
	evq_queue_close(at);
	evq_env_close(own);
	return 0;
}

static void
setup_fifo(void)
{
	setup_told();
	q_attrs.flags = EVQ_FIFO;
	q_attrs.max_receives = 2;
	q_attrs.dead_letter = "dead";
}

static void
expect_sleeper_woken(void)
{
	await_done(1);
	atomic_store(&told->stop, 1);
	ck_assert_int_eq(sleeper_end(&told->sleepers[0]), 0);
	ck_ok(told->sleepers[0].rc);
}

START_TEST(whatever_unblocks_a_group_wakes_a_sleeper)
{
	struct holder h = { .q = NULL };
	ck_ok(open_store(_i % 2 ? EVQ_NONE : 0, &e, &q));
	ck_assert_int_eq(holder_open(&h, e, q), 0);
	ck_assert_int_eq(wakers[_i / 2].before(&h), 0);
	ck_assert_int_eq(sleeper_start(&told->sleepers[0], q), 0);
	await_sleep(&told->sleepers[0], getpid());
	ck_assert_int_eq(wakers[_i / 2].act(&h), 0);
	expect_sleeper_woken();
	evq_batch_free(h.b);
	ck_ok(evq_verify(e, NULL, NULL));
	close_here();
}
END_TEST

START_TEST(whatever_another_process_unblocks_wakes_a_sleeper)
{
	struct scene s = { .waker = _i / 4, .keeper = _i % 2 ? EVQ_NONE : 0 };
	ck_assert_int_eq(turn_make(&s.prepared) | turn_make(&s.act), 0);
	pid_t pid = proc_start(hold_in_a_child, &s);
	close(s.prepared.fd[1]);
	ck_assert_int_eq(turn_await(&s.prepared), 0);
	ck_ok(open_store(_i / 2 % 2 ? EVQ_NONE : 0, &e, &q));
	ck_assert_int_eq(sleeper_start(&told->sleepers[0], q), 0);
	await_sleep(&told->sleepers[0], getpid());
	ck_assert_int_eq(turn_pass(&s.act), 0);
	expect_sleeper_woken();
	ck_assert_int_eq(proc_wait(pid), 0);
	ck_ok(evq_verify(e, NULL, NULL));
	close_here();
}
END_TEST

START_TEST(death_of_the_owner_wakes_who_waits_for_its_group)
{
	struct scene s = { .waker = 0 };
	ck_assert_int_eq(turn_make(&s.prepared) | turn_make(&s.act), 0);
	pid_t pid = proc_start(hold_in_a_child, &s);
	ck_assert_int_eq(turn_await(&s.prepared), 0);
	ck_ok(open_store(0, &e, &q));
	ck_assert_int_eq(sleeper_start(&told->sleepers[0], q), 0);
	await_sleep(&told->sleepers[0], getpid());
	proc_kill(pid);
	expect_sleeper_woken();
	close_here();
}
END_TEST

Suite *
unblocked_suite(void)
{
	Suite *s = suite_create("unblocked");
	TCase *t = tcase_create("unblocked");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup_fifo, store_teardown);
	tcase_add_loop_test(t, whatever_unblocks_a_group_wakes_a_sleeper, 0, 2 * COUNT(wakers));
	tcase_add_loop_test(t, whatever_another_process_unblocks_wakes_a_sleeper, 0, 4 * COUNT(wakers));
	tcase_add_test(t, death_of_the_owner_wakes_who_waits_for_its_group);
	suite_add_tcase(s, t);
	return s;
}
