/* SPDX-License-Identifier: MIT */
/*
 * Leases of processes that died, in slices. It is done by whoever opens the store, begins a transaction, or finds
 * nothing to receive: so by those who have use for what the dead one had. Everybody who sleeps looks again then,
 * since a wake-up may have died with it.
 */
#include "orphans_end.h"

#include "bounds.h"
#include "orphans.h"
#include "run.h"

static int
end_some(evq_env *env, uint32_t owner, size_t max, struct evq__place *from, int *done)
{
	struct evq__place before = *from;
	struct evq__run run;
	int rc = evq__run_begin(&run, env, NULL);
	if (rc)
		return rc;
	run.call.txn->durable = EVQ__DURABLE_LATER; /* undone by a power loss, it is merely to be done again */
	if ((rc = evq__run_end(&run, evq__orphans_slice(&run.call, owner, max, from, done))))
		*from = before;
	return rc;
}

void
evq__orphans_end(evq_env *env)
{
	uint32_t owner;
	while ((owner = evq__owners_dead(env->store)) != 0) {
		struct evq__place from = { .queue = 0 };
		size_t max = EVQ__SLICE;
		int rc, is_fewer, done = 0;
		do {
			rc = end_some(env, owner, max, &from, &done);
			is_fewer = rc == EVQ_FULL && max > 1; /* where there is no room for so many at once */
			max -= is_fewer ? max / 2 : 0;
		} while (rc == EVQ__AGAIN || is_fewer || (!rc && !done));
		if (rc)
			return;
		evq__owners_forget(env->store, owner);
		evq__wake_all(env->store);
	}
}
