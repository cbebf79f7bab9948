/* body: turns a spool file's message into the DATA stream of SMTP. Owns the
 * message's descriptor. It reads by pread (the descriptor shares its offset
 * with the keeper's) and must never give the final dot for a message it could
 * not read to its end. Called by the session. */
#include <config.h>

#include "spooler/courier/body.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/mime.h"

static const char final_dot[] = "\r\n.\r\n";

void body_init(struct body *b, int fd, uint64_t at, uint64_t bytes)
{
    *b = (struct body){ .fd = fd, .at = at, .left = bytes, .line_start = true };
}

void body_fini(struct body *b)
{
    mime_free(b->mime);
    b->mime = NULL;
    if (b->fd != -1)
        close(b->fd);
    b->fd = -1;
}

/* Reads exactly what is asked for. */
static int read_all(int fd, char *out, size_t len, uint64_t at, struct err *e)
{
    while (len > 0) {
        ssize_t n = pread(fd, out, len, (off_t)at);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return err_sys(e, EX_IOERR, "read the message");
        if (n == 0)
            return err_set(e, EX_IOERR, "the message is shorter than its envelope says");
        out += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

static int read_for_mime(void *arg, char *out, size_t len, uint64_t at, struct err *e)
{
    const struct body *b = arg;

    return read_all(b->fd, out, len, b->at + at, e);
}

int body_convert(struct body *b, bool seven_bit, struct err *e)
{
    const struct mime_options options = { .read = read_for_mime, .arg = b, .bytes = b->left, .seven_bit = seven_bit };

    b->mime = mime_new(&options, e);
    return b->mime == NULL ? -1 : 0;
}

/* Up to LEN bytes of the message; 0: its end. */
static ssize_t source(struct body *b, char *out, size_t len, struct err *e)
{
    if (b->mime != NULL)
        return mime_pull(b->mime, out, len, e);
    if (len > b->left)
        len = (size_t)b->left;
    if (read_all(b->fd, out, len, b->at, e) == -1)
        return -1;
    b->at += len;
    b->left -= len;
    return (ssize_t)len;
}

/* From IN to OUT, which may lie in one buffer, OUT at least LEN before IN:
 * no byte becomes more than two, so writing never overtakes reading. */
static size_t stuff(char *out, const char *in, size_t len, bool *line_start)
{
    char *o = out;

    while (len > 0) {
        const char *lf = memchr(in, '\n', len);
        size_t n = lf == NULL ? len : (size_t)(lf - in);

        if (*line_start && *in == '.')
            *o++ = '.';
        memmove(o, in, n);
        o += n;
        *line_start = lf != NULL;
        if (lf == NULL)
            break;
        *o++ = '\r';
        *o++ = '\n';
        in += n + 1;
        len -= n + 1;
    }
    return (size_t)(o - out);
}

static size_t finish(struct body *b, char *out)
{
    const char *dot = b->line_start ? final_dot + 2 : final_dot;
    size_t n = strlen(dot);

    memcpy(out, dot, n);
    b->done = true;
    return n;
}

ssize_t body_fill(struct body *b, char *out, size_t room, struct err *e)
{
    size_t half = (room - (sizeof(final_dot) - 1)) / 2;
    char *in = out + (room - half);
    ssize_t n = source(b, in, half, e);
    size_t made;

    if (n == -1)
        return -1;
    made = stuff(out, in, (size_t)n, &b->line_start);
    if (n == 0 || (b->mime == NULL && b->left == 0))
        made += finish(b, out + made);
    return (ssize_t)made;
}
