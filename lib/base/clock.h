/* SPDX-License-Identifier: MIT */
/* The system's clocks, in milliseconds. */
#ifndef EVQ__CLOCK_H
#define EVQ__CLOCK_H

#include <stdint.h>
#include <time.h>

int64_t evq__clock_wall_ms(void);      /* since the Unix epoch; steps when the administrator steps it */
int64_t evq__clock_boot_ms(void);      /* since the machine was started, time asleep included; never steps */
struct timespec evq__clock_after(clockid_t id, int64_t us); /* the time by that clock, us from now */
int64_t evq__clock_monotonic_ms(void); /* since some moment; never steps: for waits and timeouts */

#endif
