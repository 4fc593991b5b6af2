/* SPDX-License-Identifier: MIT */
/*
 * What stands in the journal when a process is killed is there when the store is opened again: all that was
 * acknowledged, in its order, and of the call in progress all or nothing. A record that the disk has only in part,
 * and what lies behind it, is not.
 */
#include "killed.h"

#include <stdatomic.h>

static int
add_five(evq_env *env_, evq_queue *to)
{
	(void)env_;
	return send_run(to, 5, 5);
}

/* ---- records that are torn ------------------------------------------------------------------------------ */

struct record {
	size_t at, len; /* in the file */
};

enum { RECORDS = 5 };

/* Those that the tree lacks: a record for each call. */
static void
find_records(const struct image *i, struct record *records)
{
	uint64_t sequence = tree_record().sequence;
	for (int n = 0; n < RECORDS; n++) {
		size_t at = EVQ__JOURNAL_HEAD + sequence % (i->journal.len - EVQ__JOURNAL_HEAD);
		records[n] = (struct record){ at, evq__record_len(i->journal.at + at, sequence) };
		ck_assert_uint_gt(records[n].len, EVQ__RECORD_HEAD);
		sequence += evq__record_padded(records[n].len);
	}
	size_t end = EVQ__JOURNAL_HEAD + sequence % (i->journal.len - EVQ__JOURNAL_HEAD);
	ck_assert_uint_eq(evq__record_len(i->journal.at + end, sequence), 0);
}

static struct image
leave_five(struct record *records)
{
	make_with_run(0, 5);
	leave_behind(add_five);
	struct image i = image_take();
	find_records(&i, records);
	return i;
}

static void
expect_after(const struct image *i, uint32_t count)
{
	image_put(i);
	reopen();
	ck_assert_uint_eq(count_run(0), count);
	ck_assert_int_eq(send_run(q, count, 1), 0);
	ck_assert_uint_eq(count_run(0), count + 1);
	shut();
}

static size_t
behind(const struct record *r)
{
	return r->at + (size_t)evq__record_padded(r->len);
}

START_TEST(record_torn_at_each_length_is_ignored_and_those_before_it_are_there)
{
	struct record r[RECORDS], *last = &r[RECORDS - 1];
	struct image i = leave_five(r);
	unsigned char *whole = malloc(last->len);
	ck_assert_ptr_nonnull(whole);
	memcpy(whole, i.journal.at + last->at, last->len);
	for (size_t cut = 0; cut < last->len; cut++) {
		memset(i.journal.at + last->at, _i ? 0xa5 : 0, last->len);
		memcpy(i.journal.at + last->at, whole, cut);
		if (i.journal.at[last->at + cut] != whole[cut] || cut < 8)
			expect_after(&i, 9);
	}
	memcpy(i.journal.at + last->at, whole, last->len);
	expect_after(&i, 10);
	free(whole);
	image_free(&i);
}
END_TEST

START_TEST(record_with_any_byte_changed_is_ignored)
{
	struct record r[RECORDS], *last = &r[RECORDS - 1];
	struct image i = leave_five(r);
	for (size_t at = last->at; at < last->at + last->len; at++) {
		i.journal.at[at] ^= (unsigned char)(1 << at % 8);
		expect_after(&i, 9);
		i.journal.at[at] ^= (unsigned char)(1 << at % 8);
	}
	image_free(&i);
}
END_TEST

/* Whole records behind a damaged one are those of calls that built on it. */
START_TEST(damaged_record_ends_the_journal_whatever_lies_behind)
{
	struct record r[RECORDS];
	struct image i = leave_five(r);
	for (uint32_t n = 0; n < RECORDS; n++)
		for (size_t at = r[n].at; at < r[n].at + r[n].len; at += 7) {
			i.journal.at[at] ^= 0x40;
			expect_after(&i, 5 + n);
			i.journal.at[at] ^= 0x40;
		}
	image_free(&i);
}
END_TEST

