/* SPDX-License-Identifier: MIT */
/*
 * evq_queue_fd: readable from when there may be something until a receive found nothing, whoever sent it and whatever
 * came due. Waits are for PATIENCE, and must end long before where they should end.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>

#include "waiter.h"

static int
is_readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n;
	while ((n = poll(&p, 1, ms)) < 0 && errno == EINTR)
		;
	return n == 1 && (p.revents & POLLIN);
}

static int
fd_of(evq_queue *q)
{
	int fd = -1;
	ck_ok(evq_queue_fd(q, &fd));
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* A queue that was found empty. */
static int
quiet(evq_queue *q)
{
	int fd = fd_of(q);
	expect_empty(q);
	ck_assert_int_eq(is_readable(fd, 0), 0);
	return fd;
}

static void
real_setup(void)
{
	store_setup();
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED)); /* timers know nothing of the fake clock */
}

START_TEST(descriptor_is_readable_until_a_receive_finds_nothing)
{
	evq_queue *q = queue("q");
	int fd = fd_of(q);
	ck_assert_int_eq(is_readable(fd, 0), 1);
	quiet(q);
	send(q, "a");
	send(q, "b");
	ck_assert_int_eq(is_readable(fd, SOON), 1);
	take_one(q, "a");
	ck_assert_int_eq(is_readable(fd, 0), 1);
	take_one(q, "b");
	ck_assert_int_eq(is_readable(fd, 0), 1);
	quiet(q);
}
END_TEST

START_TEST(descriptor_is_the_same_at_each_call_and_closed_with_its_handle)
{
	evq_queue *q = NULL;
	ck_ok(evq_queue_open(env, "q", EVQ_QUEUE_ATTRS(), &q));
	int fd = fd_of(q);
	ck_assert_int_eq(fd_of(q), fd);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	evq_queue_close(q);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

START_TEST(descriptor_stands_in_an_epoll_set)
{
	evq_queue *q = queue("q");
	struct epoll_event event = { .events = EPOLLIN }, got;
	int fd = quiet(q), set = epoll_create1(EPOLL_CLOEXEC);
	ck_assert_int_eq(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
	ck_assert_int_eq(epoll_wait(set, &got, 1, 0), 0);
	send(q, "x");
	ck_assert_int_eq(epoll_wait(set, &got, 1, SOON), 1);
	close(set);
}
END_TEST

START_TEST(messages_of_other_queues_leave_it_quiet)
{
	evq_queue *q = queue("q"), *other = queue("other");
	int fd = quiet(q);
	send(other, "x");
	ck_assert_int_eq(is_readable(fd, 50), 0);
}
END_TEST

enum { A_DELAY, A_LEASE, A_RELEASE };

START_TEST(what_comes_due_makes_it_readable)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.visibility_ms = _i == A_LEASE ? 60 : PATIENCE));
	int fd = fd_of(q);
	if (_i == A_DELAY) {
		send_with(q, "x", EVQ_SEND_OPTS(.delay_ms = 60));
		quiet(q);
	} else {
		send(q, "x");
		evq_receipt r = take_one(q, "x");
		quiet(q);
		if (_i == A_RELEASE)
			ck_ok(evq_release(q, NULL, &r, 0, 0));
	}
	ck_assert_int_eq(is_readable(fd, SOON), 1);
	take_one(q, "x");
}
END_TEST

enum { BY_DELETE, BY_RELEASE, BY_THE_END_OF_A_LEASE, BY_EXPIRY };

/* A message behind the first of its group is not there before that is out of the way. */
START_TEST(group_that_is_free_again_makes_it_readable)
{
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO,
	                                               .visibility_ms = _i == BY_THE_END_OF_A_LEASE ? 60 : PATIENCE));
	int fd = fd_of(q);
	send_with(q, "1", EVQ_SEND_OPTS(.group = "g", .expires_ms = _i == BY_EXPIRY ? 60 : 0));
	evq_receipt r = take_one(q, "1");
	send_with(q, "2", EVQ_SEND_OPTS(.group = "g"));
	if (_i == BY_DELETE || _i == BY_RELEASE) {
		expect_empty(q);
		send_with(q, "3", EVQ_SEND_OPTS(.group = "g"));
		ck_assert_int_eq(is_readable(fd, 50), 0);
	}
	if (_i == BY_DELETE)
		ck_ok(evq_delete(q, NULL, &r));
	else if (_i == BY_RELEASE)
		ck_ok(evq_release(q, NULL, &r, 0, 0));
	else
		expect_empty(q);
	ck_assert_int_eq(is_readable(fd, SOON), 1);
	take_one(q, _i == BY_DELETE || _i == BY_EXPIRY ? "2" : "1");
}
END_TEST

START_TEST(message_due_sooner_than_was_known_moves_the_timer)
{
	evq_queue *q = queue("q");
	send_with(q, "late", EVQ_SEND_OPTS(.delay_ms = PATIENCE));
	int fd = quiet(q);
	send_with(q, "soon", EVQ_SEND_OPTS(.delay_ms = 60));
	ck_assert_int_eq(is_readable(fd, SOON), 1);
	expect_empty(q); /* it was to look again */
	ck_assert_int_eq(is_readable(fd, SOON), 1);
	take_one(q, "soon");
}
END_TEST

