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

int
evq__turn_unpack(const void *value, size_t len, uint64_t *turn)
{
	if (len != EVQ__TURN)
		return EVQ_CORRUPT;
	*turn = evq__le64_get(value);
	return *turn <= EVQ__TURN_MAX ? 0 : EVQ_CORRUPT;
}
