/* SPDX-License-Identifier: MIT */
/*
 * Exactly once: two queues and a table of the program's own, and whatever dies wherever, each order is billed once
 * and paid once.
 *
 *   feeder --> orders --> bill --> payments --> pay
 *                           \                   /
 *                            `--> accounts <---'        a table of LMDB's, in the same store
 *
 *   pipeline STORE                  a small demonstration
 *   pipeline STORE feed FROM TO     sends these orders; may be repeated, also where some were sent before
 *   pipeline STORE work             bills and pays until SIGTERM; as many of them as you like
 *   pipeline STORE check COUNT      whether orders 1 to COUNT are billed and paid, and nothing else
 *
 * Three things make it so.
 *
 * 1. What a stage does is one commit (step() below): the row of the account is written, the message for the next stage
 *    is sent, and the message that caused it is deleted, all in one evq_txn. If the process dies before the commit,
 *    nothing of it has happened and the message is received again; if after it, the message is gone. There is no
 *    moment between the two. What can't be part of the commit, such as a letter that is printed, can't be done
 *    exactly once.
 * 2. The receipt is a fence. Should the lease have ended because the work took too long, then another may have
 *    the message by now; evq_delete() answers EVQ_STALE, and what was written is undone.
 * 3. The feeder can't be part of the commit: what it sends comes from somewhere else. So each order has a dedup_id, and
 *    who doesn't know what was sent before it died sends all of it again.
 *
 * The orders of an account are billed in the order sent: "orders" is a FIFO queue, its groups are the accounts. So
 * each stage can also insist that they come one after the other. "payments" is a fair queue: an account with
 * many of them keeps no other from being paid.
 */
#include <inttypes.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <evq.h>

enum { ACCOUNTS = 7, TOGETHER = 8, DEMO_ORDERS = 300, WAIT_MS = 1000 };

struct account { /* a row of the table */
	uint64_t orders, billed, last_order; /* by the stage "bill": how many, how much, which was the last */
	uint64_t payments, paid;             /* by the stage "pay" */
};

struct store {
	evq_env *env;
	evq_queue *orders, *payments;
	MDB_dbi accounts;
};

static struct store store;
static volatile sig_atomic_t told_to_stop;

static void
must(int rc, const char *what)
{
	if (rc != 0) {
		fprintf(stderr, "%s: %s\n", what, evq_strerror(rc));
		exit(1);
	}
}

static void
must_be(int holds, const char *what, uint64_t number)
{
	if (!holds) {
		fprintf(stderr, "not as expected: %s (%" PRIu64 ")\n", what, number);
		exit(1);
	}
}

/* ---- the store ------------------------------------------------------------------------------------- */

static void
store_open(const char *path)
{
	evq_txn *txn;
	must(evq_env_open(path, NULL, &store.env), "open the store");
	must(evq_queue_open(store.env, "orders", EVQ_QUEUE_ATTRS(.dedup_ms = 3600000, .flags = EVQ_FIFO), &store.orders),
	    "open orders");
	must(evq_queue_open(store.env, "payments", EVQ_QUEUE_ATTRS(.flags = EVQ_FAIR), &store.payments), "open payments");
	/* A database of LMDB's is opened in a transaction, and is there for all others when that is committed. */
	must(evq_begin(store.env, &txn), "begin");
	must(mdb_dbi_open(evq_txn_mdb(txn), "accounts", MDB_CREATE, &store.accounts), "open accounts");
	must(evq_commit(txn), "commit");
}

static void
store_close(void)
{
	evq_queue_close(store.orders);
	evq_queue_close(store.payments);
	evq_env_close(store.env);
}

/* An account without a row has had no orders. */
static struct account
account_get(evq_txn *txn, const char *name)
{
	MDB_val key = { strlen(name), (char *)name }, val;
	struct account a = { 0, 0, 0, 0, 0 };
	int rc = mdb_get(evq_txn_mdb(txn), store.accounts, &key, &val);
	if (rc != MDB_NOTFOUND) {
		must(rc, "read an account");
		memcpy(&a, val.mv_data, sizeof(a));
	}
	return a;
}

