/* SPDX-License-Identifier: MIT */
/* Owns the list of what a check found: kept until the transaction is over, and told then. */
#include "flaws.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
evq__flaws_note(struct evq__flaws *flaws, const char *queue, evq_id id, const char *what)
{
	if (flaws->count++ >= EVQ__FLAWS_MAX)
		return 0;
	if (flaws->room < flaws->count) {
		size_t room = flaws->room ? flaws->room * 2 : 16;
		struct evq__flaw *list = realloc(flaws->list, room * sizeof *list);
		if (!list)
			return ENOMEM;
		flaws->list = list;
		flaws->room = room;
	}
	struct evq__flaw *f = &flaws->list[flaws->count - 1];
	size_t len = queue ? strnlen(queue, EVQ_NAME_MAX) : 0;
	memcpy(f->queue, queue ? queue : "", len);
	f->queue[len] = 0;
	f->id = id;
	f->what = what;
	return 0;
}
