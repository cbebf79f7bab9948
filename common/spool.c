/* spool: opens the spool's directories, reads what lies there, knows how its
 * names are spelled and whether a spooler is at work. It changes nothing but
 * by a line into the FIFO `wake`; writing is draft.c's, making the directories
 * spool_make.c's. Called by front, keeper and tools. */
#include <config.h>

#include "common/spool.h"
#include "common/spool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"

enum {
    SPOOL_PATH_MAX = 1000,
    HEAD_FIRST = 4096,                  /* nearly every envelope fits */
    TRAIL_CHUNK = 16 * 1024,
    DOMAIN_HASH_LEN = 18                /* "%%" and 16 hexadecimal digits */
};

static const char *const dir_names[SPOOL_DIRS] = {
    [SPOOL_TOP] = ".", [SPOOL_TMP] = "tmp", [SPOOL_NEW] = "new", [SPOOL_CUR] = "cur",
    [SPOOL_HOLD] = "hold", [SPOOL_DEAD] = "dead", [SPOOL_TRAIL] = "trail", [SPOOL_SITES] = "sites"
};

const char *spool_dir_name(enum spool_dir dir)
{
    return dir_names[dir];
}

int spool_sync_dir(int fd)
{
    return fsync(fd) == 0 || errno == EINVAL ? 0 : -1;
}

/* ---- directories ------------------------------------------------------- */

int spool_open(const char *path, struct spool **spool_r, struct err *e)
{
    struct spool *s;

    *spool_r = NULL;
    if (path[0] != '/' || strlen(path) > SPOOL_PATH_MAX)
        return err_set(e, EX_CONFIG, "the spool needs an absolute path of at most %d bytes", SPOOL_PATH_MAX);
    s = calloc(1, sizeof(*s));
    if (s == NULL || (s->path = strdup(path)) == NULL) {
        free(s);
        return err_sys(e, EX_TEMPFAIL, "open the spool");
    }
    for (int i = 0; i < SPOOL_DIRS; i++)
        s->fd[i] = -1;
    *spool_r = s;
    return 0;
}

void spool_free(struct spool *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < SPOOL_DIRS; i++)
        if (s->fd[i] != -1)
            (void)close(s->fd[i]);
    free(s->path);
    free(s);
}

const char *spool_path(const struct spool *s)
{
    return s->path;
}

/* What a caller can do about it decides the class: a front that may not come
 * in here tries another door. */
static int dir_class(int sys)
{
    switch (sys) {
    case EACCES: case EPERM: case EROFS: case ENOENT:
        return EX_NOPERM;
    case ENOTDIR: case ELOOP: case ENAMETOOLONG:
        return EX_CONFIG;
    default:
        return EX_TEMPFAIL;
    }
}

/* A directory that may be passed through but not listed (the top, and tmp/, of
 * a shared spool) is still good for *at() calls. */
static int open_dir(int at, const char *name, int flags)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);

    if (fd == -1 && errno == EACCES)
        fd = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC | flags);
    return fd;
}

/* The top itself may be a symbolic link: the administrator chose its path. */
int spool_fd(struct spool *s, enum spool_dir dir, struct err *e)
{
    if (s->fd[dir] != -1)
        return s->fd[dir];
    if (dir == SPOOL_TOP) {
        s->fd[dir] = open_dir(AT_FDCWD, s->path, 0);
    } else {
        int top = spool_fd(s, SPOOL_TOP, e);

        if (top == -1)
            return -1;
        s->fd[dir] = open_dir(top, dir_names[dir], O_NOFOLLOW);
    }
    if (s->fd[dir] == -1)
        return err_sys(e, dir_class(errno), "open the spool's directory %s%s%s", s->path, dir == SPOOL_TOP ? "" : "/",
            dir == SPOOL_TOP ? "" : dir_names[dir]);
    return s->fd[dir];
}

static int spool_owner(struct spool *s, uid_t *owner_r, struct err *e)
{
    struct stat st;
    int top;

    if (!s->owner_known) {
        top = spool_fd(s, SPOOL_TOP, e);
        if (top == -1)
            return -1;
        if (fstat(top, &st) != 0)
            return err_sys(e, EX_TEMPFAIL, "look at %s", s->path);
        s->owner = st.st_uid;
        s->owner_known = true;
    }
    *owner_r = s->owner;
    return 0;
}

/* ---- reading ----------------------------------------------------------- */

static int file_class(int sys)
{
    switch (sys) {
    case ENOENT: case ESTALE:
        return EX_NOINPUT;
    case EACCES: case EPERM:
        return EX_NOPERM;
    case ELOOP: case ENXIO: case ENODEV: case ENOTDIR: case ENAMETOOLONG:
        return EX_DATAERR;              /* a link, a socket, a device: no message */
    case EMFILE: case ENFILE: case ENOMEM:
        return EX_TEMPFAIL;
    default:
        return EX_IOERR;
    }
}

