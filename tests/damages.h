/* SPDX-License-Identifier: MIT */
/*
 * A store with something in every state, and the ways to damage it: each table, each way that breaks
 * an invariant, one at a time, through plain LMDB. Rows are removed, doubled, moved, cut short, or put
 * back as they were earlier, which makes counters and policies untrue without this file knowing how
 * they are written.
 */
#ifndef EVQ_TESTS_DAMAGES_H
#define EVQ_TESTS_DAMAGES_H

#include "raw.h"

enum { BIG = 20000, OLD_ROWS = 16 };

static struct world {
	evq_id small, big, leased, dead, deleted, x, y, gone;
	struct raw_row old[OLD_ROWS]; /* evq.queue as it was earlier */
	size_t old_count;
} w;

static inline void
save_queue_rows(void)
{
	struct raw raw;
	raw_begin(&raw, "evq.queue");
	for (w.old_count = 0; !raw_nth(&raw, w.old_count, &w.old[w.old_count]); w.old_count++)
		ck_assert_uint_lt(w.old_count, OLD_ROWS - 1);
	raw_end(&raw);
}

/* Before the rows are saved: x's dead letter is y, gone-to's is gone. */
static inline void
build_first(void)
{
	queue_with("x", EVQ_QUEUE_ATTRS(.dead_letter = "y"));
	queue_with("to-gone", EVQ_QUEUE_ATTRS(.dead_letter = "gone"));
	queue_with("work", EVQ_QUEUE_ATTRS(.dead_letter = "dead"));
	w.x = send(queue("x"), "x");
	w.y = send(queue("y"), "y");
	w.gone = send(queue("to-gone"), "g");
	w.small = send(queue("work"), "small");
	w.deleted = send_with(queue("work"), "deleted", EVQ_SEND_OPTS(.priority = 1));
}

static inline void
build_rest(void)
{
	evq_queue *work = queue("work");
	static char body[BIG];
	memset(body, 'b', sizeof body);
	ck_ok(evq_queue_set_attrs(queue("x"), NULL, EVQ_QUEUE_ATTRS()));
	ck_ok(evq_queue_set_attrs(queue("y"), NULL, EVQ_QUEUE_ATTRS(.dead_letter = "x")));
	ck_ok(evq_queue_set_attrs(queue("to-gone"), NULL, EVQ_QUEUE_ATTRS()));
	ck_ok(evq_queue_drop(env, NULL, "gone"));
	evq_receipt receipt = take_one(work, "deleted");
	ck_ok(evq_delete(work, NULL, &receipt));
	w.dead = send_with(work, "dead", EVQ_SEND_OPTS(.priority = 1));
	receipt = take_one(work, "dead");
	ck_ok(evq_bury(work, NULL, &receipt, "bad"));
	w.leased = send_with(work, "leased", EVQ_SEND_OPTS(.priority = 1));
	take_one(work, "leased");
	ck_ok(evq_send(work, NULL, body, sizeof body, NULL, &w.big));
}

static inline uint32_t
queue_number_of(struct raw *raw, evq_id id)
{
	struct raw_row row;
	raw_find_due(raw, id, &row);
	return (uint32_t)raw_get_be(row.key, 4);
}

static inline uint32_t
queue_number(evq_id id)
{
	struct raw raw;
	raw_open(&raw, "evq.due");
	uint32_t number = queue_number_of(&raw, id);
	raw_close(&raw);
	return number;
}

static inline void
put_back(struct raw *raw, uint32_t number)
{
	for (size_t i = 0; i < w.old_count; i++)
		if (w.old[i].key_len == 4 && raw_get_be(w.old[i].key, 4) == number) {
			raw_put(raw, &w.old[i]);
			return;
		}
	ck_abort_msg("queue %u was not there", number);
}

static uint32_t number_wanted; /* found before the table is opened: one LMDB handle at a time */

static inline void
old_counters(struct raw *raw)
{
	put_back(raw, number_wanted);
}

static inline void
old_store_record(struct raw *raw)
{
	put_back(raw, 0);
}

static inline void
no_queue_row(struct raw *raw)
{
	struct raw_row row;
	raw_queue_key(&row, number_wanted);
	raw_del(raw, &row);
}

static inline void
short_queue_row(struct raw *raw)
{
	struct raw_row row;
	raw_queue_key(&row, number_wanted);
	ck_assert_int_eq(raw_get(raw, &row), 0);
	row.value_len--;
	raw_put(raw, &row);
}

static inline void
queue_under_another_number(struct raw *raw)
{
	struct raw_row row;
	raw_queue_key(&row, number_wanted);
	ck_assert_int_eq(raw_get(raw, &row), 0);
	raw_del(raw, &row);
	raw_queue_key(&row, 9999);
	raw_put(raw, &row);
}

static inline void
no_name(struct raw *raw)
{
	struct raw_row row;
	raw_name_key(&row, "work");
	raw_del(raw, &row);
}

