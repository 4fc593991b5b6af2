/* SPDX-License-Identifier: MIT */
/*
 * Two processes share a store: this one produces, its child consumes. Ten jobs are sent; most succeed, two
 * fail once, one fails every time and ends in the dead letter, from where it is sent back once the fault is
 * repaired. The producer tells the consumer through a pipe when to go on, so that it can show the state of
 * both queues after each step; a real consumer would just loop.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <evq.h>

#define JOBS 10

struct store {
	evq_env *env;
	evq_queue *jobs, *dead;
	evq_batch *batch;
};

struct pipes {
	int orders[2]; /* to the consumer: what to do next */
	int done[2];   /* and back: the same, when it is done */
};
enum { RECEIVE, SETTLE, REPAIR }; /* the orders, a byte each */

static void
must(int rc, const char *what)
{
	if (rc != 0) {
		fprintf(stderr, "%s: %s\n", what, evq_strerror(rc));
		exit(1);
	}
}

static void
must_be(int holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "not as expected: %s\n", what);
		exit(1);
	}
}

/* Each process opens the store itself: a handle does not survive fork(). */
static void
store_open(struct store *s, const char *path)
{
	must(evq_env_open(path, NULL, &s->env), "open the store");
	must(evq_queue_open(s->env, "jobs",
	         EVQ_QUEUE_ATTRS(.max_receives = 3, .dead_letter = "jobs.dead", .retry_min_ms = 200),
	         &s->jobs),
	    "open jobs");
	must(evq_queue_open(s->env, "jobs.dead", NULL, &s->dead), "open jobs.dead");
	must(evq_batch_new(&s->batch), "make a batch");
}

static void
store_close(struct store *s)
{
	evq_batch_free(s->batch);
	evq_queue_close(s->dead);
	evq_queue_close(s->jobs);
	evq_env_close(s->env);
}

/* ---- the consumer ------------------------------------------------------------------------------ */

/* Does the job: non-zero if it is done. The library puts a NUL behind each body. */
static int
work(const evq_delivery *d, int repaired)
{
	if (strcmp(d->body, "flaky") == 0)
		return d->receives > 1;
	if (strcmp(d->body, "poison") == 0)
		return repaired;
	return 1;
}

/* What is done is deleted; what failed is released, to be tried again after a growing delay. */
static void
settle(struct store *s, int repaired)
{
	size_t i;
	for (i = 0; i < evq_batch_count(s->batch); i++) {
		const evq_delivery *d = evq_batch_at(s->batch, i);
		if (work(d, repaired))
			must(evq_delete(s->jobs, NULL, &d->receipt), "delete");
		else
			must(evq_release(s->jobs, NULL, &d->receipt, EVQ_BACKOFF, 0), "release");
	}
}

static void
consume(const char *path, int orders, int done)
{
	struct store s;
	int repaired = 0;
	char order;
	store_open(&s, path);
	while (read(orders, &order, 1) == 1) {
		if (order == RECEIVE)
			must(evq_receive(s.jobs, NULL,
			         EVQ_RECEIVE_OPTS(.count = JOBS, .wait_ms = 10000, .window_ms = 200),
			         s.batch),
			    "receive");
		else if (order == SETTLE)
			settle(&s, repaired);
		else
			repaired = 1;
		must_be(write(done, &order, 1) == 1, "the producer is there");
	}
	store_close(&s);
}

/* ---- the producer ------------------------------------------------------------------------------ */

static void
tell(const struct pipes *p, char order)
{
	char answer;
	must_be(write(p->orders[1], &order, 1) == 1, "the consumer is there");
	must_be(read(p->done[0], &answer, 1) == 1 && answer == order, "the consumer has done it");
}

static evq_stats
row(evq_queue *q, const char *name)
{
	evq_stats st;
	st.size = sizeof(st);
	must(evq_queue_stats(q, &st), "stats");
	printf("  %-9s %8" PRIu64 " %8" PRIu64 " %7" PRIu64 " %9" PRIu64, name, st.visible, st.delayed, st.leased,
	    st.messages);
	printf(" | %5" PRIu64 " %8" PRIu64 " %14" PRIu64 " %9" PRIu64 "\n", st.sent, st.deleted, st.dead_lettered,
	    st.redriven);
	return st;
}

