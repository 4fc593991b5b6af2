/* SPDX-License-Identifier: MIT */
/* Sends back the dead letters whose reason has passed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
timed_out(const evq_delivery *d, void *arg)
{
	(void)arg;
	return d->dead_reason != NULL &&
	    strcmp(d->dead_reason, "timeout") == 0;
}

int
main(int argc, char **argv)
{
	static const char *const reasons[] = { "timeout", "bad address",
		"timeout" };
	evq_env *env;
	evq_queue *q, *dead;
	evq_batch *batch;
	size_t i, moved;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "mail",
	         EVQ_QUEUE_ATTRS(.max_receives = 3,
	             .dead_letter = "mail.dead"),
	         &q),
	    "open mail");
	must(evq_queue_open(env, "mail.dead", NULL, &dead),
	    "open mail.dead");
	must(evq_batch_new(&batch), "make a batch");
	for (i = 0; i < 3; i++) {
		must(evq_send(q, NULL, "letter", 6, NULL, NULL), "send");
		must(evq_receive(q, NULL, NULL, batch), "receive");
		must(evq_bury(q, NULL, &evq_batch_at(batch, 0)->receipt,
		         reasons[i]),
		    "bury");
	}

	must(evq_redrive(dead, NULL, EVQ_REDRIVE_OPTS(.match = timed_out),
	         &moved),
	    "redrive");
	printf("%u went back to where they came from\n", (unsigned)moved);
	must(evq_redrive(dead, NULL, EVQ_REDRIVE_OPTS(.to = "mail"),
	         &moved),
	    "redrive");
	printf("%u more went to mail\n", (unsigned)moved);

	evq_batch_free(batch);
	evq_queue_close(dead);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