static void
account_put(evq_txn *txn, const char *name, struct account *a)
{
	MDB_val key = { strlen(name), (char *)name }, val = { sizeof(*a), a };
	must(mdb_put(evq_txn_mdb(txn), store.accounts, &key, &val, 0), "write an account");
}

/* ---- the orders: of each account every seventh, of amounts that differ ------------------------------- */

static void
name_of(uint64_t account, char name[32])
{
	snprintf(name, 32, "account-%" PRIu64, account);
}

static uint64_t
amount_of(uint64_t order)
{
	return 100 + order * 7919 % 100003;
}

/* In durable calls of their own, and each with an id that it has whenever it is sent. */
static void
feed(uint64_t from, uint64_t to)
{
	uint64_t order;
	for (order = from; order <= to; order++) {
		char account[32], id[32], body[64];
		name_of(order % ACCOUNTS, account);
		snprintf(id, sizeof(id), "order-%" PRIu64, order);
		snprintf(body, sizeof(body), "%" PRIu64 " %" PRIu64, order, amount_of(order));
		must(evq_send(store.orders, NULL, body, strlen(body), EVQ_SEND_OPTS(.group = account, .dedup_id = id),
		         NULL),
		    "send an order");
	}
}

/* ---- the stages -------------------------------------------------------------------------------------- */

typedef void stage(evq_txn *txn, const evq_delivery *d);

static void
bill(evq_txn *txn, const evq_delivery *d)
{
	struct account a = account_get(txn, d->group);
	uint64_t order = 0, amount = 0;
	must_be(sscanf(d->body, "%" SCNu64 " %" SCNu64, &order, &amount) == 2, "an order", d->id);
	must_be(order > a.last_order && order <= a.last_order + ACCOUNTS, "it is the next of its account", order);
	a.orders++;
	a.billed += amount;
	a.last_order = order;
	account_put(txn, d->group, &a);
	must(evq_send(store.payments, txn, d->body, d->body_len, EVQ_SEND_OPTS(.group = d->group), NULL),
	    "send a payment");
}

static void
pay(evq_txn *txn, const evq_delivery *d)
{
	struct account a = account_get(txn, d->group);
	uint64_t order = 0, amount = 0;
	must_be(sscanf(d->body, "%" SCNu64 " %" SCNu64, &order, &amount) == 2, "a payment", d->id);
	must_be(order <= a.last_order, "it is billed", order);
	a.payments++;
	a.paid += amount;
	account_put(txn, d->group, &a);
}

/*
 * Takes some messages through a stage: EVQ_EMPTY where there are none. They are received outside of the transaction,
 * so that nobody is kept waiting while this waits for them, or while the slow part of the work is done;
 * until the commit they are leased to this process, and come back when that dies.
 */
static int
step(evq_queue *q, stage *of, int64_t wait_ms, evq_batch *batch)
{
	evq_txn *txn;
	size_t i;
	int rc = evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = TOGETHER, .wait_ms = wait_ms), batch);
	if (rc == EVQ_EMPTY || rc == EVQ_INTERRUPTED)
		return rc;
	must(rc, "receive");

	must(evq_begin(store.env, &txn), "begin");
	for (i = 0; rc == 0 && i < evq_batch_count(batch); i++) {
		of(txn, evq_batch_at(batch, i));
		rc = evq_delete(q, txn, &evq_batch_at(batch, i)->receipt);
	}
	if (rc == EVQ_STALE) { /* too slow: they may be another's by now, and so is the work */
		evq_abort(txn);
		return 0;
	}
	must(rc, "delete");
	must(evq_commit(txn), "commit");
	return 0;
}

/* ---- working ------------------------------------------------------------------------------------------- */

