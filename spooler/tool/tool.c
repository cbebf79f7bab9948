/* tool: how the verbs of `abide` speak. Names and replies in the spool are
 * strangers' text; none of it may move a cursor. Called by every verb. */
#include <config.h>

#include "spooler/tool/tool.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/utf8.h"

enum { LINE_SIZE = 2048 };

/* U+0080 to U+009F are control characters too. */
static bool is_printable(const char *s, size_t n)
{
    if (n == 1)
        return *s >= ' ' && *s != 0x7f;
    return n > 2 || (n == 2 && !((unsigned char)s[0] == 0xc2 && (unsigned char)s[1] < 0xa0));
}

const char *tool_clean(const char *text, char *out, size_t size)
{
    size_t len = strlen(text), at = 0;

    while (len > 0) {
        size_t n = utf8_char(text, len), used = n == 0 ? 1 : n;
        bool good = n > 0 && is_printable(text, n);

        if (at + (good ? n : 1) >= size)
            break;
        if (good)
            memcpy(out + at, text, n);
        else
            out[at] = '?';
        at += good ? n : 1;
        text += used;
        len -= used;
    }
    out[at] = '\0';
    return out;
}

void tool_say(const char *fmt, ...)
{
    char text[LINE_SIZE], line[LINE_SIZE];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "abide: %s\n", tool_clean(text, line, sizeof(line)));
}

int tool_fail(const struct err *e)
{
    tool_say("%s", e->text);
    return e->class;
}

int tool_end(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    tool_say("cannot write to stdout");
    return EX_IOERR;
}
