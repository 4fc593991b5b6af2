/* SPDX-License-Identifier: MIT */
/* Owns the bytes of the journal; the shapes stand in record.h. */
#include "record.h"

#include <string.h>

#include "codes.h"
#include "hash.h"

#define MAGIC UINT64_C(0x316c6e726a717665) /* "evqjrnl1", little-endian */

enum { VERSION = 1, HEAD_CHECK_AT = 48 };

void
evq__journal_head_pack(const struct evq__journal_head *h, uint8_t out[static EVQ__JOURNAL_HEAD_USED])
{
	evq__le64_put(out, MAGIC);
	evq__le32_put(out + 8, VERSION);
	evq__le32_put(out + 12, 0);
	memcpy(out + 16, h->id, EVQ__STORE_ID);
	evq__le64_put(out + 32, h->ring);
	evq__le64_put(out + 40, h->salt);
	evq__le64_put(out + HEAD_CHECK_AT, evq__hash(out, HEAD_CHECK_AT, 0));
}

int
evq__journal_head_unpack(const uint8_t *p, size_t len, struct evq__journal_head *out)
{
	if (len < EVQ__JOURNAL_HEAD_USED || evq__le64_get(p) != MAGIC || evq__le32_get(p + 8) != VERSION)
		return EVQ_FORMAT;
	if (evq__le64_get(p + HEAD_CHECK_AT) != evq__hash(p, HEAD_CHECK_AT, 0))
		return EVQ_FORMAT;
	memcpy(out->id, p + 16, EVQ__STORE_ID);
	out->ring = evq__le64_get(p + 32);
	out->salt = evq__le64_get(p + 40);
	return out->ring && out->ring % EVQ__JOURNAL_HEAD == 0 && out->ring <= INT64_MAX / 2 ? 0 : EVQ_FORMAT;
}

static uint64_t
check_of(const uint8_t *p, uint32_t len, uint64_t before, uint64_t salt)
{
	return evq__hash(p + 8, len - 8, before ^ salt);
}

uint64_t
evq__record_seal(uint8_t *p, uint32_t len, uint64_t sequence, uint64_t before, uint64_t salt)
{
	evq__le64_put(p + 8, sequence);
	evq__le32_put(p + 16, len);
	evq__le32_put(p + 20, 0);
	uint64_t check = check_of(p, len, before, salt);
	evq__le64_put(p, check);
	return check;
}

uint32_t
evq__record_len(const uint8_t *p, uint64_t sequence)
{
	uint32_t len = evq__le32_get(p + 16);
	return evq__le64_get(p + 8) == sequence && len >= EVQ__RECORD_HEAD ? len : 0;
}

int
evq__record_check(const uint8_t *p, uint32_t len, uint64_t before, uint64_t salt, uint64_t *check)
{
	*check = check_of(p, len, before, salt);
	return evq__le64_get(p) == *check ? 0 : EVQ__NONE;
}

size_t
evq__note_pack(unsigned kind, unsigned table, size_t key_len, size_t value_len, uint8_t out[static EVQ__NOTE_HEAD])
{
	out[0] = (uint8_t)(kind << 4 | table);
	out[1] = (uint8_t)key_len;
	if (kind != EVQ__NOTE_PUT)
		return 2;
	evq__le32_put(out + 2, (uint32_t)value_len);
	return EVQ__NOTE_HEAD;
}

int
evq__note_next(const uint8_t *p, uint32_t len, uint32_t *at, struct evq__note *out)
{
	uint32_t left = len - *at, head = 2, value_len = 0;
	if (!left)
		return EVQ__NONE;
	if (left < head)
		return EVQ_CORRUPT;
	out->kind = p[*at] >> 4;
	out->table = p[*at] & 15;
	if (out->kind == EVQ__NOTE_PUT) {
		head = EVQ__NOTE_HEAD;
		if (left < head)
			return EVQ_CORRUPT;
		value_len = evq__le32_get(p + *at + 2);
	} else if (out->kind != EVQ__NOTE_DEL)
		return EVQ_CORRUPT;
	uint32_t key_len = p[*at + 1];
	if (left - head < key_len || left - head - key_len < value_len)
		return EVQ_CORRUPT;
	out->key = (struct evq__slice){ p + *at + head, key_len };
	out->value = (struct evq__slice){ p + *at + head + key_len, value_len };
	*at += head + key_len + value_len;
	return 0;
}
