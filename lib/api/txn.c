/* SPDX-License-Identifier: MIT */
/* evq_txn(3): transactions that several calls, and the user's own LMDB writes, join. */
#include <errno.h>
#include <stdlib.h>

#include "catalog.h"
#include "env.h"
#include "orphans_end.h"
#include "put.h"
#include "run.h"

static int
begin(evq_env *env, struct evq__txn *t)
{
	int rc = evq__txn_begin_own(env->store, t);
	if (!rc && (rc = evq__space_watch(t)))
		rc = evq__txn_abort(t, rc);
	return rc;
}

int
evq_begin(evq_env *env, evq_txn **out)
{
	int rc = out ? evq__env_check(env) : EINVAL;
	if (!rc)
		rc = evq__env_check_free(env);
	if (rc)
		return rc;
	evq__orphans_end(env); /* what is received in it cannot wait for that */
	evq_txn *t = calloc(1, sizeof *t);
	if (!t)
		return ENOMEM;
	if ((rc = begin(env, &t->txn))) {
		free(t);
		return rc;
	}
	t->magic = EVQ__TXN_MAGIC;
	t->env = env;
	t->thread = evq__this_thread();
	t->news.wanted = env->on_event != NULL;
	evq__env_hold(env);
	env->user_txn = t;
	atomic_store(&env->user_thread, t->thread);
	*out = t;
	return 0;
}

/* May this thread, in this process, do anything with t? EBADF: nothing but end it. */
static int
check(const evq_txn *t)
{
	if (!t || t->magic != EVQ__TXN_MAGIC)
		return EINVAL;
	int rc = evq__env_check(t->env);
	if (rc)
		return rc;
	return t->thread == evq__this_thread() ? 0 : EPERM;
}

static void
end(evq_txn *t)
{
	t->magic = 0;
	evq__news_clear(&t->news);
	evq__env_release(t->env);
	free(t);
}

/* The env was closed: by this thread, which undid t, or by another, which had to leave both to this one. */
static void
end_closed(evq_txn *t)
{
	if (t->env->store) {
		(void)evq__txn_abort(&t->txn, 0);
		evq__env_end(t->env);
	}
	end(t);
}

int
evq_commit(evq_txn *t)
{
	uint64_t mark;
	int rc = check(t);
	if (rc) {
		if (rc == EBADF)
			end_closed(t);
		return rc;
	}
	atomic_store(&t->env->user_thread, 0);
	if (!(rc = evq__txn_commit(&t->txn, &mark)))
		evq__run_tell(t->env, &t->news);
	end(t);
	return rc;
}

/* What it undoes a send that was refused had cleared. It is cleared for good now, or the next would be refused as well. */
static void
clear(evq_env *env, uint32_t queue)
{
	struct evq__run run;
	int rc, again;
	do {
		again = 0;
		if ((rc = evq__run_begin(&run, env, NULL)))
			continue;
		rc = evq__catalog_enter(&run.call, queue);
		if (!rc)
			rc = evq__put_clear(&run.call, &again);
		run.call.txn->durable = EVQ__DURABLE_LATER;
		rc = evq__run_end(&run, rc);
	} while (rc == EVQ__AGAIN || (!rc && again));
}

void
evq_abort(evq_txn *t)
{
	int rc = check(t);
	if (rc == EBADF)
		end_closed(t);
	if (rc)
		return;
	atomic_store(&t->env->user_thread, 0);
	(void)evq__txn_abort(&t->txn, 0);
	if (t->tight)
		clear(t->env, t->tight);
	end(t);
}

struct MDB_txn *
evq_txn_mdb(const evq_txn *t)
{
	return check(t) ? NULL : t->txn.mdb;
}
