/* SPDX-License-Identifier: MIT */
/*
 * Owns the order in which a store is opened, and the way back from every step of it:
 *
 *   directory, network refused -> not open in this process -> evq.shared and its opening lock
 *   -> data.mdb made where missing, else checked -> lock file on disk -> LMDB -> tables, store's record
 *
 * The registry is locked throughout, so that two threads cannot open one store; the opening lock
 * likewise for two processes.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_TRIES = 100 };

/* Errors: EBUSY this process has it open. A data file that is not there is not open. */
static int
check_not_open(int dir_fd)
{
	struct stat st;
	if (fstatat(dir_fd, evq__data_name, &st, 0))
		return errno == ENOENT ? 0 : errno;
	return evq__registry_has(st.st_dev, st.st_ino) ? EBUSY : 0;
}

static int
note_identity(struct evq__store *s, int dir_fd)
{
	struct stat st;
	if (fstatat(dir_fd, evq__data_name, &st, 0))
		return errno;
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

/* A store can be emptied under a map that is too small for it: what there is, and room to work in. */
static void
settle_mapped_size(struct evq__store *s, const struct evq__extent *e)
{
	uint64_t least = (e->pages + e->pages / 50 + 2 * EVQ__RESERVE_PAGES) * e->page_size;
	if (s->alone)
		s->shared->mapped_size = s->shared->map_size > least ? s->shared->map_size : least;
}

/* Needs: the opening lock. */
static int
prepare_files(struct evq__store *s, const char *path, int dir_fd, unsigned mode, struct evq__extent *e)
{
	int rc = evq__extent_read(dir_fd, e);
	if (rc == ENOENT && !(rc = evq__create(path, dir_fd, mode)))
		rc = evq__extent_read(dir_fd, e);
	if (!rc)
		rc = evq__extent_lengthen(dir_fd, e);
	if (!rc)
		rc = note_identity(s, dir_fd);
	if (!rc)
		settle_mapped_size(s, e);
	return rc ? rc : evq__files_lock(dir_fd, mode);
}

/* A signal, or a moment of another opener's, is no reason to fail. */
static int
open_lmdb(MDB_env *env, const char *path, unsigned flags, unsigned mode)
{
	int rc, tries = 0;
	while ((rc = mdb_env_open(env, path, flags, (mdb_mode_t)mode)) == EINTR || rc == EAGAIN) {
		if (++tries == OPEN_TRIES)
			break;
		(void)nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	return rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH || rc == MDB_CORRUPTED ? EVQ_FORMAT : rc;
}

/* LMDB 0.9 does not ask for it on every descriptor. */
static int
set_close_on_exec(MDB_env *env)
{
	int fd, rc = mdb_env_get_fd(env, &fd);
	if (rc)
		return rc;
	int flags = fcntl(fd, F_GETFD);
	return flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) ? errno : 0;
}

static int
open_env(struct evq__store *s, const char *path, const struct evq__store_opts *opts)
{
	unsigned flags = MDB_NOTLS | (opts->durability == EVQ_DURABLE_RELAXED ? MDB_NOMETASYNC : 0);
	int dead;
	int rc = mdb_env_create(&s->env);
	if (!rc)
		rc = mdb_env_set_mapsize(s->env, s->shared->mapped_size);
	if (!rc)
		rc = mdb_env_set_maxdbs(s->env, EVQ__TABLES + opts->user_dbs);
	if (!rc)
		rc = mdb_env_set_maxreaders(s->env, EVQ__MAX_READERS);
	if (!rc)
		rc = open_lmdb(s->env, path, flags, opts->mode);
	if (!rc)
		rc = set_close_on_exec(s->env);
	return rc ? rc : mdb_reader_check(s->env, &dead);
}

static int
read_record(struct evq__store *s, MDB_txn *txn)
{
	uint8_t zero[4] = { 0 };
	MDB_val k = { sizeof zero, zero }, v;
	struct evq__storerec rec;
	int rc = mdb_get(txn, s->dbi[EVQ__QUEUE], &k, &v);
	if (!rc)
		rc = evq__storerec_unpack(v.mv_data, v.mv_size, &rec);
	if (rc)
		return rc == MDB_NOTFOUND ? EVQ_FORMAT : rc;
	s->secret = rec.secret;
	if (s->alone)
		evq__time_anchor(s, rec.seen_ms);
	return 0;
}

static int
open_tables(struct evq__store *s)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
	for (int i = 0; !rc && i < EVQ__TABLES; i++)
		if ((rc = mdb_dbi_open(txn, evq__table_name((enum evq__table)i), 0, &s->dbi[i]))) {
			mdb_txn_abort(txn);
			return rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE ? EVQ_FORMAT : rc;
		}
	if (rc)
		return rc;
	if ((rc = read_record(s, txn))) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn); /* keeps the handles */
}

