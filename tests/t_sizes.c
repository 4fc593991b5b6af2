/* SPDX-License-Identifier: MIT */
/*
 * Structs that say their own size: none, too small, as known, larger with nothing in it, larger with
 * something this version does not know; flags that are not known. What is refused has changed
 * nothing.
 */
#include "snapshot.h"

#include <stdalign.h>

enum { TAIL = 24 };

static evq_queue *q;
static evq_batch *b;
static char new_dir[256];
static struct snapshot before;

static int
use_env_opts(void *opts)
{
	evq_env *out = NULL;
	int rc = evq_env_open(new_dir, opts, &out);
	ck_assert_int_eq(out == NULL, rc != 0);
	evq_env_close(out);
	return rc;
}

static int
use_create(void *attrs)
{
	evq_queue *out = NULL;
	int rc = evq_queue_open(env, "new", attrs, &out);
	ck_assert_int_eq(out == NULL, rc != 0);
	evq_queue_close(out);
	return rc;
}

static int
use_attrs(void *attrs)
{
	return evq_queue_set_attrs(q, NULL, attrs);
}

static int
use_send_opts(void *opts)
{
	return evq_send(q, NULL, "x", 1, opts, NULL);
}

static int
use_batch_opts(void *opts)
{
	return evq_send_batch(q, NULL, &(evq_buf){ "x", 1 }, 1, opts, NULL);
}

static int
use_receive_opts(void *opts)
{
	return evq_receive(q, NULL, opts, b);
}

static int
use_peek_opts(void *opts)
{
	return evq_peek(q, opts, b);
}

static int
use_redrive_opts(void *opts)
{
	size_t moved;
	return evq_redrive(queue("empty"), NULL, opts, &moved);
}

static int
use_stats(void *out)
{
	return evq_queue_stats(q, out);
}

static int
use_attrs_out(void *out)
{
	return evq_queue_get_attrs(q, out);
}

static const struct sized {
	const char *what;
	int (*use)(void *given);
	size_t size;
	int is_out;
} sized[] = {
	{ "evq_env_opts", use_env_opts, sizeof(evq_env_opts), 0 },
	{ "evq_queue_attrs, to create", use_create, sizeof(evq_queue_attrs), 0 },
	{ "evq_queue_attrs, to set", use_attrs, sizeof(evq_queue_attrs), 0 },
	{ "evq_send_opts", use_send_opts, sizeof(evq_send_opts), 0 },
	{ "evq_send_opts, of a batch", use_batch_opts, sizeof(evq_send_opts), 0 },
	{ "evq_receive_opts", use_receive_opts, sizeof(evq_receive_opts), 0 },
	{ "evq_peek_opts", use_peek_opts, sizeof(evq_peek_opts), 0 },
	{ "evq_redrive_opts", use_redrive_opts, sizeof(evq_redrive_opts), 0 },
	{ "evq_stats", use_stats, sizeof(evq_stats), 1 },
	{ "evq_queue_attrs, to get", use_attrs_out, sizeof(evq_queue_attrs), 1 },
};

static void
setup(void)
{
	store_setup();
	q = queue("q");
	b = batch();
	queue("empty");
	send(q, "a");
	send(q, "b");
	temp_dir(new_dir);
	snap_take(&before);
}

/* A struct of that size, zero but for the size and, where at is not 0, the byte there. */
static void *
given(size_t size, size_t at)
{
	static alignas(max_align_t) unsigned char room[512];
	ck_assert_uint_le(size, sizeof room);
	memset(room, 0, sizeof room);
	memcpy(room, &size, sizeof size);
	if (at)
		room[at] = 1;
	return room;
}

START_TEST(too_small_is_refused)
{
	const struct sized *t = &sized[_i];
	/* what the last one lacks is a whole field, not only padding */
	const size_t sizes[] = { 0, 1, sizeof(size_t), t->size / 2, t->size - sizeof(uint64_t) };
	for (int i = 0; i < COUNT(sizes); i++) {
		int rc = t->use(given(sizes[i], 0));
		ck_assert_msg(rc == EINVAL, "%s of %zu bytes: %s", t->what, sizes[i], evq_errname(rc));
	}
	snap_expect(&before);
}
END_TEST

START_TEST(larger_with_something_unknown_is_refused)
{
	const struct sized *t = &sized[_i];
	for (size_t at = t->size; at < t->size + TAIL; at++) {
		int rc = t->use(given(t->size + TAIL, at)), want = t->is_out ? 0 : E2BIG;
		ck_assert_msg(rc == want, "%s, byte %zu set: %s", t->what, at, evq_errname(rc));
	}
	snap_expect(&before);
}
END_TEST

START_TEST(larger_with_nothing_in_it_is_fine)
{
	const struct sized *t = &sized[_i];
	ck_ok(t->use(given(t->size + TAIL, 0)));
	ck_ok(t->use(given(t->size, 0)));
}
END_TEST

START_TEST(none_at_all_means_the_defaults)
{
	const struct sized *t = &sized[_i];
	int is_attrs = t->use == use_create || t->use == use_attrs;
	if (!t->is_out && !is_attrs)
		ck_ok(t->use(NULL));
}
END_TEST

/* ---- flags ------------------------------------------------------------------------------------ */

static const uint32_t unknown_flags[] = { 16, 9, 18, 32, 0x100, 0x80000000u };

START_TEST(unknown_flags_are_refused)
{
	uint32_t flags = unknown_flags[_i];
	evq_queue *out = NULL;
	evq_receipt receipt = { { 0, 0, 0, 0 } };
	ck_rc(evq_queue_open(env, "new", EVQ_QUEUE_ATTRS(.dead_letter = "d", .flags = flags), &out), EINVAL);
	ck_rc(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.dead_letter = "d", .flags = flags)), EINVAL);
	ck_rc(evq_release(q, NULL, &receipt, 0, flags), EINVAL);
	ck_rc(evq_env_copy(env, new_dir, flags), EINVAL);
	ck_assert_ptr_null(out);
	snap_expect(&before);
}
END_TEST

START_TEST(unknown_release_flags_leave_the_lease)
{
	evq_receipt receipt = take_one(q, "a");
	ck_rc(evq_release(q, NULL, &receipt, 0, 2), EINVAL);
	ck_rc(evq_release(q, NULL, &receipt, 0, EVQ_UNCOUNTED | 4), EINVAL);
	expect_counts(q, 1, 0, 1);
	ck_ok(evq_delete(q, NULL, &receipt));
}
END_TEST

Suite *
sizes_suite(void)
{
	Suite *suite = suite_create("sizes");
	TCase *tc = tcase_create("sizes");
	tcase_add_checked_fixture(tc, setup, store_teardown);
	tcase_add_loop_test(tc, too_small_is_refused, 0, COUNT(sized));
	tcase_add_loop_test(tc, larger_with_something_unknown_is_refused, 0, COUNT(sized));
	tcase_add_loop_test(tc, larger_with_nothing_in_it_is_fine, 0, COUNT(sized));
	tcase_add_loop_test(tc, none_at_all_means_the_defaults, 0, COUNT(sized));
	tcase_add_loop_test(tc, unknown_flags_are_refused, 0, COUNT(unknown_flags));
	tcase_add_test(tc, unknown_release_flags_leave_the_lease);
	suite_add_tcase(suite, tc);
	return suite;
}
