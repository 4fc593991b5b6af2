/* SPDX-License-Identifier: MIT */
/*
 * Owns evq.shared: the lock that every writer takes, and the words that sleepers wait on.
 *
 * Two byte-range locks tell who is there. Byte 0 is held while opening. Byte 1 is held, shared, by each
 * process for as long as it has the store open; the kernel lets go of it when the process dies. Whoever can
 * have byte 1 for itself is alone, and makes the contents anew: whatever a dead process left in them is gone,
 * but for what is meant to outlive them.
 *
 * The writer lock is a robust mutex, taken with a timeout and before LMDB's own, which knows none: a stopped
 * process costs the others their timeout, a dead one nothing.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define MAGIC UINT64_C(0x3130647268737165) /* "eqshrd01", little-endian */
#define LAYOUT ((uint64_t)sizeof(pthread_mutex_t) << 32 | (uint64_t)sizeof(struct evq__shared))

_Static_assert(sizeof(struct evq__shared) <= EVQ__SHARED_LEN, "the shared file holds it");

enum { OPENING = 0, PRESENT = 1 };

static int
byte_lock(int fd, short type, off_t at)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };
	int rc;
	do
		rc = fcntl(fd, F_SETLK, &lock) ? errno : 0;
	while (rc == EINTR);
	return rc == EACCES ? EAGAIN : rc; /* POSIX leaves open which of the two it is */
}

static int
lock_opening(int fd, int64_t timeout_ms)
{
	int64_t begun = evq__clock_monotonic_ms();
	int rc;
	while ((rc = byte_lock(fd, F_WRLCK, OPENING)) == EAGAIN) {
		if (timeout_ms >= 0 && evq__clock_monotonic_ms() - begun >= timeout_ms)
			return EVQ_BUSY;
		(void)nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	return rc;
}

/* 0 on a system that has none, or does not show it: one for all. */
static uint64_t
pid_namespace(void)
{
	struct stat st;
	return stat("/proc/self/ns/pid", &st) ? 0 : (uint64_t)st.st_ino;
}

static int
make_mutex(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;
	int rc = pthread_mutexattr_init(&attr);
	if (rc)
		return rc;
	rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (!rc)
		rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (!rc)
		rc = pthread_mutex_init(mutex, &attr);
	(void)pthread_mutexattr_destroy(&attr);
	return rc;
}

static int
make_contents(struct evq__shared *shared, uint64_t namespace, uint64_t map_size)
{
	struct evq__kept kept = { .offset_ms = 0 };
	if (shared->magic == MAGIC && shared->layout == LAYOUT)
		kept = shared->kept;
	*shared = (struct evq__shared){
		.pid_namespace = namespace, .map_size = map_size, .layout = LAYOUT, .kept = kept
	};
	int rc = make_mutex(&shared->writer);
	if (!rc)
		shared->magic = MAGIC; /* last: whole only now */
	return rc;
}

static int
check_contents(const struct evq__shared *shared, uint64_t namespace, uint64_t map_size)
{
	if (shared->magic != MAGIC || shared->layout != LAYOUT)
		return EVQ_FORMAT;
	if (shared->pid_namespace != namespace)
		return EXDEV;
	return map_size > shared->map_size ? EBUSY : 0; /* 0, the default, is content with what there is */
}

/* Needs: the opening lock. */
static int
join(struct evq__store *s, const struct evq__store_opts *opts)
{
	uint64_t namespace = pid_namespace();
	int alone = byte_lock(s->shared_fd, F_WRLCK, PRESENT);
	if (alone && alone != EAGAIN)
		return alone;
	int rc = evq__files_reserve(s->shared_fd, EVQ__SHARED_LEN);
	if (rc)
		return rc;
	s->shared = mmap(NULL, EVQ__SHARED_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, s->shared_fd, 0);
	if (s->shared == MAP_FAILED) {
		s->shared = NULL;
		return errno;
	}
	s->alone = alone == 0;
	rc = s->alone ? make_contents(s->shared, namespace, opts->map_size ? opts->map_size : EVQ__MAP_DEFAULT)
	                : check_contents(s->shared, namespace, opts->map_size);
	return rc ? rc : byte_lock(s->shared_fd, F_RDLCK, PRESENT);
}

static int
claim_opened(struct evq__store *s)
{
	struct stat st;
	return fstat(s->shared_fd, &st) ? errno : evq__registry_claim(s, EVQ__CLAIM_SHARED, &st);
}

int
evq__shared_open(struct evq__store *s, int dir_fd, const struct evq__store_opts *opts)
{
	s->shared_fd = openat(dir_fd, evq__shared_name, O_RDWR | O_CREAT | O_CLOEXEC, (mode_t)opts->mode);
	if (s->shared_fd < 0)
		return errno;
	int rc = claim_opened(s);
	if (!rc)
		rc = lock_opening(s->shared_fd, opts->lock_timeout_ms);
	if (!rc)
		rc = join(s, opts);
	if (rc)
		evq__shared_close(s);
	return rc;
}

void
evq__shared_opened(struct evq__store *s)
{
	(void)byte_lock(s->shared_fd, F_UNLCK, OPENING);
}

void
evq__shared_close(struct evq__store *s)
{
	if (s->shared)
		(void)munmap(s->shared, EVQ__SHARED_LEN);
	if (s->shared_fd >= 0)
		(void)close(s->shared_fd); /* lets go of both bytes */
	s->shared = NULL;
	s->shared_fd = -1;
}

/* POSIX has the deadline in wall time, which an administrator may step; where there is better, that. */
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 30) && !defined(EVQ__NO_CLOCKLOCK)
#define DEADLINE_CLOCK CLOCK_MONOTONIC
#define lock_until(mutex, end) pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, end)
#else
#define DEADLINE_CLOCK CLOCK_REALTIME
#define lock_until(mutex, end) pthread_mutex_timedlock(mutex, end)
#endif

static int
lock_timed(pthread_mutex_t *mutex, int64_t timeout_ms)
{
	struct timespec end;
	int rc = pthread_mutex_trylock(mutex);
	if (rc != EBUSY)
		return rc;
	if (timeout_ms < 0)
		return pthread_mutex_lock(mutex);
	if (clock_gettime(DEADLINE_CLOCK, &end))
		return errno;
	end.tv_sec += (time_t)(timeout_ms / 1000);
	end.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	return lock_until(mutex, &end);
}

int
evq__shared_lock(struct evq__store *s)
{
	int rc = lock_timed(&s->shared->writer, s->lock_timeout_ms);
	if (rc == EOWNERDEAD) /* what its holder had begun LMDB forgets by itself */
		rc = pthread_mutex_consistent(&s->shared->writer);
	return rc == ETIMEDOUT ? EVQ_BUSY : rc;
}

int
evq__store_is_free(struct evq__store *s)
{
	int rc = pthread_mutex_trylock(&s->shared->writer);
	if (rc == EOWNERDEAD)
		rc = pthread_mutex_consistent(&s->shared->writer);
	if (rc)
		return 0;
	evq__shared_unlock(s);
	return 1;
}

void
evq__shared_unlock(struct evq__store *s)
{
	(void)pthread_mutex_unlock(&s->shared->writer);
}
