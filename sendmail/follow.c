/* follow: reads the trail of one message as it grows. It holds the message
 * open and asks for its links: when none is left, all is settled, however many
 * directories it went through. It only looks; the message is the spooler's
 * since the commit. Called by submit. */
#include <config.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/envelope.h"
#include "common/err.h"
#include "common/spool.h"
#include "common/trail.h"
#include "sendmail/follow.h"
#include "sendmail/interrupt.h"
#include "sendmail/say.h"

enum { LOOK_FIRST_MS = 10, LOOK_LAST_MS = 500, PATIENCE_MS = 10 * 60 * 1000, TRAIL_MAX = 4 * 1024 * 1024 };

struct follow {
    struct spool *spool;
    struct msgid id;
    const struct envelope *env;
    int message, trail;                 /* descriptors; trail: -1 until there is one */
    struct buf seen;                    /* of the trail */
    size_t shown;                       /* bytes of it */
};

struct follow *follow_begin(struct spool *s, const struct msgid *id, const struct envelope *env)
{
    int top = spool_fd(s, SPOOL_TOP, NULL), new = spool_fd(s, SPOOL_NEW, NULL);
    struct follow *f;

    if (top == -1 || new == -1 || faccessat(top, "trail", R_OK | X_OK, AT_EACCESS) != 0)
        return NULL;
    f = calloc(1, sizeof(*f));
    if (f == NULL)
        return NULL;
    f->spool = s;
    f->id = *id;
    f->env = env;
    f->seen.max = TRAIL_MAX;
    f->trail = -1;
    f->message = openat(new, id->s, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return f;
}

static void follow_free(struct follow *f)
{
    if (f->message != -1)
        (void)close(f->message);
    if (f->trail != -1)
        (void)close(f->trail);
    buf_fini(&f->seen);
    free(f);
}

/* ---- the trail --------------------------------------------------------- */

static void open_trail(struct follow *f)
{
    int dir = spool_fd(f->spool, SPOOL_TRAIL, NULL);
    char name[TRAIL_NAME_SIZE];

    spool_trail_name(&f->id, f->env->uid, name);
    if (dir != -1)
        f->trail = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Held open once it is there, so that its last lines are read although the
 * spooler has removed it. */
static void read_trail(struct follow *f)
{
    char chunk[4096];
    ssize_t n = 1;

    if (f->trail == -1)
        open_trail(f);
    while (f->trail != -1 && n > 0) {
        n = pread(f->trail, chunk, sizeof(chunk), (off_t)f->seen.len);
        if (n > 0 && !buf_add(&f->seen, chunk, (size_t)n))
            n = 0;
    }
}

/* Of a deferral, "CAUSE key=... host=HOST REPLY": the reply. */
static const char *skip_keys(const char *rest)
{
    const char *host = strstr(rest, " host=");

    if (host == NULL)
        return rest;
    host += 1 + strcspn(host + 1, " ");
    return host + (*host == ' ');
}

/* "TIME VERB N REST": the dialogue as it is, a recipient by its address. */
static void show_line(const struct follow *f, const char *line)
{
    const char *verb = line + strcspn(line, " "), *rest;
    size_t n;
    char *end;

    verb += *verb == ' ';
    n = strtoul(verb + strcspn(verb, " "), &end, 10);
    rest = end + (*end == ' ');
    if (strncmp(verb, "said ", 5) == 0)
        say("%s", rest);
    else if (n < 1 || n > f->env->nrcpt)
        say("%s", verb);
    else if (strncmp(verb, "deferred ", 9) == 0)
        say("deferred <%s> %.*s: %s", f->env->rcpt[n - 1], (int)strcspn(rest, " "), rest, skip_keys(rest));
    else
        say("%.*s <%s> %s", (int)strcspn(verb, " "), verb, f->env->rcpt[n - 1], rest);
}

static void show(struct follow *f)
{
    char *line, *nl;

    read_trail(f);
    while (f->shown < f->seen.len) {
        line = f->seen.data + f->shown;
        nl = memchr(line, '\n', f->seen.len - f->shown);
        if (nl == NULL)
            return;
        *nl = '\0';
        show_line(f, line);
        *nl = '\n';
        f->shown = (size_t)(nl + 1 - f->seen.data);
    }
}

/* ---- until when -------------------------------------------------------- */

static bool is_gone(const struct follow *f)
{
    struct stat st;

    return f->message != -1 && fstat(f->message, &st) == 0 && st.st_nlink == 0;
}

/* Every recipient got a word of its own. */
static bool all_answered(const struct follow *f)
{
    struct trail t;
    bool all = true;

    if (f->shown == 0 || trail_parse(f->seen.data, f->shown, f->env->nrcpt, &t, NULL) != 0)
        return false;
    for (size_t i = 0; i < t.nrcpt && all; i++)
        all = t.rcpt[i].fate != FATE_OWED || t.rcpt[i].n > 0;
    trail_fini(&t);
    return all;
}

static const char *watch(struct follow *f)
{
    struct mono start = clock_now().mono;
    int wait_ms = LOOK_FIRST_MS;

    while (clock_now().mono.ms - start.ms < PATIENCE_MS) {
        bool gone = is_gone(f);         /* before the last look, so that nothing is missed */

        show(f);
        if (gone)
            return "settled";
        if (all_answered(f))
            return "waits in the queue";
        if (interrupt_sleep(wait_ms))
            break;
        wait_ms = wait_ms * 2 < LOOK_LAST_MS ? wait_ms * 2 : LOOK_LAST_MS;
    }
    return "is in the queue";
}

void follow_end(struct follow *f, const struct msgid *id, bool running)
{
    if (f == NULL)
        say("%s is queued; its delivery can only be shown to root and the owner of the spool", id->s);
    else if (!running)
        say("%s is queued; no spooler is delivering it now", id->s);
    else
        say("%s %s", id->s, watch(f));
    if (f != NULL)
        follow_free(f);
}
