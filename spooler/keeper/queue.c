/* The queue as domains. Owns the set of domains, their windows and timers, and
 * every act on names below cur/ and hold/. Called by the keeper's step; never
 * opens a message, never thinks about where mail goes. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "spooler/keeper/queue.h"
#include "spooler/keeper/record.h"

enum {
    PASS_NAMES = 2000,                  /* names read of one directory in one step */
    ATTEND_GAP = 60,                    /* seconds between two walks for what is old */
    LARGE_DIR = 256 * 1024,             /* bytes of a directory worth making anew */
    TIDY_GAP = 5                        /* seconds between two attempts at that: its last names are in the air */
};

RB_HEAD(timers, domain);
RB_HEAD(names, domain);

struct queue {
    struct queue_options opt;
    struct queue_times times;
    struct timers timers;
    struct names names;
    TAILQ_HEAD(, domain) due;
    size_t count;
};

static int timer_order(const struct domain *a, const struct domain *b)
{
    if (a->timer != b->timer)
        return a->timer < b->timer ? -1 : 1;
    return strcmp(a->dir, b->dir);
}

static int name_order(const struct domain *a, const struct domain *b)
{
    return strcmp(a->dir, b->dir);
}

RB_GENERATE_INTERNAL(timers, domain, by_timer, timer_order, static __attribute__((unused)))
RB_GENERATE_INTERNAL(names, domain, by_name, name_order, static __attribute__((unused)))

struct queue *queue_new(const struct queue_options *opt, struct err *err)
{
    struct queue *q = calloc(1, sizeof *q);

    if (q == NULL) {
        err_sys(err, EX_OSERR, "queue");
        return NULL;
    }
    q->opt = *opt;
    RB_INIT(&q->timers);
    RB_INIT(&q->names);
    TAILQ_INIT(&q->due);
    return q;
}

static void domain_free(struct domain *d)
{
    if (d->pass != NULL)
        closedir(d->pass);
    if (d->attend != NULL)
        closedir(d->attend);
    free(d->refused);
    window_free(d->window);
    free(d->name);
    free(d);
}

void queue_free(struct queue *q)
{
    struct domain *d, *next;

    if (q == NULL)
        return;
    RB_FOREACH_SAFE(d, names, &q->names, next) {
        RB_REMOVE(names, &q->names, d);
        domain_free(d);
    }
    free(q);
}

void queue_configure(struct queue *q, const struct queue_times *times)
{
    q->times = *times;
}

/* ---- domains --------------------------------------------------------------- */

static void set_timer(struct queue *q, struct domain *d, int64_t when)
{
    if (d->timer == when)
        return;
    if (d->timer != WINDOW_NEVER)
        RB_REMOVE(timers, &q->timers, d);
    d->timer = when;
    if (when != WINDOW_NEVER)
        RB_INSERT(timers, &q->timers, d);
}

void queue_touch(struct queue *q, struct domain *d)
{
    if (d->in_due)
        return;
    d->in_due = true;
    TAILQ_INSERT_TAIL(&q->due, d, due);
}

static struct domain *find_dir(struct queue *q, const char *dir)
{
    struct domain key;

    if (strlcpy(key.dir, dir, sizeof key.dir) >= sizeof key.dir)
        return NULL;
    return RB_FIND(names, &q->names, &key);
}

static struct domain *make_domain(struct queue *q, const char *name, const char *dir, struct err *err)
{
    struct domain *d = calloc(1, sizeof *d);

    if (d == NULL || (d->window = window_new()) == NULL || (d->name = strdup(name)) == NULL) {
        err_sys(err, EX_OSERR, "domain %s", name);
        if (d != NULL)
            domain_free(d);
        return NULL;
    }
    strlcpy(d->dir, dir, sizeof d->dir);
    d->oldest = d->unwarned = d->timer = d->retry_at = WINDOW_NEVER;
    RB_INSERT(names, &q->names, d);
    q->count++;
    return d;
}

struct domain *queue_find(struct queue *q, const char *name)
{
    char dir[SPOOL_DOMAIN_SIZE];

    spool_domain_name(name, dir);
    return find_dir(q, dir);
}

struct domain *queue_domain(struct queue *q, const char *name, struct err *err)
{
    char dir[SPOOL_DOMAIN_SIZE];
    struct domain *d;

    spool_domain_name(name, dir);
    d = find_dir(q, dir);
    return d != NULL ? d : make_domain(q, name, dir, err);
}

/* The directory's name is the domain's but for escaped ones, whose true name
 * the first message tells; until then the name of the directory serves. */
