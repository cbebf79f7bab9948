/* message: reads stdin. Only read() == 0 is its end; whatever else stops it is
 * an error, and the caller of this module leaves nothing behind. Memory is one
 * chunk, the header, and one line of up to the header's maximum. What fields
 * mean is header.c's. Called by submit. */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/rfc5322.h"
#include "sendmail/message.h"
#include "sendmail/text.h"

struct message {
    struct message_options opt;
    struct buf header;
    struct buf line;                    /* as it came; after the header: what the body begins with */
    uint64_t arrived;
    bool eof, too_big;

    /* the body */
    bool line_begins;                   /* behind LF, or at the start */
    bool dot;                           /* a dot at the beginning of a line is held back */
    size_t crs;                         /* CRs held back until it is seen what follows */
    bool dot_seen;                      /* the message ended by it */

    size_t at, len;                     /* what of the chunk was not used yet */
    char chunk[MESSAGE_CHUNK];
};

/* ---- input ------------------------------------------------------------- */

struct message *message_new(const struct message_options *opt)
{
    struct message *m = malloc(sizeof(*m));

    if (m == NULL)
        return NULL;
    memset(m, 0, offsetof(struct message, chunk));
    m->opt = *opt;
    if (m->opt.chunk == 0 || m->opt.chunk > MESSAGE_CHUNK)
        m->opt.chunk = MESSAGE_CHUNK;
    m->header.max = MESSAGE_HEADER_MAX;
    m->line.max = MESSAGE_HEADER_MAX + MESSAGE_CHUNK;
    m->line_begins = true;
    return m;
}

void message_free(struct message *m)
{
    if (m == NULL)
        return;
    buf_fini(&m->header);
    buf_fini(&m->line);
    free(m);
}

/* Waits where the caller made the descriptor non-blocking. */
static ssize_t read_some(int fd, void *buf, size_t len)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    ssize_t n;

    for (;;) {
        n = read(fd, buf, len);
        if (n >= 0 || (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK))
            return n;
        if (errno != EINTR)
            (void)poll(&p, 1, -1);
    }
}

/* The next chunk. 1; 0 at the end; -1. */
static int fill(struct message *m, struct err *e)
{
    ssize_t n = m->eof ? 0 : read_some(m->opt.fd, m->chunk, m->opt.chunk);

    m->at = m->len = 0;
    if (n < 0)
        return errno == EBADF ? err_set(e, EX_IOERR, "stdin is closed, or not open for reading")
                              : err_sys(e, EX_IOERR, "read the message");
    m->eof = n == 0;
    m->len = (size_t)n;
    m->arrived += (uint64_t)n;
    m->too_big = m->opt.max_bytes != 0 && m->arrived > m->opt.max_bytes;
    if (m->too_big)
        return err_set(e, EX_DATAERR, "the message is too big");
    return n > 0;
}

/* ---- the header -------------------------------------------------------- */

/* Takes the next line, its end included, into m->line. 1; 0: there is none; -1.
 * A line too long for a header comes without its end. */
static int take_line(struct message *m, struct err *e)
{
    const char *nl = NULL;

    buf_clear(&m->line);
    while (nl == NULL && m->line.len <= MESSAGE_HEADER_MAX) {
        int got = m->at < m->len ? 1 : fill(m, e);
        size_t n;

        if (got == -1)
            return -1;
        if (got == 0)
            break;
        nl = memchr(m->chunk + m->at, '\n', m->len - m->at);
        n = nl == NULL ? m->len - m->at : (size_t)(nl + 1 - (m->chunk + m->at));
        if (!buf_add(&m->line, m->chunk + m->at, n))
            return err_set(e, EX_TEMPFAIL, "out of memory");
        m->at += n;
    }
    return m->line.len > 0;
}

/* The line as it stands in a header: LF alone ends it, no NUL, no other CR. */
static bool add_header_line(struct buf *header, const struct buf *line)
{
    size_t len = line->len, from = header->len;

    if (len > 0 && line->data[len - 1] == '\n')
        len--;
    while (len > 0 && line->data[len - 1] == '\r')
        len--;
    for (size_t i = 0; i < len; i++)
        if (line->data[i] != '\0')
            (void)buf_char(header, line->data[i]);
    (void)buf_char(header, '\n');
    for (size_t i = from; buf_ok(header) && i < header->len; i++)
        if (header->data[i] == '\r')
            header->data[i] = ' ';
    return buf_ok(header);
}

enum kind { KIND_HEADER, KIND_EMPTY, KIND_MBOX, KIND_DOT, KIND_BODY };

/* What the line is that was just added to the header at FROM. */
static enum kind line_kind(const struct message *m, size_t from)
{
    const char *s = m->header.data + from;
    size_t len = m->header.len - from, pos = 0;
    struct field f;

    if (len == 1)
        return KIND_EMPTY;
    if (m->opt.dot_ends && len == 2 && *s == '.')
        return KIND_DOT;
    if (from > 0 && (*s == ' ' || *s == '\t'))
        return KIND_HEADER;
    if (field_next(s, len, &pos, &f))
        return KIND_HEADER;
    if (from == 0 && (strncmp(s, "From ", 5) == 0 || strncmp(s, ">From ", 6) == 0))
        return KIND_MBOX;
    return KIND_BODY;
}

