/* SPDX-License-Identifier: MIT */
/*
 * What a life receives, and how it settles it. Receipts are held for a while, beyond the end of the store's handle too,
 * and may be stale when their turn comes.
 */
#include "ledger.h"
#include "life.h"

#include <errno.h>

enum { HELD_MAX = 64 };

static struct {
	evq_receipt receipt;
	evq_id id;
	size_t queue;
} held[HELD_MAX];
static size_t held_count;

static void
hold(size_t queue)
{
	for (size_t i = 0; i < evq_batch_count(life_batch) && held_count < HELD_MAX; i++) {
		const evq_delivery *d = evq_batch_at(life_batch, i);
		held[held_count].receipt = d->receipt;
		held[held_count].id = d->id;
		held[held_count++].queue = queue;
	}
}

static void
let_go(size_t i)
{
	held[i] = held[--held_count];
}

void
life_let_go(size_t queue)
{
	for (size_t i = held_count; i > 0; i--)
		if (queue == QUEUES || held[i - 1].queue == queue)
			let_go(i - 1);
}

void
op_receive(void)
{
	size_t queue = life_any(8) ? life_pick_queue() : QUEUE_DEAD;
	ledger_begin("receive");
	int rc = evq_receive(life_queues[queue], NULL, EVQ_RECEIVE_OPTS(.count = (uint32_t)(1 + life_any(8))), life_batch);
	if (!ledger_end(life_expect(rc, EVQ_EMPTY, 0, "receive")))
		hold(queue);
}

/* What is deleted was there, since the store says so. */
void
life_deleted(evq_id id)
{
	struct item *item = ledger_find(ITEM_MESSAGE, id);
	if (!item)
		life_expect(EVQ_CORRUPT, 0, 0, "a message that was deleted already");
	ledger_remove(item);
}

void
op_delete(void)
{
	if (!held_count)
		return;
	size_t i = life_any(held_count);
	ledger_begin("delete");
	int rc = life_expect(evq_delete(life_queues[held[i].queue], NULL, &held[i].receipt), EVQ_STALE, 0, "delete");
	if (!rc)
		life_deleted(held[i].id);
	ledger_end(rc);
	let_go(i);
}

void
op_delete_batch(void)
{
	evq_receipt receipts[HELD_MAX];
	evq_id ids[HELD_MAX];
	int rcs[HELD_MAX];
	size_t count = 0, queue = life_pick_queue();
	for (size_t i = held_count; i > 0 && count < TOGETHER_MAX; i--)
		if (held[i - 1].queue == queue) {
			receipts[count] = held[i - 1].receipt;
			ids[count++] = held[i - 1].id;
			let_go(i - 1);
		}
	if (!count)
		return;
	ledger_begin("delete batch");
	int rc = evq_delete_batch(life_queues[queue], NULL, receipts, count, rcs);
	MUST(rc);
	for (size_t i = 0; i < count; i++)
		if (!life_expect(rcs[i], EVQ_STALE, 0, "delete batch"))
			life_deleted(ids[i]);
	ledger_end(rc);
}

void
op_lease(void)
{
	if (!held_count)
		return;
	size_t i = life_any(held_count);
	evq_receipt *r = &held[i].receipt;
	evq_queue *q = life_queues[held[i].queue];
	int extends = life_any(2) == 0;
	ledger_begin(extends ? "extend" : "release");
	int rc = extends ? evq_extend(q, NULL, r, 20000, r) :
	                   evq_release(q, NULL, r, life_any(2) ? 0 : 5000, life_any(2) ? EVQ_UNCOUNTED : 0);
	ledger_end(life_expect(rc, EVQ_STALE, 0, "extend or release"));
	if (rc || !extends)
		let_go(i);
}

void
op_bury(void)
{
	if (!held_count)
		return;
	size_t i = life_any(held_count);
	ledger_begin("bury");
	int rc = evq_bury(life_queues[held[i].queue], NULL, &held[i].receipt, "by chance");
	if (!life_expect(rc, EVQ_STALE, ENOENT, "bury"))
		ledger_move(ledger_find(ITEM_MESSAGE, held[i].id), life_names[QUEUE_DEAD]);
	ledger_end(rc);
	if (rc != ENOENT)
		let_go(i);
}
