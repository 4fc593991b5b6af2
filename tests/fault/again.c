/* SPDX-License-Identifier: MIT */
/*
 * A life of the other kinds of queue, in which every send has something that it is known by and is repeated until it is
 * answered: at once, when the store is opened again, and by the look afterwards, in a process without faults. However
 * often it failed, and whether it had happened or not where the answer was EVQ_UNKNOWN, each message is there once; and
 * what was deleted does not come back. The rest of the life is that of groups and turns: settled, dead-lettered,
 * redriven, in a transaction.
 */
#include "fault.h"

enum { SINGLES = 4, BATCH = 4, OF_CONTENT = 8, IN_TXN = 10, OF_TENANTS = 11, TRIES = 3 };

static evq_env *env;
static evq_queue *q, *dead, *fair;
static evq_batch *batch;

/* ---- what may be --------------------------------------------------------------------------------------- */

static void
may_become(unsigned from, unsigned count, int state)
{
	for (unsigned i = from; i < from + count; i++) {
		model->before[i] = model->states[i];
		model->states[i] |= state;
	}
}

/* The answer decides, where there is one. */
static void
answered(unsigned from, unsigned count, int state, int rc)
{
	for (unsigned i = from; i < from + count && rc != EVQ_UNKNOWN; i++)
		model->states[i] = rc ? model->before[i] : state;
}

/* A repeat answers for the first: one that was not sent waits now, and one that was is as it was. */
static void
was_sent(unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++)
		if (model->states[i] & NOT_SENT)
			model->states[i] = (model->states[i] & ~NOT_SENT) | WAITS;
}

/* ---- sending until it is answered ------------------------------------------------------------------------ */

static int
send_in_txn(const evq_send_opts *o, unsigned i)
{
	evq_txn *txn = NULL;
	evq_buf body = fault_body(i);
	int rc = evq_begin(env, &txn);
	if (rc)
		return rc;
	rc = evq_send(q, txn, body.data, body.len, o, NULL);
	if (!rc)
		return evq_commit(txn);
	evq_abort(txn);
	return rc;
}

static int
send_once(unsigned i, unsigned count)
{
	static const char *const ids[] = { "0", "1", "2", "3", "batch" };
	static const char *const groups[] = { "a", "b", "a", "b", "c" };
	evq_buf bodies[SINGLES];
	for (unsigned k = 0; k < count; k++)
		bodies[k] = fault_body(i + k);
	if (i >= OF_TENANTS)
		return evq_send(fair, NULL, bodies[0].data, bodies[0].len,
		                EVQ_SEND_OPTS(.group = groups[i % 2], .dedup_id = (const char[]){ (char)('a' + i), 0 }), NULL);
	if (i == IN_TXN)
		return send_in_txn(EVQ_SEND_OPTS(.group = "e", .dedup_id = "txn"), i);
	if (i >= OF_CONTENT)
		return evq_send(q, NULL, bodies[0].data, bodies[0].len, EVQ_SEND_OPTS(.group = "d"), NULL);
	return evq_send_batch(q, NULL, bodies, count, EVQ_SEND_OPTS(.group = groups[i], .dedup_id = ids[i]), NULL);
}

static uint64_t
duplicates(void)
{
	evq_stats s = { .size = sizeof(s) };
	return evq_queue_stats(q, &s) ? UINT64_MAX : s.duplicates;
}

static int
send_until_answered(unsigned from, unsigned count)
{
	uint64_t before = 0;
	int rc = EVQ_UNKNOWN, was_unknown = 0;
	may_become(from, count, WAITS);
	for (int tries = 0; rc && tries < TRIES; tries++) {
		if (rc == EVQ_UNKNOWN && tries)
			before = duplicates();
		was_unknown |= rc == EVQ_UNKNOWN && tries;
		rc = send_once(from, count);
		if (rc == EVQ_UNKNOWN) /* whatever was before: it is not known now */
			memcpy(model->before, model->states, sizeof(model->before));
	}
	if (!rc)
		was_sent(from, count);
	else
		answered(from, count, 0, rc);
	if (!rc && was_unknown && from < OF_TENANTS && before != UINT64_MAX)
		tally->repeats[duplicates() > before]++;
	return rc;
}

static int
send_all(void)
{
	int rc = 0;
	for (unsigned i = 0; i < AGAIN; i += i == BATCH ? SINGLES : 1) {
		int one = send_until_answered(i, i == BATCH ? SINGLES : 1);
		rc = rc ? rc : one;
	}
	return rc;
}

/* ---- the life ------------------------------------------------------------------------------------------ */

static int
receipt_at(size_t at, unsigned *i, evq_receipt *r)
{
	const evq_delivery *d = evq_batch_at(batch, at);
	if (!d)
		return 0;
	*i = *(const unsigned char *)d->body % AGAIN;
	*r = d->receipt;
	return 1;
}

static void
settle(evq_queue *of, size_t at, int state)
{
	unsigned i;
	evq_receipt r;
	if (!receipt_at(at, &i, &r))
		return;
	may_become(i, 1, state);
	answered(i, 1, state, state == DELETED ? evq_delete(of, NULL, &r) : evq_bury(of, NULL, &r, "in this life"));
}

