/* SPDX-License-Identifier: MIT */
/*
 * Full stores of queues whose rows stand at random places: groups, turns, and what was sent. A send that does not fit
 * is EVQ_FULL; receiving, deleting, dead-lettering and purging always have room, in one call or in many; and the space
 * comes back, what is remembered when its window is over.
 */
#include "room.h"

enum { WINDOW_MS = 1000 };

static const struct kind {
	const char *what;
	uint32_t flags;
	unsigned groups; /* 0: none; how many different ones */
	int has_ids;
} kinds[] = {
	{ "a group each", EVQ_FIFO, 1000000, 0 },
	{ "one group", EVQ_FIFO, 1, 0 },
	{ "fifty groups", EVQ_FIFO, 50, 1 },
	{ "a tenant each", EVQ_FAIR, 1000000, 0 },
	{ "ten tenants", EVQ_FAIR | EVQ_CONTENT_DEDUP, 10, 0 },
	{ "an id each", 0, 0, 1 },
	{ "a body each", EVQ_CONTENT_DEDUP, 0, 0 },
};
static const size_t lengths[] = { 8, 2500 };

enum { KINDS = sizeof kinds / sizeof *kinds, LENGTHS = sizeof lengths / sizeof *lengths };

static const struct kind *kind;
static size_t length;
static uint64_t next;
static evq_queue *q;

/* One that looks random: those that count up would stand side by side. */
static void
put_name(char name[24], uint64_t n)
{
	snprintf(name, 24, "%016llx", (unsigned long long)((n + 1) * UINT64_C(0x9e3779b97f4a7c15)));
}

static int
send_next(evq_txn *txn)
{
	static char body[30000];
	char group[24], id[24];
	uint64_t n = next++;
	memcpy(body, &n, sizeof n);
	put_name(group, n % (kind->groups ? kind->groups : 1));
	put_name(id, n);
	return evq_send(q, txn, body, length,
	                EVQ_SEND_OPTS(.group = kind->groups ? group : NULL, .dedup_id = kind->has_ids ? id : NULL), NULL);
}

static uint64_t
fill_with(evq_txn *txn)
{
	uint64_t sent = 0;
	int rc;
	while ((rc = send_next(txn)) == 0)
		ck_assert_msg(++sent < 100000, "a store without end");
	ck_rc(rc, EVQ_FULL);
	return sent;
}

static void
open_queue(int i)
{
	kind = &kinds[i / LENGTHS];
	length = lengths[i % LENGTHS];
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock, .map_size = 4 * MIB));
	q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = kind->flags, .dedup_ms = WINDOW_MS, .dead_letter = "dead"));
}

START_TEST(full_store_of_any_kind_drains_and_fills_again)
{
	open_queue(_i);
	uint64_t first = fill_with(NULL);
	ck_assert_uint_gt(first, 20);
	for (uint32_t count = 1; count <= EVQ_BATCH_MAX; count *= 100) {
		verify_clean();
		uint64_t waiting = stats(q).messages;
		ck_assert_uint_eq(drain(q, count), waiting);
		clock_advance_ms(WINDOW_MS);
		uint64_t again = fill_with(NULL);
		ck_assert_msg(again * 10 >= first * 8, "%s: room for %llu of %llu", kind->what, (unsigned long long)again,
		              (unsigned long long)first);
	}
}
END_TEST

START_TEST(full_store_of_any_kind_is_purged)
{
	size_t purged = 0;
	open_queue(_i);
	uint64_t first = fill_with(NULL);
	ck_ok(evq_purge(q, NULL, &purged));
	ck_assert_uint_eq(purged, first);
	verify_clean();
	ck_assert_uint_ge(fill_with(NULL) * 10, first * 8); /* without waiting: what was sent is forgotten */
}
END_TEST

