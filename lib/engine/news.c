/* SPDX-License-Identifier: MIT */
/* Owns the list of what happened in a transaction and is not yet told: an aborted one tells nothing. */
#include "news.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int
make_room(struct evq__news *n)
{
	size_t room = n->room ? n->room * 2 : 16;
	struct evq__told *told = realloc(n->told, room * sizeof *told);
	if (!told)
		return ENOMEM;
	n->told = told;
	n->room = room;
	return 0;
}

static void
copy_text(char *to, size_t size, const char *from)
{
	size_t len = strnlen(from, size - 1);
	memcpy(to, from, len);
	to[len] = 0;
}

int
evq__news_event(struct evq__news *n, int type, const char *queue, evq_id id, const char *reason)
{
	if (!n->wanted)
		return 0;
	if (n->count == n->room && make_room(n))
		return ENOMEM;
	struct evq__told *t = &n->told[n->count++];
	t->type = type;
	t->id = id;
	copy_text(t->queue, sizeof t->queue, queue);
	copy_text(t->reason, sizeof t->reason, reason);
	return 0;
}

void
evq__news_wake(struct evq__news *n, uint32_t queue, uint32_t count)
{
	unsigned i = 0;
	while (i < n->wake_count && n->wake[i].queue != queue)
		i++;
	if (i == EVQ__NEWS_WAKES) {
		n->wake_all = 1;
		return;
	}
	if (i == n->wake_count) {
		n->wake[n->wake_count++].queue = queue;
		n->wake[i].count = 0;
	}
	uint32_t room = UINT32_MAX - n->wake[i].count;
	n->wake[i].count += count < room ? count : room;
}

void
evq__news_clear(struct evq__news *n)
{
	free(n->told);
	*n = (struct evq__news){ .wanted = n->wanted };
}
