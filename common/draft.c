/* draft: a message on its way into the spool, and the order of acts that makes
 * an exit status of 0 true: write all, sync the file, close it, rename it into
 * new/, sync new/. No step is retried after it failed, none is left out, and
 * what was not finished leaves no name behind. Called by the front (and by the
 * keeper for reports). */
#include <config.h>

#include "common/spool.h"
#include "common/spool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/err.h"

enum { DRAFT_ROOM = 64 * 1024, DRAFT_TRIES = 4, DRAFT_MODE = 0660 };

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1              /* linux/fs.h; musl has neither name nor function */
#endif

struct draft {
    const struct spool *spool;
    int tmp, new;                       /* borrowed from the spool */
    int fd;
    bool made;                          /* tmp/ID is ours to remove */
    struct msgid id;
    struct err why;                     /* the first failure; class 0: none */
    uint64_t flushed;
    size_t used;
    char room[DRAFT_ROOM];              /* last: not cleared */
};

/* ---- begin ------------------------------------------------------------- */

/* A file system that cannot be asked how full it is will say so by ENOSPC. */
static int check_free(const struct spool *s, int fd, uint64_t min_free, struct err *e)
{
    struct statvfs v;
    uint64_t available;

    if (min_free == 0 || fstatvfs(fd, &v) != 0)
        return 0;
    available = (uint64_t)v.f_bavail * v.f_frsize;
    if (available >= min_free)
        return 0;
    return err_set(e, EX_TEMPFAIL, "the disk of %s has %" PRIu64 " kB free, less than min_free (%" PRIu64 " kB)", s->path,
        available / 1024, min_free / 1024);
}

static int create_class(int sys)
{
    return sys == EACCES || sys == EPERM || sys == EROFS || sys == ENOENT ? EX_NOPERM : EX_TEMPFAIL;
}

/* The mode is set, not asked for: the caller's umask has no say. The keeper
 * could not link a stranger's file of less (fs.protected_hardlinks). */
static int create_file(struct draft *d, struct now now, struct err *e)
{
    for (int i = 0; i < DRAFT_TRIES && d->fd == -1; i++) {
        if (msgid_make(now.wall, &d->id, e) != 0) {
            if (e != NULL)
                e->class = EX_TEMPFAIL;
            return -1;
        }
        d->fd = openat(d->tmp, d->id.s, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, DRAFT_MODE);
        if (d->fd == -1 && errno != EEXIST && errno != EINTR)
            break;
    }
    if (d->fd == -1)
        return err_sys(e, create_class(errno), "create a file in %s/tmp", d->spool->path);
    d->made = true;
    if (fchmod(d->fd, DRAFT_MODE) != 0)
        return err_sys(e, EX_TEMPFAIL, "set the mode of %s/tmp/%s", d->spool->path, d->id.s);
    return 0;
}

/* new/ is opened now too: who cannot end there should not begin. */
int draft_new(struct spool *s, struct now now, uint64_t min_free, struct draft **draft_r, struct err *e)
{
    int tmp, new;
    struct draft *d;

    *draft_r = NULL;
    tmp = spool_fd(s, SPOOL_TMP, e);
    new = tmp == -1 ? -1 : spool_fd(s, SPOOL_NEW, e);
    if (new == -1 || check_free(s, tmp, min_free, e) != 0)
        return -1;
    d = malloc(sizeof(*d));
    if (d == NULL)
        return err_sys(e, EX_TEMPFAIL, "begin a message");
    memset(d, 0, offsetof(struct draft, room));
    d->spool = s;
    d->tmp = tmp;
    d->new = new;
    d->fd = -1;
    if (create_file(d, now, e) != 0) {
        draft_drop(d);
        return -1;
    }
    *draft_r = d;
    return 0;
}

const struct msgid *draft_id(const struct draft *d)
{
    return &d->id;
}

void draft_cleanup_name(const struct draft *d, int *dirfd_r, const char **name_r)
{
    *dirfd_r = d->tmp;
    *name_r = d->id.s;
}

/* ---- write ------------------------------------------------------------- */

static int draft_fail(struct draft *d, const char *what)
{
    return err_sys(&d->why, EX_TEMPFAIL, "%s %s/tmp/%s", what, d->spool->path, d->id.s);
}

static int write_all(struct draft *d, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(d->fd, bytes, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ENOSPC;             /* POSIX leaves it open; there is no other reason */
        if (n <= 0)
            return draft_fail(d, "write");
        bytes += n;
        len -= (size_t)n;
        d->flushed += (uint64_t)n;
    }
    return 0;
}

