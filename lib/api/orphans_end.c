/* SPDX-License-Identifier: MIT */
/*
 * Leases of processes that died, in slices. It is done by whoever opens the store, begins a transaction, or finds
 * nothing to receive: so by those who have use for what the dead one had. Everybody who sleeps looks again then,
 * since a wake-up may have died with it.
 */
#include "orphans_end.h"

#include "orphans.h"
#include "run.h"

static int
end_some(evq_env *env, uint32_t owner, struct evq__place *from, int *done)
{
	struct evq__place before = *from;
	struct evq__run run;
	int rc = evq__run_begin(&run, env, NULL);
	if (rc)
		return rc;
	run.call.txn->durable = EVQ__DURABLE_LATER; /* undone by a power loss, it is merely to be done again */
	if ((rc = evq__run_end(&run, evq__orphans_slice(&run.call, owner, from, done))))
		*from = before;
	return rc;
}

void
evq__orphans_end(evq_env *env)
{
	uint32_t owner;
	while ((owner = evq__owners_dead(env->store)) != 0) {
		struct evq__place from = { .queue = 0 };
		int rc, done = 0;
		do
			rc = end_some(env, owner, &from, &done);
		while (rc == EVQ__AGAIN || (!rc && !done));
		if (rc)
			return;
		evq__owners_forget(env->store, owner);
		evq__wake_all(env->store);
	}
}
