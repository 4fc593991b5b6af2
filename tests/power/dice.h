/* SPDX-License-Identifier: MIT */
/* Chance that comes again with the same seed, and the hash of what is in a store. Source: splitmix64. */
#ifndef EVQ_TESTS_POWER_DICE_H
#define EVQ_TESTS_POWER_DICE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t
dice_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static inline uint64_t
dice_roll(uint64_t *dice)
{
	return dice_mix(*dice += UINT64_C(0x9e3779b97f4a7c15));
}

/* 0 ... sides - 1 */
static inline size_t
dice_below(uint64_t *dice, size_t sides)
{
	return (size_t)(dice_roll(dice) % sides);
}

/* Bodies are long, and looked at often: eight bytes at a time. */
static inline uint64_t
dice_hash(uint64_t seed, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint64_t h = dice_mix(seed + len + 1), word = 0;
	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	word = 0;
	if (len)
		memcpy(&word, p, len);
	return dice_mix(h ^ word);
}

#endif
