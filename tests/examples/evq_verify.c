/* SPDX-License-Identifier: MIT */
/* Checks a store, and tells each finding. */
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
tell(const evq_finding *f, void *arg)
{
	unsigned *count = arg;

	(*count)++;
	printf("%s: queue %s, message %" PRIu64 ": %s\n",
	    evq_errname(f->code), f->queue != NULL ? f->queue : "-",
	    f->id, f->what);
}

int
main(int argc, char **argv)
{
	evq_env *env;
	evq_queue *q;
	unsigned findings = 0;
	int rc;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "mail", EVQ_QUEUE_ATTRS(), &q),
	    "open mail");
	must(evq_send(q, NULL, "hello", 5, NULL, NULL), "send");

	rc = evq_verify(env, tell, &findings);
	if (rc != EVQ_CORRUPT)
		must(rc, "verify");
	printf("%u finding(s)\n", findings);

	evq_queue_close(q);
	evq_env_close(env);
	return findings == 0 ? 0 : 1;
}
