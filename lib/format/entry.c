/* SPDX-License-Identifier: MIT */
/* Owns the bytes of evq.due's values; the shape stands in entry.h. Nothing read is believed unchecked. */
#include "entry.h"

#include <string.h>

#include "codes.h"

enum { VERSION = 1 };

static size_t
head_len(uint8_t flags)
{
	return flags & EVQ__ENTRY_GROUP ? EVQ__ENTRY_HEAD_MAX : EVQ__ENTRY_HEAD;
}

size_t
evq__entry_pack(const struct evq__entry *e, uint8_t out[static EVQ__ENTRY_HEAD_MAX])
{
	out[0] = VERSION;
	out[1] = e->flags;
	out[2] = e->deaths;
	out[3] = 0;
	evq__le32_put(out + 4, e->receives);
	evq__le32_put(out + 8, e->fence);
	evq__le32_put(out + 12, e->base);
	evq__le32_put(out + 16, e->owner);
	evq__le32_put(out + 20, e->body_len);
	evq__le64_put(out + 24, (uint64_t)e->sent_at_ms);
	evq__le64_put(out + 32, (uint64_t)e->first_received_at_ms);
	evq__le64_put(out + 40, (uint64_t)e->expires_at_ms);
	if (e->flags & EVQ__ENTRY_GROUP)
		evq__le64_put(out + EVQ__ENTRY_HEAD, e->group);
	return head_len(e->flags);
}

/* Keeps: a history that is accepted here reads to its end without fault. */
static int
check_history(const struct evq__entry *e)
{
	struct evq__death death;
	size_t at = 0;
	unsigned count = 0;
	int rc;
	while ((rc = evq__death_next(&e->history, &at, &death)) == 0)
		count++;
	if (rc != EVQ__NONE)
		return rc;
	return count == e->deaths && count <= EVQ_DEATHS_MAX ? 0 : EVQ_CORRUPT;
}

int
evq__entry_unpack(const void *value, size_t len, struct evq__entry *out)
{
	const uint8_t *p = value;
	if (len < EVQ__ENTRY_HEAD || len > EVQ__ENTRY_MAX)
		return EVQ_CORRUPT;
	if (p[0] != VERSION)
		return EVQ_FORMAT;
	if ((p[1] & ~EVQ__ENTRY_FLAGS) || p[3] || len < head_len(p[1]))
		return EVQ_CORRUPT;
	out->flags = p[1];
	out->deaths = p[2];
	out->receives = evq__le32_get(p + 4);
	out->fence = evq__le32_get(p + 8);
	out->base = evq__le32_get(p + 12);
	out->owner = evq__le32_get(p + 16);
	out->body_len = evq__le32_get(p + 20);
	out->sent_at_ms = (int64_t)evq__le64_get(p + 24);
	out->first_received_at_ms = (int64_t)evq__le64_get(p + 32);
	out->expires_at_ms = (int64_t)evq__le64_get(p + 40);
	out->group = out->flags & EVQ__ENTRY_GROUP ? evq__le64_get(p + EVQ__ENTRY_HEAD) : 0;
	out->history.data = p + head_len(out->flags);
	out->history.len = len - head_len(out->flags);
	if (out->body_len > EVQ_BODY_MAX || out->base > out->receives || out->expires_at_ms < 0)
		return EVQ_CORRUPT;
	if ((out->flags & EVQ__ENTRY_DEAD && !out->deaths) || (out->flags & EVQ__ENTRY_LEASED && !out->fence) ||
	    (out->flags & EVQ__ENTRY_PARKED && out->expires_at_ms))
		return EVQ_CORRUPT;
	return out->deaths || out->history.len ? check_history(out) : 0;
}

int
evq__death_next(const struct evq__slice *history, size_t *at, struct evq__death *out)
{
	const uint8_t *p = (const uint8_t *)history->data + *at;
	size_t left = history->len - *at;
	if (left == 0)
		return EVQ__NONE;
	if (left < EVQ__DEATH_HEAD || left - EVQ__DEATH_HEAD < (size_t)p[12] + p[13] || p[12] > EVQ_NAME_MAX ||
	    p[13] > EVQ_REASON_MAX)
		return EVQ_CORRUPT;
	out->at_ms = (int64_t)evq__le64_get(p);
	out->receives = evq__le32_get(p + 8);
	out->from = (struct evq__slice){ p + EVQ__DEATH_HEAD, p[12] };
	out->reason = (struct evq__slice){ p + EVQ__DEATH_HEAD + p[12], p[13] };
	*at += EVQ__DEATH_HEAD + (size_t)p[12] + p[13];
	return 0;
}

static size_t
put_death(uint8_t *p, const struct evq__death *death)
{
	evq__le64_put(p, (uint64_t)death->at_ms);
	evq__le32_put(p + 8, death->receives);
	p[12] = (uint8_t)death->from.len;
	p[13] = (uint8_t)death->reason.len;
	memcpy(p + EVQ__DEATH_HEAD, death->from.data, death->from.len);
	memcpy(p + EVQ__DEATH_HEAD + death->from.len, death->reason.data, death->reason.len);
	return EVQ__DEATH_HEAD + death->from.len + death->reason.len;
}

void
evq__death_add(struct evq__entry *e, const struct evq__death *death, uint8_t out[static EVQ__HISTORY_MAX])
{
	struct evq__death oldest;
	size_t from = 0;
	if (e->deaths == EVQ_DEATHS_MAX) {
		(void)evq__death_next(&e->history, &from, &oldest); /* was read to its end at unpack */
		e->deaths--;
	}
	size_t kept = e->deaths ? e->history.len - from : 0;
	if (kept)
		memcpy(out, (const uint8_t *)e->history.data + from, kept);
	e->history = (struct evq__slice){ out, kept + put_death(out + kept, death) };
	e->deaths++;
}
