/* SPDX-License-Identifier: MIT */
/*
 * The life of a store that is recorded: from the making of it, a few hundred calls by chance, of every kind that
 * changes it, of one thread, with pauses in which the library is left to itself, and now and then closed and opened
 * again. Each call is in the ledger with what it was answered and what it changed.
 *
 * Any answer that the manual does not give for the call ends the program.
 */
#include "dice.h"
#include "ledger.h"
#include "power.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HELD_MAX = 64, TOGETHER_MAX = 12, QUEUES = 4, ROWS = 8, BIG = 1258291, CROWD = 150 };
enum { QUEUE_A, QUEUE_B, QUEUE_DEAD, QUEUE_TEMPORARY };

static const char *const names[QUEUES] = { "a", "b", "dead", "temporary" };
static const struct setting *setting;
static const char *store;
static evq_env *env;
static evq_queue *queues[QUEUES];
static evq_batch *batch;
static uint64_t dice;
static unsigned char *bytes; /* bodies are pieces of these */

static struct {
	evq_receipt receipt;
	evq_id id;
	size_t queue;
} held[HELD_MAX];
static size_t held_count;

static int
expect(int rc, int other, int another, const char *what)
{
	if (rc == 0 || rc == other || rc == another)
		return rc;
	fprintf(stderr, "power_test: %s: %s (%d)\n", what, evq_errname(rc), rc);
	exit(1);
}
#define MUST(call) ((void)expect((call), 0, 0, #call))

static size_t
any(size_t sides)
{
	return dice_below(&dice, sides);
}

static void
nap_ms(size_t ms)
{
	(void)nanosleep(&(struct timespec){ 0, (long)ms * 1000000 }, NULL);
}

/* ---- open and close ---------------------------------------------------------------------------------- */

/* A library that has no journal yet says so. */
int
life_open(const char *dir, const struct setting *s, evq_env **out)
{
	evq_env_opts o = { .size = sizeof(o),
		           .durability = s->durability,
		           .map_size = MAP_SIZE,
		           .journal_size = JOURNAL_SIZE,
		           .keeper = s->keeper };
	int rc = evq_env_open(dir, &o, out);
	o.journal_size = 0;
	return rc == ENOTSUP ? evq_env_open(dir, &o, out) : rc;
}

static void
open_queue(size_t i)
{
	int has_dead = i < QUEUE_DEAD;
	evq_queue_attrs attrs = { .size = sizeof(attrs),
		                  .dead_letter = has_dead ? names[QUEUE_DEAD] : NULL,
		                  .max_body_len = i == QUEUE_A ? BODY_MAX : 0 };
	ledger_begin("open a queue");
	int rc = evq_queue_open(env, names[i], &attrs, &queues[i]);
	MUST(rc);
	if (!ledger_find_queue(names[i]))
		ledger_add(ITEM_QUEUE, 0, names[i], 0, 0);
	if (has_dead && !ledger_find_queue(names[QUEUE_DEAD]))
		ledger_add(ITEM_QUEUE, 0, names[QUEUE_DEAD], 0, 0);
	ledger_end(rc);
}

static void
open_store(void)
{
	MUST(life_open(store, setting, &env));
	for (size_t i = 0; i < QUEUE_TEMPORARY; i++)
		open_queue(i);
	if (ledger_find_queue(names[QUEUE_TEMPORARY]))
		open_queue(QUEUE_TEMPORARY);
}

static void
close_store(void)
{
	for (size_t i = 0; i < QUEUES; i++) {
		evq_queue_close(queues[i]);
		queues[i] = NULL;
	}
	evq_env_close(env);
}

static void
op_reopen(void)
{
	close_store();
	open_store();
}

/* ---- sending ------------------------------------------------------------------------------------------ */

static size_t
messages_alive(size_t longer_than)
{
	size_t count = 0;
	for (size_t i = 0; i < ledger.item_count; i++) {
		const struct item *item = &ledger.items[i];
		count += item->kind == ITEM_MESSAGE && item->alive && (!longer_than || item->len > longer_than);
	}
	return count;
}