static void
put_noise(struct image *i, const struct record *r)
{
	uint32_t dice = 1;
	for (size_t at = behind(&r[RECORDS - 1]); at < i->journal.len; at++)
		i->journal.at[at] = (unsigned char)((dice = dice * 1664525 + 1013904223) >> 24);
}

static void
put_ones(struct image *i, const struct record *r)
{
	size_t from = behind(&r[RECORDS - 1]);
	memset(i->journal.at + from, 0xff, i->journal.len - from);
}

/* What was in the ring before, or was written twice. */
static void
put_own_records(struct image *i, const struct record *r)
{
	size_t from = r[1].at, end = behind(&r[RECORDS - 1]);
	memmove(i->journal.at + end, i->journal.at + from, end - from);
}

static void
put_last_again(struct image *i, const struct record *r)
{
	const struct record *last = &r[RECORDS - 1];
	memmove(i->journal.at + behind(last), i->journal.at + last->at, last->len);
}

/* Its sequence number is right, and that of another ring's life. */
static void
put_sealed_without_its_forerunner(struct image *i, const struct record *r)
{
	struct evq__journal_head head;
	unsigned char *to = i->journal.at + behind(&r[RECORDS - 1]);
	uint64_t sequence = tree_record().sequence + (behind(&r[RECORDS - 1]) - r[0].at);
	ck_assert_int_eq(evq__journal_head_unpack(i->journal.at, EVQ__JOURNAL_HEAD_USED, &head), 0);
	memmove(to, i->journal.at + r[0].at, r[0].len);
	evq__record_seal(to, (uint32_t)r[0].len, sequence, 0, head.salt);
}

static void (*const litter[])(struct image *i, const struct record *r) = {
	put_noise, put_ones, put_own_records, put_last_again, put_sealed_without_its_forerunner,
};

START_TEST(whatever_lies_behind_the_last_record_is_ignored)
{
	struct record r[RECORDS];
	struct image i = leave_five(r);
	litter[_i](&i, r);
	expect_after(&i, 10);
	image_free(&i);
}
END_TEST

/* ---- a ring that is used many times over ------------------------------------------------------------------- */

enum { KEPT = 20, CALLS = 10000, WRAPS = 6 };

static struct {
	_Atomic uint32_t sent, deleted, calls;
} *told; /* by the killed one, of what was acknowledged */

/* A queue of KEPT messages, of many sizes: the oldest goes when a new one comes. */
static int
send_and_delete_for_ever(evq_env *env_, evq_queue *to)
{
	evq_batch *b = NULL;
	(void)env_;
	EXPECT(evq_batch_new(&b), 0);
	for (uint32_t i = 0;; i++) {
		EXPECT(send_numbered(to, i, 4 + i * 37 % 4000), 0);
		atomic_store(&told->sent, i + 1);
		if (i >= KEPT) {
			EXPECT(evq_receive(to, NULL, NULL, b), 0);
			EXPECT(memcmp(evq_batch_at(b, 0)->body, &(uint32_t){ i - KEPT }, 4), 0);
			EXPECT(evq_delete(to, NULL, &evq_batch_at(b, 0)->receipt), 0);
			atomic_store(&told->deleted, i - KEPT + 1);
		}
		atomic_fetch_add(&told->calls, i >= KEPT ? 3 : 1);
	}
}

/* Returns the first. One that was leased has lost its place to all the others, whether its lease is ended or not. */
static uint32_t
check_order(const evq_batch *b)
{
	size_t count = evq_batch_count(b);
	uint32_t first = number_of(evq_batch_at(b, 0)), last = number_of(evq_batch_at(b, count - 1));
	size_t in_order = last < first ? count - 1 : count;
	for (size_t i = 0; i < in_order; i++)
		ck_assert_uint_eq(number_of(evq_batch_at(b, i)), first + i);
	if (in_order < count)
		ck_assert_uint_eq(last, first - 1);
	return in_order < count ? last : first;
}

