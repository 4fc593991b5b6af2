/* SPDX-License-Identifier: MIT */
/*
 * Full stores. A send that does not fit is EVQ_FULL and changes nothing; receiving, settling and moving
 * to a dead letter always have room, so that a full store drains to zero; and the space comes back.
 */
#include "room.h"

#include <limits.h>
#include <lmdb.h>
#include <sys/stat.h>

static off_t
data_size(void)
{
	char name[PATH_MAX];
	struct stat st;
	snprintf(name, sizeof(name), "%s/data.mdb", store_dir);
	ck_assert_int_eq(stat(name, &st), 0);
	return st.st_size;
}

/* ---- full by its quota or its map --------------------------------------------------------------- */

static const struct {
	uint64_t map_size, max_bytes;
	size_t body_len;
	uint32_t take; /* at once when draining */
} rooms[] = {
	{ 4 * MIB, 0, 0, 500 },
	{ 4 * MIB, 0, 20000, 1 },
	{ 4 * MIB, 0, 100, 1000 },
	{ 4 * MIB, 0, 2500, 10 },
	{ 4 * MIB, 0, 5000, 100 },
	{ 4 * MIB, 0, 100000, 10 },
	{ 4 * MIB, 0, 1000000, 1 },
	{ 64 * MIB, 2 * MIB, 100, 100 },
	{ 64 * MIB, 2 * MIB, 20000, 10 },
	{ 16 * MIB, 0, 300, 500 },
	{ 16 * MIB, 8 * MIB, 1 << 20, 3 },
};

static void
expect_within_bounds(int row)
{
	uint64_t quota = rooms[row].max_bytes; /* of pages in use: those given back and those taken in advance come on top */
	uint64_t most = quota ? 2 * quota + 4 * MIB : rooms[row].map_size;
	ck_assert_msg((uint64_t)data_size() <= most, "the file has %lld bytes", (long long)data_size());
}

START_TEST(full_store_refuses_sends_and_drains_to_zero_again_and_again)
{
	open_store(rooms[_i].map_size, rooms[_i].max_bytes);
	evq_queue *q = queue("q");
	uint64_t first = fill(q, rooms[_i].body_len);
	ck_assert_uint_gt(first, 0);
	for (int cycle = 0; cycle < 2; cycle++) {
		uint64_t waiting = stats(q).messages;
		ck_rc(send_many(q, NULL, rooms[_i].body_len, 1), EVQ_FULL);
		ck_assert_uint_eq(stats(q).messages, waiting);
		verify_clean();
		expect_within_bounds(_i);
		ck_assert_uint_eq(drain(q, rooms[_i].take), waiting);
		expect_counts(q, 0, 0, 0);
		uint64_t again = fill(q, rooms[_i].body_len);
		ck_assert_msg(again * 10 >= first * 9, "cycle %d: room for %llu of %llu", cycle, (unsigned long long)again,
		              (unsigned long long)first);
	}
	store_reopen();
	q = queue("q");
	uint64_t more = fill(q, rooms[_i].body_len); /* the opening may have set a page or two free, not more */
	ck_assert_msg(more <= 1 + first / 20, "room for %llu more", (unsigned long long)more);
	drain(q, rooms[_i].take);
	expect_counts(q, 0, 0, 0);
}
END_TEST

/* One call that touches every page of the store needs the most room there is. */
START_TEST(full_store_is_emptied_by_one_receive_and_one_delete)
{
	open_store(4 * MIB, 0);
	evq_queue *q = queue("q");
	uint64_t sent = fill(q, _i ? 200 : 0);
	uint64_t most = sent < EVQ_BATCH_MAX ? sent : EVQ_BATCH_MAX;
	evq_batch *b = batch();
	ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = EVQ_BATCH_MAX), b));
	ck_assert_uint_eq(evq_batch_count(b), most);
	evq_receipt *rs = calloc(most, sizeof(*rs));
	int *rcs = calloc(most, sizeof(*rcs));
	for (size_t i = 0; i < most; i++)
		rs[i] = evq_batch_at(b, i)->receipt;
	ck_ok(evq_delete_batch(q, NULL, rs, most, rcs));
	for (size_t i = 0; i < most; i++)
		ck_ok(rcs[i]);
	free(rs);
	free(rcs);
	ck_assert_uint_eq(stats(q).messages, sent - most);
	drain(q, 1000);
}
END_TEST

