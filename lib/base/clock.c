/* SPDX-License-Identifier: MIT */
/* Owns the reading of the system's clocks; a clock that cannot be read does not exist on POSIX. */
#include "clock.h"

#include <time.h>

static int64_t
read_ms(clockid_t id)
{
	struct timespec ts = { 0, 0 };
	(void)clock_gettime(id, &ts); /* fails for an unknown id only */
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
evq__clock_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

int64_t
evq__clock_boot_ms(void)
{
#ifdef CLOCK_BOOTTIME
	return read_ms(CLOCK_BOOTTIME);
#else
	return read_ms(CLOCK_MONOTONIC);
#endif
}

int64_t
evq__clock_monotonic_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

struct timespec
evq__clock_after(clockid_t id, int64_t us)
{
	struct timespec ts = { 0, 0 };
	(void)clock_gettime(id, &ts);
	ts.tv_sec += (time_t)(us / 1000000);
	ts.tv_nsec += (long)(us % 1000000) * 1000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}
