/* SPDX-License-Identifier: MIT */
/* What a life does to queues and stores as a whole, and its transactions. */
#include "dice.h"
#include "ledger.h"
#include "life.h"

#include <errno.h>
#include <lmdb.h>
#include <string.h>

struct taken {
	evq_id ids[TOGETHER_MAX];
	size_t count;
};

static int
take(const evq_delivery *d, void *arg)
{
	struct taken *t = arg;
	if (t->count == TOGETHER_MAX)
		return 0;
	t->ids[t->count++] = d->id;
	return 1;
}

void
op_redrive(void)
{
	struct taken t = { .count = 0 };
	const char *to = life_any(3) ? NULL : life_names[QUEUE_B];
	size_t moved = 0;
	ledger_begin("redrive");
	int rc = evq_redrive(life_queues[QUEUE_DEAD], NULL,
	                     EVQ_REDRIVE_OPTS(.to = to, .max = TOGETHER_MAX, .match = take, .match_arg = &t), &moved);
	life_expect(rc || moved == t.count ? rc : EVQ_CORRUPT, 0, 0, "redrive");
	for (size_t i = 0; i < t.count; i++) {
		struct item *item = ledger_find(ITEM_MESSAGE, t.ids[i]);
		ledger_move(item, to ? to : item->origin);
	}
	ledger_end(rc);
}

static void
emptied(const char *queue)
{
	for (size_t i = 0; i < ledger.item_count; i++) {
		struct item *item = &ledger.items[i];
		if (item->alive && item->kind == ITEM_MESSAGE && strcmp(item->queue, queue) == 0)
			ledger_remove(item);
	}
}

void
op_purge(void)
{
	size_t queue = life_any(2) ? QUEUE_B : QUEUE_DEAD;
	ledger_begin("purge");
	ledger_now()->sliced = 1;
	int rc = evq_purge(life_queues[queue], NULL, NULL);
	MUST(rc);
	emptied(life_names[queue]);
	ledger_end(rc);
}

void
op_temporary(void)
{
	const char *name = life_names[QUEUE_TEMPORARY];
	if (!life_queues[QUEUE_TEMPORARY]) {
		life_open_queue(QUEUE_TEMPORARY);
		return;
	}
	evq_queue_close(life_queues[QUEUE_TEMPORARY]);
	life_queues[QUEUE_TEMPORARY] = NULL;
	ledger_begin("drop");
	int rc = evq_queue_drop(life_env, NULL, name);
	MUST(rc);
	emptied(name);
	ledger_remove(ledger_find_queue(name));
	ledger_end(rc);
	life_let_go(QUEUE_TEMPORARY);
}

void
op_sync(void)
{
	ledger_begin("sync");
	ledger_now()->syncs = 1;
	int rc = evq_sync(life_env);
	MUST(ledger_end(rc));
}

/* ---- transactions --------------------------------------------------------------------------------------- */

static void
put_row(evq_txn *txn)
{
	MDB_dbi dbi;
	uint32_t key = (uint32_t)life_any(ROWS);
	MDB_val k = { sizeof(key), &key }, v = { life_any(ROW_MAX), life_bytes + life_any(BODY_MAX - ROW_MAX) };
	MUST(mdb_dbi_open(evq_txn_mdb(txn), USER_DB, MDB_CREATE | MDB_INTEGERKEY, &dbi));
	MUST(mdb_put(evq_txn_mdb(txn), dbi, &k, &v, 0));
	struct item *old = ledger_find(ITEM_ROW, key);
	if (old)
		ledger_remove(old);
	ledger_add(ITEM_ROW, key, NULL, dice_hash(key, v.mv_data, v.mv_size), 0);
}

static void
send_in(evq_txn *txn)
{
	size_t queue = life_pick_queue();
	evq_buf body = life_pick_body(queue);
	evq_send_opts o = life_pick_options(body.len);
	evq_id id = 0;
	int rc = evq_send(life_queues[queue], txn, body.data, body.len, &o, &id);
	if (!life_expect(rc, EVQ_FULL, 0, "send in a transaction"))
		life_sent(queue, &body, &o, id);
}

static void
receive_and_delete_in(evq_txn *txn)
{
	size_t queue = life_pick_queue();
	int rc = evq_receive(life_queues[queue], txn, NULL, life_batch);
	if (life_expect(rc, EVQ_EMPTY, 0, "receive in a transaction"))
		return;
	const evq_delivery *d = evq_batch_at(life_batch, 0);
	MUST(evq_delete(life_queues[queue], txn, &d->receipt));
	life_deleted(d->id);
}

void
op_transaction(void)
{
	evq_txn *txn = NULL;
	int aborts = life_any(5) == 0;
	ledger_begin(aborts ? "transaction, to be aborted" : "transaction");
	MUST(evq_begin(life_env, &txn));
	for (size_t i = life_any(3); i > 0; i--)
		send_in(txn);
	put_row(txn);
	if (life_any(2))
		receive_and_delete_in(txn);
	if (aborts)
		evq_abort(txn);
	int rc = aborts ? ECANCELED : evq_commit(txn);
	ledger_end(life_expect(rc, ECANCELED, 0, "commit"));
}
