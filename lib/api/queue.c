/* SPDX-License-Identifier: MIT */
/* evq_queue(3): handles on queues, and their attributes. A handle knows its queue by number. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "catalog.h"
#include "env.h"
#include "key.h"
#include "opts.h"
#include "run.h"

struct evq__lent {
	struct evq__lent *next;
	char name[EVQ_NAME_MAX + 1];
};

/* Before anything is created, so that nothing is where this fails. */
static int
make_handle(evq_env *env, evq_queue **out)
{
	evq_queue *q = calloc(1, sizeof *q);
	if (!q)
		return ENOMEM;
	int rc = pthread_mutex_init(&q->lock, NULL);
	if (rc) {
		free(q);
		return rc;
	}
	q->magic = EVQ__QUEUE_MAGIC;
	q->env = env;
	evq__env_hold(env);
	*out = q;
	return 0;
}

static int
find_existing(evq_env *env, const char *name, size_t len, uint32_t *number)
{
	struct evq__run run;
	int rc = evq__run_read(&run, env);
	return rc ? rc : evq__run_end(&run, evq__catalog_find(&run.call, name, len, number));
}

static int
try_create(evq_env *env, const char *name, size_t len, const struct evq__attrs *attrs, uint32_t *number)
{
	struct evq__run run;
	int rc = evq__run_begin(&run, env, NULL);
	if (rc)
		return rc;
	rc = evq__catalog_find(&run.call, name, len, number);
	if (rc == EVQ_NOQUEUE) {
		rc = evq__catalog_create(&run.call, name, len, attrs);
		*number = run.call.q.number;
	}
	return evq__run_end(&run, rc);
}

static int
find_or_create(evq_env *env, const char *name, size_t len, const struct evq__attrs *attrs, uint32_t *number)
{
	int rc;
	do
		rc = try_create(env, name, len, attrs, number);
	while (rc == EVQ__AGAIN);
	return rc;
}

static int
check_open(const char *name, const evq_queue_attrs *create, size_t *len, struct evq__attrs *attrs)
{
	int rc = evq__name_check(name, len);
	if (!rc && create)
		rc = evq__attrs_check(create, attrs);
	if (!rc && create && attrs->dead_letter && !strcmp(attrs->dead_letter, name))
		rc = EINVAL;
	return rc;
}

int
evq_queue_open(evq_env *env, const char *name, const evq_queue_attrs *create, evq_queue **out)
{
	struct evq__attrs attrs;
	evq_queue *q = NULL;
	size_t len;
	int rc = out ? evq__env_check(env) : EINVAL;
	if (!rc)
		rc = check_open(name, create, &len, &attrs);
	if (!rc)
		rc = make_handle(env, &q);
	if (!rc)
		rc = find_existing(env, name, len, &q->number);
	if (rc == EVQ_NOQUEUE && create)
		rc = find_or_create(env, name, len, &attrs, &q->number);
	if (rc)
		evq_queue_close(q);
	else
		*out = q;
	return rc;
}

void
evq_queue_close(evq_queue *q)
{
	int rc = evq__queue_check(q);
	if (rc && rc != EBADF)
		return;
	q->magic = 0;
	while (q->lent) {
		struct evq__lent *next = q->lent->next;
		free(q->lent);
		q->lent = next;
	}
	if (q->watch)
		evq__watch_close(q->watch, rc == 0);
	(void)pthread_mutex_destroy(&q->lock);
	evq__env_release(q->env);
	free(q);
}

/* ---- attributes ---- */

/* A copy of name that lives as long as q. NULL: no memory. Needs: q's lock. */
static const char *
lend(evq_queue *q, const char *name)
{
	struct evq__lent *l;
	for (l = q->lent; l; l = l->next)
		if (!strcmp(l->name, name))
			return l->name;
	if (!(l = malloc(sizeof *l)))
		return NULL;
	memcpy(l->name, name, strlen(name) + 1);
	l->next = q->lent;
	q->lent = l;
	return l->name;
}

