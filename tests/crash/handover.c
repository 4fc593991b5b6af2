/* SPDX-License-Identifier: MIT */
/*
 * Processes in a ring, each with a queue, hand tokens round: whoever is given some deletes them and sends them on to
 * the next. Every receive waits for ever, so a wake-up that is lost stops the ring. First there is one token, so that
 * every hand-over wakes a sleeper of another process; then there are many, sent in batches, and several threads.
 *
 *   handover [--count N] [--processes N] [--threads N] [--tokens N] [--no-keeper]
 *
 * A token tells how often it was handed over and when it was sent: none is to come twice, nor to the wrong one. At
 * the end each is in one queue. Prints the hand-overs per second, the longest that one took, and how often threads
 * slept. Exit status 0, or 1: also where nothing moves for STUCK_MS.
 */
#include "trees.h"

#include <errno.h>
#include <evq.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES_MAX = 16, THREADS_MAX = 16, TOKENS_MAX = 256, AT_ONCE = 8, STUCK_MS = 5000, STEP_MS = 20 };

struct token {
	uint32_t number;
	uint64_t hops;
	int64_t sent_ns;
};

static struct {
	_Atomic uint64_t count, longest_ns;
	_Atomic uint64_t hops[TOKENS_MAX]; /* of each, as far as it was seen */
	_Atomic int stop;
} *told; /* by all of them */

static unsigned processes = 4, threads = 2, tokens = 32;
static uint64_t count = 1000000;
static int keeper;
static char dir[4000], store[4032];

/* In a process of the ring. */
static evq_env *env;
static evq_queue *mine, *next;
static unsigned self;

static void
die(const char *what, int rc)
{
	fprintf(stderr, "handover: process %u: %s: %s (%d)\n", self, what, evq_errname(rc), rc);
	exit(1);
}

static void
must(int rc, const char *what)
{
	if (rc)
		die(what, rc);
}
#define MUST(call) must((call), #call)

static int64_t
now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void
nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = STEP_MS * 1000000L }, NULL);
}

static void
open_store(void)
{
	MUST(evq_env_open(store,
	                  EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .keeper = keeper, .journal_size = 4 << 20), &env));
}

static evq_queue *
open_queue(unsigned number)
{
	char name[16];
	evq_queue *q = NULL;
	snprintf(name, sizeof(name), "ring%u", number);
	MUST(evq_queue_open(env, name, EVQ_QUEUE_ATTRS(.visibility_ms = 3600000), &q));
	return q;
}

/* ---- one of the ring -------------------------------------------------------------------------------------- */

static void
note_longest(int64_t ns)
{
	uint64_t was = atomic_load(&told->longest_ns);
	while (was < (uint64_t)ns && !atomic_compare_exchange_weak(&told->longest_ns, &was, (uint64_t)ns))
		;
}

/* It was handed over once more than it was seen before, and that many steps from the first. */
static void
take_token(const evq_delivery *d, struct token *t)
{
	if (d->body_len != sizeof(*t))
		die("a token of another size", EVQ_CORRUPT);
	memcpy(t, d->body, sizeof(*t));
	if (t->number >= tokens || t->hops % processes != self)
		die("a token in the wrong queue", EVQ_CORRUPT);
	if (atomic_exchange(&told->hops[t->number], t->hops + 1) != t->hops)
		die("a token for the second time", EVQ_CORRUPT);
	note_longest(now_ns() - t->sent_ns);
	t->hops++;
}

static void
hand_on(evq_batch *b)
{
	struct token t[AT_ONCE];
	evq_buf bodies[AT_ONCE];
	evq_receipt receipts[AT_ONCE];
	int rcs[AT_ONCE];
	size_t n = evq_batch_count(b);
	for (size_t i = 0; i < n; i++) {
		take_token(evq_batch_at(b, i), &t[i]);
		receipts[i] = evq_batch_at(b, i)->receipt;
		bodies[i] = (evq_buf){ &t[i], sizeof(t[i]) };
	}
	MUST(evq_delete_batch(mine, NULL, receipts, n, rcs));
	for (size_t i = 0; i < n; i++) {
		must(rcs[i], "delete");
		t[i].sent_ns = now_ns();
	}
	MUST(evq_send_batch(next, NULL, bodies, n, NULL, NULL));
	atomic_fetch_add(&told->count, n);
}

static void *
go_round(void *arg)
{
	evq_batch *b = NULL;
	int rc = 0;
	MUST(evq_batch_new(&b));
	while (!atomic_load(&told->stop)) {
		rc = evq_receive(mine, NULL, EVQ_RECEIVE_OPTS(.count = AT_ONCE, .wait_ms = EVQ_NONE), b);
		if (rc == EVQ_INTERRUPTED)
			continue;
		must(rc, "receive");
		hand_on(b);
	}
	evq_batch_free(b);
	atomic_fetch_sub((_Atomic int *)arg, 1);
	return NULL;
}

/* The waits are ended again and again: an interrupt before a wait has begun has no effect on it. */
static int
run_member(unsigned number, unsigned thread_count)
{
	pthread_t thread[THREADS_MAX];
	_Atomic int left = (int)thread_count;
	self = number;
	open_store();
	mine = open_queue(number);
	next = open_queue((number + 1) % processes);
	for (unsigned i = 0; i < thread_count; i++)
		must(pthread_create(&thread[i], NULL, go_round, &left), "pthread_create");
	while (!atomic_load(&told->stop))
		nap();
	for (; atomic_load(&left); nap())
		evq_env_interrupt(env);
	for (unsigned i = 0; i < thread_count; i++)
		must(pthread_join(thread[i], NULL), "pthread_join");
	evq_queue_close(mine);
	evq_queue_close(next);
	evq_env_close(env);
	return 0;
}

