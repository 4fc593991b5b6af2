/* SPDX-License-Identifier: MIT */
/*
 * Owns the order in which a store is opened, and the way back from every step of it:
 *
 *   directory, network refused -> claimed in this process -> evq.shared and its opening lock
 *   -> data.mdb made where missing, else checked -> lock file on disk -> LMDB -> tables, store's record
 *   -> evq.journal made where missing -> who is alone: what is in it into the tree, and that on disk -> the keeper
 *
 * The claims keep a second thread out, the opening lock a second process. Nothing in here can be cancelled.
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

enum { OPEN_TRIES = 100 };

/* A file that is not there is nobody's. */
static int
claim(struct evq__store *s, int dir_fd, enum evq__claim which, const char *name)
{
	struct stat st;
	if (fstatat(dir_fd, name, &st, 0))
		return errno == ENOENT ? 0 : errno;
	return evq__registry_claim(s, which, &st);
}

static int
claim_all(struct evq__store *s, int dir_fd)
{
	int rc = claim(s, dir_fd, EVQ__CLAIM_DIR, ".");
	if (!rc)
		rc = claim(s, dir_fd, EVQ__CLAIM_SHARED, evq__shared_name);
	return rc ? rc : claim(s, dir_fd, EVQ__CLAIM_DATA, evq__data_name);
}

