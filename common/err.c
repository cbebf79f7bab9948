/* err: the one place where reasons are written down. It never allocates,
 * prints or exits: main turns the class into a status, the log prints the
 * sentence. Control bytes become '?', since a reason may quote the outside
 * and ends up on terminals. Called by everything that can fail. */
#include <config.h>

#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void err_clean(char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

int err_set(struct err *e, int class, const char *fmt, ...)
{
    va_list ap;
    int saved = errno;

    if (e != NULL) {
        e->class = class;
        e->sys = 0;
        va_start(ap, fmt);
        (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
        va_end(ap);
        err_clean(e->text);
    }
    errno = saved;
    return -1;
}

int err_sys(struct err *e, int class, const char *fmt, ...)
{
    va_list ap;
    int saved = errno;

    if (e != NULL) {
        const char *words = strerror(saved);
        size_t tail = strlen(words) + 3;    /* ": " and the NUL */
        size_t room = tail < sizeof(e->text) ? sizeof(e->text) - tail + 1 : 1;

        e->class = class;
        e->sys = saved;
        va_start(ap, fmt);
        (void)vsnprintf(e->text, room, fmt, ap);
        va_end(ap);
        (void)strlcat(e->text, ": ", sizeof(e->text));
        (void)strlcat(e->text, words, sizeof(e->text));
        err_clean(e->text);
    }
    errno = saved;
    return -1;
}

int err_at(struct err *e, const char *fmt, ...)
{
    char old[sizeof(e->text)];
    va_list ap;
    int saved = errno;

    if (e != NULL) {
        (void)strlcpy(old, e->text, sizeof(old));
        va_start(ap, fmt);
        (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
        va_end(ap);
        (void)strlcat(e->text, ": ", sizeof(e->text));
        (void)strlcat(e->text, old, sizeof(e->text));
        err_clean(e->text);
    }
    errno = saved;
    return -1;
}
