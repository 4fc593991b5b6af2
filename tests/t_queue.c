/* SPDX-License-Identifier: MIT */
/*
 * Queues by name: opening, creating, listing, and that a refusal leaves no trace: no queue, no dead letter, no
 * handle. Attributes are in t_attrs.c; how a queue ends, and how dead letters tie queues to each other, in t_drop.c.
 */
#include "support.h"

#define TEN "0123456789"
#define NAME_80 TEN TEN TEN TEN TEN TEN TEN TEN

/* ---- names ------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int rc;
} names[] = {
	{ NULL, EINVAL },
	{ "", EINVAL },
	{ " ", EINVAL },
	{ "a b", EINVAL },
	{ "a/b", EINVAL },
	{ "/", EINVAL },
	{ "a\n", EINVAL },
	{ "\ta", EINVAL },
	{ "a:b", EINVAL },
	{ "a@b", EINVAL },
	{ "a[", EINVAL },
	{ "a`", EINVAL },
	{ "a{", EINVAL },
	{ "a,b", EINVAL },
	{ "a%b", EINVAL },
	{ "a\x01", EINVAL },
	{ "a\x7f", EINVAL },
	{ "\xc3\xa9", EINVAL },
	{ "a\xff", EINVAL },
	{ NAME_80 "x", EVQ_TOOBIG },
	{ NAME_80 NAME_80 NAME_80 NAME_80 NAME_80 NAME_80 NAME_80, EVQ_TOOBIG },
	{ "a", 0 },
	{ ".", 0 },
	{ "..", 0 },
	{ "-", 0 },
	{ "_", 0 },
	{ "0", 0 },
	{ "azAZ09._-", 0 },
	{ NAME_80, 0 },
};

START_TEST(a_name_is_1_to_80_bytes_of_the_portable_set)
{
	const char *name = names[_i].name;
	int rc = names[_i].rc;
	ck_rc(open_rc(name, NULL), rc ? rc : EVQ_NOQUEUE);
	ck_rc(open_rc(name, EVQ_QUEUE_ATTRS()), rc);
	ck_rc(open_rc(name, NULL), rc);
	ck_rc(evq_queue_drop(env, NULL, name), rc);
	ck_rc(open_rc(name, NULL), rc ? rc : EVQ_NOQUEUE);
}
END_TEST

/* As a dead letter NULL means none. */
START_TEST(a_dead_letter_has_a_queue_name)
{
	const char *name = names[_i].name;
	ck_rc(open_rc("source", EVQ_QUEUE_ATTRS(.dead_letter = name)), name ? names[_i].rc : 0);
	ck_rc(open_rc("source", NULL), name && names[_i].rc ? EVQ_NOQUEUE : 0);
	if (name)
		ck_rc(open_rc(name, NULL), names[_i].rc);
}
END_TEST

START_TEST(names_differ_by_case_and_by_length)
{
	evq_queue *q[] = { queue("a"), queue("A"), queue("aa"), queue("a."), queue(NAME_80) };
	for (size_t i = 0; i < sizeof(q) / sizeof(q[0]); i++)
		for (size_t n = 0; n <= i; n++)
			send(q[i], "x");
	for (size_t i = 0; i < sizeof(q) / sizeof(q[0]); i++)
		ck_assert_uint_eq(stats(q[i]).messages, i + 1);
}
END_TEST

START_TEST(two_handles_on_a_queue_are_independent)
{
	evq_queue *one = NULL, *two = NULL;
	ck_ok(evq_queue_open(env, "q", EVQ_QUEUE_ATTRS(), &one));
	ck_ok(evq_queue_open(env, "q", NULL, &two));
	send(one, "x");
	evq_queue_close(one);
	expect_counts(two, 1, 0, 0);
	take_one(two, "x");
	evq_queue_close(two);
}
END_TEST

/* ---- listing ----------------------------------------------------------------------------------- */

struct listing {
	char names[400][EVQ_NAME_MAX + 1];
	size_t count, stop_at;
};

static int
note_name(const char *name, void *arg)
{
	struct listing *l = arg;
	snprintf(l->names[l->count++], sizeof(l->names[0]), "%s", name);
	return l->count == l->stop_at ? 4711 : 0;
}

