/* SPDX-License-Identifier: MIT */
/*
 * Owns the choice of what is kept of what is loose, and the making of the files as they are then. The choice
 * follows from the seed alone, so that a state can be made again.
 */
#include "disk.h"

#include "dice.h"
#include "record.h"
#include "trees.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GAP = 4 * RECORD_PAGE };

enum mapped { MAPPED_ABSENT, MAPPED_NEW, MAPPED_ANY };

struct choice {
	struct disk *d;
	enum disk_how how;
	uint64_t dice;
	size_t spot;   /* the one of DISK_ALL_BUT_ONE and DISK_ONLY_ONE */
	size_t moment; /* entry */
	size_t share;  /* of eight, kept by DISK_RANDOM */
	int strict;    /* a flush of a file leaves its name loose */
	enum mapped mapped;
	FILE *tell;
	struct disk_kept *out;
};

static void
must(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	_exit(2);
}

/* ---- pages with loose writes -------------------------------------------------------------------------- */

/* Of files that are mapped last; by page; by time. */
static struct disk *sorting;

static int
compare_writes(const void *a, const void *b)
{
	size_t i = *(const size_t *)a, k = *(const size_t *)b;
	const struct entry *x = &record.entries[i], *y = &record.entries[k];
	int mapped = sorting->files[x->file].is_mapped - sorting->files[y->file].is_mapped;
	if (mapped)
		return mapped;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->at / RECORD_PAGE != y->at / RECORD_PAGE)
		return x->at < y->at ? -1 : 1;
	return i < k ? -1 : i > k;
}

static size_t
list_writes(struct disk *d)
{
	size_t count = 0, room = 1;
	for (unsigned i = 0; i < record.files; i++)
		room += d->files[i].count;
	d->spot_writes = realloc(d->spot_writes, room * sizeof(*d->spot_writes));
	d->spots = realloc(d->spots, room * sizeof(*d->spots));
	must(d->spot_writes && d->spots, "disk");
	for (unsigned i = 0; i < record.files; i++)
		for (size_t k = 0; k < d->files[i].count; k++)
			if (record.entries[d->files[i].loose[k]].kind == ENTRY_WRITE)
				d->spot_writes[count++] = d->files[i].loose[k];
	sorting = d;
	qsort(d->spot_writes, count, sizeof(*d->spot_writes), compare_writes);
	return count;
}

static void
find_spots(struct disk *d)
{
	size_t count = list_writes(d);
	struct disk_spot *s = NULL;
	d->spot_count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct entry *e = &record.entries[d->spot_writes[i]];
		if (!s || s->file != e->file || s->page != e->at / RECORD_PAGE) {
			s = &d->spots[d->spot_count++];
			*s = (struct disk_spot){ .file = e->file, .page = e->at / RECORD_PAGE, .first = i };
		}
		s->count++;
	}
}

static size_t
spots_on_disk(const struct disk *d)
{
	size_t count = 0;
	while (count < d->spot_count && !d->files[d->spots[count].file].is_mapped)
		count++;
	return count;
}

/* ---- the choice ----------------------------------------------------------------------------------------- */

static void
choose(struct choice *c, struct disk *d, size_t on_disk)
{
	static const size_t shares[] = { 1, 4, 7 };
	size_t moments = d->op_count;
	for (size_t i = 0; i < on_disk; i++)
		moments += d->spots[i].count;
	size_t i = moments ? dice_below(&c->dice, moments) : 0;
	c->moment = !moments ? d->next : i < d->op_count ? d->ops[i].entry : d->spot_writes[i - d->op_count];
	c->spot = on_disk ? dice_below(&c->dice, on_disk) : 0;
	c->share = shares[dice_below(&c->dice, 3)];
	c->strict = (int)dice_below(&c->dice, 2);
	c->mapped = (enum mapped)dice_below(&c->dice, 3);
}

/* How many of the writes to a page are there. */
static size_t
version_of(struct choice *c, size_t index)
{
	const struct disk_spot *s = &c->d->spots[index];
	const size_t *writes = c->d->spot_writes + s->first;
	size_t n = s->count, until = 0;
	if (c->d->files[s->file].is_mapped)
		return c->mapped == MAPPED_NEW ? n : dice_below(&c->dice, n + 1);
	while (until < n && writes[until] < c->moment)
		until++;
	switch (c->how) {
	case DISK_NOTHING:
		return 0;
	case DISK_ALL_BUT_ONE:
		return index == c->spot ? dice_below(&c->dice, n) : n;
	case DISK_ONLY_ONE:
		return index == c->spot ? 1 + dice_below(&c->dice, n) : 0;
	case DISK_UNTIL:
		return until;
	case DISK_SINCE:
		return until < n ? n : 0;
	case DISK_RANDOM:
	case DISK_TORN:
		return dice_below(&c->dice, 8) < c->share ? n : dice_below(&c->dice, 2) ? dice_below(&c->dice, n) : 0;
	case DISK_ALL:
	case DISK_HOWS:
		break;
	}
	return n;
}

