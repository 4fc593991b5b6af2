/* SPDX-License-Identifier: MIT */
/* The inside of the public handles. */
#ifndef EVQ__HANDLES_H
#define EVQ__HANDLES_H

#include <pthread.h>
#include <stdatomic.h>

#include "news.h"
#include "store.h"

#define EVQ__ENV_MAGIC UINT32_C(0x65767145)
#define EVQ__QUEUE_MAGIC UINT32_C(0x65767151)
#define EVQ__TXN_MAGIC UINT32_C(0x65767154)

struct evq_env {
	uint32_t magic;
	_Atomic uint32_t holders; /* the env itself, its queues and its transaction; the last one frees */
	_Atomic uint32_t interrupts;
	_Atomic int closed;
	_Atomic uintptr_t user_thread; /* has an evq_txn open; 0: none */
	evq_txn *user_txn;             /* that one; its thread's to touch */
	struct evq__store *store;      /* gone when closed */
	evq_clock_fn *clock;
	void *clock_arg;
	evq_event_fn *on_event;
	void *event_arg;
};

struct evq__lent; /* a name that a caller was given a pointer to */

struct evq_queue {
	uint32_t magic;
	uint32_t number;
	evq_env *env;
	pthread_mutex_t lock;   /* of lent, and of the making of watch */
	struct evq__lent *lent;
	struct evq__watch *_Atomic watch; /* or NULL */
};

struct evq_txn {
	uint32_t magic;
	evq_env *env;
	uintptr_t thread;
	struct evq__txn txn;
	struct evq__news news;
	uint32_t tight; /* the queue of a send that was refused, and that cleared some for it: once more at the end; or 0 */
};

#endif
