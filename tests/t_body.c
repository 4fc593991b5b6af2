/* SPDX-License-Identifier: MIT */
/*
 * What a message carries comes back byte for byte: bodies from nothing to 1 GiB, headers, group.
 *
 * Bodies over a leaf's limit lie in parts, and the first part also holds the headers. So sizes are swept one by
 * one over the first part's end, and around whole multiples of it with headers of many lengths in front.
 * EVQ_TEST_SMALL=1 (valgrind, sanitizers) takes every seventh size and leaves the 1 GiB body out.
 */
#include "support.h"

#include <stdalign.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB 1048576
#define PART 4080

static int
is_small(void)
{
	return getenv("EVQ_TEST_SMALL") != NULL;
}

static unsigned char
byte_at(uint64_t seed, size_t i)
{
	uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15U + i / 8 * 0xbf58476d1ce4e5b9U;
	return (unsigned char)((x ^ x >> 29) >> i % 8 * 8);
}

static void
fill(unsigned char *to, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++)
		to[i] = byte_at(seed, i);
}

/* One assertion for all bytes: each costs a write to the runner. */
static void
expect_bytes(const void *got, size_t got_len, size_t len, uint64_t seed)
{
	const unsigned char *p = got;
	size_t same = 0;
	ck_assert_uint_eq(got_len, len);
	while (same < len && p[same] == byte_at(seed, same))
		same++;
	ck_assert_msg(same == len, "byte %zu of %zu differs", same, len);
	ck_assert_msg(p[len] == 0, "no NUL after %zu bytes", len);
}

static void
expect_body(const evq_delivery *d, size_t len)
{
	ck_assert_ptr_nonnull(d->body);
	ck_assert_uint_eq((uintptr_t)d->body % alignof(max_align_t), 0);
	expect_bytes(d->body, d->body_len, len, len);
}

/* ---- sizes ------------------------------------------------------------------------------------- */

/* Sends a body of len behind a header of attr_len (none: < 0), takes it back; every other one stays, leased. */
static void
round_trip(evq_queue *q, evq_txn *txn, size_t len, long attr_len)
{
	static unsigned char body[MIB], value[EVQ_ATTRS_LEN_MAX];
	evq_attr attr = { "a", value, attr_len < 0 ? 0 : (size_t)attr_len };
	evq_batch *b = NULL;
	fill(body, len, len);
	fill(value, attr.len, 1);
	ck_ok(evq_send(q, txn, body, len, EVQ_SEND_OPTS(.attrs = &attr, .attr_count = attr_len >= 0), NULL));
	ck_ok(evq_batch_new(&b));
	ck_ok(evq_receive(q, txn, NULL, b));
	const evq_delivery *d = evq_batch_at(b, 0);
	expect_body(d, len);
	ck_assert_uint_eq(d->attr_count, attr_len >= 0);
	if (attr_len >= 0)
		expect_bytes(d->attrs[0].value, d->attrs[0].len, attr.len, 1);
	if (len % 2)
		ck_ok(evq_delete(q, txn, &d->receipt));
	evq_batch_free(b);
}

/* What stayed is read again, after the commits. */
static void
expect_the_rest(evq_queue *q)
{
	evq_batch *b = batch();
	clock_advance_ms(30000);
	while (evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 500), b) == 0)
		for (size_t i = 0; i < evq_batch_count(b); i++)
			expect_body(evq_batch_at(b, i), evq_batch_at(b, i)->body_len);
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.leased, s.messages);
}

START_TEST(every_size_over_the_first_part_comes_back)
{
	evq_queue *q = queue("q");
	size_t step = is_small() ? 7 : 1;
	for (size_t from = 0; from < 4400; from += 200) {
		evq_txn *txn = NULL;
		ck_ok(evq_begin(env, &txn));
		for (size_t len = from; len < from + 200; len += step)
			round_trip(q, txn, len, -1);
		ck_ok(evq_commit(txn));
	}
	expect_the_rest(q);
}
END_TEST

static const long attr_lens[] = { 0, 1, 7, 8, 100, 2000, PART - 20, PART, EVQ_ATTRS_LEN_MAX - 9 };

