/* SPDX-License-Identifier: MIT */
/*
 * Codes and their texts; and every public function with each pointer NULL in turn, with options of
 * every wrong size, with what is reserved, and on a closed store: a clear answer, nothing written to
 * the store, nothing written to an out-parameter.
 */
#include "every_call.h"
#include "snapshot.h"

#include <limits.h>
#include <lmdb.h>

static const struct {
	int rc;
	const char *name;
} codes[] = {
	{ EVQ_EMPTY, "EVQ_EMPTY" },     { EVQ_NOQUEUE, "EVQ_NOQUEUE" },
	{ EVQ_STALE, "EVQ_STALE" },     { EVQ_TOOBIG, "EVQ_TOOBIG" },
	{ EVQ_FULL, "EVQ_FULL" },       { EVQ_BUSY, "EVQ_BUSY" },
	{ EVQ_CORRUPT, "EVQ_CORRUPT" }, { EVQ_FORMAT, "EVQ_FORMAT" },
	{ EVQ_FORKED, "EVQ_FORKED" },   { EVQ_INTERRUPTED, "EVQ_INTERRUPTED" },
	{ EVQ_UNKNOWN, "EVQ_UNKNOWN" },
};

START_TEST(every_code_has_its_name_and_a_text_of_its_own)
{
	for (int i = 0; i < COUNT(codes); i++) {
		const char *text = evq_strerror(codes[i].rc);
		ck_assert_str_eq(evq_errname(codes[i].rc), codes[i].name);
		ck_assert_uint_gt(strlen(text), 5);
		for (int other = 0; other < i; other++)
			ck_assert_str_ne(text, evq_strerror(codes[other].rc));
	}
}
END_TEST

START_TEST(every_code_is_negative_and_apart_from_lmdbs)
{
	for (int i = 0; i < COUNT(codes); i++) {
		ck_assert_int_ge(codes[i].rc, -29899);
		ck_assert_int_le(codes[i].rc, -29800);
	}
}
END_TEST

static const int others[] = {
	0, EINVAL, ENOENT, EBUSY, EIO, E2BIG, ENOTSUP, EDEADLK, MDB_MAP_FULL, MDB_KEYEXIST, MDB_LAST_ERRCODE,
	-29900, -29888, -1, 1, 4095, 123456, INT_MAX, INT_MIN,
};

START_TEST(every_number_has_a_text_and_a_name)
{
	for (int i = 0; i < COUNT(others); i++) {
		ck_assert_ptr_nonnull(evq_strerror(others[i]));
		ck_assert_uint_gt(strlen(evq_strerror(others[i])), 0);
		ck_assert_ptr_nonnull(evq_errname(others[i]));
		ck_assert_uint_gt(strlen(evq_errname(others[i])), 0);
	}
	ck_assert_str_eq(evq_errname(INT_MIN), "?");
	ck_assert_str_eq(evq_errname(-29900), "?");
	ck_assert_str_eq(evq_errname(INT_MAX), "?");
}
END_TEST

START_TEST(texts_are_constant)
{
	const char *texts[COUNT(others)];
	char copies[COUNT(others)][200];
	for (int i = 0; i < COUNT(others); i++) {
		texts[i] = evq_strerror(others[i]);
		snprintf(copies[i], sizeof copies[i], "%s", texts[i]);
	}
	for (int i = 0; i < COUNT(others); i++)
		ck_assert_str_eq(texts[i], copies[i]);
}
END_TEST

START_TEST(version_is_the_headers)
{
	int major = -1, minor = -1, patch = -1;
	char text[32];
	evq_version(&major, &minor, &patch);
	ck_assert_int_eq(major, EVQ_VERSION_MAJOR);
	ck_assert_int_eq(minor, EVQ_VERSION_MINOR);
	ck_assert_int_eq(patch, EVQ_VERSION_PATCH);
	snprintf(text, sizeof text, "%d.%d.%d", major, minor, patch);
	ck_assert_str_eq(evq_version(NULL, NULL, NULL), text);
}
END_TEST

/* ---- NULL --------------------------------------------------------------------------------------- */

static char wrong[8192]; /* what did not answer as wanted, all of it */

static void
check(const char *call, int got, int want)
{
	size_t len = strlen(wrong);
	if (got != want)
		snprintf(wrong + len, sizeof wrong - len, "\n  %s: %s, wanted %s", call, evq_errname(got),
		         evq_errname(want));
}
#define refused(call) check(#call, (call), EINVAL)

