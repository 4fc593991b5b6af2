/* SPDX-License-Identifier: MIT */
/*
 * Owns the record: its lock, its entries, which descriptor is which file, which name is which file, and what mapped
 * files held last. A file is numbered when it gets its first name and keeps its number under any other; one that
 * comes again under the name of one that is gone is another.
 */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FDS = 1024, NAMES = 64, MAPS = 16 };
enum fd_kind { FD_NONE, FD_FILE, FD_DIR, FD_PARENT };

struct record record;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static enum { STATE_OFF, STATE_ON, STATE_STOPPED } state;
static const char *root, *lie;

static struct {
	enum fd_kind kind;
	unsigned file;
	int syncs; /* a write through it is flushed when it returns */
} fds[FDS];

static struct {
	char *name; /* NULL: free */
	unsigned file;
} names[NAMES];

static struct {
	unsigned char *at, *last;
	size_t len;
	unsigned file;
} maps[MAPS];

static void
die(const char *what)
{
	perror(what);
	_exit(2);
}

static void *
copy(const void *bytes, size_t len)
{
	void *p = malloc(len ? len : 1);
	if (!p)
		die("record");
	memcpy(p, bytes, len);
	return p;
}

static char *
copy_name(const char *name)
{
	return copy(name, strlen(name) + 1);
}

/* ---- entries ---------------------------------------------------------------------------------------- */

