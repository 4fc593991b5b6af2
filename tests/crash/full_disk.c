/* SPDX-License-Identifier: MIT */
/*
 * Stores on a disk without space: full of their own messages, full of somebody else's file, full in the
 * middle of a commit, at the opening and at the making of a store. All of it is an error (EVQ_FULL), never
 * a SIGBUS; what was acknowledged is there, what was refused is not, and the store drains.
 *
 * The disks are a tmpfs of 8 MiB and, where there are loop devices, an ext4 of 16 MiB, mounted in a mount
 * namespace of this process, so that nothing stays behind. Needs root; says so, and ends with 0, without.
 * Each scenario runs in a process of its own: a signal that ends it is a finding.
 */
#include "disks.h"
#include "trees.h"

#include <evq.h>
#include <lmdb.h>
#include <sys/wait.h>

#define MESSAGES_MAX 200000

static char store[400]; /* on the disk */
static const char *scenario;

static evq_env *env;
static evq_queue *q;
static evq_id acknowledged[MESSAGES_MAX]; /* ids only grow: sorted */
static unsigned char found[MESSAGES_MAX];
static size_t sent;
static unsigned char bytes[200000];

static void
fail(int line, const char *what, int rc)
{
	printf("full_disk: %s: line %d: %s: %s (%d)\n", scenario, line, what, evq_errname(rc), rc);
	fflush(stdout);
	_exit(1);
}

#define MUST(call)                                    \
	do {                                          \
		int rc_ = (call);                     \
		if (rc_)                              \
			fail(__LINE__, #call, rc_);   \
	} while (0)
#define MUST_BE_0_OR_FULL(rc, what)                   \
	do {                                          \
		if ((rc) != 0 && (rc) != EVQ_FULL)    \
			fail(__LINE__, what, (rc));   \
	} while (0)

/* ---- the store ------------------------------------------------------------------------------------- */

static int
open_store(void)
{
	int rc = evq_env_open(store, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .map_size = 256 << 20,
	                                          .journal_size = 1 << 20),
	                      &env);
	if (!rc && (rc = evq_queue_open(env, "q", EVQ_QUEUE_ATTRS(), &q)))
		evq_env_close(env);
	return rc;
}

static void
close_store(void)
{
	evq_queue_close(q);
	evq_env_close(env);
}

static int
send_batch(size_t len, size_t count)
{
	static evq_buf bodies[500];
	for (size_t i = 0; i < count; i++)
		bodies[i] = (evq_buf){ bytes, len };
	int rc = sent + count > MESSAGES_MAX ? ERANGE : evq_send_batch(q, NULL, bodies, count, NULL, &acknowledged[sent]);
	if (!rc)
		sent += count;
	return rc;
}

static void
send_until_full(size_t len)
{
	for (size_t count = 500; count > 0; count /= 10) {
		int rc;
		while ((rc = send_batch(len, count)) == 0)
			;
		if (rc != EVQ_FULL)
			fail(__LINE__, "evq_send_batch on a full disk", rc);
	}
	for (int i = 0; i < 50; i++) {
		int rc = send_batch(len, 1);
		MUST_BE_0_OR_FULL(rc, "evq_send_batch on a full disk, again");
	}
}

static void
note_found(evq_id id)
{
	size_t low = 0, high = sent;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (acknowledged[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == sent || acknowledged[low] != id || found[low]++)
		fail(__LINE__, "a message that was refused, or twice", 0);
}

/* Receives and deletes all there is: what was acknowledged, each once, and nothing else. */
static void
drain(void)
{
	evq_batch *b = NULL;
	evq_receipt rs[100];
	size_t count = 0;
	int rc, rcs[100];
	MUST(evq_verify(env, NULL, NULL));
	MUST(evq_batch_new(&b));
	while ((rc = evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 100), b)) == 0) {
		size_t got = evq_batch_count(b);
		for (size_t i = 0; i < got; i++) {
			note_found(evq_batch_at(b, i)->id);
			rs[i] = evq_batch_at(b, i)->receipt;
		}
		MUST(evq_delete_batch(q, NULL, rs, got, rcs));
		for (size_t i = 0; i < got; i++)
			MUST(rcs[i]);
		count += got;
	}
	if (rc != EVQ_EMPTY)
		fail(__LINE__, "evq_receive while draining", rc);
	evq_batch_free(b);
	if (count != sent)
		fail(__LINE__, "acknowledged messages are missing", (int)(sent - count));
	MUST(evq_verify(env, NULL, NULL));
	evq_stats s = { .size = sizeof(s) };
	MUST(evq_queue_stats(q, &s));
	if (s.messages)
		fail(__LINE__, "not empty", (int)s.messages);
}

