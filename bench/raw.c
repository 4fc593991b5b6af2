/* SPDX-License-Identifier: MIT */
/*
 * The floor under a durable call: one write of 4 KiB and one fdatasync on a
 * file that is there in full. The file is written with zeros first, since a
 * flush into blocks that were only reserved costs twice, and is used as a
 * ring. No log on this file system could tell the disk less.
 *
 * As a side: a send is that write and that flush, whatever the count; all
 * other calls do nothing.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP 4096
#define RING (16 << 20)

struct raw {
	int fd;
	off_t at;
	uint64_t waiting;
	char block[STEP];
};

static int
write_block(struct raw *r)
{
	ssize_t n = pwrite(r->fd, r->block, STEP, r->at);

	if (n != STEP)
		return n < 0 ? errno : EIO;
	r->at = (r->at + STEP) % RING;
	return 0;
}

static int
raw_send(void *store, size_t count)
{
	struct raw *r = store;
	int rc;

	(void)count;
	r->block[r->at / STEP % STEP]++;
	rc = write_block(r);
	if (rc == 0 && fdatasync(r->fd) != 0)
		rc = errno;
	return rc;
}

static int
raw_nothing(void *store)
{
	(void)store;
	return 0;
}

static int
raw_none(void *store, size_t count)
{
	(void)store;
	(void)count;
	return 0;
}

static int
raw_count(void *store, uint64_t *out)
{
	const struct raw *r = store;

	*out = r->waiting;
	return 0;
}

static void
raw_close(void *store)
{
	struct raw *r = store;

	if (r->fd >= 0)
		(void)close(r->fd);
	free(r);
}

static int
make_ring(struct raw *r, const char *path)
{
	char name[BENCH_PATH + 8];
	int rc = 0;

	(void)snprintf(name, sizeof(name), "%s/ring", path);
	r->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (r->fd < 0)
		return errno;
	for (int i = 0; rc == 0 && i < RING / STEP; i++)
		rc = write_block(r);
	if (rc == 0 && fsync(r->fd) != 0)
		rc = errno;
	return rc;
}

static int
raw_open(const char *path, const struct cell *cell, void **out)
{
	struct raw *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return ENOMEM;
	r->waiting = cell->waiting;
	rc = make_ring(r, path);
	if (rc == 0)
		*out = r;
	else
		raw_close(r);
	return rc;
}

const struct side raw_side = {
	.name = "raw",
	.open = raw_open,
	.close = raw_close,
	.begin = raw_nothing,
	.commit = raw_nothing,
	.send = raw_send,
	.receive = raw_none,
	.settle = raw_none,
	.count = raw_count,
};
