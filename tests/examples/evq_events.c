/* SPDX-License-Identifier: MIT */
/* Hears of a message that is given up. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <evq.h>

static void
must(int rc, const char *what)
{
	if (rc != 0) {
		fprintf(stderr, "%s: %s\n", what, evq_strerror(rc));
		exit(1);
	}
}

static void
on_event(const evq_event *e, void *arg)
{
	unsigned *dead = arg;

	if (e->type != EVQ_EVENT_DEAD_LETTERED)
		return;
	(*dead)++;
	printf("message %" PRIu64 " left %s: %s\n", e->id, e->queue,
	    e->reason);
}

int
main(int argc, char **argv)
{
	evq_env *env;
	evq_queue *q;
	evq_batch *batch;
	unsigned dead = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1],
	         EVQ_ENV_OPTS(.on_event = on_event, .event_arg = &dead),
	         &env),
	    "open the store");
	must(evq_queue_open(env, "jobs",
	         EVQ_QUEUE_ATTRS(.max_receives = 2,
	             .dead_letter = "failed"),
	         &q),
	    "open jobs");
	must(evq_batch_new(&batch), "make a batch");
	must(evq_send(q, NULL, "hopeless", 8, NULL, NULL), "send");

	while (evq_receive(q, NULL, NULL, batch) == 0) {
		const evq_delivery *d = evq_batch_at(batch, 0);

		printf("receive %" PRIu32 " fails\n", d->receives);
		must(evq_release(q, NULL, &d->receipt, 0, 0), "release");
	}
	printf("%u dead-lettered\n", dead);

	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
