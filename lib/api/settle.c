/* SPDX-License-Identifier: MIT */
/* evq_settle(3). */
#include "settle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "run.h"

int
evq_delete(evq_queue *q, evq_txn *txn, const evq_receipt *r)
{
	struct evq__run run;
	int rc;
	if (!r)
		return EINVAL;
	do
		if (!(rc = evq__run_queue(&run, q, txn)))
			rc = evq__run_end(&run, evq__settle_delete(&run.call, r));
	while (rc == EVQ__AGAIN);
	return rc;
}

static int
delete_each(struct evq__call *call, const evq_receipt *rs, size_t count, int *rcs)
{
	for (size_t i = 0; i < count; i++) {
		rcs[i] = evq__settle_delete(call, &rs[i]);
		if (rcs[i] && rcs[i] != EVQ_STALE && rcs[i] != EINVAL)
			return rcs[i];
		call->q.c.stale += rcs[i] == EVQ_STALE;
		call->q.dirty |= rcs[i] == EVQ_STALE;
	}
	return 0;
}

static int
delete_at_once(evq_queue *q, evq_txn *txn, const evq_receipt *rs, size_t count, int *rcs)
{
	struct evq__run run;
	int rc;
	do
		if (!(rc = evq__run_queue(&run, q, txn)))
			rc = evq__run_end(&run, delete_each(&run.call, rs, count, rcs));
	while (rc == EVQ__AGAIN);
	return rc;
}

/* A full disk may have room for a smaller change: what removes messages must not fail for its size. */
static int
delete_in_parts(evq_queue *q, evq_txn *txn, const evq_receipt *rs, size_t count, int *rcs)
{
	int rc = delete_at_once(q, txn, rs, count, rcs);
	if (rc != EVQ_FULL || txn || count < 2)
		return rc;
	size_t half = count / 2;
	rc = delete_in_parts(q, txn, rs, half, rcs);
	return rc ? rc : delete_in_parts(q, txn, rs + half, count - half, rcs + half);
}

int
evq_delete_batch(evq_queue *q, evq_txn *txn, const evq_receipt *rs, size_t count, int *rcs_out)
{
	int here[256], *rcs = here;
	int rc = evq__queue_check(q);
	if (!rc && count > EVQ_BATCH_MAX)
		rc = E2BIG;
	if (!rc && count && (!rs || !rcs_out))
		rc = EINVAL;
	if (rc || !count)
		return rc;
	if (count > sizeof here / sizeof *here && !(rcs = malloc(count * sizeof *rcs)))
		return ENOMEM;
	rc = delete_in_parts(q, txn, rs, count, rcs);
	if (!rc)
		memcpy(rcs_out, rcs, count * sizeof *rcs);
	if (rcs != here)
		free(rcs);
	return rc;
}

/* Whoever extends a lease has it, and others are to know where leases of ours are. */
static int
extend(struct evq__run *run, const evq_receipt *r, int64_t visibility_ms, evq_receipt *renewed)
{
	int rc = evq__settle_extend(&run->call, r, visibility_ms, renewed);
	if (!rc)
		evq__owners_lease(run->env->store, run->call.q.number);
	return evq__run_end(run, rc);
}

int
evq_extend(evq_queue *q, evq_txn *txn, const evq_receipt *r, int64_t visibility_ms, evq_receipt *out)
{
	struct evq__run run;
	evq_receipt renewed;
	int rc = evq__queue_check(q);
	if (!rc && (!r || !out || visibility_ms < 0 || visibility_ms > EVQ__VISIBILITY_MAX))
		rc = EINVAL;
	if (rc)
		return rc;
	do
		if (!(rc = evq__run_queue(&run, q, txn)))
			rc = extend(&run, r, visibility_ms, &renewed);
	while (rc == EVQ__AGAIN);
	if (!rc)
		*out = renewed;
	return rc;
}

int
evq_release(evq_queue *q, evq_txn *txn, const evq_receipt *r, int64_t delay_ms, uint32_t flags)
{
	struct evq__run run;
	int rc = evq__queue_check(q);
	if (!rc && (!r || (flags & ~EVQ_UNCOUNTED)))
		rc = EINVAL;
	if (!rc && delay_ms != EVQ_BACKOFF && (delay_ms < 0 || delay_ms > EVQ__DELAY_MAX))
		rc = EINVAL;
	if (rc)
		return rc;
	do
		if (!(rc = evq__run_queue(&run, q, txn)))
			rc = evq__run_end(&run, evq__settle_release(&run.call, r, delay_ms, flags & EVQ_UNCOUNTED));
	while (rc == EVQ__AGAIN);
	return rc;
}

int
evq_bury(evq_queue *q, evq_txn *txn, const evq_receipt *r, const char *reason)
{
	struct evq__run run;
	int rc = evq__queue_check(q);
	if (!rc && (!r || !reason || !*reason))
		rc = EINVAL;
	if (!rc && strnlen(reason, EVQ_REASON_MAX + 1) > EVQ_REASON_MAX)
		rc = EVQ_TOOBIG;
	if (rc)
		return rc;
	do
		if (!(rc = evq__run_queue(&run, q, txn)))
			rc = evq__run_end(&run, evq__settle_bury(&run.call, r, reason));
	while (rc == EVQ__AGAIN);
	return rc;
}
