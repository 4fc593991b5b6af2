/* SPDX-License-Identifier: MIT */
/*
 * Sends that may be repeated. A charge has an id: who does not know whether
 * it was sent sends it again, and it is queued once. An alarm has none, and
 * is a repeat if it says the same as one in the last minute.
 */
#include <inttypes.h>
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

static void
print_stats(evq_queue *q, const char *name)
{
	evq_stats st = { .size = sizeof(st) };

	must(evq_queue_stats(q, &st), "stats");
	printf("%s: %u sent, %u repeats\n", name, (unsigned)st.sent,
	    (unsigned)st.duplicates);
}

/*
 * Sends all of the list. If the program dies here, or has to open the
 * store again after EVQ_UNKNOWN, it begins again with the first: what was
 * sent before gets the id that it got then, and nothing is added.
 */
static void
send_charges(evq_env *env)
{
	static const char *const invoices[] = { "invoice 17", "invoice 18" };
	static const char body[] = "anna, 40.00";
	evq_queue *q;
	evq_id id;
	size_t i;

	must(evq_queue_open(env, "charges",
	         EVQ_QUEUE_ATTRS(.dedup_ms = 24 * 3600 * 1000), &q),
	    "open charges");
	for (i = 0; i < 2; i++) {
		must(evq_send(q, NULL, body, strlen(body),
		         EVQ_SEND_OPTS(.dedup_id = invoices[i]), &id),
		    "send");
		printf("%s: message %" PRIu64 "\n", invoices[i], id);
	}
	print_stats(q, "charges");
	evq_queue_close(q);
}

static void
send_alarms(evq_env *env)
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
	send_charges(env);
	evq_env_close(env);

	must(evq_env_open(argv[1], NULL, &env), "open the store again");
	send_charges(env);
	send_alarms(env);
	evq_env_close(env);
	return 0;
}
