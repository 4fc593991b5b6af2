/* SPDX-License-Identifier: MIT */
/* Bounds and defaults of times and sizes, as evq(7) states them. All times in milliseconds. */
#ifndef EVQ__BOUNDS_H
#define EVQ__BOUNDS_H

#include <stddef.h>
#include <stdint.h>

#define EVQ__VISIBILITY_DEFAULT INT64_C(30000)
#define EVQ__VISIBILITY_MAX INT64_C(43200000)  /* 12 h, as SQS has it */
#define EVQ__DELAY_MAX INT64_C(31536000000)    /* 365 days */
#define EVQ__LIFE_MAX INT64_C(3155760000000)   /* 100 years of 365.25 days */
#define EVQ__RETRY_MIN_DEFAULT INT64_C(1000)
#define EVQ__RETRY_MAX_DEFAULT INT64_C(900000) /* 15 min, the longest delay of SQS */
#define EVQ__DEDUP_DEFAULT INT64_C(300000)     /* 5 min, as SQS has it */
#define EVQ__DEDUP_MAX EVQ__DELAY_MAX
#define EVQ__BODY_LEN_DEFAULT UINT32_C(1048576)

/* Messages that one transaction of our own moves or removes, so that it frees few pages at once. */
enum { EVQ__SLICE = 100 };

/* Flags of a queue that it keeps as it was made with. */
#define EVQ__FLAGS_FIXED ((uint32_t)(EVQ_FIFO | EVQ_CONTENT_DEDUP | EVQ_FAIR))

/* The size of a struct with f as its last field. */
#define EVQ__UP_TO(type, f) (offsetof(type, f) + sizeof(((type *)0)->f))
/* What 0.1 declared: the least that a caller may give. */
#define EVQ__QUEUE_ATTRS_FIRST EVQ__UP_TO(evq_queue_attrs, flags)
#define EVQ__ENV_OPTS_FIRST EVQ__UP_TO(evq_env_opts, event_arg)
#define EVQ__SEND_OPTS_FIRST EVQ__UP_TO(evq_send_opts, attr_count)
#define EVQ__RECEIVE_OPTS_FIRST EVQ__UP_TO(evq_receive_opts, max_bytes)
#define EVQ__PEEK_OPTS_FIRST EVQ__UP_TO(evq_peek_opts, after)
#define EVQ__REDRIVE_OPTS_FIRST EVQ__UP_TO(evq_redrive_opts, match_arg)
#define EVQ__STATS_FIRST EVQ__UP_TO(evq_stats, stale)

#endif
