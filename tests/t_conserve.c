/* SPDX-License-Identifier: MIT */
/*
 * Conservation: after any mixture of calls on a chain of queues of whatever kinds, with limits, quotas, expiry,
 * redrives and repeats, over all of them sent = deleted + expired + purged + alive.
 */
#include "support.h"

static uint64_t random_state;

static uint32_t
pick(uint32_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % below;
}

enum { QUEUES = 3, HELD = 64 };

/* Of the last, the dying and the first queue. */
static const uint32_t kinds[][QUEUES] = {
	{ 0, 0, 0 },
	{ 0, EVQ_FIFO, EVQ_FAIR },
	{ EVQ_FIFO, EVQ_FAIR, 0 },
	{ EVQ_FAIR, 0, EVQ_FIFO },
	{ EVQ_FIFO, EVQ_FIFO, EVQ_FIFO },
	{ EVQ_FAIR, EVQ_FAIR, EVQ_FAIR },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static struct world {
	const uint32_t *flags;
	evq_queue *q[QUEUES];
	evq_receipt held[HELD];
	int at[HELD];
} world;

static void
open_world(const uint32_t flags[QUEUES])
{
	world.flags = flags;
	world.q[0] = queue_with("last", EVQ_QUEUE_ATTRS(.flags = flags[0] | EVQ_CONTENT_DEDUP, .dedup_ms = 500));
	world.q[1] = queue_with("dying", EVQ_QUEUE_ATTRS(.max_receives = 2, .dead_letter = "last", .max_messages = 40,
	                                                 .flags = flags[1], .dedup_ms = 300));
	world.q[2] = queue_with("first", EVQ_QUEUE_ATTRS(.max_receives = 3, .dead_letter = "dying", .retention_ms = 900,
	                                                 .flags = flags[2] | EVQ_EXPIRE_TO_DEAD_LETTER, .visibility_ms = 200));
}

static void
send_one(int i)
{
	static const char *const groups[] = { "a", "b", "c", NULL };
	static const char *const ids[] = { "1", "2", "3", NULL, NULL, NULL, NULL, NULL, NULL };
	int is_fifo = world.flags[i] & EVQ_FIFO;
	int rc = evq_send(world.q[i], NULL, "12345", pick(6),
	                  EVQ_SEND_OPTS(.expires_ms = pick(2) ? 1 + pick(2000) : 0, .delay_ms = is_fifo ? 0 : pick(300),
	                                .group = groups[pick(is_fifo ? 3 : 4)], .dedup_id = ids[pick(COUNT(ids))]),
	                  NULL);
	ck_assert_msg(rc == 0 || rc == EVQ_FULL, "%s", evq_errname(rc));
}

static void
receive_some(int i, evq_batch *b)
{
	if (evq_receive(world.q[i], NULL, EVQ_RECEIVE_OPTS(.count = 1 + pick(5)), b))
		return;
	for (size_t n = 0; n < evq_batch_count(b); n++) {
		uint32_t slot = pick(HELD);
		world.held[slot] = evq_batch_at(b, n)->receipt;
		world.at[slot] = i;
	}
}

static void
settle_one(void)
{
	uint32_t slot = pick(HELD);
	evq_queue *q = world.q[world.at[slot]];
	const evq_receipt *r = &world.held[slot];
	switch (pick(4)) {
	case 0: (void)evq_delete(q, NULL, r); break;
	case 1: (void)evq_release(q, NULL, r, pick(100), pick(2)); break;
	case 2: (void)evq_bury(q, NULL, r, "picked"); break;
	case 3: (void)evq_extend(q, NULL, r, 100, &world.held[slot]); break;
	}
}

static void
step(evq_batch *b)
{
	int i = (int)pick(QUEUES);
	size_t done;
	switch (pick(12)) {
	case 0: case 1: case 2: send_one(i); break;
	case 3: case 4: case 5: receive_some(i, b); break;
	case 6: case 7: case 8: settle_one(); break;
	case 9: clock_advance_ms(pick(300)); break;
	case 10:
		(void)evq_redrive(world.q[pick(2)], NULL, EVQ_REDRIVE_OPTS(.max = 1 + pick(9)), &done);
		break;
	case 11:
		if (pick(20) == 0)
			ck_ok(evq_purge(world.q[i], NULL, &done));
		break;
	}
}

static void
expect_conservation(int step_no)
{
	uint64_t sent = 0, gone = 0, alive = 0;
	for (int i = 0; i < QUEUES; i++) {
		evq_stats s = stats(world.q[i]);
		sent += s.sent;
		gone += s.deleted + s.expired + s.purged;
		alive += s.messages;
	}
	ck_assert_msg(sent == gone + alive, "step %d: sent %llu, gone %llu, alive %llu", step_no,
	              (unsigned long long)sent, (unsigned long long)gone, (unsigned long long)alive);
}

START_TEST(what_was_sent_is_gone_or_alive_after_any_mixture)
{
	random_state = (uint64_t)_i * 7919 + 1;
	memset(&world, 0, sizeof world);
	open_world(kinds[_i % KINDS]);
	evq_batch *b = batch();
	for (int i = 1; i <= 2000; i++) {
		step(b);
		if (i % 50 == 0)
			expect_conservation(i);
		if (i % 500 == 0)
			verify_clean();
	}
	uint64_t received = 0, dead_lettered = 0, redriven = 0;
	for (int i = 0; i < QUEUES; i++) {
		received += stats(world.q[i]).received;
		dead_lettered += stats(world.q[i]).dead_lettered;
		redriven += stats(world.q[i]).redriven;
	}
	ck_assert_uint_gt(received, 100);
	ck_assert_uint_gt(dead_lettered, 10);
	ck_assert_uint_gt(redriven, 0);
}
END_TEST

Suite *
conserve_suite(void)
{
	Suite *suite = suite_create("conserve");
	TCase *tc = tcase_create("conserve");
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, what_was_sent_is_gone_or_alive_after_any_mixture, 0, 3 * KINDS);
	suite_add_tcase(suite, tc);
	return suite;
}
