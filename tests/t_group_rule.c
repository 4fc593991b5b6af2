/* SPDX-License-Identifier: MIT */
/*
 * The rule of groups, against a list: any mixture of calls, and after each receive, exactly those that the rule allows
 * in exactly its order; the states of all others too. And two processes that consume at once, each message once, those
 * of a group in their order, with none in flight while another of its group is.
 */
#include "groups.h"
#include "procs.h"

#include <stdatomic.h>

/* ---- the list ------------------------------------------------------------------------------------------ */

enum { GROUPS = 5, ALIVE_MAX = 400 };

struct alive {
	evq_id id;
	int group, priority, turn, is_leased, is_taken;
	int64_t due_ms, expires_at_ms;
	evq_receipt receipt;
};

static struct alive alive[ALIVE_MAX]; /* by id */
static size_t alive_count;
static evq_queue *q;
static int are_mortal; /* some messages expire */
static uint64_t random_state;

static uint32_t
pick(uint32_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % below;
}

static void
forget(size_t i)
{
	memmove(&alive[i], &alive[i + 1], (--alive_count - i) * sizeof(alive[0]));
}

static void
forget_expired(void)
{
	for (size_t i = alive_count; i-- > 0;)
		if (alive[i].expires_at_ms && alive[i].expires_at_ms <= clock_now_ms())
			forget(i);
}

static int
is_due(const struct alive *m)
{
	return m->due_ms <= clock_now_ms();
}

static struct alive *
first_of(int group)
{
	for (size_t i = 0; i < alive_count; i++)
		if (alive[i].group == group && !alive[i].is_taken)
			return &alive[i];
	return NULL;
}

static int
comes_before(const struct alive *a, const struct alive *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->id < b->id;
}

/* The group that a receive takes from next: one whose first it has not yet taken, and may. */
static int
next_group(const int gone_through[GROUPS])
{
	const struct alive *best = NULL;
	for (int g = 0; g < GROUPS; g++) {
		const struct alive *m = gone_through[g] ? NULL : first_of(g);
		if (m && is_due(m) && (!best || comes_before(m, best)))
			best = m;
	}
	return best ? best->group : -1;
}

/* Marks and counts what a receive is to return, in its order. */
static size_t
expected(uint32_t count, struct alive *order[])
{
	int gone_through[GROUPS] = { 0 };
	size_t found = 0;
	for (int g; found < count && (g = next_group(gone_through)) >= 0;) {
		gone_through[g] = 1;
		for (struct alive *m; found < count && (m = first_of(g)) && is_due(m);) {
			m->is_taken = 1;
			order[found++] = m;
		}
	}
	return found;
}

static int
by_turn(const void *a, const void *b)
{
	const struct alive *x = *(struct alive *const *)a, *y = *(struct alive *const *)b;
	return x->turn != y->turn ? x->turn - y->turn : x->id < y->id ? -1 : 1;
}

/*
 * Where some expire, one that has may be the first of its group still, and what makes the group come when it does. So all
 * are asked for there, and which group comes first is not looked at.
 */
static void
as_they_came(const evq_batch *b, struct alive *order[], size_t count)
{
	int turn_of[GROUPS] = { 0 }, turns = 0;
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		int g = evq_batch_at(b, i)->group[0] - 'a';
		turn_of[g] = turn_of[g] ? turn_of[g] : ++turns;
	}
	for (size_t i = 0; i < count; i++)
		order[i]->turn = turn_of[order[i]->group];
	qsort(order, count, sizeof(order[0]), by_turn);
}

static void
receive_some(void)
{
	static struct alive *order[ALIVE_MAX];
	uint32_t count = are_mortal ? ALIVE_MAX : 1 + pick(pick(2) ? 4 : 39);
	int64_t visibility_ms = 1 + pick(300);
	evq_batch *b = NULL;
	ck_ok(evq_batch_new(&b));
	size_t want = expected(count, order);
	int rc = evq_receive(q, NULL, EVQ_RECEIVE_OPTS(.count = count, .visibility_ms = visibility_ms), b);
	ck_rc(rc, want ? 0 : EVQ_EMPTY);
	ck_assert_uint_eq(evq_batch_count(b), want);
	if (are_mortal)
		as_they_came(b, order, want);
	for (size_t i = 0; i < want; i++) {
		const evq_delivery *d = evq_batch_at(b, i);
		ck_assert_msg(d->id == order[i]->id, "%zu of %zu: %llu, wanted %llu", i, want, (unsigned long long)d->id,
		              (unsigned long long)order[i]->id);
		order[i]->is_taken = 0;
		order[i]->is_leased = 1;
		order[i]->due_ms = clock_now_ms() + visibility_ms;
		order[i]->receipt = d->receipt;
	}
	evq_batch_free(b);
}

