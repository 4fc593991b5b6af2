/* SPDX-License-Identifier: MIT */
/* A table of all queues of a store. */
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

static int
print_row(const char *name, void *arg)
{
	evq_env *env = arg;
	evq_queue *q;
	evq_stats st = { .size = sizeof(st) };

	must(evq_queue_open(env, name, NULL, &q), name);
	must(evq_queue_stats(q, &st), name);
	printf("%-10s %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64
	       " %8" PRIu64 "\n",
	    name, st.visible, st.delayed, st.leased, st.sent, st.deleted);
	evq_queue_close(q);
	return 0;
}

int
main(int argc, char **argv)
{
	static const evq_buf bodies[] = { { "a", 1 }, { "b", 1 },
		{ "c", 1 } };
	evq_env *env;
	evq_queue *q, *later;
	evq_batch *batch;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "jobs", EVQ_QUEUE_ATTRS(), &q),
	    "open jobs");
	must(evq_queue_open(env, "reminders",
	         EVQ_QUEUE_ATTRS(.delay_ms = 60000), &later),
	    "open reminders");
	must(evq_batch_new(&batch), "make a batch");
	must(evq_send_batch(q, NULL, bodies, 3, NULL, NULL), "send");
	must(evq_send_batch(later, NULL, bodies, 2, NULL, NULL), "send");
	must(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 2), batch),
	    "receive");
	must(evq_delete(q, NULL, &evq_batch_at(batch, 0)->receipt),
	    "delete");

	printf("%-10s %8s %8s %8s %8s %8s\n", "queue", "visible",
	    "delayed", "leased", "sent", "deleted");
	must(evq_queue_list(env, print_row, env), "list");

	evq_batch_free(batch);
	evq_queue_close(later);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
