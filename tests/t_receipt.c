/* SPDX-License-Identifier: MIT */
/*
 * Receipts as text: one form, exact both ways. What a receipt may do, whole, damaged or out of date, is in
 * t_fence.c.
 */
#include "procs.h"
#include "support.h"

#define SIXTEEN "0123456789abcdef"
#define GOOD SIXTEEN "-" SIXTEEN "-" SIXTEEN "-" SIXTEEN

static const evq_receipt untouched = { { 4711, 4712, 4713, 4714 } };

static void
expect_refused(const char *text)
{
	evq_receipt out = untouched;
	int rc = evq_receipt_parse(text, &out);
	ck_assert_msg(rc == EINVAL, "\"%s\": %s", text ? text : "NULL", evq_errname(rc));
	ck_assert_mem_eq(&out, &untouched, sizeof(out));
}

static void
expect_form(const char *text)
{
	ck_assert_uint_eq(strlen(text), EVQ_RECEIPT_TEXT - 1);
	for (size_t i = 0; i < EVQ_RECEIPT_TEXT - 1; i++)
		ck_assert_msg(i % 17 == 16 ? text[i] == '-' : strchr(SIXTEEN, text[i]) != NULL, "%s", text);
}

START_TEST(text_is_four_groups_of_lower_case_digits_and_comes_back)
{
	static const uint64_t words[] = { 0, 1, UINT64_MAX, 0x0123456789abcdef, 0x8000000000000000, 0x00000000ffffffff };
	for (int i = 0; i < COUNT(words); i++)
		for (int n = 0; n < COUNT(words); n++) {
			const evq_receipt r = { { words[i], words[n], words[(i + n) % COUNT(words)], words[COUNT(words) - 1 - i] } };
			evq_receipt back = untouched;
			char text[EVQ_RECEIPT_TEXT + 1];
			text[EVQ_RECEIPT_TEXT] = '#';
			ck_ok(evq_receipt_format(&r, text));
			ck_assert_int_eq(text[EVQ_RECEIPT_TEXT], '#');
			expect_form(text);
			ck_ok(evq_receipt_parse(text, &back));
			ck_assert_mem_eq(&back, &r, sizeof(r));
		}
}
END_TEST

START_TEST(every_bit_of_a_receipt_is_in_its_text)
{
	char none[EVQ_RECEIPT_TEXT], text[EVQ_RECEIPT_TEXT];
	const evq_receipt zero = { { 0 } };
	ck_ok(evq_receipt_format(&zero, none));
	for (int bit = 0; bit < 256; bit++) {
		evq_receipt r = zero, back = untouched;
		r.w[bit / 64] = 1ULL << bit % 64;
		ck_ok(evq_receipt_format(&r, text));
		ck_assert_str_ne(text, none);
		ck_ok(evq_receipt_parse(text, &back));
		ck_assert_mem_eq(&back, &r, sizeof(r));
	}
}
END_TEST

START_TEST(upper_and_mixed_case_are_read)
{
	evq_receipt lower, upper = untouched, mixed = untouched;
	ck_ok(evq_receipt_parse("0123456789abcdef-fedcba9876543210-aaaabbbbccccdddd-eeeeffff00001111", &lower));
	ck_ok(evq_receipt_parse("0123456789ABCDEF-FEDCBA9876543210-AAAABBBBCCCCDDDD-EEEEFFFF00001111", &upper));
	ck_ok(evq_receipt_parse("0123456789aBcDeF-fEdCbA9876543210-AAAAbbbbCCCCdddd-eeEEffFF00001111", &mixed));
	ck_assert_mem_eq(&upper, &lower, sizeof(lower));
	ck_assert_mem_eq(&mixed, &lower, sizeof(lower));
}
END_TEST

