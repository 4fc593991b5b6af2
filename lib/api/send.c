/* SPDX-License-Identifier: MIT */
/* evq_send(3). Options are checked and packed before there is a transaction. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "bounds.h"
#include "opts.h"
#include "put.h"
#include "run.h"

/* Packed attributes that fit need no memory of their own. */
struct packed {
	uint8_t here[1024];
	uint8_t *attrs; /* here, or allocated */
};

static int
check_numbers(const evq_send_opts *o)
{
	if (o->delay_ms < EVQ_NONE || o->delay_ms > EVQ__DELAY_MAX)
		return EINVAL;
	if (o->expires_ms < 0 || o->expires_ms > EVQ__LIFE_MAX)
		return EINVAL;
	return o->priority < -128 || o->priority > 127 ? EINVAL : 0;
}

static int
check_text(const char *text, size_t max, struct evq__slice *out)
{
	if (!text)
		return 0;
	size_t len = strnlen(text, max + 1);
	if (len > max)
		return EVQ_TOOBIG;
	*out = (struct evq__slice){ text, len };
	return len ? 0 : EINVAL;
}

static int
pack_attrs(const evq_send_opts *o, struct packed *packed, struct evq__send *send)
{
	size_t len = 0;
	int rc = evq__attrs_measure(o->attrs, o->attr_count, &len);
	if (rc)
		return rc;
	if (len > sizeof packed->here && !(packed->attrs = malloc(len)))
		return ENOMEM;
	evq__attrs_pack(o->attrs, o->attr_count, packed->attrs);
	send->attrs = (struct evq__slice){ packed->attrs, len };
	send->attr_count = (uint8_t)o->attr_count;
	return 0;
}

static int
check_opts(const evq_send_opts *opts, struct packed *packed, struct evq__send *send)
{
	evq_send_opts o;
	*send = (struct evq__send){ .delay_ms = 0 };
	int rc = evq__opts_load(&o, sizeof o, EVQ__SEND_OPTS_FIRST, opts);
	if (!rc)
		rc = check_numbers(&o);
	if (!rc)
		rc = check_text(o.group, EVQ_GROUP_MAX, &send->group);
	if (!rc)
		rc = check_text(o.dedup_id, EVQ_DEDUP_MAX, &send->dedup_id);
	if (rc)
		return rc;
	send->delay_ms = o.delay_ms;
	send->expires_ms = o.expires_ms;
	send->priority = o.priority;
	return o.attr_count ? pack_attrs(&o, packed, send) : 0;
}

static int
check_bodies(const evq_buf *bodies, size_t count)
{
	if (!bodies)
		return EINVAL;
	for (size_t i = 0; i < count; i++)
		if (!bodies[i].data && bodies[i].len)
			return EINVAL;
	return 0;
}

/* *again: there was no room, but some may have been made. */
static int
try_put(evq_queue *q, evq_txn *txn, const struct evq__send *send, const evq_buf *bodies, size_t count,
        uint64_t *ids, int *again)
{
	struct evq__run run;
	*again = 0;
	int rc = evq__run_queue(&run, q, txn);
	if (rc)
		return rc;
	rc = evq__put(&run.call, send, bodies, count, ids, again);
	*again = *again && rc == EVQ_FULL && !run.call.txn->rc;
	return evq__run_end(&run, *again ? 0 : rc);
}

static int
put(evq_queue *q, evq_txn *txn, const struct evq__send *send, const evq_buf *bodies, size_t count,
    evq_id *ids_out)
{
	uint64_t here[64], *ids = ids_out ? here : NULL;
	int rc, again, has_cleared = 0;
	if (ids && count > sizeof here / sizeof *here && !(ids = malloc(count * sizeof *ids)))
		return ENOMEM;
	do {
		rc = try_put(q, txn, send, bodies, count, ids, &again);
		has_cleared |= again;
	} while (rc == EVQ__AGAIN || (!rc && again));
	if (rc == EVQ_FULL && txn && has_cleared)
		txn->tight = q->number;
	if (!rc && ids)
		memcpy(ids_out, ids, count * sizeof *ids);
	if (ids != here)
		free(ids);
	return rc;
}

int
evq_send_batch(evq_queue *q, evq_txn *txn, const evq_buf *bodies, size_t count, const evq_send_opts *opts,
               evq_id *ids_out)
{
	struct evq__send send;
	struct packed packed;
	packed.attrs = packed.here;
	int rc = evq__queue_check(q);
	if (!rc && count > EVQ_BATCH_MAX)
		rc = E2BIG;
	if (!rc && count)
		rc = check_bodies(bodies, count);
	if (!rc)
		rc = check_opts(opts, &packed, &send);
	if (!rc && count)
		rc = put(q, txn, &send, bodies, count, ids_out);
	if (packed.attrs != packed.here)
		free(packed.attrs);
	return rc;
}

int
evq_send(evq_queue *q, evq_txn *txn, const void *body, size_t len, const evq_send_opts *opts, evq_id *id_out)
{
	return evq_send_batch(q, txn, &(evq_buf){ body, len }, 1, opts, id_out);
}