/* The call in progress may have happened. */
static void
expect_what_was_told(void)
{
	evq_batch *b = batch();
	ck_ok(evq_peek(q, EVQ_PEEK_OPTS(.count = EVQ_BATCH_MAX), b));
	uint32_t first = check_order(b), sent = first + (uint32_t)evq_batch_count(b);
	ck_assert_uint_ge(first, told->deleted);
	ck_assert_uint_ge(sent, told->sent);
	ck_assert_uint_le(first - told->deleted + sent - told->sent, 1);
	evq_stats s = stats(q);
	ck_assert_uint_eq(s.sent, sent);
	ck_assert_uint_eq(s.deleted, first);
}

START_TEST(order_is_kept_when_the_ring_is_used_many_times_over)
{
	static act_fn *act = send_and_delete_for_ever;
	durability = _i % 2 ? EVQ_DURABLE_FULL : EVQ_DURABLE_RELAXED;
	make_with_run(0, 0);
	pid_t pid = proc_start(act_and_die, &act);
	while (atomic_load(&told->calls) < CALLS && kill(pid, 0) == 0 && waitpid(pid, NULL, WNOHANG) == 0)
		nap_ms(1);
	nanosleep(&(struct timespec){ .tv_nsec = _i * 300000 }, NULL);
	ck_assert_int_eq(proc_kill(pid), 1000 + SIGKILL);
	ck_assert_uint_gt(tree_record().sequence, WRAPS * MIB);
	for (int i = 0; i < 2; i++) {
		reopen();
		expect_what_was_told();
		shut();
	}
}
END_TEST

/* ---- calls larger than a record ------------------------------------------------------------------------------ */

static int
send_a_large_one_among_others(evq_env *env_, evq_queue *to)
{
	(void)env_;
	for (uint32_t i = 0; i < 10; i++)
		EXPECT(send_numbered(to, i, i == 5 ? 2 * MIB : 20), 0);
	return 0;
}

static void
expect_ten_with_a_large_one(void)
{
	ck_assert_uint_eq(count_run(0), 10);
	evq_batch *b = batch();
	ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 10), b));
	ck_assert_uint_eq(evq_batch_at(b, 5)->body_len, 2 * MIB);
}

enum { MANY = 6000 };

static int
send_many(evq_queue *to)
{
	static uint32_t numbers[MANY];
	static evq_buf bodies[MANY];
	for (uint32_t i = 0; i < MANY; i++) {
		numbers[i] = i;
		bodies[i] = (evq_buf){ &numbers[i], sizeof numbers[i] };
	}
	return evq_send_batch(to, NULL, bodies, MANY, NULL, NULL);
}

static int
send_thousands_and_one(evq_env *env_, evq_queue *to)
{
	(void)env_;
	EXPECT(send_many(to), 0);
	EXPECT(send_run(to, MANY, 1), 0);
	return 0;
}

static void
expect_thousands_and_one(void)
{
	ck_assert_uint_eq(count_run(0), MANY + 1);
}

static int
receive_thousands_and_delete_half(evq_env *env_, evq_queue *to)
{
	static evq_receipt receipts[MANY / 2];
	static int rcs[MANY / 2];
	evq_batch *b = NULL;
	(void)env_;
	EXPECT(evq_batch_new(&b), 0);
	EXPECT(send_many(to), 0);
	EXPECT(evq_receive(to, NULL, EVQ_RECEIVE_OPTS(.count = MANY), b), 0);
	EXPECT((int)evq_batch_count(b), MANY);
	for (size_t i = 0; i < MANY / 2; i++)
		receipts[i] = evq_batch_at(b, i)->receipt;
	EXPECT(evq_delete_batch(to, NULL, receipts, MANY / 2, rcs), 0);
	EXPECT(send_run(to, MANY, 1), 0);
	return 0;
}

/* Whether the leases of the dead have been ended yet is not of interest here. */
static void
expect_half_and_one(void)
{
	ck_assert_uint_eq(stats(q).messages, MANY / 2 + 1);
	ck_assert_uint_eq(stats(q).received, MANY);
	ck_assert_uint_eq(stats(q).deleted, MANY / 2);
}

