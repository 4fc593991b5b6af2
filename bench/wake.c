/* SPDX-License-Identifier: MIT */
/*
 * From a send to the return of a receive that waited for it: one caller
 * sleeps in evq_receive on an empty queue, the other sends a message with
 * the time in it, 2 to 8 ms after the first has gone to wait. Both are
 * threads of one process, or each is a process of its own. Fully durable, a
 * flush may lie between the two.
 *
 * Beside it, the same through a pipe: what it costs on this machine now to
 * wake somebody at all.
 */
#include "crowd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <evq.h>

#define WAIT_MS 100

enum { RECEIVER, SENDER, CALLERS };

struct wake {
	struct crowd crowd;
	atomic_bool waiting;
	struct hist hist; /* of the receiver */
};

struct scene {
	const char *what, *where;
	crowd_start *start;
	int durability;
	int pipe[2];
	struct wake *wake;
	evq_env *env; /* NULL: each opens the store for itself */
	char path[BENCH_PATH];
};

struct party { /* one caller's */
	const struct scene *scene;
	struct caller *self;
	evq_env *env;
	evq_queue *queue;
	evq_batch *batch;
};

/* ---- open, close ------------------------------------------------------------ */

static int
open_env(const struct scene *s, evq_env **out)
{
	return evq_env_open(s->path, EVQ_ENV_OPTS(.durability = s->durability, .map_size = BENCH_MAP), out);
}

static int
party_open(struct party *p)
{
	const struct scene *s = p->scene;
	int rc;

	if (s->path[0] == '\0')
		return 0;
	p->self->doing = "open";
	p->env = s->env;
	rc = p->env != NULL ? 0 : open_env(s, &p->env);
	if (rc == 0)
		rc = evq_queue_open(p->env, "wake", EVQ_QUEUE_ATTRS(.visibility_ms = BENCH_LEASE_MS), &p->queue);
	return rc != 0 ? rc : evq_batch_new(&p->batch);
}

static void
party_close(struct party *p)
{
	evq_batch_free(p->batch);
	evq_queue_close(p->queue);
	if (p->env != p->scene->env)
		evq_env_close(p->env);
}

/* ---- the receiver ----------------------------------------------------------- */

/* Errors: EVQ_EMPTY: nothing came. */
static int
receive_queue(struct party *p, int64_t *sent, int64_t *got)
{
	const evq_delivery *d;
	int rc;

	p->self->doing = "receive";
	rc = evq_receive(p->queue, NULL, EVQ_RECEIVE_OPTS(.wait_ms = WAIT_MS), p->batch);
	*got = measure_ns();
	if (rc != 0)
		return rc;
	d = evq_batch_at(p->batch, 0);
	memcpy(sent, d->body, sizeof(*sent));
	p->self->doing = "delete";
	return evq_delete(p->queue, NULL, &d->receipt);
}

static int
receive_pipe(const struct scene *s, int64_t *sent, int64_t *got)
{
	struct pollfd in = { .fd = s->pipe[0], .events = POLLIN };

	if (poll(&in, 1, WAIT_MS) != 1)
		return EVQ_EMPTY;
	*got = measure_ns();
	return read(s->pipe[0], sent, sizeof(*sent)) == (ssize_t)sizeof(*sent) ? 0 : EIO;
}

static int
receive_all(struct party *p)
{
	struct wake *w = p->scene->wake;
	int rc = 0;

	while (rc == 0 && !crowd_over(&w->crowd, measure_ns())) {
		int64_t sent, got;

		atomic_store(&w->waiting, true);
		rc = p->queue != NULL ? receive_queue(p, &sent, &got) : receive_pipe(p->scene, &sent, &got);
		if (rc == 0)
			hist_add(&w->hist, got - sent);
		else if (rc == EVQ_EMPTY)
			rc = 0;
	}
	return rc;
}

/* ---- the sender ------------------------------------------------------------- */

static int
send_one(struct party *p)
{
	char body[100] = { 0 };
	int64_t now;

	p->self->doing = "send";
	now = measure_ns();
	memcpy(body, &now, sizeof(now));
	if (p->queue != NULL)
		return evq_send(p->queue, NULL, body, sizeof(body), NULL, NULL);
	return write(p->scene->pipe[1], &now, sizeof(now)) == (ssize_t)sizeof(now) ? 0 : EIO;
}

