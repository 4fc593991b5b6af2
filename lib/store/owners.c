/* SPDX-License-Identifier: MIT */
/*
 * Owns the knowledge who has the store open. Each open store has a slot in the shared file, with a number that its
 * leases carry, and holds a lock on the byte of that slot for as long as it lives. So a slot with a number, and
 * nobody holding its byte, is that of a process that died: which neither a stop, nor a fork, nor an end of a
 * thread, nor another process with the same id can look like. Who closes the store gives the number back first,
 * and leases of its run their time.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static struct evq__slot *
slots(const struct evq__store *s)
{
	return s->shared->kept.slots;
}

static int
is_dead(const struct evq__store *s, unsigned slot)
{
	return slot != s->slot && atomic_load(&slots(s)[slot].owner) &&
	       !evq__shared_byte_is_locked(s->shared_fd, EVQ__BYTE_SLOTS + (long)slot);
}

static int
lock_slot(struct evq__store *s, unsigned slot)
{
	return evq__shared_byte_lock(s->shared_fd, F_WRLCK, EVQ__BYTE_SLOTS + (long)slot);
}

/* A free one, or else one whose owner died unheard, locked. Whoever is just leaving still has the lock on his. */
static int
find_slot(struct evq__store *s, unsigned *slot)
{
	int rc = EAGAIN;
	for (*slot = 0; *slot < EVQ__SLOTS; ++*slot)
		if (!atomic_load(&slots(s)[*slot].owner) && (rc = lock_slot(s, *slot)) != EAGAIN)
			return rc;
	for (*slot = 0; *slot < EVQ__SLOTS; ++*slot)
		if ((rc = lock_slot(s, *slot)) != EAGAIN)
			return rc;
	return EUSERS;
}

static uint32_t
next_owner(struct evq__kept *kept)
{
	if (!kept->last_owner) /* apart from those that leases may still carry, most likely */
		(void)evq__random(&kept->last_owner, sizeof kept->last_owner);
	if (++kept->last_owner == 0)
		kept->last_owner = 1;
	return kept->last_owner;
}

int
evq__owners_join(struct evq__store *s)
{
	struct evq__shared *shared = s->shared;
	unsigned slot;
	s->slot = EVQ__SLOTS;
	int rc = find_slot(s, &slot);
	if (rc)
		return rc;
	struct evq__slot *mine = &slots(s)[slot];
	memset(mine, 0, sizeof *mine);
	s->slot = slot;
	s->owner = next_owner(&shared->kept);
	atomic_store(&mine->owner, s->owner);
	unsigned used = EVQ__SLOTS;
	while (!atomic_load(&slots(s)[used - 1].owner))
		used--;
	if (atomic_load(&shared->slots_used) < used)
		atomic_store(&shared->slots_used, used);
	return 0;
}

void
evq__owners_leave(struct evq__store *s)
{
	if (s->slot >= EVQ__SLOTS)
		return;
	atomic_store(&slots(s)[s->slot].owner, 0);
	(void)evq__shared_byte_lock(s->shared_fd, F_UNLCK, EVQ__BYTE_SLOTS + (long)s->slot);
}

int
evq__owners_have_company(const struct evq__store *s)
{
	unsigned used = atomic_load(&s->shared->slots_used);
	for (unsigned i = 0; i < used; i++)
		if (i != s->slot && atomic_load(&slots(s)[i].owner))
			return 1;
	return 0;
}

uint32_t
evq__owner(const struct evq__store *s)
{
	return s->owner;
}

void
evq__owners_lease(struct evq__store *s, uint32_t queue)
{
	_Atomic uint32_t *leases = &slots(s)[s->slot].leases;
	uint32_t bit = UINT32_C(1) << queue % 32;
	if (!(atomic_load_explicit(leases, memory_order_relaxed) & bit))
		atomic_fetch_or(leases, bit);
}

int
evq__owners_others_lease(const struct evq__store *s, uint32_t queue)
{
	unsigned used = atomic_load(&s->shared->slots_used);
	for (unsigned i = 0; i < used; i++)
		if (i != s->slot && atomic_load(&slots(s)[i].owner) &&
		    (atomic_load(&slots(s)[i].leases) & UINT32_C(1) << queue % 32))
			return 1;
	return 0;
}

uint32_t
evq__owners_dead(struct evq__store *s)
{
	unsigned used = atomic_load(&s->shared->slots_used);
	for (unsigned i = 0; i < used; i++)
		if (is_dead(s, i)) {
			memset((void *)slots(s)[i].waits, 0, sizeof slots(s)[i].waits); /* nobody sleeps there */
			return atomic_load(&slots(s)[i].owner);
		}
	return 0;
}

void
evq__owners_forget(struct evq__store *s, uint32_t owner)
{
	unsigned used = atomic_load(&s->shared->slots_used);
	for (unsigned i = 0; i < used; i++) {
		uint32_t seen = owner;
		if (i != s->slot && atomic_compare_exchange_strong(&slots(s)[i].owner, &seen, 0))
			return;
	}
}
