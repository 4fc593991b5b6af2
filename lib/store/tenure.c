/* SPDX-License-Identifier: MIT */
/*
 * Owns the calls' side of the tree that is open. LMDB ties a writing transaction to the thread that began it, so
 * the keeper begins and commits (keeper.c); what is written in between each caller writes itself, in its own
 * thread, one at a time:
 *
 *   enter: the gate -> is it open? else the keeper is told to open it -> the call's notes begin
 *   leave: the notes become a record of the journal -> the gate is let go -> whoever cares waits for the flush
 *
 * A call that fails after it has written something cannot be taken back by itself: the whole transaction is given
 * up, and what is in the journal written again (recover.c). A call that wrote more than a record may hold is not
 * in the journal: the tree is committed with it, and flushed, before the next one begins.
 */
#include "inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"

enum { BULK = 512 << 10 }; /* bytes of large values in one commit of the tree */

/* ---- the gate ---- */

static int
has_passed(const struct timespec *end)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return end && (now.tv_sec > end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec));
}

/* NULL: for ever. */
static struct timespec *
deadline(const struct evq__store *s, struct timespec *end)
{
	if (s->lock_timeout_ms < 0 || s->lock_timeout_ms > INT64_MAX / 2000)
		return NULL;
	*end = evq__clock_after(CLOCK_MONOTONIC, s->lock_timeout_ms * 1000);
	return end;
}

static void
lock_gate(struct evq__store *s)
{
	(void)pthread_mutex_lock(&s->tenure.gate);
}

/* The keeper may be in the middle of a commit, and the disk slow. Errors: EVQ_BUSY. */
static int
lock_gate_in_time(struct evq__store *s)
{
	int rc = pthread_mutex_trylock(&s->tenure.gate);
	if (rc == EBUSY && s->lock_timeout_ms >= 0)
		rc = evq__shared_lock_for(&s->tenure.gate, s->lock_timeout_ms);
	else if (rc == EBUSY)
		rc = pthread_mutex_lock(&s->tenure.gate);
	return rc == ETIMEDOUT ? EVQ_BUSY : rc;
}

static void
unlock_gate(struct evq__store *s)
{
	(void)pthread_mutex_unlock(&s->tenure.gate);
}

static void
order(struct evq__store *s, unsigned what)
{
	struct evq__tenure *t = &s->tenure;
	if ((t->orders & what) == what)
		return;
	t->orders |= what;
	evq__keeper_call(s, s->slot);
}

/* Sleeps until a round of the keeper ended. Errors: EVQ_BUSY the end has passed. */
static int
wait_for_turn(struct evq__store *s, const struct timespec *end)
{
	struct evq__tenure *t = &s->tenure;
	if (has_passed(end))
		return EVQ_BUSY;
	if (end)
		(void)pthread_cond_timedwait(&t->turn, &t->gate, end);
	else
		(void)pthread_cond_wait(&t->turn, &t->gate);
	return 0;
}

/* The keeper is at work inside this process, and comes back: a call in its middle cannot turn round. */
static void
wait_for_round(struct evq__store *s, unsigned what)
{
	struct evq__tenure *t = &s->tenure;
	uint64_t round = t->rounds;
	order(s, what);
	while (t->rounds == round)
		(void)pthread_cond_wait(&t->turn, &t->gate);
}

int
evq__tenure_init(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	pthread_condattr_t attr;
	int rc = pthread_mutex_init(&t->gate, NULL);
	if (rc)
		return rc;
	if ((rc = pthread_mutex_init(&s->flushing, NULL))) {
		(void)pthread_mutex_destroy(&t->gate);
		return rc;
	}
	if (!(rc = pthread_condattr_init(&attr))) {
		rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
		if (!rc)
			rc = pthread_cond_init(&t->turn, &attr);
		(void)pthread_condattr_destroy(&attr);
	}
	if (rc) {
		(void)pthread_mutex_destroy(&s->flushing);
		(void)pthread_mutex_destroy(&t->gate);
	}
	return rc;
}

void
evq__tenure_destroy(struct evq__store *s)
{
	(void)pthread_mutex_destroy(&s->flushing);
	(void)pthread_cond_destroy(&s->tenure.turn);
	(void)pthread_mutex_destroy(&s->tenure.gate);
	free(s->notes.bytes);
}

/* ---- a call ---- */

/* Nobody is in the middle of something, nor has the keeper to wait for us. */
static int
is_free(const struct evq__tenure *t)
{
	return !t->is_busy && !atomic_load_explicit(&t->is_keeper_waiting, memory_order_relaxed);
}

