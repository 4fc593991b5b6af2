/* SPDX-License-Identifier: MIT */
/* Dead letters to redrive: a queue whose messages die after one receive, and their dead letter. */
#ifndef EVQ_TESTS_DEAD_LETTERS_H
#define EVQ_TESTS_DEAD_LETTERS_H

#include "support.h"

enum { LEASE_MS = 30000 };

static evq_queue *work, *dead;

static inline void
setup(void)
{
	store_setup();
	work = queue_with("work", EVQ_QUEUE_ATTRS(.max_receives = 1, .dead_letter = "dead"));
	dead = queue("dead");
}

/* Dead letters from work with the bodies "0", "1", ... */
static inline void
dead_letters(uint32_t count)
{
	char body[16];
	for (uint32_t i = 0; i < count; i++) {
		snprintf(body, sizeof body, "%u", i);
		send(work, body);
	}
	take(work, count);
	clock_advance_ms(LEASE_MS);
	expect_empty(work);
	expect_counts(dead, count, 0, 0);
	seen_count = 0;
}

static inline size_t
redrive(const evq_redrive_opts *opts)
{
	size_t moved = 12345;
	ck_ok(evq_redrive(dead, NULL, opts, &moved));
	return moved;
}

#endif