static int
lend_name(evq_queue *q, const char *name, const char **out)
{
	(void)pthread_mutex_lock(&q->lock);
	*out = lend(q, name);
	(void)pthread_mutex_unlock(&q->lock);
	return *out ? 0 : ENOMEM;
}

static int
read_attrs(struct evq__call *call, evq_queue *handle, evq_queue_attrs *out)
{
	struct evq__queue q = call->q;
	*out = (evq_queue_attrs){
		.visibility_ms = q.visibility_ms,
		.delay_ms = q.delay_ms,
		.retention_ms = q.retention_ms,
		.max_receives = q.max_receives,
		.max_messages = q.max_messages,
		.max_bytes = q.max_bytes,
		.max_body_len = q.max_body_len,
		.retry_min_ms = q.retry_min_ms,
		.retry_max_ms = q.retry_max_ms,
		.dedup_ms = q.dedup_ms,
		.flags = q.flags,
	};
	if (!q.dead_letter)
		return 0;
	int rc = evq__catalog_enter(call, q.dead_letter);
	if (rc)
		return rc == EVQ_NOQUEUE ? EVQ_CORRUPT : rc;
	return lend_name(handle, call->q.name, &out->dead_letter);
}

int
evq_queue_get_attrs(evq_queue *q, evq_queue_attrs *out)
{
	struct evq__run run;
	evq_queue_attrs attrs;
	int rc = evq__queue_check(q);
	if (!rc && (!out || out->size < EVQ__QUEUE_ATTRS_FIRST))
		rc = EINVAL;
	if (!rc)
		rc = evq__run_read_queue(&run, q);
	if (rc)
		return rc;
	rc = evq__run_end(&run, read_attrs(&run.call, q, &attrs));
	return rc ? rc : evq__opts_store(out, &attrs, sizeof attrs, EVQ__QUEUE_ATTRS_FIRST);
}

int
evq_queue_set_attrs(evq_queue *q, evq_txn *txn, const evq_queue_attrs *given)
{
	struct evq__run run;
	struct evq__attrs attrs;
	int rc = evq__queue_check(q);
	if (!rc)
		rc = given ? evq__attrs_check(given, &attrs) : EINVAL;
	if (rc)
		return rc;
	do
		if (!(rc = evq__run_queue(&run, q, txn)))
			rc = evq__run_end(&run, evq__catalog_set(&run.call, &attrs));
	while (rc == EVQ__AGAIN);
	return rc;
}

/* ---- listing ---- */

enum { NAME_LEN = EVQ_NAME_MAX + 1, NAMES_AT_ONCE = 64 };

/* The names behind after, at most NAMES_AT_ONCE. One that no queue can have is verify's to tell. */
static int
list_some(evq_env *env, const char *after, char names[][NAME_LEN], size_t *count)
{
	struct evq__slice key;
	struct evq__run run;
	int rc = evq__run_read(&run, env);
	if (rc)
		return rc;
	*count = 0;
	rc = evq__catalog_first_name(run.call.txn, after, &key);
	while (!rc && *count < NAMES_AT_ONCE) {
		if (evq__catalog_is_name(&key)) {
			memcpy(names[*count], key.data, key.len);
			names[(*count)++][key.len] = 0;
		}
		rc = evq__catalog_next_name(run.call.txn, &key);
	}
	return evq__run_end(&run, rc == EVQ__NONE ? 0 : rc);
}

int
evq_queue_list(evq_env *env, evq_queue_fn *fn, void *arg)
{
	char names[NAMES_AT_ONCE][NAME_LEN], last[NAME_LEN];
	size_t count = NAMES_AT_ONCE;
	const char *after = NULL;
	int rc = evq__env_check(env);
	if (!rc && !fn)
		rc = EINVAL;
	while (!rc && count == NAMES_AT_ONCE) {
		rc = list_some(env, after, names, &count);
		for (size_t i = 0; !rc && i < count; i++)
			rc = fn(names[i], arg);
		memcpy(last, names[NAMES_AT_ONCE - 1], sizeof last);
		after = last;
	}
	return rc;
}
