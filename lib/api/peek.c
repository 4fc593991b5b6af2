/* SPDX-License-Identifier: MIT */
/* evq_peek(3). */
#include "peek.h"

#include <errno.h>

#include "bounds.h"
#include "opts.h"
#include "receipt.h"
#include "run.h"

enum { ALL = EVQ_VISIBLE | EVQ_DELAYED | EVQ_LEASED | EVQ_BLOCKED, COUNT_DEFAULT = 100 };

static int
check_opts(const evq_peek_opts *opts, evq_peek_opts *o)
{
	int rc = evq__opts_load(o, sizeof *o, EVQ__PEEK_OPTS_FIRST, opts);
	if (rc)
		return rc;
	if (o->count > EVQ_BATCH_MAX)
		return E2BIG;
	if (o->states & ~(uint32_t)ALL)
		return EINVAL;
	o->states = o->states ? o->states : ALL;
	o->count = o->count ? o->count : COUNT_DEFAULT;
	return 0;
}

static int
find_start(const struct evq__call *call, const evq_receipt *after, struct evq__place *from)
{
	uint32_t fence;
	*from = (struct evq__place){ .queue = call->q.number };
	if (!after)
		return 0;
	int rc = evq__receipt_unpack(after, call->secret, from, &fence);
	if (rc || from->queue != call->q.number)
		return EINVAL;
	*from = evq__due_behind(from);
	return 0;
}

int
evq_peek(evq_queue *q, const evq_peek_opts *opts, evq_batch *into)
{
	struct evq__run run;
	struct evq__place from;
	evq_peek_opts o;
	int rc = evq__queue_check(q);
	if (!rc)
		rc = into ? check_opts(opts, &o) : EINVAL;
	if (into)
		evq__batch_reset(into);
	if (!rc)
		rc = evq__run_read_queue(&run, q);
	if (rc)
		return rc;
	rc = find_start(&run.call, o.after, &from);
	if (!rc)
		rc = evq__peek(&run.call, &from, o.states, o.count, into);
	if ((rc = evq__run_end(&run, rc)))
		evq__batch_reset(into);
	return rc ? rc : into->count ? 0 : EVQ_EMPTY;
}
