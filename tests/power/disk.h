/* SPDX-License-Identifier: MIT */
/*
 * What a disk may hold when the power fails after so many entries of the record.
 *
 * Of each file, all that a finished flush covers is there: its base. What was written later is loose. A page with
 * loose writes is as it was before them, or after any of them, or torn: each of its sectors by itself. Sectors
 * are not torn. A size is that of the base or any later one. A name that was given or taken is loose until the
 * directory is flushed, and perhaps, as some file systems have it, until its file is. A flush of a range, which
 * is what a write through O_DSYNC makes, covers the pages of its range alone.
 *
 * lock.mdb and evq.shared are written through mappings and never flushed: they may be as they were not long ago, page
 * by page, or not be there.
 */
#ifndef EVQ_TESTS_POWER_DISK_H
#define EVQ_TESTS_POWER_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { DISK_NAMES = 32, DISK_SECTOR = 512, DISK_SECTORS = 8 };

enum disk_how {
	DISK_NOTHING, /* of what is loose */
	DISK_ALL,
	DISK_ALL_BUT_ONE,
	DISK_ONLY_ONE,
	DISK_UNTIL, /* some moment, over all files */
	DISK_SINCE, /* some moment: what was written last, and not what came before it */
	DISK_RANDOM,
	DISK_TORN,
	DISK_HOWS
};

struct disk_names {
	int made; /* the directory itself */
	size_t count;
	struct disk_name {
		const char *name;
		unsigned file;
	} at[DISK_NAMES];
};

struct disk_file {
	unsigned char *base;
	size_t size, room;
	size_t *loose; /* entries: writes, and sizes */
	size_t count, loose_room;
	int is_mapped;
};

/* A page and its loose writes: those from first on in spot_writes. */
struct disk_spot {
	unsigned file;
	uint64_t page;
	size_t first, count;
};

struct disk {
	size_t next; /* entry */
	struct disk_file *files;
	struct disk_names names;
	struct {
		size_t entry;
		int with_file; /* the file was flushed since */
	} ops[DISK_NAMES];
	size_t op_count;
	struct disk_spot *spots; /* of disk_find_spots() */
	size_t spot_count, *spot_writes;
};

struct disk_kept {
	size_t loose, lost; /* pages and names: how many were loose, and how many are not as they were last */
};

struct disk *disk_new(void);
void disk_free(struct disk *d);
void disk_go_on(struct disk *d, size_t entries); /* to after that many of them */
size_t disk_loose(const struct disk *d); /* 0: there is one state only */

/* loose.c: makes the state in dir, of what is there. tell, or NULL: what was chosen. */
void disk_lay(struct disk *d, enum disk_how how, uint64_t seed, const char *dir, FILE *tell, struct disk_kept *out);


void disk_names_apply(struct disk_names *names, size_t entry);
int disk_cuts(size_t entry, uint64_t at); /* is it a size that ends the file before at? */

#endif