static inline void
names_swapped(struct raw *raw)
{
	struct raw_row work, dead;
	raw_name_key(&work, "work");
	raw_name_key(&dead, "dead");
	ck_assert_int_eq(raw_get(raw, &work), 0);
	ck_assert_int_eq(raw_get(raw, &dead), 0);
	raw_name_key(&work, "dead");
	raw_name_key(&dead, "work");
	raw_put(raw, &work);
	raw_put(raw, &dead);
}

static inline void
two_names(struct raw *raw)
{
	struct raw_row row;
	raw_name_key(&row, "work");
	ck_assert_int_eq(raw_get(raw, &row), 0);
	raw_name_key(&row, "ghost");
	raw_put(raw, &row);
}

static inline void
short_name_row(struct raw *raw)
{
	struct raw_row row;
	raw_name_key(&row, "work");
	ck_assert_int_eq(raw_get(raw, &row), 0);
	row.value_len--;
	raw_put(raw, &row);
}

static inline void
no_entry(struct raw *raw)
{
	struct raw_row row;
	raw_find_due(raw, w.small, &row);
	raw_del(raw, &row);
}

static inline void
entry_twice(struct raw *raw)
{
	struct raw_row row;
	raw_find_due(raw, w.small, &row);
	raw_put_be(row.key + 5, raw_get_be(row.key + 5, 8) + 1, 8);
	raw_put(raw, &row);
}

static inline void
entry_in_two_queues(struct raw *raw)
{
	struct raw_row row;
	uint32_t dead = queue_number_of(raw, w.dead);
	raw_find_due(raw, w.small, &row);
	raw_put_be(row.key, dead, 4);
	raw_put(raw, &row);
}

static inline void
entry_in_the_wrong_queue(struct raw *raw)
{
	struct raw_row row;
	uint32_t dead = queue_number_of(raw, w.dead);
	raw_find_due(raw, w.small, &row);
	raw_del(raw, &row);
	raw_put_be(row.key, dead, 4);
	raw_put(raw, &row);
}

static inline void
entry_of_no_queue(struct raw *raw)
{
	struct raw_row row;
	raw_find_due(raw, w.small, &row);
	raw_del(raw, &row);
	raw_put_be(row.key, 9999, 4);
	raw_put(raw, &row);
}

static inline void
entry_of_no_queue_besides(struct raw *raw)
{
	struct raw_row row;
	raw_find_due(raw, w.small, &row);
	raw_put_be(row.key, 9999, 4);
	raw_put(raw, &row);
}

static inline void
entry_of_no_body(struct raw *raw)
{
	struct raw_row row;
	raw_find_due(raw, w.small, &row);
	raw_put_be(row.key + 13, w.deleted, 8);
	raw_put(raw, &row);
}

static inline void
short_entry(struct raw *raw)
{
	struct raw_row row;
	raw_find_due(raw, w.dead, &row);
	row.value_len--;
	raw_put(raw, &row);
}

static inline void
long_entry(struct raw *raw)
{
	struct raw_row row;
	raw_find_due(raw, w.small, &row);
	row.value[row.value_len++] = 0;
	raw_put(raw, &row);
}

static inline void
empty_entry(struct raw *raw)
{
	struct raw_row row;
	raw_find_due(raw, w.leased, &row);
	row.value_len = 0;
	raw_put(raw, &row);
}

static inline void
entry_of_a_short_key(struct raw *raw)
{
	struct raw_row row;
	raw_find_due(raw, w.small, &row);
	row.key_len--;
	raw_put(raw, &row);
}

static inline void
entry_of_another_message(struct raw *raw)
{
	struct raw_row small, big;
	raw_find_due(raw, w.small, &small);
	raw_find_due(raw, w.big, &big);
	memcpy(small.value, big.value, big.value_len);
	small.value_len = big.value_len;
	raw_put(raw, &small);
}

static inline void
body_row(struct raw *raw, struct raw_row *row, evq_id id, uint32_t part)
{
	raw_body_key(row, id, part);
	ck_assert_int_eq(raw_get(raw, row), 0);
}

static inline void
no_body(struct raw *raw)
{
	struct raw_row row;
	body_row(raw, &row, w.small, 0);
	raw_del(raw, &row);
}

static inline void
no_part(struct raw *raw)
{
	struct raw_row row;
	body_row(raw, &row, w.big, 2);
	raw_del(raw, &row);
}

static inline void
no_first_part(struct raw *raw)
{
	struct raw_row row;
	body_row(raw, &row, w.big, 0);
	raw_del(raw, &row);
}

static inline void
body_left_over(struct raw *raw)
{
	struct raw_row row;
	body_row(raw, &row, w.small, 0);
	raw_body_key(&row, w.deleted, 0);
	raw_put(raw, &row);
}

static inline void
body_to_come(struct raw *raw)
{
	struct raw_row row;
	body_row(raw, &row, w.small, 0);
	raw_body_key(&row, w.big + 1000, 0);
	raw_put(raw, &row);
}

