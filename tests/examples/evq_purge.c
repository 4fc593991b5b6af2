/* SPDX-License-Identifier: MIT */
/* Empties a queue, leased and delayed messages and all. */
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
	size_t purged;
	int i;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "ticks", EVQ_QUEUE_ATTRS(), &q),
	    "open ticks");
	must(evq_batch_new(&batch), "make a batch");
	for (i = 0; i < 250; i++)
		must(evq_send(q, NULL, "tick", 4,
		         EVQ_SEND_OPTS(.delay_ms = i % 2 ? 9000 : 0),
		         NULL),
		    "send");
	must(evq_receive(q, NULL, NULL, batch), "receive");

	must(evq_purge(q, NULL, &purged), "purge");
	printf("purged %u messages\n", (unsigned)purged);
	printf("the one in hand: %s\n",
	    evq_errname(evq_delete(q, NULL,
	        &evq_batch_at(batch, 0)->receipt)));

	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