static int
send_from_outside(void *arg)
{
	evq_env *e = NULL;
	evq_queue *q = NULL;
	EXPECT(evq_env_open(store_dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .keeper = *(int *)arg), &e), 0);
	EXPECT(evq_queue_open(e, "q", NULL, &q), 0);
	EXPECT(evq_send(q, NULL, "x", 1, NULL, NULL), 0);
	pause(); /* alive: neither a close nor an end helps */
	return 0;
}

START_TEST(message_of_another_process_makes_it_readable)
{
	int keeper = _i ? EVQ_NONE : 0;
	evq_queue *q = queue("q");
	int fd = quiet(q);
	pid_t pid = proc_start(send_from_outside, &keeper);
	int64_t end = real_ms() + SOON;
	int rc = EVQ_EMPTY;
	while (rc == EVQ_EMPTY && real_ms() < end) { /* that it opened the store may be told, too */
		ck_assert_int_eq(is_readable(fd, SOON), 1);
		rc = evq_receive(q, NULL, NULL, batch());
	}
	ck_ok(rc);
	proc_kill(pid);
}
END_TEST

START_TEST(descriptor_of_a_queue_that_is_gone_tells_of_it)
{
	evq_queue *q = queue("q");
	int fd = quiet(q), other;
	ck_ok(evq_queue_drop(env, NULL, "q"));
	ck_assert_int_eq(is_readable(fd, SOON), 1);
	ck_rc(evq_receive(q, NULL, NULL, batch()), EVQ_NOQUEUE);
	evq_queue *again = queue("again");
	ck_ok(evq_queue_drop(env, NULL, "again"));
	ck_rc(evq_queue_fd(again, &other), EVQ_NOQUEUE);
	ck_rc(evq_queue_fd(NULL, &other), EINVAL);
	ck_rc(evq_queue_fd(q, NULL), EINVAL);
}
END_TEST

/* One thread's look that found nothing must not undo what another was told since. */
static void *
take_and_count(void *arg)
{
	struct waiter *w = arg;
	evq_batch *b = NULL;
	int fd = -1;
	w->rc = evq_batch_new(&b);
	if (!w->rc)
		w->rc = evq_queue_fd(w->q, &fd);
	while (!w->rc && !w->done && is_readable(fd, 1000)) {
		int rc = evq_receive(w->q, NULL, NULL, b);
		if (!rc) {
			w->count++;
			rc = evq_delete(w->q, NULL, &evq_batch_at(b, 0)->receipt);
		}
		w->rc = rc == EVQ_EMPTY ? 0 : rc;
	}
	evq_batch_free(b);
	return NULL;
}

START_TEST(threads_that_share_it_miss_nothing)
{
	enum { THREADS = 3, MESSAGES = 3000 };
	struct waiter w[THREADS];
	evq_queue *q = queue("q");
	size_t count = 0;
	for (int i = 0; i < THREADS; i++) {
		w[i] = (struct waiter){ .q = q };
		ck_assert_int_eq(pthread_create(&w[i].thread, NULL, take_and_count, &w[i]), 0);
	}
	for (int i = 0; i < MESSAGES; i++)
		send(q, "x");
	for (int i = 0; i < THREADS; i++) { /* each gives up after a second in which it was not readable */
		ck_assert_int_eq(pthread_join(w[i].thread, NULL), 0);
		ck_ok(w[i].rc);
		count += w[i].count;
	}
	ck_assert_uint_eq(count, MESSAGES);
}
END_TEST

Suite *
fd_suite(void)
{
	Suite *s = suite_create("fd");
	TCase *tc = tcase_create("fd");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, real_setup, store_teardown);
	tcase_add_test(tc, descriptor_is_readable_until_a_receive_finds_nothing);
	tcase_add_test(tc, descriptor_is_the_same_at_each_call_and_closed_with_its_handle);
	tcase_add_test(tc, descriptor_stands_in_an_epoll_set);
	tcase_add_test(tc, messages_of_other_queues_leave_it_quiet);
	tcase_add_loop_test(tc, what_comes_due_makes_it_readable, 0, 3);
	tcase_add_loop_test(tc, group_that_is_free_again_makes_it_readable, BY_DELETE, BY_EXPIRY + 1);
	tcase_add_test(tc, message_due_sooner_than_was_known_moves_the_timer);
#if !defined(__SANITIZE_THREAD__) /* which knows no threads in a child of a process that has some */
	tcase_add_loop_test(tc, message_of_another_process_makes_it_readable, 0, 2);
#endif
	tcase_add_test(tc, descriptor_of_a_queue_that_is_gone_tells_of_it);
	tcase_add_test(tc, threads_that_share_it_miss_nothing);
	suite_add_tcase(s, tc);
	return s;
}
