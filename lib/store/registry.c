/* SPDX-License-Identifier: MIT */
/*
 * Owns the only global of the library: the list of stores that this process has open, or is opening. LMDB must
 * not open the same file twice in a process, and neither must we: closing either would drop the file locks of
 * both. So a store is known by the device and inode of its directory and of the files in it, whatever path led
 * there, and claims each before it opens it.
 *
 * A forked child inherits all of it and may use none: its threads are gone and its locks are not its own.
 * The child is told by a page that the kernel clears at fork, which no call has to ask for; where there is
 * no such page, by its process id.
 */
#include "inside.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic long holder; /* process id of whoever is at work on the list; 0: nobody */
static struct evq__store *stores;
static long owner; /* the process that the list is of */

/*
 * A lock that a child may find held by a thread that it does not have: the holder's process id tells, and
 * then the lock is free. It is held for a few instructions, so waiting may be as simple as this.
 */
static void
lock(void)
{
	long self = (long)getpid(), seen = 0;
	while (!atomic_compare_exchange_strong(&holder, &seen, self)) {
		if (seen == self) {
			(void)sched_yield();
			seen = 0;
		}
	}
	if (owner != self) { /* what a parent has open is not ours */
		owner = self;
		stores = NULL;
	}
}

static void
unlock(void)
{
	atomic_store(&holder, 0);
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
	lock();
	s->next = stores;
	stores = s;
	unlock();
}

void
evq__registry_remove(struct evq__store *s)
{
	struct evq__store **at = &stores;
	lock();
	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
	unlock();
	if (s->alive)
		(void)munmap(s->alive, (size_t)sysconf(_SC_PAGESIZE));
}

static int
has(const struct evq__store *s, const struct evq__identity *id)
{
	for (int i = 0; i < EVQ__CLAIMS; i++)
		if (s->claims[i].ino == id->ino && s->claims[i].dev == id->dev)
			return 1;
	return 0;
}

int
evq__registry_claim(struct evq__store *s, enum evq__claim which, const struct stat *st)
{
	struct evq__identity id = { st->st_dev, st->st_ino };
	int rc = 0;
	lock();
	for (const struct evq__store *other = stores; other && !rc; other = other->next)
		if (other != s && has(other, &id))
			rc = EBUSY;
	if (!rc)
		s->claims[which] = id;
	unlock();
	return rc;
}

int
evq__store_forked(const struct evq__store *s)
{
	return s->alive ? *s->alive == 0 : s->pid != getpid();
}
