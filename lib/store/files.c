/* SPDX-License-Identifier: MIT */
/*
 * Owns what lies in the store's directory, as files: data.mdb and lock.mdb are LMDB's, evq.shared is ours.
 * A lock file that is mapped but not on the disk is a SIGBUS at some later access, not an error: so LMDB
 * finds one that is on the disk.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

const char evq__data_name[] = "data.mdb", evq__lock_name[] = "lock.mdb", evq__shared_name[] = "evq.shared";

/* Source: statfs(2). File systems whose locks or mappings are not those of one host. */
static const uint32_t network[] = {
	0x6969,     /* NFS */
	0x517b,     /* SMB */
	0xff534d42, /* CIFS */
	0xfe534d42, /* SMB2 */
	0x564c,     /* NCP */
	0x73757245, /* Coda */
	0x5346414f, /* AFS */
	0x6b414653, /* kAFS */
	0x00c36400, /* Ceph */
	0x01021997, /* 9P */
	0x0bd00bd0, /* Lustre */
	0x01161970, /* GFS2 */
	0x7461636f  /* OCFS2 */
};

int
evq__files_local(int fd)
{
	struct statfs fs;
	if (fstatfs(fd, &fs))
		return errno;
	for (size_t i = 0; i < sizeof network / sizeof *network; i++)
		if ((uint32_t)fs.f_type == network[i])
			return EREMOTE;
	return 0;
}

/* The name of a directory is its parent's. */
static int
sync_parent(int dir_fd)
{
	int fd = openat(dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? 0 : errno; /* who may only pass through it cannot flush it either */
	int rc = fsync(fd) ? errno : 0;
	(void)close(fd);
	return rc;
}

int
evq__files_dir(const char *path, unsigned mode, int *fd_out)
{
	unsigned search = (mode & 0444) >> 2; /* who may read the files may enter the directory */
	int made = mkdir(path, (mode_t)(mode | search)) == 0;
	if (!made && errno != EEXIST)
		return errno;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	int rc = made ? sync_parent(fd) : 0;
	if (rc)
		(void)close(fd);
	else
		*fd_out = fd;
	return rc;
}

static int
is_disk_full(int fd)
{
	struct statvfs fs;
	return !fstatvfs(fd, &fs) && (uint64_t)fs.f_bavail * fs.f_frsize < EVQ__RESERVE_PAGES * UINT64_C(4096);
}

int
evq__files_rc(int fd, int rc)
{
	if (rc == ENOSPC || rc == EDQUOT || rc == EFBIG)
		return EVQ_FULL;
	return rc == EIO && is_disk_full(fd) ? EVQ_FULL : rc; /* LMDB's word for a write that came out short */
}

/* Where space cannot be taken in advance the file has its length at least. */
static int
lengthen(int fd, uint64_t len)
{
	struct stat st;
	if (fstat(fd, &st))
		return errno;
	return (uint64_t)st.st_size < len && ftruncate(fd, (off_t)len) ? errno : 0;
}

int
evq__files_reserve(int fd, uint64_t len)
{
	int rc;
	do
		rc = posix_fallocate(fd, 0, (off_t)len);
	while (rc == EINTR);
	if (rc == EOPNOTSUPP || rc == EINVAL || rc == ENOSYS)
		rc = lengthen(fd, len);
	return evq__files_rc(fd, rc);
}

/* Source: lmdb.h promises no length; 64 bytes a reader and two cache lines of head is what 0.9 uses. */
int
evq__files_lock(int dir_fd, unsigned mode)
{
	int fd = openat(dir_fd, evq__lock_name, O_RDWR | O_CREAT | O_CLOEXEC, (mode_t)mode);
	if (fd < 0)
		return errno;
	int rc = evq__files_reserve(fd, (uint64_t)(EVQ__MAX_READERS + 2) * 64);
	if (close(fd) && !rc)
		rc = errno;
	return rc;
}

int
evq__files_sync_dir(int dir_fd)
{
	return fsync(dir_fd) ? errno : 0;
}

int
evq__files_write(int fd, const void *bytes, size_t len, uint64_t at)
{
	const uint8_t *from = bytes;
	while (len) {
		ssize_t n = pwrite(fd, from, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		from += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int
evq__files_read(int fd, void *bytes, size_t len, uint64_t at)
{
	uint8_t *to = bytes;
	while (len) {
		ssize_t n = pread(fd, to, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EVQ__NONE;
		to += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}