START_TEST(full_store_of_any_kind_can_be_moved_and_dropped)
{
	size_t moved = 0, total = 0;
	open_queue(_i);
	if (length < 100) /* what is noted of a death takes more than the message, and than the reserve */
		return;
	uint64_t sent = fill_with(NULL);
	evq_batch *b = batch();
	while (evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 50), b) == 0)
		for (size_t i = 0; i < evq_batch_count(b); i++)
			ck_ok(evq_bury(q, NULL, &evq_batch_at(b, i)->receipt, "bad"));
	ck_assert_uint_eq(stats(queue("dead")).messages, sent);
	do {
		ck_ok(evq_redrive(queue("dead"), NULL, NULL, &moved));
		total += moved;
	} while (moved);
	ck_assert_uint_eq(total, sent);
	verify_clean();
	ck_ok(evq_queue_drop(env, NULL, "q"));
}
END_TEST

START_TEST(full_transaction_of_any_kind_can_be_committed_and_drained)
{
	evq_txn *txn = NULL;
	open_queue(_i);
	ck_ok(evq_begin(env, &txn));
	uint64_t sent = fill_with(txn);
	ck_ok(evq_commit(txn));
	ck_assert_uint_eq(drain(q, 7), sent);
}
END_TEST

/* Nothing else is in there, and each row of it is on another page than the one before. And then its time is over. */
static uint64_t
fill_with_memory(void)
{
	uint64_t sent = 0;
	while (send_next(NULL) == 0) {
		ck_assert_uint_eq(drain(q, 1), 1);
		ck_assert_uint_lt(++sent, 100000);
	}
	ck_assert_uint_eq(stats(q).messages, 0);
	ck_rc(send_next(NULL), EVQ_FULL);
	clock_advance_ms(WINDOW_MS);
	return sent;
}

START_TEST(store_full_of_what_is_remembered_is_of_use_when_that_is_over)
{
	open_queue(_i);
	uint64_t sent = fill_with_memory();
	ck_assert_uint_gt(fill_with(NULL) * 10, sent);
	verify_clean();
}
END_TEST

/* What a send in it clears is undone with it, and yet the next has room. */
START_TEST(transaction_that_was_refused_makes_room_for_the_next)
{
	evq_txn *txn = NULL;
	open_queue(_i);
	fill_with_memory();
	ck_ok(evq_begin(env, &txn));
	ck_rc(send_next(txn), EVQ_FULL);
	evq_abort(txn);
	ck_ok(evq_begin(env, &txn));
	ck_ok(send_next(txn));
	ck_ok(evq_commit(txn));
	ck_assert_uint_eq(drain(q, 1), 1);
	verify_clean();
}
END_TEST

Suite *
full_kinds_suite(void)
{
	Suite *s = suite_create("full_kinds");
	TCase *t = tcase_create("full_kinds");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, NULL, store_teardown);
	ADD_ROWS(t, full_store_of_any_kind_drains_and_fills_again, 1, KINDS * LENGTHS);
	ADD_ROWS(t, full_store_of_any_kind_is_purged, 3, KINDS * LENGTHS);
	ADD_ROWS(t, full_store_of_any_kind_can_be_moved_and_dropped, 5, KINDS * LENGTHS);
	ADD_ROWS(t, full_transaction_of_any_kind_can_be_committed_and_drained, 7, KINDS * LENGTHS);
	for (int i = getenv("EVQ_TEST_SMALL") ? KINDS - 2 : 0; i < KINDS; i++)
		if (kinds[i].has_ids || (kinds[i].flags & EVQ_CONTENT_DEDUP)) {
			tcase_add_loop_test(t, store_full_of_what_is_remembered_is_of_use_when_that_is_over, i * LENGTHS,
			                    i * LENGTHS + 1);
			tcase_add_loop_test(t, transaction_that_was_refused_makes_room_for_the_next, i * LENGTHS,
			                    i * LENGTHS + 1);
		}
	suite_add_tcase(s, t);
	return s;
}
