/* mime: the second pass of a conversion: plays the plan, range by range, into
 * the caller's hands. Owns a window on the message and a little stage; never
 * holds the message. Called by the courier's body reader. */
#include <config.h>

#include "common/mime.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mime_code.h"
#include "common/mime_plan.h"

enum { CHUNK = 4096, STAGE = 4 * CHUNK + 64 };

struct mime {
    struct source src;
    struct plan plan;
    size_t current;                     /* segment */
    uint64_t at;                        /* in it */
    bool dropping;                      /* the header field we are in goes */
    char last;                          /* byte given of a header */
    unsigned column;                    /* of encoded output */
    size_t stage_at, stage_len;
    char stage[STAGE];
};

const char *source_at(struct source *s, uint64_t at, size_t want, size_t *got_r, struct err *e)
{
    uint64_t rest = s->options.bytes - at;
    size_t held = at >= s->at && at < s->at + s->len ? (size_t)(s->at + s->len - at) : 0;

    if (held < want && held < rest) {
        size_t n = rest < SOURCE_SIZE ? (size_t)rest : SOURCE_SIZE;
        s->len = 0;
        if (s->options.read(s->options.arg, s->data, n, at, e) == -1)
            return NULL;
        s->at = at;
        s->len = held = n;
    }
    *got_r = held;
    return s->data + (at - s->at);
}

struct mime *mime_new(const struct mime_options *o, struct err *e)
{
    struct mime *m = calloc(1, sizeof(*m));

    if (m == NULL) {
        err_sys(e, EX_OSERR, "conversion");
        return NULL;
    }
    m->src.options = *o;
    if (plan_make(&m->src, &m->plan, e) == -1) {
        mime_free(m);
        return NULL;
    }
    if (m->plan.count > 0)
        m->at = m->plan.segment[0].from;
    return m;
}

void mime_free(struct mime *m)
{
    if (m == NULL)
        return;
    plan_fini(&m->plan);
    free(m);
}

static void stage(struct mime *m, const char *bytes, size_t len)
{
    memcpy(m->stage + m->stage_len, bytes, len);
    m->stage_len += len;
    if (len > 0)
        m->last = bytes[len - 1];
}

/* ---- headers ----------------------------------------------------------- */

static const struct {
    unsigned header;
    const char *line;
} additions[] = {
    { HEADER_ADD_VERSION, "MIME-Version: 1.0\n" },
    { HEADER_ADD_UTF8, "Content-Type: text/plain; charset=utf-8\n" },
    { HEADER_ADD_UNKNOWN, "Content-Type: text/plain; charset=unknown-8bit\n" },
    { HEADER_ADD_ASCII, "Content-Type: text/plain; charset=us-ascii\n" },
    { HEADER_ADD_QP, "Content-Transfer-Encoding: quoted-printable\n" },
    { HEADER_ADD_BASE64, "Content-Transfer-Encoding: base64\n" },
    { HEADER_END, "\n" },
};

static void header_finish(struct mime *m, const struct segment *g)
{
    if (g->to > g->from && m->last != '\n')
        stage(m, "\n", 1);              /* the message ended in its header, without a line end */
    for (size_t i = 0; i < sizeof(additions) / sizeof(additions[0]); i++)
        if ((g->header & additions[i].header) != 0)
            stage(m, additions[i].line, strlen(additions[i].line));
    m->dropping = false;
    m->last = '\n';
}

static bool drops_encoding(const struct mime *m, const struct segment *g)
{
    return (g->header & HEADER_DROP_ENCODING) != 0 || ((g->header & HEADER_RELABEL) != 0 && m->plan.changed);
}

/* The length of the line at P, line end included, or of the piece of it up to where it is folded. */
static size_t header_piece(const char *p, size_t n, bool *fold_r)
{
    const char *lf = memchr(p, '\n', n <= MIME_LINE_MAX ? n : MIME_LINE_MAX + 1);

    *fold_r = lf == NULL && n > MIME_LINE_MAX;
    if (*fold_r)
        return plan_fold_point(p, n);
    return lf != NULL ? (size_t)(lf - p) + 1 : n;
}

static int header_step(struct mime *m, const struct segment *g, struct err *e)
{
    size_t got, len;
    const char *p = source_at(&m->src, m->at, MIME_LINE_MAX + 2, &got, e);
    bool fold;

    if (p == NULL)
        return -1;
    if (got > g->to - m->at)
        got = (size_t)(g->to - m->at);
    len = header_piece(p, got, &fold);
    if (len == 0)
        return err_set(e, EX_IOERR, "the message changed while it was read");
    if (p[0] != ' ' && p[0] != '\t')
        m->dropping = drops_encoding(m, g) && plan_field_is(p, got, "Content-Transfer-Encoding");
    if (!m->dropping) {
        stage(m, p, len);
        if (fold)
            stage(m, "\n", 1);
    }
    m->at += len;
    if (m->at == g->to)
        header_finish(m, g);
    return 0;
}

/* ---- bodies ------------------------------------------------------------ */

static mime_coder *const coders[] = {
    [SEGMENT_QP] = mime_code_qp, [SEGMENT_QP_MEND] = mime_code_qp_mend,
    [SEGMENT_BASE64] = mime_code_base64, [SEGMENT_BASE64_WRAP] = mime_code_base64_wrap,
};

static int code_step(struct mime *m, const struct segment *g, struct err *e)
{
    size_t got, used = 0;
    const char *p = source_at(&m->src, m->at, CHUNK, &got, e);

    if (p == NULL)
        return -1;
    if (got > CHUNK)
        got = CHUNK;
    if (got > g->to - m->at)
        got = (size_t)(g->to - m->at);
    m->stage_len = coders[g->kind](&m->column, p, got, m->at + got == g->to, m->stage, &used);
    m->at += used;
    return 0;
}

static ssize_t copy(struct mime *m, const struct segment *g, char *out, size_t room, struct err *e)
{
    size_t got;
    const char *p = source_at(&m->src, m->at, 1, &got, e);

    if (p == NULL)
        return -1;
    if (got > g->to - m->at)
        got = (size_t)(g->to - m->at);
    if (got > room)
        got = room;
    memcpy(out, p, got);
    m->at += got;
    return (ssize_t)got;
}

static ssize_t take_stage(struct mime *m, char *out, size_t room)
{
    size_t n = m->stage_len - m->stage_at;

    if (n > room)
        n = room;
    memcpy(out, m->stage + m->stage_at, n);
    m->stage_at += n;
    if (m->stage_at == m->stage_len)
        m->stage_at = m->stage_len = 0;
    return (ssize_t)n;
}

static void next_segment(struct mime *m)
{
    m->current++;
    m->column = 0;
    m->last = '\n';
    if (m->current < m->plan.count)
        m->at = m->plan.segment[m->current].from;
}

ssize_t mime_pull(struct mime *m, char *out, size_t room, struct err *e)
{
    while (m->stage_len == 0 && m->current < m->plan.count) {
        const struct segment *g = &m->plan.segment[m->current];
        int result = 0;

        if (g->from == g->to && g->kind == SEGMENT_HEADER)
            header_finish(m, g);        /* a part without any header field */
        else if (m->at < g->to && g->kind == SEGMENT_COPY)
            return copy(m, g, out, room, e);
        else if (m->at < g->to)
            result = g->kind == SEGMENT_HEADER ? header_step(m, g, e) : code_step(m, g, e);
        if (result == -1)
            return -1;
        if (m->at == g->to)
            next_segment(m);
    }
    return take_stage(m, out, room);
}
