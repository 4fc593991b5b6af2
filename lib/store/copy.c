/* SPDX-License-Identifier: MIT */
/*
 * Owns the hot backup. LMDB writes a consistent copy while others go on working; it is flushed under
 * another name and gets its own by a link, which does not replace, so a store is never overwritten.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static const char temporary[] = "copy.mdb";

static int
write_copy(struct evq__store *s, int dir_fd, mode_t mode, int compact)
{
	if (unlinkat(dir_fd, temporary, 0) && errno != ENOENT)
		return errno;
	int fd = openat(dir_fd, temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return errno;
	int rc = mdb_env_copyfd2(s->env, fd, compact ? MDB_CP_COMPACT : 0);
	if (!rc && fsync(fd))
		rc = errno;
	rc = evq__files_rc(fd, rc);
	if (close(fd) && !rc)
		rc = errno;
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
copy_into(struct evq__store *s, int dir_fd, mode_t mode, int compact)
{
	if (flock(dir_fd, LOCK_EX | LOCK_NB)) /* one copy at a time into a directory */
		return errno == EWOULDBLOCK ? EBUSY : errno;
	if (faccessat(dir_fd, evq__data_name, F_OK, 0) == 0)
		return EEXIST;
	int rc = write_copy(s, dir_fd, mode, compact);
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
	int fd, dir_fd, rc = evq__shared_lock(s);
	if (rc)
		return rc;
	evq__shared_unlock(s); /* LMDB takes its own for a moment, without a timeout: not behind a stopped writer */
	rc = mdb_env_get_fd(s->env, &fd);
	if (!rc && fstat(fd, &st))
		rc = errno;
	if (!rc)
		rc = evq__files_dir(path, st.st_mode & 0777, &dir_fd);
	if (rc)
		return evq__files_rc(fd, rc);
	rc = copy_into(s, dir_fd, st.st_mode & 0777, compact);
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