static int
may_enter(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	if (!is_free(t))
		return 0;
	if (!t->is_open) {
		order(s, EVQ__ORDER_OPEN);
		return 0;
	}
	if (!evq__journal_has_room(s)) {
		order(s, EVQ__ORDER_SYNC);
		return 0;
	}
	int is_late = t->txn.is_spread || t->txn.bulk >= 2 * BULK;
	if (is_late && !t->retry_at_ms) { /* one that failed is no reason to keep out who makes room */
		order(s, EVQ__ORDER_COMMIT);
		return 0;
	}
	return 1;
}

static void
set_out(struct evq__store *s, int cancel)
{
	struct evq__txn *txn = &s->tenure.txn;
	evq__notes_reset(&s->notes);
	txn->cancel = cancel;
	txn->before = txn->changes;
	txn->durable = EVQ__DURABLE;
	txn->is_tight = txn->scatters = 0;
}

/* What no commit helps against fails the call; what may pass is waited for. */
static int
wait_to_enter(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	struct timespec at, *end = deadline(s, &at);
	uint64_t failures = t->failures;
	int rc = 0;
	t->waiting++;
	while (!rc && !may_enter(s)) {
		if ((rc = atomic_load(&s->failed)))
			break;
		if (t->failures != failures)
			rc = t->failure;
		else if (t->is_open && !t->is_busy && !evq__journal_has_room(s) && t->commit_rc && t->retry_at_ms)
			rc = t->commit_rc;
		else if (t->is_open && t->sync_rc)
			rc = t->sync_rc;
		else
			rc = wait_for_turn(s, end);
	}
	t->waiting--;
	return rc;
}

int
evq__tenure_enter(struct evq__store *s, struct evq__txn **out)
{
	int cancel, rc = atomic_load(&s->failed);
	if (rc)
		return rc;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (!(rc = lock_gate_in_time(s)) && (rc = may_enter(s) ? 0 : wait_to_enter(s)))
		unlock_gate(s);
	if (rc) {
		(void)pthread_setcancelstate(cancel, NULL);
		return rc;
	}
	set_out(s, cancel);
	*out = &s->tenure.txn;
	return 0;
}

int
evq__tenure_enter_open(struct evq__store *s, struct evq__txn **out)
{
	int cancel, is_open;
	if (!s->tenure.has_keeper)
		return EVQ__NONE;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	lock_gate(s);
	while ((is_open = s->tenure.is_open) != 0 && !is_free(&s->tenure))
		(void)wait_for_turn(s, NULL);
	if (is_open) {
		set_out(s, cancel);
		*out = &s->tenure.txn;
		return 0;
	}
	unlock_gate(s);
	(void)pthread_setcancelstate(cancel, NULL);
	return EVQ__NONE;
}

/* Gives the whole transaction up, and everybody's calls but this one are written again. */
static void
undo(struct evq__store *s)
{
	s->tenure.is_busy = 1;
	wait_for_round(s, EVQ__ORDER_UNDO);
	s->tenure.is_busy = 0;
	(void)pthread_cond_broadcast(&s->tenure.turn);
}

/* The tree itself, with the call in it, on disk. Others may be committed before this thread runs again: not with it. */
static int
commit_whole(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	t->is_busy = 1;
	t->whole_rc = EVQ__NONE;
	while (t->whole_rc == EVQ__NONE && t->is_open)
		wait_for_round(s, EVQ__ORDER_SYNC);
	int rc = t->whole_rc == EVQ__NONE ? t->failure : t->whole_rc;
	t->whole_rc = t->is_busy = 0;
	(void)pthread_cond_broadcast(&t->turn);
	if (rc || !t->sync_rc)
		return rc;
	atomic_store(&s->failed, EIO); /* it is in the tree, and not on disk */
	return EVQ_UNKNOWN;
}

/* Large values stand on pages of their own, which are used again only two commits after they were given back. */
int
evq__tenure_is_due(const struct evq__store *s)
{
	const struct evq__progress *p = &s->shared->journal;
	return p->end - p->committed >= s->journal.bound || s->tenure.txn.bulk >= BULK;
}

static int
finish(struct evq__store *s, uint64_t *mark)
{
	struct evq__txn *txn = &s->tenure.txn;
	int rc;
	s->tenure.is_renewed = 0;
	if (s->notes.is_over)
		return commit_whole(s);
	if ((rc = evq__journal_append(s, &s->notes))) {
		undo(s);
		return rc;
	}
	if (txn->durable == EVQ__DURABLE)
		s->tenure.wanted = s->shared->journal.end;
	*mark = txn->durable == EVQ__DURABLE_LATER ? 0 : s->tenure.wanted;
	txn->is_spread = evq__space_is_spread(txn);
	if (txn->is_spread || evq__tenure_is_due(s))
		order(s, EVQ__ORDER_COMMIT);
	return 0;
}