/* Opens what must be a regular file, whatever somebody put there: neither a
 * FIFO nor a terminal makes this wait. */
static int open_file(int at, const char *name, struct stat *st, struct err *e)
{
    int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd == -1)
        return err_sys(e, file_class(errno), "open %s", name);
    if (fstat(fd, st) != 0)
        (void)err_sys(e, EX_IOERR, "look at %s", name);
    else if (!S_ISREG(st->st_mode))
        (void)err_set(e, EX_DATAERR, "%s is no regular file", name);
    else
        return fd;
    (void)close(fd);
    return -1;
}

/* As many bytes as there are, up to LEN; -1 with errno. */
static ssize_t pread_full(int fd, char *out, size_t len, off_t at)
{
    size_t have = 0;

    while (have < len) {
        ssize_t n = pread(fd, out + have, len - have, at + (off_t)have);

        if (n == 0)
            break;
        if (n > 0)
            have += (size_t)n;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)have;
}

/* Reads more and more of the file until the envelope is whole. */
static int read_head(int fd, const char *name, struct envelope *env, struct err *e)
{
    size_t have = 0, room = HEAD_FIRST;
    char *head = NULL, *more;
    int r = 1;

    while (r == 1) {
        ssize_t n;

        more = realloc(head, room);
        if (more == NULL) {
            r = err_sys(e, EX_TEMPFAIL, "read %s", name);
            break;
        }
        head = more;
        n = pread_full(fd, head + have, room - have, (off_t)have);
        if (n <= 0) {
            r = n == 0 ? err_set(e, EX_DATAERR, "%s ends within its envelope", name) : err_sys(e, EX_IOERR, "read %s", name);
            break;
        }
        have += (size_t)n;
        r = envelope_parse(head, have, env, e);
        room = room < ENVELOPE_HEAD_MAX / 4 ? room * 4 : ENVELOPE_HEAD_MAX;
    }
    free(head);
    return r;
}

/* The kernel's word on who wrote it counts. Only what belongs to the spool's
 * owner (it came by the socket, or was copied) may name somebody else. */
static void set_submitter(struct envelope *env, uid_t file, uid_t spool)
{
    if (file == spool || env->uid == file)
        return;
    env->uid = file;
    env->user[0] = '\0';                /* a name given with a false uid is false too */
}

int spool_read_stat(struct spool *s, int dirfd, const char *name, struct envelope *env_r, struct stat *st_r, struct err *e)
{
    uint64_t message;
    uid_t owner = 0;
    int fd;

    if (spool_owner(s, &owner, e) != 0)
        return -1;
    fd = open_file(dirfd, name, st_r, e);
    if (fd == -1)
        return -1;
    if (read_head(fd, name, env_r, e) != 0) {
        (void)close(fd);
        return -1;
    }
    message = (uint64_t)st_r->st_size - env_r->message_at;
    if (env_r->size.disk_bytes != message) {
        (void)err_set(e, EX_DATAERR, "%s: its message has %" PRIu64 " bytes, its envelope says %" PRIu64, name, message,
            env_r->size.disk_bytes);
        envelope_fini(env_r);
        (void)close(fd);
        return -1;
    }
    set_submitter(env_r, st_r->st_uid, owner);
    return fd;
}

int spool_read(struct spool *s, int dirfd, const char *name, struct envelope *env_r, uint64_t *bytes_r, struct err *e)
{
    struct stat st;
    int fd = spool_read_stat(s, dirfd, name, env_r, &st, e);

    if (fd != -1 && bytes_r != NULL)
        *bytes_r = (uint64_t)st.st_size;
    return fd;
}

void spool_trail_name(const struct msgid *id, uid_t uid, char out[TRAIL_NAME_SIZE])
{
    (void)snprintf(out, TRAIL_NAME_SIZE, "%.16s.%" PRIu32, id->s, (uint32_t)uid);
}

/* A cut trail would send again what was delivered, so too long is an error. */
static int read_trail(int fd, const char *name, uint64_t size, struct buf *out, struct err *e)
{
    char chunk[TRAIL_CHUNK];
    ssize_t n;

    if (size > SPOOL_TRAIL_MAX)
        return err_set(e, EX_DATAERR, "the trail %s has more than %d bytes", name, SPOOL_TRAIL_MAX);
    while (out->len < size) {
        n = pread_full(fd, chunk, sizeof(chunk), (off_t)out->len);
        if (n == -1)
            return err_sys(e, EX_IOERR, "read the trail %s", name);
        if (n == 0)
            break;
        if (!buf_add(out, chunk, (size_t)n))
            return err_set(e, EX_TEMPFAIL, "the trail %s does not fit into memory", name);
    }
    return 0;
}

