/* SPDX-License-Identifier: MIT */
/*
 * The life of a store that is recorded: from the making of it, a few hundred calls by chance, of every kind that
 * changes it, of one thread, with pauses in which the library is left to itself, and now and then closed and opened
 * again. Each call is in the ledger with what it was answered and what it changed.
 *
 * Without a keeper the clock is one of our own, and the same seed is the same life; with one it cannot be, and
 * the clock is the library's.
 */
#include "life.h"

#include "dice.h"
#include "ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CROWD = 150, CLOCK_STEP_MS = 7 };

const char *const life_names[QUEUES] = { "a", "b", "dead", "temporary" };
evq_env *life_env;
evq_queue *life_queues[QUEUES];
evq_batch *life_batch;
unsigned char *life_bytes;

static const struct setting *setting;
static const char *store;
static uint64_t dice;
static int64_t clock_ms;

int
life_expect(int rc, int other, int another, const char *what)
{
	if (rc == 0 || rc == other || rc == another)
		return rc;
	fprintf(stderr, "power_test: seed %llu, call %zu: %s: %s (%d)\n", (unsigned long long)setting->seed,
	        ledger.call_count - 1, what, evq_errname(rc), rc);
	exit(1);
}

size_t
life_any(size_t sides)
{
	return dice_below(&dice, sides);
}

static int64_t
tell_time(void *unused)
{
	(void)unused;
	return clock_ms;
}

static void
nap_ms(size_t ms)
{
	(void)nanosleep(&(struct timespec){ 0, (long)ms * 1000000 }, NULL);
}

/* ---- open and close ---------------------------------------------------------------------------------- */

/* A library that has no journal yet says so. */
int
life_open(const char *dir, const struct setting *s, evq_clock_fn *clock, evq_env **out)
{
	evq_env_opts o = { .size = sizeof(o),
		           .durability = s->durability,
		           .map_size = MAP_SIZE,
		           .journal_size = JOURNAL_SIZE,
		           .keeper = s->keeper,
		           .clock = clock };
	int rc = evq_env_open(dir, &o, out);
	o.journal_size = 0;
	return rc == ENOTSUP ? evq_env_open(dir, &o, out) : rc;
}

void
life_open_queue(size_t i)
{
	int has_dead = i < QUEUE_DEAD;
	evq_queue_attrs attrs = { .size = sizeof(attrs),
		                  .dead_letter = has_dead ? life_names[QUEUE_DEAD] : NULL,
		                  .max_body_len = i == QUEUE_A ? BODY_MAX : 0 };
	ledger_begin("open a queue");
	int rc = evq_queue_open(life_env, life_names[i], &attrs, &life_queues[i]);
	MUST(rc);
	if (!ledger_find_queue(life_names[i]))
		ledger_add(ITEM_QUEUE, 0, life_names[i], 0, 0);
	if (has_dead && !ledger_find_queue(life_names[QUEUE_DEAD]))
		ledger_add(ITEM_QUEUE, 0, life_names[QUEUE_DEAD], 0, 0);
	ledger_end(rc);
}

static void
open_store(void)
{
	MUST(life_open(store, setting, setting->keeper == EVQ_NONE ? tell_time : NULL, &life_env));
	for (size_t i = 0; i < QUEUE_TEMPORARY; i++)
		life_open_queue(i);
	if (ledger_find_queue(life_names[QUEUE_TEMPORARY]))
		life_open_queue(QUEUE_TEMPORARY);
}

static void
close_store(void)
{
	for (size_t i = 0; i < QUEUES; i++) {
		evq_queue_close(life_queues[i]);
		life_queues[i] = NULL;
	}
	evq_env_close(life_env);
}

static void
op_reopen(void)
{
	close_store();
	open_store();
}

/* ---- the life ------------------------------------------------------------------------------------------- */

static void
op_pause(void)
{
	size_t ms = 2 + life_any(29);
	clock_ms += (int64_t)ms;
	nap_ms(ms);
}

static const struct {
	void (*fn)(void);
	size_t weight;
} operations[] = {
	{ op_send, 20 },
	{ op_send_batch, 7 },
	{ op_refused, 1 },
	{ op_receive, 14 },
	{ op_delete, 16 },
	{ op_delete_batch, 5 },
	{ op_lease, 6 },
	{ op_bury, 5 },
	{ op_redrive, 3 },
	{ op_purge, 1 },
	{ op_temporary, 2 },
	{ op_sync, 3 },
	{ op_transaction, 6 },
	{ op_pause, 4 },
	{ op_reopen, 1 },
};

static void
operate(void)
{
	size_t sum = 0, i = 0;
	clock_ms += CLOCK_STEP_MS;
	for (size_t k = 0; k < sizeof(operations) / sizeof(*operations); k++)
		sum += operations[k].weight;
	size_t roll = life_any(sum);
	while (roll >= operations[i].weight)
		roll -= operations[i++].weight;
	if (operations[i].fn == op_send_batch && life_messages(0) > CROWD)
		op_delete_batch();
	else
		operations[i].fn();
}

void
life(const char *dir, const struct setting *s)
{
	setting = s;
	store = dir;
	dice = s->seed;
	clock_ms = INT64_C(1700000000000);
	life_let_go(QUEUES);
	life_bytes = malloc(BODY_MAX);
	if (!life_bytes)
		life_expect(ENOMEM, 0, 0, "malloc");
	for (size_t i = 0; i < BODY_MAX; i += 8)
		memcpy(life_bytes + i, &(uint64_t){ dice_roll(&dice) }, 8);
	MUST(evq_batch_new(&life_batch));
	open_store();
	for (unsigned i = 0; i < s->ops; i++)
		operate();
	close_store();
	evq_batch_free(life_batch);
	free(life_bytes);
}
