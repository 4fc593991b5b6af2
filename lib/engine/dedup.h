/* SPDX-License-Identifier: MIT */
/* What was sent to a queue within its window, so that a repeat is known for one. */
#ifndef EVQ__DEDUP_H
#define EVQ__DEDUP_H

#include "call.h"
#include "deduprow.h"

/* What a message is known by, among those sent to its queue. */
struct evq__mark {
	uint8_t kind;     /* EVQ__DEDUP_ID ... */
	uint32_t number;  /* in the batch, of a dedup_id */
	evq_buf what;     /* the dedup_id, or the body */
	uint8_t hash[EVQ__DEDUP_HASH];
	int64_t ended_ms; /* there is a row of it that has ended; 0: none */
	int is_taken;     /* the row is of something else, whose hash is the same */
};

/* kind, number and what are set. */
void evq__dedup_mark(const struct evq__call *call, struct evq__mark *m);
/* The id of the message that m repeats. Errors: EVQ__NONE none. */
int evq__dedup_find(struct evq__call *call, struct evq__mark *m, uint64_t *id);
/* From now on m is known, for call->q's window. Needs: that it was not found, just now. */
int evq__dedup_note(struct evq__call *call, const struct evq__mark *m, uint64_t id);
/* Is the row's dedup_id what its hash is of? */
int evq__dedup_is_sound(const struct evq__call *call, const struct evq__dedup *row,
                        const uint8_t hash[static EVQ__DEDUP_HASH]);
/* Forgets up to max whose window is over. */
int evq__dedup_clear(struct evq__call *call, size_t max);
/* Forgets messages with ids below end, up to max. */
int evq__dedup_forget(struct evq__call *call, uint64_t end, size_t max, int *done);

#endif