static const char *const bad[] = {
	NULL,
	"",
	"-",
	"---",
	" ",
	SIXTEEN,
	SIXTEEN "-" SIXTEEN "-" SIXTEEN,
	SIXTEEN "-" SIXTEEN "-" SIXTEEN "-",
	GOOD "-",
	GOOD " ",
	GOOD "\n",
	GOOD "0",
	GOOD "-" SIXTEEN,
	" " GOOD,
	"\t" GOOD,
	"{" GOOD "}",
	"0x" GOOD,
	SIXTEEN SIXTEEN SIXTEEN SIXTEEN,
	SIXTEEN SIXTEEN SIXTEEN SIXTEEN "---",
	SIXTEEN " " SIXTEEN " " SIXTEEN " " SIXTEEN,
	SIXTEEN "--" SIXTEEN "-" SIXTEEN "-" SIXTEEN,
	"0123456789abcde-" SIXTEEN "-" SIXTEEN "-" SIXTEEN "0",
	"0123456789abcde-0" SIXTEEN "-" SIXTEEN "-" SIXTEEN,
	"+123456789abcdef-" SIXTEEN "-" SIXTEEN "-" SIXTEEN,
	"-123456789abcdef-" SIXTEEN "-" SIXTEEN "-" SIXTEEN,
	" 123456789abcdef-" SIXTEEN "-" SIXTEEN "-" SIXTEEN,
	"0x23456789abcdef-" SIXTEEN "-" SIXTEEN "-" SIXTEEN,
	SIXTEEN "-0x23456789abcdef-" SIXTEEN "-" SIXTEEN,
	SIXTEEN "-" SIXTEEN "-" SIXTEEN "-123456789abcdef",
};

START_TEST(any_other_text_is_einval_and_writes_nothing)
{
	expect_refused(bad[_i]);
}
END_TEST

START_TEST(one_wrong_byte_anywhere_is_einval)
{
	static const char wrong[] = "gGxX/:@`[{~ \t\n+.,_\x01\x7f\x80\xb0\xe6\xff";
	for (size_t at = 0; at < EVQ_RECEIPT_TEXT - 1; at++) {
		char text[] = GOOD;
		for (size_t i = 0; i < sizeof(wrong); i++) { /* its NUL too: cut short there */
			text[at] = wrong[i];
			expect_refused(text);
		}
		text[at] = at % 17 == 16 ? '0' : '-';
		expect_refused(text);
	}
}
END_TEST

START_TEST(null_arguments_are_einval)
{
	char text[EVQ_RECEIPT_TEXT] = "#";
	ck_rc(evq_receipt_format(NULL, text), EINVAL);
	ck_assert_str_eq(text, "#");
	ck_rc(evq_receipt_format(&untouched, NULL), EINVAL);
	ck_rc(evq_receipt_parse(GOOD, NULL), EINVAL);
}
END_TEST

static int
delete_in_child(void *arg)
{
	evq_env *own = NULL;
	evq_queue *q = NULL;
	evq_receipt r;
	EXPECT(evq_env_open(store_dir, EVQ_ENV_OPTS(.clock = fake_clock), &own), 0);
	EXPECT(evq_queue_open(own, "q", NULL, &q), 0);
	EXPECT(evq_receipt_parse(arg, &r), 0);
	EXPECT(evq_delete(q, NULL, &r), 0);
	EXPECT(evq_delete(q, NULL, &r), EVQ_STALE);
	evq_queue_close(q);
	evq_env_close(own);
	return 0;
}

START_TEST(another_process_settles_with_the_text)
{
	evq_queue *q = queue("q");
	char text[EVQ_RECEIPT_TEXT];
	send(q, "x");
	evq_receipt r = take_one(q, "x");
	ck_ok(evq_receipt_format(&r, text));
	ck_assert_int_eq(proc_run(delete_in_child, text), 0);
	expect_counts(q, 0, 0, 0);
	ck_rc(evq_delete(q, NULL, &r), EVQ_STALE);
}
END_TEST

Suite *
receipt_suite(void)
{
	Suite *s = suite_create("receipt");
	TCase *t = tcase_create("receipt");
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_test(t, text_is_four_groups_of_lower_case_digits_and_comes_back);
	tcase_add_test(t, every_bit_of_a_receipt_is_in_its_text);
	tcase_add_test(t, upper_and_mixed_case_are_read);
	tcase_add_loop_test(t, any_other_text_is_einval_and_writes_nothing, 0, COUNT(bad));
	tcase_add_test(t, one_wrong_byte_anywhere_is_einval);
	tcase_add_test(t, null_arguments_are_einval);
	tcase_add_test(t, another_process_settles_with_the_text);
	suite_add_tcase(s, t);
	return s;
}
