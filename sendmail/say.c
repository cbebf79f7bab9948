/* say: writes a line to stderr in one piece, without stdio. Text of callers and
 * servers passes through here, so nothing in it may move a cursor. */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "sendmail/say.h"

enum { LINE_SIZE = 4096 };

void say(const char *fmt, ...)
{
    char line[LINE_SIZE];
    size_t len;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    len = (size_t)n < sizeof(line) - 2 ? (size_t)n : sizeof(line) - 2;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[len] = '\n';
    if (write(STDERR_FILENO, line, len + 1) == -1)
        return;                         /* nobody is left to be told */
}