static size_t
pick_queue(void)
{
	size_t i = any(10);
	return i < 5 ? QUEUE_A : i < 8 || !queues[QUEUE_TEMPORARY] ? QUEUE_B : QUEUE_TEMPORARY;
}

static evq_buf
pick_body(size_t queue)
{
	static const size_t lens[] = { 0, 100, 100, 100, 700, 3000, 3000, 20000 };
	size_t len = lens[any(sizeof(lens) / sizeof(*lens))];
	if (queue == QUEUE_A && any(60) == 0 && !messages_alive(BIG / 2))
		len = BIG;
	return (evq_buf){ bytes + any(BODY_MAX - BIG), len };
}

static evq_send_opts
pick_options(size_t len)
{
	static const evq_attr attr = { "colour", "green", 5 };
	evq_send_opts o = { .size = sizeof(o), .priority = any(3) ? 0 : (int)any(5) - 2 };
	if (len == BIG) /* it is looked at in each state: not for long */
		o.priority = 100;
	else if (any(4) == 0)
		o.delay_ms = 1 + (int64_t)any(60000);
	if (any(4) == 0) {
		o.attrs = &attr;
		o.attr_count = 1;
	}
	return o;
}

static void
sent(size_t queue, const evq_buf *body, const evq_send_opts *o, evq_id id)
{
	ledger_add(ITEM_MESSAGE, id, names[queue], ledger_content_of(body->data, body->len, o), body->len);
}

static void
op_send(void)
{
	size_t queue = pick_queue();
	evq_buf body = pick_body(queue);
	evq_send_opts o = pick_options(body.len);
	evq_id id = 0;
	ledger_begin("send");
	int rc = expect(evq_send(queues[queue], NULL, body.data, body.len, &o, &id), EVQ_FULL, 0, "send");
	if (!rc)
		sent(queue, &body, &o, id);
	ledger_end(rc);
}

static void
op_send_batch(void)
{
	evq_buf bodies[TOGETHER_MAX];
	evq_id ids[TOGETHER_MAX];
	size_t queue = pick_queue(), count = 2 + any(TOGETHER_MAX - 1);
	evq_send_opts o = pick_options(0);
	for (size_t i = 0; i < count; i++)
		bodies[i] = pick_body(queue);
	ledger_begin("send batch");
	int rc = expect(evq_send_batch(queues[queue], NULL, bodies, count, &o, ids), EVQ_FULL, 0, "send batch");
	for (size_t i = 0; i < count && !rc; i++)
		sent(queue, &bodies[i], &o, ids[i]);
	ledger_end(rc);
}

/* One body of the batch is too long: none is there. */
static void
op_refused(void)
{
	evq_buf bodies[2] = { pick_body(QUEUE_B), { bytes, BIG } };
	ledger_begin("send batch, to be refused");
	if (ledger_end(evq_send_batch(queues[QUEUE_B], NULL, bodies, 2, NULL, NULL)) != EVQ_TOOBIG)
		expect(EVQ_CORRUPT, 0, 0, "a batch with a body that is too long");
}

/* ---- receiving and settling --------------------------------------------------------------------------- */