static struct entry *
append(struct entry e)
{
	if (record.count == record.room) {
		record.room = record.room ? record.room * 2 : 4096;
		record.entries = realloc(record.entries, record.room * sizeof(*record.entries));
		if (!record.entries)
			die("record");
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

static struct entry *
add(struct entry e)
{
	append_maps();
	return append(e);
}

void
record_mark(enum entry_kind kind, uint64_t number)
{
	if (!record_begin_any())
		return;
	add((struct entry){ .kind = kind, .at = number });
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

/* ---- names and descriptors --------------------------------------------------------------------------- */

/* The name in the directory; "." for itself, ".." for its parent; NULL for what is elsewhere. */
static const char *
name_of(int dir_fd, const char *path)
{
	size_t len = strlen(root);
	if (path[0] == '/' && strncmp(path, root, len) == 0 && (path[len] == '/' || !path[len]))
		path = path[len] ? path + len + 1 : ".";
	else if (path[0] == '/' || dir_fd < 0 || dir_fd >= FDS || fds[dir_fd].kind != FD_DIR)
		return NULL;
	return *path && !strchr(path, '/') ? path : NULL;
}

static int
find_name(const char *name)
{
	for (int i = 0; i < NAMES; i++)
		if (names[i].name && strcmp(names[i].name, name) == 0)
			return i;
	return -1;
}

int
record_has_name(const char *name)
{
	return find_name(name) >= 0;
}

static void
drop_name(const char *name)
{
	int i = find_name(name);
	if (i < 0)
		return;
	free(names[i].name);
	names[i].name = NULL;
}

static void
set_name(const char *name, unsigned file)
{
	int i = 0;
	drop_name(name);
	while (i < NAMES && names[i].name)
		i++;
	if (i == NAMES)
		die("more names than expected");
	names[i].name = copy_name(name);
	names[i].file = file;
}

static int
is_lied_about(unsigned file)
{
	int i = lie ? find_name(lie) : -1;
	return i >= 0 && names[i].file == file;
}

static unsigned
open_file(const char *name, int flags)
{
	int i = find_name(name);
	if (i < 0) {
		set_name(name, record.files);
		add((struct entry){ .kind = ENTRY_LINK, .file = record.files, .name = copy_name(name) });
		return record.files++;
	}
	if (flags & O_TRUNC)
		add((struct entry){ .kind = ENTRY_SIZE, .file = names[i].file });
	return names[i].file;
}

void
record_opened(int fd, int dir_fd, const char *path, int flags)
{
	const char *name = fd >= 0 ? name_of(dir_fd, path) : NULL;
	if (!name)
		return;
	if (fd >= FDS)
		die("more descriptors than expected");
	memset(&fds[fd], 0, sizeof(fds[fd]));
	fds[fd].kind = strcmp(name, ".") == 0 ? FD_DIR : strcmp(name, "..") == 0 ? FD_PARENT : FD_FILE;
	fds[fd].syncs = (flags & O_DSYNC) != 0; /* which O_SYNC contains */
	if (fds[fd].kind == FD_FILE)
		fds[fd].file = open_file(name, flags);
}

void
record_copied(int fd, int from)
{
	if (fd >= 0 && fd < FDS && from >= 0 && from < FDS)
		fds[fd] = fds[from];
}

void
record_closed(int fd)
{
	if (fd >= 0 && fd < FDS)
		fds[fd].kind = FD_NONE;
}

void
record_renamed(int dir_fd, const char *path, int to_dir_fd, const char *to)
{
	const char *name = name_of(dir_fd, path), *new_name = name_of(to_dir_fd, to);
	int i = name ? find_name(name) : -1;
	if (i < 0 || !new_name)
		return;
	unsigned file = names[i].file;
	add((struct entry){ .kind = ENTRY_RENAME, .file = file, .name = copy_name(name), .to = copy_name(new_name) });
	drop_name(name);
	set_name(new_name, file);
}

void
record_linked(int dir_fd, const char *path, int to_dir_fd, const char *to)
{
	const char *name = name_of(dir_fd, path), *new_name = name_of(to_dir_fd, to);
	int i = name ? find_name(name) : -1;
	if (i < 0 || !new_name)
		return;
	add((struct entry){ .kind = ENTRY_LINK, .file = names[i].file, .name = copy_name(new_name) });
	set_name(new_name, names[i].file);
}

void
record_unlinked(int dir_fd, const char *path)
{
	const char *name = name_of(dir_fd, path);
	if (!name || find_name(name) < 0)
		return;
	add((struct entry){ .kind = ENTRY_UNLINK, .name = copy_name(name) });
	drop_name(name);
}

void
record_made(const char *path)
{
	if (strcmp(path, root) == 0)
		add((struct entry){ .kind = ENTRY_MKDIR });
}

/* ---- contents ----------------------------------------------------------------------------------------- */

static void
add_flush(unsigned file, uint64_t at, uint64_t len, size_t covers)
{
	if (is_lied_about(file))
		record.lies++;
	else
		add((struct entry){ .kind = ENTRY_FLUSH, .file = file, .at = at, .len = len, .covers = covers });
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
		append_write(fds[fd].file, to, v->iov_base, n);
		to += n;
		if (left -= n)
			record.entries[record.count - 1].more = 1;
	}
	if (fds[fd].syncs && len > 0)
		add_flush(fds[fd].file, (uint64_t)at, (uint64_t)len, record.count);
	errno = error;
}

void
record_sized(int fd)
{
	struct stat st;
	if (fstat(fd, &st) == 0)
		add((struct entry){ .kind = ENTRY_SIZE, .file = fds[fd].file, .at = (uint64_t)st.st_size });
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
	if (fds[fd].kind == FD_FILE)
		add_flush(fds[fd].file, 0, UINT64_MAX, covers);
	else
		add((struct entry){ .kind = fds[fd].kind == FD_DIR ? ENTRY_FLUSH_DIR : ENTRY_FLUSH_PARENT, .covers = covers });
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
		die("mapping");
	maps[i].len = len < (size_t)st.st_size ? len : (size_t)st.st_size; /* there is nothing behind the end to look at */
	maps[i].last = calloc(1, maps[i].len + 1);
	maps[i].file = fds[fd].file;
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
	if (fd < 0 || fd >= FDS || !record_begin_any())
		return 0;
	if (fds[fd].kind != FD_NONE)
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
	root = path;
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
	memset(fds, 0, sizeof(fds));
	memset(names, 0, sizeof(names));
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
	for (int i = 0; i < NAMES; i++)
		free(names[i].name);
	record_leave();
}
