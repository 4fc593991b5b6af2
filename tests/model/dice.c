/* SPDX-License-Identifier: MIT */
/*
 * The dice (splitmix64). They are set anew for each operation, from the seed
 * and its number, so that what operation n draws does not hang on how often
 * the ones before it have drawn: two runs of one seed stay together even where
 * the library, in the jitter of a backoff, decides by dice of its own.
 */
#include "run.h"

#include <string.h>

static uint64_t
mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

void
dice_start(struct run *r)
{
	r->dice = mix(r->opt.seed) ^ mix(r->op * UINT64_C(0x9e3779b97f4a7c15));
}

uint64_t
dice(struct run *r)
{
	r->dice += UINT64_C(0x9e3779b97f4a7c15);
	return mix(r->dice);
}

size_t
below(struct run *r, size_t n)
{
	return (size_t)(dice(r) % n);
}

int64_t
between(struct run *r, int64_t least, int64_t most)
{
	return least + (int64_t)(dice(r) % (uint64_t)(most - least + 1));
}

bool
one_in(struct run *r, size_t n)
{
	return below(r, n) == 0;
}

bool
percent(struct run *r, size_t p)
{
	return below(r, 100) < p;
}

/* Mostly short; now and then at the places where a body goes on in another part; seldom long. */
size_t
body_length(struct run *r)
{
	static const size_t edges[] = { 1990, 2040, 4064, 4070, 4080, 4096, 8150, 8160, 12240 };
	size_t roll = below(r, 1000);

	if (roll < 60)
		return 0;
	if (roll < 900)
		return 1 + below(r, 200);
	if (roll < 940)
		return 1900 + below(r, 200);
	if (roll < 992)
		return edges[below(r, sizeof(edges) / sizeof(*edges))] + below(r, 21) - 10;
	return 20000 + below(r, 80000);
}

void
bytes_fill(struct run *r)
{
	for (size_t i = 0; i < BYTES_LEN; i += sizeof(uint64_t)) {
		uint64_t word = dice(r);

		memcpy(r->bytes + i, &word, sizeof(word));
	}
}

const void *
bytes_of(struct run *r, size_t len)
{
	return r->bytes + below(r, BYTES_LEN - len);
}
