/* SPDX-License-Identifier: MIT */
/*
 * Owns the sleeping and waking of those who wait for a queue. A word in the shared file counts the posts of
 * the queues that hash to it; a sleeper reads it before it looks into the queue, and sleeps only as long as
 * it has not moved since, so a post between the look and the sleep is not lost. The words are shared by all
 * processes, and on Linux so is the sleep, a futex. A poster that is killed between its commit and its post
 * wakes nobody: therefore no sleep is longer than LONGEST_MS.
 */
#include "inside.h"

#include <limits.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
enum { LONGEST_MS = 250 };
#else
enum { LONGEST_MS = 10 };
#endif

static unsigned
word_of(uint32_t queue)
{
	return queue % EVQ__WAKE_WORDS;
}

uint32_t
evq__wake_read(struct evq__store *s, uint32_t queue)
{
	return atomic_load(&s->shared->wake[word_of(queue)]);
}

static void
post(struct evq__store *s, unsigned word)
{
	atomic_fetch_add(&s->shared->wake[word], 1);
#ifdef __linux__
	if (atomic_load(&s->shared->sleepers[word]))
		(void)syscall(SYS_futex, &s->shared->wake[word], FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
#endif
}

void
evq__wake_post(struct evq__store *s, uint32_t queue)
{
	post(s, word_of(queue));
}

void
evq__wake_all(struct evq__store *s)
{
	for (unsigned word = 0; word < EVQ__WAKE_WORDS; word++)
		post(s, word);
}

static void
sleep_on(_Atomic uint32_t *word, uint32_t seen, int64_t ms)
{
	struct timespec timeout = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };
#ifdef __linux__
	(void)syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0); /* early returns are in the contract */
#else
	if (atomic_load(word) == seen)
		(void)nanosleep(&timeout, NULL);
#endif
}

void
evq__wake_wait(struct evq__store *s, uint32_t queue, uint32_t seen, int64_t timeout_ms)
{
	unsigned word = word_of(queue);
	if (timeout_ms <= 0)
		return;
	atomic_fetch_add(&s->shared->sleepers[word], 1);
	sleep_on(&s->shared->wake[word], seen, timeout_ms < LONGEST_MS ? timeout_ms : LONGEST_MS);
	atomic_fetch_sub(&s->shared->sleepers[word], 1);
}
