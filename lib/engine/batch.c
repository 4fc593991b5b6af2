/* SPDX-License-Identifier: MIT */
/*
 * Owns the memory of received messages. Bodies and texts are cut from chunks, which never move; a batch that
 * needed several gets one as large as all of them at the next reset, so that a loop that receives alike each
 * time comes to rest and allocates no more.
 */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_MIN = 4096, ALIGNMENT = _Alignof(max_align_t) };

struct evq__chunk {
	struct evq__chunk *next;
	size_t size, used;
	_Alignas(max_align_t) char data[];
};

static struct evq__chunk *
add_chunk(struct evq_batch *b, size_t size)
{
	if (size > SIZE_MAX - sizeof(struct evq__chunk))
		return NULL;
	struct evq__chunk *c = malloc(sizeof *c + size);
	if (!c)
		return NULL;
	c->next = b->chunks;
	c->size = size;
	c->used = 0;
	b->chunks = c;
	b->held += size;
	return c;
}

static void
free_chunks(struct evq_batch *b)
{
	while (b->chunks) {
		struct evq__chunk *next = b->chunks->next;
		free(b->chunks);
		b->chunks = next;
	}
	b->held = 0;
}

void
evq__batch_reset(struct evq_batch *b)
{
	b->count = 0;
	if (b->chunks && b->chunks->next) {
		size_t held = b->held;
		free_chunks(b);
		(void)add_chunk(b, held); /* where this fails, the next allocation tries again */
	} else if (b->chunks)
		b->chunks->used = 0;
}

void *
evq__batch_alloc(struct evq_batch *b, size_t size)
{
	if (size > SIZE_MAX - ALIGNMENT)
		return NULL;
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	struct evq__chunk *c = b->chunks;
	if (!c || c->size - c->used < size) {
		size_t least = b->held > CHUNK_MIN ? b->held : CHUNK_MIN; /* doubles what there is */
		c = add_chunk(b, size > least ? size : least);
		if (!c)
			return NULL;
	}
	void *p = c->data + c->used;
	c->used += size;
	return p;
}

evq_delivery *
evq__batch_slot(struct evq_batch *b)
{
	if (b->count == b->room) {
		size_t room = b->room ? b->room * 2 : 16;
		evq_delivery *items = realloc(b->items, room * sizeof *items);
		if (!items)
			return NULL;
		b->items = items;
		b->room = room;
	}
	memset(&b->items[b->count], 0, sizeof *b->items);
	return &b->items[b->count];
}

void
evq__batch_keep(struct evq_batch *b)
{
	b->count++;
}

void
evq__batch_clear(struct evq_batch *b)
{
	free_chunks(b);
	free(b->items);
	*b = (struct evq_batch){ .items = NULL };
}
