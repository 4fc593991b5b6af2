/* SPDX-License-Identifier: MIT */
/* Owns the bytes of the store's own record; the shape stands in storerec.h. */
#include "storerec.h"

#include <string.h>

enum { VERSION = 2, WITHOUT_CHAIN = 1, LEN_WITHOUT_CHAIN = 96 };

void
evq__storerec_pack(const struct evq__storerec *s, uint8_t out[static EVQ__STOREREC_LEN])
{
	memset(out, 0, EVQ__STOREREC_LEN);
	out[0] = VERSION;
	evq__le32_put(out + 8, s->format == EVQ__STORE_WHOLE_NAMES ? EVQ__STORE_WHOLE_NAMES : EVQ__STORE_FORMAT);
	evq__le32_put(out + 12, s->next_queue);
	memcpy(out + 16, s->id, EVQ__STORE_ID);
	evq__le64_put(out + 32, s->secret);
	evq__le64_put(out + 40, s->next_id);
	evq__le64_put(out + 48, s->sequence);
	evq__le64_put(out + 56, s->sent);
	evq__le64_put(out + 64, s->deleted);
	evq__le64_put(out + 72, s->expired);
	evq__le64_put(out + 80, s->purged);
	evq__le64_put(out + 88, (uint64_t)s->seen_ms);
	evq__le64_put(out + 96, s->chain);
}

/* The length that its version has; 0: of no version that is known. */
static size_t
len_of(const uint8_t *p)
{
	return p[0] == VERSION ? EVQ__STOREREC_LEN : p[0] == WITHOUT_CHAIN ? LEN_WITHOUT_CHAIN : 0;
}

int
evq__storerec_unpack(const void *value, size_t len, struct evq__storerec *out)
{
	const uint8_t *p = value;
	if (len < LEN_WITHOUT_CHAIN || len != len_of(p))
		return EVQ_FORMAT;
	out->format = evq__le32_get(p + 8);
	if (out->format < EVQ__STORE_WITHOUT_GROUPS || out->format > EVQ__STORE_FORMAT)
		return EVQ_FORMAT;
	out->next_queue = evq__le32_get(p + 12);
	memcpy(out->id, p + 16, EVQ__STORE_ID);
	out->secret = evq__le64_get(p + 32);
	out->next_id = evq__le64_get(p + 40);
	out->sequence = evq__le64_get(p + 48);
	out->sent = evq__le64_get(p + 56);
	out->deleted = evq__le64_get(p + 64);
	out->expired = evq__le64_get(p + 72);
	out->purged = evq__le64_get(p + 80);
	out->seen_ms = (int64_t)evq__le64_get(p + 88);
	out->chain = len == EVQ__STOREREC_LEN ? evq__le64_get(p + 96) : 0;
	return out->next_queue && out->next_id && out->next_id <= INT64_MAX && out->seen_ms >= 0 ? 0 : EVQ_FORMAT;
}
