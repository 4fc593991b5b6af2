/* SPDX-License-Identifier: MIT */
/*
 * The ledger: the calls of the workload one after the other, and what each changed once it was answered with 0.
 *
 * What a store holds is a set of items: queues, messages in queues, rows of the user's. Each has a hash of all
 * that is known of it, and the set has one, which does not depend on the order. So the ledger has the hash of the
 * store after each call, and a store that was opened again is compared with some hundred of them at once.
 *
 * Receives, extensions and releases change nothing here: a power loss may undo them.
 */
#ifndef EVQ_TESTS_POWER_LEDGER_H
#define EVQ_TESTS_POWER_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include <evq.h>

enum item_kind { ITEM_QUEUE = 1, ITEM_MESSAGE, ITEM_ROW };

struct item {
	enum item_kind kind;
	uint64_t id;       /* of the message; the key of the row */
	const char *queue; /* a name that stays */
	const char *origin; /* of a dead letter */
	uint64_t content;  /* hash */
	size_t len;        /* of the body */
	uint64_t hash;     /* of all this, but for origin and len */
	int alive;
};

struct effect {
	size_t item;
	int adds;
};

struct call {
	const char *what;
	int rc;
	int syncs;  /* all so far survives a power loss when it is answered with 0 */
	int sliced; /* is several transactions, that remove */
	size_t effects, effect_count;
	uint64_t hash; /* of the store after it */
};

extern struct ledger {
	struct call *calls; /* from 1; 0 is the beginning, with nothing in the store */
	size_t call_count;
	struct item *items;
	size_t item_count;
	struct effect *effects;
	size_t effect_count;
} ledger;

void ledger_start(void);
void ledger_forget(void);

uint64_t ledger_hash(enum item_kind kind, uint64_t id, const char *queue, uint64_t content);
uint64_t ledger_content(const evq_delivery *d);
uint64_t ledger_content_of(const void *body, size_t len, const evq_send_opts *opts);

/* Around a call of the library. What is added and removed in between is undone unless rc is 0. */
void ledger_begin(const char *what);
struct call *ledger_now(void);
void ledger_add(enum item_kind kind, uint64_t id, const char *queue, uint64_t content, size_t len);
void ledger_remove(struct item *item);
void ledger_move(struct item *item, const char *queue);
int ledger_end(int rc); /* rc */

/* The one that is alive, or NULL. */
struct item *ledger_find(enum item_kind kind, uint64_t id);
struct item *ledger_find_queue(const char *name);

/* Which items there were after call number call: a malloc'd flag for each. */
unsigned char *ledger_at(size_t call);

#endif
