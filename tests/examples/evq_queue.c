/* SPDX-License-Identifier: MIT */
/* Makes a queue with a dead-letter queue, changes it, lists and drops. */
#include <errno.h>
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
print_name(const char *name, void *arg)
{
	(void)arg;
	printf("queue %s\n", name);
	return 0;
}

int
main(int argc, char **argv)
{
	evq_env *env;
	evq_queue *q;
	evq_queue_attrs attrs = *EVQ_QUEUE_ATTRS();

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "orders",
	         EVQ_QUEUE_ATTRS(.visibility_ms = 60000,
	             .max_receives = 3, .dead_letter = "orders.dead"),
	         &q),
	    "open orders");

	/* Setting sets all of them: get, change, set. */
	must(evq_queue_get_attrs(q, &attrs), "get");
	attrs.max_receives = 5;
	must(evq_queue_set_attrs(q, NULL, &attrs), "set");
	printf("lease %" PRId64 " ms, %" PRIu32 " receives, then to %s\n",
	    attrs.visibility_ms, attrs.max_receives, attrs.dead_letter);
	must(evq_queue_list(env, print_name, NULL), "list");

	if (evq_queue_drop(env, NULL, "orders.dead") == EBUSY)
		printf("orders.dead is in use as a dead-letter queue\n");
	must(evq_queue_drop(env, NULL, "orders"), "drop orders");
	must(evq_queue_drop(env, NULL, "orders.dead"), "drop the other");

	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
