/* SPDX-License-Identifier: MIT */
/*
 * The look at a store after a life with a fault: it opens, verifies clean, each thing is where the model says, it can
 * be used, and its files are nobody else's. The same, but for the model, for its copies.
 */
#include "fault.h"

#include <dirent.h>
#include <lmdb.h>

static evq_env *env;
char complaint[500];

static int
agrees(const struct thing *t, int found)
{
	return t->unsure || found == t->now || found == t->next;
}

int
complain(const char *what, int number)
{
	if (!complaint[0])
		snprintf(complaint, sizeof(complaint), "%s (%d)", what, number);
	return 1;
}

static void
complain_finding(const evq_finding *f, void *arg)
{
	(void)arg;
	complain(f->what, (int)f->id);
}

int
opens_clean(const char *dir, evq_env **out)
{
	int rc = evq_env_open(dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .map_size = MAP_SIZE, .journal_size = 1 << 20), out);
	if (rc)
		return complain("does not open", rc);
	rc = evq_verify(*out, complain_finding, NULL);
	return rc ? complain("evq_verify", rc) : 0;
}

static int
find_messages(int where[MESSAGES])
{
	evq_batch *b = NULL;
	int wrong = evq_batch_new(&b);
	for (int place = 1; place < PLACES && !wrong; place++) {
		evq_queue *q = NULL;
		int rc = evq_queue_open(env, queue_names[place], NULL, &q);
		if (!agrees(&model->queues[place], rc == EVQ_NOQUEUE ? NOWHERE : IN_Q))
			wrong = complain("a queue that should not be, or is not, there", place);
		if (rc == EVQ_NOQUEUE)
			continue;
		rc = rc ? rc : evq_peek(q, EVQ_PEEK_OPTS(.count = 1000), b);
		if (rc && rc != EVQ_EMPTY)
			wrong = complain("evq_peek", rc);
		for (size_t i = 0; i < evq_batch_count(b) && !wrong; i++) {
			int *at = &where[*(const unsigned char *)evq_batch_at(b, i)->body % MESSAGES];
			wrong = *at ? complain("a message twice", place) : 0;
			*at = place;
		}
		evq_queue_close(q);
	}
	evq_batch_free(b);
	return wrong;
}

static int
has_row(void)
{
	evq_txn *txn = NULL;
	MDB_dbi dbi;
	MDB_val k = { 3, "row" }, v;
	if (evq_begin(env, &txn))
		return -1;
	int rc = mdb_dbi_open(evq_txn_mdb(txn), "mine", 0, &dbi);
	if (!rc)
		rc = mdb_get(evq_txn_mdb(txn), dbi, &k, &v);
	evq_abort(txn);
	return rc == 0 ? IN_Q : NOWHERE;
}

static int
is_usable(void)
{
	static unsigned char bytes[LEN_MAX];
	evq_queue *q = NULL;
	size_t purged = 0;
	int rc = evq_queue_open(env, "afterwards", EVQ_QUEUE_ATTRS(), &q);
	if (!rc)
		rc = evq_send(q, NULL, bytes, sizeof(bytes), NULL, NULL);
	if (!rc)
		rc = evq_purge(q, NULL, &purged);
	evq_queue_close(q);
	return rc || purged != 1 ? complain("not usable afterwards", rc) : 0;
}

/* Nobody but the owner: also where it died before it could take anything away. */
static int
modes_are_tight(void)
{
	DIR *d = opendir(store);
	int wrong = 0;
	for (struct dirent *file; d && (file = readdir(d));) {
		char name[700];
		struct stat st;
		snprintf(name, sizeof(name), "%s/%s", store, file->d_name);
		if (file->d_name[0] != '.' && stat(name, &st) == 0 && (st.st_mode & 077))
			wrong = complain("the mode of a file is too wide", (int)(st.st_mode & 0777));
	}
	if (d)
		closedir(d);
	return wrong;
}

int
check_store(void)
{
	int where[MESSAGES] = { 0 };
	int wrong = modes_are_tight();
	if (opens_clean(store, &env))
		return 1;
	wrong |= find_messages(where);
	for (int i = 0; i < MESSAGES && !wrong; i++)
		if (!agrees(&model->messages[i], where[i]))
			wrong = complain("a message is not where it was acknowledged to be", i);
	if (!agrees(&model->row, has_row()))
		wrong = complain("the row of the transaction", model->row.now);
	wrong |= is_usable();
	evq_env_close(env);
	return wrong;
}

int
check_copy(int i)
{
	char name[400];
	struct stat st;
	snprintf(name, sizeof(name), "%s/data.mdb", copies[i]);
	if (stat(name, &st) != 0)
		return model->copied[i] ? complain("a copy is not there", i) : 0;
	int wrong = opens_clean(copies[i], &env);
	if (!wrong)
		evq_env_close(env);
	return wrong;
}