static int adopt(struct queue *q, const char *dir, struct err *err)
{
    struct domain *d = find_dir(q, dir);

    if (d == NULL && (d = make_domain(q, strcmp(dir, "%") == 0 ? "" : dir, dir, err)) == NULL)
        return -1;
    d->need_pass = true;
    queue_touch(q, d);
    return 0;
}

int queue_start(struct queue *q, struct err *err)
{
    DIR *dir = spool_list(q->opt.spool, SPOOL_CUR, NULL, err);
    struct dirent *e;
    int rc = 0;

    if (dir == NULL)
        return -1;
    while (rc == 0 && (errno = 0, e = readdir(dir)) != NULL)
        if (e->d_name[0] != '.' && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN))
            rc = adopt(q, e->d_name, err);
    if (rc == 0 && errno != 0)
        rc = err_sys(err, EX_IOERR, "read %s/cur", spool_path(q->opt.spool));
    closedir(dir);
    /* Who made the last of them may have been killed before he could sync it. */
    return rc == 0 ? queue_sync(q, NULL, err) : rc;
}

size_t queue_domains(const struct queue *q)
{
    return q->count;
}

struct domain *queue_first(struct queue *q)
{
    return RB_MIN(names, &q->names);
}

struct domain *queue_after(struct domain *d)
{
    return RB_NEXT(names, NULL, d);
}

/* ---- what is due ----------------------------------------------------------- */

struct domain *queue_due(struct queue *q, int64_t now)
{
    struct domain *d = RB_MIN(timers, &q->timers);

    while (d != NULL && d->timer <= now) {
        set_timer(q, d, WINDOW_NEVER);
        queue_touch(q, d);
        d = RB_MIN(timers, &q->timers);
    }
    d = TAILQ_FIRST(&q->due);
    if (d != NULL) {
        TAILQ_REMOVE(&q->due, d, due);
        d->in_due = false;
    }
    return d;
}

int64_t queue_next(const struct queue *q)
{
    const struct domain *d;

    if (!TAILQ_EMPTY(&q->due))
        return 0;
    d = RB_MIN(timers, (struct timers *)&q->timers);
    return d == NULL ? WINDOW_NEVER : d->timer;
}

bool queue_soon(const struct queue *q, int64_t by)
{
    const struct domain *d = RB_MIN(timers, (struct timers *)&q->timers);

    if (!TAILQ_EMPTY(&q->due))
        return true;
    for (; d != NULL && d->timer <= by; d = RB_NEXT(timers, NULL, (struct domain *)d))
        if (d->need_pass || d->retry_at <= by || window_next(d->window) <= by)
            return true;
    return false;
}

static void see(struct domain *d, const struct qname *name)
{
    int64_t born = msgid_seconds(&name->id);

    if (born < d->oldest)
        d->oldest = born;
    if (born < d->pass_oldest)
        d->pass_oldest = born;
    if (born > d->warned && born < d->unwarned)
        d->unwarned = born;
    if (born > d->warned && born < d->pass_unwarned)
        d->pass_unwarned = born;
}

/* A DUE that no rule could have made: some clock was wrong. It is pulled in,
 * spread over ten minutes. False: the name is gone, or stays as it was. */
static bool pull_in(struct queue *q, struct domain *d, struct qname *name, int64_t now)
{
    struct qname to = *name;
    struct err err = { 0 };

    if (name->due <= now + q->times.longest)
        return true;
    to.due = now + 1 + (msgid_seconds(&name->id) & 0x1ff);
    if (queue_rename(q, d, SPOOL_CUR, name, SPOOL_CUR, &to, &err) == -1) {
        if (err.class != EX_NOINPUT)
            queue_retry(q, d, now + 60);
        return false;
    }
    *name = to;
    return true;
}

void queue_add(struct queue *q, struct domain *d, const struct qname *name, int64_t now)
{
    struct qname seen = *name;
    bool idle = window_ready(d->window) == 0;

    see(d, &seen);
    if (!pull_in(q, d, &seen, now))
        return;
    window_add(d->window, &seen, now);
    if (idle || window_next(d->window) < d->timer)
        queue_touch(q, d);
}

void queue_rescan(struct queue *q, struct domain *d, bool forced)
{
    if (forced && d->forced)            /* however often it is asked for, it must come to its end */
        return;
    if (d->pass != NULL) {
        closedir(d->pass);
        d->pass = NULL;
    }
    window_reset(d->window);
    d->need_pass = true;
    d->forced = d->forced || forced;
    queue_touch(q, d);
}

