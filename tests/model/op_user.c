/* SPDX-License-Identifier: MIT */
/*
 * Data of the user's own, in a database of his own, written in the transaction
 * that also moves messages: it must be there after a commit and not after an
 * abort. The model's side of it is an array, copied with the rest.
 */
#include "run.h"

#include <lmdb.h>
#include <string.h>

static MDB_dbi
own_database(struct run *r)
{
	MDB_dbi dbi = 0;

	expect_rc(r, "mdb_dbi_open", 0, mdb_dbi_open(evq_txn_mdb(r->txn), "mine", MDB_CREATE, &dbi));
	return dbi;
}

static void
compare_own(struct run *r, MDB_dbi dbi, size_t place)
{
	MDB_val key = { sizeof(place), &place }, value;
	uint64_t got;
	int rc = mdb_get(evq_txn_mdb(r->txn), dbi, &key, &value);

	if (r->m->own[place] == 0) {
		expect_rc(r, "mdb_get of what was never written", MDB_NOTFOUND, rc);
		return;
	}
	expect_rc(r, "mdb_get", 0, rc);
	expect_int(r, "length of the user's value", sizeof(got), (int64_t)value.mv_size);
	memcpy(&got, value.mv_data, sizeof(got));
	expect_int(r, "the user's value", (int64_t)r->m->own[place], (int64_t)got);
}

bool
op_user(struct run *r)
{
	size_t place = below(r, MODEL_OWN);
	MDB_val key = { sizeof(place), &place }, value = { sizeof(uint64_t), &r->m->own[place] };
	MDB_dbi dbi;

	if (r->txn == NULL)
		return false;
	dbi = own_database(r);
	say(r, "the user's value %zu is %llu", place, (unsigned long long)r->m->own[place]);
	compare_own(r, dbi, place);
	r->m->own[place] = r->op + 1;
	expect_rc(r, "mdb_put", 0, mdb_put(evq_txn_mdb(r->txn), dbi, &key, &value, 0));
	run_settle(r);
	return true;
}
