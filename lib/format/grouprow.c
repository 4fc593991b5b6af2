/* SPDX-License-Identifier: MIT */
/* Owns the bytes of evq.group's values; the shapes stand in grouprow.h. Nothing read is believed unchecked. */
#include "grouprow.h"

int
evq__stand_unpack(const void *value, size_t len, struct evq__place *at, struct evq__entry *e, int *is_waiting)
{
	const uint8_t *p = value;
	if (len < EVQ__STAND)
		return EVQ_CORRUPT;
	at->lane = p[0];
	at->due_ms = evq__le64_get(p + 1);
	*is_waiting = len > EVQ__STAND;
	return *is_waiting ? evq__entry_unpack(p + EVQ__STAND, len - EVQ__STAND, e) : 0;
}

void
evq__turns_pack(const struct evq__turns *t, uint8_t out[static EVQ__TURNS])
{
	evq__le64_put(out, t->last);
	evq__le64_put(out + 8, t->count);
}

int
evq__turns_unpack(const void *value, size_t len, struct evq__turns *out)
{
	const uint8_t *p = value;
	if (len != EVQ__TURNS)
		return EVQ_CORRUPT;
	out->last = evq__le64_get(p);
	out->count = evq__le64_get(p + 8);
	return out->count && out->last < EVQ__DUE_TURN - 1 ? 0 : EVQ_CORRUPT;
}
