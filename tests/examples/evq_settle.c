/* SPDX-License-Identifier: MIT */
/* Four messages, four ways to be done with one. */
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

int
main(int argc, char **argv)
{
	static const evq_buf urls[] = { { "good", 4 }, { "slow", 4 },
		{ "down", 4 }, { "no such host", 12 } };
	evq_env *env;
	evq_queue *q;
	evq_batch *batch;
	evq_receipt r[4], done[2];
	evq_stats st = { .size = sizeof(st) };
	int rcs[2];
	size_t i;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "fetch",
	         EVQ_QUEUE_ATTRS(.max_receives = 10,
	             .dead_letter = "fetch.dead"),
	         &q),
	    "open fetch");
	must(evq_batch_new(&batch), "make a batch");
	must(evq_send_batch(q, NULL, urls, 4, NULL, NULL), "send");
	must(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 4), batch),
	    "receive");
	for (i = 0; i < 4; i++)
		r[i] = evq_batch_at(batch, i)->receipt;

	/* "slow" takes longer than the lease: ask for two minutes. */
	done[0] = r[0];
	must(evq_extend(q, NULL, &r[1], 120000, &done[1]), "extend");
	/* "down" may be up later; "no such host" will not get better. */
	must(evq_release(q, NULL, &r[2], EVQ_BACKOFF, 0), "release");
	must(evq_bury(q, NULL, &r[3], "no such host"), "bury");
	must(evq_delete_batch(q, NULL, done, 2, rcs), "delete");
	for (i = 0; i < 2; i++)
		must(rcs[i], "delete one");

	printf("with a receipt that was extended: %s\n",
	    evq_errname(evq_delete(q, NULL, &r[1])));
	must(evq_queue_stats(q, &st), "stats");
	printf("deleted %u, dead-lettered %u, to be tried again %u\n",
	    (unsigned)st.deleted, (unsigned)st.dead_lettered,
	    (unsigned)st.delayed);

	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
