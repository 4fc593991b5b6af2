/* SPDX-License-Identifier: MIT */
/* Owns the filling of evq_delivery from what the due index knows. */
#include "deliver.h"

#include <errno.h>
#include <string.h>

static const char *
copy_text(struct evq_batch *b, const struct evq__slice *text)
{
	char *p = evq__batch_alloc(b, text->len + 1);
	if (p) {
		memcpy(p, text->data, text->len);
		p[text->len] = 0;
	}
	return p;
}

static int
hand_out_deaths(const struct evq__entry *e, struct evq_batch *b, evq_delivery *d)
{
	evq_death *out = evq__batch_alloc(b, e->deaths * sizeof *out);
	struct evq__death death;
	size_t at = 0;
	if (!out)
		return ENOMEM;
	for (size_t i = 0; i < e->deaths; i++) {
		int rc = evq__death_next(&e->history, &at, &death);
		if (rc)
			return rc == EVQ__NONE ? EVQ_CORRUPT : rc;
		out[i] = (evq_death){ copy_text(b, &death.from), copy_text(b, &death.reason), death.at_ms,
			              death.receives };
		if (!out[i].from || !out[i].reason)
			return ENOMEM;
	}
	d->deaths = out;
	d->death_count = e->deaths;
	if (e->flags & EVQ__ENTRY_DEAD) {
		d->dead_from = out[e->deaths - 1].from;
		d->dead_reason = out[e->deaths - 1].reason;
		d->dead_at_ms = out[e->deaths - 1].at_ms;
	}
	return 0;
}

int
evq__deliver_entry(struct evq__call *call, const struct evq__found *f, struct evq_batch *b, evq_delivery **out)
{
	evq_delivery *d = evq__batch_slot(b);
	if (!d)
		return ENOMEM;
	d->id = f->place.id;
	d->receives = f->entry.receives;
	d->priority = evq__priority_of(f->place.lane);
	d->sent_at_ms = f->entry.sent_at_ms;
	d->first_received_at_ms = f->entry.first_received_at_ms;
	d->visible_at_ms = evq__has_turn(&f->place)          ? call->now_ms
	                   : f->place.due_ms > INT64_MAX ? INT64_MAX
	                                                 : (int64_t)f->place.due_ms;
	d->state = evq__due_state(f, call->now_ms);
	*out = d;
	return f->entry.deaths ? hand_out_deaths(&f->entry, b, d) : 0;
}
