/* SPDX-License-Identifier: MIT */
/*
 * What a receipt holds: the place of the leased entry in evq.due and the fence it was given, so that
 * settling is one look-up, and an entry that is gone or has another fence makes the receipt stale.
 *
 * Shape, of the four words:
 *   w[0] queue << 32 | fence       w[1] due_ms       w[2] id
 *   w[3] lane << 56 | tag, the low 56 bits of the hash of the rest, seeded with the store's secret:
 *        a damaged receipt, or one of another store, is told from a stale one
 * The receipts that evq_peek() gives have fence 0, which no lease has.
 */
#ifndef EVQ__RECEIPT_H
#define EVQ__RECEIPT_H

#include <evq.h>

#include "key.h"

void evq__receipt_pack(const struct evq__place *place, uint32_t fence, uint64_t secret, evq_receipt *out);
/* Errors: EINVAL damaged, or not of this store. */
int evq__receipt_unpack(const evq_receipt *r, uint64_t secret, struct evq__place *place, uint32_t *fence);

#endif
