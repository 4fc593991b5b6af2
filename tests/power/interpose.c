/* SPDX-License-Identifier: MIT */
/*
 * The functions that stand before the C library's, for the library under test and for LMDB: the program is linked
 * with -rdynamic. Each does its work by the one of that name that comes next, and tells the record of it.
 *
 * A flush takes a moment, as it does on a disk and not in memory, so that other threads write meanwhile. While the
 * record is stopped, it takes none and does nothing; and the machine was started anew after the power came back,
 * so its boot is another.
 */
#undef _FORTIFY_SOURCE /* it has bodies of its own for some of these functions */

#include "record.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The C library's own function of that name. Data pointers hold functions where there is dlsym(). */
#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

/* ---- writing ---------------------------------------------------------------------------------------- */

#define RECORD_PWRITE(name, offset)                                                              \
	ssize_t name(int fd, const void *bytes, size_t len, offset at);                          \
	ssize_t name(int fd, const void *bytes, size_t len, offset at)                           \
	{                                                                                        \
		struct iovec v = { (void *)(uintptr_t)bytes, len };                              \
		if (!record_begin(fd))                                                           \
			return REAL(name)(fd, bytes, len, at);                                   \
		ssize_t n = REAL(name)(fd, bytes, len, at);                                      \
		record_wrote(fd, at, &v, n);                                                     \
		record_end();                                                                    \
		return n;                                                                        \
	}
RECORD_PWRITE(pwrite, off_t)
RECORD_PWRITE(pwrite64, off64_t)

#define RECORD_PWRITEV(name, offset)                                                             \
	ssize_t name(int fd, const struct iovec *v, int count, offset at);                       \
	ssize_t name(int fd, const struct iovec *v, int count, offset at)                        \
	{                                                                                        \
		if (!record_begin(fd))                                                           \
			return REAL(name)(fd, v, count, at);                                     \
		ssize_t n = REAL(name)(fd, v, count, at);                                        \
		record_wrote(fd, at, v, n);                                                      \
		record_end();                                                                    \
		return n;                                                                        \
	}
RECORD_PWRITEV(pwritev, off_t)
RECORD_PWRITEV(pwritev64, off64_t)

/* These write where the descriptor stands, and leave it behind what they wrote. */
static int64_t
place_before(int fd, ssize_t written)
{
	int error = errno;
	int64_t at = lseek(fd, 0, SEEK_CUR);
	errno = error;
	return written > 0 ? at - written : at;
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	struct iovec v = { (void *)(uintptr_t)bytes, len };
	if (!record_begin(fd))
		return REAL(write)(fd, bytes, len);
	ssize_t n = REAL(write)(fd, bytes, len);
	record_wrote(fd, place_before(fd, n), &v, n);
	record_end();
	return n;
}

ssize_t
writev(int fd, const struct iovec *v, int count)
{
	if (!record_begin(fd))
		return REAL(writev)(fd, v, count);
	ssize_t n = REAL(writev)(fd, v, count);
	record_wrote(fd, place_before(fd, n), v, n);
	record_end();
	return n;
}

/* Those that change the size, and return 0 when they did. */
#define RECORD_SIZE(name, parameters, arguments)        \
	int name parameters;                            \
	int name parameters                             \
	{                                               \
		if (!record_begin(fd))                  \
			return REAL(name) arguments;    \
		int rc = REAL(name) arguments;          \
		if (!rc)                                \
			record_sized(fd);               \
		record_end();                           \
		return rc;                              \
	}
RECORD_SIZE(ftruncate, (int fd, off_t len), (fd, len))
RECORD_SIZE(ftruncate64, (int fd, off64_t len), (fd, len))
RECORD_SIZE(posix_fallocate, (int fd, off_t from, off_t len), (fd, from, len))
RECORD_SIZE(posix_fallocate64, (int fd, off64_t from, off64_t len), (fd, from, len))
RECORD_SIZE(fallocate, (int fd, int mode, off_t from, off_t len), (fd, mode, from, len))
RECORD_SIZE(fallocate64, (int fd, int mode, off64_t from, off64_t len), (fd, mode, from, len))

/* ---- flushing --------------------------------------------------------------------------------------- */

