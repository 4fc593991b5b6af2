/* SPDX-License-Identifier: MIT */
/* Lists a queue two messages at a time, and leaves it as it was. */
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

static const char *
state_name(int state)
{
	switch (state) {
	case EVQ_VISIBLE:
		return "visible";
	case EVQ_DELAYED:
		return "delayed";
	case EVQ_LEASED:
		return "leased";
	default:
		return "blocked";
	}
}

int
main(int argc, char **argv)
{
	evq_env *env;
	evq_queue *q;
	evq_batch *batch;
	evq_receipt last;
	evq_peek_opts opts = *EVQ_PEEK_OPTS(.count = 2);
	int i, rc;
	size_t j;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "jobs", EVQ_QUEUE_ATTRS(), &q),
	    "open jobs");
	must(evq_batch_new(&batch), "make a batch");
	for (i = 0; i < 5; i++)
		must(evq_send(q, NULL, "job", 3,
		         EVQ_SEND_OPTS(.delay_ms = i < 3 ? 0 : 9000),
		         NULL),
		    "send");
	must(evq_receive(q, NULL, NULL, batch), "receive");

	while ((rc = evq_peek(q, &opts, batch)) == 0) {
		for (j = 0; j < evq_batch_count(batch); j++) {
			const evq_delivery *d = evq_batch_at(batch, j);

			printf("%" PRIu64 " %s\n", d->id,
			    state_name(d->state));
			last = d->receipt;
		}
		opts.after = &last;
	}
	if (rc != EVQ_EMPTY)
		must(rc, "peek");

	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
