/* SPDX-License-Identifier: MIT */
/*
 * Two processes send and two receive, on one store; every second one of the four is killed with SIGKILL,
 * wherever it is, and another takes its place. At the end the store is drained, and the ledgers (ledger.h)
 * tell whether all that was acknowledged held.
 *
 *   kill_test [--seconds N] [--seed N] [--dir DIR] [--relaxed] [--no-keeper] [--mixed]
 *
 * With --mixed every second worker is without a keeper, every second pair of them is relaxed, and the journal is so
 * short that its ring is used many times over.
 *
 * DIR is kept; without it a temporary one is made, and kept where something is wrong. Exit status 0 or 1.
 */
#include "trees.h"
#include "workers.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define WORKERS 4 /* the first half of them senders */

static char dir[4000];
static int is_mixed, is_kept; /* is_kept: dir */
static volatile sig_atomic_t told_to_stop;

static void
on_term(int sig)
{
	(void)sig;
	told_to_stop = 1;
}

/* ---- the processes ---------------------------------------------------------------------------------- */

static void
mix(unsigned worker)
{
	keeper = worker & 1 ? EVQ_NONE : 0;
	durability = worker & 2 ? EVQ_DURABLE_RELAXED : EVQ_DURABLE_FULL;
}

static pid_t
start_worker(unsigned slot, unsigned worker)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0) /* never to be killed: -1 is everybody */
		ledger_die("fork");
	if (pid != 0)
		return pid;
	signal(SIGTERM, on_term);
	seed += worker * 7919;
	next_number = (uint64_t)worker << 32;
	if (is_mixed)
		mix(worker);
	ledger = ledger_open(dir, worker);
	open_store();
	while (!told_to_stop)
		slot < WORKERS / 2 ? send_some() : receive_or_redrive();
	close_store();
	exit(0);
}

