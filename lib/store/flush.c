/* SPDX-License-Identifier: MIT */
/*
 * Owns the flush of the journal. One thread of all processes flushes for all that wait: who comes while a flush
 * is under way sleeps until it has ended, and unless that one was enough, one of the sleepers makes the next. No
 * other lock is held meanwhile.
 *
 * The system tells of a failed flush once, and takes the pages for clean from then on: another flush that
 * succeeds proves nothing. So after a failure the journal is not trusted up to its end of then, and what waits
 * for it is made durable by a commit of the tree instead.
 */
#include "inside.h"

#include <errno.h>
#include <unistd.h>

#include "clock.h"

enum { STEP_US = 20000, PATIENCE_MS = 100 };

void
evq__flush_note(struct evq__store *s, uint64_t to)
{
	struct evq__progress *p = &s->shared->journal;
	uint64_t was = atomic_load(&p->flushed);
	while (was < to && !atomic_compare_exchange_weak(&p->flushed, &was, to))
		;
}

static int
is_suspect(const struct evq__progress *p)
{
	uint64_t suspect = atomic_load(&p->suspect);
	return suspect && suspect > atomic_load(&p->flushed);
}

static int
flush_file(struct evq__store *s)
{
	struct evq__progress *p = &s->shared->journal;
	uint64_t end = atomic_load(&p->end);
	int rc;
	if (is_suspect(p))
		return EIO;
	do
		rc = fdatasync(s->journal.fd) ? errno : 0;
	while (rc == EINTR);
	if (rc)
		atomic_store(&p->suspect, end);
	else
		evq__flush_note(s, end);
	return rc;
}

static int
flush_now(struct evq__store *s)
{
	(void)pthread_mutex_lock(&s->flushing);
	int rc = flush_file(s);
	(void)pthread_mutex_unlock(&s->flushing);
	return rc;
}

static void
end_round(struct evq__progress *p)
{
	atomic_fetch_add(&p->rounds, 1);
	(void)evq__sleep_end(&p->rounds, EVQ__EVERYBODY, EVQ__ANY_MASK);
}

int
evq__flush_journal(struct evq__store *s, uint64_t mark)
{
	struct evq__progress *p = &s->shared->journal;
	int64_t begun = 0;
	int rc = 0;
	while (!rc && atomic_load(&p->flushed) < mark) {
		uint32_t round = atomic_load(&p->rounds);
		if (atomic_load(&p->flushed) >= mark)
			break;
		if (!evq__shared_try_robust(&s->shared->flusher)) {
			rc = atomic_load(&p->flushed) < mark ? flush_now(s) : 0;
			(void)pthread_mutex_unlock(&s->shared->flusher);
			end_round(p);
			continue;
		}
		(void)evq__sleep(&p->rounds, round, STEP_US, EVQ__ANY_MASK);
		if (atomic_load(&p->rounds) != round)
			begun = 0;
		else if (!begun)
			begun = evq__clock_monotonic_ms();
		else if (evq__clock_monotonic_ms() - begun > PATIENCE_MS) /* whoever flushes was stopped */
			rc = flush_now(s);
	}
	return rc;
}

int
evq__flush_by_tree(struct evq__store *s, uint64_t mark)
{
	struct evq__txn t;
	uint64_t none;
	if (atomic_load(&s->shared->journal.flushed) >= mark)
		return 0;
	int rc = evq__txn_begin_own(s, &t);
	if (!rc)
		rc = evq__txn_commit(&t, &none);
	if (!rc && atomic_load(&s->shared->journal.flushed) >= mark)
		return 0;
	if (rc != EVQ_BUSY)
		atomic_store(&s->failed, EIO);
	return EVQ_UNKNOWN;
}

int
evq__flush(struct evq__store *s, uint64_t mark)
{
	int cancel;
	if (atomic_load(&s->shared->journal.flushed) >= mark)
		return 0;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	atomic_fetch_add(&s->tenure.flushing, 1);
	int rc = evq__flush_journal(s, mark);
	atomic_fetch_sub(&s->tenure.flushing, 1);
	if (rc)
		rc = evq__flush_by_tree(s, mark);
	(void)pthread_setcancelstate(cancel, NULL);
	return rc;
}
