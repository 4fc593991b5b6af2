/* SPDX-License-Identifier: MIT */
/*
 * evq_receive(3): taking, and waiting for something to take. A waiter holds no transaction. It reads the
 * queue's wake word before it looks, so what comes after the look ends the sleep; and it sleeps no longer
 * than until the next message is due. Where other processes may have leases in the queue, it looks now and then
 * whether those processes are still there: nothing else tells of a death.
 */
#include <errno.h>

#include "batch.h"
#include "bounds.h"
#include "clock.h"
#include "line.h"
#include "opts.h"
#include "orphans_end.h"
#include "run.h"
#include "take.h"

enum { WATCH_MS = 80 }; /* a death is seen after so long at the most */

struct receive {
	evq_queue *q;
	evq_txn *txn;
	evq_receive_opts o;
	evq_batch *into;
	struct evq__take take;
	int64_t until_due_ms; /* from the last look */
	uint32_t interrupts;  /* when the call began */
	int has_slept;
};

static int
check_opts(const evq_receive_opts *opts, const evq_txn *txn, evq_receive_opts *o)
{
	int rc = evq__opts_load(o, sizeof *o, EVQ__RECEIVE_OPTS_FIRST, opts);
	if (rc)
		return rc;
	if (o->count > EVQ_BATCH_MAX)
		return E2BIG;
	if (o->wait_ms < EVQ_NONE || o->window_ms < 0 || (txn && (o->wait_ms || o->window_ms)))
		return EINVAL;
	if (o->visibility_ms < 0 || o->visibility_ms > EVQ__VISIBILITY_MAX)
		return EINVAL;
	if (!o->count)
		o->count = 1;
	return 0;
}

static void
note_next_due(struct receive *r, uint64_t next_due, int64_t now_ms)
{
	uint64_t wait = next_due - (uint64_t)now_ms;
	r->until_due_ms = wait < INT64_MAX ? (int64_t)wait : INT64_MAX;
}

/* Is there anything at all to do? Looked up in a snapshot: who finds nothing need not have the tree opened for him. */
static int
look(struct receive *r, int *is_ready)
{
	struct evq__run run;
	struct evq__found found;
	int rc = evq__run_read_queue(&run, r->q);
	*is_ready = evq__store_is_crowded(rc); /* taking needs no place among the readers */
	if (rc)
		return *is_ready ? 0 : rc;
	struct evq__ready ready = { .from = { .queue = r->q->number }, .found = &found, .max = 1,
		                    .next_due = EVQ__DUE_NEVER };
	rc = evq__run_end(&run, evq__line_collect(&run.call, &ready));
	*is_ready = ready.count > 0 || ready.misplaced;
	note_next_due(r, ready.next_due, run.call.now_ms);
	return rc;
}

static int
try_once(struct receive *r)
{
	struct evq__run run;
	struct evq__take before = r->take;
	size_t count = r->into->count;
	r->take.more = 0;
	r->take.budget = r->txn ? SIZE_MAX : EVQ__SLICE;
	int rc = evq__run_queue(&run, r->q, r->txn);
	if (rc)
		return rc;
	run.call.txn->durable = EVQ__DURABLE_LATER; /* undone by a power loss, the messages are merely visible again */
	rc = evq__take(&run.call, &r->take, r->into);
	if (r->into->count > count)
		evq__owners_lease(r->q->env->store, r->q->number);
	rc = evq__run_end(&run, rc);
	note_next_due(r, r->take.next_due, run.call.now_ms);
	if (rc) {
		r->into->count = count;
		r->take = before;
	}
	return rc;
}

static int
take_once(struct receive *r)
{
	int rc;
	do
		rc = try_once(r);
	while (rc == EVQ__AGAIN);
	return rc;
}

/* On a store without room even for this, as much as there is room for. */
static int
take_all(struct receive *r)
{
	int rc;
	do {
		rc = take_once(r);
		while (rc == EVQ_FULL && !r->txn && (!r->take.is_frugal || r->take.count > r->into->count + 1)) {
			if (r->take.is_frugal)
				r->take.count = r->into->count + (r->take.count - r->into->count) / 2;
			r->take.is_frugal = 1;
			rc = take_once(r);
		}
	} while (!rc && r->take.more && r->into->count < r->take.count);
	return rc;
}

static int
look_and_take(struct receive *r)
{
	int rc = 0, is_ready = 1;
	if (!r->txn) {
		rc = evq__env_check_free(r->q->env);
		if (!rc && !evq__txn_is_cheap(r->q->env->store))
			rc = look(r, &is_ready);
	}
	return rc || !is_ready ? rc : take_all(r);
}

