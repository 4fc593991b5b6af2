/* SPDX-License-Identifier: MIT */
/* A queue's quota. */
#ifndef EVQ__ROOM_H
#define EVQ__ROOM_H

#include "queue.h"

/* Has q room for count messages more, of so many bytes together? */
static inline int
evq__room_for(const struct evq__queue *q, uint64_t count, uint64_t bytes)
{
	if (q->max_messages && (q->c.messages > q->max_messages || count > q->max_messages - q->c.messages))
		return 0;
	return !q->max_bytes || (q->c.bytes <= q->max_bytes && bytes <= q->max_bytes - q->c.bytes);
}

#endif