/* One line: adds it to the header, or finds that the header ended before it. */
static int sort_line(struct message *m, enum kind *kind_r, struct err *e)
{
    size_t from = m->header.len;
    bool fits = from + m->line.len <= MESSAGE_HEADER_MAX, added = add_header_line(&m->header, &m->line);

    *kind_r = m->header.len > from ? line_kind(m, from) : KIND_HEADER;
    if (*kind_r != KIND_BODY && !fits)
        return err_set(e, EX_DATAERR, "the header is longer than %d bytes", MESSAGE_HEADER_MAX);
    if (*kind_r != KIND_BODY && !added)
        return err_set(e, EX_TEMPFAIL, "out of memory");
    if (*kind_r != KIND_HEADER)
        m->header.len = from;
    return 0;
}

int message_read_header(struct message *m, struct err *e)
{
    enum kind kind = KIND_HEADER;
    int got = 1;

    while (kind == KIND_HEADER || kind == KIND_MBOX) {
        got = take_line(m, e);
        if (got <= 0)
            break;
        if (sort_line(m, &kind, e) != 0)
            return -1;
    }
    if (kind != KIND_BODY)
        buf_clear(&m->line);
    m->dot_seen = kind == KIND_DOT;
    return got < 0 ? -1 : 0;
}

const char *message_header(const struct message *m, size_t *len_r)
{
    *len_r = m->header.len;
    return m->header.len == 0 ? "" : m->header.data;
}

/* ---- the body ---------------------------------------------------------- */

/* What was held back is text after all. */
static int release(struct message *m, struct text *out, struct err *e)
{
    int r = m->dot ? text_write(out, ".", 1, e) : 0;

    for (m->dot = false; m->crs > 0 && r == 0; m->crs--)
        r = text_write(out, "\n", 1, e);
    return r;
}

/* Looks at the byte behind a dot or CR that is held back. True: it was used. */
static bool settle(struct message *m, char c)
{
    if (c == '\r') {
        m->crs++;
        return true;
    }
    if (c == '\n') {
        m->dot_seen = m->dot;
        m->crs = 0;                     /* they were part of the line's end */
    }
    return m->dot_seen;
}

/* How much from P on can be copied as it is: up to a CR, or to a line that
 * begins with a dot if that matters. CR is the next one, or END. */
static size_t plain_length(const struct message *m, const char *p, const char *cr)
{
    const char *dot = m->opt.dot_ends ? memmem(p, (size_t)(cr - p), "\n.", 2) : NULL;

    return (size_t)((dot == NULL ? cr : dot + 1) - p);
}

static int copy_plain(struct message *m, const char *p, size_t len, struct text *out, struct err *e)
{
    m->line_begins = p[len - 1] == '\n';
    return text_write(out, p, len, e);
}

static const char *find_cr(const char *p, const char *end)
{
    const char *cr = memchr(p, '\r', (size_t)(end - p));

    return cr == NULL ? end : cr;
}

static int feed(struct message *m, const char *p, size_t len, struct text *out, struct err *e)
{
    const char *end = p + len, *cr = NULL;
    int r = 0;

    while (p < end && r == 0 && !m->dot_seen) {
        if (cr == NULL || cr < p)
            cr = find_cr(p, end);
        if (m->dot || m->crs > 0) {
            if (settle(m, *p))
                p++;
            else
                r = release(m, out, e);
        } else if (m->opt.dot_ends && m->line_begins && *p == '.') {
            m->dot = true;
            m->line_begins = false;
            p++;
        } else if (p == cr) {
            m->crs = 1;
            m->line_begins = false;
            p++;
        } else {
            size_t n = plain_length(m, p, cr);

            r = copy_plain(m, p, n, out, e);
            p += n;
        }
    }
    return r;
}

/* A dot as the last line, its end missing, is that end. */
static int finish(struct message *m, struct text *out, struct err *e)
{
    if (m->dot && m->crs == 0)
        m->dot_seen = true;
    if (!m->dot_seen && release(m, out, e) != 0)
        return -1;
    return out->line > 0 ? text_write(out, "\n", 1, e) : 0;
}

int message_copy_body(struct message *m, struct text *out, struct err *e)
{
    int got = 1;

    if (feed(m, m->line.data, m->line.len, out, e) != 0)
        return -1;
    buf_fini(&m->line);
    while (!m->dot_seen && got == 1) {
        if (feed(m, m->chunk + m->at, m->len - m->at, out, e) != 0)
            return -1;
        if (!m->dot_seen)
            got = fill(m, e);
    }
    return got < 0 ? -1 : finish(m, out, e);
}

bool message_too_big(const struct message *m)
{
    return m->too_big;
}

bool message_dot_seen(const struct message *m)
{
    return m->dot_seen;
}

uint64_t message_arrived(const struct message *m)
{
    return m->arrived;
}

uint64_t message_drain(int fd, int idle_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char chunk[16 * 1024];
    uint64_t total = 0;
    ssize_t n = 1;

    if (isatty(fd))
        return 0;
    while (n > 0 && poll(&p, 1, idle_ms) == 1) {
        n = read_some(fd, chunk, sizeof(chunk));
        total += n > 0 ? (uint64_t)n : 0;
    }
    return total;
}
