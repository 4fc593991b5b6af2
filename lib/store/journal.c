/* SPDX-License-Identifier: MIT */
/*
 * Owns evq.journal. What a call writes to the tables is noted on the way, and at its end appended here as one
 * record; the shapes stand in record.h. The file has its length, and all of it on disk, before the first record:
 * so appending never asks the file system for space, and a flush writes nothing but data.
 *
 * It is written with pwrite and not through a mapping: a flush of a mapped page takes several times as long, and
 * a failure would be a signal. Only the holder of the tenure writes.
 *
 * The first write to a page is of the whole rest of it, so that the system need not read what was there; once round
 * the ring, it is in the cache. And the file is kept from lying in the cache in large pieces, of which some systems
 * look at every block for each write.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char name[] = "evq.journal", new_name[] = "new.journal";

#define DEFAULT_SIZE (UINT64_C(64) << 20)

enum { RECORD_MAX = 1 << 20, BOUND = 16 << 20, FILL = 1 << 20, PAGE = EVQ__JOURNAL_HEAD };

/* ---- making and opening ---- */

static int
fill(int fd, uint64_t size)
{
	uint8_t *zeros = calloc(1, FILL);
	int rc = zeros ? evq__files_reserve(fd, size) : ENOMEM;
	for (uint64_t at = 0; !rc && at < size; at += FILL)
		rc = evq__files_write(fd, zeros, size - at < FILL ? (size_t)(size - at) : FILL, at);
	free(zeros);
	return rc;
}

static int
write_new(const struct evq__store *s, int fd, uint64_t size)
{
	struct evq__journal_head head = { .ring = size - EVQ__JOURNAL_HEAD };
	uint8_t bytes[EVQ__JOURNAL_HEAD_USED];
	memcpy(head.id, s->id, sizeof head.id);
	int rc = evq__random(&head.salt, sizeof head.salt);
	if (!rc)
		rc = fill(fd, size);
	evq__journal_head_pack(&head, bytes);
	if (!rc)
		rc = evq__files_write(fd, bytes, sizeof bytes, 0);
	if (!rc && fsync(fd))
		rc = errno;
#ifdef POSIX_FADV_DONTNEED
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
#endif
	return rc;
}

/* Whole under another name before it has its own. */
static int
make(const struct evq__store *s, int dir_fd, unsigned mode, uint64_t size)
{
	int fd = openat(dir_fd, new_name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);
	if (fd < 0)
		return errno;
	int rc = write_new(s, fd, size);
	if (close(fd) && !rc)
		rc = errno;
	if (!rc && renameat(dir_fd, new_name, dir_fd, name))
		rc = errno;
	if (!rc)
		return evq__files_sync_dir(dir_fd);
	(void)unlinkat(dir_fd, new_name, 0);
	return rc;
}

static int
read_head(int fd, struct evq__journal_head *head)
{
	uint8_t bytes[EVQ__JOURNAL_HEAD_USED];
	struct stat st;
	int rc = evq__files_read(fd, bytes, sizeof bytes, 0);
	if (!rc)
		rc = evq__journal_head_unpack(bytes, sizeof bytes, head);
	if (rc)
		return rc == EVQ__NONE ? EVQ_FORMAT : rc;
	if (fstat(fd, &st))
		return errno;
	return (uint64_t)st.st_size == head->ring + EVQ__JOURNAL_HEAD ? 0 : EVQ_FORMAT;
}

/* Errors: ENOENT; EVQ__NONE it is another store's. */
static int
open_there(struct evq__store *s, int dir_fd)
{
	struct evq__journal_head head;
	struct evq__journal *j = &s->journal;
	int fd = openat(dir_fd, name, O_RDWR | O_NONBLOCK | O_CLOEXEC); /* it might be a pipe */
	if (fd < 0)
		return errno;
	int rc = read_head(fd, &head);
	if (!rc && memcmp(head.id, s->id, sizeof head.id))
		rc = EVQ__NONE;
	if (rc) {
		(void)close(fd);
		return rc;
	}
#ifdef POSIX_FADV_RANDOM
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
#endif
	j->fd = fd;
	j->begun = 0;
	j->ring = head.ring;
	j->salt = head.salt;
	j->record_max = head.ring / 8 < RECORD_MAX ? (uint32_t)(head.ring / 8) : RECORD_MAX;
	j->bound = head.ring / 4 < BOUND ? head.ring / 4 : BOUND;
	return 0;
}

int
evq__journal_open(struct evq__store *s, int dir_fd, unsigned mode, uint64_t size)
{
	int rc = open_there(s, dir_fd);
	if (rc != ENOENT && rc != EVQ__NONE)
		return rc;
	if (!s->alone)
		return EVQ_FORMAT; /* the others have one */
	rc = make(s, dir_fd, mode, size ? size : DEFAULT_SIZE);
	return rc ? rc : open_there(s, dir_fd);
}

int
evq__journal_resize(struct evq__store *s, int dir_fd, unsigned mode, uint64_t size)
{
	if (!s->alone || !size || size == s->journal.ring + EVQ__JOURNAL_HEAD)
		return 0;
	int rc = make(s, dir_fd, mode, size);
	if (rc)
		return rc;
	evq__journal_close(s);
	return open_there(s, dir_fd);
}

void
evq__journal_close(struct evq__store *s)
{
	if (s->journal.fd >= 0)
		(void)close(s->journal.fd);
	s->journal.fd = -1;
}

/* ---- records ---- */

int
evq__journal_has_room(const struct evq__store *s)
{
	const struct evq__progress *p = &s->shared->journal;
	return s->journal.ring - (atomic_load(&p->end) - p->durable) >= s->journal.record_max + PAGE;
}

