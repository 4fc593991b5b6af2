/* SPDX-License-Identifier: MIT */
/*
 * Owns the keeper: the one thread that an open store has of its own. It begins and commits the transactions of
 * LMDB that the calls write in, and decides when:
 *
 *   begin    when a call wants it, as soon as other processes let go of the tenure
 *   commit   when the journal since the last commit has reached its bound, or somebody asks for it
 *   let go   after IDLE_MS without a call; when another wants it, after a slice, or at once when no call has come
 *            for SAMPLE_US; when a thread wants a transaction of its own; when sleepers of other processes are to
 *            see what was sent, who are woken then
 *
 * With relaxed durability it also flushes the journal. When there is nothing to do it sleeps for good.
 */
#include "inside.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "clock.h"

enum { IDLE_MS = 10, SLICE_MS = 3, SAMPLE_US = 300, RETRY_MS = 200, COME_US = 2000, STEP_MS = 20 };

#define FOR_EVER INT64_C(-1)
#define OVER INT64_C(-2)

/* ---- one transaction ---- */

static void
begin(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	int rc = 0;
	if (s->shared->journal.is_unsynced) /* what is built on it must not outlive it */
		rc = evq__recover_sync(s);
	if (!rc)
		rc = evq__recover_begin(s, &t->txn, 0);
	t->is_open = !rc;
	if (!rc) {
		t->txn.is_shared = 1;
		t->txn.is_noted = 1;
		t->wanted = s->shared->journal.end; /* it may be another process's, and not on disk */
		return;
	}
	t->failure = rc;
	t->failures++;
}

static void
commit(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	int64_t begun = evq__clock_monotonic_ms();
	size_t number = mdb_txn_id(t->txn.mdb);
	int rc = evq__recover_commit(s, &t->txn);
	t->is_open = 0;
	t->commits++;
	t->commit_ms = evq__clock_monotonic_ms() - begun;
	t->retry_at_ms = rc ? begun + t->commit_ms + RETRY_MS : 0;
	t->commit_rc = rc ? evq__recover_outcome(s, number, rc) : 0;
	if (t->whole_rc == EVQ__NONE)
		t->whole_rc = t->commit_rc;
}

static void
abort_txn(struct evq__tenure *t)
{
	if (t->is_open)
		mdb_txn_abort(t->txn.mdb);
	t->is_open = 0;
}

static void
give(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	abort_txn(t);
	t->handovers = atomic_load(&s->shared->handovers);
	atomic_store(&s->shared->holder, 0);
	evq__shared_give(s);
	for (unsigned i = 0; i < t->post_count; i++)
		evq__wake_others(s, t->posts[i].queue, t->posts[i].count);
	t->post_count = 0;
}

/* ---- when ---- */

static int64_t
slice_ms(const struct evq__tenure *t)
{
	return t->commit_ms > SLICE_MS ? 4 * t->commit_ms : SLICE_MS;
}

/* Have calls ended, or are some waiting for the disk, since it was asked last? */
static int
is_in_use(struct evq__tenure *t, int64_t now)
{
	int is = t->calls != t->seen_calls || atomic_load(&t->flushing);
	if (is) {
		t->seen_calls = t->calls;
		t->seen_at_ms = now;
	}
	return is;
}

/* *us is how long it may still be held. */
static int
is_to_be_given(struct evq__store *s, int64_t *us)
{
	struct evq__tenure *t = &s->tenure;
	int64_t now = evq__clock_monotonic_ms();
	int is_wanted = evq__shared_is_wanted(s), in_use = is_in_use(t, now), was_sampled = t->is_sampled;
	*us = IDLE_MS * 1000;
	if (t->direct || t->post_count || (t->orders & (EVQ__ORDER_RELEASE | EVQ__ORDER_QUIT)))
		return 1;
	if (!in_use && now - t->seen_at_ms >= IDLE_MS)
		return 1;
	t->is_sampled = is_wanted || t->is_offered;
	if (!t->is_sampled)
		return 0;
	if (!in_use && was_sampled)
		return 1;
	*us = SAMPLE_US;
	if (in_use && was_sampled)
		t->is_offered = 0;
	return is_wanted && now - t->opened_at_ms >= slice_ms(t);
}

