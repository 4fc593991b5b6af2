/* SPDX-License-Identifier: MIT */
/* What is to be sent next. */
#ifndef PLAN_H
#define PLAN_H

#include "run.h"

#define BURST 300

struct plan {
	evq_send_opts opts;
	evq_attr attrs[EVQ_ATTRS_MAX];
	char names[EVQ_ATTRS_MAX][16];
	char group[EVQ_GROUP_MAX + 1];
	char dedup_id[EVQ_DEDUP_MAX + 1];
	evq_buf bodies[BURST];
	unsigned char body[BYTES_LEN];
	size_t count;
	struct m_fate fates[BURST];
	size_t fresh; /* how many are no repeats */
	evq_id ids[BURST];
};

extern struct plan plan;

const evq_send_opts *plan_opts(struct run *r, const struct m_queue *q); /* or NULL for none */
void plan_bodies(struct run *r, const struct m_queue *q, size_t count, size_t most);
void plan_edge(struct run *r, const struct m_queue *q); /* a body or a queue just full, or one byte more */
void plan_repeat(struct run *r, const struct m_queue *q, const struct m_known *known);
void plan_say(struct run *r, const struct m_queue *q, const char *call, const evq_send_opts *opts);
void plan_fates(struct run *r, const struct m_queue *q, const evq_send_opts *opts);

#endif