static void
on_term(int sig)
{
	(void)sig;
	told_to_stop = 1;
	evq_env_interrupt(store.env);
}

static void
work_on(evq_queue *q, stage *of)
{
	evq_batch *batch;
	must(evq_batch_new(&batch), "make a batch");
	while (!told_to_stop)
		step(q, of, WAIT_MS, batch);
	evq_batch_free(batch);
}

static void *
work_on_payments(void *arg)
{
	work_on(store.payments, pay);
	return arg;
}

/* A thread for each stage: each sleeps until there is something for it. */
static void
work(void)
{
	struct sigaction term;
	pthread_t thread;
	memset(&term, 0, sizeof(term));
	term.sa_handler = on_term;
	must_be(sigaction(SIGTERM, &term, NULL) == 0, "sigaction", SIGTERM);
	must(pthread_create(&thread, NULL, work_on_payments, NULL), "start a thread");
	work_on(store.orders, bill);
	must(pthread_join(thread, NULL), "join the thread");
}

/* ---- checking ------------------------------------------------------------------------------------------ */

static void
check_queue(evq_queue *q, uint64_t orders)
{
	evq_stats st = { .size = sizeof(st) };
	must(evq_queue_stats(q, &st), "stats");
	must_be(st.sent == orders, "each was sent once", st.sent);
	must_be(st.deleted == orders && st.messages == 0, "each was deleted, none is left", st.messages);
}

static void
check(uint64_t orders)
{
	evq_txn *txn;
	uint64_t i, order;
	check_queue(store.orders, orders);
	check_queue(store.payments, orders);
	must(evq_begin(store.env, &txn), "begin");
	for (i = 0; i < ACCOUNTS; i++) {
		struct account a;
		char name[32];
		uint64_t count = 0, sum = 0;
		name_of(i, name);
		a = account_get(txn, name);
		for (order = i == 0 ? ACCOUNTS : i; order <= orders; order += ACCOUNTS, count++)
			sum += amount_of(order);
		must_be(a.orders == count && a.billed == sum, "each is billed once", i);
		must_be(a.payments == count && a.paid == sum, "each is paid once", i);
	}
	evq_abort(txn);
	must(evq_verify(store.env, NULL, NULL), "verify");
}

/* ---- the command line ---------------------------------------------------------------------------------- */

/* Fed twice, as if the first feeder had died before it could tell what it had sent. */
static void
demonstrate(void)
{
	evq_stats st = { .size = sizeof(st) };
	evq_batch *batch;
	must(evq_batch_new(&batch), "make a batch");
	feed(1, DEMO_ORDERS * 2 / 3);
	feed(1, DEMO_ORDERS);
	while (step(store.orders, bill, 0, batch) == 0 || step(store.payments, pay, 0, batch) == 0)
		;
	evq_batch_free(batch);
	check(DEMO_ORDERS);
	must(evq_queue_stats(store.orders, &st), "stats");
	printf("%d orders billed and paid, each once; %" PRIu64 " were sent again, and known\n", DEMO_ORDERS,
	    st.duplicates);
}

static uint64_t
number(const char *text)
{
	return (uint64_t)strtoull(text, NULL, 10);
}

static int
usage(const char *program)
{
	fprintf(stderr, "usage: %s directory [feed from to | work | check count]\n", program);
	return 2;
}

int
main(int argc, char **argv)
{
	static const char *const words[] = { NULL, NULL, NULL, "work", "check", "feed" }; /* by argc */
	if (argc < 2 || argc > 5 || (argc > 2 && strcmp(argv[2], words[argc]) != 0))
		return usage(argv[0]);
	store_open(argv[1]);
	if (argc == 2)
		demonstrate();
	else if (argc == 3)
		work();
	else if (argc == 4)
		check(number(argv[3]));
	else
		feed(number(argv[3]), number(argv[4]));
	store_close();
	return 0;
}
