/* SPDX-License-Identifier: MIT */
/*
 * What the system tells of threads, its tasks: how many a process has, and how often each has gone to sleep, which
 * is a voluntary context switch. A thread that sleeps without looking up now and then makes none.
 */
#ifndef EVQ_TESTS_TASKS_H
#define EVQ_TESTS_TASKS_H

#include "procs.h"

#include <ctype.h>
#include <dirent.h>
#include <string.h>
#include <sys/syscall.h>

static inline pid_t
task_self(void)
{
	return (pid_t)syscall(SYS_gettid);
}

/* A number of /proc/PID/task/TID/status; -1: there is no such task, or number. */
static inline long
task_number(pid_t pid, pid_t tid, const char *name)
{
	char file[64], line[256];
	long value = -1;
	snprintf(file, sizeof(file), "/proc/%d/task/%d/status", (int)pid, (int)tid);
	FILE *f = fopen(file, "r");
	while (f && value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			value = strtol(line + strlen(name) + 1, NULL, 10);
	if (f)
		fclose(f);
	return value;
}

static inline long
task_switches(pid_t pid, pid_t tid)
{
	return task_number(pid, tid, "voluntary_ctxt_switches");
}

/* Calls fn with each task of a process; the sum of what it returns. */
static inline long
tasks_sum(pid_t pid, long (*fn)(pid_t pid, pid_t tid))
{
	char name[64];
	long sum = 0;
	snprintf(name, sizeof(name), "/proc/%d/task", (int)pid);
	DIR *d = opendir(name);
	for (struct dirent *task; d && (task = readdir(d));)
		if (isdigit((unsigned char)task->d_name[0]))
			sum += fn(pid, (pid_t)atoi(task->d_name));
	if (d)
		closedir(d);
	return sum;
}

static inline long
task_one(pid_t pid, pid_t tid)
{
	(void)pid;
	(void)tid;
	return 1;
}

static inline long
task_switches_of_others(pid_t pid, pid_t tid)
{
	long switches = tid == task_self() ? 0 : task_switches(pid, tid);
	return switches < 0 ? 0 : switches;
}

static inline long
tasks_count(pid_t pid)
{
	return tasks_sum(pid, task_one);
}

/* Where nobody can sleep on a word, a sleeper looks up now and then, and is never seen to sleep. */
#ifdef EVQ__NO_FUTEX
#define TASK_PATIENCE_MS 60
#else
#define TASK_PATIENCE_MS 10000
#endif

/* Waits until a task sleeps: until it has done nothing for a while. It may have been woken when this returns. */
static inline void
task_await_sleep(pid_t pid, pid_t tid)
{
	long before = -1, now = task_switches(pid, tid);
	for (int64_t start = real_ms(); before != now && real_ms() - start < TASK_PATIENCE_MS;) {
		nap_ms(12);
		before = now;
		now = task_switches(pid, tid);
	}
}

#endif
