/* SPDX-License-Identifier: MIT */
/*
 * The journal as a file of the store: how large it is, and what becomes of a store whose journal is missing, another
 * store's, or damaged in its head. What stands in it is in t_replay.c.
 *
 * A journal may be lost with all that is in it and no other store is touched by that; but one that is there and
 * cannot be read may hold what was acknowledged, so it is refused, and nothing is changed.
 */
#include "killed.h"

static int
add_five(evq_env *env_, evq_queue *to)
{
	(void)env_;
	return send_run(to, 5, 5);
}

static int
add_five_more(evq_env *env_, evq_queue *to)
{
	(void)env_;
	return send_run(to, 10, 5);
}

/* ---- its size --------------------------------------------------------------------------------------- */

static int
open_sized(uint64_t size, evq_env **out)
{
	return evq_env_open(path, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .journal_size = size), out);
}

static uint64_t
journal_len(void)
{
	return (uint64_t)stat_of(path, "evq.journal").st_size;
}

static const struct {
	uint64_t asked, len;
} sizes[] = {
	{ 0, 64 * MIB }, { MIB, MIB }, { MIB + 1, MIB + 4096 }, { 5 * MIB, 5 * MIB },
};

START_TEST(journal_has_the_size_asked_for_and_all_its_blocks)
{
	ck_ok(open_sized(sizes[_i].asked, &e));
	ck_assert_uint_eq(journal_len(), sizes[_i].len);
	struct stat st = stat_of(path, "evq.journal");
	ck_assert_int_ge((int64_t)st.st_blocks * 512, st.st_size);
	evq_env_close(e);
	ck_assert_uint_eq(journal_len(), sizes[_i].len);
}
END_TEST

static const struct {
	uint64_t first, second, len;
} changes[] = {
	{ 2 * MIB, 3 * MIB, 3 * MIB }, { 2 * MIB, MIB, MIB }, { 2 * MIB, 2 * MIB, 2 * MIB }, { 2 * MIB, 0, 2 * MIB },
};

START_TEST(another_size_is_given_by_whoever_opens_alone)
{
	ck_ok(open_sized(changes[_i].first, &e));
	ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q));
	ck_assert_int_eq(send_run(q, 0, 100), 0);
	shut();
	ck_ok(open_sized(changes[_i].second, &e));
	ck_assert_uint_eq(journal_len(), changes[_i].len);
	ck_ok(evq_queue_open(e, "q", NULL, &q));
	ck_assert_uint_eq(count_run(0), 100);
	shut();
}
END_TEST

static int
open_larger(void *arg)
{
	evq_env *own = NULL;
	evq_queue *to = NULL;
	(void)arg;
	EXPECT(open_sized(3 * MIB, &own), 0);
	EXPECT((int)(journal_len() / MIB), 2);
	EXPECT(evq_queue_open(own, "q", NULL, &to), 0);
	EXPECT(send_run(to, 1, 1), 0);
	evq_queue_close(to);
	evq_env_close(own);
	return 0;
}

START_TEST(another_size_is_not_given_beside_others)
{
	ck_ok(open_sized(2 * MIB, &e));
	ck_ok(evq_queue_open(e, "q", EVQ_QUEUE_ATTRS(), &q));
	ck_assert_int_eq(send_run(q, 0, 1), 0);
	ck_assert_int_eq(proc_run(open_larger, NULL), 0);
	ck_assert_int_eq(send_run(q, 2, 1), 0);
	ck_assert_uint_eq(journal_len(), 2 * MIB);
	ck_assert_uint_eq(count_run(0), 3);
	shut();
}
END_TEST

/* A new journal takes the old one's place only when what that has is in the tree. */
START_TEST(another_size_loses_nothing_of_a_process_that_was_killed)
{
	make_with_run(0, 5);
	leave_behind(add_five);
	ck_ok(open_sized(2 * MIB, &e));
	ck_assert_uint_eq(journal_len(), 2 * MIB);
	ck_ok(evq_queue_open(e, "q", NULL, &q));
	ck_assert_uint_eq(count_run(0), 10);
	shut();
}
END_TEST

/* ---- no journal, or another's ------------------------------------------------------------------------- */

static void
remove_journal(void)
{
	char name[PATH_MAX + 32];
	name_file(name, path, "evq.journal");
	ck_assert_int_eq(unlink(name), 0);
}

START_TEST(store_without_its_journal_has_all_that_was_closed_cleanly)
{
	make_with_run(0, 5);
	remove_journal();
	expect_run(0, 5);
	ck_assert_uint_eq(journal_len(), MIB);
	leave_behind(add_five);
	expect_run(0, 10);
}
END_TEST

START_TEST(store_without_its_journal_after_a_kill_has_what_the_tree_had)
{
	make_with_run(0, 5);
	leave_behind(add_five);
	remove_journal();
	expect_run(0, 5);
	leave_behind(add_five);
	expect_run(0, 10);
}
END_TEST

/* Two stores with the same history: their journals differ in nothing but whose they are. */
static void
make_two(struct image *one, struct image *two)
{
	make_with_run(0, 5);
	leave_behind(add_five);
	*one = image_take();
	remove_tree(path);
	make_with_run(0, 5);
	leave_behind(add_five);
	*two = image_take();
}

START_TEST(journal_of_another_store_is_never_replayed)
{
	struct image one, two;
	make_two(&one, &two);
	file_write(path, "evq.journal", &one.journal);
	expect_run(0, 5);
	leave_behind(add_five);
	expect_run(0, 10);
	image_free(&one);
	image_free(&two);
}
END_TEST

