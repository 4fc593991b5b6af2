/* SPDX-License-Identifier: MIT */
/*
 * Owns the sleeping and waking of those who wait for a queue. A word in the shared file counts the posts of the
 * queues that hash to it; a sleeper reads it before it looks into the queue, and sleeps only as long as it has not
 * moved since, so a post between the look and the sleep is not lost. As many are woken as there is something for,
 * those of the poster's own process first, who can have it at once; for others the tree has to be committed, which
 * the keeper does before it wakes them.
 *
 * A sleeper that is woken and goes without taking anything wakes another in its place. One that is stopped or
 * killed in that moment cannot: therefore no sleep is longer than the lock's timeout, which is what a stopped
 * process may cost the others anyway.
 */
#include "inside.h"

#include <limits.h>
#include <stddef.h>
#include <unistd.h>

enum { LEAST_MS = 1000 }; /* where the lock's timeout is less */

static unsigned
word_of(uint32_t queue)
{
	return queue % EVQ__WAKE_WORDS;
}

/* Sleepers of a process have a bit of its slot; two slots of one bit are woken for each other, and look. */
static uint32_t
mask_of(const struct evq__store *s)
{
	return UINT32_C(1) << s->slot % 32;
}

/* Where queues share words, nobody can say whose sleepers the first ones are. */
static uint32_t
as_many(const struct evq__store *s, uint32_t count)
{
	return count > INT_MAX || atomic_load(&s->shared->last_queue) >= EVQ__WAKE_WORDS ? EVQ__EVERYBODY : count;
}

uint32_t
evq__wake_read(struct evq__store *s, uint32_t queue)
{
	return atomic_load(&s->shared->wake[word_of(queue)]);
}

static int
are_asleep(struct evq__store *s, unsigned slot, uint32_t queue)
{
	struct evq__slot *at = &s->shared->kept.slots[slot];
	return atomic_load(&at->waits[queue % EVQ__WAITS]) && atomic_load(&at->owner);
}

static int
others_are_asleep(struct evq__store *s, uint32_t queue)
{
	unsigned used = atomic_load(&s->shared->slots_used);
	for (unsigned i = 0; i < used; i++)
		if (i != s->slot && are_asleep(s, i, queue))
			return 1;
	return 0;
}

/* Tells descriptors of evq_queue_fd(): they watch the file. */
static void
touch(struct evq__store *s)
{
	static const uint8_t byte = 1;
	(void)evq__files_write(s->shared_fd, &byte, 1, offsetof(struct evq__shared, touched));
}

/* For which of the hashes somebody sleeps, a bit each. */
static uint32_t
hashes_asleep(struct evq__store *s)
{
	unsigned used = atomic_load(&s->shared->slots_used);
	uint32_t hashes = 0;
	for (unsigned i = 0; i < used; i++)
		for (unsigned h = 0; h < EVQ__WAITS; h++)
			if (atomic_load(&s->shared->kept.slots[i].waits[h]))
				hashes |= UINT32_C(1) << h;
	return hashes;
}

static void
post_all(struct evq__store *s)
{
	struct evq__shared *shared = s->shared;
	int is_polled = 0;
	for (unsigned word = 0; word < EVQ__WAKE_WORDS; word++)
		atomic_fetch_add(&shared->wake[word], 1);
	uint32_t hashes = hashes_asleep(s); /* after that: who comes now finds the words moved */
	for (unsigned word = 0; word < EVQ__WAKE_WORDS; word++) {
		if (hashes & UINT32_C(1) << word % EVQ__WAITS)
			(void)evq__sleep_end(&shared->wake[word], EVQ__EVERYBODY, EVQ__ANY_MASK);
		is_polled |= atomic_load(&shared->polled[word]) != 0;
	}
	if (is_polled)
		touch(s);
}

void
evq__wake_others(struct evq__store *s, uint32_t queue, uint32_t count)
{
	if (!queue) {
		post_all(s);
		return;
	}
	_Atomic uint32_t *word = &s->shared->wake[word_of(queue)];
	if (!evq__sleep_end(word, as_many(s, count), EVQ__ANY_MASK))
		(void)evq__owners_dead(s); /* they may be counted and be no more */
	if (atomic_load(&s->shared->polled[word_of(queue)]))
		touch(s);
}

void
evq__wake_post(struct evq__store *s, uint32_t queue, uint32_t count)
{
	_Atomic uint32_t *word = &s->shared->wake[word_of(queue)];
	uint32_t most = as_many(s, count), woken = 0;
	atomic_fetch_add(word, 1);
	if (are_asleep(s, s->slot, queue))
		woken = evq__sleep_end(word, most, mask_of(s));
	uint16_t polled = atomic_load(&s->shared->polled[word_of(queue)]), here = atomic_load(&s->polled[word_of(queue)]);
	int is_polled = polled > here; /* by others, who have to see it in the tree */
	if (here)
		touch(s);
	if ((woken >= most || !others_are_asleep(s, queue)) && !is_polled)
		return;
	if (!evq__tenure_post(s, queue, most == EVQ__EVERYBODY ? count : most - woken))
		evq__wake_others(s, queue, most == EVQ__EVERYBODY ? count : most - woken);
}

void
evq__wake_poll(struct evq__store *s, uint32_t queue, int by)
{
	atomic_fetch_add(&s->polled[word_of(queue)], (uint16_t)by);
	atomic_fetch_add(&s->shared->polled[word_of(queue)], (uint16_t)by);
}

void
evq__wake_poll_none(struct evq__store *s)
{
	for (unsigned word = 0; word < EVQ__WAKE_WORDS; word++)
		atomic_fetch_sub(&s->shared->polled[word], atomic_exchange(&s->polled[word], 0));
}

void
evq__wake_all(struct evq__store *s)
{
	post_all(s);
}

void
evq__wake_pass_on(struct evq__store *s, uint32_t queue)
{
	(void)evq__sleep_end(&s->shared->wake[word_of(queue)], as_many(s, 1), EVQ__ANY_MASK);
}

static void
note_queue(struct evq__store *s, uint32_t queue)
{
	uint32_t last = atomic_load(&s->shared->last_queue);
	while (last < queue && !atomic_compare_exchange_weak(&s->shared->last_queue, &last, queue))
		;
}

static int64_t
longest_us(const struct evq__store *s, int64_t timeout_ms)
{
	int64_t most = s->lock_timeout_ms < 0 ? INT64_MAX : s->lock_timeout_ms < LEAST_MS ? LEAST_MS : s->lock_timeout_ms;
	int64_t ms = timeout_ms < most ? timeout_ms : most;
	return ms > INT64_MAX / 2000 ? -1 : ms * 1000;
}

void
evq__wake_wait(struct evq__store *s, uint32_t queue, uint32_t seen, int64_t timeout_ms)
{
	_Atomic uint16_t *waits = &s->shared->kept.slots[s->slot].waits[queue % EVQ__WAITS];
	if (timeout_ms <= 0)
		return;
	note_queue(s, queue);
	atomic_fetch_add(waits, 1);
	if (evq__owners_have_company(s))
		evq__tenure_offer(s);
	(void)evq__sleep(&s->shared->wake[word_of(queue)], seen, longest_us(s, timeout_ms), mask_of(s));
	atomic_fetch_sub(waits, 1);
}
