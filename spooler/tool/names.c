/* names: reads directories, never waits, changes nothing. A name may be gone by
 * the time it is used: that is normal, a spooler may be at work. Called by
 * act. */
#include <config.h>

#include "spooler/tool/names.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/envelope.h"
#include "common/err.h"
#include "common/trail.h"
#include "spooler/tool/what.h"

enum { NAMES_MAX = 20000000 };

void names_path(const char *dir, const struct qname *name, char out[NAMES_PATH_SIZE])
{
    char text[QNAME_SIZE];

    qname_format(name, text);
    (void)snprintf(out, NAMES_PATH_SIZE, "%s/%s", dir, text);
}

int names_read(const struct names *l, const struct found *f, struct envelope *env, struct trail *trail, struct err *e)
{
    struct buf lines = BUF_INIT(SPOOL_TRAIL_MAX);
    int at = spool_fd(l->spool, f->where, e), fd, r;
    char path[NAMES_PATH_SIZE];

    if (at == -1)
        return -1;
    names_path(l->dir[f->dir], &f->name, path);
    fd = spool_read(l->spool, at, path, env, NULL, e);
    if (fd == -1)
        return -1;
    (void)close(fd);
    r = spool_read_trail(l->spool, &f->name.id, env->uid, &lines, e);
    if (r == 0)
        r = trail_parse(lines.data, lines.len, env->nrcpt, trail, e);
    buf_fini(&lines);
    if (r != 0)
        envelope_fini(env);
    return r;
}

bool names_again(const struct names *l, struct found *f)
{
    DIR *dir = spool_list(l->spool, f->where, l->dir[f->dir], NULL);
    const struct dirent *entry;
    struct qname name;
    bool again = false;

    while (dir != NULL && !again && (entry = readdir(dir)) != NULL)
        again = qname_parse(entry->d_name, &name) && strcmp(name.id.s, f->name.id.s) == 0;
    if (dir != NULL)
        (void)closedir(dir);
    if (again)
        f->name = name;
    return again;
}

/* ---- is it meant ------------------------------------------------------- */

/* Whether it waits for the address, and whether for others of its domain. */
static bool waits_for(const struct names *l, struct found *f, const struct what *w)
{
    struct what domain = *w;
    struct envelope env;
    struct trail trail;
    bool meant = false, others = false;

    if (names_read(l, f, &env, &trail, NULL) != 0)
        return false;
    domain.kind = WHAT_DOMAIN;
    for (size_t i = 0; i < env.nrcpt; i++) {
        if (trail.rcpt[i].fate != FATE_OWED || !what_is_recipient(&domain, env.rcpt[i]))
            continue;
        if (what_is_recipient(w, env.rcpt[i]))
            meant = true;
        else
            others = true;
    }
    envelope_fini(&env);
    trail_fini(&trail);
    f->shared = meant && others;
    return meant;
}

static bool is_meant(const struct names *l, struct found *f, struct what *w, size_t nwhat)
{
    bool meant = false, whole = false;

    for (size_t i = 0; i < nwhat; i++) {
        bool this = false;

        if (w[i].kind == WHAT_ADDRESS)
            this = what_in_dir(&w[i], l->dir[f->dir]) && waits_for(l, f, &w[i]);
        else if (w[i].kind == WHAT_DOMAIN)
            whole |= this = what_in_dir(&w[i], l->dir[f->dir]);
        else
            whole |= this = what_is_id(&w[i], &f->name.id);
        w[i].met |= this;
        meant |= this;
    }
    f->shared = f->shared && !whole;
    return meant;
}

/* ---- reading ----------------------------------------------------------- */

static int reserve(void **array, size_t *room, size_t n, size_t size, struct err *e)
{
    size_t more = *room == 0 ? 64 : *room * 2;
    void *p;

    if (n < *room)
        return 0;
    if (n >= NAMES_MAX)
        return err_set(e, EX_TEMPFAIL, "the spool has more than %d names", NAMES_MAX);
    p = reallocarray(*array, more, size);
    if (p == NULL)
        return err_sys(e, EX_TEMPFAIL, "read the spool's names");
    *array = p;
    *room = more;
    return 0;
}

static int add_found(struct names *l, const struct found *f, struct err *e)
{
    void *array = l->at;

    if (reserve(&array, &l->room, l->n, sizeof(*l->at), e) != 0)
        return -1;
    l->at = array;
    l->at[l->n++] = *f;
    return 0;
}

static int add_dir(struct names *l, const char *name, struct err *e)
{
    void *array = l->dir;

    if (reserve(&array, &l->dir_room, l->ndir, sizeof(*l->dir), e) != 0)
        return -1;
    l->dir = array;
    (void)strlcpy(l->dir[l->ndir++], name, sizeof(*l->dir));
    return 0;
}

/* One directory, newly added; it may have gone, or be no directory. */
static int read_dir(struct names *l, enum spool_dir where, struct what *w, size_t nwhat, struct err *e)
{
    uint32_t at = (uint32_t)(l->ndir - 1);
    struct err why = { 0 };
    DIR *dir = spool_list(l->spool, where, l->dir[at], &why);
    const struct dirent *entry;
    int r = 0;

    if (dir == NULL && (why.sys == ENOENT || why.sys == ENOTDIR || why.sys == ELOOP))
        return 0;
    if (dir == NULL) {
        *e = why;
        return -1;
    }
    while (r == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        struct found f = { .where = where, .dir = at };

        if (qname_parse(entry->d_name, &f.name) && is_meant(l, &f, w, nwhat))
            r = add_found(l, &f, e);
    }
    if (r == 0 && errno != 0)
        r = err_sys(e, EX_IOERR, "read %s/%s/%s", spool_path(l->spool), spool_dir_name(where), l->dir[at]);
    (void)closedir(dir);
    return r;
}

static bool any_in_dir(const struct what *w, size_t nwhat, const char *dir)
{
    for (size_t i = 0; i < nwhat; i++)
        if (what_in_dir(&w[i], dir))
            return true;
    return false;
}

static int read_parent(struct names *l, enum spool_dir where, struct what *w, size_t nwhat, struct err *e)
{
    DIR *dir = spool_list(l->spool, where, NULL, e);
    const struct dirent *entry;
    int r = dir == NULL ? -1 : 0;

    while (r == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) >= SPOOL_DOMAIN_SIZE || !any_in_dir(w, nwhat, entry->d_name))
            continue;
        r = add_dir(l, entry->d_name, e);
        if (r == 0)
            r = read_dir(l, where, w, nwhat, e);
    }
    if (r == 0 && errno != 0)
        r = err_sys(e, EX_IOERR, "read %s/%s", spool_path(l->spool), spool_dir_name(where));
    if (dir != NULL)
        (void)closedir(dir);
    return r;
}

int names_collect(struct names *l, struct what *w, size_t nwhat, struct err *e)
{
    if (read_parent(l, SPOOL_CUR, w, nwhat, e) != 0)
        return -1;
    return read_parent(l, SPOOL_HOLD, w, nwhat, e);
}

void names_fini(struct names *l)
{
    free(l->at);
    free(l->dir);
    *l = (struct names){ .spool = l->spool };
}
