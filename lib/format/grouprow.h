/* SPDX-License-Identifier: MIT */
/*
 * The values of evq.group. What its rows stand for is a matter of the queue's kind.
 *
 * In a FIFO queue, one for every message, under (queue, group, id): group is the hash of the group's name
 * (name.h), seeded with the store's secret, or the id where it has none; so the rows of a group stand in the order of
 * sending. Shape, little-endian:
 *    0 u8  lane
 *    1 u64 due_ms
 *    9     nothing: its entry stands in evq.due, at that place; or the entry (entry.h): it waits behind another
 *
 * In a fair queue, one for every group and lane of which the last message that was given a turn has it still, under
 * (queue, group, lane), group being 0 for messages that have none: the turn, u64. And one for every message that was
 * given a turn when its lease ran out, under (queue, its id, EVQ__BACK_ROW), so that its receipt finds it: the turn.
 *
 * To change it: as entry.h says.
 */
#ifndef EVQ__GROUPROW_H
#define EVQ__GROUPROW_H

#include "entry.h"
#include "key.h"

enum { EVQ__STAND = 9, EVQ__TURN = 8 };

#define EVQ__TURN_MAX (EVQ__DUE_TURN / 2) /* more than will ever be given */
#define EVQ__BACK_ROW UINT64_MAX /* where the others have a lane */

static inline void
evq__stand_pack(const struct evq__place *at, uint8_t out[static EVQ__STAND])
{
	out[0] = at->lane;
	evq__le64_put(out + 1, at->due_ms);
}

/*
 * Sets lane and due_ms of at, and, where an entry follows, e, whose history points into value; *is_waiting tells.
 * Errors: EVQ_CORRUPT; EVQ_FORMAT.
 */
int evq__stand_unpack(const void *value, size_t len, struct evq__place *at, struct evq__entry *e, int *is_waiting);

/* Errors: EVQ_CORRUPT. */
int evq__turn_unpack(const void *value, size_t len, uint64_t *turn);

#endif
