/* act: renames and removes queue names, which is all it takes: the names are
 * the queue. A spooler may be at work on the same names: one that is gone was
 * rescheduled, and is looked for, or settled. It touches no message, and
 * settles no recipient but those whose mail is dropped. Called by queue. */
#include <config.h>

#include "spooler/tool/act.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config.h"
#include "common/envelope.h"
#include "common/err.h"
#include "common/log.h"
#include "common/spool.h"
#include "common/trail.h"
#include "spooler/tool/mark.h"
#include "spooler/tool/names.h"
#include "spooler/tool/tool.h"
#include "spooler/tool/unfiled.h"
#include "spooler/tool/what.h"

enum { TRIES = 5, BY_SIZE = SPOOL_DOMAIN_SIZE + 200 };

struct run {
    const struct act *act;
    const struct tool *tool;
    struct names names;
    struct log *log;                    /* NULL: none, or it would be our own stderr */
    struct now now;
    struct msgid *done;                 /* messages acted on, one entry a name */
    size_t ndone;
    size_t elsewhere;                   /* names that are not where this act takes them from */
    size_t shared;                      /* not dropped, for others wait for them too */
    size_t gone;                        /* settled by the spooler meanwhile */
    bool last;                          /* what drop_one() removed was the message's last name */
    bool listened;                      /* a spooler was told */
    size_t unfiled;                     /* messages in new/ that are meant */
    bool told;                          /* a spooler was asked to file them */
    int class;                          /* of the last failure, 0: none */
};

/* What came of one name. */
enum outcome { DONE, GONE, FAILED };

struct act {
    const char *name, *past;            /* "hold", "held" */
    enum outcome (*one)(struct run *, struct found *);
    bool from_cur, from_hold;
    bool destroys;
    bool lasting;                       /* it must survive a crash, and the log tells of it; else it is a wish */
    bool hastens;                       /* it is for a spooler to act on */
    const char *otherwise;              /* said of names in the other place */
};

/* ---- names ------------------------------------------------------------- */

static enum outcome fail(struct run *r, const struct err *e)
{
    r->class = tool_fail(e);
    return FAILED;
}

static const char *dir_of(const struct run *r, const struct found *f)
{
    return r->names.dir[f->dir];
}

static int sync_dir(struct run *r, enum spool_dir where, const char *name, struct err *e)
{
    int at = spool_fd(r->names.spool, where, e), fd, rc;

    fd = at == -1 ? -1 : openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1)
        return errno == ENOENT ? 0 : err_sys(e, EX_IOERR, "open %s/%s", spool_dir_name(where), name);
    rc = fsync(fd) == 0 || errno == EINVAL ? 0 : err_sys(e, EX_IOERR, "sync %s/%s", spool_dir_name(where), name);
    (void)close(fd);
    return rc;
}

/* Made as its parent is; lasting before a message's only name goes there. */
static int make_dir(struct run *r, enum spool_dir where, const char *name, struct err *e)
{
    int at = spool_fd(r->names.spool, where, e);
    struct stat st;

    if (at == -1)
        return -1;
    if (mkdirat(at, name, 0700) != 0)
        return errno == EEXIST ? 0 : err_sys(e, EX_IOERR, "make %s/%s", spool_dir_name(where), name);
    if (fstat(at, &st) != 0 || fchmodat(at, name, st.st_mode & 07777, 0) != 0)
        return err_sys(e, EX_IOERR, "set the mode of %s/%s", spool_dir_name(where), name);
    return sync_dir(r, where, ".", e);
}

/* ENOENT has two reasons: the name was changed by the spooler, which is worth
 * another look, or an empty directory was tidied away. */
static enum outcome move(struct run *r, struct found *f, enum spool_dir to, const struct qname *as)
{
    char old_path[NAMES_PATH_SIZE], new_path[NAMES_PATH_SIZE];
    struct qname new;
    struct err e;

    for (int i = 0; i < TRIES; i++) {
        int a = spool_fd(r->names.spool, f->where, &e), b = spool_fd(r->names.spool, to, &e);

        if (a == -1 || b == -1 || (to != f->where && make_dir(r, to, dir_of(r, f), &e) != 0))
            return fail(r, &e);
        new = *as;
        memcpy(new.sender, f->name.sender, sizeof(new.sender));
        names_path(dir_of(r, f), &f->name, old_path);
        names_path(dir_of(r, f), &new, new_path);
        if (renameat(a, old_path, b, new_path) == 0)
            return DONE;
        if (errno != ENOENT) {
            (void)err_sys(&e, EX_IOERR, "rename %s/%s", spool_dir_name(f->where), old_path);
            return fail(r, &e);
        }
        if (!names_again(&r->names, f))
            return GONE;
    }
    (void)err_set(&e, EX_TEMPFAIL, "%s is renamed again and again; try later", f->name.id.s);
    return fail(r, &e);
}

/* ---- the acts ---------------------------------------------------------- */