static void
send_one(void)
{
	const char group[2] = { (char)('a' + pick(GROUPS)), 0 };
	if (alive_count == ALIVE_MAX)
		return;
	struct alive *m = &alive[alive_count++];
	int64_t expires_ms = !are_mortal || pick(4) ? 0 : 1 + pick(2000);
	*m = (struct alive){ .group = group[0] - 'a', .priority = (int)pick(3), .due_ms = clock_now_ms() };
	m->expires_at_ms = expires_ms ? clock_now_ms() + expires_ms : 0;
	m->id = send_with(q, "x", EVQ_SEND_OPTS(.group = group, .priority = m->priority, .expires_ms = expires_ms));
}

static void
settle_one(void)
{
	size_t i = alive_count ? pick((uint32_t)alive_count) : 0;
	struct alive *m = &alive[i];
	if (!alive_count || !m->is_leased)
		return;
	int64_t ms = pick(3) ? pick(300) : 0;
	switch (pick(5)) {
	case 0:
		ck_ok(evq_extend(q, NULL, &m->receipt, 1 + ms, &m->receipt));
		m->due_ms = clock_now_ms() + 1 + ms;
		break;
	case 1:
		ck_ok(evq_release(q, NULL, &m->receipt, ms, pick(2)));
		m->due_ms = clock_now_ms() + ms;
		m->is_leased = 0;
		break;
	default:
		ck_ok(evq_delete(q, NULL, &m->receipt));
		forget(i);
	}
}

static void
compare_states(void)
{
	uint64_t visible = 0, delayed = 0, leased = 0, blocked = 0;
	int is_blocked[GROUPS] = { 0 };
	for (size_t i = 0; i < alive_count; i++) {
		const struct alive *m = &alive[i];
		if (!is_due(m))
			*(m->is_leased ? &leased : &delayed) += 1;
		else
			*(is_blocked[m->group] ? &blocked : &visible) += 1;
		is_blocked[m->group] |= !is_due(m);
	}
	expect_blocked(q, visible, delayed, leased, blocked);
}

START_TEST(any_mixture_of_calls_keeps_to_the_rule)
{
	q = fifo("q");
	alive_count = 0;
	are_mortal = _i % 2;
	random_state = 7919 * (uint64_t)(_i + 1);
	for (int step = 0; step < 6000; step++) {
		forget_expired();
		switch (pick(10)) {
		case 0: case 1: case 2: send_one(); break;
		case 3: case 4: receive_some(); break;
		case 5: case 6: case 7: case 8: settle_one(); break;
		default: clock_advance_ms(pick(pick(2) ? 3 : 150)); break;
		}
		forget_expired();
		if (step % 50 == 0)
			compare_states();
		if (step % 2000 == 0)
			verify_clean();
	}
}
END_TEST

/* ---- two processes ------------------------------------------------------------------------------------- */

enum { LANES = 12, EACH = 60, CONSUMERS = 2 };

static struct {
	_Atomic int next[LANES], busy[LANES], left, faults, taken_by[CONSUMERS];
} *seen_by_all;

struct consumer {
	int number;
	uint64_t random;
};

static void
note(int is_fault)
{
	if (is_fault)
		seen_by_all->faults++;
}

/* What a receive returned: of each group a run, and nobody else has any of it. */
static void
look_at(const evq_batch *b)
{
	int mine[LANES] = { 0 };
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		const evq_delivery *d = evq_batch_at(b, i);
		int lane = d->group[0] - 'a';
		note(atoi(d->body) != seen_by_all->next[lane]++);
		note(atomic_exchange(&seen_by_all->busy[lane], 1) && !mine[lane]);
		mine[lane] = 1;
	}
}

