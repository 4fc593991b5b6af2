/* SPDX-License-Identifier: MIT */
/*
 * Owns the hot backup: a consistent copy while others go on working. It is flushed under another name and gets
 * its own by a link, which does not replace, so a store is never overwritten. It is a store of its own, with an id
 * of its own, so that no journal of the one it was copied from is ever taken for its own.
 *
 * Page by page we copy ourselves: LMDB would wait for its writer lock, without a timeout, and behind a tree that
 * is held open for long. What a reader sees is not written over, and the two pages that name it are read while
 * nobody writes.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char temporary[] = "copy.mdb";

enum { CHUNK = 1 << 20, METAS = 2 };

/* Bytes of the file from at to end, as far as there are any: a page that was never written reads as zeros. */
static int
copy_range(int from, int to, uint64_t at, uint64_t end)
{
	uint8_t *bytes = malloc(CHUNK);
	int rc = bytes ? 0 : ENOMEM;
	while (!rc && at < end) {
		ssize_t n = pread(from, bytes, end - at < CHUNK ? (size_t)(end - at) : CHUNK, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = n < 0 || ftruncate(to, (off_t)end) ? errno : 0;
			break;
		}
		rc = evq__files_write(to, bytes, (size_t)n, at);
		at += (uint64_t)n;
	}
	free(bytes);
	return rc;
}

/* The head of the file, and a reader that keeps what it names. Needs: nobody writes. */
static int
pin(struct evq__store *s, int from, int to, struct evq__txn *reader, uint64_t *end)
{
	MDB_envinfo info;
	int rc = evq__txn_glance(s, reader);
	if (rc)
		return rc;
	if (!(rc = mdb_env_info(s->env, &info)))
		rc = copy_range(from, to, 0, METAS * s->page_size);
	if (rc)
		return evq__txn_abort(reader, rc);
	*end = (info.me_last_pgno + 1) * s->page_size;
	return 0;
}

static int
copy_pages(struct evq__store *s, int to)
{
	struct evq__txn own, reader;
	uint64_t end = 0;
	int from, rc = mdb_env_get_fd(s->env, &from);
	if (!rc)
		rc = evq__txn_begin_own(s, &own);
	if (rc)
		return rc;
	if ((rc = evq__txn_abort(&own, pin(s, from, to, &reader, &end))))
		return rc;
	return evq__txn_abort(&reader, copy_range(from, to, METAS * s->page_size, end));
}

static int
copy_compact(struct evq__store *s, int to)
{
	struct evq__txn reader;
	int rc = evq__txn_snapshot(s, &reader); /* for what it does: everything is in the tree now */
	if (rc)
		return rc;
	(void)evq__txn_abort(&reader, 0);
	return mdb_env_copyfd2(s->env, to, MDB_CP_COMPACT);
}

static int
write_copy(struct evq__store *s, int dir_fd, mode_t mode, int compact)
{
	if (unlinkat(dir_fd, temporary, 0) && errno != ENOENT)
		return errno;
	int fd = openat(dir_fd, temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return errno;
	int rc = compact ? copy_compact(s, fd) : copy_pages(s, fd);
	if (!rc && fsync(fd))
		rc = errno;
	rc = evq__files_rc(fd, rc);
	if (close(fd) && !rc)
		rc = errno;
	return rc;
}

static int
give_id(const struct evq__store *s, const char *path)
{
	size_t len = strlen(path) + sizeof temporary + 1;
	char *file = malloc(len);
	if (!file)
		return ENOMEM;
	(void)snprintf(file, len, "%s/%s", path, temporary);
	int rc = evq__create_anew(file, s->shared->mapped_size);
	free(file);
	return rc;
}

static int
publish(int dir_fd)
{
	if (linkat(dir_fd, temporary, dir_fd, evq__data_name, 0))
		return errno;
	if (unlinkat(dir_fd, temporary, 0))
		return errno;
	return evq__files_sync_dir(dir_fd);
}

static int
copy_into(struct evq__store *s, const char *path, int dir_fd, mode_t mode, int compact)
{
	if (flock(dir_fd, LOCK_EX | LOCK_NB)) /* one copy at a time into a directory */
		return errno == EWOULDBLOCK ? EBUSY : errno;
	if (faccessat(dir_fd, evq__data_name, F_OK, 0) == 0)
		return EEXIST;
	int rc = write_copy(s, dir_fd, mode, compact);
	if (!rc)
		rc = give_id(s, path);
	if (!rc)
		rc = publish(dir_fd);
	if (rc)
		(void)unlinkat(dir_fd, temporary, 0);
	return rc;
}

static int
copy(struct evq__store *s, const char *path, int compact)
{
	struct stat st;
	int fd, dir_fd, rc = mdb_env_get_fd(s->env, &fd);
	if (!rc && fstat(fd, &st))
		rc = errno;
	if (!rc)
		rc = evq__files_dir(path, st.st_mode & 0777, &dir_fd);
	if (rc)
		return evq__files_rc(fd, rc);
	rc = copy_into(s, path, dir_fd, st.st_mode & 0777, compact);
	rc = evq__files_rc(dir_fd, rc);
	(void)close(dir_fd);
	return rc;
}

int
evq__store_copy(struct evq__store *s, const char *path, int compact)
{
	int cancel;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	int rc = copy(s, path, compact);
	(void)pthread_setcancelstate(cancel, NULL);
	return rc;
}