static struct subject s;
static struct snapshot before;

static void
setup(void)
{
	store_setup();
	char dir[256];
	temp_dir(dir);
	subject_make(&s, env, dir);
	wrong[0] = '\0';
	snap_take(&before);
}

static void
teardown(void)
{
	if (env) {
		subject_expect_untouched(&s);
		snap_expect(&before);
	}
	subject_close(&s);
	store_teardown();
}

static void
expect_none_wrong(void)
{
	ck_assert_msg(wrong[0] == '\0', "%s", wrong);
}

START_TEST(null_store_or_out_is_refused)
{
	evq_env *out = env;
	evq_txn *txn = NULL;
	char dir[256];
	temp_dir(dir);
	refused(evq_env_open(NULL, NULL, &out));
	refused(evq_env_open(dir, NULL, NULL));
	refused(evq_sync(NULL));
	refused(evq_env_copy(NULL, dir, 0));
	refused(evq_env_copy(env, NULL, 0));
	refused(evq_verify(NULL, NULL, NULL));
	refused(evq_begin(NULL, &txn));
	refused(evq_begin(env, NULL));
	refused(evq_commit(NULL));
	ck_assert_ptr_eq(out, env);
	ck_assert_ptr_null(txn);
	evq_abort(NULL);
	evq_env_close(NULL);
	evq_env_interrupt(NULL);
	ck_assert_ptr_null(evq_env_mdb(NULL));
	ck_assert_ptr_null(evq_txn_mdb(NULL));
	expect_none_wrong();
}
END_TEST

START_TEST(null_queue_name_or_attributes_are_refused)
{
	evq_queue *out = s.q;
	evq_queue_attrs attrs = { .size = sizeof attrs, .delay_ms = 42 };
	evq_stats figures = { .size = sizeof figures, .sent = 42 };
	refused(evq_queue_open(NULL, "q", NULL, &out));
	refused(evq_queue_open(env, NULL, NULL, &out));
	refused(evq_queue_open(env, NULL, EVQ_QUEUE_ATTRS(), &out));
	refused(evq_queue_open(env, "q", NULL, NULL));
	refused(evq_queue_open(env, "new", EVQ_QUEUE_ATTRS(), NULL));
	refused(evq_queue_get_attrs(NULL, &attrs));
	refused(evq_queue_get_attrs(s.q, NULL));
	refused(evq_queue_set_attrs(NULL, NULL, EVQ_QUEUE_ATTRS()));
	refused(evq_queue_drop(NULL, NULL, "other"));
	refused(evq_queue_drop(env, NULL, NULL));
	refused(evq_queue_list(NULL, count_names, NULL));
	refused(evq_queue_list(env, NULL, NULL));
	refused(evq_queue_stats(NULL, &figures));
	refused(evq_queue_stats(s.q, NULL));
	ck_assert_ptr_eq(out, s.q);
	ck_assert_int_eq(attrs.delay_ms, 42);
	ck_assert_uint_eq(figures.sent, 42);
	evq_queue_close(NULL);
	expect_none_wrong();
}
END_TEST

START_TEST(null_body_or_batch_is_refused)
{
	evq_id id = 42;
	const evq_buf no_data = { NULL, 1 };
	const evq_attr no_name = { NULL, "v", 1 }, no_value = { "n", NULL, 1 };
	refused(evq_send(NULL, NULL, "x", 1, NULL, &id));
	refused(evq_send(s.q, NULL, NULL, 1, NULL, &id));
	refused(evq_send(s.q, NULL, "x", 1, EVQ_SEND_OPTS(.attr_count = 1), &id));
	refused(evq_send(s.q, NULL, "x", 1, EVQ_SEND_OPTS(.attrs = &no_name, .attr_count = 1), &id));
	refused(evq_send(s.q, NULL, "x", 1, EVQ_SEND_OPTS(.attrs = &no_value, .attr_count = 1), &id));
	refused(evq_send_batch(NULL, NULL, &(evq_buf){ "x", 1 }, 1, NULL, &id));
	refused(evq_send_batch(s.q, NULL, NULL, 1, NULL, &id));
	refused(evq_send_batch(s.q, NULL, &no_data, 1, NULL, &id));
	refused(evq_batch_new(NULL));
	refused(evq_receive(NULL, NULL, NULL, s.b));
	refused(evq_receive(s.q, NULL, NULL, NULL));
	refused(evq_peek(NULL, NULL, s.b));
	refused(evq_peek(s.q, NULL, NULL));
	ck_assert_uint_eq(id, 42);
	evq_batch_free(NULL);
	ck_assert_uint_eq(evq_batch_count(NULL), 0);
	ck_assert_ptr_null(evq_batch_at(NULL, 0));
	expect_none_wrong();
}
END_TEST

