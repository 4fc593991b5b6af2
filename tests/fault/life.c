/* SPDX-License-Identifier: MIT */
/*
 * One short life of a store: made, opened, sent to in one and in batches, received from, every settlement, a
 * dead letter and back, a transaction with a row of ours, purge, drop, copies, closed, opened again. Any call may
 * fail; the life goes on as well as it can, and the model knows before each call what it would change and after it
 * whether it was acknowledged.
 */
#include "fault.h"

#include <lmdb.h>

static evq_env *env;
static evq_queue *queues[PLACES];
static evq_batch *batch;

static void
want(struct thing *t, int next)
{
	t->next = next;
}

static void
answered(struct thing *t, int rc)
{
	if (rc == 0)
		t->now = t->next;
	else if (rc == EVQ_UNKNOWN)
		t->unsure = 1;
	t->next = t->now;
}

int
open_store(evq_env **out)
{
	return evq_env_open(store, EVQ_ENV_OPTS(.durability = durability, .map_size = MAP_SIZE, .journal_size = 1 << 20), out);
}

/* Of any length; which one it is stands at its beginning. */
evq_buf
fault_body(unsigned i)
{
	static unsigned char bodies[MESSAGES][LEN_MAX];
	bodies[i][0] = (unsigned char)i;
	return (evq_buf){ bodies[i], i == 5 ? LEN_MAX : i % 4 == 1 ? 12000 - i : 1 + i * 60 };
}

static void
open_queues(void)
{
	for (int place = PLACES - 1; place > 0; place--)
		for (int tries = 0; tries < 2 && !queues[place]; tries++) {
			want(&model->queues[place], IN_Q);
			answered(&model->queues[place],
			         evq_queue_open(env, queue_names[place],
			                        EVQ_QUEUE_ATTRS(.dead_letter = place == IN_Q ? "dead" : NULL), &queues[place]));
		}
}

static void
want_all(unsigned from, unsigned count, int next)
{
	for (unsigned i = from; i < from + count; i++)
		want(&model->messages[i], next);
}

static void
all_answered(unsigned from, unsigned count, int rc)
{
	for (unsigned i = from; i < from + count; i++)
		answered(&model->messages[i], rc);
}

static void
send_to(int place, unsigned from, unsigned count)
{
	evq_buf bodies[MESSAGES];
	for (unsigned i = 0; i < count; i++)
		bodies[i] = fault_body(from + i);
	want_all(from, count, place);
	all_answered(from, count,
	             count == 1 ? evq_send(queues[place], NULL, bodies[0].data, bodies[0].len, NULL, NULL) :
	                          evq_send_batch(queues[place], NULL, bodies, count, NULL, NULL));
}

/* The i-th of the batch, in the model; one that is not there is a message of nobody's. */
static struct thing *
received(size_t i, evq_receipt *r)
{
	static struct thing nobody;
	const evq_delivery *d = evq_batch_at(batch, i);
	memset(r, 0, sizeof(*r));
	if (!d)
		return &nobody;
	*r = d->receipt;
	return &model->messages[*(const unsigned char *)d->body % MESSAGES];
}

static void
settle_four(void)
{
	evq_receipt r;
	int rc = 0;
	(void)evq_receive(queues[IN_Q], NULL, EVQ_RECEIVE_OPTS(.count = 5), batch);
	struct thing *t = received(0, &r);
	want(t, NOWHERE);
	answered(t, evq_delete(queues[IN_Q], NULL, &r));
	t = received(1, &r);
	want(t, NOWHERE);
	int all = evq_delete_batch(queues[IN_Q], NULL, &r, 1, &rc);
	answered(t, all ? all : rc);
	received(2, &r);
	(void)evq_extend(queues[IN_Q], NULL, &r, 1000, &r);
	(void)evq_release(queues[IN_Q], NULL, &r, EVQ_BACKOFF, 0);
	for (size_t i = 3; i < 5; i++) {
		t = received(i, &r);
		want(t, IN_DEAD);
		answered(t, evq_bury(queues[IN_Q], NULL, &r, "in this life"));
	}
}

static int
takes_first(const evq_delivery *d, void *arg)
{
	int *index = arg;
	if (*index >= 0)
		return 0;
	*index = *(const unsigned char *)d->body;
	want(&model->messages[*index], IN_Q);
	return 1;
}

