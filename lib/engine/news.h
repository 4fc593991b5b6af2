/* SPDX-License-Identifier: MIT */
/* What the world is to hear of a transaction once it is committed: events, and queues to wake. */
#ifndef EVQ__NEWS_H
#define EVQ__NEWS_H

#include <evq.h>

#include "store.h"

enum { EVQ__NEWS_WAKES = 8 };

struct evq__told {
	int type;
	evq_id id;
	char queue[EVQ_NAME_MAX + 1];
	char reason[EVQ_REASON_MAX + 1];
};

/* Thread-safety: that of its transaction. */
struct evq__news {
	int wanted; /* does anybody listen? Otherwise events are not kept */
	struct evq__told *told;
	size_t count, room;
	struct {
		uint32_t queue, count;
	} wake[EVQ__NEWS_WAKES];
	unsigned wake_count;
	int wake_all; /* more queues than fit */
};

/* Errors: ENOMEM. */
int evq__news_event(struct evq__news *n, int type, const char *queue, evq_id id, const char *reason);
/* So many of the queue's messages became visible; EVQ__WAKE_ALL: or will be sooner than was known. */
void evq__news_wake(struct evq__news *n, uint32_t queue, uint32_t count);
void evq__news_clear(struct evq__news *n);

#endif
