/* SPDX-License-Identifier: MIT */
/* Owns what is surely on the disk, and the list of what is loose, as the entries of the record go by. */
#include "disk.h"

#include "record.h"

#include <stdlib.h>
#include <string.h>

enum { MAPPED_LOOSE_MAX = 48 }; /* versions of a mapped file that are remembered */

static void
die(const char *what)
{
	perror(what);
	_Exit(2);
}

static void *
resized(void *p, size_t len)
{
	p = realloc(p, len);
	if (!p)
		die("disk");
	return p;
}

struct disk *
disk_new(void)
{
	struct disk *d = calloc(1, sizeof(*d));
	if (!d || !(d->files = calloc(record.files + 1, sizeof(*d->files))))
		die("disk");
	return d;
}

void
disk_free(struct disk *d)
{
	for (unsigned i = 0; i < record.files; i++) {
		free(d->files[i].base);
		free(d->files[i].loose);
	}
	free(d->files);
	free(d->spots);
	free(d->spot_writes);
	free(d);
}

/* ---- the base of a file --------------------------------------------------------------------------------- */

static void
have_room(struct disk_file *f, size_t len)
{
	if (len <= f->room)
		return;
	size_t room = (len * 2 + RECORD_PAGE - 1) / RECORD_PAGE * RECORD_PAGE;
	f->base = resized(f->base, room);
	memset(f->base + f->room, 0, room - f->room);
	f->room = room;
}

static void
apply(struct disk_file *f, const struct entry *e)
{
	if (e->kind == ENTRY_WRITE) {
		have_room(f, e->at + e->len);
		memcpy(f->base + e->at, e->data, e->len);
		if (f->size < e->at + e->len)
			f->size = e->at + e->len;
		return;
	}
	have_room(f, e->at);
	if (e->at < f->size)
		memset(f->base + e->at, 0, f->size - e->at);
	f->size = e->at;
}

static void
loosen(struct disk_file *f, size_t entry)
{
	if (f->count == f->loose_room) {
		f->loose_room = f->loose_room ? f->loose_room * 2 : 64;
		f->loose = resized(f->loose, f->loose_room * sizeof(*f->loose));
	}
	f->loose[f->count++] = entry;
	if (!f->is_mapped || f->count <= MAPPED_LOOSE_MAX)
		return;
	apply(f, &record.entries[f->loose[0]]);
	memmove(f->loose, f->loose + 1, --f->count * sizeof(*f->loose));
}

static int
is_covered(const struct entry *flush, size_t entry)
{
	const struct entry *e = &record.entries[entry];
	if (entry >= flush->covers)
		return 0;
	if (e->kind == ENTRY_SIZE || flush->len == UINT64_MAX)
		return 1;
	uint64_t page = e->at / RECORD_PAGE;
	return page >= flush->at / RECORD_PAGE && page <= (flush->at + flush->len - 1) / RECORD_PAGE;
}

static void
flush(struct disk *d, const struct entry *e)
{
	struct disk_file *f = &d->files[e->file];
	size_t kept = 0;
	for (size_t i = 0; i < f->count; i++)
		if (is_covered(e, f->loose[i]))
			apply(f, &record.entries[f->loose[i]]);
		else
			f->loose[kept++] = f->loose[i];
	f->count = kept;
	for (size_t i = 0; i < d->op_count; i++)
		if (d->ops[i].entry < e->covers && record.entries[d->ops[i].entry].file == e->file)
			d->ops[i].with_file = 1;
}

int
disk_cuts(size_t entry, uint64_t at)
{
	const struct entry *e = &record.entries[entry];
	return e->kind == ENTRY_SIZE && e->at < at;
}

/* ---- names ------------------------------------------------------------------------------------------------ */

static void
drop_name(struct disk_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->at[i].name, name) == 0) {
			names->at[i] = names->at[--names->count];
			return;
		}
}

static void
set_name(struct disk_names *names, const char *name, unsigned file)
{
	drop_name(names, name);
	if (names->count == DISK_NAMES)
		die("more names than expected");
	names->at[names->count++] = (struct disk_name){ name, file };
}

void
disk_names_apply(struct disk_names *names, size_t entry)
{
	const struct entry *e = &record.entries[entry];
	if (e->kind == ENTRY_MKDIR)
		names->made = 1;
	else if (e->kind == ENTRY_LINK)
		set_name(names, e->name, e->file);
	else
		drop_name(names, e->name);
	if (e->kind == ENTRY_RENAME)
		set_name(names, e->to, e->file);
}

static void
loosen_name(struct disk *d, size_t entry)
{
	const struct entry *e = &record.entries[entry];
	if (d->op_count == DISK_NAMES)
		die("more changes of names than expected");
	d->ops[d->op_count].entry = entry;
	d->ops[d->op_count++].with_file = 0;
	if (e->kind == ENTRY_LINK && (strcmp(e->name, "lock.mdb") == 0 || strcmp(e->name, "evq.shared") == 0))
		d->files[e->file].is_mapped = 1;
}

static void
flush_names(struct disk *d, const struct entry *e)
{
	size_t kept = 0;
	for (size_t i = 0; i < d->op_count; i++) {
		size_t entry = d->ops[i].entry;
		int is_parents = record.entries[entry].kind == ENTRY_MKDIR;
		if (entry < e->covers && is_parents == (e->kind == ENTRY_FLUSH_PARENT))
			disk_names_apply(&d->names, entry);
		else
			d->ops[kept++] = d->ops[i];
	}
	d->op_count = kept;
}

/* ---- as the entries go by --------------------------------------------------------------------------------- */

static void
step(struct disk *d, size_t entry)
{
	const struct entry *e = &record.entries[entry];
	switch (e->kind) {
	case ENTRY_WRITE:
	case ENTRY_SIZE:
		loosen(&d->files[e->file], entry);
		break;
	case ENTRY_FLUSH:
		flush(d, e);
		break;
	case ENTRY_LINK:
	case ENTRY_UNLINK:
	case ENTRY_RENAME:
	case ENTRY_MKDIR:
		loosen_name(d, entry);
		break;
	case ENTRY_FLUSH_DIR:
	case ENTRY_FLUSH_PARENT:
		flush_names(d, e);
		break;
	case ENTRY_CALL:
	case ENTRY_ANSWER:
		break;
	}
}

void
disk_go_on(struct disk *d, size_t entries)
{
	while (d->next < entries)
		step(d, d->next++);
}

size_t
disk_loose(const struct disk *d)
{
	size_t count = d->op_count;
	for (unsigned i = 0; i < record.files; i++)
		if (!d->files[i].is_mapped)
			count += d->files[i].count;
	return count;
}
