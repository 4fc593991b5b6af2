/* SPDX-License-Identifier: MIT */
/*
 * The transcript: the last lines of what was done, kept in a ring and printed
 * when the two sides differ. The first difference ends the run: what comes
 * after it would only follow from it.
 */
#include "run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES 24
#define LINE_LEN 400

static char lines[LINES][LINE_LEN];
static size_t line_count, used;

static void
append(const char *format, va_list args)
{
	char *line = lines[(line_count - 1) % LINES];
	int n = vsnprintf(line + used, LINE_LEN - used, format, args);

	if (n > 0)
		used += (size_t)n < LINE_LEN - used ? (size_t)n : LINE_LEN - used - 1;
}

static void
echo(const struct run *r)
{
	if (r->opt.verbose && line_count > 0)
		fprintf(stderr, "%s\n", lines[(line_count - 1) % LINES]);
}

void
say(struct run *r, const char *format, ...)
{
	va_list args;

	echo(r);
	line_count++;
	used = (size_t)snprintf(lines[(line_count - 1) % LINES], LINE_LEN, "  #%-7llu t=%-9lld %s",
	                        (unsigned long long)r->op, (long long)(r->now % 1000000000), r->txn != NULL ? "| " : "");
	va_start(args, format);
	append(format, args);
	va_end(args);
}

void
say_more(struct run *r, const char *format, ...)
{
	va_list args;

	(void)r;
	va_start(args, format);
	append(format, args);
	va_end(args);
}

void
say_ids(struct run *r, const struct m_ids *ids)
{
	say_more(r, " [");
	for (size_t i = 0; i < ids->count && i < 12; i++)
		say_more(r, "%s%llu", i > 0 ? " " : "", (unsigned long long)ids->at[i]);
	say_more(r, ids->count > 12 ? " ... %zu]" : "]", ids->count);
}

static void
print_transcript(void)
{
	size_t from = line_count > LINES ? line_count - LINES : 0;

	for (size_t i = from; i < line_count; i++)
		printf("%s\n", lines[i % LINES]);
}

_Noreturn void
differ(struct run *r, const char *format, ...)
{
	va_list args;

	printf("model: DIFFERENCE at operation %llu, seed %llu\n", (unsigned long long)r->op,
	       (unsigned long long)r->opt.seed);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\nthe last operations (| in a transaction):\n");
	print_transcript();
	printf("the store is left in %s\n", r->dir);
	printf("model: %llu operations, seed %llu, 1 difference\n", (unsigned long long)r->op,
	       (unsigned long long)r->opt.seed);
	fflush(stdout);
	_exit(1);
}

const char *
rc_name(int rc)
{
	static char names[4][48];
	static unsigned turn;
	char *name = names[turn++ % 4];

	if (rc == 0)
		return "0";
	snprintf(name, sizeof(names[0]), "%s (%d)", evq_errname(rc), rc);
	return name;
}

void
expect_rc(struct run *r, const char *what, int expected, int got)
{
	if (expected != got)
		differ(r, "%s: expected %s, got %s", what, rc_name(expected), rc_name(got));
}

void
expect_int(struct run *r, const char *what, int64_t expected, int64_t got)
{
	if (expected != got)
		differ(r, "%s: expected %lld, got %lld", what, (long long)expected, (long long)got);
}

void
expect_text(struct run *r, const char *what, const char *expected, const char *got)
{
	if (expected == NULL && got == NULL)
		return;
	if (expected == NULL || got == NULL || strcmp(expected, got) != 0)
		differ(r, "%s: expected %s, got %s", what, expected == NULL ? "(none)" : expected,
		       got == NULL ? "(none)" : got);
}
