/* SPDX-License-Identifier: MIT */
/*
 * Every code that a call of this library can return, with its text: the one table from which names
 * and texts are made. EVQ_CODES are ours, MDB_CODES are LMDB's (their numbers are part of its ABI),
 * SYS_CODES those of errno that we return ourselves or often pass on, with what they mean here.
 */
#ifndef EVQ__CODES_H
#define EVQ__CODES_H

/* Used where a look-up finds nothing; never leaves the library. */
#define EVQ__NONE (-29800)
/* The call is to be made once more; likewise. */
#define EVQ__AGAIN (-29801)

#define EVQ__EVQ_CODES(X)                                                                         \
	X(EVQ_EMPTY, "nothing to receive now")                                                     \
	X(EVQ_NOQUEUE, "no such queue")                                                            \
	X(EVQ_STALE, "stale receipt: the message was received again, moved, deleted or has expired") \
	X(EVQ_TOOBIG, "over a limit of size")                                                      \
	X(EVQ_FULL, "no room: quota of the queue, quota of the store, or disk")                    \
	X(EVQ_BUSY, "the store's writer lock was not had in time")                                 \
	X(EVQ_CORRUPT, "damaged data: a checksum or an invariant does not hold")                   \
	X(EVQ_FORMAT, "not a store of this format, or a damaged one")                              \
	X(EVQ_FORKED, "the store was opened by the parent process")                                \
	X(EVQ_INTERRUPTED, "the wait was interrupted")                                             \
	X(EVQ_UNKNOWN, "the commit failed half way: it may or may not have happened")

#define EVQ__MDB_CODES(X)                                                              \
	X(MDB_KEYEXIST, -30799, "LMDB: the key exists already")                         \
	X(MDB_NOTFOUND, -30798, "LMDB: no such key")                                    \
	X(MDB_PAGE_NOTFOUND, -30797, "LMDB: a page is missing, the file is damaged")    \
	X(MDB_CORRUPTED, -30796, "LMDB: a page is of the wrong kind, the file is damaged") \
	X(MDB_PANIC, -30795, "LMDB: an earlier failure made the environment unusable; reopen it") \
	X(MDB_VERSION_MISMATCH, -30794, "LMDB: another version of the library made the environment") \
	X(MDB_INVALID, -30793, "LMDB: not an LMDB file")                                \
	X(MDB_MAP_FULL, -30792, "LMDB: the map size is reached")                        \
	X(MDB_DBS_FULL, -30791, "LMDB: too many named databases, see user_dbs")         \
	X(MDB_READERS_FULL, -30790, "LMDB: too many readers at once")                   \
	X(MDB_TLS_FULL, -30789, "LMDB: too many keys for thread-local storage")         \
	X(MDB_TXN_FULL, -30788, "LMDB: too many pages changed in one transaction")      \
	X(MDB_CURSOR_FULL, -30787, "LMDB: the tree is too deep for a cursor")           \
	X(MDB_PAGE_FULL, -30786, "LMDB: a page has no room, which is a fault inside it") \
	X(MDB_MAP_RESIZED, -30785, "LMDB: the file outgrew the map of this process")    \
	X(MDB_INCOMPATIBLE, -30784, "LMDB: the database is of another kind")            \
	X(MDB_BAD_RSLOT, -30783, "LMDB: a reader slot was misused")                     \
	X(MDB_BAD_TXN, -30782, "LMDB: the transaction must be aborted")                 \
	X(MDB_BAD_VALSIZE, -30781, "LMDB: a key or value of a size it cannot store")    \
	X(MDB_BAD_DBI, -30780, "LMDB: the database handle was changed unexpectedly")

#define EVQ__SYS_CODES(X)                                                    \
	X(EPERM, "not permitted: a transaction belongs to the thread that began it") \
	X(ENOENT, "no such file or directory, or no dead-letter queue is set") \
	X(EINTR, "interrupted system call")                                   \
	X(EIO, "input/output error")                                          \
	X(E2BIG, "too many, or an option that this version does not know")    \
	X(EBADF, "the store of this handle was closed")                       \
	X(EAGAIN, "temporarily unavailable")                                  \
	X(ENOMEM, "out of memory")                                            \
	X(EACCES, "permission denied")                                        \
	X(EBUSY, "in use")                                                    \
	X(EEXIST, "exists already")                                           \
	X(EXDEV, "the store is open in another PID namespace")                \
	X(ENOTDIR, "not a directory")                                         \
	X(EINVAL, "invalid argument")                                         \
	X(ENFILE, "too many open files in the system")                        \
	X(EMFILE, "too many open files")                                      \
	X(EFBIG, "file too large")                                            \
	X(ENOSPC, "no space left on the device")                              \
	X(EROFS, "read-only file system")                                     \
	X(EDEADLK, "this thread holds a transaction of this store")           \
	X(ENAMETOOLONG, "file name too long")                                 \
	X(ENOTSUP, "not supported by this version")                           \
	X(EREMOTE, "the store is on a network file system")                   \
	X(EDQUOT, "disk quota exceeded")

#endif