static inline void
part_left_over(struct raw *raw)
{
	struct raw_row row;
	body_row(raw, &row, w.small, 0);
	raw_body_key(&row, w.small, 1);
	raw_put(raw, &row);
}

static inline void
part_behind_a_gap(struct raw *raw)
{
	struct raw_row row;
	body_row(raw, &row, w.big, 1);
	raw_body_key(&row, w.big, 77);
	raw_put(raw, &row);
}

static inline void
body_of_a_short_key(struct raw *raw)
{
	struct raw_row row;
	body_row(raw, &row, w.small, 0);
	row.key_len--;
	raw_put(raw, &row);
}

static inline void
changed_body(struct raw *raw)
{
	raw_flip_body(raw, w.small, 0);
}

static inline void
body_of_another(struct raw *raw)
{
	struct raw_row row;
	body_row(raw, &row, w.leased, 0);
	raw_body_key(&row, w.small, 0);
	raw_put(raw, &row);
}

/* ---- all of them -------------------------------------------------------------------------------- */

static const struct damage {
	const char *what, *table;
	void (*run)(struct raw *raw);
	const evq_id *of;  /* a message in the queue whose number is wanted */
	const evq_id *told; /* the message that some finding must name */
	int may_refuse;    /* to open it at all */
} damages[] = {
	{ "old counters", "evq.queue", old_counters, &w.small, NULL, 0 },
	{ "a cycle", "evq.queue", old_counters, &w.x, NULL, 0 },
	{ "a dead letter that is gone", "evq.queue", old_counters, &w.gone, NULL, 0 },
	{ "an old store record", "evq.queue", old_store_record, NULL, NULL, 1 },
	{ "no queue row", "evq.queue", no_queue_row, &w.small, NULL, 0 },
	{ "a short queue row", "evq.queue", short_queue_row, &w.small, NULL, 0 },
	{ "another number", "evq.queue", queue_under_another_number, &w.small, NULL, 0 },
	{ "no name", "evq.name", no_name, NULL, NULL, 0 },
	{ "names swapped", "evq.name", names_swapped, NULL, NULL, 0 },
	{ "two names", "evq.name", two_names, NULL, NULL, 0 },
	{ "a short name row", "evq.name", short_name_row, NULL, NULL, 0 },
	{ "no entry", "evq.due", no_entry, NULL, &w.small, 0 },
	{ "an entry twice", "evq.due", entry_twice, NULL, &w.small, 0 },
	{ "an entry in two queues", "evq.due", entry_in_two_queues, NULL, &w.small, 0 },
	{ "an entry in the wrong queue", "evq.due", entry_in_the_wrong_queue, NULL, NULL, 0 },
	{ "an entry of no queue", "evq.due", entry_of_no_queue, NULL, &w.small, 0 },
	{ "an entry of no queue besides", "evq.due", entry_of_no_queue_besides, NULL, NULL, 0 },
	{ "an entry of no body", "evq.due", entry_of_no_body, NULL, &w.deleted, 0 },
	{ "a short entry", "evq.due", short_entry, NULL, &w.dead, 0 },
	{ "a long entry", "evq.due", long_entry, NULL, &w.small, 0 },
	{ "an empty entry", "evq.due", empty_entry, NULL, &w.leased, 0 },
	{ "a short key of an entry", "evq.due", entry_of_a_short_key, NULL, NULL, 0 },
	{ "the entry of another", "evq.due", entry_of_another_message, NULL, &w.small, 0 },
	{ "no body", "evq.body", no_body, NULL, &w.small, 0 },
	{ "a part missing", "evq.body", no_part, NULL, &w.big, 0 },
	{ "the first part missing", "evq.body", no_first_part, NULL, &w.big, 0 },
	{ "a body left over", "evq.body", body_left_over, NULL, &w.deleted, 0 },
	{ "a body to come", "evq.body", body_to_come, NULL, NULL, 0 },
	{ "a part left over", "evq.body", part_left_over, NULL, &w.small, 0 },
	{ "a part behind a gap", "evq.body", part_behind_a_gap, NULL, &w.big, 0 },
	{ "a short key of a body", "evq.body", body_of_a_short_key, NULL, NULL, 0 },
	{ "a changed body", "evq.body", changed_body, NULL, &w.small, 0 },
	{ "the body of another", "evq.body", body_of_another, NULL, &w.small, 0 },
};

static inline int
damage_store(const struct damage *d)
{
	struct raw raw;
	evq_env_close(env);
	env = NULL;
	if (d->of)
		number_wanted = queue_number(*d->of);
	raw_open(&raw, d->table);
	d->run(&raw);
	raw_close(&raw);
	return raw_reopen();
}

static inline void
damages_setup(void)
{
	store_setup();
	build_first();
	save_queue_rows();
	build_rest();
	verify_clean();
}

#endif
