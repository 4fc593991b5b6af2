/* SPDX-License-Identifier: MIT */
/*
 * Codes to names and texts: evq_strerror(3), and the version. The table is base/codes.h. An errno that
 * is not in it gets the C library's text where that can be had without a buffer.
 */
#include <errno.h>
#include <string.h>

#include <evq.h>

#include "codes.h"

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 32)
#define HAVE_STRERRORDESC 1
#endif
#endif

struct code {
	int rc;
	const char *name, *text;
};

static const struct code codes[] = {
	{ 0, "OK", "success" },
#define ROW(code, text) { code, #code, text },
	EVQ__EVQ_CODES(ROW) EVQ__SYS_CODES(ROW)
#undef ROW
#define ROW(code, number, text) { number, #code, text },
	EVQ__MDB_CODES(ROW)
#undef ROW
};

static const struct code *
find(int rc)
{
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (codes[i].rc == rc)
			return &codes[i];
	return NULL;
}

const char *
evq_strerror(int rc)
{
	const struct code *c = find(rc);
	if (c)
		return c->text;
	const char *text = NULL;
#ifdef HAVE_STRERRORDESC
	text = rc > 0 ? strerrordesc_np(rc) : NULL;
#endif
	return text ? text : rc > 0 ? "system error" : "unknown code";
}

const char *
evq_errname(int rc)
{
	const struct code *c = find(rc);
	if (c)
		return c->name;
	const char *name = NULL;
#ifdef HAVE_STRERRORDESC
	name = rc > 0 ? strerrorname_np(rc) : NULL;
#endif
	return name ? name : "?";
}

#define TEXT(x) #x
#define DOTTED(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

const char *
evq_version(int *major, int *minor, int *patch)
{
	if (major)
		*major = EVQ_VERSION_MAJOR;
	if (minor)
		*minor = EVQ_VERSION_MINOR;
	if (patch)
		*patch = EVQ_VERSION_PATCH;
	return DOTTED(EVQ_VERSION_MAJOR, EVQ_VERSION_MINOR, EVQ_VERSION_PATCH);
}
