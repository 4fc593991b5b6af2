/* SPDX-License-Identifier: MIT */
/*
 * Life in a damaged store: whatever is wrong in its tables, every call comes back with an answer,
 * nothing crashes, hangs or reads beyond a row, and the queues that are sound go on working. Made to
 * be run under valgrind and the sanitizers.
 */
#include "damages.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* In memory, where there is such a place: thousands of commits, none of which need last. */
static char *usual_tmpdir;

static void
setup(void)
{
	const char *tmpdir = getenv("TMPDIR");
	usual_tmpdir = tmpdir ? strdup(tmpdir) : NULL;
	if (!access("/dev/shm", W_OK))
		setenv("TMPDIR", "/dev/shm", 1);
	damages_setup();
}

static void
teardown(void)
{
	store_teardown();
	if (usual_tmpdir)
		setenv("TMPDIR", usual_tmpdir, 1);
	else
		unsetenv("TMPDIR");
	free(usual_tmpdir);
}

static const char *const names[] = { "work", "dead", "x", "y", "to-gone", "ghost" };

static void
settle_all(evq_queue *q, evq_batch *b)
{
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		evq_receipt receipt = evq_batch_at(b, i)->receipt;
		switch (i % 4) {
		case 0: (void)evq_release(q, NULL, &receipt, 0, 0); break;
		case 1: (void)evq_bury(q, NULL, &receipt, "r"); break;
		case 2: (void)evq_extend(q, NULL, &receipt, 1, &receipt); break;
		case 3: (void)evq_delete(q, NULL, &receipt); break;
		}
	}
}

/* What was said to be there can be read to its last byte. */
static void
read_all(const evq_batch *b)
{
	volatile unsigned char sum = 0;
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		const evq_delivery *d = evq_batch_at(b, i);
		for (size_t at = 0; d->body && at <= d->body_len; at++)
			sum = (unsigned char)(sum + ((const unsigned char *)d->body)[at]);
		for (size_t at = 0; at < d->attr_count; at++)
			ck_assert_ptr_nonnull(d->attrs[at].name);
		for (size_t at = 0; at < d->death_count; at++)
			ck_assert_uint_le(strlen(d->deaths[at].from), EVQ_NAME_MAX);
	}
}

static void
call_queue(evq_queue *q, evq_batch *b)
{
	evq_queue_attrs attrs = { .size = sizeof attrs };
	evq_stats figures = { .size = sizeof figures };
	size_t done;
	(void)evq_queue_get_attrs(q, &attrs);
	(void)evq_queue_stats(q, &figures);
	(void)evq_peek(q, EVQ_PEEK_OPTS(.count = EVQ_BATCH_MAX), b);
	read_all(b);
	(void)evq_send(q, NULL, "new", 3, NULL, NULL);
	(void)evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 100), b);
	read_all(b);
	settle_all(q, b);
	(void)evq_redrive(q, NULL, NULL, &done);
	clock_advance_ms(30000);
	(void)evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = 100), b);
	read_all(b);
}

static int
name_only(const char *name, void *arg)
{
	(void)arg;
	ck_assert_uint_le(strlen(name), EVQ_NAME_MAX);
	return 0;
}

static void
call_everything(evq_batch *b)
{
	size_t purged;
	(void)evq_verify(env, NULL, NULL);
	(void)evq_queue_list(env, name_only, NULL);
	for (int i = 0; i < COUNT(names); i++) {
		evq_queue *q = NULL;
		if (evq_queue_open(env, names[i], NULL, &q))
			continue;
		call_queue(q, b);
		if (i % 2)
			(void)evq_purge(q, NULL, &purged);
		else
			(void)evq_queue_drop(env, NULL, names[i]);
		evq_queue_close(q);
	}
	(void)evq_verify(env, NULL, NULL);
	(void)evq_sync(env);
}

START_TEST(every_call_answers_in_a_damaged_store)
{
	if (damage_store(&damages[_i]) == 0)
		call_everything(batch());
	raw_abandon();
}
END_TEST

/*
 * Not the two that are in everybody's way: bodies are only ever appended, so one of a message to come
 * stands before every send; and behind a key that is none an index cannot be read on.
 */
static int
is_of_messages(const struct damage *d)
{
	return (!strcmp(d->table, "evq.due") || !strcmp(d->table, "evq.body")) && d->run != body_to_come &&
	       d->run != entry_of_a_short_key;
}

