/* SPDX-License-Identifier: MIT */
/* Owns the record: its lock, its entries, and what mapped files held last. */
#include "record.h"

#include "names.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAPS = 16 };

struct record record;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static enum { STATE_OFF, STATE_ON, STATE_STOPPED } state;
static const char *lie;

static struct {
	unsigned char *at, *last;
	size_t len;
	unsigned file;
} maps[MAPS];

void
record_die(const char *what)
{
	perror(what);
	_exit(2);
}

static void *
copy(const void *bytes, size_t len)
{
	void *p = malloc(len ? len : 1);
	if (!p)
		record_die("record");
	memcpy(p, bytes, len);
	return p;
}

/* ---- entries ---------------------------------------------------------------------------------------- */

static struct entry *
append(struct entry e)
{
	if (record.count == record.room) {
		record.room = record.room ? record.room * 2 : 4096;
		record.entries = realloc(record.entries, record.room * sizeof(*record.entries));
		if (!record.entries)
			record_die("record");
	}
	record.entries[record.count] = e;
	return &record.entries[record.count++];
}

static void
append_write(unsigned file, uint64_t at, const unsigned char *bytes, size_t len)
{
	struct entry *last = NULL;
	while (len) {
		size_t room = RECORD_PAGE - at % RECORD_PAGE, n = len < room ? len : room;
		last = append((struct entry){
			.kind = ENTRY_WRITE, .file = file, .at = at, .len = n, .data = copy(bytes, n), .more = 1 });
		at += n;
		bytes += n;
		len -= n;
	}
	if (last)
		last->more = 0;
}

/* A mapping may change while it is looked at: then it is torn here as it would be on the disk. */
static void
append_maps(void)
{
	for (int i = 0; i < MAPS; i++)
		for (size_t at = 0; maps[i].at && at < maps[i].len; at += RECORD_PAGE) {
			size_t left = maps[i].len - at, len = left < RECORD_PAGE ? left : RECORD_PAGE;
			unsigned char *last = maps[i].last + at;
			if (memcmp(last, maps[i].at + at, len) == 0)
				continue;
			memcpy(last, maps[i].at + at, len);
			append_write(maps[i].file, at, last, len);
			record.entries[record.count - 1].more = 1;
		}
}

void
record_add(struct entry e)
{
	append_maps();
	append(e);
}

void
record_mark(enum entry_kind kind, uint64_t number)
{
	if (!record_begin_any())
		return;
	record_add((struct entry){ .kind = kind, .at = number });
	record_end();
}

void
record_print(const struct entry *e, size_t number, void *file)
{
	static const char *const kinds[] = { "write",  "size",      "flush", "link",         "unlink", "rename",
		                             "flush directory", "mkdir", "flush parent", "call",   "answer" };
	fprintf(file, "%8zu %-15s", number, kinds[e->kind]);
	if (e->kind <= ENTRY_LINK)
		fprintf(file, " file %u", e->file);
	if (e->name)
		fprintf(file, " %s %s", e->name, e->to ? e->to : "");
	if (e->kind == ENTRY_WRITE)
		fprintf(file, " page %llu + %llu, %llu bytes", (unsigned long long)e->at / RECORD_PAGE,
		        (unsigned long long)e->at % RECORD_PAGE, (unsigned long long)e->len);
	else if (e->kind == ENTRY_SIZE || e->kind >= ENTRY_CALL)
		fprintf(file, " %llu", (unsigned long long)e->at);
	if (e->covers)
		fprintf(file, " of all before %zu", e->covers);
	fprintf(file, "\n");
}

/* ---- contents ----------------------------------------------------------------------------------------- */

static void
add_flush(unsigned file, uint64_t at, uint64_t len, size_t covers)
{
	if (names_is(file, lie))
		record.lies++;
	else
		record_add((struct entry){ .kind = ENTRY_FLUSH, .file = file, .at = at, .len = len, .covers = covers });
}

void
record_wrote(int fd, int64_t at, const struct iovec *v, ssize_t len)
{
	int error = errno;
	uint64_t to = (uint64_t)at;
	size_t left = len > 0 ? (size_t)len : 0;
	append_maps();
	for (; left; v++) {
		size_t n = v->iov_len < left ? v->iov_len : left;
		append_write(names_fd(fd)->file, to, v->iov_base, n);
		to += n;
		if (left -= n)
			record.entries[record.count - 1].more = 1;
	}
	if (names_fd(fd)->syncs && len > 0)
		add_flush(names_fd(fd)->file, (uint64_t)at, (uint64_t)len, record.count);
	errno = error;
}

void
record_sized(int fd)
{
	struct stat st;
	if (fstat(fd, &st) == 0)
		record_add((struct entry){ .kind = ENTRY_SIZE, .file = names_fd(fd)->file, .at = (uint64_t)st.st_size });
}

size_t
record_flush_begins(void)
{
	pthread_mutex_lock(&mutex);
	size_t covers = record.count;
	pthread_mutex_unlock(&mutex);
	return covers;
}

void
record_flushed(int fd, size_t covers)
{
	if (!record_begin(fd))
		return;
	const struct names_fd *of = names_fd(fd);
	enum entry_kind kind = of->kind == FD_DIR ? ENTRY_FLUSH_DIR : ENTRY_FLUSH_PARENT;
	if (of->kind == FD_FILE)
		add_flush(of->file, 0, UINT64_MAX, covers);
	else
		record_add((struct entry){ .kind = kind, .covers = covers });
	record_end();
}

void
record_mapped(int fd, void *at, size_t len)
{
	struct stat st;
	int i = 0;
	while (i < MAPS && maps[i].at)
		i++;
	if (i == MAPS || fstat(fd, &st))
		record_die("mapping");
	maps[i].len = len < (size_t)st.st_size ? len : (size_t)st.st_size; /* there is nothing behind the end to look at */
	maps[i].last = calloc(1, maps[i].len + 1);
	maps[i].file = names_fd(fd)->file;
	maps[i].at = at;
}

void
record_unmapped(void *at)
{
	append_maps();
	for (int i = 0; i < MAPS; i++)
		if (maps[i].at == at) {
			free(maps[i].last);
			maps[i].at = NULL;
		}
}

/* ---- begin and end -------------------------------------------------------------------------------------- */

int
record_begin_any(void)
{
	if (state != STATE_ON)
		return 0;
	pthread_mutex_lock(&mutex);
	return 1;
}

int
record_begin(int fd)
{
	if (!record_begin_any())
		return 0;
	if (names_fd(fd)->kind != FD_NONE)
		return 1;
	record_end();
	return 0;
}

void
record_end(void)
{
	pthread_mutex_unlock(&mutex);
}

int
record_is_stopped(void)
{
	return state == STATE_STOPPED;
}

void
record_start(const char *path, const char *lied_about)
{
	names_start(path);
	lie = lied_about;
	state = STATE_ON;
}

void
record_stop(void)
{
	state = STATE_STOPPED;
}

void
record_leave(void)
{
	memset(&record, 0, sizeof(record));
	state = STATE_OFF;
}

void
record_forget(void)
{
	for (size_t i = 0; i < record.count; i++) {
		free((void *)(uintptr_t)record.entries[i].data);
		free((void *)(uintptr_t)record.entries[i].name);
		free((void *)(uintptr_t)record.entries[i].to);
	}
	free(record.entries);
	record_leave();
}
