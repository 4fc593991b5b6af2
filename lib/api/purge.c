/* SPDX-License-Identifier: MIT */
/*
 * evq_purge(3), in slices. What was there when it began has an id below the next one given; since messages
 * move while it is under way, it goes round until a whole round finds nothing.
 */
#include "purge.h"

#include <errno.h>

#include "bounds.h"
#include "catalog.h"
#include "run.h"

struct purge {
	evq_queue *q;
	evq_txn *txn;
	struct evq__place from;
	uint64_t end; /* 0: not known yet */
	size_t purged;
	size_t slice; /* messages at once: fewer, where there is no room for more */
	int done; /* the round is */
};

static int
find_end(struct evq__call *call, struct purge *p)
{
	struct evq__storerec store;
	if (p->end)
		return 0;
	int rc = evq__catalog_store(call->txn, &store);
	p->end = store.next_id;
	return rc;
}

static int
purge_some(struct purge *p)
{
	struct evq__run run;
	struct evq__place from = p->from;
	size_t purged = 0;
	int rc = evq__run_queue(&run, p->q, p->txn);
	if (rc)
		return rc;
	p->from.queue = run.call.q.number;
	rc = find_end(&run.call, p);
	if (!rc)
		rc = evq__purge_slice(&run.call, &p->from, p->end, p->slice, &purged, &p->done);
	if (!(rc = evq__run_end(&run, rc)))
		p->purged += purged;
	else if (rc == EVQ__AGAIN || (rc == EVQ_FULL && !p->txn && p->slice > 1)) { /* from where it stood */
		p->slice -= rc == EVQ_FULL ? p->slice / 2 : 0;
		p->from = from;
		p->done = 0;
		rc = 0;
	}
	return rc;
}

static int
purge_round(struct purge *p)
{
	int rc;
	p->from = (struct evq__place){ .queue = 0 };
	do
		rc = purge_some(p);
	while (!rc && !p->done);
	return rc;
}

int
evq_purge(evq_queue *q, evq_txn *txn, size_t *purged_out)
{
	struct purge p = { .q = q, .txn = txn, .slice = EVQ__SLICE };
	size_t before;
	int rc = evq__queue_check(q);
	if (rc)
		return rc;
	uint64_t changes = evq__run_changes(txn);
	do {
		before = p.purged;
		rc = purge_round(&p);
	} while (!rc && p.purged != before);
	rc = evq__run_several(txn, changes, rc);
	if (!rc && purged_out)
		*purged_out = p.purged;
	return rc;
}