START_TEST(sound_queues_go_on_beside_a_damaged_one)
{
	if (damage_store(&damages[_i]) == 0 && is_of_messages(&damages[_i])) {
		evq_queue *q = queue("new");
		send(q, "a");
		evq_receipt receipt = take_one(q, "a");
		ck_ok(evq_delete(q, NULL, &receipt));
		take_one(queue("y"), "y");
		expect_empty(queue("y"));
	}
	raw_abandon();
}
END_TEST

static int
has(const evq_batch *b, evq_id id)
{
	for (size_t i = 0; i < evq_batch_count(b); i++)
		if (evq_batch_at(b, i)->id == id)
			return 1;
	return 0;
}

START_TEST(sound_messages_come_out_past_a_damaged_one)
{
	const struct damage *d = &damages[_i];
	evq_id sound = d->told == &w.big ? w.small : w.big;
	evq_batch *b = batch();
	if (damage_store(d) == 0 && is_of_messages(d)) {
		ck_ok(evq_receive(queue("work"), NULL, EVQ_RECEIVE_OPTS(.count = 100), b));
		ck_assert_msg(has(b, sound), "%s: the other message did not come", d->what);
		send(queue("work"), "new");
		take_one(queue("work"), "new");
	}
	raw_abandon();
}
END_TEST

/* ---- any byte ----------------------------------------------------------------------------------- */

struct image {
	char path[512];
	unsigned char *bytes;
	size_t len;
};

static void
image_read(struct image *image)
{
	struct stat st;
	snprintf(image->path, sizeof image->path, "%s/data.mdb", store_dir);
	int fd = open(image->path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	image->len = (size_t)st.st_size;
	image->bytes = malloc(image->len);
	ck_assert_ptr_nonnull(image->bytes);
	ck_assert_int_eq(read(fd, image->bytes, image->len), (ssize_t)image->len);
	close(fd);
}

static void
image_restore(const struct image *image)
{
	int fd = open(image->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, image->bytes, image->len), (ssize_t)image->len);
	close(fd);
}

static const char *const tables[] = { "evq.queue", "evq.name", "evq.due", "evq.body" };

/* Flips byte at of the nth row; 0 when there is no such row, -1 when it is shorter. */
static int
flip(const char *table, size_t nth, size_t at, unsigned char mask)
{
	struct raw raw;
	struct raw_row row;
	raw_open(&raw, table);
	int found = raw_nth(&raw, nth, &row) == 0;
	if (found && at < row.value_len) {
		row.value[at] ^= mask;
		raw_put(&raw, &row);
	} else if (found) {
		found = -1;
	}
	raw_close(&raw);
	return found;
}

enum { HEADS = 200, STEP = 3, BIG_STEP = 13 }; /* bytes looked at in each row, of every so many */

START_TEST(any_byte_of_any_row_may_change)
{
	static const unsigned char masks[] = { 0x01, 0x80, 0xff };
	struct image image;
	evq_batch *b = batch();
	evq_env_close(env);
	env = NULL;
	image_read(&image);
	size_t tried = 0, step = getenv("EVQ_TEST_SMALL") ? BIG_STEP : STEP;
	for (size_t nth = 0;; nth++) {
		int found = 1;
		for (size_t at = nth % step; at < HEADS && found == 1; at += step, tried++) {
			found = flip(tables[_i], nth, at, masks[tried % 3]);
			if (found == 1 && raw_reopen() == 0)
				call_everything(b);
			evq_env_close(env);
			env = NULL;
			image_restore(&image);
		}
		if (found == 0)
			break;
	}
	ck_assert_uint_gt(tried, 5);
	free(image.bytes);
	raw_abandon();
}
END_TEST

Suite *
damaged_suite(void)
{
	Suite *suite = suite_create("damaged");
	TCase *tc = tcase_create("damaged");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, every_call_answers_in_a_damaged_store, 0, COUNT(damages));
	tcase_add_loop_test(tc, sound_queues_go_on_beside_a_damaged_one, 0, COUNT(damages));
	tcase_add_loop_test(tc, sound_messages_come_out_past_a_damaged_one, 0, COUNT(damages));
	tcase_add_loop_test(tc, any_byte_of_any_row_may_change, 0, COUNT(tables));
	suite_add_tcase(suite, tc);
	return suite;
}
