/* SPDX-License-Identifier: MIT */
/* Owns the bytes of evq.queue's values; the shape stands in queue.h. */
#include "queue.h"

#include <string.h>

#include "bounds.h"
#include "key.h"

enum {
	VERSION = 2,
	WITHOUT_DEDUP = 1,
	COUNTERS = sizeof(struct evq__counters) / sizeof(uint64_t),
	KINDS = EVQ_FIFO | EVQ_FAIR,
	FLAGS = EVQ__FLAGS_FIXED | EVQ_EXPIRE_TO_DEAD_LETTER
};

_Static_assert(88 + sizeof(struct evq__counters) == EVQ__QUEUE_HEAD, "the counters end where the name begins");

size_t
evq__queue_pack(const struct evq__queue *q, uint8_t out[static EVQ__QUEUE_MAX])
{
	uint64_t counters[COUNTERS];
	memset(out, 0, EVQ__QUEUE_HEAD);
	out[0] = VERSION;
	out[1] = q->state;
	out[2] = q->name_len;
	evq__le32_put(out + 4, q->flags);
	evq__le64_put(out + 8, (uint64_t)q->visibility_ms);
	evq__le64_put(out + 16, (uint64_t)q->delay_ms);
	evq__le64_put(out + 24, (uint64_t)q->retention_ms);
	evq__le64_put(out + 32, (uint64_t)q->retry_min_ms);
	evq__le64_put(out + 40, (uint64_t)q->retry_max_ms);
	evq__le64_put(out + 48, (uint64_t)q->dedup_ms);
	evq__le32_put(out + 56, q->max_receives);
	evq__le32_put(out + 60, q->dead_letter);
	evq__le64_put(out + 64, q->max_messages);
	evq__le64_put(out + 72, q->max_bytes);
	evq__le32_put(out + 80, q->max_body_len);
	memcpy(counters, &q->c, sizeof counters);
	for (size_t i = 0; i < COUNTERS; i++)
		evq__le64_put(out + 88 + 8 * i, counters[i]);
	memcpy(out + EVQ__QUEUE_HEAD, q->name, q->name_len);
	return EVQ__QUEUE_HEAD + (size_t)q->name_len;
}

static int
within(int64_t value, int64_t least, int64_t most)
{
	return value >= least && value <= most;
}

/* What a caller could not have set was not written by this library. */
static int
is_sound(const struct evq__queue *q)
{
	size_t len;
	return within(q->visibility_ms, 1, EVQ__VISIBILITY_MAX) && within(q->delay_ms, 0, EVQ__DELAY_MAX) &&
	       within(q->retention_ms, 0, EVQ__LIFE_MAX) && within(q->retry_min_ms, 1, EVQ__DELAY_MAX) &&
	       within(q->retry_max_ms, q->retry_min_ms, EVQ__DELAY_MAX) && q->max_body_len <= EVQ_BODY_MAX &&
	       within(q->dedup_ms, 1, EVQ__DEDUP_MAX) && !(q->flags & ~(uint32_t)FLAGS) &&
	       (q->flags & KINDS) != KINDS && !evq__name_check(q->name, &len) && len == q->name_len;
}

int
evq__queue_unpack(const void *value, size_t len, struct evq__queue *out)
{
	const uint8_t *p = value;
	uint64_t counters[COUNTERS] = { 0 };
	size_t head = len && p[0] == WITHOUT_DEDUP ? EVQ__QUEUE_HEAD - sizeof *counters : EVQ__QUEUE_HEAD;
	if (len < head)
		return EVQ_CORRUPT;
	if (p[0] != VERSION && p[0] != WITHOUT_DEDUP)
		return EVQ_FORMAT;
	if (p[1] > EVQ__QUEUE_DROPPING || p[2] > EVQ_NAME_MAX || p[2] == 0 || len != head + (size_t)p[2])
		return EVQ_CORRUPT;
	out->dirty = 0;
	out->state = p[1];
	out->name_len = p[2];
	out->flags = evq__le32_get(p + 4);
	out->visibility_ms = (int64_t)evq__le64_get(p + 8);
	out->delay_ms = (int64_t)evq__le64_get(p + 16);
	out->retention_ms = (int64_t)evq__le64_get(p + 24);
	out->retry_min_ms = (int64_t)evq__le64_get(p + 32);
	out->retry_max_ms = (int64_t)evq__le64_get(p + 40);
	out->dedup_ms = p[0] == VERSION ? (int64_t)evq__le64_get(p + 48) : EVQ__DEDUP_DEFAULT;
	out->max_receives = evq__le32_get(p + 56);
	out->dead_letter = evq__le32_get(p + 60);
	out->max_messages = evq__le64_get(p + 64);
	out->max_bytes = evq__le64_get(p + 72);
	out->max_body_len = evq__le32_get(p + 80);
	for (size_t i = 0; 88 + 8 * i < head; i++)
		counters[i] = evq__le64_get(p + 88 + 8 * i);
	memcpy(&out->c, counters, sizeof counters);
	memcpy(out->name, p + head, out->name_len);
	out->name[out->name_len] = 0;
	return is_sound(out) ? 0 : EVQ_CORRUPT;
}