void queue_rescan_all(struct queue *q, bool forced)
{
    struct domain *d;

    RB_FOREACH(d, names, &q->names)
        queue_rescan(q, d, forced);
}

void queue_clock_set(struct queue *q)
{
    struct domain *d;

    RB_FOREACH(d, names, &q->names) {
        d->attend_at = d->warned = 0;
        if (d->route_until != WINDOW_NEVER)
            d->route_until = 0;
    }
    queue_rescan_all(q, false);
}

void queue_changed(struct queue *q, const char *dir)
{
    int fd = spool_fd(q->opt.spool, SPOOL_CUR, NULL);
    struct domain *d = find_dir(q, dir);
    struct stat st;

    if (d != NULL)
        queue_rescan(q, d, false);
    else if (fd != -1 && strchr(dir, '/') == NULL && dir[0] != '.' && fstatat(fd, dir, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        adopt(q, dir, NULL);
}

static int pass_begin(struct queue *q, struct domain *d, struct err *err)
{
    struct err why = { 0 };

    d->need_pass = false;
    window_pass(d->window);
    d->pass_oldest = d->pass_unwarned = WINDOW_NEVER;
    if ((d->pass = spool_list(q->opt.spool, SPOOL_CUR, d->dir, &why)) != NULL)
        return 0;
    d->need_pass = why.sys != ENOENT;
    if (!d->need_pass) {
        d->forced = false;
        d->oldest = d->unwarned = WINDOW_NEVER;
    } else if (err != NULL)
        *err = why;
    return d->need_pass ? -1 : 0;
}

static bool is_large(const struct stat *st)
{
    return st->st_size >= LARGE_DIR;
}

static void pass_end(struct domain *d)
{
    struct stat st;

    d->large = fstat(dirfd(d->pass), &st) == 0 && is_large(&st);
    closedir(d->pass);
    d->pass = NULL;
    d->forced = false;
    d->oldest = d->pass_oldest;
    d->unwarned = d->pass_unwarned;
}

/* Hands what is due to the window until it is full or the step has had enough. */
static int pass_on(struct queue *q, struct domain *d, int64_t now, struct err *err)
{
    struct qname name;
    struct dirent *e;
    unsigned left = PASS_NAMES;

    while (left > 0 && !window_full(d->window)) {
        errno = 0;
        e = readdir(d->pass);
        if (e == NULL) {
            int failed = errno;

            pass_end(d);
            if (failed == 0)
                return 0;
            d->need_pass = true;
            errno = failed;
            return err_sys(err, EX_IOERR, "read cur/%s", d->dir);
        }
        if (!qname_parse(e->d_name, &name))
            continue;
        left--;
        see(d, &name);
        if (pull_in(q, d, &name, now))
            window_add(d->window, &name, d->forced ? WINDOW_NEVER : now);
    }
    return 0;
}

static int64_t attention_at(const struct queue *q, const struct domain *d)
{
    int64_t warn = WINDOW_NEVER, last = WINDOW_NEVER, at;

    if (q->times.warn_after > 0 && d->unwarned != WINDOW_NEVER)
        warn = d->unwarned + q->times.warn_after;
    if (d->oldest != WINDOW_NEVER)
        last = d->oldest + q->times.last_call;
    at = warn < last ? warn : last;
    return at < d->attend_at ? d->attend_at : at;
}

bool queue_attention(const struct queue *q, const struct domain *d, int64_t now)
{
    return d->attend != NULL || attention_at(q, d) <= now;
}

void queue_retry(struct queue *q, struct domain *d, int64_t when)
{
    if (when < d->retry_at)
        d->retry_at = when;
    if (when < d->timer)
        set_timer(q, d, when);
}

static bool attend_begin(struct queue *q, struct domain *d, int64_t now)
{
    d->attend_at = now + ATTEND_GAP;
    d->attend_by = now;
    d->attend = spool_list(q->opt.spool, SPOOL_CUR, d->dir, NULL);
    if (d->attend == NULL)
        d->oldest = d->unwarned = WINDOW_NEVER;         /* made anew by the next pass, if it is there */
    d->pass_oldest = d->pass_unwarned = WINDOW_NEVER;
    return d->attend != NULL;
}

static void attend_end(struct queue *q, struct domain *d)
{
    closedir(d->attend);
    d->attend = NULL;
    d->oldest = d->pass_oldest;
    d->unwarned = d->pass_unwarned;
    d->warned = d->attend_by - q->times.warn_after;
}

bool queue_attend(struct queue *q, struct domain *d, int64_t now, struct qname *name)
{
    struct dirent *e;

    if (d->attend == NULL && !attend_begin(q, d, now))
        return false;
    while ((e = readdir(d->attend)) != NULL) {
        int64_t born;
        bool warn;

        if (!qname_parse(e->d_name, name))
            continue;
        born = msgid_seconds(&name->id);
        warn = q->times.warn_after > 0 && born + q->times.warn_after <= d->attend_by;
        if (born < d->pass_oldest)
            d->pass_oldest = born;
        if (!warn && born < d->pass_unwarned)
            d->pass_unwarned = born;
        if ((warn && born > d->warned) || born + q->times.last_call <= d->attend_by)
            return true;
    }
    attend_end(q, d);
    return false;
}

size_t queue_look(struct queue *q, struct domain *d, int64_t now, struct err *err)
{
    int64_t next;
    int rc = 0;

    if (d->retry_at <= now) {
        d->retry_at = WINDOW_NEVER;
        d->need_pass = true;
    }
    window_turn(d->window, now);
    if (d->pass == NULL && (d->need_pass || window_wants_pass(d->window, now)))
        rc = pass_begin(q, d, err);
    if (rc == 0 && d->pass != NULL)
        rc = pass_on(q, d, now, err);
    next = window_next(d->window);
    if (rc == -1)
        next = now + 60;                /* a directory that cannot be read is asked again, not taken for empty */
    else if (next <= now && (d->pass != NULL || window_ready(d->window) > 0))
        next = WINDOW_NEVER;            /* whoever takes names from the window looks again */
    if (d->retry_at < next)
        next = d->retry_at;
    if (d->attend == NULL && attention_at(q, d) < next)
        next = attention_at(q, d);
    set_timer(q, d, next);
    if (rc == 0 && (d->pass != NULL ? !window_full(d->window) : d->need_pass))
        queue_touch(q, d);
    return window_ready(d->window);
}

bool queue_hungry(const struct domain *d, int64_t now)
{
    if (d->pass != NULL)
        return window_ready(d->window) <= WINDOW_READY / 2;
    return window_wants_pass(d->window, now) || window_next(d->window) <= now || (d->large && window_ready(d->window) == 0);
}

/* ---- acts ------------------------------------------------------------------- */

void queue_path(const struct domain *d, const struct qname *name, char out[QUEUE_PATH_SIZE])
{
    char text[QNAME_SIZE];

    qname_format(name, text);
    snprintf(out, QUEUE_PATH_SIZE, "%s/%s", d->dir, text);
}

bool queue_holds(const struct queue *q, struct domain *d)
{
    int fd = spool_fd(q->opt.spool, SPOOL_CUR, NULL);
    char path[QUEUE_PATH_SIZE];
    struct qname name;

    while (window_peek(d->window, &name)) {
        queue_path(d, &name, path);
        if (faccessat(fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
            return true;
        (void)window_take(d->window, &name);
    }
    return false;
}

int queue_make_dir(struct queue *q, const struct domain *d, enum spool_dir where, struct err *err)
{
    int fd = spool_fd(q->opt.spool, where, err);
    struct stat st;

    if (fd == -1)
        return -1;
    if (mkdirat(fd, d->dir, 0700) == -1)
        return errno == EEXIST ? 0 : err_sys(err, EX_IOERR, "make %s/%s", where == SPOOL_HOLD ? "hold" : "cur", d->dir);
    if (fstat(fd, &st) == 0)            /* as its parent, whatever the umask */
        (void)!fchmodat(fd, d->dir, st.st_mode & 07777, 0);
    return 1;
}

int queue_sync(struct queue *q, const struct domain *d, struct err *err)
{
    const char *name = d == NULL ? "." : d->dir;
    int fd = spool_fd(q->opt.spool, SPOOL_CUR, err), rc = 0;

    if (fd == -1)
        return -1;
    if ((fd = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) == -1)
        return err_sys(err, EX_IOERR, "open cur/%s", name);
    if (fsync(fd) == -1 && errno != EINVAL)     /* some file systems cannot, and need not */
        rc = err_sys(err, EX_IOERR, "sync cur/%s", name);
    close(fd);
    return rc;
}

/* Looks for an ID in one directory, whatever DUE and KEY became. */
static bool search(struct queue *q, const struct domain *d, enum spool_dir where, const struct msgid *id, struct qname *out)
{
    DIR *dir = spool_list(q->opt.spool, where, d->dir, NULL);
    struct dirent *e;
    bool found = false;

    while (dir != NULL && !found && (e = readdir(dir)) != NULL)
        found = qname_parse(e->d_name, out) && memcmp(out->id.s, id->s, MSGID_LEN) == 0;
    if (dir != NULL)
        closedir(dir);
    return found;
}

bool queue_locate(struct queue *q, const struct domain *d, const struct qname *name, enum spool_dir *dir_r, struct qname *now_r)
{
    int fd = spool_fd(q->opt.spool, SPOOL_CUR, NULL);
    char path[QUEUE_PATH_SIZE];

    *dir_r = SPOOL_CUR;
    *now_r = *name;
    queue_path(d, name, path);
    if (fd != -1 && faccessat(fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return true;
    if (search(q, d, SPOOL_CUR, &name->id, now_r))
        return true;
    *dir_r = SPOOL_HOLD;
    return search(q, d, SPOOL_HOLD, &name->id, now_r);
}

int queue_remove(struct queue *q, const struct domain *d, enum spool_dir where, const struct qname *name, struct err *err)
{
    int fd = spool_fd(q->opt.spool, where, err);
    char path[QUEUE_PATH_SIZE];

    queue_path(d, name, path);
    if (fd == -1)
        return -1;
    if (unlinkat(fd, path, 0) == -1)
        return err_sys(err, errno == ENOENT ? EX_NOINPUT : EX_IOERR, "remove %s", path);
    record_left(q->opt.record, where, d->dir);
    return 0;
}

int queue_rename(struct queue *q, const struct domain *d, enum spool_dir from, const struct qname *old,
    enum spool_dir to, const struct qname *new, struct err *err)
{
    int a = spool_fd(q->opt.spool, from, err), b = spool_fd(q->opt.spool, to, err);
    char old_path[QUEUE_PATH_SIZE], new_path[QUEUE_PATH_SIZE];

    queue_path(d, old, old_path);
    queue_path(d, new, new_path);
    if (a == -1 || b == -1)
        return -1;
    if (from != to && queue_make_dir(q, d, to, err) == -1)
        return -1;
    if (renameat(a, old_path, b, new_path) == -1)
        return err_sys(err, errno == ENOENT ? EX_NOINPUT : EX_IOERR, "rename %s", old_path);
    if (from != to)
        record_left(q->opt.record, from, d->dir);
    return 0;
}

int queue_bury(struct queue *q, const struct domain *d, enum spool_dir where, const struct qname *name, struct err *err)
{
    int a = spool_fd(q->opt.spool, where, err), b = spool_fd(q->opt.spool, SPOOL_DEAD, err);
    char path[QUEUE_PATH_SIZE];

    queue_path(d, name, path);
    if (a == -1 || b == -1)
        return -1;
    if (renameat(a, path, b, name->id.s) == -1)
        return err_sys(err, errno == ENOENT ? EX_NOINPUT : EX_IOERR, "move %s to dead/", path);
    unlinkat(a, path, 0);               /* a second link to what dead/ has already: rename did nothing */
    record_left(q->opt.record, where, d->dir);
    return 0;
}

static bool unused(const struct domain *d)
{
    return d->pass == NULL && d->attend == NULL && !d->need_pass && d->retry_at == WINDOW_NEVER && window_ready(d->window) == 0 && window_next(d->window) == WINDOW_NEVER;
}

void queue_tidy(struct queue *q, struct domain *d, bool any, int64_t now)
{
    int fd = spool_fd(q->opt.spool, SPOOL_CUR, NULL);
    struct stat st;

    if (fd == -1 || !unused(d) || fstatat(fd, d->dir, &st, AT_SYMLINK_NOFOLLOW) == -1)
        return;
    if (!any && !is_large(&st))
        return;
    if (unlinkat(fd, d->dir, AT_REMOVEDIR) == 0)        /* refuses what is not empty */
        d->large = false;
    else if (is_large(&st) && now + TIDY_GAP < d->timer)
        set_timer(q, d, now + TIDY_GAP);
}

bool queue_drop(struct queue *q, struct domain *d)
{
    int fd = spool_fd(q->opt.spool, SPOOL_CUR, NULL);

    if (fd == -1 || d->in_due || !unused(d) || faccessat(fd, d->dir, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
        return false;
    set_timer(q, d, WINDOW_NEVER);
    RB_REMOVE(names, &q->names, d);
    q->count--;
    domain_free(d);
    return true;
}

bool queue_empty(const struct queue *q)
{
    struct domain *d;

    RB_FOREACH(d, names, (struct names *)&q->names)
        if (!unused(d))
            return false;
    return true;
}
