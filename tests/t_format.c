/* SPDX-License-Identifier: MIT */
/*
 * The layers below the store, from inside: option structs that grow, keys whose bytes sort as their numbers,
 * records that read back as they were packed and are refused at every wrong length, and the fuzz target on
 * bytes that are nearly right.
 */
#include "support.h"

#include "body.h"
#include "codes.h"
#include "deduprow.h"
#include "entry.h"
#include "grouprow.h"
#include "key.h"
#include "opts.h"
#include "queue.h"
#include "receipt.h"
#include "record.h"
#include "storerec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint64_t state = 88172645463325252;

/* Source: xorshift64, Marsaglia 2003. */
static uint64_t
dice(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

struct opts {
	size_t size;
	int64_t a, b, c;
};

START_TEST(options_of_an_older_caller_leave_newer_fields_at_their_defaults)
{
	struct opts known, given = { .size = offsetof(struct opts, c), .a = 1, .b = 2, .c = 3 };
	ck_ok(evq__opts_load(&known, sizeof known, offsetof(struct opts, b), &given));
	ck_assert(known.a == 1 && known.b == 2 && known.c == 0);
	given.size = offsetof(struct opts, b);
	ck_ok(evq__opts_load(&known, sizeof known, offsetof(struct opts, b), &given));
	ck_assert(known.a == 1 && known.b == 0);
	given.size--;
	ck_rc(evq__opts_load(&known, sizeof known, offsetof(struct opts, b), &given), EINVAL);
}
END_TEST

START_TEST(options_of_a_newer_caller_are_refused_only_where_they_ask_for_something)
{
	struct opts given = { .size = sizeof given, .a = 1 }, known;
	ck_ok(evq__opts_load(&known, offsetof(struct opts, c), 8, &given));
	for (size_t i = 0; i < sizeof given.c; i++) {
		given.c = (int64_t)((uint64_t)1 << (8 * i));
		ck_rc(evq__opts_load(&known, offsetof(struct opts, c), 8, &given), E2BIG);
	}
}
END_TEST

START_TEST(results_fill_what_the_caller_has_and_clear_the_rest)
{
	struct opts known = { .size = sizeof known, .a = 1, .b = 2, .c = 3 }, given;
	memset(&given, 0xff, sizeof given);
	given.size = offsetof(struct opts, c);
	ck_ok(evq__opts_store(&given, &known, sizeof known, 8));
	ck_assert(given.size == offsetof(struct opts, c) && given.a == 1 && given.b == 2 && given.c == -1);
	given.size = sizeof given;
	ck_ok(evq__opts_store(&given, &known, offsetof(struct opts, b), 8));
	ck_assert(given.a == 1 && given.b == 0 && given.c == 0);
}
END_TEST

static int
compare_places(const struct evq__place *a, const struct evq__place *b)
{
	if (a->queue != b->queue)
		return a->queue < b->queue ? -1 : 1;
	if (a->lane != b->lane)
		return a->lane < b->lane ? -1 : 1;
	if (a->due_ms != b->due_ms)
		return a->due_ms < b->due_ms ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static struct evq__place
any_place(void)
{
	unsigned shift = (unsigned)(dice() % 64);
	return (struct evq__place){ (uint32_t)(dice() % 3 ? 7 : dice()), (uint8_t)(dice() % 3 ? 127 : dice()),
		                    dice() % 3 ? 1000 : dice() >> shift, dice() >> shift };
}

START_TEST(keys_of_the_due_index_sort_as_their_numbers)
{
	for (int i = 0; i < 20000; i++) {
		struct evq__place a = any_place(), b = any_place(), back;
		uint8_t ka[EVQ__DUE_KEY], kb[EVQ__DUE_KEY];
		evq__due_key(&a, ka);
		evq__due_key(&b, kb);
		int bytes = memcmp(ka, kb, sizeof ka), numbers = compare_places(&a, &b);
		ck_assert((bytes > 0) == (numbers > 0) && (bytes < 0) == (numbers < 0));
		evq__due_key_read(ka, &back);
		ck_assert_int_eq(compare_places(&a, &back), 0);
	}
}
END_TEST

START_TEST(priorities_and_lanes_are_each_others_reverse)
{
	for (int p = -128; p <= 127; p++) {
		ck_assert_int_eq(evq__priority_of(evq__lane_of(p)), p);
		if (p > -128)
			ck_assert_uint_lt(evq__lane_of(p), evq__lane_of(p - 1));
	}
}
END_TEST

/* An entry with deaths items of history, packed into out; returns its length. */
static size_t
make_entry(unsigned deaths, uint8_t out[static EVQ__ENTRY_MAX])
{
	static uint8_t bufs[2][EVQ__HISTORY_MAX];
	char name[EVQ_NAME_MAX], reason[EVQ_REASON_MAX];
	struct evq__entry e = { .flags = deaths ? EVQ__ENTRY_DEAD : 0, .group = 7, .receives = 9, .fence = 4, .base = 3, .body_len = 77,
		                .sent_at_ms = 1, .first_received_at_ms = 2, .expires_at_ms = 3 };
	memset(name, 'n', sizeof name);
	memset(reason, 'r', sizeof reason);
	for (unsigned i = 0; i < deaths; i++) {
		struct evq__death d = { (int64_t)i, i, { name, sizeof name - i % 3 }, { reason, sizeof reason - i % 5 } };
		evq__death_add(&e, &d, bufs[i % 2]);
	}
	e.flags |= deaths % 3 ? EVQ__ENTRY_GROUP : 0;
	size_t head_len = evq__entry_pack(&e, out);
	if (e.history.len)
		memcpy(out + head_len, e.history.data, e.history.len);
	return head_len + e.history.len;
}

START_TEST(history_keeps_the_last_moves_and_reads_back)
{
	uint8_t bytes[EVQ__ENTRY_MAX];
	for (unsigned deaths = 0; deaths <= EVQ_DEATHS_MAX + 3; deaths++) {
		unsigned kept = deaths < EVQ_DEATHS_MAX ? deaths : EVQ_DEATHS_MAX;
		struct evq__entry e;
		struct evq__death d;
		size_t at = 0, len = make_entry(deaths, bytes);
		ck_ok(evq__entry_unpack(bytes, len, &e));
		ck_assert_uint_eq(e.deaths, kept);
		ck_assert_uint_eq(e.group, deaths % 3 ? 7 : 0);
		for (unsigned i = deaths - kept; i < deaths; i++) {
			ck_ok(evq__death_next(&e.history, &at, &d));
			ck_assert_int_eq(d.at_ms, (int64_t)i);
			ck_assert_uint_eq(d.from.len, EVQ_NAME_MAX - i % 3);
			ck_assert_uint_eq(d.reason.len, EVQ_REASON_MAX - i % 5);
		}
		ck_rc(evq__death_next(&e.history, &at, &d), EVQ__NONE);
	}
}
END_TEST

START_TEST(entry_of_another_length_is_refused)
{
	uint8_t bytes[EVQ__ENTRY_MAX + 1] = { 0 };
	struct evq__entry e;
	for (unsigned deaths = 0; deaths <= EVQ_DEATHS_MAX; deaths++) {
		size_t len = make_entry(deaths, bytes);
		for (size_t other = 0; other <= sizeof bytes; other++)
			if (other != len)
				ck_rc(evq__entry_unpack(bytes, other, &e), EVQ_CORRUPT);
	}
	size_t len = make_entry(1, bytes);
	bytes[0]++;
	ck_rc(evq__entry_unpack(bytes, len, &e), EVQ_FORMAT);
}
END_TEST

START_TEST(queue_record_reads_back_and_no_other_length_does)
{
	struct evq__queue q = { .number = 5, .state = EVQ__QUEUE_DROPPING, .name_len = 4, .flags = 4, .visibility_ms = 1,
		                .delay_ms = 2, .retention_ms = 3, .retry_min_ms = 4, .retry_max_ms = 5, .dedup_ms = 11,
		                .max_receives = 6, .dead_letter = 7, .max_messages = 8, .max_bytes = 9,
		                .max_body_len = 10, .c = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 }, .name = "name" };
	struct evq__queue back = { .number = 5 };
	uint8_t bytes[EVQ__QUEUE_MAX + 1] = { 0 };
	size_t len = evq__queue_pack(&q, bytes);
	ck_ok(evq__queue_unpack(bytes, len, &back));
	ck_assert_str_eq(back.name, "name");
	ck_assert(!memcmp(&back.c, &q.c, sizeof q.c));
	ck_assert(back.state == q.state && back.flags == 4 && back.visibility_ms == 1 && back.delay_ms == 2 &&
	          back.retention_ms == 3 && back.retry_min_ms == 4 && back.retry_max_ms == 5 &&
	          back.max_receives == 6 && back.dead_letter == 7 && back.max_messages == 8 && back.max_bytes == 9 &&
	          back.max_body_len == 10 && back.dedup_ms == 11);
	for (size_t other = 0; other <= sizeof bytes; other++)
		if (other != len)
			ck_rc(evq__queue_unpack(bytes, other, &back), EVQ_CORRUPT);
}
END_TEST

START_TEST(receipt_of_another_secret_or_with_any_bit_flipped_is_refused)
{
	struct evq__place place = { 3, 100, 1234567, 89 }, back;
	evq_receipt r;
	uint32_t fence;
	evq__receipt_pack(&place, 7, 99, &r);
	ck_ok(evq__receipt_unpack(&r, 99, &back, &fence));
	ck_assert(compare_places(&place, &back) == 0 && fence == 7);
	ck_rc(evq__receipt_unpack(&r, 98, &back, &fence), EINVAL);
	for (int bit = 0; bit < 256; bit++) {
		evq_receipt other = r;
		other.w[bit / 64] ^= (uint64_t)1 << bit % 64;
		ck_rc(evq__receipt_unpack(&other, 99, &back, &fence), EINVAL);
	}
}
END_TEST

/* What the fuzzer would do, for a moment: good records with a few bytes changed, cut or longer. */
START_TEST(readers_survive_bytes_that_are_nearly_right)
{
	uint8_t good[EVQ__ENTRY_MAX + 64], bytes[sizeof good + 1];
	for (int round = 0; round < 200000; round++) {
		size_t len = 0;
		memset(good, 0, sizeof good);
		if (_i == 0)
			len = make_entry((unsigned)(dice() % 9), good);
		else if (_i == 1)
			len = evq__queue_pack(&(struct evq__queue){ .name_len = 3, .name = "abc" }, good);
		else if (_i == 2)
			evq__body_head_pack(1, &(struct evq__body){ 0, { NULL, 0 }, { NULL, 0 }, { "x", 1 } }, good), len = 24;
		else if (_i == 3)
			evq__attrs_pack((evq_attr[]){ { "a", "1", 1 }, { "bb", "22", 2 } }, 2, good), len = 22;
		else if (_i == 5)
			for (int n = 0; n < 4; n++)
				len += evq__note_pack(n % 2 ? EVQ__NOTE_DEL : EVQ__NOTE_PUT, 2, 3, 4, good + len) + (n % 2 ? 3 : 7);
		else if (_i == 7)
			good[0] = 7, evq__le64_put(good + 1, 99), len = EVQ__STAND + make_entry((unsigned)(dice() % 9), good + EVQ__STAND);
		else if (_i == 8)
			evq__le64_put(good, 5), len = EVQ__TURN;
		else if (_i == 9)
			evq__dedup_pack(&(struct evq__dedup){ EVQ__DEDUP_ID, 1, 2, 3, { NULL, 0 } }, good), len = EVQ__DEDUP_HEAD + 4;
		else if (_i == 6)
			evq__journal_head_pack(&(struct evq__journal_head){ .ring = 8192 }, good), len = EVQ__JOURNAL_HEAD_USED;
		else
			evq__storerec_pack(&(struct evq__storerec){ .next_id = 1, .next_queue = 1 }, good),
			        len = EVQ__STOREREC_LEN;
		for (uint64_t n = dice() % 4; n > 0; n--)
			good[dice() % len] = (uint8_t)dice();
		len += dice() % 8 ? 0 : dice() % 40;
		len -= dice() % 8 ? 0 : dice() % (len + 1);
		bytes[0] = (uint8_t)_i;
		memcpy(bytes + 1, good, len);
		(void)LLVMFuzzerTestOneInput(bytes, len + 1);
	}
}
END_TEST

/* A record holds for its place, its forerunner and its journal, and for every bit of it. */
START_TEST(record_is_taken_for_none_other)
{
	uint8_t record[EVQ__RECORD_HEAD + 9] = { 0 };
	uint32_t len = sizeof record;
	uint64_t check, sealed = evq__record_seal(record, len, 640, 11, 22);
	ck_assert_uint_eq(evq__record_len(record, 640), len);
	ck_ok(evq__record_check(record, len, 11, 22, &check));
	ck_assert_uint_eq(check, sealed);
	ck_assert_uint_eq(evq__record_len(record, 648), 0);
	ck_rc(evq__record_check(record, len, 12, 22, &check), EVQ__NONE);
	ck_rc(evq__record_check(record, len, 11, 23, &check), EVQ__NONE);
	for (uint32_t bit = 0; bit < 8 * len; bit++) {
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!evq__record_len(record, 640) || evq__record_check(record, len, 11, 22, &check) == EVQ__NONE);
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
END_TEST

START_TEST(store_record_of_the_version_before_is_read)
{
	uint8_t packed[EVQ__STOREREC_LEN];
	struct evq__storerec rec = { .next_queue = 3, .next_id = 9, .seen_ms = 5, .chain = 7 }, out;
	evq__storerec_pack(&rec, packed);
	ck_ok(evq__storerec_unpack(packed, sizeof packed, &out));
	ck_assert_uint_eq(out.chain, 7);
	packed[0] = 1;
	ck_rc(evq__storerec_unpack(packed, sizeof packed, &out), EVQ_FORMAT);
	ck_ok(evq__storerec_unpack(packed, 96, &out));
	ck_assert(out.next_queue == 3 && out.next_id == 9 && out.seen_ms == 5 && out.chain == 0);
	packed[0] = 3;
	ck_rc(evq__storerec_unpack(packed, sizeof packed, &out), EVQ_FORMAT);
}
END_TEST

Suite *
format_suite(void)
{
	Suite *s = suite_create("format");
	TCase *t = tcase_create("format");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, options_of_an_older_caller_leave_newer_fields_at_their_defaults);
	tcase_add_test(t, options_of_a_newer_caller_are_refused_only_where_they_ask_for_something);
	tcase_add_test(t, results_fill_what_the_caller_has_and_clear_the_rest);
	tcase_add_test(t, keys_of_the_due_index_sort_as_their_numbers);
	tcase_add_test(t, priorities_and_lanes_are_each_others_reverse);
	tcase_add_test(t, history_keeps_the_last_moves_and_reads_back);
	tcase_add_test(t, entry_of_another_length_is_refused);
	tcase_add_test(t, queue_record_reads_back_and_no_other_length_does);
	tcase_add_test(t, receipt_of_another_secret_or_with_any_bit_flipped_is_refused);
	tcase_add_test(t, record_is_taken_for_none_other);
	tcase_add_test(t, store_record_of_the_version_before_is_read);
	tcase_add_loop_test(t, readers_survive_bytes_that_are_nearly_right, 0, 10);
	suite_add_tcase(s, t);
	return s;
}
