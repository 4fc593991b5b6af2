/* SPDX-License-Identifier: MIT */
/*
 * Owns what the names in the recorded directory are, and what the descriptors are open on. A file is numbered when it
 * gets its first name and keeps its number under any other; one that comes again under the name of one that is
 * gone is another.
 */
#include "names.h"

#include "record.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { FDS = 1024, NAMES = 64, NAME_LEN = 64 };

static const char *root;
static struct names_fd fds[FDS];
static struct {
	char name[NAME_LEN]; /* empty: free */
	unsigned file;
} names[NAMES];

static char *
copy_name(const char *name)
{
	char *copy = strdup(name);
	if (!copy)
		record_die("record");
	return copy;
}

void
names_start(const char *path)
{
	root = path;
	memset(fds, 0, sizeof(fds));
	memset(names, 0, sizeof(names));
}

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
		if (strcmp(names[i].name, name) == 0)
			return i;
	return -1;
}

int
record_has_name(const char *name)
{
	return find_name(name) >= 0;
}

int
names_is(unsigned file, const char *name)
{
	int i = name ? find_name(name) : -1;
	return i >= 0 && names[i].file == file;
}

struct names_fd *
names_fd(int fd)
{
	static struct names_fd none;
	return fd >= 0 && fd < FDS ? &fds[fd] : &none;
}

static void
drop_name(const char *name)
{
	int i = find_name(name);
	if (i < 0)
		return;
	names[i].name[0] = 0;
}

static void
set_name(const char *name, unsigned file)
{
	int i = 0;
	drop_name(name);
	while (i < NAMES && names[i].name[0])
		i++;
	if (i == NAMES || strlen(name) >= sizeof(names[i].name))
		record_die("more or longer names than expected");
	memcpy(names[i].name, name, strlen(name) + 1);
	names[i].file = file;
}

static unsigned
open_file(const char *name, int flags)
{
	int i = find_name(name);
	if (i < 0) {
		set_name(name, record.files);
		record_add((struct entry){ .kind = ENTRY_LINK, .file = record.files, .name = copy_name(name) });
		return record.files++;
	}
	if (flags & O_TRUNC)
		record_add((struct entry){ .kind = ENTRY_SIZE, .file = names[i].file });
	return names[i].file;
}

void
record_opened(int fd, int dir_fd, const char *path, int flags)
{
	const char *name = fd >= 0 ? name_of(dir_fd, path) : NULL;
	if (!name)
		return;
	if (fd >= FDS)
		record_die("more descriptors than expected");
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
	record_add((struct entry){
		.kind = ENTRY_RENAME, .file = file, .name = copy_name(name), .to = copy_name(new_name) });
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
	record_add((struct entry){ .kind = ENTRY_LINK, .file = names[i].file, .name = copy_name(new_name) });
	set_name(new_name, names[i].file);
}

void
record_unlinked(int dir_fd, const char *path)
{
	const char *name = name_of(dir_fd, path);
	if (!name || find_name(name) < 0)
		return;
	record_add((struct entry){ .kind = ENTRY_UNLINK, .name = copy_name(name) });
	drop_name(name);
}

void
record_made(const char *path)
{
	if (strcmp(path, root) == 0)
		record_add((struct entry){ .kind = ENTRY_MKDIR });
}
