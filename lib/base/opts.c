/* SPDX-License-Identifier: MIT */
/*
 * Owns the rule by which option structs grow: the first field is their size, fields are only ever
 * appended, and 0 in one means its default. So a caller built against an older header leaves the new
 * fields at their defaults, and one built against a newer header is told when it asks for something
 * this library cannot do, and not before.
 */
#include "opts.h"

#include <errno.h>
#include <string.h>

static size_t
size_of(const void *given)
{
	size_t size;
	memcpy(&size, given, sizeof size);
	return size;
}

static int
is_zero(const unsigned char *p, size_t len)
{
	while (len--)
		if (*p++)
			return 0;
	return 1;
}

int
evq__opts_load(void *known, size_t known_size, size_t first_size, const void *given)
{
	size_t size = given ? size_of(given) : 0;
	if (given && size < first_size)
		return EINVAL;
	if (size > known_size && !is_zero((const unsigned char *)given + known_size, size - known_size))
		return E2BIG;
	memset(known, 0, known_size);
	if (given)
		memcpy(known, given, size < known_size ? size : known_size);
	memcpy(known, &known_size, sizeof known_size);
	return 0;
}

int
evq__opts_store(void *given, const void *known, size_t known_size, size_t first_size)
{
	size_t size = size_of(given);
	if (size < first_size)
		return EINVAL;
	size_t common = size < known_size ? size : known_size;
	memcpy((char *)given + sizeof size, (const char *)known + sizeof size, common - sizeof size);
	memset((char *)given + common, 0, size - common);
	return 0;
}