/* ---- scenarios ------------------------------------------------------------------------------------- */

static void
filled_by_sends(size_t len)
{
	MUST(open_store());
	for (int round = 0; round < 2; round++) {
		send_until_full(len);
		if (!sent)
			fail(__LINE__, "nothing fits", 0);
		drain();
		sent = 0;
		memset(found, 0, sizeof(found));
	}
	close_store();
	MUST(open_store());
	MUST(send_batch(len, 1));
	drain();
	close_store();
}

static void
filled_by_small_ones(void)
{
	filled_by_sends(100);
}

static void
filled_by_large_ones(void)
{
	filled_by_sends(100000);
}

/* Somebody else takes the rest of the disk: what was sent before can be taken out all the same, or, where
 * that is refused, once there is space again. */
static void
filled_by_another(void)
{
	MUST(open_store());
	for (int i = 0; i < 40; i++)
		MUST(send_batch(1000, 10));
	eat_but(0);
	send_until_full(5000);
	evq_batch *b = NULL;
	MUST(evq_batch_new(&b));
	for (int i = 0; i < 20; i++) {
		int rc = evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 5, .visibility_ms = 1), b);
		MUST_BE_0_OR_FULL(rc, "evq_receive on a full disk");
		if (rc == 0) {
			evq_receipt r = evq_batch_at(b, 0)->receipt;
			rc = evq_extend(q, NULL, &r, 1, &r);
			MUST_BE_0_OR_FULL(rc, "evq_extend on a full disk");
		}
	}
	evq_batch_free(b);
	MUST(evq_verify(env, NULL, NULL));
	give_back();
	usleep(5000); /* the leases of 1 ms */
	drain();
	close_store();
}

static int
transaction(size_t len, int *committed)
{
	evq_txn *txn = NULL;
	MDB_dbi dbi;
	int rc = evq_begin(env, &txn);
	if (rc)
		return rc;
	MDB_val k = { sizeof(sent), &sent }, v = { len, bytes };
	rc = mdb_dbi_open(evq_txn_mdb(txn), "mine", MDB_CREATE, &dbi);
	if (!rc)
		rc = mdb_put(evq_txn_mdb(txn), dbi, &k, &v, 0);
	for (int i = 0; i < 3 && !rc; i++)
		rc = evq_send(q, txn, bytes, len, NULL, &acknowledged[sent + (size_t)i]);
	if (rc) {
		evq_abort(txn);
		return rc;
	}
	rc = evq_commit(txn);
	*committed = rc == 0;
	return rc;
}

/* With so many pages left, so that the disk is full at every place of a commit. */
static void
full_in_the_middle_of_commits(void)
{
	MUST(open_store());
	for (int i = 0; i < 20; i++)
		MUST(send_batch(1000, 10));
	for (long pages = 0; pages < 40; pages++) {
		eat_but(pages);
		for (int i = 0; i < 4; i++) {
			int committed = 0, rc = send_batch((size_t)i * 7000, 2 + (size_t)i * 5);
			MUST_BE_0_OR_FULL(rc, "evq_send_batch");
			rc = transaction(20000, &committed);
			MUST_BE_0_OR_FULL(rc, "a transaction");
			sent += committed ? 3 : 0;
		}
		MUST(evq_verify(env, NULL, NULL));
		give_back();
		MUST(send_batch(1000, 1));
		if (pages % 8 == 7) {
			drain(); /* or the disk would be full of messages */
			sent = 0;
			memset(found, 0, sizeof(found));
			close_store();
			MUST(open_store());
		}
	}
	drain();
	close_store();
}

static int
in_store(const char *file, struct stat *st)
{
	char name[500];
	snprintf(name, sizeof(name), "%s/%s", store, file);
	return stat(name, st);
}

static void
unlink_in_store(const char *file)
{
	char name[500];
	snprintf(name, sizeof(name), "%s/%s", store, file);
	unlink(name);
}

/* As it was closed, and as it comes back from a backup: without the lock file and the shared one. */
static void
full_at_the_opening(void)
{
	MUST(open_store());
	for (int i = 0; i < 20; i++)
		MUST(send_batch(1000, 10));
	close_store();
	for (long pages = 0; pages < 24; pages++) {
		if (pages % 2) {
			unlink_in_store("lock.mdb");
		unlink_in_store("evq.journal");
			unlink_in_store("evq.shared");
		}
		eat_but(pages / 2);
		int rc = open_store();
		MUST_BE_0_OR_FULL(rc, "evq_env_open");
		if (rc == 0) {
			rc = send_batch(5000, 1);
			MUST_BE_0_OR_FULL(rc, "evq_send_batch");
			close_store();
		}
		give_back();
		MUST(open_store());
		MUST(evq_verify(env, NULL, NULL));
		close_store();
	}
	MUST(open_store());
	drain();
	close_store();
}