START_TEST(sizes_around_the_ends_of_parts_come_back_behind_headers_of_any_length)
{
	static const long ends[] = { 0, 2030, PART, 4096, 2 * PART, 5 * PART };
	evq_queue *q = queue("q");
	long step = is_small() ? 7 : 1;
	for (int e = 0; e < COUNT(ends); e++) {
		evq_txn *txn = NULL;
		ck_ok(evq_begin(env, &txn));
		for (long away = -64; away <= 64; away += step) {
			long len = ends[e] - attr_lens[_i] % PART + away;
			if (len >= 0)
				round_trip(q, txn, (size_t)len, attr_lens[_i]);
		}
		ck_ok(evq_commit(txn));
	}
	expect_the_rest(q);
}
END_TEST

START_TEST(large_sizes_up_to_the_default_limit_come_back)
{
	static const size_t lens[] = { 65535, 65536, 65537, 100 * PART - 1, 100 * PART, 100 * PART + 1, MIB - 1, MIB };
	static unsigned char over[MIB + 1];
	evq_queue *q = queue("q");
	for (int i = 0; i < COUNT(lens); i++)
		round_trip(q, NULL, lens[i], i % 3 - 1);
	expect_the_rest(q);
	ck_rc(evq_send(q, NULL, over, sizeof(over), NULL, NULL), EVQ_TOOBIG);
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.max_body_len = 2)));
	send(q, "ab");
	ck_rc(evq_send(q, NULL, over, 3, NULL, NULL), EVQ_TOOBIG);
}
END_TEST

START_TEST(bodies_of_very_different_sizes_come_back_in_one_batch)
{
	enum { N = 60 };
	static unsigned char body[200000];
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	for (size_t i = 0; i < N; i++) {
		size_t len = i * i * i * 31 % sizeof(body) >> i % 5 * 3;
		fill(body, len, len);
		ck_ok(evq_send(q, NULL, body, len, NULL, NULL));
	}
	for (int again = 0; again < 3; again++) {
		ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = N + 5), b));
		ck_assert_uint_eq(evq_batch_count(b), N);
		for (size_t i = 0; i < N; i++)
			expect_body(evq_batch_at(b, i), i * i * i * 31 % sizeof(body) >> i % 5 * 3);
		clock_advance_ms(30000);
	}
}
END_TEST

static off_t
file_len(void)
{
	char path[300];
	struct stat st;
	snprintf(path, sizeof(path), "%s/data.mdb", store_dir);
	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_size;
}

START_TEST(deleted_bodies_leave_their_room_to_others)
{
	static unsigned char body[64 * 1024];
	evq_queue *q = queue("q");
	off_t early = 0;
	for (int i = 0; i < 300; i++) {
		evq_batch *b = NULL;
		ck_ok(evq_send(q, NULL, body, sizeof(body) - (size_t)(i * 101 % 60000), NULL, NULL));
		ck_ok(evq_batch_new(&b));
		ck_ok(evq_receive(q, NULL, NULL, b));
		ck_ok(evq_delete(q, NULL, &evq_batch_at(b, 0)->receipt));
		evq_batch_free(b);
		if (i == 30)
			early = file_len();
	}
	ck_assert_int_le(file_len(), 2 * early);
}
END_TEST

/* ---- one body of 1 GiB ------------------------------------------------------------------------- */

static int
has_room_for_a_gib(void)
{
	struct statvfs fs;
	uint64_t need = 3 * (uint64_t)EVQ_BODY_MAX;
	uint64_t memory = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	return !is_small() && statvfs(store_dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize > need &&
	       memory > need + need / 2;
}

static uint64_t
word_at(size_t i)
{
	return i * 0x9e3779b97f4a7c15U;
}

static size_t
count_same(const uint64_t *words, size_t count)
{
	size_t same = 0;
	while (same < count && words[same] == word_at(same))
		same++;
	return same;
}

START_TEST(a_body_of_1_gib_comes_back)
{
	if (!has_room_for_a_gib())
		return;
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock, .map_size = 4ULL << 30));
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.max_body_len = EVQ_BODY_MAX));
	size_t words = EVQ_BODY_MAX / sizeof(uint64_t);
	uint64_t *body = malloc(EVQ_BODY_MAX);
	ck_assert_ptr_nonnull(body);
	for (size_t i = 0; i < words; i++)
		body[i] = word_at(i);
	ck_rc(evq_send(q, NULL, body, (size_t)EVQ_BODY_MAX + 1, NULL, NULL), EVQ_TOOBIG);
	ck_ok(evq_send(q, NULL, body, EVQ_BODY_MAX, NULL, NULL));
	free(body);
	store_reopen();
	const evq_delivery *d = evq_batch_at(take(queue("q"), 1), 0);
	ck_assert_uint_eq(d->body_len, EVQ_BODY_MAX);
	ck_assert_uint_eq(count_same(d->body, words), words);
	ck_assert_int_eq(((const char *)d->body)[EVQ_BODY_MAX], 0);
	ck_ok(evq_delete(queue("q"), NULL, &d->receipt));
	expect_counts(queue("q"), 0, 0, 0);
}
END_TEST

