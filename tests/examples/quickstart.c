/* SPDX-License-Identifier: MIT */
/* A job is sent, received, done and deleted: the example of README.md. */
#include <evq.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
	evq_env *env = NULL;
	evq_queue *q = NULL;
	evq_batch *batch = NULL;
	int rc;
	if ((rc = evq_env_open(argc > 1 ? argv[1] : "store", NULL, &env)) == 0 &&
	    (rc = evq_queue_open(env, "jobs", EVQ_QUEUE_ATTRS(.max_receives = 3, .dead_letter = "dead"), &q)) == 0 &&
	    (rc = evq_batch_new(&batch)) == 0 &&
	    (rc = evq_send(q, NULL, "resize 17.jpg", 13, NULL, NULL)) == 0) /* on disk when it returns */
		rc = evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 100, .wait_ms = 1000), batch);
	for (size_t i = 0; rc == 0 && i < evq_batch_count(batch); i++) {
		const evq_delivery *d = evq_batch_at(batch, i);
		printf("job %llu: %s\n", (unsigned long long)d->id, (const char *)d->body);
		rc = evq_delete(q, NULL, &d->receipt); /* else it comes back, after 30 s */
	}
	if (rc != 0)
		fprintf(stderr, "%s\n", evq_strerror(rc));
	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return rc != 0;
}
