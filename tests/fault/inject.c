/* SPDX-License-Identifier: MIT */
/*
 * The functions that stand before the C library's: see inject.h. Each asks whether it is its turn to fail, and
 * else calls the one of that name that comes next.
 */
#undef _FORTIFY_SOURCE /* it has bodies of its own for some of these functions */

#include "inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

struct inject inject;

void
inject_arm(enum inject_kind kind, enum inject_how how, int error, unsigned at)
{
	inject.kind = kind;
	inject.how = how;
	inject.error = error;
	inject.at = at;
	inject.count = 0;
	inject.hits = 0;
}

void
inject_disarm(void)
{
	inject.kind = INJECT_NOTHING;
}

/* Is it this call's turn? */
static int
inject_hits(enum inject_kind kind)
{
	if (inject.kind != kind)
		return 0;
	unsigned number = ++inject.count;
	if (!inject.at || number < inject.at || (number > inject.at && inject.how != INJECT_FROM_THEN_ON))
		return 0;
	inject.hits++;
	if (inject.how == INJECT_KILL)
		kill(getpid(), SIGKILL);
	return 1;
}

static int
inject_disk(void)
{
	int hit = inject_hits(INJECT_DISK);
	if (hit)
		errno = inject.error;
	return hit;
}

/* The C library's own function of that name. Data pointers hold functions where there is dlsym(). */
#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

/* ---- the disk -------------------------------------------------------------------------------------- */

#define INJECT_WRITE(name, offset)                                                         \
	ssize_t name(int fd, const void *bytes, size_t len, offset at);                    \
	ssize_t name(int fd, const void *bytes, size_t len, offset at)                     \
	{                                                                                  \
		if (inject_disk()) {                                                       \
			if (inject.how != INJECT_SHORT || len < 2)                         \
				return -1;                                                 \
			len /= 2;                                                          \
		}                                                                          \
		return REAL(name)(fd, bytes, len, at);                                     \
	}
INJECT_WRITE(pwrite, off_t)
INJECT_WRITE(pwrite64, off64_t)

#define INJECT_WRITEV(name, offset)                                                        \
	ssize_t name(int fd, const struct iovec *v, int count, offset at);                 \
	ssize_t name(int fd, const struct iovec *v, int count, offset at)                  \
	{                                                                                  \
		if (!inject_disk())                                                        \
			return REAL(name)(fd, v, count, at);                               \
		return inject.how == INJECT_SHORT ? REAL(name)(fd, v, 1, at) : -1;         \
	}
INJECT_WRITEV(pwritev, off_t)
INJECT_WRITEV(pwritev64, off64_t)

ssize_t
writev(int fd, const struct iovec *v, int count)
{
	if (!inject_disk())
		return REAL(writev)(fd, v, count);
	return inject.how == INJECT_SHORT ? REAL(writev)(fd, v, 1) : -1;
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	if (fd > 2 && inject_disk()) {
		if (inject.how != INJECT_SHORT || len < 2)
			return -1;
		len /= 2;
	}
	return REAL(write)(fd, bytes, len);
}

/* Those that return 0, or -1 and errno. */
#define INJECT_INT(name, parameters, arguments)                    \
	int name parameters;                                       \
	int name parameters                                        \
	{                                                          \
		return inject_disk() ? -1 : REAL(name) arguments;  \
	}
INJECT_INT(fsync, (int fd), (fd))
INJECT_INT(fdatasync, (int fd), (fd))
INJECT_INT(msync, (void *at, size_t len, int flags), (at, len, flags))
INJECT_INT(ftruncate, (int fd, off_t len), (fd, len))
INJECT_INT(ftruncate64, (int fd, off64_t len), (fd, len))
INJECT_INT(rename, (const char *from, const char *to), (from, to))
INJECT_INT(renameat, (int from_fd, const char *from, int to_fd, const char *to), (from_fd, from, to_fd, to))
INJECT_INT(linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags),
           (from_fd, from, to_fd, to, flags))