/* ---- headers and group ------------------------------------------------------------------------- */

START_TEST(headers_keep_order_duplicates_and_any_bytes)
{
	static const char every_byte[] = "\0\1\2\xff\xfe\n;=\0";
	const evq_attr attrs[] = {
		{ "z", "last first", 10 },
		{ "a", NULL, 0 },
		{ "a", "", 0 },
		{ "a", every_byte, sizeof(every_byte) - 1 },
		{ "Content-Type: \xc3\xa9", "x", 1 },
	};
	evq_queue *q = queue("q");
	send_with(q, "body", EVQ_SEND_OPTS(.attrs = attrs, .attr_count = COUNT(attrs)));
	const evq_delivery *d = evq_batch_at(take(q, 1), 0);
	ck_assert_uint_eq(d->attr_count, COUNT(attrs));
	for (int i = 0; i < COUNT(attrs); i++) {
		ck_assert_str_eq(d->attrs[i].name, attrs[i].name);
		ck_assert_uint_eq(d->attrs[i].len, attrs[i].len);
		ck_assert_ptr_nonnull(d->attrs[i].value);
		ck_assert_mem_eq(d->attrs[i].value, attrs[i].value ? attrs[i].value : "", attrs[i].len);
		ck_assert_int_eq(((const char *)d->attrs[i].value)[attrs[i].len], 0);
	}
	ck_assert_str_eq(d->body, "body");
}
END_TEST

static char long_name[EVQ_ATTR_NAME_MAX + 2]; /* one over the limit; + 1 is just at it */
static char value[EVQ_ATTRS_LEN_MAX];

static const struct {
	int rc;
	size_t count;
	evq_attr attr; /* count times */
} headers[] = {
	{ 0, EVQ_ATTRS_MAX, { "n", "v", 1 } },
	{ EVQ_TOOBIG, EVQ_ATTRS_MAX + 1, { "n", "v", 1 } },
	{ 0, 1, { long_name + 1, "v", 1 } },
	{ EVQ_TOOBIG, 1, { long_name, "v", 1 } },
	{ 0, 1, { "n", value, EVQ_ATTRS_LEN_MAX - 9 } },
	{ EVQ_TOOBIG, 1, { "n", value, EVQ_ATTRS_LEN_MAX - 8 } },
	{ EVQ_TOOBIG, 1, { "n", value, EVQ_ATTRS_LEN_MAX } },
	{ 0, EVQ_ATTRS_MAX, { "name", value, EVQ_ATTRS_LEN_MAX / EVQ_ATTRS_MAX - 12 } },
	{ EVQ_TOOBIG, EVQ_ATTRS_MAX, { "name", value, EVQ_ATTRS_LEN_MAX / EVQ_ATTRS_MAX - 11 } },
	{ EVQ_TOOBIG, 1, { "n", value, SIZE_MAX } },
	{ EVQ_TOOBIG, 1, { "n", value, SIZE_MAX - 7 } },
	{ EVQ_TOOBIG, 2, { "n", value, SIZE_MAX / 2 } },
	{ EVQ_TOOBIG, 1, { "n", value, (size_t)UINT32_MAX + 1 } },
	{ EINVAL, 1, { NULL, "v", 1 } },
	{ EINVAL, 1, { "", "v", 1 } },
	{ EINVAL, 1, { "n", NULL, 1 } },
	{ EINVAL, 3, { "n", NULL, 1 } },
};