static void
redrive_one(void)
{
	size_t moved;
	int index = -1;
	int rc = evq_redrive(queues[IN_DEAD], NULL, EVQ_REDRIVE_OPTS(.match = takes_first, .match_arg = &index), &moved);
	if (index >= 0)
		answered(&model->messages[index], rc);
}

static int
put_row(evq_txn *txn)
{
	MDB_dbi dbi;
	static unsigned char bytes[LEN_MAX];
	MDB_val k = { 3, "row" }, v = { sizeof(bytes), bytes };
	int rc = mdb_dbi_open(evq_txn_mdb(txn), "mine", MDB_CREATE, &dbi);
	return rc ? rc : mdb_put(evq_txn_mdb(txn), dbi, &k, &v, 0);
}

/* A row of ours, a message sent, one received and deleted: all or nothing. */
static void
one_transaction(unsigned sends)
{
	evq_txn *txn = NULL;
	evq_receipt r;
	evq_buf body = fault_body(sends);
	struct thing *gone = NULL;
	int rc = evq_begin(env, &txn);
	if (rc)
		return;
	rc = put_row(txn);
	if (!rc)
		rc = evq_send(queues[IN_Q], txn, body.data, body.len, NULL, NULL);
	if (!rc && (rc = evq_receive(queues[IN_Q], txn, NULL, batch)) == 0) {
		gone = received(0, &r);
		rc = evq_delete(queues[IN_Q], txn, &r);
	}
	if (rc) {
		evq_abort(txn);
		return;
	}
	want(&model->row, IN_Q);
	want(&model->messages[sends], IN_Q);
	want(gone, NOWHERE); /* may be what was just sent */
	rc = evq_commit(txn);
	answered(&model->row, rc);
	answered(&model->messages[sends], rc);
	if (gone != &model->messages[sends])
		answered(gone, rc);
}

/* A purge works in slices: an error may follow what it did already, and so its messages are here or there. */
static void
purge_and_drop(unsigned from, unsigned count)
{
	size_t purged;
	want_all(from, count, NOWHERE);
	int purge_rc = evq_purge(queues[IN_OTHER], NULL, &purged);
	if (!purge_rc)
		all_answered(from, count, 0);
	send_to(IN_OTHER, from + count, 1);
	want(&model->messages[from + count], NOWHERE);
	want(&model->queues[IN_OTHER], NOWHERE);
	int rc = evq_queue_drop(env, NULL, queue_names[IN_OTHER]);
	answered(&model->messages[from + count], rc);
	answered(&model->queues[IN_OTHER], rc);
	if (!rc || !purge_rc)
		all_answered(from, count, rc);
}

static void
look_around(void)
{
	evq_stats s = { .size = sizeof(s) };
	evq_queue_attrs attrs = { .size = sizeof(attrs) };
	(void)evq_queue_stats(queues[IN_Q], &s);
	(void)evq_peek(queues[IN_Q], NULL, batch);
	(void)evq_queue_get_attrs(queues[IN_Q], &attrs);
	(void)evq_queue_set_attrs(queues[IN_Q], NULL, EVQ_QUEUE_ATTRS(.dead_letter = "dead", .visibility_ms = 5000));
	(void)evq_sync(env);
	(void)evq_verify(env, NULL, NULL);
	for (int i = 0; i < 2; i++)
		model->copied[i] = evq_env_copy(env, copies[i], i ? EVQ_COPY_COMPACT : 0) == 0;
}

static void
close_store(void)
{
	for (int place = 1; place < PLACES; place++) {
		evq_queue_close(queues[place]);
		queues[place] = NULL;
	}
	evq_env_close(env);
	env = NULL;
}

void
live(void)
{
	if (open_store(&env) && open_store(&env)) /* a failed open leaves nothing in the way of the next */
		return;
	if (evq_batch_new(&batch) == 0 || evq_batch_new(&batch) == 0) {
		open_queues();
		send_to(IN_Q, 0, 1);
		send_to(IN_Q, 1, 1);
		send_to(IN_Q, 2, 5);
		settle_four();
		redrive_one();
		one_transaction(7);
		send_to(IN_OTHER, 8, 3);
		purge_and_drop(8, 3);
		look_around();
	}
	close_store();
	evq_batch_free(batch);
	batch = NULL;
	if (open_store(&env) == 0) {
		queues[IN_Q] = NULL;
		if (evq_queue_open(env, "q", NULL, &queues[IN_Q]) == 0)
			send_to(IN_Q, 12, 3);
		close_store();
	}
}
