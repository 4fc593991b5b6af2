/* SPDX-License-Identifier: MIT */
/*
 * The store's time, against a machine whose clocks the test sets: the wall's is stepped, the machine sleeps, is
 * started again, or comes up in 1970. Leases and delays must last as long as they were given for, neither more nor
 * less, and time must never go back. The clocks are those that the library reads: the linker hands them to us.
 */
#include "support.h"

#include <time.h>

enum { SECOND = 1000, HOUR = 3600 * SECOND, DAY = 24 * HOUR };

static int is_set; /* are the clocks ours? */
static int64_t wall_ms, boot_ms;
static char boot;

int __real_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out);
void __wrap_evq__boot_id(char out[36]);
void __real_evq__boot_id(char out[36]);

int
__wrap_clock_gettime(clockid_t id, struct timespec *out)
{
	if (!is_set || (id != CLOCK_REALTIME && id != CLOCK_BOOTTIME)) /* the others only time waits */
		return __real_clock_gettime(id, out);
	int64_t ms = id == CLOCK_REALTIME ? wall_ms : boot_ms;
	*out = (struct timespec){ (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };
	return 0;
}

void
__wrap_evq__boot_id(char out[36])
{
	if (is_set)
		memset(out, boot, 36);
	else
		__real_evq__boot_id(out);
}

static void
pass(int64_t ms)
{
	wall_ms += ms;
	boot_ms += ms;
}

static void
open_again(void)
{
	evq_env_close(env);
	env = NULL;
	ck_ok(evq_env_open(store_dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED), &env));
}

static void
machine_starts_again(int64_t wall_at_ms)
{
	evq_env_close(env);
	boot++;
	wall_ms = wall_at_ms;
	boot_ms = 20 * SECOND;
	ck_ok(evq_env_open(store_dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED), &env));
}

#define TODAY INT64_C(1780000000000)

static void
setup_at(int64_t wall_at_ms)
{
	is_set = 1;
	boot = 'a';
	wall_ms = wall_at_ms;
	boot_ms = 500 * SECOND;
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED));
}

static void
setup(void)
{
	setup_at(TODAY);
}

static void
setup_in_1970(void)
{
	setup_at(5 * SECOND);
}

static void
teardown(void)
{
	store_teardown();
	is_set = 0;
}

static evq_queue *
open_q(void)
{
	evq_queue *q = NULL;
	ck_ok(evq_queue_open(env, "q", EVQ_QUEUE_ATTRS(.visibility_ms = 10 * SECOND), &q));
	return q;
}

/* The one message is leased for left ms yet: not a millisecond more or less. */
static void
expect_leased_for(evq_queue *q, int64_t left)
{
	evq_batch *b = NULL;
	ck_ok(evq_batch_new(&b));
	pass(left - 1);
	ck_rc(evq_receive(q, NULL, NULL, b), EVQ_EMPTY);
	pass(1);
	ck_ok(evq_receive(q, NULL, NULL, b));
	evq_batch_free(b);
}

static void
send_and_lease(evq_queue *q)
{
	evq_batch *b = NULL;
	ck_ok(evq_batch_new(&b));
	ck_ok(evq_send(q, NULL, "x", 1, NULL, NULL));
	ck_ok(evq_receive(q, NULL, NULL, b));
	evq_batch_free(b);
}

static const int64_t steps[] = { -DAY, DAY, -400 * (int64_t)DAY, 400 * (int64_t)DAY, -1, 1 };

START_TEST(lease_lasts_as_long_as_given_when_the_wall_clock_is_set)
{
	evq_queue *q = open_q();
	send_and_lease(q);
	pass(3 * SECOND);
	wall_ms += steps[_i];
	expect_leased_for(q, 7 * SECOND);
	evq_queue_close(q);
}
END_TEST

START_TEST(lease_lasts_when_the_wall_clock_is_set_and_the_store_opened_anew)
{
	evq_queue *q = open_q();
	send_and_lease(q);
	evq_queue_close(q);
	wall_ms += steps[_i];
	open_again();
	q = open_q();
	expect_leased_for(q, 10 * SECOND);
	evq_queue_close(q);
}
END_TEST

