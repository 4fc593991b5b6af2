/* SPDX-License-Identifier: MIT */
/* What is behind a descriptor and a name: between record.c and names.c. Needs, all: the lock of the record. */
#ifndef EVQ_TESTS_POWER_NAMES_H
#define EVQ_TESTS_POWER_NAMES_H

enum names_kind { FD_NONE, FD_FILE, FD_DIR, FD_PARENT };

struct names_fd {
	enum names_kind kind;
	unsigned file;
	int syncs; /* a write through it is flushed when it returns */
};

void names_start(const char *root);
struct names_fd *names_fd(int fd); /* of FD_NONE where it is none of ours */
int names_is(unsigned file, const char *name); /* name may be NULL */

#endif
