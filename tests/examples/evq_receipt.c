/* SPDX-License-Identifier: MIT */
/* Hands a receipt on as text: who has the text can settle the message. */
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
	evq_env *env;
	evq_queue *q;
	evq_batch *batch;
	evq_receipt receipt;
	char text[EVQ_RECEIPT_TEXT];

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "jobs", EVQ_QUEUE_ATTRS(), &q),
	    "open jobs");
	must(evq_batch_new(&batch), "make a batch");
	must(evq_send(q, NULL, "resize", 6, NULL, NULL), "send");
	must(evq_receive(q, NULL, NULL, batch), "receive");

	must(evq_receipt_format(&evq_batch_at(batch, 0)->receipt, text),
	    "format");
	printf("%s\n", text);

	must(evq_receipt_parse(text, &receipt), "parse");
	must(evq_delete(q, NULL, &receipt), "delete");
	printf("deleted; once more: %s\n",
	    evq_errname(evq_delete(q, NULL, &receipt)));

	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