static void
sector_versions(struct choice *c, size_t index, size_t versions[DISK_SECTORS])
{
	size_t n = c->d->spots[index].count, version = version_of(c, index), other = version;
	if (c->how == DISK_TORN && dice_below(&c->dice, 2))
		other = dice_below(&c->dice, n + 1);
	for (int i = 0; i < DISK_SECTORS; i++)
		versions[i] = other == version || dice_below(&c->dice, 2) ? version : other;
}

static int
keeps_name(struct choice *c, size_t op)
{
	if (c->d->ops[op].with_file && !c->strict)
		return 1;
	if (c->how == DISK_UNTIL)
		return c->d->ops[op].entry < c->moment;
	if (c->how == DISK_NOTHING)
		return 0;
	return c->how == DISK_ALL || c->how == DISK_ALL_BUT_ONE || c->how == DISK_SINCE || dice_below(&c->dice, 2);
}

/* The changes of the size are there up to this entry. */
static size_t
sizes_until(struct choice *c, const struct disk_file *f)
{
	if (f->is_mapped)
		return c->mapped == MAPPED_NEW || dice_below(&c->dice, 4) ? SIZE_MAX : 0;
	if (c->how == DISK_NOTHING)
		return 0;
	if (c->how == DISK_UNTIL)
		return c->moment;
	if (c->how != DISK_RANDOM && c->how != DISK_TORN)
		return SIZE_MAX;
	size_t roll = dice_below(&c->dice, 3);
	return roll == 0 ? SIZE_MAX : roll == 1 ? c->moment : 0;
}

static struct disk_names
choose_names(struct choice *c)
{
	struct disk_names names = c->d->names;
	for (size_t i = 0; i < c->d->op_count; i++) {
		int keeps = keeps_name(c, i);
		if (keeps)
			disk_names_apply(&names, c->d->ops[i].entry);
		c->out->lost += !keeps;
		if (c->tell)
			fprintf(c->tell, "change of a name, entry %zu: %s\n", c->d->ops[i].entry, keeps ? "kept" : "lost");
	}
	return names;
}

/* ---- the files ------------------------------------------------------------------------------------------ */

static int
is_zero(const unsigned char *page)
{
	return page[0] == 0 && memcmp(page, page + 1, RECORD_PAGE - 1) == 0;
}

static void
write_at(int fd, const unsigned char *bytes, size_t len, uint64_t at)
{
	must(pwrite(fd, bytes, len, (off_t)at) == (ssize_t)len, "pwrite");
}

/* From where on the file may hold something. */
static size_t
next_data(int fd, size_t at)
{
	off_t next = lseek(fd, (off_t)at, SEEK_DATA);
	must(next >= 0 || errno == ENXIO, "lseek");
	return next < 0 ? SIZE_MAX : (size_t)next / RECORD_PAGE * RECORD_PAGE;
}

/*
 * Over the file of the state before, since to give memory back and take it again takes longer. What is zero in both is
 * left out; a few such pages between others are not worth a call.
 */
static void
write_base(int fd, const struct disk_file *f)
{
	size_t end = (f->size + RECORD_PAGE - 1) / RECORD_PAGE * RECORD_PAGE, from = 0, to = 0;
	must(ftruncate(fd, (off_t)f->size) == 0, "ftruncate");
	size_t data = next_data(fd, 0);
	for (size_t at = 0; at < end; at += RECORD_PAGE) {
		if (is_zero(f->base + at) && at < data)
			continue;
		if (at - to > GAP) {
			write_at(fd, f->base + from, to - from, from);
			from = at;
		}
		to = at + RECORD_PAGE;
		if (at >= data)
			data = next_data(fd, to);
	}
	write_at(fd, f->base + from, to - from, from);
	must(ftruncate(fd, (off_t)f->size) == 0, "ftruncate");
}

/* The size in the end; where the file was cut in between, what was behind the cut is gone. */
static uint64_t
resize(int fd, const struct disk_file *f, size_t until)
{
	uint64_t size = f->size;
	for (size_t i = 0; i < f->count && f->loose[i] < until; i++) {
		const struct entry *e = &record.entries[f->loose[i]];
		if (e->kind == ENTRY_SIZE)
			must(ftruncate(fd, (off_t)(size = e->at)) == 0, "ftruncate");
		else if (size < e->at + e->len)
			size = e->at + e->len;
	}
	return size;
}

