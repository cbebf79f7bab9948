/* From new/ into the queue: one domain by a rename, several by links that are
 * synced before the first name goes. Repeating a split makes the same names.
 * Also what is swept and released. Called by the keeper's step. */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "spooler/keeper/bounce.h"
#include "spooler/keeper/context.h"
#include "spooler/keeper/filing.h"
#include "spooler/policy/route.h"

enum { BATCH = 200, TMP_AGE_S = 36 * 3600, SITE_AGE_S = 60 * 86400 };

/* One message of a batch. */
struct item {
    struct msgid id;
    struct envelope envelope;
    struct qname name;
    uint64_t bytes;
    nlink_t links;
    struct domain **domain;             /* distinct */
    size_t ndomain;
    size_t *bad, nbad;                  /* recipients without a valid domain */
    bool failed;                        /* stays in new/ for now */
};

static void item_fini(struct item *it)
{
    envelope_fini(&it->envelope);
    free(it->domain);
    free(it->bad);
}

/* ---- reading -------------------------------------------------------------------- */

static int sort_recipients(struct keeper *k, struct item *it, struct err *err)
{
    size_t n = it->envelope.nrcpt;

    it->domain = calloc(n, sizeof(struct domain *));
    it->bad = calloc(n, sizeof *it->bad);
    if (it->domain == NULL || it->bad == NULL)
        return err_sys(err, EX_OSERR, "recipients of %s", it->id.s);
    k->mark++;
    for (size_t i = 0; i < n; i++) {
        char name[ROUTE_DOMAIN_MAX];
        struct domain *d;

        if (route_domain(it->envelope.rcpt[i], name, NULL) == -1) {
            it->bad[it->nbad++] = i;
            continue;
        }
        if ((d = queue_domain(k->queue, name, err)) == NULL)
            return -1;
        if (d->mark != k->mark)
            it->domain[it->ndomain++] = d;
        d->mark = k->mark;
    }
    return 0;
}

static void bury_new(struct keeper *k, const char *name, const char *why)
{
    int from = spool_fd(k->spool, SPOOL_NEW, NULL), to = spool_fd(k->spool, SPOOL_DEAD, NULL);

    if (renameat(from, name, to, name) == 0)
        log_line(k->log, LEVEL_ERROR, "%s is not a message: %s; moved to dead/", name, why);
    else
        log_line(k->log, LEVEL_ERROR, "%s is not a message: %s; it cannot be moved to dead/: %s", name, why, strerror(errno));
    record_left(k->record, SPOOL_NEW, "");
}

/* 1: ready to be filed, 0: nothing to do (gone, buried), -1: later. */
static int item_read(struct keeper *k, const char *name, struct item *it)
{
    struct err err = { 0 };
    struct stat st;
    int dir = spool_fd(k->spool, SPOOL_NEW, NULL), fd;

    *it = (struct item){ 0 };
    strlcpy(it->id.s, name, sizeof it->id.s);
    fd = spool_read(k->spool, dir, name, &it->envelope, &it->bytes, &err);
    if (fd == -1 && err.class == EX_DATAERR)
        bury_new(k, name, err.text);
    else if (fd == -1 && err.class != EX_NOINPUT)
        log_line(k->log, LEVEL_ERROR, "%s cannot be read now: %s", name, err.text);
    if (fd == -1)
        return err.class == EX_DATAERR || err.class == EX_NOINPUT ? 0 : -1;
    it->links = fstat(fd, &st) == 0 ? st.st_nlink : 1;
    close(fd);
    if (sort_recipients(k, it, &err) == -1) {
        log_line(k->log, LEVEL_ERROR, "%s", err.text);
        item_fini(it);
        return -1;
    }
    it->name = (struct qname){ .due = msgid_seconds(&it->id), .id = it->id, .letter = cause_letter(CAUSE_NONE) };
    qname_hash_sender(it->envelope.sender, it->name.sender);
    return 1;
}

/* ---- linking --------------------------------------------------------------------- */