static void
settle_some(void)
{
	unsigned i;
	evq_receipt r;
	(void)evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 6), batch); /* of a, of b, of c */
	settle(q, 0, DELETED);
	settle(q, 1, DIED);
	if (receipt_at(2, &i, &r))
		(void)evq_extend(q, NULL, &r, 60000, &r);
	if (receipt_at(3, &i, &r))
		(void)evq_release(q, NULL, &r, EVQ_BACKOFF, 0);
	settle(q, 4, DIED);
	(void)evq_receive(fair, NULL, EVQ_RECEIVE_OPTS(.count = 3), batch);
	settle(fair, 0, DELETED);
	if (receipt_at(1, &i, &r))
		(void)evq_release(fair, NULL, &r, 0, 0);
}

static int
takes_first(const evq_delivery *d, void *arg)
{
	int *index = arg;
	if (*index >= 0)
		return 0;
	*index = *(const unsigned char *)d->body % AGAIN;
	may_become((unsigned)*index, 1, WAITS);
	return 1;
}

static void
redrive_one(void)
{
	int index = -1;
	int rc = evq_redrive(dead, NULL, EVQ_REDRIVE_OPTS(.match = takes_first, .match_arg = &index), NULL);
	if (index >= 0)
		answered((unsigned)index, 1, WAITS, rc);
}

static void
close_queues(void)
{
	evq_queue_close(q);
	evq_queue_close(dead);
	evq_queue_close(fair);
	q = dead = fair = NULL;
}

static int
open_queues(void)
{
	int rc = 0;
	if (!dead)
		rc = evq_queue_open(env, "dead", EVQ_QUEUE_ATTRS(.visibility_ms = 0), &dead);
	if (!rc && !q)
		rc = evq_queue_open(env, "q", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO | EVQ_CONTENT_DEDUP, .dead_letter = "dead"), &q);
	if (!rc && !fair)
		rc = evq_queue_open(env, "fair", EVQ_QUEUE_ATTRS(.flags = EVQ_FAIR, .dead_letter = "dead"), &fair);
	return rc;
}

/* How a store is made is tried in the other life: no fault yet. */
static int
begin(void)
{
	enum inject_kind kind = inject.kind;
	inject.kind = INJECT_NOTHING;
	int rc = evq_batch_new(&batch);
	if (!rc)
		rc = open_store(&env);
	if (!rc)
		rc = open_queues();
	inject.kind = kind;
	return rc;
}

static void
live_once(void)
{
	(void)send_all();
	settle_some();
	redrive_one();
	close_queues();
	evq_env_close(env);
	if (open_store(&env))
		return;
	if (open_queues() == 0)
		(void)send_all();
	close_queues();
	evq_env_close(env);
}

void
live_again(void)
{
	for (int i = 0; i < AGAIN; i++)
		model->states[i] = NOT_SENT;
	if (begin() == 0)
		live_once();
	evq_batch_free(batch);
	batch = NULL;
}

/* ---- the look afterwards --------------------------------------------------------------------------------- */

static int
find(evq_queue *in, int state, int found[AGAIN])
{
	int rc = evq_peek(in, EVQ_PEEK_OPTS(.count = 1000), batch);
	if (rc && rc != EVQ_EMPTY)
		return complain("evq_peek", rc);
	for (size_t at = 0; at < evq_batch_count(batch); at++) {
		int i = *(const unsigned char *)evq_batch_at(batch, at)->body % AGAIN;
		if (found[i])
			return complain("a message twice", i);
		found[i] = state;
	}
	return 0;
}

static int
find_all(int found[AGAIN])
{
	memset(found, 0, AGAIN * sizeof(found[0]));
	return find(q, WAITS, found) || find(fair, WAITS, found) || find(dead, DIED, found);
}

/* found: before the repeats, for those of which nobody knows. */
static int
is_where_it_may_be(unsigned i, int found)
{
	int state = found ? found : DELETED;
	return (model->states[i] & state) != 0;
}

int
check_again(void)
{
	int found[AGAIN], wrong = opens_clean(store, &env);
	if (wrong)
		return wrong;
	wrong = evq_batch_new(&batch) || open_queues() ? complain("no queues", 0) : find_all(found);
	for (unsigned i = 0; i < AGAIN && !wrong; i++)
		tally->unknown[found[i] != 0] += model->states[i] == (NOT_SENT | WAITS);
	if (!wrong && send_all())
		wrong = complain("a repeat is refused", 0);
	if (!wrong)
		wrong = find_all(found);
	for (unsigned i = 0; i < AGAIN && !wrong; i++)
		if (!is_where_it_may_be(i, found[i]))
			wrong = complain("a message is not there once", (int)i);
	if (!wrong && evq_verify(env, NULL, NULL))
		wrong = complain("evq_verify after the repeats", 0);
	close_queues();
	evq_batch_free(batch);
	batch = NULL;
	evq_env_close(env);
	env = NULL;
	return wrong;
}
