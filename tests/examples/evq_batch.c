/* SPDX-License-Identifier: MIT */
/* Shows all that comes with a message. One batch serves every receive. */
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
show(const evq_delivery *d)
{
	size_t i;

	printf("id %" PRIu64 ": %s (%lu bytes)\n", d->id,
	    (const char *)d->body, (unsigned long)d->body_len);
	printf("  priority %d, receive %" PRIu32 ", leased for %" PRId64
	       " ms\n",
	    d->priority, d->receives,
	    d->visible_at_ms - d->first_received_at_ms);
	if (d->group != NULL)
		printf("  group %s\n", d->group);
	for (i = 0; i < d->attr_count; i++)
		printf("  %s: %s\n", d->attrs[i].name,
		    (const char *)d->attrs[i].value);
}

int
main(int argc, char **argv)
{
	static const evq_attr attrs[] = { { "type", "text/plain", 10 },
		{ "trace", "a71f", 4 } };
	evq_env *env;
	evq_queue *q;
	evq_batch *batch;
	size_t i;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "mail", EVQ_QUEUE_ATTRS(), &q),
	    "open mail");
	must(evq_send(q, NULL, "see you at noon", 15,
	         EVQ_SEND_OPTS(.priority = 3, .group = "lunch",
	             .attrs = attrs, .attr_count = 2),
	         NULL),
	    "send");
	must(evq_send(q, NULL, "", 0, NULL, NULL), "send an empty one");

	must(evq_batch_new(&batch), "make a batch");
	while (evq_receive(q, NULL, NULL, batch) == 0) {
		for (i = 0; i < evq_batch_count(batch); i++) {
			show(evq_batch_at(batch, i));
			must(evq_delete(q, NULL,
			         &evq_batch_at(batch, i)->receipt),
			    "delete");
		}
	}

	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