static void tell_trail(struct run *r, const struct found *f, const struct envelope *env)
{
    char text[BY_SIZE];
    struct err e;

    (void)snprintf(text, sizeof(text), "%s by %s: %s", r->act->name, r->tool->caller, dir_of(r, f));
    if (mark_moved(r->names.spool, &f->name.id, env->uid, r->now.wall, text, &e) != 0)
        (void)fail(r, &e);
}

/* What cannot be read keeps no trail, and is moved all the same. */
static enum outcome move_and_tell(struct run *r, struct found *f, enum spool_dir to, const struct qname *as)
{
    struct envelope env;
    struct trail trail;
    bool known = names_read(&r->names, f, &env, &trail, NULL) == 0;
    enum outcome o = move(r, f, to, as);

    if (known) {
        if (o == DONE)
            tell_trail(r, f, &env);
        envelope_fini(&env);
        trail_fini(&trail);
    }
    return o;
}

static enum outcome retry_one(struct run *r, struct found *f)
{
    struct qname as = f->name;

    if (as.due <= r->now.wall.ms / 1000)
        return DONE;
    as.due = r->now.wall.ms / 1000;
    return move_and_tell(r, f, SPOOL_CUR, &as);
}

static enum outcome hold_one(struct run *r, struct found *f)
{
    struct qname as = f->name;

    as.letter = cause_letter(CAUSE_FROZEN);
    return move_and_tell(r, f, SPOOL_HOLD, &as);
}

static enum outcome release_one(struct run *r, struct found *f)
{
    struct qname as = f->name;

    as.due = r->now.wall.ms / 1000;
    as.letter = cause_letter(CAUSE_NONE);
    return move_and_tell(r, f, SPOOL_CUR, &as);
}

/* While the message goes on to other domains, its trail has to know that nothing
 * is owed here. */
static int settle_for_others(struct run *r, const struct found *f, struct err *e)
{
    char text[BY_SIZE];
    struct envelope env;
    struct trail trail;
    int rc;

    if (names_read(&r->names, f, &env, &trail, NULL) != 0)
        return 0;
    (void)snprintf(text, sizeof(text), "%s by %s", r->act->past, r->tool->caller);
    rc = mark_dropped(r->names.spool, &f->name.id, &env, &trail, dir_of(r, f), r->now.wall, text, e);
    envelope_fini(&env);
    trail_fini(&trail);
    return rc;
}

static enum outcome drop_one(struct run *r, struct found *f)
{
    char path[NAMES_PATH_SIZE];
    struct stat st;
    struct err e;

    for (int i = 0; i < TRIES; i++) {
        int at = spool_fd(r->names.spool, f->where, &e);

        if (at == -1)
            return fail(r, &e);
        names_path(dir_of(r, f), &f->name, path);
        r->last = fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_nlink == 1;
        if (!r->last && settle_for_others(r, f, &e) != 0)
            return fail(r, &e);
        if (unlinkat(at, path, 0) == 0)
            return DONE;
        if (errno != ENOENT) {
            (void)err_sys(&e, EX_IOERR, "remove %s/%s", spool_dir_name(f->where), path);
            return fail(r, &e);
        }
        if (!names_again(&r->names, f))
            break;
    }
    return GONE;
}

static const struct act acts[] = {
    { .name = "retry", .past = "to be tried at once", .one = retry_one, .from_cur = true, .hastens = true,
      .otherwise = "held: `abide queue release` lets them go" },
    { .name = "hold", .past = "held", .one = hold_one, .from_cur = true, .lasting = true, .otherwise = "held already" },
    { .name = "release", .past = "released", .one = release_one, .from_hold = true, .lasting = true, .hastens = true,
      .otherwise = "in the queue, but not held" },
    { .name = "drop", .past = "dropped", .one = drop_one, .from_cur = true, .from_hold = true, .lasting = true, .destroys = true,
      .otherwise = "" },
};

const struct act *act_find(const char *name)
{
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
        if (strcmp(acts[i].name, name) == 0)
            return &acts[i];
    return NULL;
}

bool act_destroys(const struct act *act)
{
    return act->destroys;
}

/* ---- a run ------------------------------------------------------------- */

static bool is_taken(const struct run *r, const struct found *f)
{
    return f->where == SPOOL_CUR ? r->act->from_cur : r->act->from_hold;
}

static void log_done(const struct run *r, const struct found *f)
{
    if (!r->act->lasting)
        return;
    log_line(r->log, LEVEL_INFO, "%s %s by %s: %s", f->name.id.s, r->act->past, r->tool->caller, dir_of(r, f));
    if (r->last)
        log_line(r->log, LEVEL_INFO, "%s Completed", f->name.id.s);
}

static void run_one(struct run *r, struct found *f)
{
    if (!is_taken(r, f)) {
        r->elsewhere++;
        return;
    }
    if (r->act->destroys && f->shared) {
        tool_say("%s waits for others at %s too: to drop it name its ID", f->name.id.s, dir_of(r, f));
        r->shared++;
        return;
    }
    switch (r->act->one(r, f)) {
    case DONE:
        r->done[r->ndone++] = f->name.id;
        log_done(r, f);
        break;
    case GONE:
        r->gone++;
        break;
    case FAILED:
        break;
    }
}