static void
hold(size_t queue)
{
	for (size_t i = 0; i < evq_batch_count(batch) && held_count < HELD_MAX; i++) {
		const evq_delivery *d = evq_batch_at(batch, i);
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

static void
op_receive(void)
{
	size_t queue = any(8) ? pick_queue() : QUEUE_DEAD;
	ledger_begin("receive");
	int rc = evq_receive(queues[queue], NULL, EVQ_RECEIVE_OPTS(.count = (uint32_t)(1 + any(8))), batch);
	if (!ledger_end(expect(rc, EVQ_EMPTY, 0, "receive")))
		hold(queue);
}

/* What is deleted was there, since the store says so. */
static void
deleted(evq_id id)
{
	struct item *item = ledger_find(ITEM_MESSAGE, id);
	if (!item)
		expect(EVQ_CORRUPT, 0, 0, "a message that was deleted already");
	ledger_remove(item);
}

static void
op_delete(void)
{
	if (!held_count)
		return;
	size_t i = any(held_count);
	ledger_begin("delete");
	int rc = expect(evq_delete(queues[held[i].queue], NULL, &held[i].receipt), EVQ_STALE, 0, "delete");
	if (!rc)
		deleted(held[i].id);
	ledger_end(rc);
	let_go(i);
}

static void
op_delete_batch(void)
{
	evq_receipt receipts[HELD_MAX];
	evq_id ids[HELD_MAX];
	int rcs[HELD_MAX];
	size_t count = 0, queue = pick_queue();
	for (size_t i = held_count; i > 0 && count < TOGETHER_MAX; i--)
		if (held[i - 1].queue == queue) {
			receipts[count] = held[i - 1].receipt;
			ids[count++] = held[i - 1].id;
			let_go(i - 1);
		}
	if (!count)
		return;
	ledger_begin("delete batch");
	int rc = evq_delete_batch(queues[queue], NULL, receipts, count, rcs);
	MUST(rc);
	for (size_t i = 0; i < count; i++)
		if (!expect(rcs[i], EVQ_STALE, 0, "delete batch"))
			deleted(ids[i]);
	ledger_end(rc);
}

static void
op_lease(void)
{
	if (!held_count)
		return;
	size_t i = any(held_count);
	evq_receipt *r = &held[i].receipt;
	evq_queue *q = queues[held[i].queue];
	int extends = any(2) == 0;
	ledger_begin(extends ? "extend" : "release");
	int rc = extends ? evq_extend(q, NULL, r, 20000, r) :
	                   evq_release(q, NULL, r, any(2) ? 0 : 5000, any(2) ? EVQ_UNCOUNTED : 0);
	ledger_end(expect(rc, EVQ_STALE, 0, "extend or release"));
	if (rc || !extends)
		let_go(i);
}

static void
op_bury(void)
{
	if (!held_count)
		return;
	size_t i = any(held_count);
	ledger_begin("bury");
	int rc = evq_bury(queues[held[i].queue], NULL, &held[i].receipt, "by chance");
	if (!expect(rc, EVQ_STALE, ENOENT, "bury"))
		ledger_move(ledger_find(ITEM_MESSAGE, held[i].id), names[QUEUE_DEAD]);
	ledger_end(rc);
	if (rc != ENOENT)
		let_go(i);
}

/* ---- queues as a whole ---------------------------------------------------------------------------------- */

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

static void
op_redrive(void)
{
	struct taken t = { .count = 0 };
	const char *to = any(3) ? NULL : names[QUEUE_B];
	size_t moved = 0;
	ledger_begin("redrive");
	int rc = evq_redrive(queues[QUEUE_DEAD], NULL,
	                     EVQ_REDRIVE_OPTS(.to = to, .max = TOGETHER_MAX, .match = take, .match_arg = &t), &moved);
	expect(rc || moved == t.count ? rc : EVQ_CORRUPT, 0, 0, "redrive");
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

static void
op_purge(void)
{
	size_t queue = any(2) ? QUEUE_B : QUEUE_DEAD;
	ledger_begin("purge");
	ledger_now()->sliced = 1;
	int rc = evq_purge(queues[queue], NULL, NULL);
	MUST(rc);
	emptied(names[queue]);
	ledger_end(rc);
}

static void
op_temporary(void)
{
	const char *name = names[QUEUE_TEMPORARY];
	if (!queues[QUEUE_TEMPORARY]) {
		open_queue(QUEUE_TEMPORARY);
		return;
	}
	evq_queue_close(queues[QUEUE_TEMPORARY]);
	queues[QUEUE_TEMPORARY] = NULL;
	ledger_begin("drop");
	int rc = evq_queue_drop(env, NULL, name);
	MUST(rc);
	emptied(name);
	ledger_remove(ledger_find_queue(name));
	ledger_end(rc);
	for (size_t i = held_count; i > 0; i--)
		if (held[i - 1].queue == QUEUE_TEMPORARY)
			let_go(i - 1);
}

static void
op_sync(void)
{
	ledger_begin("sync");
	ledger_now()->syncs = 1;
	int rc = evq_sync(env);
	MUST(ledger_end(rc));
}

/* ---- transactions --------------------------------------------------------------------------------------- */

static void
put_row(evq_txn *txn)
{
	MDB_dbi dbi;
	uint32_t key = (uint32_t)any(ROWS);
	MDB_val k = { sizeof(key), &key }, v = { any(ROW_MAX), bytes + any(BODY_MAX - ROW_MAX) };
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
	size_t queue = pick_queue();
	evq_buf body = pick_body(queue);
	evq_send_opts o = pick_options(body.len);
	evq_id id = 0;
	if (!expect(evq_send(queues[queue], txn, body.data, body.len, &o, &id), EVQ_FULL, 0, "send in a transaction"))
		sent(queue, &body, &o, id);
}

static void
receive_and_delete_in(evq_txn *txn)
{
	size_t queue = pick_queue();
	if (expect(evq_receive(queues[queue], txn, NULL, batch), EVQ_EMPTY, 0, "receive in a transaction"))
		return;
	const evq_delivery *d = evq_batch_at(batch, 0);
	MUST(evq_delete(queues[queue], txn, &d->receipt));
	deleted(d->id);
}

static void
op_transaction(void)
{
	evq_txn *txn = NULL;
	int aborts = any(5) == 0;
	ledger_begin(aborts ? "transaction, to be aborted" : "transaction");
	MUST(evq_begin(env, &txn));
	for (size_t i = any(3); i > 0; i--)
		send_in(txn);
	put_row(txn);
	if (any(2))
		receive_and_delete_in(txn);
	if (aborts)
		evq_abort(txn);
	int rc = aborts ? ECANCELED : evq_commit(txn);
	ledger_end(expect(rc, ECANCELED, 0, "commit"));
}

/* ---- the life ------------------------------------------------------------------------------------------- */

static void
op_pause(void)
{
	nap_ms(2 + any(29));
}

static const struct {
	void (*fn)(void);
	size_t weight;
} operations[] = {
	{ op_send, 20 },      { op_send_batch, 7 }, { op_refused, 1 }, { op_receive, 14 }, { op_delete, 16 },
	{ op_delete_batch, 5 }, { op_lease, 6 },      { op_bury, 5 },    { op_redrive, 3 },  { op_purge, 1 },
	{ op_temporary, 2 },  { op_sync, 3 },       { op_transaction, 6 }, { op_pause, 4 }, { op_reopen, 1 },
};

static void
operate(void)
{
	size_t sum = 0, i = 0;
	for (size_t k = 0; k < sizeof(operations) / sizeof(*operations); k++)
		sum += operations[k].weight;
	size_t roll = any(sum);
	while (roll >= operations[i].weight)
		roll -= operations[i++].weight;
	if (operations[i].fn == op_send_batch && messages_alive(0) > CROWD)
		op_delete_batch();
	else
		operations[i].fn();
}

void
life(const char *dir, const struct setting *s)
{
	setting = s;
	store = dir;
	dice = s->seed;
	held_count = 0;
	bytes = malloc(BODY_MAX);
	if (!bytes)
		expect(ENOMEM, 0, 0, "malloc");
	for (size_t i = 0; i < BODY_MAX; i += 8)
		memcpy(bytes + i, &(uint64_t){ dice_roll(&dice) }, 8);
	MUST(evq_batch_new(&batch));
	open_store();
	for (unsigned i = 0; i < s->ops; i++)
		operate();
	close_store();
	evq_batch_free(batch);
	free(bytes);
}
