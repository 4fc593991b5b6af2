/* SPDX-License-Identifier: MIT */
/* Names and texts of results, and the version of the library. */
#include <stdio.h>

#include <evq.h>

static int
failed(const char *what, int rc)
{
	fprintf(stderr, "%s: %s: %s\n", what, evq_errname(rc),
	    evq_strerror(rc));
	return 1;
}

int
main(int argc, char **argv)
{
	evq_env *env;
	evq_queue *q;
	int major, rc;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	printf("evq %s\n", evq_version(&major, NULL, NULL));
	if (major != EVQ_VERSION_MAJOR) {
		fprintf(stderr, "not the version compiled for\n");
		return 1;
	}
	rc = evq_env_open(argv[1], NULL, &env);
	if (rc != 0)
		return failed(argv[1], rc);

	rc = evq_queue_open(env, "nowhere", NULL, &q);
	printf("%d is %s: %s\n", rc, evq_errname(rc), evq_strerror(rc));

	evq_env_close(env);
	return rc == EVQ_NOQUEUE ? 0 : 1;
}