/* Is data.mdb the one that the others have open? Whoever is alone says which it is. */
static int
check_same_data(struct evq__store *s, int dir_fd)
{
	struct evq__shared *shared = s->shared;
	struct stat st;
	if (fstatat(dir_fd, evq__data_name, &st, 0))
		return errno;
	if (s->alone) {
		shared->data_dev = (uint64_t)st.st_dev;
		shared->data_ino = (uint64_t)st.st_ino;
	}
	if (shared->data_dev != (uint64_t)st.st_dev || shared->data_ino != (uint64_t)st.st_ino)
		return EBUSY;
	return evq__registry_claim(s, EVQ__CLAIM_DATA, &st);
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
		rc = check_same_data(s, dir_fd);
	if (!rc && s->alone) /* whoever made it may not have lived to do this */
		rc = evq__files_sync_dir(dir_fd);
	if (!rc)
		rc = evq__extent_lengthen(s, dir_fd, e);
	if (!rc)
		settle_mapped_size(s, e);
	return rc ? rc : evq__files_lock(dir_fd, mode);
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
try_env(struct evq__store *s, const char *path, const struct evq__store_opts *opts)
{
	unsigned flags = MDB_NOTLS | MDB_NOMETASYNC; /* the page that names the others is flushed when it matters */
	int dead, rc = mdb_env_create(&s->env);
	if (rc) {
		s->env = NULL;
		return rc;
	}
	rc = mdb_env_set_mapsize(s->env, s->shared->mapped_size);
	if (!rc)
		rc = mdb_env_set_maxdbs(s->env, EVQ__TABLES + opts->user_dbs);
	if (!rc)
		rc = mdb_env_set_maxreaders(s->env, EVQ__MAX_READERS);
	if (!rc)
		rc = mdb_env_open(s->env, path, flags, (mdb_mode_t)opts->mode);
	if (!rc)
		rc = set_close_on_exec(s->env);
	return rc ? rc : mdb_reader_check(s->env, &dead);
}

/* A signal, or a moment of another opener's, is no reason to fail; LMDB wants a new environment for each try. */
static int
open_env(struct evq__store *s, const char *path, const struct evq__store_opts *opts)
{
	int rc, tries = 0;
	while ((rc = try_env(s, path, opts)) == EINTR || rc == EAGAIN) {
		mdb_env_close(s->env);
		s->env = NULL;
		if (++tries == OPEN_TRIES)
			break;
		(void)nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	return rc == MDB_VERSION_MISMATCH ? EVQ_FORMAT : rc;
}

static int
read_record(struct evq__store *s, MDB_txn *txn, struct evq__storerec *rec)
{
	uint8_t zero[4] = { 0 };
	MDB_val k = { sizeof zero, zero }, v;
	int rc = mdb_get(txn, s->dbi[EVQ__QUEUE], &k, &v);
	if (!rc)
		rc = evq__storerec_unpack(v.mv_data, v.mv_size, rec);
	if (rc)
		return rc == MDB_NOTFOUND ? EVQ_FORMAT : rc;
	s->secret = rec->secret;
	s->name_end = evq__storerec_name_end(rec);
	memcpy(s->id, rec->id, sizeof s->id);
	atomic_store(&s->nonce, (uint32_t)(evq__clock_boot_ms() * 40503 + getpid())); /* apart from others', most likely */
	return 0;
}

static int
open_tables(struct evq__store *s)
{
	struct evq__storerec rec;
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
	for (int i = 0; !rc && i < EVQ__TABLES; i++)
		if ((rc = mdb_dbi_open(txn, evq__table_name((enum evq__table)i), 0, &s->dbi[i]))) {
			mdb_txn_abort(txn);
			return rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE ? EVQ_FORMAT : rc;
		}
	if (rc)
		return rc;
	if ((rc = read_record(s, txn, &rec))) {
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
evq__store_least_map(void)
{
	uint64_t least = (uint64_t)sysconf(_SC_PAGESIZE) * 4 * EVQ__RESERVE_PAGES;
	return least > UINT64_C(4) << 20 ? least : UINT64_C(4) << 20;
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

static int
anchor_time(struct evq__store *s)
{
	struct evq__storerec rec;
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return rc;
	if (!(rc = read_record(s, txn, &rec)))
		evq__time_anchor(s, rec.seen_ms);
	mdb_txn_abort(txn);
	return rc;
}

/*
 * Whoever is alone finds out how far the journal goes, and has all of it in the tree, on the disk: what comes next
 * may rely on that. Needs: the opening lock.
 */
static int
recover(struct evq__store *s)
{
	struct evq__txn t;
	if (!s->alone)
		return 0;
	int rc = evq__txn_begin_own(s, &t);
	if (rc)
		return rc;
	rc = evq__txn_abort(&t, evq__recover_sync(s));
	return rc ? rc : anchor_time(s);
}

static int
open_journal(struct evq__store *s, int dir_fd, const struct evq__store_opts *opts)
{
	int rc = evq__journal_open(s, dir_fd, opts->mode, opts->journal_size);
	if (!rc)
		rc = recover(s);
	if (!rc)
		rc = evq__journal_resize(s, dir_fd, opts->mode, opts->journal_size);
	if (!rc)
		rc = evq__owners_join(s);
	if (!rc && opts->has_keeper && (rc = evq__keeper_start(s)))
		evq__owners_leave(s);
	return rc;
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
		rc = evq__extent_check(s, dir_fd, &extent);
	if (!rc && s->alone)
		rc = evq__create_bring_up(s->env);
	if (!rc)
		rc = open_tables(s);
	if (!rc)
		rc = measure(s, opts);
	if (!rc)
		rc = open_journal(s, dir_fd, opts);
	if (rc) {
		evq__journal_close(s);
		if (s->env)
			mdb_env_close(s->env);
	}
	return evq__store_is_damage(rc) ? EVQ_FORMAT : rc;
}

static int
open_in(struct evq__store *s, const char *path, int dir_fd, const struct evq__store_opts *opts)
{
	int rc = evq__files_local(dir_fd);
	if (!rc)
		rc = claim_all(s, dir_fd);
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

static int
open_path(struct evq__store *s, const char *path, const struct evq__store_opts *opts)
{
	int dir_fd, rc = evq__files_dir(path, opts->mode, &dir_fd);
	if (rc)
		return rc == ENOSPC || rc == EDQUOT ? EVQ_FULL : rc;
	rc = evq__files_rc(dir_fd, open_in(s, path, dir_fd, opts));
	(void)close(dir_fd);
	return rc;
}

int
evq__store_open(const char *path, const struct evq__store_opts *opts, struct evq__store **out)
{
	struct evq__store *s = calloc(1, sizeof *s);
	int cancel;
	if (!s)
		return ENOMEM;
	s->shared_fd = -1;
	s->journal.fd = -1;
	s->slot = EVQ__SLOTS;
	s->is_relaxed = opts->durability == EVQ_DURABLE_RELAXED;
	s->flush_ms = opts->flush_ms;
	s->lock_timeout_ms = opts->lock_timeout_ms;
	s->dbi_end = 2 + EVQ__TABLES + opts->user_dbs; /* LMDB has two of its own */
	int rc = evq__tenure_init(s);
	if (rc) {
		free(s);
		return rc;
	}
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	evq__registry_add(s);
	rc = open_path(s, path, opts);
	if (rc) {
		evq__registry_remove(s);
		evq__tenure_destroy(s);
		free(s);
	} else
		*out = s;
	(void)pthread_setcancelstate(cancel, NULL);
	return rc;
}

void
evq__store_close(struct evq__store *s)
{
	int cancel;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	evq__keeper_stop(s);
	evq__wake_poll_none(s);
	evq__owners_leave(s);
	evq__journal_close(s);
	mdb_env_close(s->env);
	evq__shared_close(s);
	evq__registry_remove(s); /* last: until now nobody here could open it again */
	evq__tenure_destroy(s);
	(void)pthread_setcancelstate(cancel, NULL);
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

size_t
evq__store_name_end(const struct evq__store *s)
{
	return s->name_end;
}

uint32_t
evq__store_nonce(struct evq__store *s)
{
	return atomic_fetch_add(&s->nonce, 1);
}

/* All that was acknowledged, by whichever process, and the tree with it. */
int
evq__store_sync(struct evq__store *s)
{
	uint64_t end = atomic_load(&s->shared->journal.end);
	int rc = atomic_load(&s->failed);
	if (!rc)
		rc = evq__tenure_commit(s, EVQ__ORDER_SYNC);
	if (!rc)
		rc = evq__flush(s, end);
	return rc ? rc : evq__store_rc(s, mdb_env_sync(s->env, 1));
}

/* A thread that had it is at its end, or ended. */
int
evq__store_is_free(struct evq__store *s)
{
	if (s->tenure.has_keeper && atomic_load(&s->shared->holder) == s->slot + 1)
		return 1;
	if (evq__shared_try(s))
		return 0;
	evq__shared_give(s);
	return 1;
}