/* The pages that others' changes gave back, in this transaction or the last, could not be used. */
static int
try_again(struct evq__store *s, int rc, int may_help)
{
	struct evq__tenure *t = &s->tenure;
	if (rc != EVQ_FULL || !may_help)
		return rc;
	if (t->is_open && !t->retry_at_ms)
		wait_for_round(s, EVQ__ORDER_RENEW);
	t->is_renewed = 1;
	return t->is_open && (t->commit_rc || t->retry_at_ms) ? rc : EVQ__AGAIN;
}

static int
give_up(struct evq__store *s, int rc)
{
	struct evq__txn *txn = &s->tenure.txn;
	int has_written = txn->changes != txn->before || txn->rc || evq__store_is_damage(rc);
	int may_help = (txn->before > 0 || !s->tenure.is_renewed) && (has_written || txn->is_tight);
	if (has_written)
		undo(s);
	return try_again(s, rc, may_help);
}

int
evq__tenure_leave(struct evq__store *s, int rc, uint64_t *mark)
{
	struct evq__tenure *t = &s->tenure;
	int cancel = t->txn.cancel;
	*mark = 0;
	if (!rc)
		rc = t->txn.rc;
	if (rc)
		rc = give_up(s, rc);
	else if (s->notes.len > EVQ__RECORD_HEAD || s->notes.is_over)
		rc = finish(s, mark);
	t->calls++;
	unlock_gate(s);
	(void)pthread_setcancelstate(cancel, NULL);
	return rc;
}

/* ---- the rest of the world ---- */

int
evq__tenure_commit(struct evq__store *s, enum evq__order how)
{
	struct evq__tenure *t = &s->tenure;
	struct timespec at, *end = deadline(s, &at);
	int cancel, rc = 0;
	if (!t->has_keeper)
		return 0;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); /* a wait for the keeper is such a place */
	lock_gate(s);
	uint64_t commits = t->commits;
	while (!rc && t->is_open && t->commits == commits) {
		if (how != EVQ__ORDER_SYNC && !atomic_load(&s->shared->journal.is_dirty))
			break;
		order(s, how);
		rc = wait_for_turn(s, end);
	}
	if (t->commits != commits)
		rc = t->commit_rc ? t->commit_rc : how == EVQ__ORDER_SYNC ? t->sync_rc : 0;
	unlock_gate(s);
	(void)pthread_setcancelstate(cancel, NULL);
	return rc;
}

int
evq__tenure_stand_back(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	struct timespec at, *end = deadline(s, &at);
	int rc = 0;
	if (!t->has_keeper)
		return 0;
	lock_gate(s);
	t->direct++;
	while (!rc && t->is_open) {
		order(s, EVQ__ORDER_RELEASE);
		rc = wait_for_turn(s, end);
	}
	if (rc)
		t->direct--;
	unlock_gate(s);
	return rc;
}

void
evq__tenure_stood_back(struct evq__store *s)
{
	if (!s->tenure.has_keeper)
		return;
	lock_gate(s);
	s->tenure.direct--;
	if (s->tenure.waiting)
		evq__keeper_call(s, s->slot);
	unlock_gate(s);
}

void
evq__tenure_offer(struct evq__store *s)
{
	struct evq__tenure *t = &s->tenure;
	if (!t->has_keeper)
		return;
	lock_gate(s);
	if (t->is_open && !t->is_offered) {
		t->is_offered = 1;
		evq__keeper_call(s, s->slot);
	}
	unlock_gate(s);
}

static void
add_post(struct evq__tenure *t, uint32_t queue, uint32_t count)
{
	unsigned i = 0;
	while (i < t->post_count && i < EVQ__POSTS && t->posts[i].queue != queue)
		i++;
	if (i == EVQ__POSTS) { /* 0 is no queue's number: everybody */
		t->posts[0].queue = 0;
		return;
	}
	if (i == t->post_count) {
		t->posts[t->post_count++].queue = queue;
		t->posts[i].count = 0;
	}
	uint32_t room = EVQ__WAKE_ALL - t->posts[i].count;
	t->posts[i].count += count < room ? count : room;
}

int
evq__tenure_post(struct evq__store *s, uint32_t queue, uint32_t count)
{
	struct evq__tenure *t = &s->tenure;
	if (!t->has_keeper)
		return 0;
	lock_gate(s);
	int is_open = t->is_open;
	if (is_open) {
		add_post(t, queue, count);
		evq__keeper_call(s, s->slot);
	}
	unlock_gate(s);
	return is_open;
}
