/* SPDX-License-Identifier: MIT */
/* Sends three messages at once, then one that overtakes them. */
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
	static const evq_buf pages[] = { { "page 1", 6 }, { "page 2", 6 },
		{ "page 3", 6 } };
	static const evq_attr headers[] = { { "printer", "upstairs", 8 },
		{ "copies", "2", 1 } };
	evq_env *env;
	evq_queue *q;
	evq_batch *batch;
	evq_id ids[3], urgent;
	size_t i;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "print", EVQ_QUEUE_ATTRS(), &q),
	    "open print");

	must(evq_send_batch(q, NULL, pages, 3,
	         EVQ_SEND_OPTS(.attrs = headers, .attr_count = 2,
	             .expires_ms = 3600000),
	         ids),
	    "send the pages");
	must(evq_send(q, NULL, "stop", 4, EVQ_SEND_OPTS(.priority = 10),
	         &urgent),
	    "send the order to stop");
	printf("sent %" PRIu64 " to %" PRIu64 ", and %" PRIu64 "\n",
	    ids[0], ids[2], urgent);

	must(evq_batch_new(&batch), "make a batch");
	must(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 10), batch),
	    "receive");
	for (i = 0; i < evq_batch_count(batch); i++)
		printf("%s, %u header(s)\n",
		    (const char *)evq_batch_at(batch, i)->body,
		    (unsigned)evq_batch_at(batch, i)->attr_count);

	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
