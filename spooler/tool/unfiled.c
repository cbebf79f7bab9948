/* unfiled: what lies in new/ is split by the spooler alone, or two of us would
 * do it; so it is asked to, and waited for. Called by act. */
#include <config.h>

#include "spooler/tool/unfiled.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/envelope.h"
#include "common/err.h"
#include "common/spool.h"
#include "spooler/tool/what.h"

enum { PATIENCE_MS = 5000, PAUSE_MS = 20, UNFILED_MAX = 1000000 };

struct ids {
    struct msgid *at;
    size_t n, room;
};

static bool any_recipient(const struct envelope *env, struct what *w)
{
    for (size_t i = 0; i < env->nrcpt; i++)
        if (what_is_recipient(w, env->rcpt[i]))
            return true;
    return false;
}

static bool is_meant(struct spool *s, const struct msgid *id, struct what *w, size_t nwhat)
{
    int at = spool_fd(s, SPOOL_NEW, NULL), fd = -1;
    struct envelope env = { 0 };
    bool meant = false, tried = false;

    for (size_t i = 0; i < nwhat; i++) {
        bool this = what_is_id(&w[i], id);

        if (!this && (w[i].kind == WHAT_DOMAIN || w[i].kind == WHAT_ADDRESS)) {
            if (!tried)
                fd = spool_read(s, at, id->s, &env, NULL, NULL);
            tried = true;
            this = fd != -1 && any_recipient(&env, &w[i]);
        }
        w[i].met |= this;
        meant |= this;
    }
    if (fd != -1) {
        (void)close(fd);
        envelope_fini(&env);
    }
    return meant;
}

static int add_id(struct ids *l, const struct msgid *id, struct err *e)
{
    if (l->n == l->room) {
        size_t more = l->room == 0 ? 64 : l->room * 2;
        struct msgid *p = more > UNFILED_MAX ? NULL : reallocarray(l->at, more, sizeof(*p));

        if (p == NULL)
            return err_set(e, EX_TEMPFAIL, "too many messages in new/ to remember");
        l->at = p;
        l->room = more;
    }
    l->at[l->n++] = *id;
    return 0;
}

static int collect(struct spool *s, struct what *w, size_t nwhat, struct ids *l, struct err *e)
{
    DIR *dir = spool_list(s, SPOOL_NEW, NULL, e);
    const struct dirent *entry;
    int r = dir == NULL ? -1 : 0;

    while (r == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        struct msgid id;

        if (!msgid_valid(entry->d_name))
            continue;
        (void)strlcpy(id.s, entry->d_name, sizeof(id.s));
        if (is_meant(s, &id, w, nwhat))
            r = add_id(l, &id, e);
    }
    if (r == 0 && errno != 0)
        r = err_sys(e, EX_IOERR, "read %s/new", spool_path(s));
    if (dir != NULL)
        (void)closedir(dir);
    return r;
}

/* Keeps in the list what is still there. */
static void look_again(struct spool *s, struct ids *l)
{
    int at = spool_fd(s, SPOOL_NEW, NULL);
    size_t left = 0;

    for (size_t i = 0; i < l->n; i++)
        if (faccessat(at, l->at[i].s, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            l->at[left++] = l->at[i];
    l->n = left;
}

static void wait_filed(struct spool *s, struct ids *l)
{
    const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
    struct mono start = clock_now().mono;

    while (l->n > 0 && clock_now().mono.ms - start.ms < PATIENCE_MS) {
        (void)nanosleep(&pause, NULL);
        look_again(s, l);
    }
}

int unfiled_settle(struct spool *s, struct what *w, size_t nwhat, size_t *left_r, bool *told_r, struct err *e)
{
    struct ids l = { 0 };
    int r = collect(s, w, nwhat, &l, e), told = 0;

    if (r == 0 && l.n > 0)
        r = told = spool_wake(s, "n\n", e);
    if (told == 1)
        wait_filed(s, &l);
    *told_r = told == 1;
    *left_r = l.n;
    free(l.at);
    return r == -1 ? -1 : 0;
}