/* Settles all: the last of each group is released now and then, and has to come again. */
static int
settle_all(struct consumer *c, evq_queue *from, const evq_batch *b)
{
	for (size_t i = 0; i < evq_batch_count(b); i++) {
		const evq_delivery *d = evq_batch_at(b, i), *after = evq_batch_at(b, i + 1);
		int lane = d->group[0] - 'a', is_last = !after || strcmp(after->group, d->group) != 0;
		if (is_last)
			seen_by_all->busy[lane] = 0;
		c->random = c->random * 6364136223846793005u + 1442695040888963407u;
		if (is_last && c->random >> 61 == 0) {
			seen_by_all->next[lane]--;
			EXPECT(evq_release(from, NULL, &d->receipt, 0, 0), 0);
			continue;
		}
		seen_by_all->left--;
		EXPECT(evq_delete(from, NULL, &d->receipt), 0);
	}
	return 0;
}

static int
consume(void *arg)
{
	struct consumer *c = arg;
	evq_env *own = NULL;
	evq_queue *from = NULL;
	evq_batch *b = NULL;
	EXPECT(evq_env_open(store_dir, EVQ_ENV_OPTS(.durability = EVQ_DURABLE_RELAXED, .clock = fake_clock), &own), 0);
	EXPECT(evq_queue_open(own, "q", NULL, &from), 0);
	EXPECT(evq_batch_new(&b), 0);
	for (uint32_t turn = 0; seen_by_all->left > 0; turn += evq_batch_count(b) > 0) {
		int rc = evq_receive(from, NULL, EVQ_RECEIVE_OPTS(.count = 1 + turn % 5, .wait_ms = 50), b);
		EXPECT(rc == 0 || rc == EVQ_EMPTY, 1);
		seen_by_all->taken_by[c->number] += (int)evq_batch_count(b);
		look_at(b);
		EXPECT(settle_all(c, from, b), 0);
		while (turn == 0 && seen_by_all->taken_by[!c->number] == 0)
			nap_ms(1); /* there is something for everybody */
	}
	evq_batch_free(b);
	evq_queue_close(from);
	evq_env_close(own);
	return 0;
}

START_TEST(many_groups_in_parallel_by_two_processes_each_keep_their_order)
{
	char body[16];
	pid_t pids[CONSUMERS];
	struct consumer consumers[CONSUMERS];
	q = fifo("q");
	seen_by_all = proc_shared(sizeof(*seen_by_all));
	seen_by_all->left = LANES * EACH;
	for (int i = 0; i < LANES * EACH / 2; i++) {
		snprintf(body, sizeof(body), "%d", i / LANES);
		send_with(q, body, EVQ_SEND_OPTS(.group = (const char[]){ (char)('a' + i % LANES), 0 }));
	}
	for (int i = 0; i < CONSUMERS; i++) {
		consumers[i] = (struct consumer){ i, (uint64_t)i + 99 };
		pids[i] = proc_start(consume, &consumers[i]);
	}
	for (int i = LANES * EACH / 2; i < LANES * EACH; i++) { /* the other half while they are at it */
		snprintf(body, sizeof(body), "%d", i / LANES);
		send_with(q, body, EVQ_SEND_OPTS(.group = (const char[]){ (char)('a' + i % LANES), 0 }));
	}
	for (int i = 0; i < CONSUMERS; i++)
		ck_assert_int_eq(proc_wait(pids[i]), 0);
	ck_assert_int_eq(seen_by_all->faults, 0);
	ck_assert_int_eq(seen_by_all->left, 0);
	for (int i = 0; i < LANES; i++)
		ck_assert_int_eq(seen_by_all->next[i], EACH);
	ck_assert_int_gt(seen_by_all->taken_by[0], 0);
	ck_assert_int_gt(seen_by_all->taken_by[1], 0);
	ck_assert_uint_eq(stats(q).messages, 0);
}
END_TEST

Suite *
group_rule_suite(void)
{
	Suite *s = suite_create("group_rule");
	TCase *t = tcase_create("group_rule");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, store_setup, store_teardown);
	tcase_add_loop_test(t, any_mixture_of_calls_keeps_to_the_rule, 0, 6);
	tcase_add_test(t, many_groups_in_parallel_by_two_processes_each_keep_their_order);
	suite_add_tcase(s, t);
	return s;
}
