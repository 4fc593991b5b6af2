/* SPDX-License-Identifier: MIT */
/*
 * evq_verify(): nothing to say of a sound store, also while it is written to; and a finding for each
 * damage of damages.h, which names the message where there is one. What the other calls do in a
 * damaged store is in t_damaged.c.
 */
#include "damages.h"

#include <pthread.h>

struct told {
	evq_id of;
	size_t count, named;
};

static void
count_finding(const evq_finding *finding, void *arg)
{
	struct told *told = arg;
	told->count++;
	told->named += finding->id == told->of;
	ck_assert_int_eq(finding->code, EVQ_CORRUPT);
	ck_assert_ptr_nonnull(finding->what);
	ck_assert_uint_gt(strlen(finding->what), 0);
	ck_assert(!finding->queue || strlen(finding->queue) <= EVQ_NAME_MAX);
	evq_queue *q = NULL; /* it may call evq */
	(void)evq_queue_open(env, "work", NULL, &q);
	evq_queue_close(q);
}

START_TEST(verify_finds_the_damage)
{
	const struct damage *d = &damages[_i];
	int rc = damage_store(d);
	if (rc && d->may_refuse) {
		ck_assert_msg(rc == EVQ_FORMAT || rc == EVQ_CORRUPT, "%s: %s", d->what, evq_errname(rc));
		raw_abandon();
		return;
	}
	ck_ok(rc);
	struct told told = { .of = d->told ? *d->told : UINT64_MAX };
	rc = evq_verify(env, count_finding, &told);
	ck_assert_msg(rc == EVQ_CORRUPT, "%s: evq_verify: %s", d->what, evq_errname(rc));
	ck_assert_msg(told.count > 0, "%s: no finding", d->what);
	if (d->told)
		ck_assert_msg(told.named > 0, "%s: no finding names the message", d->what);
	ck_rc(evq_verify(env, NULL, NULL), EVQ_CORRUPT);
	raw_abandon();
}
END_TEST

START_TEST(sound_store_has_no_findings)
{
	struct told told = { 0, 0, 0 };
	ck_ok(evq_verify(env, count_finding, &told));
	ck_assert_uint_eq(told.count, 0);
	store_reopen();
	ck_ok(evq_verify(env, NULL, NULL));
}
END_TEST

struct traffic {
	evq_queue *q;
	int rounds;
};

static void *
run_traffic(void *arg)
{
	struct traffic *t = arg;
	evq_batch *b;
	size_t moved;
	ck_ok(evq_batch_new(&b));
	for (int i = 0; i < t->rounds; i++) {
		ck_ok(evq_send(t->q, NULL, "m", 1, EVQ_SEND_OPTS(.priority = 100), NULL));
		ck_ok(evq_receive(t->q, NULL, NULL, b));
		evq_receipt receipt = evq_batch_at(b, 0)->receipt;
		ck_ok(i % 3 ? evq_delete(t->q, NULL, &receipt) : evq_bury(t->q, NULL, &receipt, "r"));
		if (i % 10 == 0)
			ck_ok(evq_purge(t->q, NULL, &moved));
	}
	evq_batch_free(b);
	return NULL;
}

START_TEST(verify_under_traffic_finds_nothing)
{
	pthread_t thread;
	struct traffic traffic = { queue("work"), 200 };
	ck_assert_int_eq(pthread_create(&thread, NULL, run_traffic, &traffic), 0);
	for (int i = 0; i < 50; i++)
		verify_clean();
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

Suite *
verify_suite(void)
{
	Suite *suite = suite_create("verify");
	TCase *tc = tcase_create("verify");
	tcase_add_checked_fixture(tc, damages_setup, store_teardown);
	tcase_add_loop_test(tc, verify_finds_the_damage, 0, COUNT(damages));
	tcase_add_test(tc, sound_store_has_no_findings);
	tcase_add_test(tc, verify_under_traffic_finds_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}
