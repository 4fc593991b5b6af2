/* SPDX-License-Identifier: MIT */
/* Copies a store while it is open, then opens the copy as a store. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

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
show(const char *what, evq_queue *q)
{
	evq_stats st = { .size = sizeof(st) };

	must(evq_queue_stats(q, &st), "stats");
	printf("%s: %lu message(s)\n", what, (unsigned long)st.messages);
}

int
main(int argc, char **argv)
{
	evq_env *env, *copy;
	evq_queue *q, *copied;
	char live[1024], backup[1024];

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	mkdir(argv[1], 0700);
	snprintf(live, sizeof(live), "%s/live", argv[1]);
	snprintf(backup, sizeof(backup), "%s/backup", argv[1]);

	must(evq_env_open(live, NULL, &env), "open the store");
	must(evq_queue_open(env, "mail", EVQ_QUEUE_ATTRS(), &q),
	    "open mail");
	must(evq_send(q, NULL, "one", 3, NULL, NULL), "send");
	must(evq_send(q, NULL, "two", 3, NULL, NULL), "send");
	must(evq_env_copy(env, backup, EVQ_COPY_COMPACT), "copy");
	must(evq_send(q, NULL, "three", 5, NULL, NULL), "send");

	must(evq_env_open(backup, NULL, &copy), "open the copy");
	must(evq_queue_open(copy, "mail", NULL, &copied),
	    "open its mail");
	show("live", q);
	show("copy", copied);

	evq_queue_close(copied);
	evq_env_close(copy);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
