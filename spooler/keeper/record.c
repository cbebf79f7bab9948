/* Outcomes, made durable in groups. Owns the open descriptors of one group and
 * what could not be written. Called by filing and outcome; syncs once a group,
 * new/ first, so that no name comes back there whose message is gone. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "spooler/keeper/record.h"

enum { GROUP_MS = 50, GROUP_OUTCOMES = 200, GROUP_FILES = 100, RETRY_MS = 60 * 1000 };

struct synced {                         /* a file or directory of this group */
    int fd;
    enum spool_dir dir;
    char name[SPOOL_DOMAIN_SIZE];
};

struct pending {                        /* lines that could not be written */
    struct pending *next;
    struct msgid id;
    uid_t uid;
    size_t len;
    char lines[];
};

struct gone { struct msgid id; uid_t uid; };    /* trails to remove after the sync */

struct record {
    struct spool *spool;
    struct log *log;
    struct mono now, group_end, retry_at;
    struct synced *synced;
    size_t nsynced, synced_room;
    struct gone *gone;
    size_t ngone, gone_room;
    unsigned outcomes;
    bool failed;                        /* a sync of this group did */
    struct pending *pending;
};

struct record *record_new(struct spool *spool, struct log *log, struct err *err)
{
    struct record *r = calloc(1, sizeof *r);

    if (r == NULL) {
        err_sys(err, EX_OSERR, "record");
        return NULL;
    }
    r->spool = spool;
    r->log = log;
    r->group_end.ms = r->retry_at.ms = CLOCK_NEVER;
    return r;
}

void record_free(struct record *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->nsynced; i++)
        close(r->synced[i].fd);
    while (r->pending != NULL) {
        struct pending *p = r->pending;

        r->pending = p->next;
        free(p);
    }
    free(r->synced);
    free(r->gone);
    free(r);
}

void record_time(struct record *r, struct mono now)
{
    r->now = now;
}

static void begin(struct record *r)
{
    if (r->group_end.ms == CLOCK_NEVER)
        r->group_end.ms = r->now.ms + GROUP_MS;
}

void record_count(struct record *r)
{
    begin(r);
    r->outcomes++;
}

static bool in_group(const struct record *r, enum spool_dir dir, const char *name)
{
    for (size_t i = r->nsynced; i-- > 0;)       /* the last one first: they come in runs */
        if (r->synced[i].dir == dir && strcmp(r->synced[i].name, name) == 0)
            return true;
    return false;
}

static int sync_one(struct record *r, struct synced *s)
{
    int rc = fsync(s->fd) == -1 && errno != EINVAL ? -1 : 0;

    if (rc == -1)
        log_line(r->log, LEVEL_ERROR, "sync of %s failed: %s; a power cut now may send again what was recorded last", s->name, strerror(errno));
    close(s->fd);
    s->fd = -1;
    return rc;
}

static int sync_all(struct record *r)
{
    int rc = 0;

    for (int pass = 0; pass < 3; pass++)        /* files, then new/, then the other directories */
        for (size_t i = 0; i < r->nsynced; i++) {
            struct synced *s = &r->synced[i];
            int turn = s->dir == SPOOL_TRAIL && s->name[0] != '\0' ? 0 : s->dir == SPOOL_NEW ? 1 : 2;

            if (s->fd != -1 && turn == pass && sync_one(r, s) == -1)
                rc = -1;
        }
    r->nsynced = 0;
    return rc;
}

/* Takes the descriptor; syncs at once where there is no memory to remember it. */
static void remember(struct record *r, int fd, enum spool_dir dir, const char *name)
{
    begin(r);
    if (r->nsynced == r->synced_room) {
        size_t room = r->synced_room == 0 ? 16 : r->synced_room * 2;
        struct synced *s = reallocarray(r->synced, room, sizeof *s);

        if (s == NULL) {
            r->failed = fsync(fd) == -1 || r->failed;
            close(fd);
            return;
        }
        r->synced = s;
        r->synced_room = room;
    }
    r->synced[r->nsynced] = (struct synced){ .fd = fd, .dir = dir };
    strlcpy(r->synced[r->nsynced++].name, name, sizeof r->synced->name);
    if (r->nsynced >= GROUP_FILES)      /* early is as good; descriptors are few */
        r->failed = sync_all(r) == -1 || r->failed;
}

void record_left(struct record *r, enum spool_dir dir, const char *name)
{
    int fd;

    if (in_group(r, dir, name) || (fd = spool_fd(r->spool, dir, NULL)) == -1)
        return;
    fd = openat(fd, name[0] == '\0' ? "." : name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd != -1)
        remember(r, fd, dir, name);
    else if (errno != ENOENT)
        r->failed = true;               /* no trail goes: its message may come back */
}

