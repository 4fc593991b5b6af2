/* SPDX-License-Identifier: MIT */
/*
 * What the parts of a life share. Each operation is one or a few calls, in the ledger. Any answer that the manual does
 * not give for the call ends the program.
 */
#ifndef EVQ_TESTS_POWER_LIFE_H
#define EVQ_TESTS_POWER_LIFE_H

#include "power.h"

enum { TOGETHER_MAX = 12, ROWS = 8, BIG = 1258291 };
enum { QUEUE_A, QUEUE_B, QUEUE_DEAD, QUEUE_TEMPORARY, QUEUES };

extern const char *const life_names[QUEUES];
extern evq_env *life_env;
extern evq_queue *life_queues[QUEUES]; /* NULL: the temporary one, where it is not there */
extern evq_batch *life_batch;
extern unsigned char *life_bytes; /* BODY_MAX of them: bodies are pieces of these */

int life_expect(int rc, int other, int another, const char *what); /* rc, which is 0 or one of the others */
#define MUST(call) ((void)life_expect((call), 0, 0, #call))
size_t life_any(size_t sides);
void life_open_queue(size_t i);

/* life_send.c */
void op_send(void);
void op_send_batch(void);
void op_refused(void);
size_t life_messages(size_t longer_than); /* how many are there */
size_t life_pick_queue(void);
evq_buf life_pick_body(size_t queue);
evq_send_opts life_pick_options(size_t len);
void life_sent(size_t queue, const evq_buf *body, const evq_send_opts *o, evq_id id);

/* life_settle.c */
void op_receive(void);
void op_delete(void);
void op_delete_batch(void);
void op_lease(void);
void op_bury(void);
void life_deleted(evq_id id);
void life_let_go(size_t queue); /* of the receipts of a queue, or of all: QUEUES */

/* life_whole.c */
void op_redrive(void);
void op_purge(void);
void op_temporary(void);
void op_sync(void);
void op_transaction(void);

#endif
