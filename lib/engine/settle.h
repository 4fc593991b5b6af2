/* SPDX-License-Identifier: MIT */
/* What a receipt can do, all on call->q. */
#ifndef EVQ__SETTLE_H
#define EVQ__SETTLE_H

#include "call.h"

/* Errors, of each: EINVAL damaged, another store's or another queue's; EVQ_STALE. Keeps: 3, 5, 7. */
int evq__settle_delete(struct evq__call *call, const evq_receipt *r);
/* visibility_ms 0: the queue's. */
int evq__settle_extend(struct evq__call *call, const evq_receipt *r, int64_t visibility_ms, evq_receipt *out);
int evq__settle_release(struct evq__call *call, const evq_receipt *r, int64_t delay_ms, int uncounted);
/* Errors besides: ENOENT no dead letter; EVQ_FULL. */
int evq__settle_bury(struct evq__call *call, const evq_receipt *r, const char *reason);

#endif