/* In the ring, which it may run over the end of. */
static int
move(const struct evq__store *s, int (*fn)(int fd, uint8_t *bytes, size_t len, uint64_t at), uint8_t *bytes,
     size_t len, uint64_t sequence)
{
	uint64_t at = sequence % s->journal.ring, left = s->journal.ring - at;
	size_t first = len < left ? len : (size_t)left;
	int rc = fn(s->journal.fd, bytes, first, EVQ__JOURNAL_HEAD + at);
	return rc || first == len ? rc : fn(s->journal.fd, bytes + first, len - first, EVQ__JOURNAL_HEAD);
}

static int
write_some(int fd, uint8_t *bytes, size_t len, uint64_t at)
{
	return evq__files_write(fd, bytes, len, at);
}

static int
read_some(int fd, uint8_t *bytes, size_t len, uint64_t at)
{
	return evq__files_read(fd, bytes, len, at);
}

/* What failed half way must not be found whole by whoever recovers. */
static int
take_back(struct evq__store *s, int rc)
{
	uint8_t zeros[EVQ__RECORD_HEAD] = { 0 };
	if (move(s, write_some, zeros, sizeof zeros, s->shared->journal.end)) {
		atomic_store(&s->failed, EIO);
		return EVQ_UNKNOWN;
	}
	return evq__files_rc(s->journal.fd, rc);
}

/* The length to write: to the end of the page, where it is the first time. Needs: as much room in n, as it has. */
static uint32_t
whole_pages(struct evq__store *s, struct evq__notes *n, uint64_t end)
{
	uint64_t to = end + n->len, page_end = (to + PAGE - 1) / PAGE * PAGE;
	if (!s->journal.begun)
		s->journal.first = end;
	if (to <= s->journal.begun || end - s->journal.first >= s->journal.ring)
		return n->len;
	memset(n->bytes + n->len, 0, (size_t)(page_end - to));
	s->journal.begun = page_end;
	return (uint32_t)(page_end - end);
}

int
evq__journal_append(struct evq__store *s, struct evq__notes *n)
{
	struct evq__progress *p = &s->shared->journal;
	uint64_t end = p->end;
	uint64_t check = evq__record_seal(n->bytes, n->len, end, p->chain, s->journal.salt);
	int rc = move(s, write_some, n->bytes, whole_pages(s, n, end), end);
	if (rc)
		return take_back(s, rc);
	p->chain = check;
	atomic_store_explicit(&p->is_dirty, 1, memory_order_relaxed);
	atomic_store(&p->end, end + evq__record_padded(n->len));
	return 0;
}

static int
make_room(struct evq__notes *n, uint32_t room)
{
	if (room <= n->room)
		return 0;
	uint32_t more = n->room ? n->room + PAGE : 4 * PAGE;
	while (more < room + PAGE)
		more *= 2;
	uint8_t *bytes = realloc(n->bytes, more);
	if (!bytes)
		return ENOMEM;
	n->bytes = bytes;
	n->room = more - PAGE; /* for the rest of a page behind */
	return 0;
}

int
evq__journal_read(struct evq__store *s, uint64_t sequence, uint64_t before, struct evq__notes *into,
                  uint64_t *check)
{
	int rc = make_room(into, EVQ__RECORD_HEAD);
	if (!rc)
		rc = move(s, read_some, into->bytes, EVQ__RECORD_HEAD, sequence);
	if (rc)
		return rc;
	into->len = evq__record_len(into->bytes, sequence);
	if (!into->len || into->len > s->journal.record_max)
		return EVQ__NONE;
	if (!(rc = make_room(into, into->len)))
		rc = move(s, read_some, into->bytes, into->len, sequence);
	return rc ? rc : evq__record_check(into->bytes, into->len, before, s->journal.salt, check);
}

/* ---- notes ---- */

void
evq__notes_reset(struct evq__notes *n)
{
	n->len = EVQ__RECORD_HEAD;
	n->is_over = 0;
}

/* Where the note goes, or NULL: rc says why, 0 because the record would be too long. */
static uint8_t *
next_note(struct evq__store *s, size_t len, int *rc)
{
	struct evq__notes *n = &s->notes;
	*rc = 0;
	if (n->is_over || len > s->journal.record_max - n->len) {
		n->is_over = 1;
		return NULL;
	}
	if (n->len + len > n->room && (*rc = make_room(n, n->len + (uint32_t)len)))
		return NULL;
	uint8_t *at = n->bytes + n->len;
	n->len += (uint32_t)len;
	return at;
}

uint8_t *
evq__notes_put(struct evq__store *s, unsigned table, const struct evq__slice *key, size_t value_len, int *rc)
{
	uint8_t head[EVQ__NOTE_HEAD];
	size_t head_len = evq__note_pack(EVQ__NOTE_PUT, table, key->len, value_len, head);
	uint8_t *to = next_note(s, head_len + key->len + value_len, rc);
	if (!to)
		return NULL;
	memcpy(to, head, head_len);
	memcpy(to + head_len, key->data, key->len);
	return to + head_len + key->len;
}

int
evq__notes_del(struct evq__store *s, unsigned table, const struct evq__slice *key)
{
	uint8_t head[EVQ__NOTE_HEAD];
	int rc;
	size_t head_len = evq__note_pack(EVQ__NOTE_DEL, table, key->len, 0, head);
	uint8_t *to = next_note(s, head_len + key->len, &rc);
	if (!to)
		return rc;
	memcpy(to, head, head_len);
	memcpy(to + head_len, key->data, key->len);
	return 0;
}
