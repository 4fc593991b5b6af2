/* SPDX-License-Identifier: MIT */
/*
 * Power losses, by replay. The life of a store (life.c) is recorded down to each write and flush of its files
 * (record.c), with the answers that its program was given in between (ledger.c). Then the states in which a disk may be
 * left by a power loss at this moment or that (disk.c, loose.c) are made, one after the other, and the library has
 * to open each and find what it had answered for (look.c).
 *
 *   power_test [--states N] [--seed N] [--ops N] [--durability full|relaxed] [--no-keeper] [--lie FILE] [--dir DIR]
 *
 * Without --durability, --no-keeper or --lie it is a mix of settings, and a test of this test: a disk that lies about
 * the flushes of a file on which durability rests must be found out. With --lie it is such a disk for the FILE
 * named, evq.journal or data.mdb, and what it lost is reported as wrong.
 *
 * DIR, else $TMPDIR, else /dev/shm, is where a directory is made; what was wrong is kept in it. EVQ_TEST_SMALL=1 in
 * the environment tries fewer states. Exit status 0, or 1 where something was wrong.
 *
 * Without a keeper, the same seed is the same record and the same states.
 */
#include "disk.h"
#include "ledger.h"
#include "record.h"
#include "replay.h"
#include "trees.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OPS = 300, STATES = 2000, LIE_PERCENT = 5 };

static char top[300], store[320];

static void
make_top(const char *dir)
{
	const char *tmp = getenv("TMPDIR");
	if (!dir)
		dir = tmp && *tmp ? tmp : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	char *path = realpath(dir, NULL);
	snprintf(top, sizeof(top), "%.200s/evq-power-XXXXXX", path ? path : dir);
	free(path);
	if (!mkdtemp(top)) {
		perror(top);
		exit(2);
	}
	snprintf(store, sizeof(store), "%s/store", top);
}

/* What this test would not notice about itself. */
static const char *
idle(const struct setting *s, const struct replay *r)
{
	if (s->lie && !record.lies)
		return "the file lied about was never flushed";
	if (r->states < 100)
		return NULL; /* too few to tell */
	if (r->lost < r->states / 5)
		return "hardly any state had lost anything";
	/* where there is no keeper to flush later, each call does */
	if (!s->lie && s->durability == EVQ_DURABLE_RELAXED && !s->keeper && !r->undone)
		return "no state had undone anything that need not be durable";
	return NULL;
}

/* 0 where all is as it should be; is_found_out: where the lie is not. */
static int
run(const struct setting *s, int is_found_out)
{
	struct replay r;
	ledger_start();
	record_start(store, s->lie);
	life(store, s);
	record_stop();
	replay(s, top, is_found_out, &r);
	const char *why = idle(s, &r);
	printf("power_test: %s%s%s%s, seed %llu: %zu calls, %zu entries; %zu states at %zu points, %zu had lost something, "
	       "%zu had undone calls; %zu of a second loss; %zu wrong%s%s%s\n",
	       s->durability ? "relaxed" : "full", s->keeper ? ", no keeper" : "", s->lie ? ", lied to about " : "",
	       s->lie ? s->lie : "", (unsigned long long)s->seed, ledger.call_count - 1, record.count, r.states, r.points,
	       r.lost, r.undone, r.again, r.failures, is_found_out ? ", as it should be" : "", why ? "; NOT A TEST: " : "",
	       why ? why : "");
	fflush(stdout);
	remove_tree(store);
	return why || (is_found_out ? r.failures == 0 : r.failures != 0);
}

static void
forget(void)
{
	record_forget();
	ledger_forget();
}

static int
run_mix(const struct setting *s)
{
	static const struct {
		int durability, keeper;
		size_t percent;
	} mix[] = { { EVQ_DURABLE_FULL, 0, 40 },
		    { EVQ_DURABLE_FULL, EVQ_NONE, 20 },
		    { EVQ_DURABLE_RELAXED, 0, 20 },
		    { EVQ_DURABLE_RELAXED, EVQ_NONE, 15 } };
	struct setting each = *s;
	int wrong = 0, has_journal = 0;
	for (size_t i = 0; i < sizeof(mix) / sizeof(*mix); i++) {
		each.durability = mix[i].durability;
		each.keeper = mix[i].keeper;
		each.states = s->states * mix[i].percent / 100 + 1;
		wrong |= run(&each, 0);
		has_journal |= record_has_name("evq.journal");
		forget();
		each.seed++;
	}
	each = *s;
	each.states = s->states * LIE_PERCENT / 100 + 1;
	for (size_t i = 0; i < 2; i++) {
		each.lie = i ? "evq.journal" : "data.mdb";
		if (i && !has_journal)
			break;
		wrong |= run(&each, 1);
		forget();
	}
	return wrong;
}

static int
usage(void)
{
	fprintf(stderr, "usage: power_test [--states N] [--seed N] [--ops N] [--durability full|relaxed] [--no-keeper] "
	                "[--lie FILE] [--dir DIR]\n");
	return 2;
}

/* Which of the options one setting needs, and not the mix; -1 where it is none. */
static int
take_option(struct setting *s, const char **dir, const char *name, const char *value)
{
	if (!strcmp(name, "--states"))
		s->states = strtoul(value, NULL, 0);
	else if (!strcmp(name, "--seed"))
		s->seed = strtoull(value, NULL, 0);
	else if (!strcmp(name, "--ops"))
		s->ops = (unsigned)strtoul(value, NULL, 0);
	else if (!strcmp(name, "--dir"))
		*dir = value;
	else if (!strcmp(name, "--lie"))
		return (s->lie = value) != NULL;
	else if (strcmp(name, "--durability") || (strcmp(value, "full") && strcmp(value, "relaxed")))
		return -1;
	else {
		s->durability = strcmp(value, "full") ? EVQ_DURABLE_RELAXED : EVQ_DURABLE_FULL;
		return 1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	uint64_t seed = (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
	struct setting s = { .ops = OPS, .states = STATES, .seed = seed };
	const char *dir = NULL;
	if (getenv("EVQ_TEST_SMALL"))
		s.states /= 4;
	int single = 0, rc;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--no-keeper")) {
			s.keeper = EVQ_NONE;
			single = 1;
			continue;
		}
		if (i + 1 == argc || (rc = take_option(&s, &dir, argv[i], argv[i + 1])) < 0)
			return usage();
		single |= rc;
		i++;
	}
	make_top(dir);
	int wrong = single ? run(&s, 0) : run_mix(&s);
	if (single)
		forget();
	if (wrong)
		printf("power_test: kept %s\n", top);
	else
		remove_tree(top);
	return wrong ? 1 : 0;
}
