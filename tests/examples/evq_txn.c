/* SPDX-License-Identifier: MIT */
/*
 * Payments arrive as messages. Taking them and adding them to a total in
 * an LMDB database of the program's own are one commit: whenever the power
 * fails, each payment is either still queued or in the total, never both.
 */
#include <inttypes.h>
#include <lmdb.h>
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

/* Adds amount to the total, inside txn, and returns the new total. */
static int64_t
add_to_total(evq_txn *txn, int64_t amount)
{
	MDB_txn *mtxn = evq_txn_mdb(txn);
	MDB_dbi dbi;
	MDB_val key = { 5, "total" }, val;
	int64_t total = 0;
	int rc;

	must(mdb_dbi_open(mtxn, "ledger", MDB_CREATE, &dbi), "ledger");
	rc = mdb_get(mtxn, dbi, &key, &val);
	if (rc != MDB_NOTFOUND) {
		must(rc, "read the total");
		memcpy(&total, val.mv_data, sizeof(total));
	}
	total += amount;
	val.mv_size = sizeof(total);
	val.mv_data = &total;
	must(mdb_put(mtxn, dbi, &key, &val, 0), "write the total");
	return total;
}

int
main(int argc, char **argv)
{
	static const evq_buf payments[] = { { "5", 1 }, { "7", 1 },
		{ "30", 2 } };
	evq_env *env;
	evq_queue *q;
	evq_batch *batch;
	evq_txn *txn;
	int64_t total = 0;
	size_t i;

	if (argc != 2) {
		fprintf(stderr, "usage: %s directory\n", argv[0]);
		return 2;
	}
	must(evq_env_open(argv[1], NULL, &env), "open the store");
	must(evq_queue_open(env, "payments", EVQ_QUEUE_ATTRS(), &q),
	    "open");
	must(evq_batch_new(&batch), "make a batch");
	must(evq_send_batch(q, NULL, payments, 3, NULL, NULL), "send");

	must(evq_begin(env, &txn), "begin");
	must(evq_receive(q, txn, EVQ_RECEIVE_OPTS(.count = 10), batch),
	    "receive");
	for (i = 0; i < evq_batch_count(batch); i++) {
		const evq_delivery *d = evq_batch_at(batch, i);

		total = add_to_total(txn, strtol(d->body, NULL, 10));
		must(evq_delete(q, txn, &d->receipt), "delete");
	}
	must(evq_commit(txn), "commit");
	printf("total %" PRId64 " after %u payments\n", total,
	    (unsigned)i);

	evq_batch_free(batch);
	evq_queue_close(q);
	evq_env_close(env);
	return 0;
}