START_TEST(list_tells_every_queue_once_in_order_of_name)
{
	static struct listing l;
	memset(&l, 0, sizeof(l));
	ck_ok(evq_queue_list(env, note_name, &l));
	ck_assert_uint_eq(l.count, 0);
	for (int i = 0; i < 300; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%c%d", "aZ.-_9"[i % 6], i * 7919 % 300);
		ck_ok(open_rc(name, EVQ_QUEUE_ATTRS()));
	}
	ck_ok(evq_queue_list(env, note_name, &l));
	ck_assert_uint_eq(l.count, 300);
	for (size_t i = 1; i < l.count; i++)
		ck_assert_str_lt(l.names[i - 1], l.names[i]);
}
END_TEST

START_TEST(list_stops_where_told_and_returns_why)
{
	for (int i = 0; i < 5; i++)
		ck_ok(open_rc((char[]){ (char)('a' + i), 0 }, EVQ_QUEUE_ATTRS()));
	for (size_t stop = 1; stop <= 5; stop++) {
		struct listing l = { .stop_at = stop };
		ck_rc(evq_queue_list(env, note_name, &l), 4711);
		ck_assert_uint_eq(l.count, stop);
	}
}
END_TEST

static int
drop_it(const char *name, void *arg)
{
	(void)arg;
	char copy[EVQ_NAME_MAX + 1];
	snprintf(copy, sizeof(copy), "%s", name);
	return evq_queue_drop(env, NULL, copy);
}

START_TEST(the_callback_of_list_may_drop_queues)
{
	for (int i = 0; i < 150; i++) {
		char name[32];
		snprintf(name, sizeof(name), "q%d", i);
		ck_ok(open_rc(name, EVQ_QUEUE_ATTRS()));
	}
	ck_ok(evq_queue_list(env, drop_it, NULL));
	struct listing l = { .count = 0 };
	ck_ok(evq_queue_list(env, note_name, &l));
	ck_assert_uint_eq(l.count, 0);
}
END_TEST

START_TEST(null_arguments_are_einval)
{
	evq_queue *q = NULL;
	evq_queue_attrs a = { .size = 0 };
	ck_rc(evq_queue_open(NULL, "q", EVQ_QUEUE_ATTRS(), &q), EINVAL);
	ck_rc(evq_queue_open(env, "q", EVQ_QUEUE_ATTRS(), NULL), EINVAL);
	ck_rc(open_rc("q", NULL), EVQ_NOQUEUE);
	q = queue("q");
	ck_rc(evq_queue_get_attrs(NULL, &a), EINVAL);
	ck_rc(evq_queue_get_attrs(q, NULL), EINVAL);
	ck_rc(evq_queue_get_attrs(q, &a), EINVAL);
	ck_rc(evq_queue_set_attrs(NULL, NULL, EVQ_QUEUE_ATTRS()), EINVAL);
	ck_rc(evq_queue_drop(NULL, NULL, "q"), EINVAL);
	ck_rc(evq_queue_drop(env, NULL, NULL), EINVAL);
	ck_rc(evq_queue_list(NULL, note_name, NULL), EINVAL);
	ck_rc(evq_queue_list(env, NULL, NULL), EINVAL);
	evq_queue_close(NULL);
	ck_ok(open_rc("q", NULL));
}
END_TEST

Suite *
queue_suite(void)
{
	Suite *s = suite_create("queue");
	TCase *t = tcase_create("queue");
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_loop_test(t, a_name_is_1_to_80_bytes_of_the_portable_set, 0, COUNT(names));
	tcase_add_loop_test(t, a_dead_letter_has_a_queue_name, 0, COUNT(names));
	tcase_add_test(t, names_differ_by_case_and_by_length);
	tcase_add_test(t, two_handles_on_a_queue_are_independent);
	tcase_add_test(t, list_tells_every_queue_once_in_order_of_name);
	tcase_add_test(t, list_stops_where_told_and_returns_why);
	tcase_add_test(t, the_callback_of_list_may_drop_queues);
	tcase_add_test(t, null_arguments_are_einval);
	suite_add_tcase(s, t);
	return s;
}
