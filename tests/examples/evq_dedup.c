/* SPDX-License-Identifier: MIT */
/*
 * Sends that may be repeated. A charge has an id, so it can be sent again
 * by whoever does not know whether it was: it is queued once. An alarm has
 * none, and is a repeat if it says the same as one a minute ago.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <evq.h>

#define TRIES 5

static void
must(int rc, const char *what)
{
	if (rc != 0) {
		fprintf(stderr, "%s: %s\n", what, evq_strerror(rc));
		exit(1);
	}
}

/* After EVQ_UNKNOWN nobody knows if it was sent: so once more. */
static evq_id
charge(evq_queue *q, const char *invoice, const char *body)
{
	evq_id id = 0;
	int rc = EVQ_UNKNOWN, i;

	for (i = 0; i < TRIES && rc == EVQ_UNKNOWN; i++)
		rc = evq_send(q, NULL, body, strlen(body),
		    EVQ_SEND_OPTS(.dedup_id = invoice), &id);
	must(rc, "send");
	return id;
}

static void
print_stats(evq_queue *q, const char *name)
{
	evq_stats st = { .size = sizeof(st) };

	must(evq_queue_stats(q, &st), "stats");
	printf("%s: %u sent, %u repeats\n", name, (unsigned)st.sent,
	    (unsigned)st.duplicates);
}

static void
by_id(evq_env *env)
{
	evq_queue *q;
	evq_id first, again;

	must(evq_queue_open(env, "charges",
	         EVQ_QUEUE_ATTRS(.dedup_ms = 24 * 3600 * 1000), &q),
	    "open charges");
	first = charge(q, "invoice 17", "anna, 40.00");
	/* The program was restarted, and begins its list again. */
	again = charge(q, "invoice 17", "anna, 40.00");
	printf("message %" PRIu64 ", and again %" PRIu64 "\n", first, again);
	charge(q, "invoice 18", "anna, 40.00");
	print_stats(q, "charges");
	evq_queue_close(q);
}

static void
by_content(evq_env *env)
{
	evq_queue *q;
	int i;

	must(evq_queue_open(env, "alarms",
	         EVQ_QUEUE_ATTRS(.dedup_ms = 60000,
	             .flags = EVQ_CONTENT_DEDUP),
	         &q),
	    "open alarms");
	for (i = 0; i < 3; i++)
		must(evq_send(q, NULL, "disk full", 9, NULL, NULL), "send");
	must(evq_send(q, NULL, "door open", 9, NULL, NULL), "send");
	print_stats(q, "alarms");
	evq_queue_close(q);
}

int
main(int argc, char **argv)
{
	evq_env *env;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	by_id(env);
	by_content(env);
	evq_env_close(env);
	return 0;
}
