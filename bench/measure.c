/* SPDX-License-Identifier: MIT */
/*
 * Figures from measurements.
 *
 * Durations of calls go into a histogram of fixed size, fine enough (0.1 %)
 * that a ratio of two percentiles can be trusted, and small where it is
 * touched, so that keeping it costs the measured code no cache to speak of.
 *
 * Rates are taken a round and the median of the rounds is told. Two sides
 * are compared by the median of the ratios of neighbouring rounds, which a
 * machine that is slower for a while leaves alone.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MANTISSA 10 /* bits kept of a duration behind its first */

static int64_t
read_clock(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t
measure_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t
measure_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME) / 1000000;
}

/*
 * wchar: bytes handed to write(2) and its like, which is how LMDB writes all
 * that it writes. write_bytes would count whole folios of the page cache, as
 * large as the kernel likes them, however little of one was changed.
 * Source: proc(5), /proc/pid/io.
 */
int64_t
measure_written(void)
{
	char line[128];
	long long n = -1;
	FILE *f = fopen("/proc/self/io", "re");

	if (f == NULL)
		return -1;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "wchar: %lld", &n) == 1)
			break;
	}
	(void)fclose(f);
	return n;
}

/* Values under 2^11 have a slot each; from there on each octave has 2^10. */
static size_t
slot_of(uint64_t ns)
{
	unsigned shift = 0;

	while (ns >> shift >= 2u << MANTISSA)
		shift++;
	return ((size_t)shift << MANTISSA) + (size_t)(ns >> shift);
}

static double
middle_of(size_t slot)
{
	size_t shift = slot < 2u << MANTISSA ? 0 : (slot >> MANTISSA) - 1;
	uint64_t low = (uint64_t)(slot - (shift << MANTISSA)) << shift;

	return (double)low + (double)(((uint64_t)1 << shift) - 1) / 2;
}

void
hist_add(struct hist *h, int64_t ns)
{
	size_t slot = slot_of(ns < 0 ? 0 : (uint64_t)ns);

	h->slot[slot < HIST_SLOTS ? slot : HIST_SLOTS - 1]++;
	h->total++;
}

void
hist_merge(struct hist *to, const struct hist *from)
{
	for (size_t i = 0; i < HIST_SLOTS; i++)
		to->slot[i] += from->slot[i];
	to->total += from->total;
}

double
hist_at_us(const struct hist *h, double part)
{
	double rank = part * (double)h->total;
	uint64_t seen = 0;

	for (size_t i = 0; i < HIST_SLOTS; i++) {
		seen += h->slot[i];
		if (seen > 0 && (double)seen >= rank)
			return middle_of(i) / 1000;
	}
	return 0;
}

void
series_add(struct series *s, double value)
{
	if (s->count < BENCH_ROUNDS)
		s->value[s->count++] = value;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
series_median(const struct series *s)
{
	struct series sorted = *s;
	size_t half = s->count / 2;

	if (s->count == 0)
		return 0;
	qsort(sorted.value, sorted.count, sizeof(double), compare);
	if (s->count % 2 == 1)
		return sorted.value[half];
	return (sorted.value[half - 1] + sorted.value[half]) / 2;
}

double
series_ratio(const struct series *a, const struct series *b)
{
	struct series ratio = { .count = 0 };

	for (size_t i = 0; i < a->count && i < b->count; i++) {
		if (b->value[i] > 0)
			series_add(&ratio, a->value[i] / b->value[i]);
	}
	return series_median(&ratio);
}
