/* SPDX-License-Identifier: MIT */
/* Owns browsing. The receipts it hands out carry fence 0: they mark a place and settle nothing. */
#include "peek.h"

#include "bodies.h"
#include "deliver.h"
#include "receipt.h"

int
evq__peek_one(struct evq__call *call, const struct evq__found *f, struct evq_batch *batch)
{
	evq_delivery *d;
	int rc = evq__deliver_entry(call, f, batch, &d);
	if (rc)
		return rc;
	rc = evq__bodies_read(call->txn, f->place.id, batch, d);
	if (rc == EVQ_CORRUPT) {
		d->body = NULL;
		d->body_len = 0;
		d->group = NULL;
		d->attrs = NULL;
		d->attr_count = 0;
		rc = 0;
	}
	if (rc)
		return rc;
	struct evq__place at = evq__walk_at(&call->q, f);
	evq__receipt_pack(&at, 0, call->secret, &d->receipt);
	evq__batch_keep(batch);
	return 0;
}

int
evq__peek(struct evq__call *call, const struct evq__place *from, unsigned states, size_t count,
          struct evq_batch *batch)
{
	struct evq__found f;
	struct evq__walk walk;
	int rc = evq__walk_seek(call, &call->q, from, &walk, &f);
	while (!rc && batch->count < count) {
		if (!evq__is_expired(&f.entry, call->now_ms) &&
		    ((unsigned)evq__due_state(&f, call->now_ms) & states))
			rc = evq__peek_one(call, &f, batch);
		if (!rc)
			rc = evq__walk_next(call, &call->q, &walk, &f);
	}
	return rc == EVQ__NONE ? 0 : rc;
}
