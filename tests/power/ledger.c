/* SPDX-License-Identifier: MIT */
/* Owns the ledger. One thread writes it; all that it says of a call is in it before the answer is recorded. */
#include "ledger.h"

#include "dice.h"
#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ledger ledger;

/* One more in an array; the room doubles each time it is full, which its count tells. */
static void *
grow(void *array, size_t count, size_t size)
{
	if (count & (count - 1) || (count && count < 64))
		return array;
	array = realloc(array, (count ? count * 2 : 64) * size);
	if (!array) {
		perror("ledger");
		exit(2);
	}
	return array;
}

void
ledger_start(void)
{
	memset(&ledger, 0, sizeof(ledger));
	ledger.calls = grow(NULL, 0, sizeof(*ledger.calls));
	ledger.calls[0] = (struct call){ .what = "nothing" };
	ledger.call_count = 1;
}

void
ledger_forget(void)
{
	free(ledger.calls);
	free(ledger.items);
	free(ledger.effects);
	memset(&ledger, 0, sizeof(ledger));
}

/* ---- hashes ------------------------------------------------------------------------------------------- */

uint64_t
ledger_hash(enum item_kind kind, uint64_t id, const char *queue, uint64_t content)
{
	uint64_t h = dice_mix(id * 4 + (uint64_t)kind) ^ dice_mix(content + 77);
	return queue ? dice_hash(h, queue, strlen(queue)) : dice_mix(h);
}

static uint64_t
hash_message(const void *body, size_t len, int priority, const evq_attr *attrs, size_t count)
{
	uint64_t h = dice_hash((uint64_t)(priority + 1000), body, len);
	for (size_t i = 0; i < count; i++)
		h = dice_hash(dice_hash(h, attrs[i].name, strlen(attrs[i].name)), attrs[i].value, attrs[i].len);
	return h;
}

uint64_t
ledger_content(const evq_delivery *d)
{
	return hash_message(d->body, d->body_len, d->priority, d->attrs, d->attr_count);
}

uint64_t
ledger_content_of(const void *body, size_t len, const evq_send_opts *opts)
{
	return opts ? hash_message(body, len, opts->priority, opts->attrs, opts->attr_count) :
	              hash_message(body, len, 0, NULL, 0);
}

/* ---- calls -------------------------------------------------------------------------------------------- */

struct call *
ledger_now(void)
{
	return &ledger.calls[ledger.call_count - 1];
}

void
ledger_begin(const char *what)
{
	ledger.calls = grow(ledger.calls, ledger.call_count, sizeof(*ledger.calls));
	ledger.calls[ledger.call_count++] = (struct call){ .what = what, .rc = -1, .effects = ledger.effect_count };
	record_mark(ENTRY_CALL, ledger.call_count - 1);
}

static void
add_effect(size_t item, int adds)
{
	ledger.effects = grow(ledger.effects, ledger.effect_count, sizeof(*ledger.effects));
	ledger.effects[ledger.effect_count++] = (struct effect){ item, adds };
	ledger.items[item].alive = adds;
}

void
ledger_add(enum item_kind kind, uint64_t id, const char *queue, uint64_t content, size_t len)
{
	ledger.items = grow(ledger.items, ledger.item_count, sizeof(*ledger.items));
	ledger.items[ledger.item_count++] = (struct item){
		.kind = kind, .id = id, .queue = queue, .content = content, .len = len,
		.hash = ledger_hash(kind, id, queue, content)
	};
	add_effect(ledger.item_count - 1, 1);
}

void
ledger_remove(struct item *item)
{
	add_effect((size_t)(item - ledger.items), 0);
}

void
ledger_move(struct item *item, const char *queue)
{
	struct item old = *item;
	ledger_remove(item);
	ledger_add(old.kind, old.id, queue, old.content, old.len);
	ledger.items[ledger.item_count - 1].origin = old.queue;
}

int
ledger_end(int rc)
{
	struct call *c = ledger_now();
	c->rc = rc;
	c->hash = c[-1].hash;
	c->effect_count = rc ? 0 : ledger.effect_count - c->effects;
	for (size_t i = ledger.effect_count; rc && i > c->effects; i--)
		ledger.items[ledger.effects[i - 1].item].alive = !ledger.effects[i - 1].adds;
	if (rc)
		ledger.effect_count = c->effects;
	for (size_t i = c->effects; i < ledger.effect_count; i++)
		c->hash ^= ledger.items[ledger.effects[i].item].hash;
	record_mark(ENTRY_ANSWER, ledger.call_count - 1);
	return rc;
}

/* ---- questions ----------------------------------------------------------------------------------------- */

struct item *
ledger_find(enum item_kind kind, uint64_t id)
{
	for (size_t i = ledger.item_count; i > 0; i--) {
		struct item *item = &ledger.items[i - 1];
		if (item->alive && item->kind == kind && item->id == id)
			return item;
	}
	return NULL;
}

struct item *
ledger_find_queue(const char *name)
{
	for (size_t i = 0; i < ledger.item_count; i++)
		if (ledger.items[i].alive && ledger.items[i].kind == ITEM_QUEUE && strcmp(ledger.items[i].queue, name) == 0)
			return &ledger.items[i];
	return NULL;
}

unsigned char *
ledger_at(size_t call)
{
	unsigned char *flags = calloc(ledger.item_count + 1, 1);
	for (size_t i = 1; flags && i <= call; i++)
		for (size_t e = 0; e < ledger.calls[i].effect_count; e++) {
			const struct effect *effect = &ledger.effects[ledger.calls[i].effects + e];
			flags[effect->item] = (unsigned char)effect->adds;
		}
	return flags;
}
