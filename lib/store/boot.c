/* SPDX-License-Identifier: MIT */
/* Owns the question which run of the machine this is: between two of them no clock but the wall's goes on. */
#include "inside.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Source: random(4), boot_id: a UUID as text, made when the kernel starts. */
void
evq__boot_id(char out[EVQ__BOOT_ID])
{
	memset(out, 0, EVQ__BOOT_ID);
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (read(fd, out, EVQ__BOOT_ID) != EVQ__BOOT_ID)
		memset(out, 0, EVQ__BOOT_ID);
	(void)close(fd);
}