/* One domain's names are done: that lasts, and the spooler learns of it. */
static void end_dir(struct run *r, const struct found *f)
{
    char line[SPOOL_DOMAIN_SIZE + 4];
    struct err e = { 0 };

    if (r->act->lasting &&
        (sync_dir(r, SPOOL_HOLD, dir_of(r, f), &e) != 0 || sync_dir(r, SPOOL_CUR, dir_of(r, f), &e) != 0))
        (void)fail(r, &e);
    (void)snprintf(line, sizeof(line), "c %s\n", dir_of(r, f));
    if (spool_wake(r->names.spool, line, &e) == 1)
        r->listened = true;
}

static void run_all(struct run *r)
{
    size_t before = 0;

    for (size_t i = 0; i < r->names.n; i++) {
        struct found *f = &r->names.at[i];

        run_one(r, f);
        if (i + 1 < r->names.n && r->names.at[i + 1].dir == f->dir)
            continue;
        if (r->ndone > before)
            end_dir(r, f);
        before = r->ndone;
    }
}

/* ---- what is said ------------------------------------------------------ */

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, MSGID_LEN);
}

static size_t messages(struct run *r)
{
    size_t n = 0;

    qsort(r->done, r->ndone, sizeof(*r->done), by_id);
    for (size_t i = 0; i < r->ndone; i++)
        n += i == 0 || by_id(&r->done[i - 1], &r->done[i]) != 0;
    return n;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void say_done(struct run *r)
{
    size_t n = messages(r);

    if (n > 0)
        (void)printf("%zu message%s %s%s\n", n, plural(n), r->act->past,
            r->listened || !r->act->hastens ? "" : " (no spooler is running: start abided)");
    if (r->gone > 0)
        (void)printf("%zu gone before that: delivered, or settled otherwise\n", r->gone);
}

static bool any_met(const struct what *w, size_t nwhat)
{
    for (size_t i = 0; i < nwhat; i++)
        if (w[i].met)
            return true;
    return false;
}

static int say_undone(const struct run *r, const struct what *w, size_t nwhat)
{
    int status = r->ndone > 0 ? TOOL_DONE : TOOL_NOTHING;

    for (size_t i = 0; i < nwhat; i++) {
        if (w[i].met)
            continue;
        if (w[i].kind == WHAT_ALL)
            tool_say("the queue is empty");
        else
            tool_say("nothing in the queue for %s", w[i].text);
        status = TOOL_NOTHING;
    }
    if (r->ndone == 0 && r->elsewhere > 0)
        tool_say("%zu %s", r->elsewhere, r->act->otherwise);
    else if (r->names.n == 0 && r->unfiled == 0 && status == TOOL_NOTHING && any_met(w, nwhat))
        tool_say("the spooler was faster: there is nothing left");
    return r->shared > 0 ? EX_UNAVAILABLE : status;
}

static int say_unfiled(const struct run *r)
{
    if (r->told)
        tool_say("%zu message%s in new/ could not be filed by the spooler within five seconds; see its log", r->unfiled, plural(r->unfiled));
    else
        tool_say("`%s` does not reach %zu message%s in new/, which no spooler has filed yet, and none is running: start abided, then repeat",
            r->act->name, r->unfiled, plural(r->unfiled));
    return EX_TEMPFAIL;
}

static struct log *open_log(const struct config *c)
{
    return strcmp(c->log, "stderr") == 0 ? NULL : log_open(c->log, c->log_level, NULL);
}

static int begin(struct run *r, struct what *w, size_t nwhat, struct err *e)
{
    if (r->act->from_cur && unfiled_settle(r->names.spool, w, nwhat, &r->unfiled, &r->told, e) != 0)
        return -1;
    if (names_collect(&r->names, w, nwhat, e) != 0)
        return -1;
    r->done = reallocarray(NULL, r->names.n + 1, sizeof(*r->done));
    return r->done == NULL ? err_sys(e, EX_OSERR, "remember %zu names", r->names.n) : 0;
}

int act_run(const struct act *act, const struct tool *tool, struct spool *spool, struct what *w, size_t nwhat)
{
    struct run r = { .act = act, .tool = tool, .names = { .spool = spool }, .now = clock_now() };
    struct err e = { 0 };
    int status;

    (void)signal(SIGPIPE, SIG_IGN);
    r.log = open_log(tool->config);
    if (begin(&r, w, nwhat, &e) != 0) {
        status = tool_fail(&e);
    } else {
        run_all(&r);
        say_done(&r);
        status = say_undone(&r, w, nwhat);
        if (r.unfiled > 0)
            status = say_unfiled(&r);
        if (r.class != 0)
            status = r.class;
    }
    free(r.done);
    names_fini(&r.names);
    log_free(r.log);
    return status;
}
