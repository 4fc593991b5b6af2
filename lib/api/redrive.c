/* SPDX-License-Identifier: MIT */
/*
 * evq_redrive(3), in slices: list some messages, ask the user about each outside any transaction, move those
 * that were taken. In a transaction of the caller's it is all in that one.
 */
#include "redrive.h"

#include <errno.h>
#include <string.h>

#include "batch.h"
#include "catalog.h"
#include "opts.h"
#include "peek.h"
#include "run.h"

enum { MAX_DEFAULT = 1000 };

struct redrive {
	evq_queue *dead;
	evq_txn *txn;
	evq_redrive_opts o;
	size_t to_len;
	struct evq__ready walk; /* where the next slice begins */
	struct evq__found found[EVQ__SLICE];
	size_t count;
	struct evq_batch seen; /* the same messages, for match */
	size_t moved;
	int obstacle;
};

static int
check_opts(const evq_redrive_opts *opts, struct redrive *r)
{
	int rc = evq__opts_load(&r->o, sizeof r->o, EVQ__REDRIVE_OPTS_FIRST, opts);
	if (!rc && r->o.to)
		rc = evq__name_check(r->o.to, &r->to_len);
	if (!r->o.max)
		r->o.max = MAX_DEFAULT;
	return rc;
}

/* The number of the destination that was asked for, 0 where each has its own. */
static int
find_destination(struct evq__call *call, const struct redrive *r, uint32_t *to)
{
	*to = 0;
	if (!r->o.to)
		return 0;
	int rc = evq__catalog_find(call, r->o.to, r->to_len, to);
	return !rc && *to == call->q.number ? EINVAL : rc;
}

static int
show(struct evq__call *call, struct redrive *r)
{
	int rc = 0;
	for (size_t i = 0; !rc && i < r->count; i++) {
		uint8_t history[EVQ__HISTORY_MAX];
		rc = evq__line_history(call, &r->found[i], history);
		if (!rc)
			rc = evq__peek_one(call, &r->found[i], &r->seen);
	}
	return rc;
}

static int
list(struct redrive *r)
{
	struct evq__run run;
	uint32_t to;
	size_t left = r->o.max - r->moved;
	int rc = r->txn ? evq__run_queue(&run, r->dead, r->txn) : evq__run_read_queue(&run, r->dead);
	if (rc)
		return rc;
	r->walk.from.queue = run.call.q.number;
	rc = find_destination(&run.call, r, &to);
	if (!rc)
		rc = evq__redrive_list(&run.call, &r->walk, r->found, left < EVQ__SLICE ? left : EVQ__SLICE,
		                       &r->count);
	if (!rc && r->o.match)
		rc = show(&run.call, r);
	return evq__run_end(&run, rc);
}

/* Keeps of what was found what the user takes. */
static void
choose(struct redrive *r)
{
	size_t kept = 0;
	for (size_t i = 0; i < r->count; i++)
		if (r->o.match(&r->seen.items[i], r->o.match_arg))
			r->found[kept++] = r->found[i];
	r->count = kept;
}

static int
move(struct redrive *r, struct evq__found *found, size_t count)
{
	struct evq__run run;
	size_t moved = 0;
	uint32_t to;
	int rc = evq__run_queue(&run, r->dead, r->txn);
	if (rc)
		return rc;
	rc = find_destination(&run.call, r, &to);
	for (size_t i = 0; !rc && i < count; i++)
		rc = evq__redrive_one(&run.call, &found[i], to, &r->obstacle, &moved);
	if (!(rc = evq__run_end(&run, rc)))
		r->moved += moved;
	return rc;
}

/* Where there is no room to move all of them at once, some, and then the rest. */
static int
move_in_parts(struct redrive *r, struct evq__found *found, size_t count)
{
	int rc;
	do
		rc = move(r, found, count);
	while (rc == EVQ__AGAIN);
	if (rc != EVQ_FULL || r->txn || count < 2)
		return rc;
	rc = move_in_parts(r, found, count / 2);
	return rc ? rc : move_in_parts(r, found + count / 2, count - count / 2);
}

int
evq_redrive(evq_queue *dead, evq_txn *txn, const evq_redrive_opts *opts, size_t *moved_out)
{
	struct redrive r = { .dead = dead, .txn = txn, .walk.is_list = 1 };
	int rc = evq__queue_check(dead);
	if (!rc && !txn)
		rc = evq__env_check_free(dead->env);
	if (!rc)
		rc = check_opts(opts, &r);
	if (rc)
		return rc;
	uint64_t changes = evq__run_changes(txn);
	while (!rc && !r.walk.done && r.moved < r.o.max) {
		evq__batch_reset(&r.seen);
		rc = list(&r);
		if (!rc && r.o.match)
			choose(&r);
		if (!rc && r.count)
			rc = move_in_parts(&r, r.found, r.count);
	}
	evq__batch_clear(&r.seen);
	rc = evq__run_several(txn, changes, rc);
	if (!rc && !r.moved)
		rc = r.obstacle;
	if (!rc && moved_out)
		*moved_out = r.moved;
	return rc;
}
