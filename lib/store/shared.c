/* SPDX-License-Identifier: MIT */
/*
 * Owns evq.shared: its locks, and the tenure, which every writer holds.
 *
 * Byte-range locks tell who is there. Byte 0 is held while opening. Byte 1 is held, shared, by each process for
 * as long as it has the store open, and the byte of its slot for itself; the kernel lets go of them when the
 * process dies. Whoever can have byte 1 for itself is alone, and makes the contents anew: whatever a dead process
 * left in them is gone, but for what is meant to outlive them.
 *
 * The tenure is a robust mutex, taken with a timeout and before LMDB's own, which knows none: a stopped process
 * costs the others their timeout, a dead one nothing. Who wants it says so, for as long as it goes on wanting, so
 * that a wish dies with who has it.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define MAGIC UINT64_C(0x3230647268737165) /* "eqshrd02", little-endian */
#define LAYOUT ((uint64_t)sizeof(pthread_mutex_t) << 32 | (uint64_t)sizeof(struct evq__shared))

enum { WANTED_FOR_MS = 25, LOCK_STEP_MS = 20 };

int
evq__shared_byte_lock(int fd, short type, long at)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)at, .l_len = 1 };
	int rc;
	do
		rc = fcntl(fd, F_SETLK, &lock) ? errno : 0;
	while (rc == EINTR);
	return rc == EACCES ? EAGAIN : rc; /* POSIX leaves open which of the two it is */
}

/* What cannot be asked is taken to be: nobody is robbed for it. */
int
evq__shared_byte_is_locked(int fd, long at)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)at, .l_len = 1 };
	int rc;
	do
		rc = fcntl(fd, F_GETLK, &lock) ? errno : 0;
	while (rc == EINTR);
	return rc || lock.l_type != F_UNLCK;
}

static int
lock_opening(int fd, int64_t timeout_ms)
{
	int64_t begun = evq__clock_monotonic_ms();
	int rc;
	while ((rc = evq__shared_byte_lock(fd, F_WRLCK, EVQ__BYTE_OPENING)) == EAGAIN) {
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
	if (shared->magic != MAGIC || shared->layout != LAYOUT)
		memset(&shared->kept, 0, sizeof shared->kept);
	shared->magic = 0;
	size_t before = offsetof(struct evq__shared, kept), behind = before + sizeof shared->kept;
	memset(shared, 0, before);
	memset((char *)shared + behind, 0, sizeof *shared - behind);
	shared->pid_namespace = namespace;
	shared->map_size = map_size;
	shared->layout = LAYOUT;
	shared->journal.is_uncertain = 1;
	shared->journal.is_unsynced = 1;
	int rc = make_mutex(&shared->tenure);
	if (!rc)
		rc = make_mutex(&shared->flusher);
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
	int alone = evq__shared_byte_lock(s->shared_fd, F_WRLCK, EVQ__BYTE_PRESENT);
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
	return rc ? rc : evq__shared_byte_lock(s->shared_fd, F_RDLCK, EVQ__BYTE_PRESENT);
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
	(void)evq__shared_byte_lock(s->shared_fd, F_UNLCK, EVQ__BYTE_OPENING);
}

void
evq__shared_close(struct evq__store *s)
{
	if (s->shared)
		(void)munmap(s->shared, EVQ__SHARED_LEN);
	if (s->shared_fd >= 0)
		(void)close(s->shared_fd); /* lets go of its bytes */
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

int
evq__shared_lock_for(pthread_mutex_t *mutex, int64_t ms)
{
	struct timespec end = evq__clock_after(DEADLINE_CLOCK, ms * 1000);
	return lock_until(mutex, &end);
}

int
evq__shared_try_robust(pthread_mutex_t *mutex)
{
	int rc = pthread_mutex_trylock(mutex);
	return rc == EOWNERDEAD ? pthread_mutex_consistent(mutex) : rc;
}

/* What its holder had begun LMDB forgets by itself; what it had written is looked for in the journal. */
static int
taken(struct evq__store *s, int rc)
{
	struct evq__shared *shared = s->shared;
	if (rc == EOWNERDEAD) {
		shared->journal.is_uncertain = 1;
		atomic_store(&shared->holder, 0);
		rc = pthread_mutex_consistent(&shared->tenure);
	}
	if (!rc) {
		atomic_fetch_add(&shared->handovers, 1);
		(void)evq__sleep_end(&shared->handovers, EVQ__EVERYBODY, EVQ__ANY_MASK);
	}
	return rc;
}

int
evq__shared_try(struct evq__store *s)
{
	int rc = pthread_mutex_trylock(&s->shared->tenure);
	return rc == EBUSY ? rc : taken(s, rc);
}

/* For a little while from now, and to its holder. */
static void
say_wanted(struct evq__store *s)
{
	struct evq__shared *shared = s->shared;
	atomic_store(&shared->wanted_until_ms, evq__clock_monotonic_ms() + WANTED_FOR_MS);
	uint32_t holder = atomic_load(&shared->holder);
	if (holder && holder <= EVQ__SLOTS)
		evq__keeper_call(s, holder - 1);
}

/* The last one to stop wanting ends the wish; the others' goes on. */
static void
stop_wanting(struct evq__store *s)
{
	struct evq__shared *shared = s->shared;
	uint32_t n = atomic_load(&shared->wanting);
	while (n && !atomic_compare_exchange_weak(&shared->wanting, &n, n - 1))
		;
	atomic_store(&shared->wanted_until_ms, n > 1 ? evq__clock_monotonic_ms() + WANTED_FOR_MS : 0);
}

int
evq__shared_is_wanted(const struct evq__store *s)
{
	int64_t until = atomic_load(&s->shared->wanted_until_ms);
	return until && evq__clock_monotonic_ms() < until;
}

void
evq__shared_nobody_came(struct evq__store *s)
{
	atomic_store(&s->shared->wanting, 0);
	atomic_store(&s->shared->wanted_until_ms, 0);
}

/* In steps: a wake-up that went to a process that was stopped in that moment is not waited for. */
static int
wait_for_it(struct evq__store *s, int64_t timeout_ms)
{
	int64_t begun = evq__clock_monotonic_ms();
	int rc;
	do {
		int64_t left = timeout_ms < 0 ? LOCK_STEP_MS : begun + timeout_ms - evq__clock_monotonic_ms();
		if (left <= 0)
			return EVQ_BUSY;
		say_wanted(s);
		rc = evq__shared_lock_for(&s->shared->tenure, left < LOCK_STEP_MS ? left : LOCK_STEP_MS);
	} while (rc == ETIMEDOUT);
	return taken(s, rc);
}

int
evq__shared_take(struct evq__store *s, int64_t timeout_ms)
{
	int rc = evq__shared_try(s);
	if (rc != EBUSY)
		return rc;
	atomic_fetch_add(&s->shared->wanting, 1);
	rc = wait_for_it(s, timeout_ms);
	stop_wanting(s);
	return rc;
}

void
evq__shared_give(struct evq__store *s)
{
	(void)pthread_mutex_unlock(&s->shared->tenure);
}
