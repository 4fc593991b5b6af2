/* SPDX-License-Identifier: MIT */
/*
 * Queues as a whole: their attributes with every bound of the contract, the
 * rule that dead letters form no cycle and always exist, and dropping.
 */
#include "model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS (INT64_C(3600) * 1000)
#define YEAR_MS (365 * 24 * HOUR_MS)
#define CENTURY_MS INT64_C(3155760000000)

static bool
within(int64_t value, int64_t least, int64_t most)
{
	return value >= least && value <= most;
}

static bool
bounds_hold(const struct m_attrs *a)
{
	return within(a->visibility, 1, 12 * HOUR_MS) && within(a->delay, 0, YEAR_MS)
	    && within(a->retention, 0, CENTURY_MS) && within(a->retry_min, 1, YEAR_MS)
	    && within(a->retry_max, 1, YEAR_MS) && a->retry_min <= a->retry_max && within(a->dedup, 1, YEAR_MS)
	    && a->max_body_len <= EVQ_BODY_MAX;
}

static int64_t
or_default(int64_t value, int64_t fallback)
{
	return value == 0 ? fallback : value;
}

static void
effective(const evq_queue_attrs *in, struct m_attrs *out)
{
	memset(out, 0, sizeof(*out));
	out->visibility = or_default(in->visibility_ms, 30000);
	out->delay = in->delay_ms;
	out->retention = in->retention_ms;
	out->max_receives = in->max_receives;
	out->dead_letter = model_intern(in->dead_letter);
	out->max_messages = in->max_messages;
	out->max_bytes = in->max_bytes;
	out->max_body_len = in->max_body_len == 0 ? 1048576 : in->max_body_len;
	out->retry_min = or_default(in->retry_min_ms, 1000);
	out->retry_max = or_default(in->retry_max_ms, 900000);
	out->dedup = or_default(in->dedup_ms, 300000);
	out->flags = in->flags;
}

static bool
flags_hold(uint32_t flags)
{
	const uint32_t known = EVQ_FIFO | EVQ_CONTENT_DEDUP | EVQ_EXPIRE_TO_DEAD_LETTER | EVQ_FAIR;

	return (flags & ~known) == 0 && (flags & (EVQ_FIFO | EVQ_FAIR)) != (EVQ_FIFO | EVQ_FAIR);
}

static int
name_check(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	if (name[0] == 0 || strspn(name, allowed) != strlen(name))
		return EINVAL;
	return strlen(name) > EVQ_NAME_MAX ? EVQ_TOOBIG : 0;
}

/* Would name, with this dead letter, meet itself on the way down? */
static bool
makes_cycle(const struct model *m, const char *name, const char *dead_letter)
{
	while (dead_letter != NULL) {
		const struct m_queue *next;

		if (strcmp(dead_letter, name) == 0)
			return true;
		next = model_queue(m, dead_letter);
		dead_letter = next == NULL ? NULL : next->attrs.dead_letter;
	}
	return false;
}

static int
attrs_check(const struct model *m, const char *name, const evq_queue_attrs *in, struct m_attrs *out)
{
	int rc;

	effective(in, out);
	if (!bounds_hold(out) || !flags_hold(in->flags))
		return EINVAL;
	if (out->dead_letter == NULL)
		return out->max_receives > 0 || (out->flags & EVQ_EXPIRE_TO_DEAD_LETTER) != 0 ? EINVAL : 0;
	if ((rc = name_check(out->dead_letter)) != 0)
		return rc;
	return makes_cycle(m, name, out->dead_letter) ? EINVAL : 0;
}

static void
add_with_defaults(struct model *m, const char *name)
{
	struct m_queue *q = model__queue_add(m, name);

	effective(EVQ_QUEUE_ATTRS(0), &q->attrs);
}

static void
need_dead_letter(struct model *m, const struct m_attrs *attrs)
{
	if (attrs->dead_letter != NULL && model_queue(m, attrs->dead_letter) == NULL)
		add_with_defaults(m, attrs->dead_letter);
}

int
model_open(struct model *m, const char *name, const evq_queue_attrs *create)
{
	struct m_attrs attrs;
	int rc = name_check(name);

	if (rc != 0)
		return rc;
	if (create != NULL && (rc = attrs_check(m, name, create, &attrs)) != 0)
		return rc;
	if (model_queue(m, name) != NULL)
		return 0;
	if (create == NULL)
		return EVQ_NOQUEUE;
	model__queue_add(m, name)->attrs = attrs;
	need_dead_letter(m, &attrs);
	return 0;
}

/* May move the array of queues. */
int
model_set_attrs(struct model *m, struct m_queue *q, const evq_queue_attrs *attrs)
{
	const uint32_t fixed = EVQ_FIFO | EVQ_CONTENT_DEDUP | EVQ_FAIR;
	struct m_attrs checked;
	int rc = attrs_check(m, q->name, attrs, &checked);

	if (rc != 0)
		return rc;
	if (((checked.flags ^ q->attrs.flags) & fixed) != 0)
		return EINVAL;
	q->attrs = checked;
	need_dead_letter(m, &checked);
	return 0;
}

static bool
is_dead_letter(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->queue_count; i++) {
		const char *dead_letter = m->queues[i].attrs.dead_letter;

		if (dead_letter != NULL && strcmp(dead_letter, name) == 0)
			return true;
	}
	return false;
}

int
model_drop(struct model *m, const char *name)
{
	struct m_queue *q;
	int rc = name_check(name);

	if (rc != 0)
		return rc;
	if ((q = model_queue(m, name)) == NULL)
		return EVQ_NOQUEUE;
	if (is_dead_letter(m, name))
		return EBUSY;
	model__queue_free(q);
	*q = m->queues[--m->queue_count];
	return 0;
}
