/* SPDX-License-Identifier: MIT */
/*
 * Owns the frame of a call: arguments -> transaction -> engine -> commit -> wake and tell. Also what keeps a
 * joined transaction honest: a call that fails after it has changed something leaves that transaction fit
 * for nothing but abort, whatever its caller makes of the error.
 */
#include "run.h"

#include <errno.h>

#include "catalog.h"
#include "clock.h"

/* No clock's time is behind 0 or so far ahead that a life of 100 years would not fit. */
#define LATEST_MS (INT64_MAX / 4)

int
evq__env_check(const evq_env *env)
{
	if (!env || env->magic != EVQ__ENV_MAGIC)
		return EINVAL;
	if (atomic_load(&env->closed))
		return EBADF;
	return evq__store_forked(env->store) ? EVQ_FORKED : 0;
}

int
evq__queue_check(const evq_queue *q)
{
	return !q || q->magic != EVQ__QUEUE_MAGIC ? EINVAL : evq__env_check(q->env);
}

uintptr_t
evq__this_thread(void)
{
	return (uintptr_t)pthread_self();
}

int
evq__env_check_free(const evq_env *env)
{
	return atomic_load(&env->user_thread) == evq__this_thread() ? EDEADLK : 0;
}

static int64_t
within_bounds(int64_t ms)
{
	return ms < 0 ? 0 : ms > LATEST_MS ? LATEST_MS : ms;
}

static int
check_txn(const evq_env *env, const evq_txn *txn)
{
	if (txn->magic != EVQ__TXN_MAGIC || txn->env != env)
		return EINVAL;
	return txn->thread == evq__this_thread() ? txn->txn.rc : EPERM;
}

static void
start(struct evq__run *run, evq_env *env, evq_txn *joined)
{
	run->env = env;
	run->joined = joined;
	run->news = (struct evq__news){ .wanted = env->on_event != NULL };
	run->only_reads = 0;
	run->call.txn = joined ? &joined->txn : &run->own;
	run->call.news = joined ? &joined->news : &run->news;
	run->call.q.number = run->call.other.number = 0;
}

/* Needs: the transaction. The time is read inside it, so that it goes forward from call to call. */
static void
set_out(struct evq__run *run)
{
	const evq_env *env = run->env;
	run->call.now_ms = within_bounds(env->clock ? env->clock(env->clock_arg) : evq__store_now(env->store));
	run->call.wall_ms = env->clock ? run->call.now_ms : within_bounds(evq__clock_wall_ms());
	if (!run->only_reads) {
		run->call.owner = evq__owner(env->store);
		run->call.nonce = evq__store_nonce(env->store);
		evq__store_saw(env->store, run->call.now_ms);
	}
	run->call.secret = evq__store_secret(run->env->store);
	run->call.name_end = evq__store_name_end(run->env->store);
	run->call.settled = run->call.txn->changes;
}

int
evq__run_begin(struct evq__run *run, evq_env *env, evq_txn *txn)
{
	int rc = evq__env_check(env);
	if (!rc)
		rc = txn ? check_txn(env, txn) : evq__env_check_free(env);
	if (rc)
		return rc;
	start(run, env, txn);
	if (!txn && (rc = evq__txn_begin(env->store, &run->own, &run->call.txn)))
		return rc;
	set_out(run);
	return 0;
}

int
evq__run_queue(struct evq__run *run, evq_queue *q, evq_txn *txn)
{
	int rc = evq__queue_check(q);
	if (!rc)
		rc = evq__run_begin(run, q->env, txn);
	if (rc)
		return rc;
	rc = evq__catalog_enter(&run->call, q->number);
	return rc ? evq__run_end(run, rc) : 0;
}

int
evq__run_read(struct evq__run *run, evq_env *env)
{
	int rc = evq__env_check(env);
	if (rc)
		return rc;
	start(run, env, NULL);
	run->only_reads = 1;
	if ((rc = evq__txn_read(env->store, &run->own, &run->call.txn)))
		return rc;
	set_out(run);
	return 0;
}

int
evq__run_survey(struct evq__run *run, evq_env *env)
{
	int rc = evq__env_check(env);
	if (rc)
		return rc;
	start(run, env, NULL);
	run->only_reads = 1;
	if ((rc = evq__txn_snapshot(env->store, &run->own)))
		return rc;
	set_out(run);
	return 0;
}

static int
read_queue(struct evq__run *run, evq_queue *q, int (*begin)(struct evq__run *run, evq_env *env))
{
	int rc = evq__queue_check(q);
	if (!rc)
		rc = begin(run, q->env);
	if (rc)
		return rc;
	rc = evq__catalog_enter(&run->call, q->number);
	return rc ? evq__run_end(run, rc) : 0;
}

int
evq__run_read_queue(struct evq__run *run, evq_queue *q)
{
	return read_queue(run, q, evq__run_read);
}

int
evq__run_survey_queue(struct evq__run *run, evq_queue *q)
{
	return read_queue(run, q, evq__run_survey);
}

static int
end_joined(struct evq__run *run, int rc)
{
	struct evq__txn *t = run->call.txn;
	if (!rc)
		rc = evq__catalog_leave(&run->call);
	if (rc && t->changes != run->call.settled && !t->rc)
		t->rc = rc;
	return rc;
}

/* Sleepers may look as soon as there is something to see; what is told of it waits until it is durable. */
static int
end_own(struct evq__run *run, int rc)
{
	uint64_t mark = 0;
	if (run->only_reads)
		return evq__txn_abort(run->call.txn, rc);
	if (!rc)
		rc = evq__catalog_leave(&run->call);
	rc = rc ? evq__txn_abort(run->call.txn, rc) : evq__txn_commit(run->call.txn, &mark);
	if (!rc) {
		evq__run_wake(run->env, &run->news);
		rc = evq__txn_settle(run->env->store, mark);
	}
	if (rc)
		evq__news_clear(&run->news);
	else
		evq__run_tell(run->env, &run->news);
	return rc;
}

static int
end(struct evq__run *run, int rc)
{
	return run->joined ? end_joined(run, rc) : end_own(run, rc);
}

int
evq__run_end(struct evq__run *run, int rc)
{
	if (rc != EVQ_STALE)
		return end(run, rc);
	run->call.q.c.stale++;
	run->call.q.dirty = 1;
	run->call.txn->durable = EVQ__DURABLE_LATER; /* the count is not worth a flush */
	(void)end(run, 0);          /* stale it is, counted or not */
	return rc;
}

uint64_t
evq__run_changes(const evq_txn *txn)
{
	return txn ? txn->txn.changes : 0;
}

int
evq__run_several(evq_txn *txn, uint64_t changes, int rc)
{
	if (rc && txn && txn->txn.changes != changes && !txn->txn.rc)
		txn->txn.rc = rc;
	return rc;
}

void
evq__run_wake(evq_env *env, struct evq__news *news)
{
	if (news->wake_all)
		evq__wake_all(env->store);
	else
		for (unsigned i = 0; i < news->wake_count; i++)
			evq__wake_post(env->store, news->wake[i].queue, news->wake[i].count);
	news->wake_count = 0;
	news->wake_all = 0;
}

void
evq__run_tell(evq_env *env, struct evq__news *news)
{
	evq__run_wake(env, news);
	for (size_t i = 0; i < news->count; i++) {
		const struct evq__told *t = &news->told[i];
		env->on_event(&(evq_event){ t->type, t->queue, t->id, t->reason }, env->event_arg);
	}
	evq__news_clear(news);
}