#define RECORD_FLUSH(name)                                                                       \
	int name(int fd)                                                                         \
	{                                                                                        \
		if (record_is_stopped())                                                         \
			return 0;                                                                \
		size_t covers = record_flush_begins();                                           \
		int rc = REAL(name)(fd);                                                         \
		(void)nanosleep(&(struct timespec){ 0, 50000 + (long)(covers % 7) * 20000 }, NULL); \
		if (!rc)                                                                         \
			record_flushed(fd, covers);                                              \
		return rc;                                                                       \
	}
RECORD_FLUSH(fsync)
RECORD_FLUSH(fdatasync)

/* What is written through a mapping counts as lost, in any case. */
int
msync(void *at, size_t len, int flags)
{
	return record_is_stopped() ? 0 : REAL(msync)(at, len, flags);
}

void *
mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
	void *p = REAL(mmap)(at, len, protection, flags, fd, offset);
	if (p == MAP_FAILED || !(flags & MAP_SHARED) || !(protection & PROT_WRITE) || !record_begin(fd))
		return p;
	record_mapped(fd, p, len);
	record_end();
	return p;
}

int
munmap(void *at, size_t len)
{
	if (record_begin_any()) {
		record_unmapped(at);
		record_end();
	}
	return REAL(munmap)(at, len);
}

/* ---- names and descriptors ---------------------------------------------------------------------------- */

/* The file with the name of this boot, where another one is called for. */
static const char *
after_the_boot(const char *path)
{
	static const char boot_id[] = "/proc/sys/kernel/random/boot_id", uuid[] = "/proc/sys/kernel/random/uuid";
	return record_is_stopped() && strcmp(path, boot_id) == 0 ? uuid : path;
}

#define RECORD_OPEN(name, parameters, arguments, dir)                       \
	int name parameters                                                 \
	{                                                                   \
		va_list more;                                               \
		va_start(more, flags);                                      \
		mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;   \
		va_end(more);                                               \
		path = after_the_boot(path);                                \
		if (!record_begin_any())                                    \
			return REAL(name) arguments;                        \
		int fd = REAL(name) arguments;                              \
		int error = errno;                                          \
		record_opened(fd, dir, path, flags);                        \
		record_end();                                               \
		errno = error;                                              \
		return fd;                                                  \
	}
RECORD_OPEN(open, (const char *path, int flags, ...), (path, flags, mode), -1)
RECORD_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), -1)
RECORD_OPEN(openat, (int dir_fd, const char *path, int flags, ...), (dir_fd, path, flags, mode), dir_fd)
RECORD_OPEN(openat64, (int dir_fd, const char *path, int flags, ...), (dir_fd, path, flags, mode), dir_fd)

int
dup(int fd)
{
	if (!record_begin(fd))
		return REAL(dup)(fd);
	int copy = REAL(dup)(fd);
	record_copied(copy, fd);
	record_end();
	return copy;
}

int
close(int fd)
{
	if (!record_begin(fd))
		return REAL(close)(fd);
	record_closed(fd); /* before another thread can have it */
	int rc = REAL(close)(fd);
	record_end();
	return rc;
}

/* Those of names, which return 0 when they did it. */
#define RECORD_NAME(name, parameters, arguments, tell)  \
	int name parameters                             \
	{                                               \
		if (!record_begin_any())                \
			return REAL(name) arguments;    \
		int rc = REAL(name) arguments;          \
		if (!rc)                                \
			tell;                           \
		record_end();                           \
		return rc;                              \
	}
RECORD_NAME(rename, (const char *from, const char *to), (from, to), record_renamed(-1, from, -1, to))
RECORD_NAME(renameat, (int from_fd, const char *from, int to_fd, const char *to), (from_fd, from, to_fd, to),
            record_renamed(from_fd, from, to_fd, to))
RECORD_NAME(link, (const char *from, const char *to), (from, to), record_linked(-1, from, -1, to))
RECORD_NAME(linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags),
            (from_fd, from, to_fd, to, flags), record_linked(from_fd, from, to_fd, to))
RECORD_NAME(unlink, (const char *path), (path), record_unlinked(-1, path))
RECORD_NAME(unlinkat, (int dir_fd, const char *path, int flags), (dir_fd, path, flags), record_unlinked(dir_fd, path))
RECORD_NAME(mkdir, (const char *path, mode_t mode), (path, mode), record_made(path))
