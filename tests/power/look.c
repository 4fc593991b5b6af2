/* SPDX-License-Identifier: MIT */
/*
 * The look at a store after the power came back: it opens, verifies clean, holds what it held after one of the calls
 * that it may be at, can be worked with, and opens and verifies again.
 *
 * A call that is several transactions may have been cut off between them: then the store holds no less than after
 * that call, and no more than before it.
 */
#include "dice.h"
#include "ledger.h"
#include "power.h"

#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 16, FOUND_MAX = 20000 };

static evq_env *env;
static evq_batch *batch;
static struct found {
	uint64_t hash, id;
	const char *what;
} found[FOUND_MAX];
static size_t found_count;
static char names[NAMES_MAX][EVQ_NAME_MAX + 1];
static size_t name_count;

char complaint[600];

static int
complain(const char *what, int rc)
{
	if (!complaint[0])
		snprintf(complaint, sizeof(complaint), "%s: %s (%d)", what, rc ? evq_errname(rc) : "wrong", rc);
	return 1;
}

static void
complain_finding(const evq_finding *f, void *arg)
{
	(void)arg;
	if (!complaint[0])
		snprintf(complaint, sizeof(complaint), "evq_verify: %s, message %" PRIu64 ": %s", f->queue ? f->queue : "-",
		         f->id, f->what);
}

static int
opens_clean(const char *dir, const struct setting *s)
{
	int rc = life_open(dir, s, NULL, &env);
	if (rc) {
		env = NULL;
		return complain("evq_env_open", rc);
	}
	rc = evq_verify(env, complain_finding, NULL);
	return rc ? complain("evq_verify", rc) : 0;
}

static void
close_store(void)
{
	if (env)
		evq_env_close(env);
	env = NULL;
}

/* ---- what is there --------------------------------------------------------------------------------------- */

static void
find(enum item_kind kind, uint64_t id, const char *queue, uint64_t content)
{
	if (found_count < FOUND_MAX)
		found[found_count++] = (struct found){ ledger_hash(kind, id, queue, content), id, queue ? queue : "row" };
}

static int
note_name(const char *name, void *arg)
{
	(void)arg;
	if (name_count == NAMES_MAX)
		return 1;
	snprintf(names[name_count++], sizeof(names[0]), "%s", name);
	return 0;
}

static int counts_only; /* bodies are long */

static int
find_messages(const char *name)
{
	evq_queue *q = NULL;
	int rc = evq_queue_open(env, name, NULL, &q);
	if (rc)
		return complain("evq_queue_open", rc);
	find(ITEM_QUEUE, 0, name, 0);
	rc = evq_peek(q, EVQ_PEEK_OPTS(.count = EVQ_BATCH_MAX), batch);
	for (size_t i = 0; !rc && i < evq_batch_count(batch); i++) {
		const evq_delivery *d = evq_batch_at(batch, i);
		find(ITEM_MESSAGE, d->id, name, counts_only ? 0 : ledger_content(d));
	}
	evq_queue_close(q);
	return rc && rc != EVQ_EMPTY ? complain("evq_peek", rc) : 0;
}

