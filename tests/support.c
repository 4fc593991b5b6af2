/* SPDX-License-Identifier: MIT */
/*
 * The fixture and the verbs of support.h.
 *
 * Whatever a verb makes for a test is remembered here. Queue handles are given back when their store closes
 * (store_reopen, store_open_opts, teardown), batches and directories at teardown. Time and events start anew at
 * setup and teardown, so that the tests may also run in one process (CK_FORK=no, as under valgrind).
 *
 * The clock lies in memory shared with forked children: a test that opens the store in another process moves
 * time for both.
 */
#include "support.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLOCK_START_MS 1700000000000
#define SEEN_MAX 1000

evq_env *env;
char store_dir[256];
struct seen_event seen[SEEN_MAX];
size_t seen_count;

static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int64_t *shared_now;
static evq_env_opts opened_with;

/* ---- what is given back at teardown ------------------------------------------------------------ */

struct kept {
	void **items;
	size_t count, room;
};

static struct kept kept_queues, kept_batches, kept_dirs;

static void
keep(struct kept *list, void *item)
{
	if (list->count == list->room) {
		list->room = list->room ? list->room * 2 : 16;
		list->items = realloc(list->items, list->room * sizeof(list->items[0]));
		ck_assert_ptr_nonnull(list->items);
	}
	list->items[list->count++] = item;
}

static void
give_back(struct kept *list, void (*free_item)(void *))
{
	while (list->count > 0)
		free_item(list->items[--list->count]);
	free(list->items);
	*list = (struct kept){ NULL, 0, 0 };
}

static void
close_queue(void *q)
{
	evq_queue_close(q);
}

static void
free_batch(void *b)
{
	evq_batch_free(b);
}

static void
free_dir(void *dir)
{
	remove_tree(dir);
	free(dir);
}

/* ---- directories ------------------------------------------------------------------------------- */

void
temp_dir(char out[static 256])
{
	const char *parent = getenv("TMPDIR");
	char absolute[PATH_MAX];
	if (!parent || !*parent || !realpath(parent, absolute))
		strcpy(absolute, "/tmp");
	int len = snprintf(out, 256, "%s/evq-test-XXXXXX", absolute);
	ck_assert_msg(len > 0 && len < 256, "TMPDIR is too long");
	ck_assert_msg(mkdtemp(out) != NULL, "mkdtemp %s: %s", out, strerror(errno));
	char *copy = strdup(out);
	ck_assert_ptr_nonnull(copy);
	keep(&kept_dirs, copy);
}

/* ---- time and events --------------------------------------------------------------------------- */

static _Atomic int64_t *
now_word(void)
{
	if (!shared_now) {
		void *page = mmap(NULL, sizeof(*shared_now), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		ck_assert_ptr_ne(page, MAP_FAILED);
		shared_now = page;
		atomic_store(shared_now, (int64_t)CLOCK_START_MS);
	}
	return shared_now;
}

void
clock_set_ms(int64_t at_ms)
{
	atomic_store(now_word(), at_ms);
}

void
clock_advance_ms(int64_t ms)
{
	atomic_fetch_add(now_word(), ms);
}

int64_t
clock_now_ms(void)
{
	return atomic_load(now_word());
}

int64_t
fake_clock(void *arg)
{
	(void)arg;
	return clock_now_ms();
}

static void
copy_text(char *to, size_t room, const char *from)
{
	snprintf(to, room, "%s", from ? from : "");
}

void
record_event(const evq_event *event, void *arg)
{
	(void)arg;
	pthread_mutex_lock(&seen_lock);
	if (seen_count < SEEN_MAX) {
		struct seen_event *s = &seen[seen_count++];
		s->type = event->type;
		s->id = event->id;
		copy_text(s->queue, sizeof(s->queue), event->queue);
		copy_text(s->reason, sizeof(s->reason), event->reason);
	}
	pthread_mutex_unlock(&seen_lock);
}

/* ---- the store --------------------------------------------------------------------------------- */

static void
close_store(void)
{
	give_back(&kept_queues, close_queue);
	evq_env_close(env);
	env = NULL;
}

static void
start_afresh(void)
{
	close_store();
	give_back(&kept_batches, free_batch);
	give_back(&kept_dirs, free_dir);
	memset(seen, 0, sizeof(seen));
	seen_count = 0;
	clock_set_ms(CLOCK_START_MS);
}

void
store_open_opts(const evq_env_opts *opts)
{
	close_store();
	temp_dir(store_dir);
	opened_with = *opts;
	if (!opened_with.journal_size)
		opened_with.journal_size = 1 << 20; /* making a longer one takes most of a test's time */
	ck_ok(evq_env_open(store_dir, &opened_with, &env));
}

void
store_setup(void)
{
	start_afresh();
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock, .on_event = record_event));
}

