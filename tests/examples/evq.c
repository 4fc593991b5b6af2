/* SPDX-License-Identifier: MIT */
/* One message from end to end: sent, received, deleted. */
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

int
main(int argc, char **argv)
{
	evq_env *env;
	evq_queue *q;
	evq_batch *batch;
	const evq_delivery *d;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "greetings", EVQ_QUEUE_ATTRS(), &q),
	    "open the queue");
	must(evq_send(q, NULL, "hello, world", 12, NULL, NULL), "send");

	must(evq_batch_new(&batch), "make a batch");
	must(evq_receive(q, NULL, NULL, batch), "receive");
	d = evq_batch_at(batch, 0);
	printf("message %" PRIu64 ": %s\n", d->id, (const char *)d->body);
	must(evq_delete(q, NULL, &d->receipt), "delete");

	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
