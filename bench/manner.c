/* SPDX-License-Identifier: MIT */
/*
 * How the messages of a lane differ from each other: groups, dedup_ids,
 * bodies, as users have them. Names look random, as ids of customers and
 * orders do, or go up as numbers do; either costs a few nanoseconds to make,
 * which are on the clock.
 *
 * A dedup_id is forgotten after some time, which is to be after so many
 * messages here: so the clock of such a store goes with the sends. As many
 * ids are remembered at any moment, however fast the machine is, and each
 * send has one to forget.
 */
#include "manner.h"

#include <stdio.h>
#include <string.h>

#define WINDOW_MS 1000

/* No two are alike. Source: splitmix64, https://prng.di.unimi.it/splitmix64.c, public domain. */
uint64_t
manner_mix(uint64_t n)
{
	n += 0x9e3779b97f4a7c15;
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
	n = (n ^ n >> 27) * 0x94d049bb133111eb;
	return n ^ n >> 31;
}

static void
put_digits(char *at, uint64_t n, uint64_t base, int count)
{
	at[count] = '\0';
	for (int i = count - 1; i >= 0; i--) {
		at[i] = "0123456789abcdef"[n % base];
		n /= base;
	}
}

void
manner_name(char text[32], enum names names, uint64_t n)
{
	if (names == NAMES_RANDOM) {
		put_digits(text, manner_mix(n), 16, 16);
	} else {
		memcpy(text, "customer-", 9);
		put_digits(text + 9, n, 10, 10);
	}
}

static void
stamp(struct manner *m, evq_buf *bodies, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t n = m->sent + i;

		memcpy((char *)bodies[i].data, &n, bodies[i].len < sizeof(n) ? bodies[i].len : sizeof(n));
	}
}

static void
id_of(char text[32], uint64_t call)
{
	manner_name(text, NAMES_ORDERED, call);
}

/* One call. */
static int
send_together(struct manner *m, evq_queue *q, evq_txn *txn, evq_buf *bodies, size_t count)
{
	evq_send_opts opts = { .size = sizeof(opts) };
	uint64_t call = m->calls++;
	char group[32], id[32];

	if (m->names != NAMES_NONE) {
		manner_name(group, m->names, m->groups > 0 ? manner_mix(call) % m->groups : call);
		opts.group = group;
	}
	if (m->has_ids) {
		id_of(id, call);
		opts.dedup_id = id;
	}
	if (m->differ)
		stamp(m, bodies, count);
	m->sent += count;
	if (count == 1)
		return evq_send(q, txn, bodies->data, bodies->len, &opts, NULL);
	return evq_send_batch(q, txn, bodies, count, &opts, NULL);
}

int
manner_send(struct manner *m, evq_queue *q, evq_txn *txn, evq_buf *bodies, size_t count)
{
	int rc = 0;

	if (!m->one_by_one)
		return send_together(m, q, txn, bodies, count);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = send_together(m, q, txn, &bodies[i], 1);
	return rc;
}

/* What an earlier call for one message sent, once more. */
int
manner_repeat(evq_queue *q, evq_txn *txn, uint64_t call, const evq_buf *body)
{
	char id[32];

	id_of(id, call);
	return evq_send(q, txn, body->data, body->len, EVQ_SEND_OPTS(.dedup_id = id), NULL);
}

int64_t
manner_clock(void *manner)
{
	const struct manner *m = manner;

	return m->begun_ms + (int64_t)(m->sent * WINDOW_MS / m->window);
}

int64_t
manner_window_ms(const struct manner *m)
{
	return m->window > 0 ? WINDOW_MS : 0;
}