INJECT_INT(mkdir, (const char *path, mode_t mode), (path, mode))

/* Those that return an errno. */
int
posix_fallocate(int fd, off_t from, off_t len)
{
	return inject_disk() ? inject.error : REAL(posix_fallocate)(fd, from, len);
}

int posix_fallocate64(int fd, off64_t from, off64_t len);
int
posix_fallocate64(int fd, off64_t from, off64_t len)
{
	return inject_disk() ? inject.error : REAL(posix_fallocate64)(fd, from, len);
}

#define INJECT_OPEN(name)                                                  \
	int name(const char *path, int flags, ...)                         \
	{                                                                  \
		va_list more;                                              \
		va_start(more, flags);                                     \
		mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;  \
		va_end(more);                                              \
		return inject_disk() ? -1 : REAL(name)(path, flags, mode); \
	}
INJECT_OPEN(open)
INJECT_OPEN(open64)

#define INJECT_OPENAT(name)                                                     \
	int name(int dir_fd, const char *path, int flags, ...)                  \
	{                                                                       \
		va_list more;                                                   \
		va_start(more, flags);                                          \
		mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;       \
		va_end(more);                                                   \
		return inject_disk() ? -1 : REAL(name)(dir_fd, path, flags, mode); \
	}
INJECT_OPENAT(openat)
INJECT_OPENAT(openat64)

/* Only of files: memory is malloc's. */
void *
mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
	if (fd >= 0 && inject_disk())
		return MAP_FAILED;
	return REAL(mmap)(at, len, protection, flags, fd, offset);
}

int
fstatfs(int fd, struct statfs *out)
{
	int rc = REAL(fstatfs)(fd, out);
	if (rc == 0 && inject.file_system_type)
		out->f_type = inject.file_system_type;
	return rc;
}

int
statfs(const char *path, struct statfs *out)
{
	int rc = REAL(statfs)(path, out);
	if (rc == 0 && inject.file_system_type)
		out->f_type = inject.file_system_type;
	return rc;
}

/* ---- threads --------------------------------------------------------------------------------------- */

/* On a busy machine it may be so: what was waited for is over, and something else has happened since. */
int
pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
	if (!inject.late_us)
		return REAL(pthread_cond_wait)(condition, mutex);
	struct timespec nap = { 0, (long)inject.late_us * 1000 };
	int rc = pthread_mutex_unlock(mutex);
	(void)nanosleep(&nap, NULL);
	return rc ? rc : pthread_mutex_lock(mutex);
}

/* ---- memory ----------------------------------------------------------------------------------------- */

#if INJECT_MALLOC
void *__libc_malloc(size_t len);
void *__libc_calloc(size_t count, size_t len);
void *__libc_realloc(void *p, size_t len);
void *__libc_memalign(size_t alignment, size_t len);
void __libc_free(void *p);

static void *
inject_counted(void *p)
{
	inject.live += p != NULL;
	return p;
}

static int
inject_memory(void)
{
	int hit = inject_hits(INJECT_MEMORY);
	if (hit)
		errno = ENOMEM;
	return hit;
}

void *
malloc(size_t len)
{
	return inject_memory() ? NULL : inject_counted(__libc_malloc(len));
}

void *
calloc(size_t count, size_t len)
{
	return inject_memory() ? NULL : inject_counted(__libc_calloc(count, len));
}

void *
realloc(void *p, size_t len)
{
	if (inject_memory())
		return NULL;
	void *moved = __libc_realloc(p, len);
	inject.live += !p && moved;
	return moved;
}

void *
aligned_alloc(size_t alignment, size_t len)
{
	return inject_memory() ? NULL : inject_counted(__libc_memalign(alignment, len));
}

int
posix_memalign(void **out, size_t alignment, size_t len)
{
	if (inject_memory())
		return ENOMEM;
	*out = inject_counted(__libc_memalign(alignment, len));
	return *out ? 0 : ENOMEM;
}

void
free(void *p)
{
	inject.live -= p != NULL;
	__libc_free(p);
}
#endif