/* Records of another store, behind a head of our own: as a disk may leave them that lost the file's blocks. */
START_TEST(records_of_another_store_are_never_replayed)
{
	struct image one, two;
	make_two(&one, &two);
	memcpy(one.journal.at, two.journal.at, EVQ__JOURNAL_HEAD);
	file_write(path, "evq.journal", &one.journal);
	expect_run(0, 5);
	image_free(&one);
	image_free(&two);
}
END_TEST

static void
put_backup_in_place(const char *copy)
{
	struct bytes data = file_read(copy, "data.mdb");
	file_write(path, "data.mdb", &data);
	free(data.at);
}

/* Its id is another: what the journal has is not of its history. */
START_TEST(backup_in_place_of_the_tree_is_not_changed_by_the_old_journal)
{
	char copy[PATH_MAX + 32];
	name_file(copy, dir, "copy");
	reopen();
	ck_assert_int_eq(send_run(q, 0, 5), 0);
	ck_ok(evq_env_copy(e, copy, _i ? EVQ_COPY_COMPACT : 0));
	shut();
	leave_behind(add_five);
	struct evq__storerec old = tree_record();
	put_backup_in_place(copy);
	struct evq__storerec new = tree_record();
	ck_assert_mem_ne(old.id, new.id, sizeof old.id);
	ck_assert_uint_eq(old.sequence, new.sequence);
	expect_run(0, 5);
	leave_behind(add_five);
	expect_run(0, 10);
	leave_behind(add_five_more);
	expect_run(0, 15);
}
END_TEST

/* ---- a damaged head ---------------------------------------------------------------------------------- */

static void
expect_refused(const struct image *was, const char *what, size_t at)
{
	evq_env *refused = NULL;
	int rc = open_rc_of(path, &refused);
	ck_assert_msg(rc == EVQ_FORMAT, "%s %zu: %s", what, at, evq_errname(rc));
	ck_assert_ptr_null(refused);
	ck_assert_msg(file_is(path, "data.mdb", &was->data), "%s %zu: data.mdb was changed", what, at);
	ck_assert_msg(file_is(path, "evq.journal", &was->journal), "%s %zu: the journal was changed", what, at);
}

START_TEST(journal_with_a_damaged_head_is_refused_and_nothing_changed)
{
	make_with_run(0, 5);
	leave_behind(add_five);
	struct image i = image_take();
	for (size_t at = 0; at < EVQ__JOURNAL_HEAD_USED; at++) {
		i.journal.at[at] ^= 0x10;
		file_write(path, "evq.journal", &i.journal);
		expect_refused(&i, "byte", at);
		i.journal.at[at] ^= 0x10;
	}
	file_write(path, "evq.journal", &i.journal);
	expect_run(0, 10);
	image_free(&i);
}
END_TEST

START_TEST(journal_of_another_length_than_its_head_tells_is_refused_and_nothing_changed)
{
	make_with_run(0, 5);
	leave_behind(add_five);
	struct image i = image_take();
	static const size_t lens[] = { 0, 1, EVQ__JOURNAL_HEAD_USED - 1, EVQ__JOURNAL_HEAD_USED, 4096, MIB / 2, MIB - 1 };
	for (int n = 0; n < COUNT(lens); n++) {
		i.journal.len = lens[n];
		file_write(path, "evq.journal", &i.journal);
		expect_refused(&i, "length", lens[n]);
	}
	i.journal.len = MIB;
	file_write(path, "evq.journal", &i.journal);
	expect_run(0, 10);
	image_free(&i);
}
END_TEST

START_TEST(what_is_no_file_in_the_place_of_the_journal_is_refused)
{
	char name[PATH_MAX + 32];
	name_file(name, path, "evq.journal");
	make_with_run(0, 5);
	remove_journal();
	ck_assert_int_eq(_i ? mkfifo(name, 0600) : mkdir(name, 0700), 0);
	ck_rc(open_rc_of(path, &e) != 0, 1);
	ck_assert_int_eq(_i ? unlink(name) : rmdir(name), 0);
	expect_run(0, 5);
}
END_TEST

Suite *
journal_suite(void)
{
	Suite *s = suite_create("journal");
	TCase *t = tcase_create("journal");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, store_teardown);
	tcase_add_loop_test(t, journal_has_the_size_asked_for_and_all_its_blocks, 0, COUNT(sizes));
	tcase_add_loop_test(t, another_size_is_given_by_whoever_opens_alone, 0, COUNT(changes));
	tcase_add_test(t, another_size_is_not_given_beside_others);
	tcase_add_test(t, another_size_loses_nothing_of_a_process_that_was_killed);
	tcase_add_test(t, store_without_its_journal_has_all_that_was_closed_cleanly);
	tcase_add_test(t, store_without_its_journal_after_a_kill_has_what_the_tree_had);
	tcase_add_test(t, journal_of_another_store_is_never_replayed);
	tcase_add_test(t, records_of_another_store_are_never_replayed);
	tcase_add_loop_test(t, backup_in_place_of_the_tree_is_not_changed_by_the_old_journal, 0, 2);
	tcase_add_test(t, journal_with_a_damaged_head_is_refused_and_nothing_changed);
	tcase_add_test(t, journal_of_another_length_than_its_head_tells_is_refused_and_nothing_changed);
	tcase_add_loop_test(t, what_is_no_file_in_the_place_of_the_journal_is_refused, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
