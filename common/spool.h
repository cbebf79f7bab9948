/* spool: the acts on the spool's directories: create, commit, read, list the
 * path names, and the order of syncs that makes exit 0 true. Formats are
 * elsewhere (envelope, trail, msgid). All by descriptors of directories and
 * *at() calls; nothing follows a symbolic link; O_CREAT never without O_EXCL
 * in a sticky directory. abide-spool(5) tells who may do what. */
#ifndef ABIDE_COMMON_SPOOL_H
#define ABIDE_COMMON_SPOOL_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/clock.h"
#include "common/envelope.h"
#include "common/msgid.h"

struct buf;
struct err;
struct spool;

enum spool_dir { SPOOL_TOP, SPOOL_TMP, SPOOL_NEW, SPOOL_CUR, SPOOL_HOLD, SPOOL_DEAD, SPOOL_TRAIL, SPOOL_SITES, SPOOL_DIRS };

/* Makes what is missing of the spool at PATH (an absolute path whose parent
 * exists) with the modes of DESIGN. As root with user `abide` and group
 * `abide-drop` known: the shared layout; otherwise a private one (top 0700,
 * no sticky bits), owned by the caller; a top that exists and that its group
 * may write (2770, for arbitrary uids) gets parts of that mode. Existing parts
 * are left alone, but that an empty top of root's counts as missing. */
int spool_make(const char *path, struct err *);

/* Opens the spool. Directories are opened when first asked for, so that a
 * front which may only reach tmp/ and new/ can use it. */
int spool_open(const char *path, struct spool **spool_r, struct err *);
void spool_free(struct spool *);
const char *spool_path(const struct spool *);

/* The descriptor of a directory (O_PATH where the mode gives no more, so that
 * *at() works; borrowed), or -1 with errno in *err. */
int spool_fd(struct spool *, enum spool_dir, struct err *);
const char *spool_dir_name(enum spool_dir);     /* "tmp", "new" ...; the top is "." */

/* ---- writing a message ------------------------------------------------- */

/* A message on its way in: a file in tmp/ until it is committed. */
struct draft;

/* Creates tmp/ID (mode 0660 by fchmod, whatever the umask). The error's class
 * says what the caller should do: EX_CONFIG set-up is wrong, EX_NOPERM may not
 * write here (EACCES, EPERM, EROFS, ENOENT), else EX_TEMPFAIL. MIN_FREE: bytes
 * that must remain free on the file system, else EX_TEMPFAIL. */
int draft_new(struct spool *, struct now, uint64_t min_free, struct draft **draft_r, struct err *);
const struct msgid *draft_id(const struct draft *);

/* Buffered; after a failure all further ones fail and commit refuses. */
int draft_write(struct draft *, const void *, size_t, struct err *);

/* Patches the size line, syncs the file, closes it checked, renames it into
 * new/, syncs new/. 0: durable. -1: nothing of it is visible (where even the
 * removal failed: EX_TEMPFAIL all the same). A failed sync is never retried.
 * Frees the draft in any case. */
int draft_commit(struct draft *, const struct envelope_size *, struct err *);

/* Removes the file and frees. NULL is allowed. */
void draft_drop(struct draft *);

/* For signal handlers: the path relative to an open directory that would have
 * to be unlinked; static until draft_commit/draft_drop. */
void draft_cleanup_name(const struct draft *, int *dirfd_r, const char **name_r);

/* ---- reading ----------------------------------------------------------- */

/* Opens NAME below DIRFD for reading (O_NOFOLLOW|O_NONBLOCK|O_NOCTTY), checks
 * that it is a regular file whose length is what its envelope says, and reads
 * the envelope. Returns the descriptor (at offset 0). ENOENT is class
 * EX_NOINPUT, EACCES EX_NOPERM, a file that is no message EX_DATAERR; else
 * EX_IOERR/EX_TEMPFAIL. Where the file's owner is not the spool's, env_r->uid
 * is the file's owner, whatever it says, and env_r->user "" if it lied.
 * BYTES_R (optional) gets the file's size. */
int spool_read(struct spool *, int dirfd, const char *name, struct envelope *env_r, uint64_t *bytes_r, struct err *);

/* Reads the whole of trail/ID.UID (UID of the envelope, as spool_read() gives
 * it) into BUF (cleared first; give it a maximum of SPOOL_TRAIL_MAX); no such
 * file is an empty one. A longer one is EX_DATAERR, never cut: what the cut
 * loses would be sent again. */
enum { SPOOL_TRAIL_MAX = 64 * 1024 * 1024 };
int spool_read_trail(struct spool *, const struct msgid *, uid_t, struct buf *, struct err *);
enum { TRAIL_NAME_SIZE = MSGID_SIZE + 11 };
void spool_trail_name(const struct msgid *, uid_t, char out[TRAIL_NAME_SIZE]);

/* Opens a directory to be listed: DIR itself (NAME null), or NAME below it. The
 * caller closes it. NULL: ENOENT in err->sys, or worse. */
DIR *spool_list(struct spool *, enum spool_dir, const char *name, struct err *);

/* ---- names ------------------------------------------------------------- */

/* The directory name for a recipient domain (already lower case, A-labels):
 * itself, or escaped (%XX for bytes outside [a-z0-9.-_] and brackets/colon,
 * leading dot) where it could not be a file name. "" for none is "%". At most
 * 255 bytes (hashed tail beyond). */
enum { SPOOL_DOMAIN_SIZE = 256 };
void spool_domain_name(const char *domain, char out[SPOOL_DOMAIN_SIZE]);

/* Writes a line into the FIFO `wake`, never blocking. 1: somebody listens.
 * 0: nobody does (ENXIO, EPIPE, or no spooler ever ran). -1: error. LINE
 * includes its newline. The caller ignores SIGPIPE. */
int spool_wake(struct spool *, const char *line, struct err *);

/* When the last pass touched `lock` (its mtime), or ms == 0: never. */
struct wall spool_last_pass(struct spool *);

/* 1: a spooler holds `lock`; the first line of that file, its words about
 * itself (pid, mode), in WHO. 0: none, or the caller may not know. Asking
 * takes a shared lock for an instant: who wants the lock tries twice. */
enum { SPOOL_WHO_SIZE = 128 };
int spool_held(struct spool *, char who[SPOOL_WHO_SIZE]);

#endif