static uint64_t
reserve_pages(uint64_t map_pages)
{
	return map_pages / 100 > EVQ__RESERVE_PAGES ? map_pages / 100 : EVQ__RESERVE_PAGES;
}

uint64_t
evq__store_room(uint64_t map_size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages = (map_size ? map_size : EVQ__MAP_DEFAULT) / page;
	return (pages - reserve_pages(pages)) * page;
}

static int
measure(struct evq__store *s, const struct evq__store_opts *opts)
{
	MDB_stat st;
	int rc = mdb_env_stat(s->env, &st);
	if (rc)
		return rc;
	s->page_size = st.ms_psize;
	s->map_pages = s->shared->map_size / s->page_size;
	s->reserve_pages = reserve_pages(s->map_pages);
	uint64_t most = s->map_pages - s->reserve_pages;
	s->quota_pages = opts->max_bytes ? opts->max_bytes / s->page_size : most;
	return s->quota_pages <= most ? 0 : EINVAL;
}

/* Needs: the opening lock. */
static int
open_opened(struct evq__store *s, const char *path, int dir_fd, const struct evq__store_opts *opts)
{
	struct evq__extent extent;
	int rc = prepare_files(s, path, dir_fd, opts->mode, &extent);
	if (!rc)
		rc = open_env(s, path, opts);
	if (!rc)
		rc = evq__extent_check(dir_fd, s->env, &extent);
	if (!rc)
		rc = open_tables(s);
	if (!rc)
		rc = measure(s, opts);
	if (rc && s->env)
		mdb_env_close(s->env);
	return evq__store_is_damage(rc) ? EVQ_FORMAT : rc;
}

static int
open_in(struct evq__store *s, const char *path, int dir_fd, const struct evq__store_opts *opts)
{
	int rc = evq__files_local(dir_fd);
	if (!rc)
		rc = check_not_open(dir_fd);
	if (!rc)
		rc = evq__shared_open(s, dir_fd, opts);
	if (rc)
		return rc;
	if ((rc = open_opened(s, path, dir_fd, opts)))
		evq__shared_close(s);
	else
		evq__shared_opened(s);
	return rc;
}

int
evq__store_open(const char *path, const struct evq__store_opts *opts, struct evq__store **out)
{
	struct evq__store *s = calloc(1, sizeof *s);
	int dir_fd;
	if (!s)
		return ENOMEM;
	s->shared_fd = -1;
	s->lock_timeout_ms = opts->lock_timeout_ms;
	evq__registry_lock();
	int rc = evq__files_dir(path, opts->mode, &dir_fd);
	if (!rc) {
		rc = evq__files_rc(dir_fd, open_in(s, path, dir_fd, opts));
		(void)close(dir_fd);
	}
	if (!rc)
		evq__registry_add(s);
	evq__registry_unlock();
	if (rc) {
		free(s);
		return rc == ENOSPC || rc == EDQUOT ? EVQ_FULL : rc; /* of the directory itself */
	}
	*out = s;
	return 0;
}

void
evq__store_close(struct evq__store *s)
{
	evq__registry_lock();
	mdb_env_close(s->env);
	evq__shared_close(s);
	evq__registry_remove(s);
	evq__registry_unlock();
	free(s);
}

MDB_env *
evq__store_mdb(const struct evq__store *s)
{
	return s->env;
}

uint64_t
evq__store_secret(const struct evq__store *s)
{
	return s->secret;
}

int
evq__store_sync(struct evq__store *s)
{
	return evq__store_rc(s, mdb_env_sync(s->env, 1));
}
