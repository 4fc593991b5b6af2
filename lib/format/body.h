/* SPDX-License-Identifier: MIT */
/*
 * The record of a message in evq.body: a head, then group, attributes and body, each right behind the
 * other. It is one value where it fits into a leaf of the tree, and else is cut into parts of
 * EVQ__PART_MAX bytes, rows (id, 0), (id, 1) ...: each then fills one page of its own, so LMDB never
 * has to look for pages in a row.
 *
 * Shape of the head, little-endian:
 *    0 u8  version, 1
 *    1 u8  attr_count
 *    2 u16 group_len, 0 for none
 *    4 u32 attrs_len
 *    8 u32 body_len
 *   12 u32 0
 *   16 u64 check: XXH3 of head[0 .. 16) seeded with the id, then in turn of group, attributes and
 *          body, each (where not empty) seeded with the hash before it
 * Shape of an attribute: u16 name_len, u32 value_len, the name, a NUL, the value, a NUL.
 *
 * To change it: as entry.h says.
 */
#ifndef EVQ__BODY_H
#define EVQ__BODY_H

#include <evq.h>

#include "bytes.h"

enum {
	EVQ__BODY_HEAD = 24,
	EVQ__PART_MAX = 4096 - 16, /* what an LMDB overflow page of 4 KiB holds */
	/*
	 * Source: LMDB keeps a value in a leaf when node header (8), key and value take at most
	 * ((page - 16) / 2 & -2) - 2 bytes, so that two fit on any page.
	 */
	EVQ__INLINE_MAX = (((4096 - 16) / 2) & -2) - 2 - 8 - 12,
	EVQ__ATTR_HEAD = 6
};

struct evq__body {
	uint8_t attr_count;
	struct evq__slice group, attrs, body; /* attrs as they are stored */
};

struct evq__body_head {
	uint8_t attr_count;
	uint32_t group_len, attrs_len, body_len;
	uint64_t check;
};

void evq__body_head_pack(uint64_t id, const struct evq__body *b, uint8_t out[static EVQ__BODY_HEAD]);
/* Errors: EVQ_CORRUPT lengths over the limits; EVQ_FORMAT another version. */
int evq__body_head_unpack(const void *value, size_t len, struct evq__body_head *out);
/* The checksum, of the head's first 16 bytes and the rest. */
uint64_t evq__body_check(uint64_t id, const uint8_t head[static 16], const struct evq__body *b);
uint64_t evq__body_total(const struct evq__body_head *h); /* bytes, the head's included */

static inline uint32_t
evq__body_parts(uint64_t total)
{
	return total <= EVQ__INLINE_MAX ? 1 : (uint32_t)((total + EVQ__PART_MAX - 1) / EVQ__PART_MAX);
}

/*
 * Length of attrs as stored. Errors: EINVAL a name NULL or empty, a value NULL that has a length;
 * EVQ_TOOBIG too many, a name or all of them too long.
 */
int evq__attrs_measure(const evq_attr *attrs, size_t count, size_t *len_out);
void evq__attrs_pack(const evq_attr *attrs, size_t count, uint8_t *out);
/* Reads the attribute at *at and moves *at behind it. Name and value end in NUL. Errors: EVQ_CORRUPT. */
int evq__attrs_next(const struct evq__slice *attrs, size_t *at, evq_attr *out);

#endif