static void
write_sectors(unsigned char *page, const struct entry *e, size_t version, const size_t versions[DISK_SECTORS])
{
	size_t from = e->at % RECORD_PAGE, end = from + e->len;
	for (size_t at = from, next; at < end; at = next) {
		next = (at / DISK_SECTOR + 1) * DISK_SECTOR;
		next = next < end ? next : end;
		if (version < versions[at / DISK_SECTOR])
			memcpy(page + at, e->data + (at - from), next - at);
	}
}

/* Cuts of the file between two writes to the page. A cut that is not there takes with it what was written after it. */
static int
cut_page(const struct disk_file *f, uint64_t start, size_t after, size_t before, size_t until, unsigned char *page)
{
	for (size_t i = 0; i < f->count && f->loose[i] < before; i++) {
		if (f->loose[i] <= after || !disk_cuts(f->loose[i], start + RECORD_PAGE))
			continue;
		if (f->loose[i] >= until)
			return 1;
		uint64_t at = record.entries[f->loose[i]].at;
		size_t kept = at > start ? (size_t)(at - start) : 0;
		memset(page + kept, 0, RECORD_PAGE - kept);
	}
	return 0;
}

static void
write_spot(struct choice *c, int fd, size_t index, size_t until)
{
	const struct disk_spot *s = &c->d->spots[index];
	const struct disk_file *f = &c->d->files[s->file];
	const size_t *writes = c->d->spot_writes + s->first;
	uint64_t start = s->page * RECORD_PAGE;
	size_t versions[DISK_SECTORS], least = s->count, after = 0;
	unsigned char page[RECORD_PAGE] = { 0 };
	if (start < f->room)
		memcpy(page, f->base + start, RECORD_PAGE);
	sector_versions(c, index, versions);
	for (size_t i = 0; i < s->count; after = writes[i++]) {
		if (cut_page(f, start, after, writes[i], until, page))
			break;
		write_sectors(page, &record.entries[writes[i]], i, versions);
	}
	if (after == writes[s->count - 1])
		(void)cut_page(f, start, after, until, until, page);
	for (int i = 0; i < DISK_SECTORS; i++)
		least = versions[i] < least ? versions[i] : least;
	c->out->lost += least < s->count && !f->is_mapped;
	if (fd >= 0)
		write_at(fd, page, RECORD_PAGE, start);
	if (c->tell)
		fprintf(c->tell, "file %u page %llu: %zu ... of %zu loose writes, the last entry %zu\n", s->file,
		        (unsigned long long)s->page, least, s->count, writes[s->count - 1]);
}

static void
lay_file(struct choice *c, int dir_fd, const struct disk_name *name)
{
	const struct disk_file *f = &c->d->files[name->file];
	int fd = openat(dir_fd, name->name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0, name->name);
	write_base(fd, f);
	size_t until = sizes_until(c, f);
	uint64_t size = resize(fd, f, until);
	for (size_t i = 0; i < c->d->spot_count; i++)
		if (c->d->spots[i].file == name->file)
			write_spot(c, fd, i, until);
	must(ftruncate(fd, (off_t)size) == 0, "ftruncate");
	close(fd);
	if (c->tell)
		fprintf(c->tell, "file %u is %s, %llu bytes\n", name->file, name->name, (unsigned long long)size);
}

static int
is_there(const struct choice *c, const struct disk_name *name)
{
	return !c->d->files[name->file].is_mapped || c->mapped != MAPPED_ABSENT;
}

/* What the state before left. */
static void
remove_others(const struct choice *c, int dir_fd, const struct disk_names *names)
{
	DIR *dir = fdopendir(dup(dir_fd));
	must(dir != NULL, "opendir");
	for (struct dirent *file; (file = readdir(dir));) {
		size_t i = 0;
		while (i < names->count && (strcmp(names->at[i].name, file->d_name) != 0 || !is_there(c, &names->at[i])))
			i++;
		if (file->d_name[0] != '.' && i == names->count)
			must(unlinkat(dir_fd, file->d_name, 0) == 0, file->d_name);
	}
	closedir(dir);
}

void
disk_lay(struct disk *d, enum disk_how how, uint64_t seed, const char *dir, FILE *tell, struct disk_kept *out)
{
	struct choice c = { .d = d, .how = how, .dice = seed, .tell = tell, .out = out };
	*out = (struct disk_kept){ 0 };
	find_spots(d);
	size_t on_disk = spots_on_disk(d);
	out->loose = on_disk + d->op_count;
	choose(&c, d, on_disk);
	struct disk_names names = choose_names(&c);
	if (!names.made) {
		remove_tree(dir);
		return;
	}
	must(mkdir(dir, 0700) == 0 || errno == EEXIST, dir);
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(dir_fd >= 0, dir);
	remove_others(&c, dir_fd, &names);
	for (size_t i = 0; i < names.count; i++)
		if (is_there(&c, &names.at[i]))
			lay_file(&c, dir_fd, &names.at[i]);
	close(dir_fd);
}
