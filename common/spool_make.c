/* spool_make: the spool's directories, their owners and modes, made once. It
 * leaves alone what exists, and follows no link below the top. Called by the
 * spooler and by whoever sets up a private spool; the front that serves
 * everybody finds a spool or does without. */
#include <config.h>

#include "common/spool.h"
#include "common/spool_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"

/* Who uses the spool: everybody through the setgid front; one user; any user
 * of one group (an image for arbitrary uids). */
enum layout { LAYOUT_SHARED, LAYOUT_LONE, LAYOUT_GROUP, LAYOUTS };

static const mode_t top_mode[LAYOUTS] = { 0710, 0700, 02770 };

static const struct part {
    const char *name;
    mode_t mode[LAYOUTS];
} parts[] = {
    { "tmp",   { 03773, 0700, 02770 } },
    { "new",   { 03777, 0700, 02770 } },
    { "cur",   { 02775, 0700, 02770 } },
    { "hold",  { 02775, 0700, 02770 } },
    { "dead",  { 02770, 0700, 02770 } },
    { "trail", { 02770, 0700, 02770 } },
    { "sites", { 02770, 0700, 02770 } },
};
static const mode_t wake_mode[LAYOUTS] = { 0620, 0600, 0660 };

struct owner { uid_t uid; gid_t gid; };

struct plan {
    const char *path;
    enum layout layout;
    struct owner top, part, wake;
};

/* The shared spool's owners, if this process may give files to them. */
static bool find_shared(struct plan *p)
{
    const struct passwd *pw;
    const struct group *gr;

    if (geteuid() != 0 || (pw = getpwnam("abide")) == NULL || (gr = getgrnam("abide-drop")) == NULL)
        return false;
    p->layout = LAYOUT_SHARED;
    p->top = p->wake = (struct owner){ pw->pw_uid, gr->gr_gid };
    p->part = (struct owner){ pw->pw_uid, pw->pw_gid };
    return true;
}

/* Owner last: a directory of root's in the spool of another is one that a
 * crash left unfinished. */
static int finish(int fd, const struct owner *o, mode_t mode)
{
    if (fchmod(fd, mode) != 0)
        return -1;
    return geteuid() == 0 ? fchown(fd, o->uid, o->gid) : 0;
}

static bool finished(int top, const char *name, const struct owner *o)
{
    struct stat st;

    return fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_uid != 0 || o->uid == 0 || geteuid() != 0;
}

static int make_part(const struct plan *p, int top, const struct part *part, struct err *e)
{
    int fd, r;

    if (mkdirat(top, part->name, 0700) != 0) {
        if (errno != EEXIST)
            return err_sys(e, EX_CANTCREAT, "make %s/%s", p->path, part->name);
        if (finished(top, part->name, &p->part))
            return 0;
    }
    fd = openat(top, part->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    r = fd == -1 ? -1 : finish(fd, &p->part, part->mode[p->layout]);
    if (r != 0)
        (void)err_sys(e, EX_CANTCREAT, "set owner and mode of %s/%s", p->path, part->name);
    if (fd != -1)
        (void)close(fd);
    return r;
}

static int make_wake(const struct plan *p, int top, struct err *e)
{
    struct stat st;
    int fd, r;

    if (mkfifoat(top, "wake", 0600) != 0) {
        if (errno != EEXIST)
            return err_sys(e, EX_CANTCREAT, "make %s/wake", p->path);
        if (finished(top, "wake", &p->wake))
            return 0;
    }
    fd = openat(top, "wake", O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
    if (fd == -1)
        return err_sys(e, EX_CANTCREAT, "open %s/wake", p->path);
    if (fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode))
        r = err_set(e, EX_CONFIG, "%s/wake is no FIFO", p->path);
    else if ((r = finish(fd, &p->wake, wake_mode[p->layout])) != 0)
        (void)err_sys(e, EX_CANTCREAT, "set owner and mode of %s/wake", p->path);
    (void)close(fd);
    return r;
}

/* The top's name must last as long as what will lie below it. */
static int sync_parent(const char *path)
{
    char *copy = strdup(path), *slash = copy == NULL ? NULL : strrchr(copy, '/');
    int fd = -1, r = -1;

    if (slash != NULL) {
        slash[slash == copy] = '\0';    /* "/x" has "/" */
        fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd != -1) {
        r = spool_sync_dir(fd);
        (void)close(fd);
    }
    free(copy);
    return r;
}

static bool is_empty(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd == -1 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool empty = d != NULL;

    while (empty && (entry = readdir(d)) != NULL)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (d != NULL)
        (void)closedir(d);
    else if (fd != -1)
        (void)close(fd);
    return empty;
}

/* What kind of spool this is. One that exists tells; an empty directory of
 * root's (a volume just mounted, or what a crash left) is as good as none.
 * Returns whether the top itself is to be finished. */
static bool choose_layout(struct plan *p, int top, const struct stat *st, bool made)
{
    if (find_shared(p)) {
        if (st->st_uid == p->top.uid && st->st_gid == p->top.gid)
            return false;
        if (st->st_uid == 0 && is_empty(top))
            return true;
    }
    p->layout = !made && (st->st_mode & S_IRWXG) == S_IRWXG ? LAYOUT_GROUP : LAYOUT_LONE;
    p->top = p->part = p->wake = (struct owner){ st->st_uid, st->st_gid };
    return made;
}

/* Returns the top's descriptor. */
static int make_top(struct plan *p, struct err *e)
{
    bool made = mkdir(p->path, 0700) == 0;
    struct stat st;
    int fd;

    if (!made && errno != EEXIST)
        return err_sys(e, EX_CANTCREAT, "make %s", p->path);
    fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1 || fstat(fd, &st) != 0)
        (void)err_sys(e, EX_CANTCREAT, "open %s", p->path);
    else if (!choose_layout(p, fd, &st, made))
        return fd;
    else if (finish(fd, &p->top, top_mode[p->layout]) == 0 && sync_parent(p->path) == 0)
        return fd;
    else
        (void)err_sys(e, EX_CANTCREAT, "set owner and mode of %s, and sync its name", p->path);
    if (fd != -1)
        (void)close(fd);
    return -1;
}

int spool_make(const char *path, struct err *e)
{
    struct plan p = { .path = path };
    int top, r = 0;

    if (path[0] != '/')
        return err_set(e, EX_CONFIG, "the spool needs an absolute path");
    top = make_top(&p, e);
    if (top == -1)
        return -1;
    for (size_t i = 0; r == 0 && i < sizeof(parts) / sizeof(parts[0]); i++)
        r = make_part(&p, top, &parts[i], e);
    if (r == 0)
        r = make_wake(&p, top, e);
    if (r == 0 && spool_sync_dir(top) != 0)
        r = err_sys(e, EX_IOERR, "sync %s", path);
    (void)close(top);
    return r;
}