static int
send_all(struct party *p)
{
	struct wake *w = p->scene->wake;
	uint32_t random = 2463534242;
	int rc = 0;

	while (rc == 0 && !crowd_over(&w->crowd, measure_ns())) {
		if (!atomic_load(&w->waiting)) {
			crowd_sleep_us(200);
			continue;
		}
		random = random * 1664525 + 1013904223;
		crowd_sleep_us(2000 + (random >> 8) % 6000);
		atomic_store(&w->waiting, false);
		rc = send_one(p);
	}
	return rc;
}

/* ---- the scenes ------------------------------------------------------------- */

static int
act(struct crowd *c, size_t i, void *arg)
{
	struct party p = { .scene = arg, .self = &c->callers[i] };
	int rc = party_open(&p);

	if (rc == 0 && crowd_begin(c))
		rc = i == RECEIVER ? receive_all(&p) : send_all(&p);
	party_close(&p);
	return rc;
}

static void
report(const struct scene *s)
{
	const struct hist *h = &s->wake->hist;

	(void)printf("%-8s %-24s %8llu %9.1f %9.1f %9.1f %9.1f\n", s->what, s->where, (unsigned long long)h->total,
	    hist_at_us(h, 0.5), hist_at_us(h, 0.9), hist_at_us(h, 0.99), hist_at_us(h, 1));
	(void)fflush(stdout);
}

/* Makes the store; leaves it open for threads. */
static int
prepare(struct bench *b, struct scene *s)
{
	int rc = place_store(b, s->path);

	if (rc != 0)
		return rc;
	rc = open_env(s, &s->env);
	if (rc == 0 && s->start == crowd_processes) {
		evq_env_close(s->env);
		s->env = NULL;
	}
	return bench_fail("wake", "open", rc);
}

static int
play(struct bench *b, struct scene *s, int64_t ms, double *p50)
{
	struct wake *w = crowd_map(sizeof(*w));
	int rc;

	if (w == NULL)
		return bench_fail("wake", "memory", ENOMEM);
	s->wake = w;
	w->crowd.name = "wake";
	rc = s->pipe[0] >= 0 ? 0 : prepare(b, s);
	if (rc == 0)
		rc = s->start(&w->crowd, CALLERS, ms, act, s);
	if (rc == 0)
		report(s);
	*p50 = hist_at_us(&w->hist, 0.5);
	evq_env_close(s->env);
	if (s->path[0] != '\0')
		place_remove(s->path);
	crowd_unmap(w, sizeof(*w));
	return rc;
}

static int
play_mode(struct bench *b, const char *what, int durability, const int pipe_of[2], double p50[2])
{
	int64_t ms = b->options.cell_ms * 3 / 2;
	struct scene s[] = {
		{ .what = what, .where = "within a process", .start = crowd_threads },
		{ .what = what, .where = "from another process", .start = crowd_processes },
	};
	int rc = 0;

	for (int i = 0; rc == 0 && i < 2; i++) {
		s[i].durability = durability;
		s[i].pipe[0] = pipe_of[0];
		s[i].pipe[1] = pipe_of[1];
		rc = play(b, &s[i], pipe_of[0] >= 0 ? ms / 2 : ms, &p50[i]);
	}
	return rc;
}

static int
play_pipe(struct bench *b)
{
	double p50[2];
	int ends[2], rc;

	if (pipe(ends) != 0)
		return bench_fail("wake", "pipe", errno);
	rc = play_mode(b, "a pipe", 0, ends, p50);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return rc;
}

int
wake_run(struct bench *b)
{
	static const int none[2] = { -1, -1 };
	double p50[2], full[2];
	int rc;

	(void)printf("\n%-33s %8s %9s %9s %9s %9s\n", "wake: from send to receive", "times", "p50 us", "p90 us", "p99 us",
	    "worst us");
	rc = play_mode(b, "relaxed", EVQ_DURABLE_RELAXED, none, p50);
	if (rc == 0)
		rc = play_mode(b, "full", EVQ_DURABLE_FULL, none, full);
	if (rc == 0)
		rc = play_pipe(b);
	if (rc == 0) {
		bench_target(b, "wake: us within a process, relaxed, p50", p50[0], "<=", 100);
		bench_target(b, "wake: us from another process, relaxed, p50", p50[1], "<=", 400);
	}
	return rc;
}
