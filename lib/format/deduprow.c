/* SPDX-License-Identifier: MIT */
/* Owns the bytes of evq.dedup's values; the shape stands in deduprow.h. */
#include "deduprow.h"

enum { VERSION = 1 };

void
evq__dedup_pack(const struct evq__dedup *d, uint8_t out[static EVQ__DEDUP_HEAD])
{
	out[0] = VERSION;
	out[1] = d->kind;
	evq__le16_put(out + 2, 0);
	evq__le32_put(out + 4, d->number);
	evq__le64_put(out + 8, d->id);
	evq__le64_put(out + 16, (uint64_t)d->expires_at_ms);
}

int
evq__dedup_unpack(const void *value, size_t len, struct evq__dedup *out)
{
	const uint8_t *p = value;
	if (len < EVQ__DEDUP_HEAD || len > EVQ__DEDUP_HEAD + EVQ_DEDUP_MAX)
		return EVQ_CORRUPT;
	if (p[0] != VERSION)
		return EVQ_FORMAT;
	out->kind = p[1];
	out->number = evq__le32_get(p + 4);
	out->id = evq__le64_get(p + 8);
	out->expires_at_ms = (int64_t)evq__le64_get(p + 16);
	out->text = (struct evq__slice){ p + EVQ__DEDUP_HEAD, len - EVQ__DEDUP_HEAD };
	if (evq__le16_get(p + 2) || out->id == 0 || out->expires_at_ms < 0)
		return EVQ_CORRUPT;
	return (out->kind == EVQ__DEDUP_ID && out->text.len) || (out->kind == EVQ__DEDUP_BODY && !out->text.len)
	               ? 0
	               : EVQ_CORRUPT;
}
