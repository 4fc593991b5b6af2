/* SPDX-License-Identifier: MIT */
/*
 * Faults at the k-th call of a kind. The program defines the functions that the library and LMDB call for
 * the disk and for memory; linked with -rdynamic, its definitions stand before the C library's, for both.
 * Each counts, and at the k-th does what it was told instead of its work: fails, or is the last thing that
 * the process does.
 *
 * One thread. Not under a sanitizer, whose malloc is its own: the disk's functions only, then.
 */
#ifndef EVQ_TESTS_FAULT_INJECT_H
#define EVQ_TESTS_FAULT_INJECT_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INJECT_MALLOC 0
#else
#define INJECT_MALLOC 1
#endif

enum inject_kind { INJECT_NOTHING, INJECT_DISK, INJECT_MEMORY };
enum inject_how { INJECT_ONCE, INJECT_FROM_THEN_ON, INJECT_SHORT, INJECT_KILL };

extern struct inject {
	enum inject_kind kind;
	enum inject_how how;
	int error;
	unsigned at, count; /* the at-th, from 1; 0 counts only */
	unsigned hits;
	long live;             /* allocations not given back */
	long file_system_type; /* that statfs answers; 0 the truth */
	unsigned late_us;      /* whoever waits on a condition without an end comes back so late; 0 at once */
} inject;

void inject_arm(enum inject_kind kind, enum inject_how how, int error, unsigned at);
void inject_disarm(void);

#endif
