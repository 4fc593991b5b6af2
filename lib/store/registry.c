/* SPDX-License-Identifier: MIT */
/*
 * Owns the only global of the library: the list of stores that this process has open. LMDB must not open
 * the same file twice in a process, since closing either would drop the file locks of both; so a store is
 * known by the device and inode of its data file, whatever path led to it.
 *
 * A forked child inherits all of it and may use none: its threads are gone and its locks are not its own.
 * The child is told by a page that the kernel clears at fork, which no call has to ask for; where there is
 * no such page, by its process id.
 */
#include "inside.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static _Atomic long holder; /* process id of whoever is at work on the list; 0: nobody */
static struct evq__store *stores;
static long owner; /* the process that the list is of */

/*
 * A lock that a child may find held by a thread that it does not have: the holder's process id tells, and
 * then the lock is free. Opening and closing are rare, so waiting may be as simple as this.
 */
void
evq__registry_lock(void)
{
	long self = (long)getpid(), seen = 0;
	while (!atomic_compare_exchange_strong(&holder, &seen, self)) {
		if (seen == self) {
			(void)nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
			seen = 0;
		}
	}
	if (owner != self) { /* what a parent has open is not ours */
		owner = self;
		stores = NULL;
	}
}

void
evq__registry_unlock(void)
{
	atomic_store(&holder, 0);
}

int
evq__registry_has(dev_t dev, ino_t ino)
{
	for (const struct evq__store *s = stores; s; s = s->next)
		if (s->dev == dev && s->ino == ino)
			return 1;
	return 0;
}

static uint32_t *
map_alive_page(void)
{
	long page = sysconf(_SC_PAGESIZE);
	void *p = MAP_FAILED;
#ifdef MADV_WIPEONFORK
	p = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED && madvise(p, (size_t)page, MADV_WIPEONFORK)) {
		(void)munmap(p, (size_t)page);
		p = MAP_FAILED;
	}
#endif
	return p == MAP_FAILED ? NULL : p;
}

void
evq__registry_add(struct evq__store *s)
{
	s->pid = getpid();
	s->alive = map_alive_page();
	if (s->alive)
		*s->alive = 1;
	s->next = stores;
	stores = s;
}

void
evq__registry_remove(struct evq__store *s)
{
	struct evq__store **at = &stores;
	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
	if (s->alive)
		(void)munmap(s->alive, (size_t)sysconf(_SC_PAGESIZE));
}

int
evq__store_forked(const struct evq__store *s)
{
	return s->alive ? *s->alive == 0 : s->pid != getpid();
}