START_TEST(sent_at_is_what_the_wall_clock_says)
{
	evq_queue *q = open_q();
	evq_batch *b = batch();
	wall_ms -= DAY;
	ck_ok(evq_send(q, NULL, "x", 1, NULL, NULL));
	ck_ok(evq_receive(q, NULL, NULL, b));
	ck_assert_int_eq(evq_batch_at(b, 0)->sent_at_ms, TODAY - DAY);
	ck_assert_int_eq(evq_batch_at(b, 0)->first_received_at_ms, TODAY);
	evq_queue_close(q);
}
END_TEST

START_TEST(sleep_of_the_machine_counts)
{
	evq_queue *q = open_q();
	send_and_lease(q);
	wall_ms += HOUR;
	boot_ms += HOUR;
	expect_counts(q, 1, 0, 0);
	evq_queue_close(q);
}
END_TEST

START_TEST(time_goes_on_by_the_wall_over_a_restart)
{
	evq_queue *q = open_q();
	send_and_lease(q);
	evq_queue_close(q);
	machine_starts_again(TODAY + 4 * SECOND);
	q = open_q();
	expect_leased_for(q, 6 * SECOND);
	evq_queue_close(q);
}
END_TEST

START_TEST(restart_with_the_wall_clock_behind_does_not_take_time_back)
{
	evq_queue *q = open_q();
	send_and_lease(q);
	evq_queue_close(q);
	machine_starts_again(TODAY - DAY);
	q = open_q();
	expect_leased_for(q, 10 * SECOND); /* as if no time had passed, and no more */
	evq_queue_close(q);
}
END_TEST

START_TEST(the_store_itself_remembers_how_far_time_had_come)
{
	char name[512];
	evq_queue *q = open_q();
	send_and_lease(q);
	evq_queue_close(q);
	snprintf(name, sizeof name, "%s/evq.shared", store_dir);
	evq_env_close(env);
	env = NULL;
	ck_assert_int_eq(remove(name), 0); /* as after a restore from a backup */
	boot++;
	wall_ms = TODAY - DAY;
	ck_ok(evq_env_open(store_dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED), &env));
	q = open_q();
	expect_leased_for(q, 10 * SECOND);
	evq_queue_close(q);
}
END_TEST

START_TEST(machine_that_comes_up_in_1970_is_set_right_later)
{
	evq_queue *q = open_q();
	evq_batch *b = batch();
	send_and_lease(q);
	pass(4 * SECOND);
	wall_ms = TODAY; /* the network is up */
	ck_ok(evq_send(q, NULL, "later", 5, EVQ_SEND_OPTS(.delay_ms = SECOND, .priority = 1), NULL));
	pass(SECOND);
	ck_ok(evq_receive(q, NULL, NULL, b));
	ck_assert_int_eq(evq_batch_at(b, 0)->sent_at_ms, TODAY);
	expect_leased_for(q, 5 * SECOND);
	evq_queue_close(q);
}
END_TEST

START_TEST(messages_expire_by_time_gone_by_and_not_by_the_wall)
{
	evq_queue *q = open_q();
	ck_ok(evq_send(q, NULL, "x", 1, EVQ_SEND_OPTS(.expires_ms = HOUR), NULL));
	wall_ms += DAY;
	expect_counts(q, 1, 0, 0);
	wall_ms -= 2 * DAY;
	pass(HOUR);
	expect_counts(q, 0, 0, 0);
	evq_queue_close(q);
}
END_TEST

Suite *
clock_suite(void)
{
	Suite *s = suite_create("clock");
	TCase *t = tcase_create("clock"), *first = tcase_create("1970");
	int count = sizeof steps / sizeof *steps;
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, lease_lasts_as_long_as_given_when_the_wall_clock_is_set, 0, count);
	tcase_add_loop_test(t, lease_lasts_when_the_wall_clock_is_set_and_the_store_opened_anew, 0, count);
	tcase_add_test(t, sent_at_is_what_the_wall_clock_says);
	tcase_add_test(t, sleep_of_the_machine_counts);
	tcase_add_test(t, time_goes_on_by_the_wall_over_a_restart);
	tcase_add_test(t, restart_with_the_wall_clock_behind_does_not_take_time_back);
	tcase_add_test(t, the_store_itself_remembers_how_far_time_had_come);
	tcase_add_test(t, messages_expire_by_time_gone_by_and_not_by_the_wall);
	tcase_add_checked_fixture(first, setup_in_1970, teardown);
	tcase_add_test(first, machine_that_comes_up_in_1970_is_set_right_later);
	suite_add_tcase(s, t);
	suite_add_tcase(s, first);
	return s;
}
