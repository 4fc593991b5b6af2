/* SPDX-License-Identifier: MIT */
/*
 * What every call does around the engine: check its handles, have a transaction, end it, and then tell who
 * is to know. Errors, of those that begin: EINVAL no such handle; EBADF its store was closed; EVQ_FORKED;
 * EVQ_BUSY; with a transaction given, EINVAL it is another store's, EPERM another thread's, or the failure
 * that broke it; with none, EDEADLK this thread has one.
 */
#ifndef EVQ__RUN_H
#define EVQ__RUN_H

#include "call.h"
#include "handles.h"

struct evq__run {
	evq_env *env;
	evq_txn *joined;   /* the caller's transaction, or NULL */
	struct evq__txn own;   /* where there is no tree open for everybody's calls */
	int only_reads;
	struct evq__news news;
	struct evq__call call;
};

/* Are the handles good? For a queue: it and its env. */
int evq__env_check(const evq_env *env);
int evq__queue_check(const evq_queue *q);
/* May this thread begin a writing transaction of its own? */
int evq__env_check_free(const evq_env *env);
uintptr_t evq__this_thread(void); /* never 0 */

int evq__run_begin(struct evq__run *run, evq_env *env, evq_txn *txn);
/* The same, with run->call.q loaded. Errors: EVQ_NOQUEUE. */
int evq__run_queue(struct evq__run *run, evq_queue *q, evq_txn *txn);
/* For reading only, whatever this thread has open; briefly, others may wait for it. */
int evq__run_read(struct evq__run *run, evq_env *env);
/* The same for what takes its time: a snapshot. */
int evq__run_survey(struct evq__run *run, evq_env *env);
int evq__run_survey_queue(struct evq__run *run, evq_queue *q);
int evq__run_read_queue(struct evq__run *run, evq_queue *q);
/*
 * Ends it: rc 0 commits what is the call's own, else aborts it. What it returns is what the call returns.
 * EVQ_STALE is counted in the queue, which is all that such a call changes. Errors: EVQ__AGAIN begin anew.
 */
int evq__run_end(struct evq__run *run, int rc);
/*
 * For a call of several runs in txn, which may be NULL: where it fails after an earlier run of it changed
 * something, txn is fit for nothing but abort. changes are txn's before the call. Returns rc.
 */
int evq__run_several(evq_txn *txn, uint64_t changes, int rc);
uint64_t evq__run_changes(const evq_txn *txn);
/* Wakes whom it concerns. */
void evq__run_wake(evq_env *env, struct evq__news *news);
/* Wakes and tells; empties news. Needs: no transaction, no lock. */
void evq__run_tell(evq_env *env, struct evq__news *news);

#endif