static int append(int fd, const char *lines, size_t len)
{
    off_t end = lseek(fd, 0, SEEK_END);
    char last = '\n';
    ssize_t n;

    if (end == -1)
        return -1;
    /* A torn last line is completed, so that it spoils no other. */
    if (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n' && write(fd, "\n", 1) != 1)
        return -1;
    while (len > 0) {
        n = write(fd, lines, len);
        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        lines += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_lines(struct record *r, const struct msgid *id, uid_t uid, const char *lines, size_t len, bool sync)
{
    char name[TRAIL_NAME_SIZE];
    int dir = spool_fd(r->spool, SPOOL_TRAIL, NULL), fd;
    struct stat st;

    spool_trail_name(id, uid, name);
    if (dir == -1 || (fd = openat(dir, name, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0660)) == -1)
        return -1;
    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    if (append(fd, lines, len) == -1) {
        int failed = errno;

        if (st.st_size == 0)
            unlinkat(dir, name, 0);     /* a full disk: nobody would know of it */
        close(fd);
        errno = failed;
        return -1;
    }
    if (!sync || in_group(r, SPOOL_TRAIL, name))
        close(fd);
    else {
        remember(r, fd, SPOOL_TRAIL, name);
        if (st.st_size == 0)
            record_left(r, SPOOL_TRAIL, "");    /* its name is new */
    }
    return 0;
}

static void keep(struct record *r, const struct msgid *id, uid_t uid, const char *lines, size_t len)
{
    struct pending *p = malloc(sizeof *p + len), **at = &r->pending;

    if (p == NULL)
        return;                         /* a duplicate is then possible; never a loss */
    *p = (struct pending){ .id = *id, .uid = uid, .len = len };
    memcpy(p->lines, lines, len);
    while (*at != NULL)
        at = &(*at)->next;
    *at = p;
    if (r->retry_at.ms == CLOCK_NEVER)
        r->retry_at.ms = r->now.ms + RETRY_MS;
}

bool record_trail(struct record *r, const struct msgid *id, uid_t uid, const char *lines, size_t len, bool sync)
{
    if (write_lines(r, id, uid, lines, len, sync) == 0)
        return true;
    if (!sync)
        return true;                    /* a hint; the name in the queue says enough */
    log_line(r->log, LEVEL_ERROR, "%s trail cannot be written: %s; it is kept in memory and the message is not sent again before it is on disk",
        id->s, strerror(errno));
    keep(r, id, uid, lines, len);
    return false;
}

bool record_stuck(const struct record *r, const struct msgid *id)
{
    for (const struct pending *p = r->pending; p != NULL; p = p->next)
        if (memcmp(p->id.s, id->s, MSGID_LEN) == 0)
            return true;
    return false;
}

void record_forget(struct record *r, const struct msgid *id, uid_t uid)
{
    if (r->ngone == r->gone_room) {
        size_t room = r->gone_room == 0 ? 16 : r->gone_room * 2;
        struct gone *g = reallocarray(r->gone, room, sizeof *g);

        if (g == NULL)
            return;                     /* swept later */
        r->gone = g;
        r->gone_room = room;
    }
    begin(r);
    r->gone[r->ngone++] = (struct gone){ .id = *id, .uid = uid };
}

static void retry_pending(struct record *r)
{
    struct pending **at = &r->pending, *p;

    r->retry_at.ms = CLOCK_NEVER;
    while ((p = *at) != NULL) {
        if (write_lines(r, &p->id, p->uid, p->lines, p->len, true) == -1) {
            at = &p->next;
            r->retry_at.ms = r->now.ms + RETRY_MS;
            continue;
        }
        log_line(r->log, LEVEL_WARN, "%s trail is on disk again", p->id.s);
        *at = p->next;
        free(p);
    }
}

int record_flush(struct record *r, bool force)
{
    int rc;

    if (r->retry_at.ms <= r->now.ms || (force && r->pending != NULL))
        retry_pending(r);
    if (r->group_end.ms == CLOCK_NEVER || (!force && r->group_end.ms > r->now.ms && r->outcomes < GROUP_OUTCOMES))
        return 0;
    rc = sync_all(r) == -1 || r->failed ? -1 : 0;
    r->failed = false;
    for (size_t i = 0; rc == 0 && i < r->ngone; i++) {
        char name[TRAIL_NAME_SIZE];
        int dir = spool_fd(r->spool, SPOOL_TRAIL, NULL);

        spool_trail_name(&r->gone[i].id, r->gone[i].uid, name);
        if (dir != -1)
            unlinkat(dir, name, 0);
    }
    r->ngone = 0;
    r->outcomes = 0;
    r->group_end.ms = CLOCK_NEVER;
    return rc;
}

struct mono record_next(const struct record *r)
{
    struct mono next = r->group_end;

    if (r->retry_at.ms < next.ms)
        next = r->retry_at;
    return next;
}
