/* SPDX-License-Identifier: MIT */
/*
 * Full stores with groups, turns and remembered ids: what takes no more sends still gives all back, in as many receives
 * as one likes, also where all leases end at once and every message has to be put somewhere else; and the space comes
 * back, but for what pages that are between half and all full differ in. Plain queues are in t_store_room.c.
 */
#include "room.h"

static const struct {
	uint32_t flags;
	unsigned groups;
	size_t body_len;
	uint32_t take; /* at once when draining */
} rooms[] = {
	{ EVQ_FIFO, 1, 0, 500 },        { EVQ_FIFO, 1, 100, 7 },      { EVQ_FIFO, 10000, 100, 300 },
	{ EVQ_FIFO, 13, 5000, 100 },    { EVQ_FIFO, 13, 0, 1000 },    { EVQ_FAIR, 1, 0, 500 },
	{ EVQ_FAIR, 10000, 100, 7 },    { EVQ_FAIR, 10000, 0, 1000 }, { EVQ_FAIR, 13, 5000, 100 },
	{ EVQ_FAIR, 0, 0, 300 },        { 0, 0, 0, 300 },             { 0, 0, 100, 7 },
	{ 0, 13, 0, 500 },              { 0, 10000, 100, 300 },       { 0, 13, 5000, 100 },
};

static evq_queue *
open_full(int row, uint64_t *sent)
{
	open_store(4 * MIB, 0);
	groups = rooms[row].groups;
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = rooms[row].flags, .dead_letter = "dead"));
	*sent = fill(q, rooms[row].body_len);
	ck_assert_uint_gt(*sent, 50);
	return q;
}

/* One message each, so that there are as many groups as messages. */
static uint64_t
send_singly(evq_queue *q)
{
	uint64_t sent = 0;
	while (send_many(q, NULL, 20, 1) == 0)
		sent++;
	return sent;
}

START_TEST(full_store_of_every_kind_drains_to_zero_again_and_again)
{
	uint64_t first;
	evq_queue *q = open_full(_i, &first);
	for (int cycle = 0; cycle < 2; cycle++) {
		uint64_t waiting = stats(q).messages;
		verify_clean();
		ck_assert_uint_eq(drain(q, rooms[_i].take), waiting);
		uint64_t again = fill(q, rooms[_i].body_len);
		ck_assert_msg(again * 10 >= first * 8, "cycle %d: room for %llu of %llu", cycle, (unsigned long long)again,
		              (unsigned long long)first);
	}
	store_reopen();
	q = queue("q");
	ck_assert_uint_ge(drain(q, rooms[_i].take), first * 8 / 10);
	ck_assert_uint_eq(stats(q).messages, 0);
}
END_TEST

START_TEST(leases_that_end_in_a_full_store_all_come_again)
{
	uint64_t sent;
	evq_queue *q = open_full(_i, &sent);
	evq_batch *b = batch();
	for (int round = 0; round < 3; round++) {
		int rc;
		while ((rc = evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = EVQ_BATCH_MAX), b)) == 0)
			;
		ck_rc(rc, EVQ_EMPTY);
		evq_stats s = stats(q); /* one receive after another takes no more of a group */
		ck_assert_uint_eq(s.visible, 0);
		ck_assert_uint_eq(s.leased + s.blocked, sent);
		ck_assert(s.blocked == 0 || (rooms[_i].flags & EVQ_FIFO));
		verify_clean();
		clock_advance_ms(30000);
	}
	ck_assert_uint_eq(drain(q, _i % 2 ? 100 : 1), sent);
}
END_TEST

static const uint32_t kinds[] = { 0, EVQ_FIFO, EVQ_FAIR };

START_TEST(full_store_of_as_many_groups_as_messages_is_received_and_drained)
{
	open_store(4 * MIB, 0);
	groups = UINT32_MAX;
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = kinds[_i]));
	uint64_t sent = send_singly(q), taken = 0;
	evq_batch *b = batch();
	while (taken < sent) {
		ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 100), b));
		taken += evq_batch_count(b);
	}
	clock_advance_ms(30000);
	ck_assert_uint_eq(drain(q, 100), sent);
}
END_TEST

START_TEST(every_message_of_a_full_store_can_be_buried)
{
	uint64_t sent;
	evq_queue *q = open_full(_i, &sent), *dead = queue("dead");
	if (rooms[_i].flags && rooms[_i].body_len < 1000) /* what is noted of so many deaths is more than the reserve */
		return;
	evq_batch *b = batch();
	while (evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 200), b) == 0)
		for (size_t i = 0; i < evq_batch_count(b); i++)
			ck_ok(evq_bury(q, NULL, &evq_batch_at(b, i)->receipt, "why"));
	ck_assert_uint_eq(stats(dead).messages, sent);
	ck_assert_uint_eq(drain(dead, rooms[_i].take), sent);
}
END_TEST

START_TEST(one_purge_or_drop_empties_a_full_store)
{
	uint64_t sent;
	size_t purged = 0;
	evq_queue *q = open_full(_i, &sent);
	ck_ok(evq_purge(q, NULL, &purged));
	ck_assert_uint_eq(purged, sent);
	ck_assert_uint_ge(fill(q, rooms[_i].body_len) * 10, sent * 9);
	ck_ok(evq_queue_drop(env, NULL, "q"));
	ck_assert_uint_ge(fill(queue("again"), rooms[_i].body_len) * 10, sent * 9);
}
END_TEST

/* Repeats take no room, and need none. */
START_TEST(repeats_succeed_in_a_full_store)
{
	char id[32];
	int sent = 0, rc;
	open_store(4 * MIB, 0);
	evq_queue *q = queue_with("q", EVQ_QUEUE_ATTRS(.flags = _i ? EVQ_FIFO : 0));
	do {
		snprintf(id, sizeof(id), "%d", sent);
		rc = evq_send(q, NULL, bytes, 100, EVQ_SEND_OPTS(.group = "g", .dedup_id = id), NULL);
		sent += rc == 0;
	} while (rc == 0);
	ck_rc(rc, EVQ_FULL);
	for (int i = 0; i < sent; i++) {
		snprintf(id, sizeof(id), "%d", i);
		ck_ok(evq_send(q, NULL, bytes, 100, EVQ_SEND_OPTS(.group = "g", .dedup_id = id), NULL));
	}
	ck_assert_uint_eq(stats(q).duplicates, (uint64_t)sent);
	ck_assert_uint_eq(drain(q, 100), (uint64_t)sent);
}
END_TEST

Suite *
kinds_room_suite(void)
{
	Suite *s = suite_create("kinds_room");
	TCase *t = tcase_create("kinds_room");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	ADD_ROWS(t, full_store_of_every_kind_drains_to_zero_again_and_again, 1, COUNT(rooms));
	ADD_ROWS(t, leases_that_end_in_a_full_store_all_come_again, 2, COUNT(rooms));
	tcase_add_loop_test(t, full_store_of_as_many_groups_as_messages_is_received_and_drained, 0, COUNT(kinds));
	ADD_ROWS(t, every_message_of_a_full_store_can_be_buried, 4, COUNT(rooms));
	ADD_ROWS(t, one_purge_or_drop_empties_a_full_store, 6, COUNT(rooms));
	tcase_add_loop_test(t, repeats_succeed_in_a_full_store, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
