/* SPDX-License-Identifier: MIT */
/*
 * Transactions: the model is copied at the beginning; the copy is what readers
 * see meanwhile, and what is left after an abort.
 */
#include "run.h"

#include <errno.h>
#include <string.h>

/* A queue with something expired in it could not be worked on inside. */
static void
sweep(struct run *r)
{
	for (size_t i = 0; i < r->m->queue_count; i++)
		if (model_limbo(r->m, &r->m->queues[i]) > 0)
			receive(r, &r->m->queues[i], EVQ_RECEIVE_OPTS(.count = EVQ_BATCH_MAX));
}

bool
op_begin(struct run *r)
{
	if (r->txn != NULL)
		return false;
	if (one_in(r, 2))
		sweep(r);
	say(r, "begin");
	expect_rc(r, "evq_begin", 0, evq_begin(r->env, &r->txn));
	r->committed = model_clone(r->m);
	r->begin_token = r->m->last_token;
	return true;
}

bool
op_commit(struct run *r)
{
	int rc;

	if (r->txn == NULL)
		return false;
	say(r, "commit");
	rc = evq_commit(r->txn);
	r->txn = NULL;
	say_more(r, " = %s", rc_name(rc));
	expect_rc(r, "evq_commit", 0, rc);
	model_free(r->committed);
	r->committed = NULL;
	run_look(r);
	model_clear_seen(r->m);
	store_bury_handles(r);
	run_settle(r);
	if (one_in(r, 4))
		compare_all(r);
	return true;
}

/* Whether a refusal inside an aborted transaction was counted is not promised. */
static void
carry_stale(struct run *r)
{
	for (size_t i = 0; i < r->m->queue_count; i++) {
		struct m_queue *was = model_queue_uid(r->committed, r->m->queues[i].uid);

		if (was != NULL)
			was->stale_perhaps += r->m->queues[i].did.stale - was->did.stale;
	}
}

bool
op_abort(struct run *r)
{
	if (r->txn == NULL)
		return false;
	say(r, "abort");
	evq_abort(r->txn);
	r->txn = NULL;
	carry_stale(r);
	r->committed->last_uid = r->m->last_uid;
	r->committed->last_token = r->m->last_token;
	model_free(r->m);
	r->m = r->committed;
	r->committed = NULL;
	pool_abort(r);
	run_settle(r);
	if (one_in(r, 4))
		compare_all(r);
	return true;
}

/* Calls that would need a write transaction of their own. */
bool
op_deadlock(struct run *r)
{
	struct m_queue *mq = pick_queue(r);
	evq_txn *second = NULL;
	evq_queue *q;
	evq_id id;
	size_t n;
	int one;

	if (r->txn == NULL || mq == NULL)
		return false;
	say(r, "calls on %s without the transaction", mq->name);
	q = store_queue(r, mq);
	expect_rc(r, "evq_begin", EDEADLK, evq_begin(r->env, &second));
	expect_rc(r, "evq_send", EDEADLK, evq_send(q, NULL, "x", 1, EVQ_SEND_OPTS(.group = "g"), &id));
	expect_rc(r, "evq_send_batch", EDEADLK,
	          evq_send_batch(q, NULL, &(evq_buf){ "x", 1 }, 1, EVQ_SEND_OPTS(.group = "g"), &id));
	expect_rc(r, "evq_receive", EDEADLK, evq_receive(q, NULL, NULL, r->batch));
	expect_rc(r, "evq_purge", EDEADLK, evq_purge(q, NULL, &n));
	expect_rc(r, "evq_redrive", EDEADLK, evq_redrive(q, NULL, NULL, &n));
	expect_rc(r, "evq_queue_set_attrs", EDEADLK, evq_queue_set_attrs(q, NULL, EVQ_QUEUE_ATTRS(0)));
	expect_rc(r, "evq_queue_drop", EDEADLK, evq_queue_drop(r->env, NULL, mq->name));
	expect_rc(r, "evq_sync", EDEADLK, evq_sync(r->env));
	for (size_t i = 0; i < r->pool_count; i++) {
		evq_receipt receipt = r->pool[i].r;

		if (r->pool[i].uid != mq->uid)
			continue;
		expect_rc(r, "evq_delete", EDEADLK, evq_delete(q, NULL, &receipt));
		expect_rc(r, "evq_delete_batch", EDEADLK, evq_delete_batch(q, NULL, &receipt, 1, &one));
		expect_rc(r, "evq_extend", EDEADLK, evq_extend(q, NULL, &receipt, 0, &receipt));
		expect_rc(r, "evq_release", EDEADLK, evq_release(q, NULL, &receipt, 0, 0));
		expect_rc(r, "evq_bury", EDEADLK, evq_bury(q, NULL, &receipt, "x"));
		break;
	}
	run_settle(r);
	return true;
}