/* Is there something leased or delayed, and did somebody die who may have had it? */
static int
have_orphans_ended(struct receive *r)
{
	struct evq__store *store = r->q->env->store;
	if (r->txn || r->until_due_ms == INT64_MAX || !evq__owners_others_lease(store, r->q->number) ||
	    !evq__owners_dead(store))
		return 0;
	evq__orphans_end(r->q->env);
	return 1;
}

/* Takes what is there: 0 also for nothing. What was taken before a failure is leased, and the caller's. */
static int
take(struct receive *r)
{
	struct evq__watch *watch = r->q->watch;
	size_t before = r->into->count;
	if (watch)
		evq__watch_begin(watch);
	r->until_due_ms = 0;
	int rc = look_and_take(r);
	if (!rc && r->into->count == before && have_orphans_ended(r))
		rc = look_and_take(r);
	int is_watched = r->until_due_ms < INT64_MAX && evq__owners_others_lease(r->q->env->store, r->q->number);
	if (is_watched && r->until_due_ms > WATCH_MS)
		r->until_due_ms = WATCH_MS;
	if (watch)
		evq__watch_end(watch, rc || r->into->count > before ? 0 : r->until_due_ms);
	return rc && r->into->count ? 0 : rc;
}

/* Sleeps, but not beyond end. Errors: EVQ_INTERRUPTED. */
static int
wait_until(struct receive *r, uint32_t seen, int64_t end)
{
	evq_env *env = r->q->env;
	int64_t left = end - evq__clock_monotonic_ms();
	if (atomic_load(&env->interrupts) != r->interrupts)
		return EVQ_INTERRUPTED;
	r->has_slept = 1;
	evq__wake_wait(env->store, r->q->number, seen, left < r->until_due_ms ? left : r->until_due_ms);
	return atomic_load(&env->interrupts) != r->interrupts ? EVQ_INTERRUPTED : 0;
}

static int64_t
end_of(int64_t wait_ms)
{
	int64_t now = evq__clock_monotonic_ms();
	return wait_ms == EVQ_NONE || wait_ms > INT64_MAX - now ? INT64_MAX : now + wait_ms;
}

static int
take_first(struct receive *r)
{
	int64_t end = end_of(r->o.wait_ms);
	for (;;) {
		uint32_t seen = evq__wake_read(r->q->env->store, r->q->number);
		int rc = take(r);
		int is_over = evq__clock_monotonic_ms() >= end;
		if (rc == EVQ_BUSY && r->o.wait_ms && !is_over)
			rc = 0; /* the writer lock is what it waits for, then */
		if (rc || r->into->count || r->take.corrupt || !r->o.wait_ms || is_over)
			return rc;
		if ((rc = wait_until(r, seen, end)))
			return rc;
	}
}

/*
 * Whatever ends it early, the caller has what is there. Who was woken looks once more, even where the window is
 * over by then: what it was woken for nobody else was woken for.
 */
static void
fill_up(struct receive *r)
{
	int64_t end = end_of(r->o.window_ms);
	int is_over = 0;
	while (r->into->count < r->take.count && !r->take.full && !is_over) {
		uint32_t seen = evq__wake_read(r->q->env->store, r->q->number);
		size_t before = r->into->count;
		is_over = evq__clock_monotonic_ms() >= end;
		if (take(r)) {
			evq__wake_pass_on(r->q->env->store, r->q->number);
			return;
		}
		if (r->into->count == before && !r->take.full && !is_over && wait_until(r, seen, end))
			return;
	}
}

int
evq_receive(evq_queue *q, evq_txn *txn, const evq_receive_opts *opts, evq_batch *into)
{
	struct receive r = { .q = q, .txn = txn, .into = into };
	int rc = evq__queue_check(q);
	if (!rc)
		rc = into ? check_opts(opts, txn, &r.o) : EINVAL;
	if (into)
		evq__batch_reset(into);
	if (rc)
		return rc;
	r.take.count = r.o.count;
	r.take.visibility_ms = r.o.visibility_ms;
	r.take.max_bytes = r.o.max_bytes;
	r.take.lease_end = INT64_MAX;
	r.interrupts = atomic_load(&q->env->interrupts);
	rc = take_first(&r);
	if (!rc && into->count && r.o.window_ms)
		fill_up(&r);
	if (r.has_slept && (!into->count || r.take.full))
		evq__wake_pass_on(q->env->store, q->number);
	if (!rc && !into->count)
		rc = r.take.corrupt ? EVQ_CORRUPT : EVQ_EMPTY;
	return rc;
}
