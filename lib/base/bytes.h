/* SPDX-License-Identifier: MIT */
/*
 * Integers at rest. Keys are big-endian, so that bytes compare as the numbers do; values are
 * little-endian. Written with shifts: compilers make one move of each, on any host order and at any
 * alignment.
 */
#ifndef EVQ__BYTES_H
#define EVQ__BYTES_H

#include <stddef.h>
#include <stdint.h>

/* A run of bytes somewhere else. Borrowed; whoever hands one out says for how long. */
struct evq__slice {
	const void *data;
	size_t len;
};

static inline void
evq__be32_put(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline uint32_t
evq__be32_get(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void
evq__be64_put(uint8_t *p, uint64_t v)
{
	evq__be32_put(p, (uint32_t)(v >> 32));
	evq__be32_put(p + 4, (uint32_t)v);
}

static inline uint64_t
evq__be64_get(const uint8_t *p)
{
	return (uint64_t)evq__be32_get(p) << 32 | evq__be32_get(p + 4);
}

static inline void
evq__le16_put(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline uint16_t
evq__le16_get(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline void
evq__le32_put(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
}

static inline uint32_t
evq__le32_get(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void
evq__le64_put(uint8_t *p, uint64_t v)
{
	evq__le32_put(p, (uint32_t)v);
	evq__le32_put(p + 4, (uint32_t)(v >> 32));
}

static inline uint64_t
evq__le64_get(const uint8_t *p)
{
	return evq__le32_get(p) | (uint64_t)evq__le32_get(p + 4) << 32;
}

#endif
