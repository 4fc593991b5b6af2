/* SPDX-License-Identifier: MIT */
/* Takes up to four messages at a time until the queue has been quiet. */
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
handle(evq_queue *q, const evq_delivery *d)
{
	printf("message %" PRIu64 ", receive %" PRIu32 ": %s\n", d->id,
	    d->receives, (const char *)d->body);
	must(evq_delete(q, NULL, &d->receipt), "delete");
}

int
main(int argc, char **argv)
{
	evq_env *env;
	evq_queue *q;
	evq_batch *batch;
	char body[32];
	size_t i;
	int n, rc;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "jobs", EVQ_QUEUE_ATTRS(), &q),
	    "open jobs");
	must(evq_batch_new(&batch), "make a batch");
	for (i = 1; i <= 6; i++) {
		n = snprintf(body, sizeof(body), "job %u", (unsigned)i);
		must(evq_send(q, NULL, body, (size_t)n, NULL, NULL),
		    "send");
	}

	for (;;) {
		rc = evq_receive(q, NULL,
		    EVQ_RECEIVE_OPTS(.count = 4, .wait_ms = 200,
		        .visibility_ms = 10000),
		    batch);
		if (rc == EVQ_EMPTY)
			break;
		must(rc, "receive");
		printf("a batch of %u\n",
		    (unsigned)evq_batch_count(batch));
		for (i = 0; i < evq_batch_count(batch); i++)
			handle(q, evq_batch_at(batch, i));
	}

	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
