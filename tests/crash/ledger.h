/* SPDX-License-Identifier: MIT */
/*
 * What processes that are killed at any moment remember of what they did, and whether the store agrees.
 *
 * Each process appends entries to a file of its own with write(2): before it tries something that may
 * take a message away (INTENT), and right after the library acknowledged something. An acknowledgement
 * that is not in the file was never seen by anyone; one that is there must hold for ever.
 *
 * ledger_check() knows all that was sent, received and deleted, and all that the store still gives:
 *
 *   - what was sent and acknowledged was received by somebody or is still there; where nobody even tried to
 *     delete it, it is still there;
 *   - what was deleted and acknowledged is not there, and no receive that began later got it;
 *   - of what was sent together all or nothing was ever seen;
 *   - an id has one number, and a number one id.
 */
#ifndef EVQ_TESTS_CRASH_LEDGER_H
#define EVQ_TESTS_CRASH_LEDGER_H

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum entry_type {
	ENTRY_SENT = 1, /* acknowledged */
	ENTRY_RECEIVED, /* at: when the receive began */
	ENTRY_INTENT,   /* to delete it */
	ENTRY_DELETED,  /* acknowledged; at: after that */
	ENTRY_LEFT      /* found in the store at the end */
};

struct entry {
	uint32_t type, together; /* messages sent with it, itself included */
	uint64_t id, number, first; /* number: its own, never used again; first: that of the first sent with it */
	int64_t at_ns;
};

struct ledger {
	struct entry *entries;
	size_t count, room;
	int faults;
};

static int64_t
ledger_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void
ledger_die(const char *what)
{
	perror(what);
	exit(1);
}

static void
ledger_write(int fd, const struct entry *entries, size_t count)
{
	if (count && write(fd, entries, count * sizeof(*entries)) != (ssize_t)(count * sizeof(*entries)))
		ledger_die("ledger");
}

static int
ledger_open(const char *dir, unsigned worker)
{
	char name[4096];
	snprintf(name, sizeof(name), "%s/ledger.%u", dir, worker);
	int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		ledger_die(name);
	return fd;
}

static void
ledger_add(struct ledger *l, const struct entry *e)
{
	if (l->count == l->room) {
		l->room = l->room ? l->room * 2 : 4096;
		l->entries = realloc(l->entries, l->room * sizeof(*l->entries));
		if (!l->entries)
			ledger_die("ledger");
	}
	l->entries[l->count++] = *e;
}

static void
ledger_load(struct ledger *l, const char *dir)
{
	DIR *d = opendir(dir);
	for (struct dirent *file; d && (file = readdir(d));) {
		char name[4096 + sizeof(file->d_name)];
		struct entry e;
		if (strncmp(file->d_name, "ledger.", 7))
			continue;
		snprintf(name, sizeof(name), "%s/%s", dir, file->d_name);
		FILE *f = fopen(name, "r");
		while (f && fread(&e, sizeof(e), 1, f) == 1) /* the last one may be cut: it was not written, then */
			ledger_add(l, &e);
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
}

static void
ledger_fault(struct ledger *l, const struct entry *e, const char *what)
{
	if (l->faults++ < 20)
		fprintf(stderr, "message %" PRIu64 " (number %" PRIu64 "): %s\n", e->id, e->number, what);
}

static int
by_id(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (int)x->type - (int)y->type;
}

static int
by_number(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* All that is known of one id: e[0] ... e[count - 1]. */
static void
ledger_check_message(struct ledger *l, const struct entry *e, size_t count)
{
	size_t n[ENTRY_LEFT + 1] = { 0 };
	int64_t deleted_at = INT64_MAX;
	for (size_t i = 0; i < count; i++) {
		n[e[i].type]++;
		if (e[i].number != e->number)
			ledger_fault(l, &e[i], "one id, two messages");
		if (e[i].type == ENTRY_DELETED && e[i].at_ns < deleted_at)
			deleted_at = e[i].at_ns;
	}
	if (n[ENTRY_SENT] && !n[ENTRY_RECEIVED] && !n[ENTRY_LEFT])
		ledger_fault(l, e, "sent, never received, and not there");
	if (n[ENTRY_SENT] && !n[ENTRY_INTENT] && !n[ENTRY_LEFT])
		ledger_fault(l, e, "nobody deleted it, and it is not there");
	if (n[ENTRY_DELETED] && n[ENTRY_LEFT])
		ledger_fault(l, e, "deleted, and still there");
	if (n[ENTRY_SENT] > 1 || n[ENTRY_DELETED] > 1 || n[ENTRY_LEFT] > 1)
		ledger_fault(l, e, "sent, deleted or left twice");
	for (size_t i = 0; i < count; i++)
		if (e[i].type == ENTRY_RECEIVED && e[i].at_ns > deleted_at)
			ledger_fault(l, e, "received after it was deleted");
}

/* Those sent together, of which one was seen: e[0] ... e[count - 1] by number, of any type. */
static void
ledger_check_together(struct ledger *l, const struct entry *e, size_t count)
{
	uint32_t different = 0;
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || e[i].number != e[i - 1].number)
			different++;
		else if (e[i].id != e[i - 1].id)
			ledger_fault(l, &e[i], "one message, two ids");
	}
	if (different != e->together)
		ledger_fault(l, e, "only some of what was sent together is there");
}

static void
ledger_check(struct ledger *l)
{
	size_t from = 0;
	qsort(l->entries, l->count, sizeof(*l->entries), by_id);
	for (size_t i = 1; i <= l->count; i++)
		if (i == l->count || l->entries[i].id != l->entries[from].id) {
			ledger_check_message(l, &l->entries[from], i - from);
			from = i;
		}
	from = 0;
	qsort(l->entries, l->count, sizeof(*l->entries), by_number);
	for (size_t i = 1; i <= l->count; i++)
		if (i == l->count || l->entries[i].first != l->entries[from].first) {
			ledger_check_together(l, &l->entries[from], i - from);
			from = i;
		}
}

static size_t
ledger_count(const struct ledger *l, uint32_t type)
{
	size_t count = 0;
	for (size_t i = 0; i < l->count; i++)
		count += l->entries[i].type == type;
	return count;
}

#endif