static int
ended_well(pid_t pid)
{
	int status;
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* How many were killed; -1 where one ended by itself. */
static int
run_workers(int seconds)
{
	pid_t pids[WORKERS];
	unsigned workers = 0;
	int killed = 0, good = 1, status;
	for (unsigned i = 0; i < WORKERS; i++)
		pids[i] = start_worker(i, ++workers);
	for (int64_t end = ledger_now() + (int64_t)seconds * 1000000000; good && ledger_now() < end - 1000000000; killed++) {
		unsigned victim = any(WORKERS);
		nap_ms(900 + (long)any(200));
		kill(pids[victim], SIGKILL);
		good = waitpid(pids[victim], &status, 0) == pids[victim] && WIFSIGNALED(status);
		pids[victim] = start_worker(victim, ++workers);
	}
	nap_ms(500);
	for (unsigned i = 0; i < WORKERS; i++)
		kill(pids[i], SIGTERM);
	for (unsigned i = 0; i < WORKERS; i++)
		good &= ended_well(pids[i]);
	return good ? killed : -1;
}

/* ---- the end ------------------------------------------------------------------------------------------ */

static void
tell_finding(const evq_finding *f, void *arg)
{
	struct ledger *l = arg;
	l->faults++;
	fprintf(stderr, "evq_verify: %s, message %" PRIu64 ": %s\n", f->queue ? f->queue : "-", f->id, f->what);
}

static void
take_what_is_left(struct ledger *l, evq_queue *from)
{
	evq_stats s = { .size = sizeof(s) };
	uint64_t found = 0;
	nap_ms(LEASE_MS + 100);
	MUST(evq_queue_stats(from, &s));
	while (evq_receive(from, NULL, EVQ_RECEIVE_OPTS(.count = 100, .visibility_ms = 1000000), batch) == 0)
		for (size_t i = 0; i < evq_batch_count(batch); i++, found++) {
			struct entry e = entry_of(evq_batch_at(batch, i), ENTRY_LEFT, 0);
			ledger_add(l, &e);
		}
	if (found != s.messages && l->faults++ >= 0)
		fprintf(stderr, "%" PRIu64 " messages by the statistics, %" PRIu64 " received\n", s.messages, found);
}

static int
has_row(MDB_txn *txn, MDB_dbi dbi, uint64_t key)
{
	MDB_val k = { sizeof(key), &key }, v;
	return mdb_get(txn, dbi, &k, &v) == 0;
}

/* The rows of the transactions agree with the messages: sorted by number here. */
static void
check_rows(struct ledger *l)
{
	evq_txn *txn = NULL;
	MDB_stat st;
	size_t with_row = 0;
	MUST(evq_begin(env, &txn));
	for (size_t i = 0; i < l->count; i++) {
		const struct entry *e = &l->entries[i];
		int is_first = e->number == e->first && (i == 0 || e[-1].number != e->number);
		if ((e->first & 1) && is_first) {
			with_row++;
			if (!has_row(evq_txn_mdb(txn), sent_rows, e->first))
				ledger_fault(l, e, "sent, but the row of its transaction is not there");
		}
		if (e->type == ENTRY_LEFT && has_row(evq_txn_mdb(txn), done_rows, e->id))
			ledger_fault(l, e, "done, and still there");
	}
	MUST(mdb_stat(evq_txn_mdb(txn), sent_rows, &st));
	if (st.ms_entries != with_row && l->faults++ >= 0)
		fprintf(stderr, "%zu rows of transactions, %zu of them with messages\n", st.ms_entries, with_row);
	evq_abort(txn);
}

/* ---- the command line --------------------------------------------------------------------------------- */

static int
usage(void)
{
	fprintf(stderr, "usage: kill_test [--seconds N] [--seed N] [--dir DIR] [--relaxed] [--no-keeper] [--mixed]\n");
	return 2;
}

static int
take_flag(const char *name)
{
	if (!strcmp(name, "--relaxed"))
		durability = EVQ_DURABLE_RELAXED;
	else if (!strcmp(name, "--no-keeper"))
		keeper = EVQ_NONE;
	else if (!strcmp(name, "--mixed"))
		is_mixed = 1;
	else
		return 0;
	return 1;
}

static int
take_options(int argc, char **argv, int *seconds)
{
	for (int i = 1; i < argc; i++) {
		if (take_flag(argv[i]))
			continue;
		if (i + 1 == argc)
			return usage();
		const char *name = argv[i++];
		if (!strcmp(name, "--seconds"))
			*seconds = atoi(argv[i]);
		else if (!strcmp(name, "--seed"))
			seed = (uint32_t)strtoul(argv[i], NULL, 0);
		else if (!strcmp(name, "--dir") && ++is_kept)
			snprintf(dir, sizeof(dir), "%s", argv[i]);
		else
			return usage();
	}
	return 0;
}

static void
make_dir(void)
{
	const char *tmp = getenv("TMPDIR");
	if (!is_kept)
		snprintf(dir, sizeof(dir), "%s/evq-kill-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (is_kept ? mkdir(dir, 0700) != 0 && errno != EEXIST : !mkdtemp(dir))
		ledger_die(dir);
	snprintf(store, sizeof(store), "%s/store", dir);
}

static const char *
way(void)
{
	if (is_mixed)
		return "mixed";
	return durability ? keeper ? "relaxed, no keeper" : "relaxed" : keeper ? "full, no keeper" : "full";
}

int
main(int argc, char **argv)
{
	int seconds = 10;
	seed = (uint32_t)time(NULL) ^ (uint32_t)getpid();
	if (take_options(argc, argv, &seconds))
		return 2;
	make_dir();
	if (is_mixed)
		journal_size = 1 << 20;
	uint32_t first_seed = seed;
	int killed = run_workers(seconds);

	struct ledger l = { .faults = killed < 0 };
	ledger_load(&l, dir);
	open_store();
	take_what_is_left(&l, q);
	take_what_is_left(&l, dead);
	if (evq_verify(env, tell_finding, &l) != 0)
		l.faults++;
	ledger_check(&l);
	check_rows(&l);
	close_store();
	printf("kill_test: seed %u, %d s, %s, %d killed: %zu sent, %zu received, %zu deleted, %zu left: %s\n", first_seed,
	       seconds, way(), killed, ledger_count(&l, ENTRY_SENT), ledger_count(&l, ENTRY_RECEIVED),
	       ledger_count(&l, ENTRY_DELETED), ledger_count(&l, ENTRY_LEFT), l.faults ? "WRONG" : "ok");
	if (l.faults)
		printf("kill_test: kept %s\n", dir);
	else if (!is_kept)
		remove_tree(dir);
	free(l.entries);
	return l.faults ? 1 : 0;
}