void
store_setup_full(void)
{
	start_afresh();
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_FULL, .clock = fake_clock, .on_event = record_event));
}

void
store_reopen(void)
{
	close_store();
	ck_ok(evq_env_open(store_dir, &opened_with, &env));
}

void
store_teardown(void)
{
	if (env)
		verify_clean();
	start_afresh();
}

struct findings {
	char text[4096];
	size_t len;
};

static void
note_finding(const evq_finding *f, void *arg)
{
	struct findings *all = arg;
	int len = snprintf(all->text + all->len, sizeof(all->text) - all->len, "\n  %s queue %s id %llu: %s",
	                   evq_errname(f->code), f->queue ? f->queue : "-", (unsigned long long)f->id,
	                   f->what ? f->what : "-");
	if (len > 0 && (size_t)len < sizeof(all->text) - all->len)
		all->len += (size_t)len;
}

void
verify_clean(void)
{
	struct findings all = { .len = 0 };
	int rc = evq_verify(env, note_finding, &all);
	ck_assert_msg(rc == 0 && all.len == 0, "evq_verify: %s%s", evq_errname(rc), all.text);
}

/* ---- verbs ------------------------------------------------------------------------------------- */

evq_queue *
queue_with(const char *name, const evq_queue_attrs *attrs)
{
	evq_queue *q = NULL;
	ck_ok(evq_queue_open(env, name, attrs, &q));
	ck_assert_ptr_nonnull(q);
	keep(&kept_queues, q);
	return q;
}

evq_queue *
queue(const char *name)
{
	return queue_with(name, EVQ_QUEUE_ATTRS());
}

evq_id
send_with(evq_queue *q, const char *body, const evq_send_opts *opts)
{
	evq_id id = 0;
	ck_ok(evq_send(q, NULL, body, strlen(body), opts, &id));
	ck_assert_msg(id != 0, "an id of 0");
	return id;
}

evq_id
send(evq_queue *q, const char *body)
{
	return send_with(q, body, NULL);
}

evq_batch *
batch(void)
{
	evq_batch *b = NULL;
	ck_ok(evq_batch_new(&b));
	keep(&kept_batches, b);
	return b;
}

evq_batch *
take(evq_queue *q, uint32_t count)
{
	evq_batch *b = batch();
	ck_ok(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = count), b));
	ck_assert_msg(evq_batch_count(b) == count, "received %zu, wanted %u", evq_batch_count(b), count);
	return b;
}

evq_receipt
take_one(evq_queue *q, const char *body)
{
	evq_batch *b = NULL;
	ck_ok(evq_batch_new(&b));
	ck_ok(evq_receive(q, NULL, NULL, b));
	ck_assert_uint_eq(evq_batch_count(b), 1);
	const evq_delivery *d = evq_batch_at(b, 0);
	ck_assert_uint_eq(d->body_len, strlen(body));
	ck_assert_str_eq((const char *)d->body, body);
	evq_receipt r = d->receipt;
	evq_batch_free(b);
	return r;
}

void
expect_empty(evq_queue *q)
{
	evq_batch *b = NULL;
	ck_ok(evq_batch_new(&b));
	int rc = evq_receive(q, NULL, NULL, b);
	size_t count = evq_batch_count(b);
	evq_batch_free(b);
	ck_rc(rc, EVQ_EMPTY);
	ck_assert_uint_eq(count, 0);
}

evq_stats
stats(evq_queue *q)
{
	evq_stats s = { .size = sizeof(s) };
	ck_ok(evq_queue_stats(q, &s));
	return s;
}

void
expect_counts(evq_queue *q, uint64_t visible, uint64_t delayed, uint64_t leased)
{
	evq_stats s = stats(q);
	ck_assert_msg(s.visible == visible && s.delayed == delayed && s.leased == leased,
	              "%llu visible, %llu delayed, %llu leased; wanted %llu, %llu, %llu", (unsigned long long)s.visible,
	              (unsigned long long)s.delayed, (unsigned long long)s.leased, (unsigned long long)visible,
	              (unsigned long long)delayed, (unsigned long long)leased);
}

int
open_rc(const char *name, const evq_queue_attrs *create)
{
	evq_queue *untouched = (evq_queue *)(void *)store_dir;
	evq_queue *q = untouched;
	int rc = evq_queue_open(env, name, create, &q);
	if (rc == 0)
		evq_queue_close(q);
	else
		ck_assert_msg(q == untouched, "a failed open wrote its out-parameter");
	return rc;
}
