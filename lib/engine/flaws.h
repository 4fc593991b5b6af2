/* SPDX-License-Identifier: MIT */
/* What a check of the store found. */
#ifndef EVQ__FLAWS_H
#define EVQ__FLAWS_H

#include <evq.h>

struct evq__flaw {
	char queue[EVQ_NAME_MAX + 1]; /* empty where there is none to name */
	evq_id id;
	const char *what;
};

struct evq__flaws {
	struct evq__flaw *list;
	size_t count, room; /* no more than EVQ__FLAWS_MAX are kept; count goes on */
};

enum { EVQ__FLAWS_MAX = 1000 };

/* queue may be NULL, id 0; what is constant. Errors: ENOMEM. */
int evq__flaws_note(struct evq__flaws *flaws, const char *queue, evq_id id, const char *what);

#endif