START_TEST(full_store_is_emptied_by_one_purge)
{
	open_store(4 * MIB, 0);
	evq_queue *q = queue("q");
	size_t purged = 0;
	uint64_t sent = fill(q, 100);
	ck_ok(evq_purge(q, NULL, &purged));
	ck_assert_uint_eq(purged, sent);
	ck_assert_uint_ge(fill(q, 100) * 10, sent * 9);
	ck_ok(evq_queue_drop(env, NULL, "q"));
	ck_assert_uint_ge(fill(queue("again"), 100) * 10, sent * 9);
}
END_TEST

START_TEST(every_settlement_has_room_in_a_full_store)
{
	open_store(4 * MIB, 0);
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.dead_letter = "dead", .max_receives = 2));
	uint64_t sent = fill(q, 5000);
	for (int round = 0; round < 2; round++) { /* the second release is a dead letter */
		evq_batch *b = NULL;
		ck_ok(evq_batch_new(&b));
		for (uint64_t i = 0; i < sent; i += evq_batch_count(b)) {
			ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 50), b));
			for (size_t n = 0; n < evq_batch_count(b); n++) {
				evq_receipt r = evq_batch_at(b, n)->receipt;
				if (n % 2)
					ck_ok(evq_extend(q, NULL, &r, 1000000, &r));
				if (n % 10 == 0)
					ck_ok(evq_release(q, NULL, &r, 1000000, 0));
			}
		}
		evq_batch_free(b);
		clock_advance_ms(2000000);
	}
	evq_queue *dead = queue("dead");
	expect_empty(q); /* what was not released is moved here */
	while (stats(q).messages)
		expect_empty(q);
	ck_assert_uint_eq(stats(dead).messages, sent);
	size_t moved = 0;
	ck_ok(evq_redrive(dead, NULL, EVQ_REDRIVE_OPTS(.max = sent), &moved));
	ck_assert_uint_eq(moved, sent);
	ck_assert_uint_eq(drain(q, 100), sent);
}
END_TEST

START_TEST(full_store_still_opens_a_queue_and_answers_for_a_new_one)
{
	open_store(4 * MIB, 0);
	evq_queue *q = queue("q"), *more = NULL;
	fill(q, 1000);
	for (int i = 0; i < 2000; i++) {
		char name[32];
		snprintf(name, sizeof(name), "queue-%d", i);
		int rc = evq_queue_open(env, name, EVQ_QUEUE_ATTRS(), &more);
		if (rc == 0)
			evq_queue_close(more);
		else
			ck_rc(rc, EVQ_FULL);
	}
	ck_ok(evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(.visibility_ms = 5)));
	ck_assert_uint_gt(drain(q, 10), 0);
}
END_TEST

/* ---- in a transaction --------------------------------------------------------------------------- */

START_TEST(transaction_that_meets_a_full_store_goes_on)
{
	open_store(4 * MIB, 0);
	evq_queue *q = queue("q");
	evq_txn *txn = NULL;
	uint64_t sent = 0;
	int rc;
	ck_ok(evq_begin(env, &txn));
	while ((rc = send_many(q, txn, 1000, 10)) == 0)
		ck_assert_uint_lt(sent += 10, 100000);
	ck_rc(rc, EVQ_FULL);
	ck_rc(send_many(q, txn, 1000, 10), EVQ_FULL);
	evq_batch *b = batch();
	ck_ok(evq_receive(q, txn, EVQ_RECEIVE_OPTS(.count = 10), b));
	for (size_t i = 0; i < 10; i++)
		ck_ok(evq_delete(q, txn, &evq_batch_at(b, i)->receipt));
	ck_ok(evq_commit(txn));
	ck_assert_uint_gt(sent, 100);
	ck_assert_uint_eq(stats(q).messages, sent - 10);
	ck_assert_uint_eq(drain(q, 100), sent - 10);
}
END_TEST

/* ---- the user's own tables ---------------------------------------------------------------------- */

static int
put_own(size_t number, size_t len)
{
	evq_txn *txn = NULL;
	MDB_dbi dbi;
	MDB_val k = { sizeof(number), &number }, v = { len, bytes };
	ck_ok(evq_begin(env, &txn));
	int rc = mdb_dbi_open(evq_txn_mdb(txn), "mine", MDB_CREATE, &dbi);
	if (!rc)
		rc = mdb_put(evq_txn_mdb(txn), dbi, &k, &v, 0);
	if (rc) {
		evq_abort(txn);
		return rc;
	}
	return evq_commit(txn);
}