static int
find_rows_in(MDB_txn *txn)
{
	MDB_dbi dbi;
	MDB_cursor *cursor;
	MDB_val k, v;
	int rc = mdb_dbi_open(txn, USER_DB, MDB_INTEGERKEY, &dbi);
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if ((rc = mdb_cursor_open(txn, dbi, &cursor)))
		return rc;
	while (!(rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT))) {
		uint32_t key = 0;
		memcpy(&key, k.mv_data, sizeof(key));
		find(ITEM_ROW, key, NULL, dice_hash(key, v.mv_data, v.mv_size));
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
find_rows(void)
{
	evq_txn *txn = NULL;
	int rc = evq_begin(env, &txn);
	if (!rc)
		rc = find_rows_in(evq_txn_mdb(txn));
	evq_abort(txn);
	return rc ? complain("the user's rows", rc) : 0;
}

static int
find_all(void)
{
	found_count = name_count = 0;
	int rc = evq_queue_list(env, note_name, NULL);
	if (rc)
		return complain("evq_queue_list", rc);
	for (size_t i = 0; i < name_count; i++)
		if (find_messages(names[i]))
			return 1;
	return find_rows();
}

/* ---- whether it should be ---------------------------------------------------------------------------------- */

static int
is_found(uint64_t hash)
{
	for (size_t i = 0; i < found_count; i++)
		if (found[i].hash == hash)
			return 1;
	return 0;
}

/* What the ledger has after call number call, and the store has not. NULL where there is nothing of that kind. */
static const struct item *
missing(size_t call)
{
	unsigned char *flags = ledger_at(call);
	const struct item *item = NULL;
	for (size_t i = 0; i < ledger.item_count && !item; i++)
		if (flags[i] && !is_found(ledger.items[i].hash))
			item = &ledger.items[i];
	free(flags);
	return item;
}

static const struct found *
surplus(size_t call)
{
	unsigned char *flags = ledger_at(call);
	const struct found *f = NULL;
	for (size_t k = 0; k < found_count && !f; k++) {
		size_t i = 0;
		while (i < ledger.item_count && !(flags[i] && ledger.items[i].hash == found[k].hash))
			i++;
		if (i == ledger.item_count)
			f = &found[k];
	}
	free(flags);
	return f;
}

static int
is_cut_off(size_t call)
{
	return ledger.calls[call].sliced && !missing(call) && !surplus(call - 1);
}

static int
complain_difference(size_t first, size_t last)
{
	const struct item *item = missing(first);
	const struct found *f = surplus(last);
	int n = snprintf(complaint, sizeof(complaint), "not as after any of the calls %zu (%s) ... %zu (%s)", first,
	                 ledger.calls[first].what, last, ledger.calls[last].what);
	if (item)
		n += snprintf(complaint + n, sizeof(complaint) - (size_t)n, "; after the first: %s %" PRIu64 " is missing",
		              item->queue ? item->queue : "row", item->id);
	if (f)
		snprintf(complaint + n, sizeof(complaint) - (size_t)n, "; after the last: %s %" PRIu64 " is too much",
		         f->what, f->id);
	return 1;
}

static int
agrees(size_t first, size_t last, size_t *call_out)
{
	uint64_t hash = 0;
	for (size_t i = 0; i < found_count; i++)
		hash ^= found[i].hash;
	for (size_t i = last + 1; i > first; i--)
		if (ledger.calls[i - 1].hash == hash) {
			*call_out = i - 1;
			return 0;
		}
	for (size_t i = last; i > first; i--)
		if (is_cut_off(i)) {
			*call_out = i - 1;
			return 0;
		}
	return complain_difference(first, last);
}

/* ---- whether it works -------------------------------------------------------------------------------------- */

static int
works(void)
{
	static unsigned char body[5000];
	evq_queue *q = NULL;
	int rc = evq_queue_open(env, "afterwards", EVQ_QUEUE_ATTRS(), &q);
	for (size_t i = 0; i < 3 && !rc; i++)
		rc = evq_send(q, NULL, body, sizeof(body) / (i + 1), NULL, NULL);
	if (!rc)
		rc = evq_receive(q, NULL, NULL, batch);
	if (!rc)
		rc = evq_delete(q, NULL, &evq_batch_at(batch, 0)->receipt);
	evq_queue_close(q);
	return rc ? complain("work afterwards", rc) : 0;
}

static int
still_there(size_t count_before)
{
	counts_only = 1;
	if (find_all())
		return 1;
	return found_count == count_before + 3 ? 0 : complain("what was there, or done afterwards, opened again", 0);
}

int
look(const char *dir, const struct setting *s, size_t first, size_t last, size_t *call_out)
{
	complaint[0] = 0;
	counts_only = 0;
	int wrong = evq_batch_new(&batch) || opens_clean(dir, s) || find_all() || agrees(first, last, call_out);
	size_t count = found_count;
	wrong = wrong || works();
	close_store();
	wrong = wrong || opens_clean(dir, s) || still_there(count);
	close_store();
	evq_batch_free(batch);
	batch = NULL;
	return wrong;
}