static int write_all(int fd, const char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The envelope as it was understood, its owner in it; then the message's bytes. */
static int write_copy(const struct item *it, int from, int to)
{
    struct buf head = BUF_INIT(ENVELOPE_HEAD_MAX);
    off_t at = (off_t)it->envelope.message_at;
    char block[65536];
    ssize_t n = 1;
    int rc = envelope_print(&it->envelope, &head, NULL) == 0 ? write_all(to, head.data, head.len) : -1;

    for (; rc == 0 && (n = pread(from, block, sizeof block, at)) > 0; at += n)
        rc = write_all(to, block, (size_t)n);
    buf_fini(&head);
    return rc == 0 && n == 0 ? fsync(to) : -1;
}

/* The fallback where a hard link is impossible (EPERM, EMLINK, EXDEV). Whole or
 * not at all: under a name that is none, then renamed. Its group may not write:
 * by that outcome knows a copy, whose number of links tells nothing. */
static int copy(struct keeper *k, const struct item *it, const struct domain *d, const char *path, struct err *err)
{
    int cur = spool_fd(k->spool, SPOOL_CUR, NULL), rc = -1;
    int from = openat(spool_fd(k->spool, SPOOL_NEW, NULL), it->id.s, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), to;
    char hidden[QUEUE_PATH_SIZE];

    snprintf(hidden, sizeof hidden, "%s/.%s", d->dir, it->id.s);
    unlinkat(cur, hidden, 0);           /* of a copy that a crash cut off */
    to = openat(cur, hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (from != -1 && to != -1)
        rc = write_copy(it, from, to);
    if (to != -1 && close(to) == -1)
        rc = -1;
    if (rc == -1 || renameat(cur, hidden, cur, path) == -1) {
        rc = err_sys(err, EX_IOERR, "copy %s to cur/%s", it->id.s, path);
        unlinkat(cur, hidden, 0);
    }
    if (from != -1)
        close(from);
    return rc;
}

/* The one way without a link; never onto a name that is there: no ID is used twice. */
static bool by_rename(const struct item *it)
{
    return it->ndomain == 1 && it->links == 1 && it->nbad == 0;
}

static int link_one(struct keeper *k, const struct item *it, struct domain *d, struct err *err)
{
    char path[QUEUE_PATH_SIZE];

    queue_path(d, &it->name, path);
    if (linkat(spool_fd(k->spool, SPOOL_NEW, NULL), it->id.s, spool_fd(k->spool, SPOOL_CUR, NULL), path, 0) == 0 || errno == EEXIST)
        return 0;
    if (errno == EPERM || errno == EMLINK || errno == EXDEV)
        return copy(k, it, d, path, err);
    return err_sys(err, EX_IOERR, "link %s to cur/%s", it->id.s, path);
}

/* After a crash in the middle of a split: does this domain have it, or is it done? */
static bool has_it(struct keeper *k, const struct item *it, struct domain *d)
{
    enum spool_dir where;
    struct qname name;

    return it->links > 1 && queue_locate(k->queue, d, &it->name, &where, &name);
}

static int rename_one(struct keeper *k, struct item *it, struct err *err)
{
    char path[QUEUE_PATH_SIZE];

    queue_path(it->domain[0], &it->name, path);
    if (faccessat(spool_fd(k->spool, SPOOL_CUR, NULL), path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        bury_new(k, it->id.s, "its ID is another's");
        return err_set(err, EX_NOINPUT, "new/%s: its ID is another's", it->id.s);
    }
    if (renameat(spool_fd(k->spool, SPOOL_NEW, NULL), it->id.s, spool_fd(k->spool, SPOOL_CUR, NULL), path) == -1)
        return err_sys(err, errno == ENOENT ? EX_NOINPUT : EX_IOERR, "rename new/%s to cur/%s", it->id.s, path);
    return 0;
}

static int link_all(struct keeper *k, struct item *it, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < it->ndomain; i++)
        if (!has_it(k, it, it->domain[i]))
            rc = link_one(k, it, it->domain[i], err);
    return rc;
}

static void log_failure(struct keeper *k, struct item *it, const struct err *err)
{
    it->failed = true;
    if (err->class != EX_NOINPUT)
        log_line(k->log, LEVEL_ERROR, "%s cannot be filed now: %s", it->id.s, err->text);
}

/* ---- recipients that are none ------------------------------------------------------ */

static int reject(struct keeper *k, struct item *it)
{
    struct bounce b = { .kind = BOUNCE_FAILED, .id = &it->id, .envelope = &it->envelope };
    struct bounce_rcpt *rcpt = calloc(it->nbad, sizeof *rcpt);
    struct err err = { 0 };
    struct msgid id;
    int rc = -1;

    for (size_t i = 0; rcpt != NULL && i < it->nbad; i++)
        rcpt[b.nrcpt++] = (struct bounce_rcpt){ .address = it->envelope.rcpt[it->bad[i]], .status = "5.1.2", .host = "",
            .diagnostic = "the part behind the @ is not a valid domain" };
    b.rcpt = rcpt;
    b.fd = openat(spool_fd(k->spool, SPOOL_NEW, NULL), it->id.s, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (rcpt != NULL && b.fd != -1)
        rc = it->envelope.sender[0] == '\0' ? 0 : bounce_send(k->spool, k->config, &k->identity, &b, k->now, &id, &err);
    if (rc == -1)
        log_line(k->log, LEVEL_ERROR, "%s the report cannot be written: %s", it->id.s, err.text);
    for (size_t i = 0; rc == 0 && i < it->nbad; i++)
        log_line(k->log, LEVEL_INFO, "%s ** %s R=queue: the part behind the @ is not a valid domain", it->id.s, it->envelope.rcpt[it->bad[i]]);
    if (b.fd != -1)
        close(b.fd);
    free(rcpt);
    k->look_new = true;
    return rc;
}

/* ---- a batch ------------------------------------------------------------------------ */

static void make_dirs(struct keeper *k, struct item *items, size_t n)
{
    struct err err = { 0 };
    bool made = false;

    k->mark++;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < items[i].ndomain && !items[i].failed; j++) {
            struct domain *d = items[i].domain[j];
            int rc = d->mark == k->mark ? 0 : queue_make_dir(k->queue, d, SPOOL_CUR, &err);

            made = made || rc == 1;
            if (rc == -1)
                log_failure(k, &items[i], &err);
            else
                d->mark = k->mark;
        }
    if (made && queue_sync(k->queue, NULL, &err) == -1)
        for (size_t i = 0; i < n; i++)
            log_failure(k, &items[i], &err);
}

static void place(struct keeper *k, struct item *items, size_t n)
{
    struct err err = { 0 };

    for (size_t i = 0; i < n; i++) {
        struct item *it = &items[i];

        if (it->failed || it->ndomain == 0)
            continue;
        if ((by_rename(it) ? rename_one : link_all)(k, it, &err) == -1)
            log_failure(k, it, &err);
    }
}

/* Links must be on disk before the first name goes. */
static void sync_links(struct keeper *k, struct item *items, size_t n)
{
    struct err err = { 0 };

    k->mark++;
    for (size_t i = 0; i < n; i++) {
        struct item *it = &items[i];

        for (size_t j = 0; j < it->ndomain && !it->failed && !by_rename(it); j++) {
            if (it->domain[j]->mark == k->mark)
                continue;
            it->domain[j]->mark = k->mark;
            if (queue_sync(k->queue, it->domain[j], &err) == -1)
                log_failure(k, it, &err);
        }
    }
}

static void leave_new(struct keeper *k, struct item *it)
{
    int new = spool_fd(k->spool, SPOOL_NEW, NULL), dead = spool_fd(k->spool, SPOOL_DEAD, NULL), rc = 0;
    struct err err = { 0 };

    if (it->nbad > 0 && reject(k, it) == -1) {
        it->failed = true;
        return;
    }
    if (it->ndomain == 0 && it->envelope.sender[0] == '\0')
        rc = renameat(new, it->id.s, dead, it->id.s);   /* a report nobody can have */
    else if (!by_rename(it))
        rc = unlinkat(new, it->id.s, 0);
    if (rc == -1 && errno != ENOENT) {
        err_sys(&err, EX_IOERR, "remove new/%s", it->id.s);
        log_failure(k, it, &err);
    }
    record_left(k->record, SPOOL_NEW, "");
}

static void announce(struct keeper *k, struct item *it)
{
    const struct envelope *e = &it->envelope;

    log_line(k->log, LEVEL_INFO, "%s <= %s%s%s P=%s S=%llu", it->id.s, e->sender[0] == '\0' ? "<>" : e->sender, e->user[0] == '\0' ? "" : " U=",
        e->user, e->protocol, (unsigned long long)e->size.disk_bytes);
    for (size_t i = 0; i < it->ndomain; i++)
        queue_add(k->queue, it->domain[i], &it->name, keeper_seconds(k));
    if (it->ndomain == 0)
        log_line(k->log, LEVEL_INFO, "%s Completed", it->id.s);
}

static void file_batch(struct keeper *k, struct item *items, size_t n)
{
    make_dirs(k, items, n);
    place(k, items, n);
    sync_links(k, items, n);
    for (size_t i = 0; i < n; i++) {
        if (!items[i].failed)
            leave_new(k, &items[i]);
        if (!items[i].failed)
            announce(k, &items[i]);
        k->new_stuck += items[i].failed;
        item_fini(&items[i]);
    }
}

bool filing_asked(const struct keeper *k)
{
    return k->look_new || k->new_pass != NULL;
}

bool filing_has(struct keeper *k, const struct msgid *id)
{
    return faccessat(spool_fd(k->spool, SPOOL_NEW, NULL), id->s, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool pass_begin(struct keeper *k)
{
    struct err err = { 0 };

    if (k->new_pass == NULL) {
        k->new_stuck = 0;
        if ((k->new_pass = spool_list(k->spool, SPOOL_NEW, NULL, &err)) == NULL)
            log_line(k->log, LEVEL_ERROR, "new/ cannot be read now: %s", err.text);
    }
    return k->new_pass != NULL;
}

void filing_take(struct keeper *k)
{
    struct item *items = calloc(BATCH, sizeof *items);
    struct dirent *e = NULL;
    size_t n = 0;

    if (items == NULL || !pass_begin(k)) {
        free(items);
        return;
    }
    while (n < BATCH && (e = readdir(k->new_pass)) != NULL) {
        int rc = msgid_valid(e->d_name) ? item_read(k, e->d_name, &items[n]) : 0;

        n += rc == 1;
        k->new_stuck += rc == -1;
    }
    if (e == NULL) {
        closedir(k->new_pass);
        k->new_pass = NULL;
    }
    file_batch(k, items, n);
    free(items);
}

/* ---- release, sweep -------------------------------------------------------------------- */

/* Calls ACT for each name of each domain below a directory. */
static void each_name(struct keeper *k, enum spool_dir where, void (*act)(struct keeper *, void *, const char *dir, const char *name), void *arg)
{
    DIR *dirs = spool_list(k->spool, where, NULL, NULL), *names;
    struct dirent *e, *f;

    while (dirs != NULL && (e = readdir(dirs)) != NULL) {
        if (e->d_name[0] == '.' || (names = spool_list(k->spool, where, e->d_name, NULL)) == NULL)
            continue;
        while ((f = readdir(names)) != NULL)
            act(k, arg, e->d_name, f->d_name);
        closedir(names);
    }
    if (dirs != NULL)
        closedir(dirs);
}

static void release_one(struct keeper *k, void *arg, const char *dir, const char *text)
{
    const char *domain = strcmp(dir, "%") == 0 ? "" : dir;
    struct domain *d;
    struct route_hop to;
    struct qname name, new;

    (void)arg;
    if (!qname_parse(text, &name) || name.letter != cause_letter(CAUSE_NO_ROUTE))
        return;
    route_hop(k->config, &k->identity, domain, &to);
    if (to.kind == ROUTE_NOWHERE || (d = queue_domain(k->queue, domain, NULL)) == NULL)
        return;
    new = name;
    new.letter = cause_letter(CAUSE_NONE);
    new.due = keeper_seconds(k);
    if (queue_rename(k->queue, d, SPOOL_HOLD, &name, SPOOL_CUR, &new, NULL) == -1)
        return;
    log_line(k->log, LEVEL_INFO, "%s released: there is a route for \"%s\" now", name.id.s, d->name);
    queue_add(k->queue, d, &new, keeper_seconds(k));
}

void filing_release(struct keeper *k)
{
    each_name(k, SPOOL_HOLD, release_one, NULL);
}

/* Trails nobody wrote to for longer than any message lives, and which of their
 * messages are still there (held ones may be). */
struct stale { struct stale_trail { struct msgid id; char name[TRAIL_NAME_SIZE]; bool alive; } *trail; size_t n, room; };

static int by_id(const void *a, const void *b)
{
    return memcmp(((const struct stale_trail *)a)->id.s, ((const struct stale_trail *)b)->id.s, MSGID_LEN);
}

static void mark_alive(struct keeper *k, void *arg, const char *dir, const char *text)
{
    struct stale *s = arg;
    struct stale_trail key, *t;
    struct qname name;

    (void)k, (void)dir;
    if (!qname_parse(text, &name))
        return;
    key.id = name.id;
    if ((t = bsearch(&key, s->trail, s->n, sizeof *s->trail, by_id)) != NULL)
        t->alive = true;
}

static bool stale_add(struct stale *s, const char *name)
{
    if (s->n == s->room) {
        size_t room = s->room == 0 ? 64 : s->room * 2;
        struct stale_trail *t = reallocarray(s->trail, room, sizeof *t);

        if (t == NULL)
            return false;
        s->trail = t;
        s->room = room;
    }
    s->trail[s->n] = (struct stale_trail){ 0 };
    strlcpy(s->trail[s->n].id.s, name, sizeof s->trail->id.s);
    strlcpy(s->trail[s->n++].name, name, sizeof s->trail->name);
    return true;
}

static bool older(int dir, const char *name, int64_t than)
{
    struct stat st;

    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime < than;
}

static void sweep_trails(struct keeper *k)
{
    int64_t than = keeper_seconds(k) - k->config->lifetime_ms / 1000 - 2 * 86400;
    int fd = spool_fd(k->spool, SPOOL_TRAIL, NULL);
    DIR *dir = spool_list(k->spool, SPOOL_TRAIL, NULL, NULL);
    struct stale s = { 0 };
    struct dirent *e;

    while (dir != NULL && (e = readdir(dir)) != NULL)
        if (e->d_name[0] != '.' && older(fd, e->d_name, than) && !stale_add(&s, e->d_name))
            break;
    if (dir != NULL)
        closedir(dir);
    if (s.n > 0) {
        qsort(s.trail, s.n, sizeof *s.trail, by_id);
        each_name(k, SPOOL_CUR, mark_alive, &s);
        each_name(k, SPOOL_HOLD, mark_alive, &s);
    }
    for (size_t i = 0; i < s.n; i++)
        if (!s.trail[i].alive)
            unlinkat(fd, s.trail[i].name, 0);
    free(s.trail);
}

static void sweep_tmp(struct keeper *k)
{
    int fd = spool_fd(k->spool, SPOOL_TMP, NULL);
    DIR *dir = spool_list(k->spool, SPOOL_TMP, NULL, NULL);
    struct dirent *e;

    while (dir != NULL && (e = readdir(dir)) != NULL)
        if (msgid_valid(e->d_name) && older(fd, e->d_name, keeper_seconds(k) - TMP_AGE_S))
            unlinkat(fd, e->d_name, 0);
    if (dir != NULL)
        closedir(dir);
}

/* What was learned of a site and not touched for so long is no longer true. */
static void sweep_sites(struct keeper *k)
{
    int fd = spool_fd(k->spool, SPOOL_SITES, NULL);
    DIR *dir = spool_list(k->spool, SPOOL_SITES, NULL, NULL);
    struct dirent *e;

    while (dir != NULL && (e = readdir(dir)) != NULL)
        if (e->d_name[0] != '.' && older(fd, e->d_name, keeper_seconds(k) - SITE_AGE_S))
            unlinkat(fd, e->d_name, 0);
    if (dir != NULL)
        closedir(dir);
}

void filing_sweep(struct keeper *k)
{
    sweep_tmp(k);
    sweep_sites(k);
    if (k->config != NULL)
        sweep_trails(k);
}
