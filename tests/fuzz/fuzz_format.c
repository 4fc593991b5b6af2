/* SPDX-License-Identifier: MIT */
/*
 * The readers of stored bytes, fed with anything: they must refuse or read within bounds, and what they accept
 * must pack to the same bytes again. A fuzzer of libFuzzer's interface (make fuzz); the first byte says which
 * reader it is for.
 */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "codes.h"
#include "deduprow.h"
#include "entry.h"
#include "grouprow.h"
#include "queue.h"
#include "record.h"
#include "storerec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
need(int condition)
{
	if (!condition)
		abort();
}

static void
fuzz_entry(const uint8_t *data, size_t len)
{
	struct evq__entry e, again;
	uint8_t head[EVQ__ENTRY_HEAD_MAX], history[EVQ__HISTORY_MAX];
	if (evq__entry_unpack(data, len, &e))
		return;
	size_t head_len = evq__entry_pack(&e, head);
	need(!memcmp(head, data, head_len));
	struct evq__death death = { 1, 2, { "queue", 5 }, { "reason", 6 } };
	struct evq__entry grown = e;
	evq__death_add(&grown, &death, history);
	need(grown.deaths <= EVQ_DEATHS_MAX && grown.history.len <= sizeof history);
	uint8_t whole[EVQ__ENTRY_MAX];
	need(evq__entry_pack(&grown, whole) == head_len);
	memcpy(whole + head_len, grown.history.data, grown.history.len);
	need(!evq__entry_unpack(whole, head_len + grown.history.len, &again));
	need(again.deaths == grown.deaths);
}

static void
fuzz_queue(const uint8_t *data, size_t len)
{
	struct evq__queue q = { .number = 0 };
	uint8_t packed[EVQ__QUEUE_MAX];
	if (evq__queue_unpack(data, len, &q))
		return;
	size_t packed_len = evq__queue_pack(&q, packed);
	need(packed_len == len + (data[0] == 1 ? 8 : 0)); /* an older version is shorter */
	need(!memcmp(packed + EVQ__QUEUE_HEAD, data + len - q.name_len, q.name_len));
}

static void
fuzz_body(const uint8_t *data, size_t len)
{
	struct evq__body_head head;
	if (evq__body_head_unpack(data, len, &head))
		return;
	uint64_t total = evq__body_total(&head);
	need(total >= EVQ__BODY_HEAD && evq__body_parts(total) > 0);
	need(total <= (uint64_t)evq__body_parts(total) * EVQ__PART_MAX);
}

static void
fuzz_attrs(const uint8_t *data, size_t len)
{
	struct evq__slice attrs = { data, len };
	uint8_t *packed = malloc(len + 1);
	evq_attr all[EVQ_ATTRS_MAX];
	size_t at = 0, count = 0, measured;
	need(packed != NULL);
	while (count < EVQ_ATTRS_MAX && at < len && !evq__attrs_next(&attrs, &at, &all[count]))
		count++;
	need(at <= len);
	if (!evq__attrs_measure(all, count, &measured)) {
		need(measured == at);
		evq__attrs_pack(all, count, packed);
		need(!memcmp(packed, data, at));
	}
	free(packed);
}

static void
fuzz_store(const uint8_t *data, size_t len)
{
	struct evq__storerec rec;
	uint8_t packed[EVQ__STOREREC_LEN];
	if (evq__storerec_unpack(data, len, &rec))
		return;
	evq__storerec_pack(&rec, packed);
	need(!memcmp(packed + 12, data + 12, len - 12)); /* an older version is shorter */
}

static void
fuzz_notes(const uint8_t *data, size_t len)
{
	uint8_t head[EVQ__NOTE_HEAD];
	struct evq__note note;
	uint32_t at = 0, before = 0;
	while (!evq__note_next(data, (uint32_t)len, &at, &note)) {
		size_t head_len = evq__note_pack(note.kind, note.table, note.key.len, note.value.len, head);
		need(!memcmp(head, data + before, head_len));
		need((const uint8_t *)note.key.data == data + before + head_len);
		need((const uint8_t *)note.value.data + note.value.len <= data + len);
		need(at == before + head_len + note.key.len + note.value.len);
		before = at;
	}
}

static void
fuzz_stand(const uint8_t *data, size_t len)
{
	struct evq__place at = { .queue = 1, .id = 2 };
	struct evq__entry e;
	uint8_t packed[EVQ__STAND + EVQ__ENTRY_HEAD_MAX];
	int is_waiting;
	if (evq__stand_unpack(data, len, &at, &e, &is_waiting))
		return;
	evq__stand_pack(&at, packed);
	size_t packed_len = EVQ__STAND + (is_waiting ? evq__entry_pack(&e, packed + EVQ__STAND) : 0);
	need(packed_len <= len && !memcmp(packed, data, packed_len));
}

static void
fuzz_turn(const uint8_t *data, size_t len)
{
	uint64_t turn;
	if (!evq__turn_unpack(data, len, &turn))
		need(turn <= EVQ__TURN_MAX);
}

static void
fuzz_dedup(const uint8_t *data, size_t len)
{
	struct evq__dedup d;
	uint8_t packed[EVQ__DEDUP_HEAD];
	if (evq__dedup_unpack(data, len, &d))
		return;
	evq__dedup_pack(&d, packed);
	need(!memcmp(packed, data, sizeof packed) && sizeof packed + d.text.len == len);
}

static void
fuzz_journal(const uint8_t *data, size_t len)
{
	uint8_t packed[EVQ__JOURNAL_HEAD_USED];
	struct evq__journal_head head;
	uint64_t check;
	if (len >= EVQ__RECORD_HEAD) {
		uint32_t said = evq__record_len(data, 7);
		need(!said || said >= EVQ__RECORD_HEAD);
		if (said && said <= len)
			(void)evq__record_check(data, said, 1, 2, &check);
	}
	if (evq__journal_head_unpack(data, len, &head))
		return;
	evq__journal_head_pack(&head, packed);
	need(!memcmp(packed, data, sizeof packed));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const readers[])(const uint8_t *, size_t) = { fuzz_entry, fuzz_queue, fuzz_body, fuzz_attrs,
		                                                    fuzz_store, fuzz_notes, fuzz_journal, fuzz_stand,
		                                                    fuzz_turn, fuzz_dedup };
	if (len > 0)
		readers[data[0] % (sizeof readers / sizeof *readers)](data + 1, len - 1);
	return 0;
}