START_TEST(headers_out_of_bounds_are_refused)
{
	evq_attr attrs[EVQ_ATTRS_MAX + 1];
	memset(long_name, 'n', EVQ_ATTR_NAME_MAX + 1);
	fill((unsigned char *)value, sizeof(value), 3);
	for (size_t i = 0; i < headers[_i].count; i++)
		attrs[i] = headers[_i].attr;
	evq_queue *q = queue("q");
	ck_rc(evq_send(q, NULL, "x", 1, EVQ_SEND_OPTS(.attrs = attrs, .attr_count = headers[_i].count), NULL),
	      headers[_i].rc);
	expect_counts(q, headers[_i].rc == 0, 0, 0);
	if (headers[_i].rc)
		return;
	const evq_delivery *d = evq_batch_at(take(q, 1), 0);
	ck_assert_uint_eq(d->attr_count, headers[_i].count);
	for (size_t i = 0; i < d->attr_count; i++) {
		ck_assert_str_eq(d->attrs[i].name, headers[_i].attr.name);
		ck_assert_uint_eq(d->attrs[i].len, headers[_i].attr.len);
		ck_assert_mem_eq(d->attrs[i].value, headers[_i].attr.value, headers[_i].attr.len);
	}
}
END_TEST

START_TEST(a_group_is_1_to_128_bytes_and_comes_back)
{
	static const struct {
		size_t len;
		int rc;
	} cases[] = { { 0, EINVAL },        { 1, 0 },
		      { 127, 0 },           { EVQ_GROUP_MAX, 0 },
		      { EVQ_GROUP_MAX + 1, EVQ_TOOBIG }, { 5000, EVQ_TOOBIG } };
	evq_queue *q = queue("q");
	for (int i = 0; i < COUNT(cases); i++) {
		char group[5001] = "";
		memset(group, 'g', cases[i].len);
		ck_rc(evq_send(q, NULL, "x", 1, EVQ_SEND_OPTS(.group = group), NULL), cases[i].rc);
		if (cases[i].rc == 0)
			ck_assert_str_eq(evq_batch_at(take(q, 1), 0)->group, group);
		else
			expect_empty(q);
	}
}
END_TEST

START_TEST(a_message_without_group_or_headers_has_none)
{
	evq_queue *q = queue("q");
	send(q, "x");
	const evq_delivery *d = evq_batch_at(take(q, 1), 0);
	ck_assert_ptr_null(d->group);
	ck_assert_uint_eq(d->attr_count, 0);
	ck_assert_uint_eq(d->death_count, 0);
	ck_assert_ptr_null(d->dead_from);
	ck_assert_ptr_null(d->dead_reason);
	ck_assert_int_eq(d->dead_at_ms, 0);
}
END_TEST

START_TEST(inputs_may_be_overwritten_once_send_has_returned)
{
	char body[] = "body", name[] = "name", header[] = "value", group[] = "group";
	evq_attr attr = { name, header, 5 };
	evq_queue *q = queue("q");
	evq_txn *txn = NULL;
	ck_ok(evq_begin(env, &txn));
	ck_ok(evq_send(q, txn, body, 4, EVQ_SEND_OPTS(.attrs = &attr, .attr_count = 1, .group = group), NULL));
	memset(body, '#', 4);
	memset(name, '#', 4);
	memset(header, '#', 5);
	memset(group, '#', 5);
	attr = (evq_attr){ NULL, NULL, 0 };
	ck_ok(evq_commit(txn));
	const evq_delivery *d = evq_batch_at(take(q, 1), 0);
	ck_assert_str_eq(d->body, "body");
	ck_assert_str_eq(d->attrs[0].name, "name");
	ck_assert_str_eq(d->attrs[0].value, "value");
	ck_assert_str_eq(d->group, "group");
}
END_TEST

Suite *
body_suite(void)
{
	Suite *s = suite_create("body");
	TCase *t = tcase_create("body");
	tcase_set_timeout(t, 300);
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_test(t, every_size_over_the_first_part_comes_back);
	tcase_add_loop_test(t, sizes_around_the_ends_of_parts_come_back_behind_headers_of_any_length, 0, COUNT(attr_lens));
	tcase_add_test(t, large_sizes_up_to_the_default_limit_come_back);
	tcase_add_test(t, bodies_of_very_different_sizes_come_back_in_one_batch);
	tcase_add_test(t, deleted_bodies_leave_their_room_to_others);
	tcase_add_test(t, a_body_of_1_gib_comes_back);
	tcase_add_test(t, headers_keep_order_duplicates_and_any_bytes);
	tcase_add_loop_test(t, headers_out_of_bounds_are_refused, 0, COUNT(headers));
	tcase_add_test(t, a_group_is_1_to_128_bytes_and_comes_back);
	tcase_add_test(t, a_message_without_group_or_headers_has_none);
	tcase_add_test(t, inputs_may_be_overwritten_once_send_has_returned);
	suite_add_tcase(s, t);
	return s;
}
