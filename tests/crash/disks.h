/* SPDX-License-Identifier: MIT */
/*
 * Small disks for full_disk: mounted in a mount namespace of this process, so that nothing stays behind, and
 * a file that eats all their space but so many pages.
 */
#ifndef EVQ_TESTS_CRASH_DISKS_H
#define EVQ_TESTS_CRASH_DISKS_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

static char disk[300]; /* where it is mounted */

static const char *
eater(void)
{
	static char name[400];
	snprintf(name, sizeof(name), "%s/eater", disk);
	return name;
}

/* Eats all the space but so many pages. */
static void
eat_but(long pages)
{
	static const char zeros[65536];
	int fd = open(eater(), O_WRONLY | O_CREAT | O_APPEND, 0600);
	for (size_t len = 65536; len >= 512; len /= 2)
		while (write(fd, zeros, len) == (ssize_t)len)
			;
	struct stat st;
	fstat(fd, &st);
	off_t keep = st.st_size / PAGE * PAGE - pages * PAGE;
	if (pages && ftruncate(fd, keep > 0 ? keep : 0)) {
		perror(eater());
		_exit(1);
	}
	fsync(fd); /* what is delayed would be taken later */
	close(fd);
}

static void
give_back(void)
{
	unlink(eater());
	sync();
}

/* 0, or -1 where it takes root, and we are not. */
static int
disks_begin(void)
{
	return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ? -1 : 0;
}

static int
mount_tmpfs(void)
{
	return mount("none", disk, "tmpfs", 0, "size=8m");
}

static int
mount_ext4(const char *image)
{
	char command[1400];
	snprintf(command, sizeof(command),
	         "{ dd if=/dev/zero of='%s' bs=1M count=16 && mkfs.ext4 -q -m 0 -O ^has_journal '%s' && "
	         "mount -o loop '%s' '%s'; } >/dev/null 2>&1",
	         image, image, image, disk);
	return system(command);
}

#endif
