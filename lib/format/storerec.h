/* SPDX-License-Identifier: MIT */
/*
 * The value of row 0 of evq.queue: the store's own record.
 *
 * Shape, little-endian:
 *    0 u8  version of this record, 2; 1 is the same without its last field
 *    1     7 zero bytes
 *    8 u32 format: the version of everything else in the store, 3; 2 is one in which names are hashed whole (name.h),
 *          and stays so; 1 is one without evq.group and evq.dedup, and becomes 3
 *   12 u32 next queue number
 *   16     store id, 16 bytes at random
 *   32 u64 hash secret, at random
 *   40 u64 next message id
 *   48 u64 sequence number up to which the journal is in the tables (record.h)
 *   56 u64 of queues dropped since: sent, deleted, expired, purged
 *   88 i64 the store's time at the last send
 *   96 u64 check of the journal's record that ends at that sequence number; 0: there was none
 */
#ifndef EVQ__STOREREC_H
#define EVQ__STOREREC_H

#include <evq.h>

#include "bytes.h"
#include "name.h"

enum {
	EVQ__STOREREC_LEN = 104,
	EVQ__STORE_FORMAT = 3,
	EVQ__STORE_WHOLE_NAMES = 2,
	EVQ__STORE_WITHOUT_GROUPS = 1,
	EVQ__STORE_ID = 16
};

struct evq__storerec {
	uint32_t format; /* that was read; what is written has EVQ__STORE_FORMAT, or stays EVQ__STORE_WHOLE_NAMES */
	uint32_t next_queue;
	uint8_t id[EVQ__STORE_ID];
	uint64_t secret;
	uint64_t next_id;
	uint64_t sequence;
	uint64_t sent, deleted, expired, purged; /* of queues that are no more */
	int64_t seen_ms;
	uint64_t chain;
};

/* How many bytes of a name stand behind its hash. */
static inline size_t
evq__storerec_name_end(const struct evq__storerec *s)
{
	return s->format == EVQ__STORE_WHOLE_NAMES ? 0 : EVQ__NAME_END;
}

void evq__storerec_pack(const struct evq__storerec *s, uint8_t out[static EVQ__STOREREC_LEN]);
/* Errors: EVQ_FORMAT another version or not such a record. */
int evq__storerec_unpack(const void *value, size_t len, struct evq__storerec *out);

#endif
