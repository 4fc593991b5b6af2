/* SPDX-License-Identifier: MIT */
/*
 * Every byte of a body's record, and every part of a long one, damaged in turn: none can change,
 * shrink, grow, move or go away unseen, none can stop the queue or make the library ask for memory
 * that the message never needed, and a purge leaves nothing of it behind.
 */
#include "procs.h"
#include "raw.h"

#include <sys/resource.h>

enum { BIG = 20000 }; /* bytes: a body of several parts, whatever the page size */

static int
receive(evq_queue *q, uint32_t count, evq_batch *b)
{
	return evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = count), b);
}

static void
purge_all(evq_queue *q)
{
	size_t purged;
	ck_ok(evq_purge(q, NULL, &purged));
	ck_assert_uint_eq(stats(q).messages, 0);
}

static void
purge(evq_queue *q)
{
	purge_all(q);
	verify_clean();
}

static size_t
body_row_len(evq_id id)
{
	struct raw raw;
	struct raw_row row;
	raw_begin(&raw, "evq.body");
	raw_body_key(&row, id, 0);
	ck_assert_int_eq(raw_get(&raw, &row), 0);
	raw_end(&raw);
	return row.value_len;
}

static const unsigned char masks[] = { 0x01, 0x80, 0xff };

static void
send_samples(evq_queue *q, size_t count, evq_id *ids)
{
	const evq_attr attr = { "name", "value", 5 };
	for (size_t i = 0; i < count; i++)
		ids[i] = send_with(q, "body", EVQ_SEND_OPTS(.attrs = &attr, .attr_count = 1, .group = "g"));
}

enum { SAMPLES = 512 };

/* Messages alike, each damaged in another byte; how many: as many as the record has bytes. */
static size_t
damage_each_byte(evq_id ids[SAMPLES], unsigned char mask)
{
	send_samples(queue("q"), 1, ids);
	size_t len = body_row_len(ids[0]);
	ck_assert_uint_lt(len, SAMPLES);
	purge_all(queue("q"));
	send_samples(queue("q"), len, ids);
	struct raw raw;
	struct raw_row row;
	raw_begin(&raw, "evq.body");
	for (size_t i = 0; i < len; i++) {
		raw_body_key(&row, ids[i], 0);
		ck_assert_int_eq(raw_get(&raw, &row), 0);
		row.value[i] ^= mask;
		raw_put(&raw, &row);
	}
	raw_end(&raw);
	return len;
}

START_TEST(no_byte_of_a_body_can_change_unseen)
{
	evq_id ids[SAMPLES];
	size_t len = damage_each_byte(ids, masks[_i]);
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	int rc = receive(q, EVQ_BATCH_MAX, b);
	for (size_t i = 0; i < evq_batch_count(b); i++)
		for (size_t at = 0; at < len; at++)
			ck_assert_msg(evq_batch_at(b, i)->id != ids[at], "byte %zu changed unseen", at);
	ck_rc(rc, EVQ_CORRUPT);
	expect_empty(q);
	ck_assert_uint_eq(stats(q).blocked, len);
	purge(q);
}
END_TEST

/* In a process that can have no more than 64 MiB more than it has. */
static int
receive_in_little_room(void *arg)
{
	(void)arg;
	evq_env *store;
	evq_queue *q;
	evq_batch *b;
	struct rlimit limit;
	unsigned long pages = 0;
	EXPECT(evq_env_open(store_dir, EVQ_ENV_OPTS(.map_size = 8 << 20, .clock = fake_clock), &store), 0);
	EXPECT(evq_queue_open(store, "q", NULL, &q), 0);
	EXPECT(evq_batch_new(&b), 0);
	FILE *statm = fopen("/proc/self/statm", "r");
	if (!statm || fscanf(statm, "%lu", &pages) != 1)
		return 77;
	fclose(statm);
	limit.rlim_cur = limit.rlim_max = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (64 << 20);
	if (setrlimit(RLIMIT_AS, &limit))
		return 77;
	EXPECT(evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = EVQ_BATCH_MAX), b), EVQ_CORRUPT);
	EXPECT(evq_receive(q, NULL, NULL, b), EVQ_EMPTY);
	evq_batch_free(b);
	evq_queue_close(q);
	evq_env_close(store);
	return 0;
}

/* Not where the process's memory is a tool's: it is the limit that would be damaged. */
static int
memory_is_our_own(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return 0;
#else
	const char *fork_mode = getenv("CK_FORK");
	return !fork_mode || strcmp(fork_mode, "no") != 0;
#endif
}

