/* SPDX-License-Identifier: MIT */
/*
 * The words of the command line: name=value, lists with commas. Each name
 * left out keeps its default, which together is the run of the README.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <evq.h>

const char *const options_modes[MODES] = { "full", "relaxed", "txn" };

/* Calls one for each word of a list with commas. */
static int
each(const char *list, int (*one)(struct options *o, const char *word), struct options *o)
{
	char word[64];

	for (;;) {
		size_t len = strcspn(list, ",");

		if (len == 0 || len >= sizeof(word))
			return EINVAL;
		memcpy(word, list, len);
		word[len] = '\0';
		if (one(o, word) != 0)
			return EINVAL;
		if (list[len] == '\0')
			return 0;
		list += len + 1;
	}
}

static int
number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (end != text && (*end == 'k' || *end == 'K')) {
		n = n <= max ? n * 1024 : n;
		end++;
	}
	if (end == text || *end != '\0' || *text == '-' || errno != 0 || n > max)
		return EINVAL;
	*out = n;
	return 0;
}

static int
add_body(struct options *o, const char *word)
{
	uint64_t n;

	if (o->body_count == BENCH_LIST || number(word, 1 << 20, &n) != 0)
		return EINVAL;
	o->bodies[o->body_count++] = (size_t)n;
	return 0;
}

static int
add_batch(struct options *o, const char *word)
{
	uint64_t n;

	if (o->batch_count == BENCH_LIST || number(word, EVQ_BATCH_MAX, &n) != 0 || n == 0)
		return EINVAL;
	o->batches[o->batch_count++] = (size_t)n;
	return 0;
}

static int
add_mode(struct options *o, const char *word)
{
	for (int i = 0; i < MODES; i++) {
		if (strcmp(word, options_modes[i]) == 0 && o->mode_count < BENCH_LIST) {
			o->modes[o->mode_count++] = (enum mode)i;
			return 0;
		}
	}
	return EINVAL;
}

static int
add_row(struct options *o, const char *word)
{
	for (size_t i = 0; i < bench_row_count; i++) {
		if (strcmp(word, bench_rows[i].name) == 0) {
			o->rows |= 1u << i;
			return 0;
		}
	}
	return EINVAL;
}

static int
set_deep(struct options *o, const char *word)
{
	return number(word, 100000000, &o->deep);
}

static int
set_time(const char *word, int64_t *out)
{
	uint64_t n;

	if (number(word, 3600000, &n) != 0 || n == 0)
		return EINVAL;
	*out = (int64_t)n;
	return 0;
}

static int
set_cell(struct options *o, const char *word)
{
	return set_time(word, &o->cell_ms);
}

static int
set_slot(struct options *o, const char *word)
{
	return set_time(word, &o->slot_ms);
}

static int
set_crowd(struct options *o, const char *word)
{
	return set_time(word, &o->crowd_ms);
}

static int
set_quick(struct options *o, const char *word)
{
	if (strcmp(word, "1") == 0) {
		o->cell_ms = 200;
		o->slot_ms = 10;
		o->crowd_ms = 100;
		o->deep = 100000;
	}
	return strcmp(word, "1") == 0 || strcmp(word, "0") == 0 ? 0 : EINVAL;
}

static const struct {
	const char *name;
	int (*one)(struct options *o, const char *word);
	const char *help;
} names[] = {
	{ "body", add_body, "bytes (default 100,1k,16k; up to 1 MiB)" },
	{ "batch", add_batch, "messages a call (default 1,10,100)" },
	{ "durability", add_mode, "full,relaxed,txn (txn: 10,000 messages in one user transaction)" },
	{ "rows", add_row, "some of those listed below, with commas" },
	{ "quick", set_quick, "1: a tenth of the time, 100,000 deep; rough figures" },
	{ "deep", set_deep, "messages waiting in the rows depth and fifo, remembered in dedup (default 1000000)" },
	{ "cell_ms", set_cell, "time for one cell, both sides together (default 1800)" },
	{ "slot_ms", set_slot, "time for one turn of one side (default 25; some rows take four times that)" },
	{ "crowd_ms", set_crowd, "time for one turn of many threads or processes (default 500)" },
	{ "dir", NULL, "where the stores are made, on a real disk (default $TMPDIR or /var/tmp)" },
};

static int
parse_word(struct options *o, const char *word)
{
	size_t len = strcspn(word, "=");

	for (size_t i = 0; word[len] == '=' && i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i].name) != len || strncmp(word, names[i].name, len) != 0)
			continue;
		if (names[i].one != NULL)
			return each(word + len + 1, names[i].one, o);
		o->dir = word + len + 1;
		return *o->dir == '\0' ? EINVAL : 0;
	}
	return EINVAL;
}

static int
fill_defaults(struct options *o)
{
	int rc = 0;

	if (o->body_count == 0)
		rc = each("100,1k,16k", add_body, o);
	if (rc == 0 && o->batch_count == 0)
		rc = each("1,10,100", add_batch, o);
	if (rc == 0 && o->mode_count == 0)
		rc = each("full,relaxed,txn", add_mode, o);
	if (o->rows == 0)
		o->rows = ~0u;
	return rc;
}

int
options_parse(struct options *o, int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");

	*o = (struct options){ .deep = 1000000, .cell_ms = 1800, .slot_ms = 25, .crowd_ms = 500 };
	o->dir = tmp != NULL && *tmp != '\0' ? tmp : "/var/tmp";
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "help") == 0 || strcmp(argv[i], "--help") == 0)
			return -1;
		if (parse_word(o, argv[i]) != 0) {
			(void)fprintf(stderr, "evq-bench: %s: not understood\n", argv[i]);
			return EINVAL;
		}
	}
	return fill_defaults(o);
}

void
options_help(void)
{
	(void)printf("usage: evq-bench [name=value[,value...]] ...\n");
	(void)printf("       make bench BENCH=\"body=100 batch=1,100 rows=life\"\n\n");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)printf("  %-11s %s\n", names[i].name, names[i].help);
	(void)printf("\nrows:\n");
	for (size_t i = 0; i < bench_row_count; i++)
		(void)printf("  %-11s %s\n", bench_rows[i].name, bench_rows[i].help);
}
