/* SPDX-License-Identifier: MIT */
/*
 * Owns what lies in the store's directory, as files: data.mdb and lock.mdb are LMDB's, evq.shared is ours.
 * It keeps LMDB away from what would kill the process: a lock file that is mapped but not on the disk, and
 * a data file that ends before its last page, are both a SIGBUS at some later access, not an error.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
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

int
evq__files_dir(const char *path, unsigned mode, int *fd_out)
{
	unsigned search = (mode & 0444) >> 2; /* who may read the files may enter the directory */
	if (mkdir(path, (mode_t)(mode | search)) && errno != EEXIST)
		return errno;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	*fd_out = fd;
	return 0;
}

int
evq__files_reserve(int fd, uint64_t len)
{
	int rc;
	do
		rc = posix_fallocate(fd, 0, (off_t)len);
	while (rc == EINTR);
	return rc == ENOSPC || rc == EDQUOT || rc == EFBIG ? EVQ_FULL : rc;
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

/*
 * The head of an LMDB 0.9 file, for 64-bit words in host order. Source: the file as LMDB 0.9 writes it,
 * two meta pages at 0 and at the page size, each: page head of 16 bytes, u32 magic, u32 version,
 * address, map size, two records of a database of 48 bytes (the first of which begins with the page size),
 * last page, transaction.
 */
enum {
	META_MAGIC_AT = 16,
	META_VERSION_AT = 20,
	META_PAGE_SIZE_AT = 40,
	META_LAST_PAGE_AT = 136,
	META_TXN_AT = 144,
	META_LEN = 152
};
#define META_MAGIC UINT32_C(0xBEEFC0DE)

struct meta {
	uint32_t magic, version, page_size;
	uint64_t last_page, txn;
};

static int
read_meta(int fd, uint64_t at, struct meta *m)
{
	uint8_t b[META_LEN];
	ssize_t n = pread(fd, b, sizeof b, (off_t)at);
	if (n < 0)
		return errno;
	if (n != META_LEN)
		return EVQ_FORMAT;
	memcpy(&m->magic, b + META_MAGIC_AT, 4);
	memcpy(&m->version, b + META_VERSION_AT, 4);
	memcpy(&m->page_size, b + META_PAGE_SIZE_AT, 4);
	memcpy(&m->last_page, b + META_LAST_PAGE_AT, 8);
	memcpy(&m->txn, b + META_TXN_AT, 8);
	return m->magic == META_MAGIC && m->version == 1 ? 0 : EVQ_FORMAT;
}

/* LMDB reads the newer meta page; a file that ends before that one's last page cannot be mapped safely. */
static int
check_length(int fd)
{
	struct meta first, second;
	struct stat st;
	int rc = read_meta(fd, 0, &first);
	if (rc)
		return rc;
	if (first.page_size < 512 || first.page_size > 65536 || (first.page_size & (first.page_size - 1)))
		return EVQ_FORMAT;
	if ((rc = read_meta(fd, first.page_size, &second)))
		return rc;
	const struct meta *newer = second.txn > first.txn ? &second : &first;
	if (fstat(fd, &st))
		return errno;
	return newer->last_page < (uint64_t)st.st_size / first.page_size ? 0 : EVQ_FORMAT;
}

int
evq__files_check(int dir_fd)
{
	int fd = openat(dir_fd, evq__data_name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	struct stat st;
	int rc = fstat(fd, &st) ? errno : S_ISREG(st.st_mode) ? 0 : EVQ_FORMAT;
	if (!rc && sizeof(size_t) == 8)
		rc = check_length(fd);
	(void)close(fd);
	return rc;
}

int
evq__files_sync_dir(int dir_fd)
{
	return fsync(dir_fd) ? errno : 0;
}
