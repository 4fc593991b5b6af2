/* SPDX-License-Identifier: MIT */
/*
 * evq_queue(3): dropping. The name goes first, in a transaction that decides whether the queue may go at all;
 * from then on it is gone for everybody. Its messages follow in slices, each a transaction, so that a large
 * queue does not hold the writer lock; should the process die between them, the next that opens the store
 * goes on. In a transaction of the caller's it is all one.
 */
#include "queue_drop.h"

#include <errno.h>
#include <string.h>

#include "bounds.h"
#include "catalog.h"
#include "key.h"
#include "purge.h"
#include "run.h"

static int
remove_slice(struct evq__run *run, uint32_t number, size_t slice, int *done)
{
	struct evq__place from = { .queue = number };
	size_t purged;
	int rc = evq__catalog_enter_any(&run->call, number);
	if (rc) {
		*done = 1;
		return rc == EVQ_NOQUEUE ? 0 : rc; /* somebody else was faster */
	}
	if (run->call.q.state != EVQ__QUEUE_DROPPING)
		return EVQ_CORRUPT;
	rc = evq__purge_slice(&run->call, &from, UINT64_MAX, slice, &purged, done);
	return !rc && *done ? evq__catalog_finish_drop(&run->call) : rc;
}

static int
finish(evq_env *env, evq_txn *txn, uint32_t number)
{
	struct evq__run run;
	size_t slice = EVQ__SLICE;
	int rc, is_fewer, done = 0;
	do {
		rc = evq__run_begin(&run, env, txn);
		if (!rc)
			rc = evq__run_end(&run, remove_slice(&run, number, slice, &done));
		is_fewer = rc == EVQ_FULL && !txn && slice > 1; /* where there is no room for so many at once */
		slice -= is_fewer ? slice / 2 : 0;
	} while (rc == EVQ__AGAIN || is_fewer || (!rc && !done));
	return rc;
}

static int
next_dropping(evq_env *env, uint32_t *number)
{
	struct evq__queue q = { .number = *number };
	struct evq__run run;
	int rc = evq__run_read(&run, env);
	if (rc)
		return rc;
	do
		rc = evq__catalog_next(run.call.txn, q.number, &q);
	while (!rc && q.state != EVQ__QUEUE_DROPPING);
	*number = q.number;
	return evq__run_end(&run, rc);
}

int
evq__drop_finish_all(evq_env *env)
{
	uint32_t number = 0;
	int rc;
	while ((rc = next_dropping(env, &number)) == 0)
		(void)finish(env, NULL, number); /* what cannot be done now is no reason not to open */
	/* A record that cannot be read is for evq_verify to tell, and for the calls that need it. */
	return rc == EVQ__NONE || rc == EVQ_CORRUPT || rc == EVQ_FORMAT ? 0 : rc;
}

static int
start_drop(struct evq__call *call, const char *name, size_t len, uint32_t *number)
{
	int rc = evq__catalog_find(call, name, len, number);
	if (!rc)
		rc = evq__catalog_enter(call, *number);
	return rc ? rc : evq__catalog_start_drop(call);
}

int
evq_queue_drop(evq_env *env, evq_txn *txn, const char *name)
{
	struct evq__run run;
	uint32_t number;
	size_t len;
	int rc = evq__env_check(env);
	if (!rc)
		rc = evq__name_check(name, &len);
	if (rc)
		return rc;
	uint64_t changes = evq__run_changes(txn);
	do
		if (!(rc = evq__run_begin(&run, env, txn)))
			rc = evq__run_end(&run, start_drop(&run.call, name, len, &number));
	while (rc == EVQ__AGAIN);
	if (rc)
		return rc;
	rc = finish(env, txn, number);
	return txn ? evq__run_several(txn, changes, rc) : 0; /* it is dropped; what is left of it goes when the store is opened next */
}
