/* SPDX-License-Identifier: MIT */
/* The inside of evq_batch: deliveries and the memory that they point into. */
#ifndef EVQ__BATCH_H
#define EVQ__BATCH_H

#include <evq.h>

struct evq__chunk;

struct evq_batch {
	evq_delivery *items;
	size_t count, room;
	struct evq__chunk *chunks; /* the one in use first */
	size_t held;               /* bytes in all of them */
};

void evq__batch_reset(struct evq_batch *b);
/* size bytes aligned as malloc's, that stay where they are until the reset. NULL: no memory. */
void *evq__batch_alloc(struct evq_batch *b, size_t size);
/* The next delivery, zeroed; it counts once it is kept. NULL: no memory. */
evq_delivery *evq__batch_slot(struct evq_batch *b);
void evq__batch_keep(struct evq_batch *b);
void evq__batch_clear(struct evq_batch *b); /* gives back all memory */

#endif
