/* SPDX-License-Identifier: MIT */
/*
 * The journal, evq.journal: a head of one page, and behind it a ring of records. A record is what one call
 * wrote to the tables, so that it can be written again; it takes effect whole or not at all.
 *
 * Shape of the head, little-endian, padded with zeros to EVQ__JOURNAL_HEAD:
 *    0 u64 magic, "evqjrnl1"
 *    8 u32 version, 1
 *   12 u32 0
 *   16     the id of the store that it belongs to
 *   32 u64 bytes of the ring, a multiple of 4096
 *   40 u64 salt, at random
 *   48 u64 check: XXH3 of head[0 .. 48)
 *
 * A record stands at its sequence number, which counts the bytes of the ring from the store's first record on
 * and never goes back: the place in the file is that modulo the ring's length, behind the head. A record that
 * reaches the end of the ring goes on at its beginning.
 *
 * Shape of a record, little-endian, padded to a multiple of 8:
 *    0 u64 check: XXH3 of record[8 .. len), seeded with the check of the record before it (the store's own record
 *          has that of the first) xor the salt: so what was left of another life of the ring is never taken for
 *          the next record, nor one whose forerunner was lost
 *    8 u64 sequence number
 *   16 u32 len, this head included, the padding not
 *   20 u32 0
 *   24     the notes, to the end
 * Shape of a note: u8 kind << 4 | table, u8 key_len, then for a put u32 value_len, then the key and the value.
 * Tables are numbered as in evq_format(5).
 */
#ifndef EVQ__RECORD_H
#define EVQ__RECORD_H

#include <evq.h>

#include "bytes.h"
#include "storerec.h"

enum {
	EVQ__JOURNAL_HEAD = 4096,
	EVQ__JOURNAL_HEAD_USED = 56,
	EVQ__RECORD_HEAD = 24,
	EVQ__NOTE_PUT = 1,
	EVQ__NOTE_DEL = 2,
	EVQ__NOTE_HEAD = 6 /* at most */
};

struct evq__journal_head {
	uint8_t id[EVQ__STORE_ID];
	uint64_t ring, salt;
};

void evq__journal_head_pack(const struct evq__journal_head *h, uint8_t out[static EVQ__JOURNAL_HEAD_USED]);
/* Errors: EVQ_FORMAT not such a head, or damaged, or of another version. */
int evq__journal_head_unpack(const uint8_t *p, size_t len, struct evq__journal_head *out);

/* Writes the head of the record of len bytes that begins at p, and returns its check. */
uint64_t evq__record_seal(uint8_t *p, uint32_t len, uint64_t sequence, uint64_t before, uint64_t salt);
/* What a head, the first EVQ__RECORD_HEAD bytes, says of the length; 0: it is not one for this sequence. */
uint32_t evq__record_len(const uint8_t *p, uint64_t sequence);
/* The check of a record that is there whole. Errors: EVQ__NONE it is not the one that follows before. */
int evq__record_check(const uint8_t *p, uint32_t len, uint64_t before, uint64_t salt, uint64_t *check);

static inline uint64_t
evq__record_padded(uint64_t len)
{
	return (len + 7) & ~UINT64_C(7);
}

struct evq__note {
	unsigned kind, table;
	struct evq__slice key, value;
};

/* Writes the head of a note: returns its length. */
size_t evq__note_pack(unsigned kind, unsigned table, size_t key_len, size_t value_len, uint8_t out[static EVQ__NOTE_HEAD]);
/* Reads the note at *at of a record and moves *at behind it. Errors: EVQ__NONE the end; EVQ_CORRUPT. */
int evq__note_next(const uint8_t *p, uint32_t len, uint32_t *at, struct evq__note *out);

#endif
