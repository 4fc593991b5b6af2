/* SPDX-License-Identifier: MIT */
/*
 * One short life of a store, again and again, with a fault at its first, second, ... call to the disk or
 * for memory (inject.h): an error once, an error from then on, a write that comes out short, a death.
 *
 * Each life is a process of its own, which notes in shared memory where it wants each message before a call
 * and where it has it after: acknowledged is acknowledged. It may meet errors, but no signal, and gives back
 * its memory and descriptors. Then the store is opened anew: it verifies clean and each message is where it
 * was acknowledged to be, or, where the call was never answered or answered EVQ_UNKNOWN, where it was before.
 *
 * There are two lives: a plain one, and one in which all is sent again that was not answered (again.c).
 *
 *   fault_test [--only LIFE ROW K]     one fault, for the debugger: LIFE and ROW from 0
 */
#include "fault.h"
#include "trees.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

struct model *model;
struct tally *tally;
const char *const queue_names[PLACES] = { NULL, "q", "dead", "other" };
char store[320], copies[2][330];
int durability;
static char top[300];

static const struct {
	const char *name;
	enum inject_kind kind;
	enum inject_how how;
	int error;
	int lives; /* so many meet it */
	unsigned late_us; /* the caller is that much slower than the keeper */
} rows[] = {
	{ "EIO once", INJECT_DISK, INJECT_ONCE, EIO, 2, 0 },
	{ "EIO once, seen late", INJECT_DISK, INJECT_ONCE, EIO, 1, 15000 },
	{ "ENOSPC once", INJECT_DISK, INJECT_ONCE, ENOSPC, 1, 0 },
	{ "EINTR once", INJECT_DISK, INJECT_ONCE, EINTR, 1, 0 },
	{ "short write", INJECT_DISK, INJECT_SHORT, ENOSPC, 2, 0 },
	{ "EIO for ever", INJECT_DISK, INJECT_FROM_THEN_ON, EIO, 2, 0 },
	{ "ENOSPC for ever", INJECT_DISK, INJECT_FROM_THEN_ON, ENOSPC, 1, 0 },
	{ "killed", INJECT_DISK, INJECT_KILL, 0, 2, 0 },
	{ "no memory once", INJECT_MEMORY, INJECT_ONCE, ENOMEM, 2, 0 },
	{ "no memory for ever", INJECT_MEMORY, INJECT_FROM_THEN_ON, ENOMEM, 1, 0 },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct {
	void (*live)(void);
	int (*check)(void);
} lives[] = { { live, check_store }, { live_again, check_again } };
#define LIVES ((int)(sizeof(lives) / sizeof(lives[0])))

static int
open_descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void
live_with_a_fault(int life, size_t row, unsigned at)
{
	int descriptors = open_descriptors();
	long allocations = inject.live;
	alarm(30);
	inject.late_us = rows[row].late_us;
	inject_arm(rows[row].kind, rows[row].how, rows[row].error, at);
	lives[life].live();
	inject_disarm();
	model->finished = inject.hits ? 1 : 2;
	model->leaks = open_descriptors() != descriptors ? 1 : inject.live != allocations ? 2 : 0;
	_exit(0);
}

/* 0 a fault was met, 1 something is wrong, 2 the life has no at-th call. */
static int
try_fault(int life, size_t row, unsigned at)
{
	int status;
	memset(model, 0, sizeof(*model));
	durability = rows[row].kind == INJECT_MEMORY ? EVQ_DURABLE_RELAXED : EVQ_DURABLE_FULL;
	empty_tree(top);
	complaint[0] = 0;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		live_with_a_fault(life, row, at);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return complain("fork", 0);
	int killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && rows[row].how == INJECT_KILL;
	int wrong = 0;
	if (!killed && status)
		wrong = complain("ended by a signal", WTERMSIG(status));
	if (model->leaks)
		wrong = complain("descriptors (1) or memory (2) not given back", model->leaks);
	wrong |= lives[life].check() || check_copy(0) || check_copy(1);
	if (wrong)
		printf("fault_test: life %d, row %zu (%s), call %u: %s\n", life, row, rows[row].name, at, complaint);
	return wrong ? 1 : model->finished == 2 ? 2 : 0;
}

static int
refuses_network_file_systems(void)
{
	static const long types[] = { 0x6969, 0x517b, (long)0xff534d42, (long)0xfe534d42, 0x00c36400, 0x01021997 };
	evq_env *env = NULL;
	int wrong = 0;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		empty_tree(top);
		inject.file_system_type = types[i];
		int rc = open_store(&env);
		inject.file_system_type = 0;
		if (rc == EREMOTE)
			continue;
		printf("fault_test: a file system of type %lx: %s\n", types[i], evq_errname(rc));
		wrong++;
		if (!rc)
			evq_env_close(env);
	}
	return wrong;
}

static void
make_top(void)
{
	const char *tmp = getenv("TMPDIR");
	if (!tmp || !*tmp)
		tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(top, sizeof(top), "%.200s/evq-fault-XXXXXX", tmp);
	if (!mkdtemp(top)) {
		perror(top);
		exit(1);
	}
	snprintf(store, sizeof(store), "%s/store", top);
	for (int i = 0; i < 2; i++)
		snprintf(copies[i], sizeof(copies[i]), "%s/copy%d", top, i);
}

/*
 * Every call of the first life fails once, every third of the other; where time is short every third and seventh. Writes
 * and flushes of the journal take turns: the step is odd, so that both meet it.
 */
static int
try_all(int life, size_t row, int *wrong)
{
	int rc = 0, faults = 0;
	static const unsigned steps[2][LIVES] = { { 1, 3 }, { 3, 7 } };
	unsigned step = steps[getenv("EVQ_TEST_SMALL") != NULL][life];
	for (unsigned at = 1; rc != 2 && faults < 10000; at += step) {
		rc = try_fault(life, row, at);
		*wrong += rc == 1;
		faults += rc != 2;
	}
	return faults;
}

static void *
shared(size_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* Of both there must have been some, or nothing was tried. */
static int
have_met_both(void)
{
	int had_happened = tally->repeats[1] + tally->unknown[1], had_not = tally->repeats[0] + tally->unknown[0];
	printf("fault_test: sends of unknown outcome that were repeated: %d had happened, %d had not\n", had_happened, had_not);
	return had_happened > 0 && had_not > 0;
}

int
main(int argc, char **argv)
{
	int wrong = 0, faults = 0, kinds = 0;
	make_top();
	umask(0);
	model = shared(sizeof(*model));
	tally = shared(sizeof(*tally));
	live(); /* what the C library allocates once is allocated now */
	if (argc == 5 && !strcmp(argv[1], "--only")) /* what it leaves is kept, to be looked at */
		return try_fault(atoi(argv[2]) % LIVES, (size_t)atoi(argv[3]) % ROWS, (unsigned)atoi(argv[4])) == 1;
	wrong += refuses_network_file_systems();
	for (size_t row = 0; row < ROWS; row++) {
		if (rows[row].kind == INJECT_MEMORY && !INJECT_MALLOC)
			continue;
		for (int life = 0; life < rows[row].lives; life++)
			faults += try_all(life, row, &wrong);
		kinds++;
	}
	wrong += !have_met_both();
	empty_tree(top);
	rmdir(top);
	printf("fault_test: %d faults of %d kinds: %s\n", faults, kinds, wrong ? "WRONG" : "ok");
	return wrong ? 1 : 0;
}