static int
purge_large_ones(evq_env *env_, evq_queue *to)
{
	size_t purged = 0;
	(void)env_;
	for (uint32_t i = 0; i < 50; i++)
		EXPECT(send_numbered(to, i, 300000), 0);
	EXPECT(evq_purge(to, NULL, &purged), 0);
	EXPECT((int)purged, 50);
	EXPECT(send_run(to, 0, 3), 0);
	return 0;
}

static void
expect_three_after_a_purge(void)
{
	ck_assert_uint_eq(count_run(0), 3);
	ck_assert_uint_eq(stats(q).purged, 50);
}

static const struct {
	act_fn *act;
	void (*expect)(void);
} large[] = {
	{ send_a_large_one_among_others, expect_ten_with_a_large_one },
	{ send_thousands_and_one, expect_thousands_and_one },
	{ receive_thousands_and_delete_half, expect_half_and_one },
	{ purge_large_ones, expect_three_after_a_purge },
};

START_TEST(calls_larger_than_a_record_are_there_after_a_kill)
{
	durability = _i % 2 ? EVQ_DURABLE_FULL : EVQ_DURABLE_RELAXED;
	make_with_run(0, 0);
	die_after(large[_i / 2].act);
	reopen();
	large[_i / 2].expect();
	shut();
}
END_TEST

/* ---- a recovery that is killed ------------------------------------------------------------------------------- */

enum { BEFORE = 5, ADDED = 6000, ROUNDS = 12, IN_A_ROW = 3 };

static int
add_thousands(evq_env *env_, evq_queue *to)
{
	(void)env_;
	return send_run(to, BEFORE, ADDED);
}

static int
open_and_wait(void *arg)
{
	evq_env *own = NULL;
	(void)arg;
	EXPECT(open_rc_of(path, &own), 0);
	atomic_store(&told->calls, 1);
	for (;;)
		pause();
}

static int64_t
recovery_us(void)
{
	int64_t start = real_ms();
	expect_run(0, BEFORE + ADDED);
	return (real_ms() - start) * 500 + 1000;
}

START_TEST(recovery_that_is_killed_again_and_again_ends_well)
{
	journal_size = 16 * MIB; /* so that the tree is not committed meanwhile */
	make_with_run(0, BEFORE);
	leave_behind(add_thousands);
	struct image i = image_take();
	int64_t us = recovery_us();
	int in_the_middle = 0;
	for (int round = 0; round < ROUNDS; round++) {
		image_put(&i);
		for (int n = 0; n < IN_A_ROW; n++) {
			atomic_store(&told->calls, 0);
			pid_t pid = proc_start(open_and_wait, NULL);
			nanosleep(&(struct timespec){ .tv_nsec = (long)(us * 1000 / ROUNDS * round) }, NULL);
			ck_assert_int_eq(proc_kill(pid), 1000 + SIGKILL);
			in_the_middle += !atomic_load(&told->calls);
		}
		expect_run(0, BEFORE + ADDED);
	}
	ck_assert_int_gt(in_the_middle, 0);
	image_free(&i);
}
END_TEST

static void
setup_told(void)
{
	setup();
	told = proc_shared(sizeof *told);
	durability = EVQ_DURABLE_RELAXED;
	journal_size = MIB;
}

Suite *
replay_suite(void)
{
	Suite *s = suite_create("replay");
	TCase *t = tcase_create("replay");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup_told, store_teardown);
	tcase_add_loop_test(t, record_torn_at_each_length_is_ignored_and_those_before_it_are_there, 0, 2);
	tcase_add_test(t, record_with_any_byte_changed_is_ignored);
	tcase_add_test(t, damaged_record_ends_the_journal_whatever_lies_behind);
	tcase_add_loop_test(t, whatever_lies_behind_the_last_record_is_ignored, 0, COUNT(litter));
	tcase_add_loop_test(t, order_is_kept_when_the_ring_is_used_many_times_over, 0, 6);
	tcase_add_loop_test(t, calls_larger_than_a_record_are_there_after_a_kill, 0, 2 * COUNT(large));
	tcase_add_test(t, recovery_that_is_killed_again_and_again_ends_well);
	suite_add_tcase(s, t);
	return s;
}
