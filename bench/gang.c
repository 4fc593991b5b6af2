/* SPDX-License-Identifier: MIT */
/*
 * Many callers on one store: each sends one message, receives one, deletes
 * it, over and over. Gangs of several sizes take turns, and who goes first
 * changes each time; a short turn of each at the beginning is not counted.
 *
 * A call counts if it ended in time. A life that has begun is lived to its
 * end, so that the queue holds as many as before.
 */
#include "crowd.h"

#include <errno.h>
#include <stdio.h>

/* ---- one caller ------------------------------------------------------------- */

static int
timed(const struct crowd *c, struct caller *self, int (*fn)(void *store, size_t count), void *store, int64_t *at)
{
	int rc = fn(store, 1);
	int64_t now = measure_ns();

	if (now - *at > self->worst_ns)
		self->worst_ns = now - *at;
	if (now <= atomic_load_explicit(&c->end, memory_order_relaxed))
		self->calls++;
	*at = now;
	return rc;
}

static int
live(struct crowd *c, struct caller *self, const struct side *side, void *store)
{
	int64_t at = measure_ns();
	int rc = 0;

	while (rc == 0 && !crowd_over(c, at)) {
		self->doing = "send";
		rc = timed(c, self, side->send, store, &at);
		if (rc != 0)
			break;
		self->doing = "receive";
		rc = timed(c, self, side->receive, store, &at);
		if (rc != 0)
			break;
		self->doing = "delete";
		rc = timed(c, self, side->settle, store, &at);
	}
	return rc;
}

static int
member(struct crowd *c, size_t i, void *arg)
{
	const struct gang *g = arg;
	const struct lane *l = g->lane;
	struct caller *self = &c->callers[i];
	void *store;
	int rc;

	self->doing = "open";
	if (l->store != NULL)
		rc = l->side->share(l->store, &l->cell, &store);
	else
		rc = l->side->open(l->path, &l->cell, &store);
	if (rc != 0)
		return rc;
	if (crowd_begin(c))
		rc = live(c, self, l->side, store);
	l->side->close(store);
	return rc;
}

/* ---- turns ------------------------------------------------------------------ */

static void
note(struct gang *g, const struct crowd *c, int64_t ms)
{
	int64_t fewest = INT64_MAX, most = 0, all = 0;

	for (size_t i = 0; i < g->count; i++) {
		const struct caller *one = &c->callers[i];

		all += one->calls;
		fewest = one->calls < fewest ? one->calls : fewest;
		most = one->calls > most ? one->calls : most;
		g->worst_ns = one->worst_ns > g->worst_ns ? one->worst_ns : g->worst_ns;
	}
	/* fewest / most, compared without a division by nothing */
	if (g->rate.count == 0 || fewest * g->most < g->fewest * most) {
		g->fewest = fewest;
		g->most = most;
	}
	series_add(&g->rate, (double)all * 1000 / (double)ms);
}

static int
turn(struct crowd *c, struct gang *gangs, size_t count, size_t first, int64_t ms)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++) {
		struct gang *g = &gangs[(first + i) % count];

		rc = g->start(c, g->count, ms, member, g);
		if (rc == 0)
			note(g, c, ms);
	}
	return rc;
}

static void
forget(struct gang *g)
{
	g->rate.count = 0;
	g->worst_ns = g->fewest = g->most = 0;
}

int
gang_turns(struct bench *b, const char *name, struct gang *gangs, size_t count)
{
	int64_t ms = b->options.crowd_ms;
	struct crowd *c = crowd_map(sizeof(*c));
	int rc;

	if (c == NULL)
		return bench_fail(name, "memory", ENOMEM);
	c->name = name;
	rc = turn(c, gangs, count, 0, ms / 5 + 1);
	for (size_t i = 0; i < count; i++)
		forget(&gangs[i]);
	place_settle(b->root);
	for (size_t i = 0; rc == 0 && i < CROWD_ROUNDS; i++)
		rc = turn(c, gangs, count, i, ms);
	crowd_unmap(c, sizeof(*c));
	return rc;
}

/* ---- what is printed -------------------------------------------------------- */

void
gang_head(const char *title, const char *callers)
{
	(void)printf("\n%s\n%-8s %-5s %9s %12s %8s %10s %10s %10s\n", title, "durable", "", callers, "calls/s", "to one",
	    "worst ms", "fewest", "most");
}

void
gang_print(const struct gang *g, const struct gang *one)
{
	char rate[32], fewest[32], most[32], ratio[32] = "";

	table_number(rate, series_median(&g->rate));
	table_number(fewest, (double)g->fewest);
	table_number(most, (double)g->most);
	if (one != NULL)
		(void)snprintf(ratio, sizeof(ratio), "%.2f", series_ratio(&g->rate, &one->rate));
	(void)printf("%-8s %-5s %9zu %12s %8s %10.1f %10s %10s\n", options_modes[g->lane->cell.mode],
	    g->lane->side->name, g->count, rate, ratio, (double)g->worst_ns / 1e6, fewest, most);
	(void)fflush(stdout);
}