START_TEST(damaged_length_asks_for_no_memory)
{
	evq_id ids[SAMPLES];
	if (!memory_is_our_own())
		return;
	store_open_opts(EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .map_size = 8 << 20, .clock = fake_clock));
	damage_each_byte(ids, 0x20);
	evq_env_close(env);
	env = NULL;
	int status = proc_run(receive_in_little_room, NULL);
	ck_assert_msg(status == 0 || status == 77, "the child ended with %d", status);
	store_reopen();
	purge(queue("q"));
}
END_TEST

/* ---- parts -------------------------------------------------------------------------------------- */

enum damage { FLIP, REMOVE, SHORTEN, LENGTHEN, EMPTY, SWAP };

enum { LAST = 9999 }; /* for the last part, whatever its number */

static const struct {
	enum damage damage;
	uint32_t part;
} part_damages[] = {
	{ FLIP, 0 },     { FLIP, 1 },       { FLIP, LAST },   { REMOVE, 0 },    { REMOVE, 1 },
	{ REMOVE, LAST }, { SHORTEN, 0 },   { SHORTEN, 1 },   { SHORTEN, LAST }, { EMPTY, 0 },
	{ EMPTY, 1 },    { EMPTY, LAST },   { LENGTHEN, 0 },  { LENGTHEN, 1 },  { LENGTHEN, LAST },
	{ SWAP, 0 },     { SWAP, 1 },
};

static void
find_part(struct raw *raw, struct raw_row *row, evq_id id, uint32_t part)
{
	uint32_t at = part == LAST ? 1 : part;
	raw_body_key(row, id, at);
	ck_assert_msg(raw_get(raw, row) == 0, "the body has no part %u", at);
	for (struct raw_row next = *row; part == LAST; *row = next) {
		raw_body_key(&next, id, ++at);
		if (raw_get(raw, &next))
			return;
	}
}

static void
swap_with_next(struct raw *raw, const struct raw_row *row, evq_id id, uint32_t part)
{
	struct raw_row next;
	raw_body_key(&next, id, part + 1);
	ck_assert_int_eq(raw_get(raw, &next), 0);
	struct raw_row first = next, second = *row;
	memcpy(first.key, row->key, row->key_len);
	memcpy(second.key, next.key, next.key_len);
	raw_put(raw, &first);
	raw_put(raw, &second);
}

static void
damage_part(evq_id id, enum damage damage, uint32_t part)
{
	struct raw raw;
	struct raw_row row;
	raw_begin(&raw, "evq.body");
	find_part(&raw, &row, id, part);
	switch (damage) {
	case FLIP: row.value[row.value_len / 2] ^= 0x10; break;
	case SHORTEN: row.value_len--; break;
	case LENGTHEN: row.value[row.value_len++] = 'x'; break;
	case EMPTY: row.value_len = 0; break;
	case REMOVE: raw_del(&raw, &row); break;
	case SWAP: swap_with_next(&raw, &row, id, part); break;
	}
	if (damage != REMOVE && damage != SWAP)
		raw_put(&raw, &row);
	raw_end(&raw);
}

START_TEST(damage_to_any_part_of_a_big_body_is_seen)
{
	char body[BIG];
	for (size_t i = 0; i < sizeof body; i++)
		body[i] = (char)(i * 7 + i / 251);
	evq_id id;
	ck_ok(evq_send(queue("q"), NULL, body, sizeof body, NULL, &id));
	send(queue("q"), "good");
	damage_part(id, part_damages[_i].damage, part_damages[_i].part);
	evq_queue *q = queue("q");
	evq_batch *b = batch();
	ck_rc(evq_verify(env, NULL, NULL), EVQ_CORRUPT);
	ck_ok(receive(q, 10, b));
	ck_assert_uint_eq(evq_batch_count(b), 1);
	ck_assert_str_eq(evq_batch_at(b, 0)->body, "good");
	ck_assert_uint_eq(stats(q).blocked, 1);
	ck_ok(evq_peek(q, EVQ_PEEK_OPTS(.states = EVQ_BLOCKED), b));
	ck_assert_ptr_null(evq_batch_at(b, 0)->body);
	purge(q);
}
END_TEST

Suite *
bytes_suite(void)
{
	Suite *suite = suite_create("bytes");
	TCase *tc = tcase_create("bytes");
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_loop_test(tc, no_byte_of_a_body_can_change_unseen, 0, COUNT(masks));
	tcase_add_test(tc, damaged_length_asks_for_no_memory);
	tcase_add_loop_test(tc, damage_to_any_part_of_a_big_body_is_seen, 0, COUNT(part_damages));
	suite_add_tcase(suite, tc);
	return suite;
}