static int
is_to_be_committed(const struct evq__store *s)
{
	const struct evq__tenure *t = &s->tenure;
	if (t->orders & (EVQ__ORDER_COMMIT | EVQ__ORDER_SYNC | EVQ__ORDER_RENEW))
		return 1;
	if (t->retry_at_ms)
		return evq__clock_monotonic_ms() >= t->retry_at_ms;
	return evq__tenure_is_due(s);
}

/* ---- a round ---- */

static int64_t
serve_open(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	int64_t us;
	if (t->orders & EVQ__ORDER_UNDO) {
		abort_txn(t);
		begin(s);
	}
	int is_last = is_to_be_given(s, &us), is_sync = (t->orders & (EVQ__ORDER_SYNC | EVQ__ORDER_QUIT)) != 0;
	int is_changed = t->txn.changes || (t->orders & EVQ__ORDER_RENEW);
	if (t->is_open && is_changed && (is_last || is_to_be_committed(s)))
		commit(s);
	else if (t->orders & (EVQ__ORDER_COMMIT | EVQ__ORDER_SYNC)) {
		t->commits++;
		t->commit_rc = t->is_open ? 0 : t->failure;
	}
	if ((t->orders & EVQ__ORDER_RENEW) && !t->is_open && !t->commit_rc) {
		begin(s);
		if (t->is_open)
			commit(s);
	}
	if (is_sync && !t->commit_rc) {
		abort_txn(t);
		t->sync_rc = evq__recover_sync(s);
	}
	if (!is_last && !t->is_open)
		begin(s);
	t->orders &= EVQ__ORDER_QUIT;
	if (is_last || !t->is_open) {
		give(s);
		return t->waiting ? 0 : FOR_EVER;
	}
	return us;
}

/* Others that wanted it when it was let go are to have it first, if they are still there. */
static void
let_others_come(struct evq__store *s)
{
	struct evq__shared *shared = s->shared;
	if (!evq__shared_is_wanted(s) || atomic_load(&shared->handovers) != s->tenure.handovers)
		return;
	(void)evq__sleep(&shared->handovers, s->tenure.handovers, COME_US, EVQ__ANY_MASK);
	if (atomic_load(&shared->handovers) == s->tenure.handovers)
		evq__shared_nobody_came(s);
}

static void
lock_gate(struct evq__tenure *t)
{
	atomic_store(&t->is_keeper_waiting, 1);
	(void)pthread_mutex_lock(&t->gate);
	atomic_store(&t->is_keeper_waiting, 0);
}

/* Needs: the gate, which is let go meanwhile. */
static int64_t
open_tree(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	(void)pthread_mutex_unlock(&t->gate);
	let_others_come(s);
	int rc = evq__shared_take(s, STEP_MS);
	lock_gate(t);
	if (rc == EVQ_BUSY)
		return 0;
	if (rc) {
		t->failure = rc;
		t->failures++;
		return FOR_EVER;
	}
	atomic_store(&s->shared->holder, s->slot + 1);
	begin(s);
	t->opened_at_ms = t->seen_at_ms = evq__clock_monotonic_ms();
	t->is_sampled = t->is_offered = 0;
	if (!t->is_open) {
		give(s);
		return FOR_EVER;
	}
	return IDLE_MS * 1000;
}

static int64_t
serve(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	int64_t us = FOR_EVER;
	if (t->is_open)
		us = serve_open(s);
	t->orders &= EVQ__ORDER_QUIT;
	if (!t->is_open && (t->orders & EVQ__ORDER_QUIT))
		return OVER;
	return !t->is_open && t->waiting && !t->direct ? open_tree(s) : us;
}

