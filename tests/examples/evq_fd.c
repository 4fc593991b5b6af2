/* SPDX-License-Identifier: MIT */
/* An event loop: waits in poll() for a queue, as for any other descriptor. */
#include <inttypes.h>
#include <poll.h>
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

/* Receives until there is nothing more, and returns how many there were. */
static unsigned
drain(evq_queue *q, evq_batch *batch)
{
	const evq_delivery *d;
	unsigned count = 0;
	int rc;

	while ((rc = evq_receive(q, NULL, NULL, batch)) == 0) {
		d = evq_batch_at(batch, 0);
		printf("message %" PRIu64 ": %s\n", d->id,
		    (const char *)d->body);
		must(evq_delete(q, NULL, &d->receipt), "delete");
		count++;
	}
	if (rc != EVQ_EMPTY)
		must(rc, "receive");
	return count;
}

int
main(int argc, char **argv)
{
	evq_env *env;
	evq_queue *q;
	evq_batch *batch;
	struct pollfd fds[1];
	unsigned done = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "jobs", EVQ_QUEUE_ATTRS(), &q),
	    "open jobs");
	must(evq_batch_new(&batch), "make a batch");
	must(evq_send(q, NULL, "later", 5,
	         EVQ_SEND_OPTS(.delay_ms = 200), NULL),
	    "send");
	must(evq_send(q, NULL, "now", 3, NULL, NULL), "send");

	must(evq_queue_fd(q, &fds[0].fd), "get the descriptor");
	fds[0].events = POLLIN;
	while (done < 2) {
		if (poll(fds, 1, 10000) <= 0) {
			fprintf(stderr, "nothing came\n");
			return 1;
		}
		if (fds[0].revents & POLLIN)
			done += drain(q, batch);
	}

	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
