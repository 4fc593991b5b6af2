/* SPDX-License-Identifier: MIT */
/*
 * The value of a row of evq.queue for a queue: its attributes and its counters.
 *
 * Shape, little-endian:
 *    0 u8  version, 2; 1 is the same without the last of the counters, and with dedup_ms 0
 *    1 u8  state, EVQ__QUEUE_*
 *    2 u8  name_len
 *    3 u8  0
 *    4 u32 flags, EVQ_FIFO ...
 *    8 i64 visibility_ms, delay_ms, retention_ms, retry_min_ms, retry_max_ms, dedup_ms
 *   56 u32 max_receives
 *   60 u32 dead_letter: the number of a queue, or 0
 *   64 u64 max_messages, max_bytes
 *   80 u32 max_body_len
 *   84 u32 0
 *   88 u64 the counters, in the order of struct evq__counters
 *  192     the name
 *
 * To change it: as entry.h says.
 */
#ifndef EVQ__QUEUE_H
#define EVQ__QUEUE_H

#include <evq.h>

#include "bytes.h"

enum {
	EVQ__QUEUE_LIVE = 0,
	EVQ__QUEUE_DROPPING = 1 /* it has no name any more and is being emptied */
};

enum {
	EVQ__QUEUE_HEAD = 192,
	EVQ__QUEUE_MAX = EVQ__QUEUE_HEAD + EVQ_NAME_MAX
};

/* Thirteen of them, all u64: they are packed as an array. */
struct evq__counters {
	uint64_t messages, bytes; /* there now; bytes are those of the bodies */
	uint64_t mortal;          /* of the messages, those that have an end */
	uint64_t sent, received, deleted, dead_lettered, expired, redriven, purged, duplicates, stale;
	uint64_t remembered;      /* sends, in evq.dedup */
};

struct evq__queue {
	uint32_t number; /* the key */
	int dirty;       /* changed since it was loaded */
	uint8_t state;
	uint8_t name_len;
	uint32_t flags;
	int64_t visibility_ms, delay_ms, retention_ms, retry_min_ms, retry_max_ms, dedup_ms;
	uint32_t max_receives, dead_letter;
	uint64_t max_messages, max_bytes;
	uint32_t max_body_len;
	struct evq__counters c;
	char name[EVQ_NAME_MAX + 1];
};

/* Returns the length. */
size_t evq__queue_pack(const struct evq__queue *q, uint8_t out[static EVQ__QUEUE_MAX]);
/* Leaves number alone. Errors: EVQ_CORRUPT; EVQ_FORMAT another version. */
int evq__queue_unpack(const void *value, size_t len, struct evq__queue *out);

#endif