static int64_t
round_of(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	lock_gate(t);
	int64_t us = serve(s);
	t->rounds++;
	(void)pthread_cond_broadcast(&t->turn);
	(void)pthread_mutex_unlock(&t->gate);
	return us;
}

/* ---- the thread ---- */

/* What a flush of the journal does not make durable the tree has to. */
static void
save_by_tree(struct evq__store *s, uint64_t end)
{
	struct evq__tenure *t = &s->tenure;
	lock_gate(t);
	t->direct++; /* so it is let go, and not opened again before this is done */
	(void)serve(s);
	t->rounds++;
	(void)pthread_cond_broadcast(&t->turn);
	(void)pthread_mutex_unlock(&t->gate);
	(void)evq__flush_by_tree(s, end); /* where it fails, the store has failed, and says so */
	lock_gate(t);
	t->direct--;
	(void)pthread_mutex_unlock(&t->gate);
}

/* Returns the time until the next flush, or us where that is less. */
static int64_t
flush_at_times(struct evq__store *s, int64_t us, int64_t *next_ms)
{
	struct evq__progress *p = &s->shared->journal;
	uint64_t end = atomic_load(&p->end);
	int64_t now = evq__clock_monotonic_ms();
	if (!s->is_relaxed || atomic_load(&p->flushed) >= end) {
		*next_ms = now + s->flush_ms;
		return us;
	}
	if (now >= *next_ms || us == OVER) {
		if (evq__flush_journal(s, end)) {
			save_by_tree(s, end);
			return us == OVER ? us : 0; /* callers may have come to wait meanwhile */
		}
		now = evq__clock_monotonic_ms();
		*next_ms = now + s->flush_ms;
		end = atomic_load(&p->end);
		if (atomic_load(&p->flushed) >= end)
			return us;
	}
	int64_t left = (*next_ms - now) * 1000;
	return us == OVER || (us >= 0 && us < left) ? us : left;
}

static void
doze(struct evq__slot *slot, uint32_t seen, int64_t us)
{
	atomic_store(&slot->asleep, 1);
	if (us && atomic_load(&slot->calls) == seen)
		(void)evq__sleep(&slot->calls, seen, us, EVQ__ANY_MASK);
	atomic_store(&slot->asleep, 0);
}

static void *
keep(void *arg)
{
	struct evq__store *s = arg;
	struct evq__slot *slot = &s->shared->kept.slots[s->slot];
	int64_t us, next_ms = evq__clock_monotonic_ms() + s->flush_ms;
	uint32_t seen;
	do {
		seen = atomic_load(&slot->calls);
		us = round_of(s);
		us = flush_at_times(s, us, &next_ms);
		if (us != OVER)
			doze(slot, seen, us);
	} while (us != OVER);
	return NULL;
}

void
evq__keeper_call(struct evq__store *s, unsigned slot)
{
	struct evq__slot *to = &s->shared->kept.slots[slot];
	atomic_fetch_add(&to->calls, 1);
	if (atomic_load(&to->asleep))
		(void)evq__sleep_end(&to->calls, 1, EVQ__ANY_MASK);
}

/* It has no signals: those are the program's. */
int
evq__keeper_start(struct evq__store *s)
{
	sigset_t all, before;
	(void)sigfillset(&all);
	s->tenure.has_keeper = 1;
	int rc = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (!rc) {
		rc = pthread_create(&s->tenure.keeper, NULL, keep, s);
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (rc)
		s->tenure.has_keeper = 0;
	return rc;
}

void
evq__keeper_stop(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	if (!t->has_keeper)
		return;
	(void)pthread_mutex_lock(&t->gate);
	t->orders |= EVQ__ORDER_QUIT;
	evq__keeper_call(s, s->slot);
	(void)pthread_mutex_unlock(&t->gate);
	(void)pthread_join(t->keeper, NULL);
	t->has_keeper = 0;
}