static size_t
eat_the_map(void)
{
	size_t number = 0;
	for (size_t len = 200000; len >= 200; len /= 10)
		while (put_own(number, len) == 0)
			ck_assert_uint_lt(number++, 100000);
	return number;
}

START_TEST(map_eaten_by_own_tables_is_full_and_recovers_with_a_larger_one)
{
	open_store(4 * MIB, 0);
	evq_queue *q = queue("q");
	for (int i = 0; i < 200; i++)
		send(q, "waiting");
	ck_assert_uint_gt(eat_the_map(), 10);
	ck_rc(evq_send(q, NULL, bytes, 100, NULL, NULL), EVQ_FULL);
	evq_batch *b = batch();
	uint64_t deleted = 0;
	for (int i = 0; i < 50; i++) {
		int rc = evq_receive(q, NULL, NULL, b);
		if (rc == 0)
			rc = evq_delete(q, NULL, &evq_batch_at(b, 0)->receipt);
		deleted += rc == 0;
		ck_assert_msg(rc == 0 || rc == EVQ_FULL, "%s", evq_errname(rc));
	}
	verify_clean();
	clock_advance_ms(1000000);
	evq_env_close(env);
	ck_ok(evq_env_open(store_dir,
	                   EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock, .map_size = 8 * MIB), &env));
	evq_queue *again = queue("q");
	send(again, "one more");
	ck_assert_uint_eq(drain(again, 10), 201 - deleted);
}
END_TEST

/* ---- the space comes back ----------------------------------------------------------------------- */

static const struct {
	size_t body_len, at_once;
	uint64_t backlog;
} lives[] = {
	{ 100, 1, 0 }, { 100, 100, 0 }, { 3000, 10, 0 }, { 20000, 10, 0 }, { 300000, 1, 0 }, { 100, 10, 1000 }, { 20000, 5, 50 },
};

START_TEST(file_does_not_grow_over_many_lives)
{
	evq_queue *q = queue("q");
	for (uint64_t i = 0; i < lives[_i].backlog; i += lives[_i].at_once)
		ck_ok(send_many(q, NULL, lives[_i].body_len, lives[_i].at_once));
	evq_receipt rs[100];
	int rcs[100];
	evq_batch *b = batch();
	for (int cycle = 0; cycle < 230; cycle++) {
		ck_ok(send_many(q, NULL, lives[_i].body_len, lives[_i].at_once));
		ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = (uint32_t)lives[_i].at_once), b));
		for (size_t i = 0; i < lives[_i].at_once; i++)
			rs[i] = evq_batch_at(b, i)->receipt;
		ck_ok(evq_delete_batch(q, NULL, rs, lives[_i].at_once, rcs));
	}
	off_t alive = (off_t)(lives[_i].backlog * (lives[_i].body_len + 200));
	/* 4 MiB where the keeper is in time; on a machine that is busy with others it commits a little late */
	ck_assert_msg(data_size() <= alive + 5 * (off_t)MIB, "%lld bytes, %lld alive", (long long)data_size(), (long long)alive);
	ck_assert_uint_eq(stats(q).messages, lives[_i].backlog);
}
END_TEST

Suite *
store_room_suite(void)
{
	Suite *s = suite_create("store_room");
	TCase *tc = tcase_create("room");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_loop_test(tc, full_store_refuses_sends_and_drains_to_zero_again_and_again, 0,
	                    (int)(sizeof(rooms) / sizeof(rooms[0])));
	tcase_add_loop_test(tc, full_store_is_emptied_by_one_receive_and_one_delete, 0, 2);
	tcase_add_test(tc, full_store_is_emptied_by_one_purge);
	tcase_add_test(tc, every_settlement_has_room_in_a_full_store);
	tcase_add_test(tc, full_store_still_opens_a_queue_and_answers_for_a_new_one);
	tcase_add_test(tc, transaction_that_meets_a_full_store_goes_on);
	tcase_add_test(tc, map_eaten_by_own_tables_is_full_and_recovers_with_a_larger_one);
	tcase_add_loop_test(tc, file_does_not_grow_over_many_lives, 0, (int)(sizeof(lives) / sizeof(lives[0])));
	suite_add_tcase(s, tc);
	return s;
}
