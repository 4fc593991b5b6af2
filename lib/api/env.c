/* SPDX-License-Identifier: MIT */
/*
 * evq_env(3): opening and closing a store. An env outlives its close for as long as queue handles of it are
 * open, so that they can answer EBADF.
 */
#include "env.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "bounds.h"
#include "queue_drop.h"
#include "opts.h"
#include "orphans_end.h"
#include "run.h"

enum { MODE_DEFAULT = 0600, USER_DBS_DEFAULT = 16, USER_DBS_MAX = 1000 };
enum { LOCK_TIMEOUT_DEFAULT_MS = 10000, FLUSH_DEFAULT_MS = 20, FLUSH_MAX_MS = 60000 };

#define JOURNAL_PAGE UINT64_C(4096)
#define JOURNAL_MIN (UINT64_C(1) << 20)
#define JOURNAL_MAX (UINT64_C(64) << 30)

static uint64_t
round_to_pages(uint64_t bytes)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	return bytes > UINT64_MAX - page ? bytes : (bytes + page - 1) / page * page;
}

static int
check_opts(const evq_env_opts *o, struct evq__store_opts *out)
{
	if (o->flush_ms < 0 || o->flush_ms > FLUSH_MAX_MS)
		return EINVAL;
	if (o->journal_size && (o->journal_size < JOURNAL_MIN || o->journal_size > JOURNAL_MAX))
		return EINVAL;
	if (o->keeper && o->keeper != EVQ_NONE)
		return EINVAL;
	if (o->durability != EVQ_DURABLE_FULL && o->durability != EVQ_DURABLE_RELAXED)
		return EINVAL;
	if (o->mode & ~0777U || (o->map_size && o->map_size < evq__store_least_map()) || o->map_size > SIZE_MAX)
		return EINVAL;
	if (o->max_bytes > evq__store_room(round_to_pages(o->map_size)))
		return EINVAL;
	if (o->user_dbs > USER_DBS_MAX || o->lock_timeout_ms < EVQ_NONE)
		return EINVAL;
	*out = (struct evq__store_opts){
		.durability = o->durability,
		.mode = o->mode ? o->mode : MODE_DEFAULT,
		.map_size = round_to_pages(o->map_size),
		.max_bytes = o->max_bytes,
		.user_dbs = o->user_dbs ? o->user_dbs : USER_DBS_DEFAULT,
		.lock_timeout_ms = o->lock_timeout_ms ? o->lock_timeout_ms : LOCK_TIMEOUT_DEFAULT_MS,
		.flush_ms = o->flush_ms ? o->flush_ms : FLUSH_DEFAULT_MS,
		.journal_size = (o->journal_size + JOURNAL_PAGE - 1) / JOURNAL_PAGE * JOURNAL_PAGE,
		.has_keeper = o->keeper != EVQ_NONE,
	};
	return 0;
}

static void
release(evq_env *env)
{
	if (atomic_fetch_sub(&env->holders, 1) == 1)
		free(env);
}

int
evq_env_open(const char *path, const evq_env_opts *opts, evq_env **out)
{
	struct evq__store_opts store_opts;
	evq_env_opts o;
	int rc = evq__opts_load(&o, sizeof o, EVQ__ENV_OPTS_FIRST, opts);
	if (!rc)
		rc = path && out ? check_opts(&o, &store_opts) : EINVAL;
	if (rc)
		return rc;
	evq_env *env = calloc(1, sizeof *env);
	if (!env)
		return ENOMEM;
	env->magic = EVQ__ENV_MAGIC;
	atomic_store(&env->holders, 1);
	env->clock = o.clock;
	env->clock_arg = o.clock_arg;
	env->on_event = o.on_event;
	env->event_arg = o.event_arg;
	if ((rc = evq__store_open(path, &store_opts, &env->store))) {
		free(env);
		return rc;
	}
	if ((rc = evq__drop_finish_all(env))) {
		evq_env_close(env);
		return rc;
	}
	evq__orphans_end(env);
	*out = env;
	return 0;
}

void
evq_env_close(evq_env *env)
{
	if (evq__env_check(env))
		return;
	int is_mine = evq__env_check_free(env) != 0;
	atomic_store(&env->closed, 1);
	if (is_mine) /* undone; its handle answers EBADF */
		(void)evq__txn_abort(&env->user_txn->txn, 0);
	if (is_mine || !atomic_load(&env->user_thread) || evq__store_is_free(env->store))
		evq__env_end(env);
	release(env);
}

void
evq__env_end(evq_env *env)
{
	evq__store_close(env->store);
	env->store = NULL;
}

void
evq__env_hold(evq_env *env)
{
	atomic_fetch_add(&env->holders, 1);
}

void
evq__env_release(evq_env *env)
{
	release(env);
}

struct MDB_env *
evq_env_mdb(const evq_env *env)
{
	return evq__env_check(env) ? NULL : evq__store_mdb(env->store);
}

int
evq_sync(evq_env *env)
{
	int rc = evq__env_check(env);
	if (!rc)
		rc = evq__env_check_free(env);
	return rc ? rc : evq__store_sync(env->store);
}

void
evq_env_interrupt(evq_env *env)
{
	int saved = errno; /* whose a signal handler's caller still wants */
	if (evq__env_check(env))
		return;
	atomic_fetch_add(&env->interrupts, 1);
	evq__wake_all(env->store);
	errno = saved;
}

int
evq_env_copy(evq_env *env, const char *path, uint32_t flags)
{
	int rc = evq__env_check(env);
	if (!rc && (!path || (flags & ~EVQ_COPY_COMPACT)))
		rc = EINVAL;
	if (!rc)
		rc = evq__env_check_free(env);
	return rc ? rc : evq__store_copy(env->store, path, flags & EVQ_COPY_COMPACT);
}
