/* SPDX-License-Identifier: MIT */
/* Sending. */
#ifndef EVQ__PUT_H
#define EVQ__PUT_H

#include "call.h"

/* evq_send_opts, checked and packed. */
struct evq__send {
	int64_t delay_ms;   /* 0: the queue's; below 0: none */
	int64_t expires_ms; /* 0: the queue's retention */
	int priority;
	struct evq__slice group, attrs;
	struct evq__slice dedup_id; /* of length 0: none */
	uint8_t attr_count;
};

/*
 * Sends count bodies to call->q, unless they repeat what was sent before; ids, where not NULL, has room for count.
 * Errors: EINVAL a FIFO queue, and no group or a delay; EVQ_TOOBIG a body; EVQ_FULL: *is_clearing tells whether some
 * that had expired were cleared, and it is worth another try once that is committed. Keeps: 1, 2, 3.
 */
int evq__put(struct evq__call *call, const struct evq__send *send, const evq_buf *bodies, size_t count,
             uint64_t *ids, int *is_clearing);

/*
 * Some of what such a send would clear. *is_clearing: it was not enough, and the next time may be. Keeps: 1, 2, 3.
 */
int evq__put_clear(struct evq__call *call, int *is_clearing);

#endif
