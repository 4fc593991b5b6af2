/* SPDX-License-Identifier: MIT */
/*
 * Owns sleeping on a word that other threads and processes change. On Linux it is a futex: asleep costs nothing,
 * and whoever changes the word wakes as many as it wants. Elsewhere it is a look at the word now and then, for up
 * to POLL_US at a time, and everybody is woken.
 */
#include "inside.h"

#include <errno.h>
#include <time.h>

#include "clock.h"

#if defined(__linux__) && !defined(EVQ__NO_FUTEX)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

int
evq__sleep(_Atomic uint32_t *word, uint32_t seen, int64_t us, uint32_t mask)
{
	struct timespec end, *at = NULL;
	if (us >= 0) {
		end = evq__clock_after(CLOCK_MONOTONIC, us); /* with a mask, the wait has its end as a time */
		at = &end;
	}
	return syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, at, NULL, mask) == 0;
}

uint32_t
evq__sleep_end(_Atomic uint32_t *word, uint32_t count, uint32_t mask)
{
	long woken = syscall(SYS_futex, word, FUTEX_WAKE_BITSET, count, NULL, NULL, mask);
	return woken > 0 ? (uint32_t)woken : 0;
}
#else
enum { FIRST_US = 100, POLL_US = 5000 };

int
evq__sleep(_Atomic uint32_t *word, uint32_t seen, int64_t us, uint32_t mask)
{
	(void)mask;
	for (int64_t step = FIRST_US; atomic_load(word) == seen && us != 0; step = step < POLL_US ? step * 2 : step) {
		int64_t now = us > 0 && us < step ? us : step;
		(void)nanosleep(&(struct timespec){ 0, (long)now * 1000 }, NULL);
		us -= us > 0 ? now : 0;
	}
	return atomic_load(word) != seen;
}

uint32_t
evq__sleep_end(_Atomic uint32_t *word, uint32_t count, uint32_t mask)
{
	(void)word;
	(void)mask;
	return count;
}
#endif
