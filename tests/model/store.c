/* SPDX-License-Identifier: MIT */
/*
 * The store under test: a directory of its own in $TMPDIR, /dev/shm or /tmp,
 * opened with the run's clock and an ear for events, and with a journal so
 * short that its ring is used over and over. Handles are opened when first
 * needed and stay open; when their queue is dropped they become ghosts, which
 * must answer EVQ_NOQUEUE for ever.
 */
#define _POSIX_C_SOURCE 200809L
#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *
parent(const struct run *r)
{
	const char *tmp = getenv("TMPDIR");

	if (r->opt.dir != NULL)
		return r->opt.dir;
	if (tmp != NULL && tmp[0] != 0)
		return tmp;
	return access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
}

static int64_t
read_clock(void *arg)
{
	const struct run *r = arg;

	return r->now;
}

static int
count_name(const char *name, void *arg)
{
	size_t *count = arg;

	(void)name;
	++*count;
	return 0;
}

/* Now and then it calls the library, as it may. */
static void
hear(const evq_event *event, void *arg)
{
	struct run *r = arg;
	struct m_event copy = { event->type, model_intern(event->queue), event->id, model_intern(event->reason) };
	size_t names = 0;

	if (copy.queue == NULL)
		differ(r, "event %d names no queue", event->type);
	model_events_add(&r->seen, &copy);
	if (r->seen.count % 16 == 1)
		expect_rc(r, "evq_queue_list from on_event", 0, evq_queue_list(r->env, count_name, &names));
}

int
store_open_at(struct run *r, const char *path, evq_env **out)
{
	return evq_env_open(path, EVQ_ENV_OPTS(.durability = r->opt.durability, .keeper = r->opt.keeper,
	                                       .map_size = UINT64_C(1) << 30, .journal_size = 1 << 20,
	                                       .clock = read_clock, .clock_arg = r, .on_event = hear, .event_arg = r),
	                    out);
}

/* One receipt of another store, to be refused by this one. */
static void
foreign_receipt(struct run *r)
{
	char path[600];
	evq_env *env = NULL;
	evq_queue *q = NULL;

	snprintf(path, sizeof(path), "%s/foreign", r->dir);
	expect_rc(r, "open of another store", 0, store_open_at(r, path, &env));
	expect_rc(r, "its queue", 0, evq_queue_open(env, "a", EVQ_QUEUE_ATTRS(0), &q));
	expect_rc(r, "send there", 0, evq_send(q, NULL, "x", 1, NULL, &r->foreign.id));
	expect_rc(r, "receive there", 0, evq_receive(q, NULL, NULL, r->batch));
	r->foreign.r = evq_batch_at(r->batch, 0)->receipt;
	r->foreign.foreign = true;
	evq_queue_close(q);
	evq_env_close(env);
}

void
store_prepare(struct run *r)
{
	snprintf(r->dir, sizeof(r->dir), "%s/evq-model-XXXXXX", parent(r));
	if (mkdtemp(r->dir) == NULL) {
		fprintf(stderr, "model: no directory %s: %s\n", r->dir, strerror(errno));
		exit(1);
	}
	r->bytes = malloc(BYTES_LEN);
	if (r->bytes == NULL)
		abort();
	bytes_fill(r);
	expect_rc(r, "evq_batch_new", 0, evq_batch_new(&r->batch));
	foreign_receipt(r);
}

void
store_open(struct run *r)
{
	char path[600];
	evq_env *second = NULL;

	snprintf(path, sizeof(path), "%s/store", r->dir);
	expect_rc(r, "evq_env_open", 0, store_open_at(r, path, &r->env));
	if (one_in(r, 4))
		expect_rc(r, "evq_env_open of the open store", EBUSY, store_open_at(r, path, &second));
}

/* The first handle stays open over the close, and must know. */
void
store_close(struct run *r)
{
	evq_stats stats = { .size = sizeof(stats) };

	for (size_t i = 1; i < r->handle_count; i++)
		evq_queue_close(r->handles[i].q);
	while (r->ghost_count > 0)
		evq_queue_close(r->ghosts[--r->ghost_count]);
	evq_env_close(r->env);
	if (r->handle_count > 0) {
		expect_rc(r, "stats after evq_env_close", EBADF, evq_queue_stats(r->handles[0].q, &stats));
		expect_rc(r, "send after evq_env_close", EBADF, evq_send(r->handles[0].q, NULL, "x", 1, NULL, NULL));
		expect_rc(r, "receive after evq_env_close", EBADF, evq_receive(r->handles[0].q, NULL, NULL, r->batch));
		evq_queue_close(r->handles[0].q);
	}
	r->handle_count = 0;
	r->env = NULL;
}

void
store_remove(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[1200];

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (unlink(name) != 0)
			store_remove(name);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(path);
}

/* ---- handles ---- */

/* A queue made in the transaction that runs can't be opened before its end. */
bool
store_has(struct run *r, const struct m_queue *q)
{
	return r->committed == NULL || model_queue_uid(r->committed, q->uid) != NULL;
}

evq_queue *
store_queue(struct run *r, const struct m_queue *q)
{
	struct handle *h;

	for (size_t i = 0; i < r->handle_count; i++)
		if (r->handles[i].uid == q->uid)
			return r->handles[i].q;
	if (r->handle_count == HANDLES_MAX)
		differ(r, "the test has too few handles");
	h = &r->handles[r->handle_count];
	h->uid = q->uid;
	h->q = NULL;
	expect_rc(r, "evq_queue_open of an existing queue", 0, evq_queue_open(r->env, q->name, NULL, &h->q));
	r->handle_count++;
	return h->q;
}

static void
add_ghost(struct run *r, evq_queue *q)
{
	size_t place;

	if (r->ghost_count < GHOSTS_MAX) {
		r->ghosts[r->ghost_count++] = q;
		return;
	}
	place = below(r, GHOSTS_MAX);
	evq_queue_close(r->ghosts[place]);
	r->ghosts[place] = q;
}

void
store_bury_handles(struct run *r)
{
	for (size_t i = 0; i < r->handle_count;) {
		if (model_queue_uid(r->m, r->handles[i].uid) != NULL) {
			i++;
			continue;
		}
		add_ghost(r, r->handles[i].q);
		r->handles[i] = r->handles[--r->handle_count];
	}
}