/* ---- the ring ------------------------------------------------------------------------------------------------ */

static void
put_in(unsigned token_count)
{
	struct token t[TOKENS_MAX];
	evq_buf bodies[TOKENS_MAX];
	evq_queue *q;
	open_store();
	q = open_queue(0);
	for (unsigned i = 0; i < token_count; i++) {
		t[i] = (struct token){ .number = i, .sent_ns = now_ns() };
		bodies[i] = (evq_buf){ &t[i], sizeof(t[i]) };
		atomic_store(&told->hops[i], 0);
	}
	MUST(evq_send_batch(q, NULL, bodies, token_count, NULL, NULL));
	evq_queue_close(q);
	evq_env_close(env);
}

/* Takes out what is there: how many. */
static size_t
take_out(void)
{
	size_t all = 0, purged;
	open_store();
	MUST(evq_verify(env, NULL, NULL));
	for (unsigned i = 0; i < processes; i++) {
		evq_queue *q = open_queue(i);
		MUST(evq_purge(q, NULL, &purged));
		all += purged;
		evq_queue_close(q);
	}
	evq_env_close(env);
	return all;
}

static int
has_ended(pid_t *pids)
{
	for (unsigned i = 0; i < processes; i++)
		if (pids[i] && waitpid(pids[i], NULL, WNOHANG) == pids[i]) {
			pids[i] = 0;
			return 1;
		}
	return 0;
}

/* 0, or 1 where it stands still, or one of them ended. */
static int
watch(pid_t *pids, uint64_t until)
{
	uint64_t before = 0;
	int64_t moved_ns = now_ns();
	for (;; nap()) {
		uint64_t now = atomic_load(&told->count);
		if (now >= until)
			return 0;
		if (has_ended(pids))
			return 1;
		if (now != before)
			moved_ns = now_ns();
		before = now;
		if (now_ns() - moved_ns > STUCK_MS * INT64_C(1000000)) {
			fprintf(stderr, "handover: nothing moves, after %llu of %llu\n", (unsigned long long)now,
			        (unsigned long long)until);
			return 1;
		}
	}
}

static void
start(pid_t *pids, unsigned thread_count)
{
	fflush(NULL);
	for (unsigned i = 0; i < processes; i++) {
		pids[i] = fork();
		if (pids[i] < 0) { /* never to be killed: -1 is everybody */
			perror("fork");
			exit(1);
		}
		if (!pids[i])
			exit(run_member(i, thread_count));
	}
}

static int
end(const pid_t *pids, int is_bad)
{
	int status;
	atomic_store(&told->stop, 1);
	for (unsigned i = 0; i < processes; i++) {
		if (!pids[i])
			continue;
		if (is_bad)
			kill(pids[i], SIGKILL);
		if (waitpid(pids[i], &status, 0) != pids[i] || !WIFEXITED(status) || WEXITSTATUS(status))
			is_bad = 1;
	}
	return is_bad;
}

static long
sleeps(void)
{
	struct rusage usage;
	getrusage(RUSAGE_CHILDREN, &usage);
	return usage.ru_nvcsw;
}

static int
run_ring(unsigned token_count, unsigned thread_count, uint64_t until)
{
	pid_t pids[PROCESSES_MAX];
	long slept = sleeps();
	atomic_store(&told->stop, 0);
	atomic_store(&told->count, 0);
	atomic_store(&told->longest_ns, 0);
	put_in(token_count);
	int64_t begun = now_ns();
	start(pids, thread_count);
	int is_bad = watch(pids, until);
	double seconds = (double)(now_ns() - begun) / 1e9;
	is_bad = end(pids, is_bad);
	size_t there = is_bad ? 0 : take_out();
	is_bad |= there != token_count;
	uint64_t done = atomic_load(&told->count);
	printf("handover: %u tokens, %u processes of %u threads: %llu in %.1f s, %.0f/s, the longest %.1f ms, "
	       "%.1f sleeps each: %s\n",
	       token_count, processes, thread_count, (unsigned long long)done, seconds, (double)done / seconds,
	       (double)atomic_load(&told->longest_ns) / 1e6, (double)(sleeps() - slept) / (double)(done ? done : 1),
	       is_bad ? "WRONG" : "ok");
	return is_bad;
}

/* ---- the command line ------------------------------------------------------------------------------------------ */

static int
take_option(const char *name, const char *value)
{
	uint64_t n = strtoull(value, NULL, 10);
	if (!strcmp(name, "--count"))
		count = n;
	else if (!strcmp(name, "--processes") && n > 1 && n <= PROCESSES_MAX)
		processes = (unsigned)n;
	else if (!strcmp(name, "--threads") && n && n <= THREADS_MAX)
		threads = (unsigned)n;
	else if (!strcmp(name, "--tokens") && n && n <= TOKENS_MAX)
		tokens = (unsigned)n;
	else
		return 1;
	return 0;
}

static int
take_options(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--no-keeper"))
			keeper = EVQ_NONE;
		else if (i + 1 == argc || take_option(argv[i], argv[i + 1]))
			return 1;
		else
			i++;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	if (take_options(argc, argv)) {
		fprintf(stderr, "usage: handover [--count N] [--processes N] [--threads N] [--tokens N] [--no-keeper]\n");
		return 2;
	}
	snprintf(dir, sizeof(dir), "%s/evq-handover-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	snprintf(store, sizeof(store), "%s/store", dir);
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	int is_bad = run_ring(1, 1, count / 4) || run_ring(tokens, threads, count - count / 4);
	if (is_bad)
		printf("handover: kept %s\n", dir);
	else
		remove_tree(dir);
	return is_bad;
}