START_TEST(null_receipt_or_result_is_refused)
{
	const evq_receipt *r = &s.r[R_DELETE];
	evq_receipt out = { { 1, 2, 3, 4 } };
	char text[EVQ_RECEIPT_TEXT] = "untouched";
	int rcs[1] = { 42 };
	size_t done = 42;
	refused(evq_delete(NULL, NULL, r));
	refused(evq_delete(s.q, NULL, NULL));
	refused(evq_delete_batch(NULL, NULL, r, 1, rcs));
	refused(evq_delete_batch(s.q, NULL, NULL, 1, rcs));
	refused(evq_delete_batch(s.q, NULL, r, 1, NULL));
	refused(evq_extend(NULL, NULL, r, 0, &out));
	refused(evq_extend(s.q, NULL, NULL, 0, &out));
	refused(evq_extend(s.q, NULL, r, 0, NULL));
	refused(evq_release(NULL, NULL, r, 0, 0));
	refused(evq_release(s.q, NULL, NULL, 0, 0));
	refused(evq_bury(NULL, NULL, r, "why"));
	refused(evq_bury(s.q, NULL, NULL, "why"));
	refused(evq_bury(s.q, NULL, r, NULL));
	refused(evq_receipt_format(NULL, text));
	refused(evq_receipt_format(r, NULL));
	refused(evq_receipt_parse(NULL, &out));
	refused(evq_receipt_parse(text, NULL));
	refused(evq_redrive(NULL, NULL, NULL, &done));
	refused(evq_purge(NULL, NULL, &done));
	ck_assert_uint_eq(out.w[0] + out.w[1] + out.w[2] + out.w[3], 10);
	ck_assert_str_eq(text, "untouched");
	ck_assert_int_eq(rcs[0], 42);
	ck_assert_uint_eq(done, 42);
	expect_none_wrong();
}
END_TEST

/* ---- a closed store ----------------------------------------------------------------------------- */

static int
is_of_the_store(const char *call)
{
	static const char *const calls[] = { "evq_queue_drop", "evq_queue_open, a new one", "evq_begin",
		                             "evq_sync",       "evq_queue_list",            "evq_verify" };
	for (int i = 0; i < COUNT(calls); i++)
		if (!strcmp(call, calls[i]))
			return 1;
	return !strncmp(call, "evq_env_copy", 12);
}

START_TEST(handle_of_a_closed_store_answers_ebadf)
{
	ck_ok(evq_receive(s.q, NULL, NULL, s.b));
	evq_env_close(env);
	env = NULL;
	int called = 0;
	for (size_t i = 0; i < EVERY_CALL; i++) {
		if (is_of_the_store(every_call[i].what))
			continue;
		check(every_call[i].what, every_call[i].call(&s), EBADF);
		called++;
	}
	ck_assert_int_ge(called, 14);
	expect_none_wrong();
	store_reopen();
	expect_counts(queue("q"), 0, 0, SUBJECT_LEASED);
	evq_env_close(env);
	env = NULL;
}
END_TEST

Suite *
errors_suite(void)
{
	Suite *suite = suite_create("errors");
	TCase *texts = tcase_create("texts"), *tc = tcase_create("errors");
	tcase_add_test(texts, every_code_has_its_name_and_a_text_of_its_own);
	tcase_add_test(texts, every_code_is_negative_and_apart_from_lmdbs);
	tcase_add_test(texts, every_number_has_a_text_and_a_name);
	tcase_add_test(texts, texts_are_constant);
	tcase_add_test(texts, version_is_the_headers);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, null_store_or_out_is_refused);
	tcase_add_test(tc, null_queue_name_or_attributes_are_refused);
	tcase_add_test(tc, null_body_or_batch_is_refused);
	tcase_add_test(tc, null_receipt_or_result_is_refused);
	tcase_add_test(tc, handle_of_a_closed_store_answers_ebadf);
	suite_add_tcase(suite, texts);
	suite_add_tcase(suite, tc);
	return suite;
}
