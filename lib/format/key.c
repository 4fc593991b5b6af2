/* SPDX-License-Identifier: MIT */
/* Owns what a queue may be called: what is safe in a file name, a log line and a shell. */
#include "key.h"

#include <errno.h>

static int
is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
	       c == '_' || c == '-';
}

int
evq__name_check(const char *name, size_t *len_out)
{
	size_t len = 0;
	if (!name || !*name)
		return EINVAL;
	for (; name[len]; len++)
		if (!is_name_byte(name[len]))
			return EINVAL;
		else if (len == EVQ_NAME_MAX)
			return EVQ_TOOBIG;
	*len_out = len;
	return 0;
}
