/* SPDX-License-Identifier: MIT */
/* A store with options, and a waiting loop that a signal ends. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <evq.h>

static evq_env *env;
static volatile sig_atomic_t stopping;

static void
on_alarm(int sig)
{
	(void)sig;
	stopping = 1;
	evq_env_interrupt(env);
}

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
	evq_queue *q;
	evq_batch *batch;
	unsigned handled = 0;
	int rc;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1],
	         EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED,
	             .mode = 0640, .max_bytes = 64 << 20),
	         &env),
	    "open the store");
	must(evq_queue_open(env, "jobs", EVQ_QUEUE_ATTRS(), &q),
	    "open jobs");
	must(evq_batch_new(&batch), "make a batch");
	must(evq_send(q, NULL, "sweep", 5, NULL, NULL), "send");

	signal(SIGALRM, on_alarm);
	alarm(1);
	while (!stopping) {
		rc = evq_receive(q, NULL,
		    EVQ_RECEIVE_OPTS(.wait_ms = 5000), batch);
		if (rc == EVQ_EMPTY || rc == EVQ_INTERRUPTED)
			continue;
		must(rc, "receive");
		must(evq_delete(q, NULL,
		         &evq_batch_at(batch, 0)->receipt),
		    "delete");
		handled++;
	}
	must(evq_sync(env), "sync");
	printf("stopped after %u message(s); all of it is on disk\n",
	    handled);

	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
