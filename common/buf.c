/* buf: growable bytes under a hard maximum, with sticky failure. It never
 * aborts and never holds more than max; what would pass it is not added, not
 * even in part. Used by everything that builds lines, files and records. */
#include <config.h>

#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST = 256 };

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ .max = b->max };
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data != NULL)
        b->data[0] = '\0';
}

bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

static bool buf_fail(struct buf *b)
{
    b->failed = true;
    return false;
}

/* Room to hold NEED bytes and a NUL. Doubles, so that adding is linear in all. */
static bool buf_grow(struct buf *b, size_t need)
{
    size_t room = b->room < BUF_FIRST / 2 ? BUF_FIRST : b->room * 2;
    char *data;

    if (room > b->max && b->max < SIZE_MAX)
        room = b->max + 1;
    if (room <= need)
        room = need + 1;
    data = realloc(b->data, room);
    if (data == NULL)
        return buf_fail(b);
    b->data = data;
    b->room = room;
    return true;
}

static bool buf_reserve(struct buf *b, size_t more)
{
    if (b->failed || more > b->max - b->len || more >= SIZE_MAX - b->len)
        return buf_fail(b);
    return b->len + more < b->room || buf_grow(b, b->len + more);
}

bool buf_add(struct buf *b, const void *bytes, size_t len)
{
    if (!buf_reserve(b, len))
        return false;
    if (len > 0)
        memcpy(b->data + b->len, bytes, len);
    b->len += len;
    b->data[b->len] = '\0';
    return true;
}

bool buf_str(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

bool buf_char(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        b->failed = true;
    if (!buf_reserve(b, n < 0 ? 0 : (size_t)n))
        return false;
    va_start(ap, fmt);
    (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return true;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n == 0)
        return;
    if (n > b->len)
        n = b->len;
    b->len -= n;
    if (b->data != NULL)
        memmove(b->data, b->data + n, b->len + 1);
}
