/* SPDX-License-Identifier: MIT */
/*
 * A loop that receives into the same batch allocates nothing once it has run a while: neither the batch nor any
 * other part of the library. The counting is done by the linker: the tests are linked with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc, so that calls from the library (linked statically) and from the
 * tests come here; LMDB's own do not.
 */
#include "support.h"

#include <stdatomic.h>

void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *old, size_t len);
void *__real_malloc(size_t len) __attribute__((weak));
void *__real_calloc(size_t count, size_t len) __attribute__((weak));
void *__real_realloc(void *old, size_t len) __attribute__((weak));

static atomic_ulong allocations;

void *
__wrap_malloc(size_t len)
{
	allocations++;
	return __real_malloc(len);
}

void *
__wrap_calloc(size_t count, size_t len)
{
	allocations++;
	return __real_calloc(count, len);
}

void *
__wrap_realloc(void *old, size_t len)
{
	allocations++;
	return __real_realloc(old, len);
}

START_TEST(the_linker_lets_allocations_be_counted)
{
	unsigned long before = allocations;
	void *volatile p = malloc(1);
	p = realloc(p, 100);
	free(p);
	p = calloc(2, 3);
	free(p);
	ck_assert_msg(allocations == before + 3, "not linked with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc");
}
END_TEST

static unsigned long spent;

/* The call must succeed; what it allocated is added to spent. (A check macro may allocate as well.) */
#define COUNTED(call)                                          \
	do {                                                   \
		unsigned long before_ = allocations;           \
		int rc_ = (call);                              \
		spent += allocations - before_;                \
		ck_assert_msg(rc_ == 0, "%s: %s", #call, evq_errname(rc_)); \
	} while (0)

START_TEST(receiving_into_the_same_batch_allocates_nothing)
{
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	for (int i = 0; i < 100; i++) {
		send(q, "small");
		ck_ok(evq_send(q, NULL, "0123456789", 10, EVQ_SEND_OPTS(.group = "g"), NULL));
		if (i == 10)
			spent = 0;
		COUNTED(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 2), b));
		ck_ok(evq_delete(q, NULL, &evq_batch_at(b, 0)->receipt));
		ck_ok(evq_delete(q, NULL, &evq_batch_at(b, 1)->receipt));
	}
	ck_assert_uint_eq(spent, 0);
}
END_TEST

START_TEST(a_smaller_batch_after_a_larger_one_allocates_nothing)
{
	static const char body[300000];
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	for (int i = 0; i < 50; i++)
		ck_ok(evq_send(q, NULL, body, i == 0 ? sizeof(body) : 6000, NULL, NULL));
	ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 30), b));
	ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 1), b)); /* may put its memory in order */
	spent = 0;
	for (uint32_t count = 1; count <= 5; count++)
		COUNTED(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = count), b));
	ck_assert_uint_eq(evq_batch_count(b), 5);
	ck_assert_uint_eq(spent, 0);
}
END_TEST

/* One of each call of a worker's life: bodies of several sizes, headers, a group. */
static void
go_round(evq_queue *q, evq_batch *b)
{
	enum { N = 20 };
	static const char body[20000];
	static const evq_attr attr = { "name", "value", 5 };
	evq_receipt rs[N];
	int rcs[N];
	for (size_t i = 0; i < N; i++)
		COUNTED(evq_send(q, NULL, body, i * i * 50, EVQ_SEND_OPTS(.attrs = &attr, .attr_count = 1, .group = "g"), NULL));
	COUNTED(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = N), b));
	ck_assert_uint_eq(evq_batch_count(b), N);
	for (size_t i = 0; i < N; i++)
		rs[i] = evq_batch_at(b, i)->receipt;
	COUNTED(evq_extend(q, NULL, &rs[0], 1000, &rs[0]));
	COUNTED(evq_release(q, NULL, &rs[1], 1000, 0));
	COUNTED(evq_delete_batch(q, NULL, rs, N, rcs));
	clock_advance_ms(1000);
	COUNTED(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = N), b));
	ck_assert_uint_eq(evq_batch_count(b), 1);
	COUNTED(evq_delete(q, NULL, &evq_batch_at(b, 0)->receipt));
}

START_TEST(the_whole_round_allocates_nothing_once_it_has_run_a_while)
{
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	for (int i = 0; i < 60; i++) {
		if (i == 10)
			spent = 0;
		go_round(q, b);
	}
	ck_assert_uint_eq(spent, 0);
}
END_TEST

Suite *
steady_suite(void)
{
	Suite *s = suite_create("steady");
	TCase *t = tcase_create("steady");
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_linker_lets_allocations_be_counted);
	tcase_add_test(t, receiving_into_the_same_batch_allocates_nothing);
	tcase_add_test(t, a_smaller_batch_after_a_larger_one_allocates_nothing);
	tcase_add_test(t, the_whole_round_allocates_nothing_once_it_has_run_a_while);
	suite_add_tcase(s, t);
	return s;
}
