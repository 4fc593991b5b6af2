/* SPDX-License-Identifier: MIT */
/*
 * Two queues whose messages belong to groups. In one, the orders of an
 * account are done one after the other, while those of another go on
 * beside them. In the other, those who wait take turns.
 */
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
send(evq_queue *q, const char *group, const char *body)
{
	must(evq_send(q, NULL, body, strlen(body),
	         EVQ_SEND_OPTS(.group = group), NULL),
	    "send");
}

static void
receive(evq_queue *q, uint32_t count, evq_batch *into)
{
	size_t i;

	must(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = count), into),
	    "receive");
	for (i = 0; i < evq_batch_count(into); i++)
		printf("%s%s", i == 0 ? "" : ", ",
		    (const char *)evq_batch_at(into, i)->body);
	printf("\n");
}

/* Two workers, and two accounts of which one has two orders. */
static void
in_order(evq_env *env, evq_batch *batch)
{
	evq_queue *q;
	evq_receipt first;

	must(evq_queue_open(env, "orders", EVQ_QUEUE_ATTRS(.flags = EVQ_FIFO),
	         &q),
	    "open orders");
	send(q, "anna", "anna opens an account");
	send(q, "anna", "anna closes it");
	send(q, "bert", "bert opens an account");

	printf("one worker:  ");
	receive(q, 1, batch);
	first = evq_batch_at(batch, 0)->receipt;
	printf("the other:   "); /* anna's second waits for her first */
	receive(q, 10, batch);
	must(evq_delete(q, NULL, &first), "delete");
	printf("when that is done: ");
	receive(q, 10, batch);
	evq_queue_close(q);
}

/* One has sent a lot at once; another, who comes later, is next. */
static void
in_turn(evq_env *env, evq_batch *batch)
{
	evq_queue *q;

	must(evq_queue_open(env, "films", EVQ_QUEUE_ATTRS(.flags = EVQ_FAIR),
	         &q),
	    "open films");
	send(q, "carl", "carl 1");
	send(q, "carl", "carl 2");
	send(q, "carl", "carl 3");
	send(q, "dora", "dora 1");
	printf("in turn: ");
	receive(q, 10, batch);
	evq_queue_close(q);
}

int
main(int argc, char **argv)
{
	evq_env *env;
	evq_batch *batch;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_batch_new(&batch), "make a batch");
	in_order(env, batch);
	in_turn(env, batch);
	evq_batch_free(batch);
	evq_env_close(env);
	return 0;
}
