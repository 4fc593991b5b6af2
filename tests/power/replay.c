/* SPDX-License-Identifier: MIT */
/*
 * Owns the plan and the processes. The plan is a list of states, in the order of the record: the moments around
 * each flush, each change of a name and each answer, as many of them as half of the states are enough for, and
 * moments by chance. Where nothing is loose, there is one state; else nothing kept, and some others.
 *
 * A child goes through the plan. One that ends, by a signal or by a complaint, is followed by another behind the
 * state in question; that is made once more then, and kept.
 */
#include "replay.h"

#include "again.h"
#include "dice.h"
#include "disk.h"
#include "ledger.h"
#include "record.h"
#include "trees.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VARIANTS = 4, FAILURES_MAX = 20, KEPT_MAX = 3, SECONDS_MAX = 30, STORY = 120, AGAIN_EVERY = 16 };

struct state {
	size_t entries;
	enum disk_how how;
	uint64_t seed;
};

static struct state *plan;
static size_t plan_count;

/* In memory that the processes share. */
static struct progress {
	size_t at; /* state */
	size_t lost, undone, again;
	int wrong;
	char complaint[sizeof(complaint)];
} *progress;

static const struct setting *setting;
static char state_dir[400], again_dir[400];

/* ---- the plan ------------------------------------------------------------------------------------------- */

static void *
have(void *p)
{
	if (!p) {
		perror("power_test");
		exit(2);
	}
	return p;
}

/* How much is loose after each number of entries. */
static size_t *
count_loose(void)
{
	struct disk *d = disk_new();
	size_t *loose = have(calloc(record.count + 1, sizeof(*loose)));
	for (size_t i = 0; i <= record.count; i++) {
		disk_go_on(d, i);
		loose[i] = disk_loose(d);
	}
	disk_free(d);
	return loose;
}

static void
plan_point(size_t entries, int is_loose, uint64_t *dice)
{
	int variants = is_loose ? VARIANTS : 1;
	for (int i = 0; i < variants && plan_count < setting->states; i++)
		plan[plan_count++] = (struct state){
			.entries = entries,
			.how = i == 0 ? DISK_NOTHING : (enum disk_how)(1 + dice_below(dice, DISK_HOWS - 1)),
			.seed = dice_roll(dice)
		};
}

static int
is_turn(const struct entry *e)
{
	return e->kind == ENTRY_ANSWER || (e->kind >= ENTRY_FLUSH && e->kind <= ENTRY_FLUSH_PARENT);
}

/* The moments before and after each turn, in an order by chance. */
static size_t *
list_turns(size_t *count_out, uint64_t *dice)
{
	size_t *turns = have(calloc(record.count * 2 + 1, sizeof(*turns))), count = 0;
	for (size_t i = 0; i < record.count; i++)
		if (is_turn(&record.entries[i])) {
			if (!count || turns[count - 1] != i)
				turns[count++] = i;
			turns[count++] = i + 1;
		}
	for (size_t i = count; i > 1; i--) {
		size_t k = dice_below(dice, i), turn = turns[k];
		turns[k] = turns[i - 1];
		turns[i - 1] = turn;
	}
	*count_out = count;
	return turns;
}

static int
compare_states(const void *a, const void *b)
{
	const struct state *x = a, *y = b;
	return x->entries < y->entries ? -1 : x->entries > y->entries;
}

static size_t
make_plan(void)
{
	uint64_t dice = setting->seed ^ 0x706c616e;
	size_t *loose = count_loose(), turn_count, points = 0;
	size_t *turns = list_turns(&turn_count, &dice);
	plan = have(calloc(setting->states + 1, sizeof(*plan)));
	plan_count = 0;
	for (size_t i = 0; i < turn_count && plan_count < setting->states / 2; i++, points++)
		plan_point(turns[i], loose[turns[i]] > 0, &dice);
	while (plan_count < setting->states) {
		size_t at = dice_below(&dice, record.count + 1);
		if (!loose[at] && dice_below(&dice, 4)) /* they are many, and much the same */
			continue;
		plan_point(at, loose[at] > 0, &dice);
		points++;
	}
	qsort(plan, plan_count, sizeof(*plan), compare_states);
	free(turns);
	free(loose);
	return points;
}

/* ---- a child -------------------------------------------------------------------------------------------- */

struct known {
	size_t next;                      /* entry */
	size_t started, answered, synced; /* calls */
};

static void
read_marks(struct known *k, size_t entries)
{
	for (; k->next < entries; k->next++) {
		const struct entry *e = &record.entries[k->next];
		if (e->kind == ENTRY_CALL)
			k->started = e->at;
		if (e->kind != ENTRY_ANSWER)
			continue;
		k->answered = e->at;
		if (ledger.calls[e->at].syncs && ledger.calls[e->at].rc == 0)
			k->synced = e->at;
	}
}

static void
lose_power_again(struct span span, uint64_t seed)
{
	progress->wrong = again(state_dir, again_dir, setting, span, seed, &progress->again);
	memcpy(progress->complaint, complaint, sizeof(complaint));
	_exit(0);
}

static int
try_again(struct span span, uint64_t seed)
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		alarm(SECONDS_MAX);
		lose_power_again(span, seed);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		_exit(2);
	if (status == 0 && !progress->wrong)
		return 0;
	if (status)
		snprintf(complaint, sizeof(complaint), "ended with status %d when the power failed again", status);
	else
		memcpy(complaint, progress->complaint, sizeof(complaint));
	return 1;
}

