/* SPDX-License-Identifier: MIT */
/*
 * Owns the making of a store. It is made whole under another name, flushed, and given its own by a rename,
 * so that whoever finds a data.mdb finds a store. What an unfinished making left is removed by the next:
 * the caller holds the opening lock, so nobody is at work on it.
 *
 * Each table begins with a sentinel row: LMDB drops the root page of a tree that becomes empty and makes
 * another at the next put, and cannot use the old one again in the same transaction.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "key.h"

static const char new_name[] = "new.mdb", new_lock_name[] = "new.mdb-lock";

const char *
evq__table_name(enum evq__table table)
{
	static const char *const names[EVQ__TABLES] = { "evq.queue", "evq.name", "evq.due", "evq.body",
		                                        "evq.group", "evq.dedup" };
	return names[table];
}

int
evq__random(void *out, size_t len)
{
	ssize_t n;
	do
		n = getrandom(out, len, 0);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : n < 0 ? errno : EIO;
}

static int
make_record(uint8_t out[static EVQ__STOREREC_LEN])
{
	struct evq__storerec rec = { .next_queue = 1, .next_id = 1 };
	int rc = evq__random(rec.id, sizeof rec.id);
	if (!rc)
		rc = evq__random(&rec.secret, sizeof rec.secret);
	evq__storerec_pack(&rec, out);
	return rc;
}

static int
make_table(MDB_txn *txn, enum evq__table table, size_t key_len, const void *value, size_t len)
{
	static const uint8_t zeros[EVQ__DUE_KEY];
	MDB_val k = { key_len, (void *)(uintptr_t)zeros }, v = { len, (void *)(uintptr_t)value };
	MDB_dbi dbi;
	int rc = mdb_dbi_open(txn, evq__table_name(table), MDB_CREATE, &dbi);
	return rc ? rc : mdb_put(txn, dbi, &k, &v, 0);
}

/* Those that a store of the first format has not. */
static int
make_young_tables(MDB_txn *txn)
{
	int rc = make_table(txn, EVQ__GROUP, EVQ__GROUP_KEY, "", 0);
	return rc ? rc : make_table(txn, EVQ__DEDUP, EVQ__DEDUP_KEY, "", 0);
}

static int
make_tables(MDB_txn *txn)
{
	uint8_t record[EVQ__STOREREC_LEN];
	int rc = make_record(record);
	if (!rc)
		rc = make_table(txn, EVQ__QUEUE, EVQ__QUEUE_KEY, record, sizeof record);
	if (!rc)
		rc = make_table(txn, EVQ__NAME, 1, "", 0);
	if (!rc)
		rc = make_table(txn, EVQ__DUE, EVQ__DUE_KEY, "", 0);
	if (!rc)
		rc = make_table(txn, EVQ__BODY, EVQ__BODY_KEY, "", 0);
	return rc ? rc : make_young_tables(txn);
}

static int
change(MDB_env *env, int (*fn)(MDB_txn *txn))
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (rc)
		return rc;
	rc = fn(txn);
	if (rc)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	return rc ? rc : mdb_env_sync(env, 1);
}

/* One transaction in a file that nobody else knows of yet. map_size 0: LMDB's default. */
static int
change_file(const char *file, unsigned mode, uint64_t map_size, int (*fn)(MDB_txn *txn))
{
	MDB_env *env;
	int rc = mdb_env_create(&env);
	if (rc)
		return rc;
	rc = mdb_env_set_maxdbs(env, EVQ__TABLES);
	if (!rc && map_size)
		rc = mdb_env_set_mapsize(env, map_size);
	if (!rc) /* alone in the file: no lock file is needed, nor one left behind */
		rc = mdb_env_open(env, file, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, (mdb_mode_t)mode);
	if (!rc)
		rc = change(env, fn);
	mdb_env_close(env);
	return rc;
}

static int
remove_leftovers(int dir_fd)
{
	if (unlinkat(dir_fd, new_name, 0) && errno != ENOENT)
		return errno;
	return unlinkat(dir_fd, new_lock_name, 0) && errno != ENOENT ? errno : 0;
}

int
evq__create(const char *path, int dir_fd, unsigned mode)
{
	size_t len = strlen(path) + sizeof new_name + 1;
	char *file = malloc(len);
	if (!file)
		return ENOMEM;
	(void)snprintf(file, len, "%s/%s", path, new_name);
	int rc = remove_leftovers(dir_fd);
	if (!rc)
		rc = evq__files_rc(dir_fd, change_file(file, mode, 0, make_tables)); /* while what fills the disk is still there */
	free(file);
	if (!rc && renameat(dir_fd, new_name, dir_fd, evq__data_name))
		rc = errno;
	if (!rc)
		return evq__files_sync_dir(dir_fd);
	(void)remove_leftovers(dir_fd);
	return rc;
}

static uint8_t record_key[EVQ__QUEUE_KEY];

static int
read_record(MDB_txn *txn, MDB_dbi *dbi, struct evq__storerec *rec)
{
	MDB_val k = { sizeof record_key, record_key }, v;
	int rc = mdb_dbi_open(txn, evq__table_name(EVQ__QUEUE), 0, dbi);
	if (!rc)
		rc = mdb_get(txn, *dbi, &k, &v);
	return rc ? rc : evq__storerec_unpack(v.mv_data, v.mv_size, rec);
}

static int
write_record(MDB_txn *txn, MDB_dbi dbi, const struct evq__storerec *rec)
{
	uint8_t value[EVQ__STOREREC_LEN];
	MDB_val k = { sizeof record_key, record_key }, v = { sizeof value, value };
	evq__storerec_pack(rec, value);
	return mdb_put(txn, dbi, &k, &v, 0);
}

static int
change_id(MDB_txn *txn)
{
	struct evq__storerec rec;
	MDB_dbi dbi;
	int rc = read_record(txn, &dbi, &rec);
	if (!rc)
		rc = evq__random(rec.id, sizeof rec.id);
	return rc ? rc : write_record(txn, dbi, &rec);
}

int
evq__create_anew(const char *file, uint64_t map_size)
{
	return change_file(file, 0600, map_size, change_id);
}

static int
bring_up(MDB_txn *txn)
{
	struct evq__storerec rec;
	MDB_dbi dbi;
	int rc = read_record(txn, &dbi, &rec);
	if (rc == MDB_NOTFOUND || (!rc && rec.format != EVQ__STORE_WITHOUT_GROUPS))
		return rc ? EVQ_FORMAT : EVQ__NONE;
	if (!rc)
		rc = make_young_tables(txn);
	return rc ? rc : write_record(txn, dbi, &rec);
}

/* The record of an old one comes back with the journal's, and it is done again then: what is there is no hindrance. */
int
evq__create_bring_up(MDB_env *env)
{
	int rc = change(env, bring_up);
	return rc == EVQ__NONE ? 0 : rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE ? EVQ_FORMAT : rc;
}
