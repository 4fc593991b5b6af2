/* SPDX-License-Identifier: MIT */
/* evq_batch(3). */
#include "batch.h"

#include <errno.h>
#include <stdlib.h>

int
evq_batch_new(evq_batch **out)
{
	if (!out)
		return EINVAL;
	evq_batch *b = calloc(1, sizeof *b);
	if (!b)
		return ENOMEM;
	*out = b;
	return 0;
}

void
evq_batch_free(evq_batch *b)
{
	if (!b)
		return;
	evq__batch_clear(b);
	free(b);
}

size_t
evq_batch_count(const evq_batch *b)
{
	return b ? b->count : 0;
}

const evq_delivery *
evq_batch_at(const evq_batch *b, size_t i)
{
	return b && i < b->count ? &b->items[i] : NULL;
}