int spool_read_trail(struct spool *s, const struct msgid *id, uid_t uid, struct buf *out, struct err *e)
{
    char name[TRAIL_NAME_SIZE];
    struct stat st;
    struct err why;
    int dirfd, fd, r;

    buf_clear(out);
    dirfd = spool_fd(s, SPOOL_TRAIL, e);
    if (dirfd == -1)
        return -1;
    spool_trail_name(id, uid, name);
    fd = open_file(dirfd, name, &st, &why);
    if (fd == -1 && why.class == EX_NOINPUT)
        return 0;
    if (fd == -1) {
        if (e != NULL)
            *e = why;
        return -1;
    }
    r = read_trail(fd, name, (uint64_t)st.st_size, out, e);
    (void)close(fd);
    return r;
}

/* ---- names ------------------------------------------------------------- */

/* Lower-case letters, digits, hyphen, dot and underscore, and the marks of an
 * address literal; a leading dot would hide the directory, or leave it. */
static bool domain_plain(const char *domain, size_t i)
{
    char c = domain[i];

    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '.' && i > 0) || (c != '\0' && strchr("-_[]:", c) != NULL);
}

static uint64_t domain_hash(const char *domain)
{
    uint64_t h = UINT64_C(14695981039346656037);    /* FNV-1a, the same on every machine */

    for (; *domain != '\0'; domain++)
        h = (h ^ (unsigned char)*domain) * UINT64_C(1099511628211);
    return h;
}

void spool_domain_name(const char *domain, char out[SPOOL_DOMAIN_SIZE])
{
    size_t len = 0, fits = 0;           /* fits: what may stand before a hash */

    if (domain[0] == '\0') {
        (void)strlcpy(out, "%", SPOOL_DOMAIN_SIZE);
        return;
    }
    for (size_t i = 0; domain[i] != '\0'; i++) {
        char spelled[4] = { domain[i] };

        if (!domain_plain(domain, i))
            (void)snprintf(spelled, sizeof(spelled), "%%%02X", (unsigned char)domain[i]);
        if (len + strlen(spelled) >= SPOOL_DOMAIN_SIZE) {
            (void)snprintf(out + fits, SPOOL_DOMAIN_SIZE - fits, "%%%%%016" PRIx64, domain_hash(domain));
            return;
        }
        (void)strlcpy(out + len, spelled, SPOOL_DOMAIN_SIZE - len);
        len += strlen(spelled);
        if (len + DOMAIN_HASH_LEN < SPOOL_DOMAIN_SIZE)
            fits = len;
    }
}

/* ---- is anybody there -------------------------------------------------- */

int spool_wake(struct spool *s, const char *line, struct err *e)
{
    int top = spool_fd(s, SPOOL_TOP, e);
    struct stat st;
    ssize_t n;
    int fd, r = 1;

    if (top == -1)
        return -1;
    fd = openat(top, "wake", O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd == -1 && (errno == ENXIO || errno == ENOENT))
        return 0;
    if (fd == -1)
        return err_sys(e, dir_class(errno), "open %s/wake", s->path);
    if (fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode)) {
        (void)close(fd);
        return err_set(e, EX_CONFIG, "%s/wake is no FIFO", s->path);
    }
    do
        n = write(fd, line, strlen(line));
    while (n == -1 && errno == EINTR);
    if (n == -1 && errno == EPIPE)
        r = 0;                          /* the reader left in this moment */
    else if (n == -1 && errno != EAGAIN)
        r = err_sys(e, EX_IOERR, "write to %s/wake", s->path);
    (void)close(fd);                    /* EAGAIN: it is full, so there is enough to wake up for */
    return r;
}

struct wall spool_last_pass(struct spool *s)
{
    int top = spool_fd(s, SPOOL_TOP, NULL);
    struct stat st;

    if (top == -1 || fstatat(top, "lock", &st, AT_SYMLINK_NOFOLLOW) != 0)
        return (struct wall){ 0 };
    return (struct wall){ (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000 };
}

/* flock() has no way to ask but to try. */
int spool_held(struct spool *s, char who[SPOOL_WHO_SIZE])
{
    int top = spool_fd(s, SPOOL_TOP, NULL);
    struct stat st;
    int fd, held;

    who[0] = '\0';
    fd = top == -1 ? -1 : open_file(top, "lock", &st, NULL);
    if (fd == -1)
        return 0;
    held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (held) {
        ssize_t n = pread_full(fd, who, SPOOL_WHO_SIZE - 1, 0);

        who[n > 0 ? n : 0] = '\0';
        who[strcspn(who, "\n")] = '\0';
    }
    (void)close(fd);
    return held;
}

/* ---- listing ----------------------------------------------------------------- */

DIR *spool_list(struct spool *s, enum spool_dir where, const char *name, struct err *e)
{
    int top = spool_fd(s, where, e), fd;
    DIR *dir;

    if (top == -1)
        return NULL;
    fd = openat(top, name == NULL ? "." : name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd != -1 && (dir = fdopendir(fd)) != NULL)
        return dir;
    err_sys(e, EX_IOERR, "read %s/%s%s%s", s->path, dir_names[where], name == NULL ? "" : "/", name == NULL ? "" : name);
    if (fd != -1)
        (void)close(fd);
    return NULL;
}