/* The state of both queues, and a check that it is the one we tell of. */
static void
show(struct store *s, const char *text, uint64_t jobs, uint64_t deleted, uint64_t dead)
{
	evq_stats j, d;
	printf("\n%s\n", text);
	printf("  queue      visible  delayed  leased  messages |  sent  deleted  dead_lettered  redriven\n");
	j = row(s->jobs, "jobs");
	d = row(s->dead, "jobs.dead");
	must_be(j.messages == jobs && j.deleted == deleted && d.messages == dead, text);
}

static void
show_dead(struct store *s)
{
	const evq_delivery *d;
	must(evq_peek(s->dead, NULL, s->batch), "peek");
	must_be(evq_batch_count(s->batch) == 1, "one dead letter");
	d = evq_batch_at(s->batch, 0);
	printf("\n  in jobs.dead: message %" PRIu64 " \"%s\", from %s, reason \"%s\", received %" PRIu32 " times\n",
	    d->id, (const char *)d->body, d->dead_from, d->dead_reason, d->receives);
}

static void
produce(const char *path, const struct pipes *p)
{
	static const evq_buf body[JOBS] = { { "plain", 5 }, { "plain", 5 }, { "flaky", 5 }, { "plain", 5 },
		{ "poison", 6 }, { "plain", 5 }, { "flaky", 5 }, { "plain", 5 }, { "plain", 5 }, { "plain", 5 } };
	struct store s;
	store_open(&s, path);
	must(evq_send_batch(s.jobs, NULL, body, JOBS, NULL, NULL), "send");
	show(&s, "1. The producer sent a batch of 10: one transaction, all or none.", 10, 0, 0);
	tell(p, RECEIVE);
	show(&s, "2. The consumer received all 10: leased, so nobody else gets them for 30 s.", 10, 0, 0);
	tell(p, SETTLE);
	show(&s, "3. Seven are done and deleted; three failed and are released with a backoff.", 3, 7, 0);
	tell(p, RECEIVE);
	tell(p, SETTLE);
	show(&s, "4. Second receive: the two flaky ones succeed; the poison fails again.", 1, 9, 0);
	tell(p, RECEIVE);
	tell(p, SETTLE);
	show(&s, "5. Third receive: it fails for the third time, and so moves to the dead letter.", 0, 9, 1);
	show_dead(&s);
	tell(p, REPAIR);
	must(evq_redrive(s.dead, NULL, NULL, NULL), "redrive");
	show(&s, "6. The fault is repaired and the message redriven: its receives count from 0 again.", 1, 9, 0);
	tell(p, RECEIVE);
	tell(p, SETTLE);
	show(&s, "7. It was received once more and deleted: all ten jobs are done.", 0, 10, 0);
	must(evq_verify(s.env, NULL, NULL), "verify");
	printf("\nVerified: every invariant of the store holds.\n");
	store_close(&s);
}

int
main(int argc, char **argv)
{
	struct pipes p;
	pid_t child;
	int status;
	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must_be(pipe(p.orders) == 0 && pipe(p.done) == 0, "pipes");
	child = fork(); /* before the store is opened */
	must_be(child >= 0, "fork");
	must_be(close(p.orders[child == 0]) == 0 && close(p.done[child != 0]) == 0, "close");
	if (child == 0) {
		consume(argv[1], p.orders[0], p.done[1]);
		return 0;
	}
	printf("Producer: process %ld. Consumer: process %ld. Store: %s\n", (long)getpid(), (long)child, argv[1]);
	produce(argv[1], &p);
	must_be(close(p.orders[1]) == 0, "close"); /* the consumer ends */
	must_be(waitpid(child, &status, 0) == child && status == 0, "the consumer ends well");
	return fflush(stdout) != 0;
}