static void
full_at_the_making(void)
{
	for (long pages = 0; pages < 40; pages++) {
		snprintf(store, sizeof(store), "%s/made%ld", disk, pages);
		eat_but(pages);
		int rc = open_store();
		/* an inode or a directory needs space too, and not all of that passes through us */
		if (rc != ENOSPC)
			MUST_BE_0_OR_FULL(rc, "evq_env_open");
		if (rc == 0) {
			rc = evq_send(q, NULL, bytes, 10000, NULL, NULL);
			MUST_BE_0_OR_FULL(rc, "evq_send");
			close_store();
		}
		give_back();
		MUST(open_store());
		MUST(evq_send(q, NULL, bytes, 10000, NULL, NULL));
		MUST(evq_verify(env, NULL, NULL));
		close_store();
		unlink_in_store("data.mdb");
		unlink_in_store("lock.mdb");
		unlink_in_store("evq.journal");
		unlink_in_store("evq.shared");
		rmdir(store);
	}
}

static void
full_at_the_copy(void)
{
	char copy[400];
	struct stat st;
	snprintf(copy, sizeof(copy), "%s/copy", disk);
	MUST(open_store());
	for (int i = 0; i < 40; i++)
		MUST(send_batch(1000, 20));
	for (int i = 0; i < 2; i++) {
		eat_but(i * 20);
		int rc = evq_env_copy(env, copy, i ? EVQ_COPY_COMPACT : 0);
		if (rc != EVQ_FULL)
			fail(__LINE__, "evq_env_copy", rc);
		char name[500];
		snprintf(name, sizeof(name), "%s/data.mdb", copy);
		if (stat(name, &st) == 0)
			fail(__LINE__, "half a copy has the name of a store", 0);
		give_back();
	}
	MUST(evq_env_copy(env, copy, EVQ_COPY_COMPACT));
	drain();
	close_store();
	strcpy(store, copy);
	memset(found, 0, sizeof(found));
	MUST(open_store());
	drain();
	close_store();
}

static void
nothing_is_sparse(void)
{
	struct stat st;
	MUST(open_store());
	for (const char *const *file = (const char *const[]){ "lock.mdb", "evq.shared", NULL }; *file; file++)
		if (in_store(*file, &st) || (int64_t)st.st_blocks * 512 < st.st_size)
			fail(__LINE__, *file, 0);
	close_store();
}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{ "nothing is sparse", nothing_is_sparse },
	{ "filled by small messages", filled_by_small_ones },
	{ "filled by large messages", filled_by_large_ones },
	{ "filled by another", filled_by_another },
	{ "full in the middle of commits", full_in_the_middle_of_commits },
	{ "full at the opening", full_at_the_opening },
	{ "full at the making", full_at_the_making },
	{ "full at the copy", full_at_the_copy },
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

/* ---- running them ----------------------------------------------------------------------------------- */

static int
run_one(size_t i)
{
	int status;
	scenario = scenarios[i].name;
	snprintf(store, sizeof(store), "%s/store", disk);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(60);
		scenarios[i].run();
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return 1;
	if (WIFSIGNALED(status))
		printf("full_disk: %s: signal %d\n", scenario, WTERMSIG(status));
	empty_tree(disk);
	return status != 0;
}

/* How many went wrong. */
static int
run_all(const char *kind)
{
	int wrong = 0;
	for (size_t i = 0; i < SCENARIOS; i++)
		wrong += run_one(i);
	printf("full_disk: %s: %zu scenarios, %d wrong\n", kind, SCENARIOS, wrong);
	umount2(disk, MNT_DETACH);
	return wrong;
}

int
main(void)
{
	char top[200], image[300];
	const char *tmp = getenv("TMPDIR");
	int wrong = 0;
	if (disks_begin()) {
		printf("full_disk: skipped: mounting needs root\n");
		return 0;
	}
	snprintf(top, sizeof(top), "%s/evq-full-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(top)) {
		perror(top);
		return 1;
	}
	snprintf(disk, sizeof(disk), "%s/disk", top);
	snprintf(image, sizeof(image), "%s/image", top);
	mkdir(disk, 0700);
	if (mount_tmpfs() == 0)
		wrong += run_all("tmpfs of 8 MiB");
	else
		printf("full_disk: tmpfs: skipped: %s\n", strerror(errno));
	if (mount_ext4(image) == 0)
		wrong += run_all("ext4 of 16 MiB");
	else
		printf("full_disk: ext4: skipped: no mkfs.ext4, or no loop device\n");
	unlink(image);
	rmdir(disk);
	rmdir(top);
	return wrong ? 1 : 0;
}