static int
try_state(struct disk *d, struct known *k, const struct state *s)
{
	struct disk_kept kept;
	size_t call = 0;
	disk_go_on(d, s->entries);
	read_marks(k, s->entries);
	disk_lay(d, s->how, s->seed, state_dir, NULL, &kept);
	struct span span = { setting->durability == EVQ_DURABLE_FULL ? k->answered : k->synced, k->started };
	int is_twice = s->seed % AGAIN_EVERY == 0;
	if (is_twice && try_again(span, s->seed))
		return 1;
	int wrong = look(state_dir, setting, span.first, span.last, &call);
	progress->lost += kept.lost > 0;
	progress->undone += !wrong && call < k->answered;
	return wrong;
}

static void
go_through(size_t from, int quiet)
{
	struct disk *d = disk_new();
	struct known k = { 0 };
	if (quiet && !freopen("/dev/null", "w", stderr))
		_exit(2);
	signal(SIGSEGV, SIG_DFL); /* what a sanitizer has to say of them takes long */
	signal(SIGBUS, SIG_DFL);
	for (progress->at = from; progress->at < plan_count; progress->at++) {
		alarm(2 * SECONDS_MAX);
		if (!try_state(d, &k, &plan[progress->at]))
			continue;
		memcpy(progress->complaint, complaint, sizeof(complaint));
		progress->wrong = 1;
		_exit(0);
	}
	_exit(0);
}

/* Runs fn in a child. Returns how it ended. */
static int
in_child(void (*fn)(size_t, int), size_t number, int flag)
{
	int status = -1;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		fn(number, flag);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("power_test");
		exit(2);
	}
	return status;
}

/* ---- what is kept --------------------------------------------------------------------------------------- */

static char kept_dir[420], story_name[440];

static void
tell_story(size_t number, int unused)
{
	static const char *const hows[DISK_HOWS] = { "nothing", "all",   "all but one", "only one",
		                                     "until",   "since", "random",      "torn" };
	const struct state *s = &plan[number];
	struct disk *d = disk_new();
	struct disk_kept kept;
	FILE *f = have(fopen(story_name, "w"));
	(void)unused;
	fprintf(f, "%s\nseed %llu, %s, %s, after %zu entries of %zu, kept of what was loose: %s, seed %llu\n\n",
	        progress->complaint, (unsigned long long)setting->seed, setting->durability ? "relaxed" : "full",
	        setting->keeper ? "no keeper" : "keeper", s->entries, record.count, hows[s->how],
	        (unsigned long long)s->seed);
	disk_go_on(d, s->entries);
	disk_lay(d, s->how, s->seed, kept_dir, f, &kept);
	fprintf(f, "\nthe last entries:\n");
	for (size_t i = s->entries > STORY ? s->entries - STORY : 0; i < s->entries; i++) {
		const struct entry *e = &record.entries[i];
		record_print(e, i, f);
		if (e->kind == ENTRY_CALL)
			fprintf(f, "         %s: %d\n", ledger.calls[e->at].what, ledger.calls[e->at].rc);
	}
	fclose(f);
}

static void
report(const char *top, size_t number, size_t failures)
{
	printf("power_test: state %zu: %s\n", number, progress->complaint);
	if (failures > KEPT_MAX)
		return;
	snprintf(kept_dir, sizeof(kept_dir), "%s/wrong-%zu", top, number);
	snprintf(story_name, sizeof(story_name), "%s.txt", kept_dir);
	in_child(tell_story, number, 0);
	printf("power_test: kept %s and %s\n", kept_dir, story_name);
	snprintf(story_name, sizeof(story_name), "%s.again", kept_dir);
	if (strstr(progress->complaint, "again,") && rename(again_dir, story_name) == 0)
		printf("power_test: kept %s\n", story_name);
}

/* ---- the replay ------------------------------------------------------------------------------------------ */

static void
share_progress(void)
{
	if (!progress)
		progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
		have(NULL);
	memset(progress, 0, sizeof(*progress));
}

void
replay(const struct setting *s, const char *top, int quiet, struct replay *out)
{
	setting = s;
	share_progress();
	snprintf(state_dir, sizeof(state_dir), "%s/state", top);
	snprintf(again_dir, sizeof(again_dir), "%s/again", top);
	*out = (struct replay){ .points = make_plan() };
	for (size_t from = 0; from < plan_count && out->failures < FAILURES_MAX; from = progress->at + 1) {
		progress->wrong = 0;
		int status = in_child(go_through, from, quiet);
		if (status == 0 && !progress->wrong)
			break;
		if (!progress->wrong)
			snprintf(progress->complaint, sizeof(progress->complaint), "ended by signal %d, status %d",
			         WIFSIGNALED(status) ? WTERMSIG(status) : 0, WEXITSTATUS(status));
		out->failures++;
		if (!quiet)
			report(top, progress->at, out->failures);
	}
	out->states = progress->at < plan_count ? progress->at + 1 : plan_count;
	out->lost = progress->lost;
	out->undone = progress->undone;
	out->again = progress->again;
	remove_tree(state_dir);
	if (!out->failures || quiet)
		remove_tree(again_dir);
	free(plan);
}