static int flush(struct draft *d)
{
    size_t used = d->used;

    d->used = 0;
    return write_all(d, d->room, used);
}

static int add(struct draft *d, const char *bytes, size_t len)
{
    if (len > DRAFT_ROOM - d->used && flush(d) != 0)
        return -1;
    if (len >= DRAFT_ROOM)
        return write_all(d, bytes, len);
    memcpy(d->room + d->used, bytes, len);
    d->used += len;
    return 0;
}

int draft_write(struct draft *d, const void *bytes, size_t len, struct err *e)
{
    if (d->why.class == 0 && (len == 0 || add(d, bytes, len) == 0))
        return 0;
    if (e != NULL)
        *e = d->why;
    return -1;
}

/* ---- commit ------------------------------------------------------------ */

static int pwrite_all(struct draft *d, const char *bytes, size_t len, off_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(d->fd, bytes, len, at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ENOSPC;
        if (n <= 0)
            return draft_fail(d, "write");
        bytes += n;
        len -= (size_t)n;
        at += n;
    }
    return 0;
}

/* A small message is still in memory: then the line is mended there, and the
 * whole file is one write. */
static int patch_size(struct draft *d, const struct envelope_size *size)
{
    char line[ENVELOPE_SIZE_LEN + 1];

    envelope_print_size(size, line);
    if (d->flushed + d->used < ENVELOPE_SIZE_AT + ENVELOPE_SIZE_LEN)
        return err_set(&d->why, EX_SOFTWARE, "a message without an envelope");
    if (d->flushed > 0)
        return pwrite_all(d, line, ENVELOPE_SIZE_LEN, ENVELOPE_SIZE_AT);
    memcpy(d->room + ENVELOPE_SIZE_AT, line, ENVELOPE_SIZE_LEN);
    return 0;
}

/* After a failed sync the kernel may call the pages clean: it is not asked
 * twice. Nor is close(), whose EINTR has nothing left to tell. */
static int finish_file(struct draft *d, const struct envelope_size *size)
{
    int fd = d->fd;

    if (d->why.class != 0 || patch_size(d, size) != 0 || flush(d) != 0)
        return -1;
    if (fsync(fd) != 0)
        return draft_fail(d, "sync");
    d->fd = -1;
    if (close(fd) != 0 && errno != EINTR)
        return draft_fail(d, "close");
    return 0;
}

static int rename_noreplace(int from, int to, const char *name)
{
#ifdef SYS_renameat2
    return (int)syscall(SYS_renameat2, from, name, to, name, RENAME_NOREPLACE);
#else
    (void)from, (void)to, (void)name;
    errno = ENOSYS;
    return -1;
#endif
}

/* Never over an existing name, also where the file system (NFS, FAT, FUSE) or
 * the kernel cannot promise that in one act: a link refuses too, and where
 * there are no links, looking first must do; the ID is random. */
static int move_to_new(const struct draft *d)
{
    const char *name = d->id.s;

    if (rename_noreplace(d->tmp, d->new, name) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (linkat(d->tmp, name, d->new, name, 0) == 0) {
        (void)unlinkat(d->tmp, name, 0);        /* what stays in tmp/ is swept some day */
        return 0;
    }
    if (errno != EPERM && errno != ENOSYS && errno != EOPNOTSUPP && errno != EMLINK)
        return -1;
    if (faccessat(d->new, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return errno == ENOENT ? renameat(d->tmp, name, d->new, name) : -1;
}

/* A name of ours that may have come into new/ although the call failed goes
 * again; EEXIST speaks of another's. */
static int publish(struct draft *d)
{
    if (move_to_new(d) != 0)
        (void)draft_fail(d, "rename");
    else if (spool_sync_dir(d->new) != 0)
        (void)err_sys(&d->why, EX_TEMPFAIL, "sync %s/new", d->spool->path);
    else
        return 0;
    if (d->why.sys != EEXIST)
        (void)unlinkat(d->new, d->id.s, 0);
    return -1;
}

int draft_commit(struct draft *d, const struct envelope_size *size, struct err *e)
{
    if (finish_file(d, size) == 0 && publish(d) == 0) {
        free(d);
        return 0;
    }
    if (e != NULL)
        *e = d->why;
    draft_drop(d);
    return -1;
}

void draft_drop(struct draft *d)
{
    int saved = errno;

    if (d == NULL)
        return;
    if (d->fd != -1)
        (void)close(d->fd);
    if (d->made)
        (void)unlinkat(d->tmp, d->id.s, 0);
    free(d);
    errno = saved;
}
