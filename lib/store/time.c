/* SPDX-License-Identifier: MIT */
/*
 * Owns the store's time: milliseconds since the Unix epoch by a clock that does not jump. It is the time since
 * the machine was started, sleep included, and an offset. The offset is taken from the wall clock by whoever
 * opens the store first after the machine was started, and stands in the shared file for all; whatever is done to
 * the wall clock after that moves no lease and no delay. A machine that was started again with its wall clock
 * behind goes on from the latest time that the store has seen.
 */
#include "inside.h"

#include <string.h>

#include "clock.h"

static int
is_known(const char id[EVQ__BOOT_ID])
{
	static const char none[EVQ__BOOT_ID];
	return memcmp(id, none, EVQ__BOOT_ID) != 0;
}

void
evq__time_anchor(struct evq__store *s, int64_t seen_ms)
{
	struct evq__kept *a = &s->shared->kept;
	char id[EVQ__BOOT_ID];
	evq__boot_id(id);
	if (is_known(id) && !memcmp(id, a->boot_id, sizeof id))
		return;
	int64_t now = evq__clock_wall_ms(), seen = atomic_load(&a->seen_ms);
	if (now < seen)
		now = seen;
	if (now < seen_ms)
		now = seen_ms;
	a->offset_ms = now - evq__clock_boot_ms();
	memcpy(a->boot_id, id, sizeof id);
}

int64_t
evq__store_now(const struct evq__store *s)
{
	return evq__clock_boot_ms() + s->shared->kept.offset_ms;
}

void
evq__store_saw(struct evq__store *s, int64_t now_ms)
{
	_Atomic int64_t *seen = &s->shared->kept.seen_ms;
	if (now_ms > atomic_load_explicit(seen, memory_order_relaxed)) /* one writer at a time */
		atomic_store_explicit(seen, now_ms, memory_order_relaxed);
}
