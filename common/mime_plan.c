/* mime_plan: the first pass of a conversion: reads the message by lines,
 * follows its MIME structure (RFC 2046 5.1), and decides for each range of
 * bytes what becomes of it. It changes nothing inside a signature and refuses
 * what has no correct conversion. Called by mime.c. */
#include <config.h>

#include "common/mime_plan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/mime_type.h"
#include "common/utf8.h"

enum {
    SEGMENTS_MAX = 8 * MIME_PARTS_MAX,
    FIELD_MAX = 8192,                   /* bytes of a Content-Type that are understood */
    KEPT_MAX = 4096                     /* of a line that is longer than the window */
};

struct line {
    uint64_t start, end, next;          /* end: of its content; next: behind the LF */
    const char *text;                   /* valid until the next read */
    size_t len;                         /* of text; less than end - start only in a huge line */
    bool eight_bit, nul;
};

enum content { CONTENT_TEXT, CONTENT_MULTIPART, CONTENT_MESSAGE, CONTENT_OTHER, CONTENT_FIXED };
enum encoding { ENCODING_NONE, ENCODING_8BIT, ENCODING_QP, ENCODING_BASE64, ENCODING_UNKNOWN };
enum state { IN_HEADER, IN_LEAF, IN_FILLER };

/* The entity whose header was read last. */
struct entity {
    uint64_t from, header_end, body;
    bool message;                       /* a whole message, not a part */
    bool version, typed, fold, is_signed, digest;
    enum content content;
    enum encoding encoding;
    struct mime_type type;
    const char *forbidden;              /* why its body can not be encoded, or NULL */
    bool eight_bit, nul, long_line, not_utf8;   /* its body, or the filler around parts */
};

/* An open multipart. */
struct level {
    char boundary[MIME_BOUNDARY_MAX + 1];
    size_t len;
    bool sealed, sealed_outside;        /* what is in it, what is around it */
    bool digest;
    unsigned nested;
};

struct scan {
    struct source *src;
    struct plan *plan;
    struct err *e;
    enum state state;
    struct entity now;
    struct level level[MIME_DEPTH_MAX];
    unsigned depth;                     /* open multiparts */
    unsigned nested;                    /* multiparts and messages around us */
    unsigned parts;
    uint64_t mark;                      /* all before is planned */
    bool sealed;                        /* inside a signature */
    struct buf *field;                  /* being collected: Content-Type or Content-Transfer-Encoding */
    struct buf type, encoding;
    char kept[KEPT_MAX];
};

static int refuse(struct scan *s, const char *why)
{
    return err_set(s->e, EX_DATAERR, "the message cannot be converted: %s", why);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* ---- the plan ---------------------------------------------------------- */

static int plan_add(struct scan *s, enum segment_kind kind, unsigned header, uint64_t from, uint64_t to)
{
    struct plan *p = s->plan;
    struct segment *last = p->count > 0 ? &p->segment[p->count - 1] : NULL;

    if (from == to && header == 0)
        return 0;
    if (kind == SEGMENT_COPY && last != NULL && last->kind == SEGMENT_COPY && last->to == from) {
        last->to = to;
        return 0;
    }
    if (p->count == SEGMENTS_MAX)
        return refuse(s, "it has too many parts");
    if (p->count == p->room) {
        size_t room = p->room == 0 ? 16 : p->room * 2;
        struct segment *more = realloc(p->segment, room * sizeof(*more));
        if (more == NULL)
            return err_sys(s->e, EX_OSERR, "conversion");
        p->segment = more;
        p->room = room;
    }
    p->segment[p->count++] = (struct segment){ kind, header, from, to };
    return 0;
}

static int plan_copy(struct scan *s, uint64_t to)
{
    uint64_t from = s->mark;

    s->mark = to;
    return plan_add(s, SEGMENT_COPY, 0, from, to);
}

/* From here on the message is not what it was: must that not be? */
static int change(struct scan *s)
{
    if (s->sealed)
        return refuse(s, "it is signed");
    s->plan->changed = true;
    return 0;
}

static int plan_header(struct scan *s, uint64_t to, unsigned header)
{
    uint64_t from = s->mark;

    if (s->sealed)
        header &= ~(unsigned)HEADER_RELABEL;
    if (header == 0 && !s->now.fold)
        return plan_copy(s, to);
    if ((header & ~(unsigned)HEADER_RELABEL) != 0 || s->now.fold)
        if (change(s) == -1)
            return -1;
    s->mark = to;
    return plan_add(s, SEGMENT_HEADER, header, from, to);
}

void plan_fini(struct plan *p)
{
    free(p->segment);
    *p = (struct plan){ 0 };
}

/* ---- an entity's end --------------------------------------------------- */

static unsigned header_for(const struct entity *n, unsigned encoding)
{
    unsigned header = HEADER_DROP_ENCODING | HEADER_END | encoding;

    if (n->message && !n->version)
        header |= HEADER_ADD_VERSION;
    if (!n->typed && !n->eight_bit)
        header |= HEADER_ADD_ASCII;
    else if (!n->typed)
        header |= n->not_utf8 ? HEADER_ADD_UNKNOWN : HEADER_ADD_UTF8;
    return header;
}

static bool leaf_needs(const struct scan *s)
{
    const struct entity *n = &s->now;
    bool encoded = n->encoding == ENCODING_QP || n->encoding == ENCODING_BASE64;

    return n->long_line || (n->eight_bit && s->src->options.seven_bit) || (n->nul && !encoded);
}

/* Was encoded already, though not well. */
static int leaf_mend(struct scan *s, uint64_t end)
{
    bool qp = s->now.encoding == ENCODING_QP;

    if (!qp && s->now.eight_bit && s->src->options.seven_bit)
        return refuse(s, "there are 8-bit characters in a base64 part");
    if (plan_header(s, s->now.header_end, 0) == -1 || plan_copy(s, s->now.body) == -1 || change(s) == -1)
        return -1;
    s->mark = end;
    return plan_add(s, qp ? SEGMENT_QP_MEND : SEGMENT_BASE64_WRAP, 0, s->now.body, end);
}

static int leaf_encode(struct scan *s, uint64_t end)
{
    bool text = s->now.content == CONTENT_TEXT;

    if (plan_header(s, s->now.header_end, header_for(&s->now, text ? HEADER_ADD_QP : HEADER_ADD_BASE64)) == -1)
        return -1;
    s->mark = end;
    return plan_add(s, text ? SEGMENT_QP : SEGMENT_BASE64, 0, s->now.body, end);
}

static int leaf_close(struct scan *s, uint64_t end)
{
    if (!leaf_needs(s)) {
        if (plan_header(s, s->now.header_end, 0) == -1)
            return -1;
        return plan_copy(s, end);
    }
    if (s->sealed)
        return refuse(s, "it is signed");
    if (s->now.forbidden != NULL)
        return refuse(s, s->now.forbidden);
    if (s->now.encoding == ENCODING_QP || s->now.encoding == ENCODING_BASE64)
        return leaf_mend(s, end);
    return leaf_encode(s, end);
}

/* What stands before, between and behind the parts is for nobody: it may go (RFC 2046 5.1.1). */
static int filler_close(struct scan *s, uint64_t end)
{
    const struct entity *n = &s->now;

    if (!n->long_line && !n->nul && !(n->eight_bit && s->src->options.seven_bit))
        return plan_copy(s, end);
    s->mark = end;
    return change(s);
}

/* The entity ends before the line end at END that belongs to a boundary; its header may at most reach LINE. */
static int entity_close(struct scan *s, uint64_t end, uint64_t line)
{
    uint64_t body = s->state == IN_LEAF ? s->now.body : s->mark;

    if (s->state == IN_HEADER)
        return plan_header(s, line, 0);
    if (end < body)
        end = body;                     /* the header's empty line was the boundary's line end */
    return s->state == IN_LEAF ? leaf_close(s, end) : filler_close(s, end);
}

/* ---- headers ----------------------------------------------------------- */

static void entity_begin(struct scan *s, uint64_t from, bool message)
{
    s->now = (struct entity){ .from = from, .message = message, .digest = !message && s->depth > 0 && s->level[s->depth - 1].digest };
    s->state = IN_HEADER;
    s->field = NULL;
    buf_clear(&s->type);
    buf_clear(&s->encoding);
}

static enum encoding encoding_of(const char *value)
{
    static const struct { const char *name; enum encoding encoding; } names[] = {
        { "", ENCODING_NONE }, { "7bit", ENCODING_NONE }, { "8bit", ENCODING_8BIT }, { "binary", ENCODING_8BIT },
        { "quoted-printable", ENCODING_QP }, { "base64", ENCODING_BASE64 },
    };
    size_t n;

    value += strspn(value, " \t\n");
    n = strcspn(value, " \t\n;(");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i].name) == n && strncasecmp(value, names[i].name, n) == 0)
            return names[i].encoding;
    return ENCODING_UNKNOWN;
}

static enum content content_of(const struct scan *s, const struct mime_type *t)
{
    if (!s->now.typed)
        return s->now.digest ? CONTENT_MESSAGE : CONTENT_TEXT;
    if (t->minor[0] == '\0')            /* RFC 2045 5.2: what cannot be read is plain text */
        return CONTENT_TEXT;
    if (strcmp(t->major, "multipart") == 0)
        return CONTENT_MULTIPART;
    if (strcmp(t->major, "message") == 0)
        return strcmp(t->minor, "rfc822") == 0 || strcmp(t->minor, "global") == 0 || strcmp(t->minor, "news") == 0 ?
            CONTENT_MESSAGE : CONTENT_FIXED;
    return strcmp(t->major, "text") == 0 ? CONTENT_TEXT : CONTENT_OTHER;
}

/* Why the body may not be encoded as it stands, or NULL. RFC 2045 6.4. */
static const char *forbidden(const struct scan *s)
{
    const struct entity *n = &s->now;
    bool encoded = n->encoding == ENCODING_QP || n->encoding == ENCODING_BASE64;

    if (n->encoding == ENCODING_UNKNOWN)
        return "a part has an unknown encoding";
    if (!buf_ok(&s->type) || !buf_ok(&s->encoding))
        return "a Content- field is too long";
    if (encoded || n->content == CONTENT_TEXT || n->content == CONTENT_OTHER)
        return NULL;
    if (s->nested >= MIME_DEPTH_MAX)
        return "its parts are nested too deep";
    if (n->content == CONTENT_MULTIPART && n->type.boundary[0] == '\0')
        return "a multipart has no boundary";
    if (n->content == CONTENT_FIXED)
        return "a message/ part may not be encoded";
    return NULL;
}

static int multipart_open(struct scan *s)
{
    struct level *l = &s->level[s->depth++];

    *l = (struct level){
        .len = strlen(s->now.type.boundary), .sealed = s->sealed || s->now.is_signed, .sealed_outside = s->sealed,
        .digest = s->now.type.digest, .nested = ++s->nested,
    };
    s->sealed = l->sealed;
    memcpy(l->boundary, s->now.type.boundary, l->len + 1);
    s->now = (struct entity){ .from = s->mark };
    s->state = IN_FILLER;
    return 0;
}

static int header_close(struct scan *s, uint64_t end, uint64_t body)
{
    struct entity *n = &s->now;
    bool composite;

    mime_type_parse(s->type.data != NULL ? s->type.data : "", &n->type);
    n->encoding = encoding_of(s->encoding.data != NULL ? s->encoding.data : "");
    n->content = content_of(s, &n->type);
    n->is_signed = n->content == CONTENT_MULTIPART && strcmp(n->type.minor, "signed") == 0;
    n->forbidden = forbidden(s);
    n->header_end = end;
    n->body = body;
    composite = n->content == CONTENT_MULTIPART || n->content == CONTENT_MESSAGE;
    if (!composite || n->forbidden != NULL || n->encoding == ENCODING_QP || n->encoding == ENCODING_BASE64) {
        s->state = IN_LEAF;
        return 0;
    }
    if (plan_header(s, end, n->encoding == ENCODING_8BIT && s->src->options.seven_bit ? HEADER_RELABEL : 0) == -1 ||
        plan_copy(s, body) == -1)
        return -1;
    if (n->content == CONTENT_MULTIPART)
        return multipart_open(s);
    s->nested++;
    entity_begin(s, body, true);
    return 0;
}

bool plan_field_is(const char *line, size_t n, const char *name)
{
    size_t len = strlen(name), i = len;

    if (n <= len || strncasecmp(line, name, len) != 0)
        return false;
    while (i < n && is_blank(line[i]))
        i++;
    return i < n && line[i] == ':';
}

static bool is_field(const char *line, size_t n)
{
    size_t i = 0;

    while (i < n && line[i] > ' ' && line[i] < 0x7f && line[i] != ':')
        i++;
    if (i == 0)
        return false;
    while (i < n && is_blank(line[i]))
        i++;
    return i < n && line[i] == ':';
}

static void field_begin(struct scan *s, const struct line *l)
{
    struct entity *n = &s->now;

    s->field = NULL;
    if (plan_field_is(l->text, l->len, "Content-Type") && !n->typed) {
        n->typed = true;
        s->field = &s->type;
    } else if (plan_field_is(l->text, l->len, "Content-Transfer-Encoding")) {
        s->field = &s->encoding;
        buf_clear(s->field);
    } else if (plan_field_is(l->text, l->len, "MIME-Version")) {
        n->version = true;
    } else if (plan_field_is(l->text, l->len, "DKIM-Signature") && n->from == 0) {
        s->sealed = true;               /* RFC 6376: the body's hash would no longer hold */
    }
    if (s->field != NULL) {
        const char *colon = memchr(l->text, ':', l->len);
        size_t skip = (size_t)(colon - l->text) + 1;
        buf_add(s->field, colon + 1, l->len - skip);
    }
}

size_t plan_fold_point(const char *line, size_t n)
{
    size_t first = 0;

    while (first < n && is_blank(line[first]))
        first++;
    /* Neither piece may be all blanks: some would take it for the end of the header. */
    for (size_t i = n - 2 < MIME_LINE_MAX ? n - 2 : MIME_LINE_MAX; i > first; i--)
        if (is_blank(line[i]) && !is_blank(line[i + 1]) && line[i + 1] != '\n')
            return i;
    return 0;
}

static int fold_check(struct scan *s, const struct line *l)
{
    uint64_t at = l->start;

    if (l->end - l->start <= MIME_LINE_MAX)
        return 0;
    s->now.fold = true;
    while (l->end - at > MIME_LINE_MAX) {
        size_t got, point;
        const char *p = source_at(s->src, at, MIME_LINE_MAX + 2, &got, s->e);
        if (p == NULL)
            return -1;
        point = plan_fold_point(p, got < l->end - at ? got : (size_t)(l->end - at));
        if (point == 0)
            return refuse(s, "a header line is too long");
        at += point;
    }
    return 0;
}

static int leaf_line(struct scan *s, const struct line *l);

static int header_line(struct scan *s, const struct line *l)
{
    bool first = l->start == s->now.from;

    if (l->start == l->end)
        return header_close(s, l->start, l->next);
    if (!first && is_blank(l->text[0])) {
        if (s->field != NULL)
            buf_add(s->field, l->text, l->len);
    } else if (is_field(l->text, l->len)) {
        field_begin(s, l);
    } else if (first && s->now.message && l->len > 5 && memcmp(l->text, "From ", 5) == 0) {
        s->field = NULL;                /* a mailbox's separator, forwarded with its message */
    } else {
        if (header_close(s, l->start, l->start) == -1)
            return -1;
        return s->state == IN_HEADER ? header_line(s, l) : leaf_line(s, l);
    }
    return fold_check(s, l);
}

/* ---- bodies ------------------------------------------------------------ */

static int leaf_line(struct scan *s, const struct line *l)
{
    struct entity *n = &s->now;

    n->long_line |= l->end - l->start > MIME_LINE_MAX;
    n->nul |= l->nul;
    if (l->eight_bit) {
        n->eight_bit = true;
        if (!n->typed && !n->not_utf8)
            n->not_utf8 = l->len < l->end - l->start || !utf8_valid(l->text, l->len);
    }
    return 0;
}

/* The open multipart that this line is a boundary of, counted from 1; 0: none. */
static unsigned boundary_of(const struct scan *s, const struct line *l, bool *closing_r)
{
    if (l->len < 3 || l->text[0] != '-' || l->text[1] != '-')
        return 0;
    for (unsigned k = s->depth; k > 0; k--) {
        const struct level *v = &s->level[k - 1];
        size_t at = 2 + v->len;
        if (l->len < at || memcmp(l->text + 2, v->boundary, v->len) != 0)
            continue;
        *closing_r = l->len >= at + 2 && memcmp(l->text + at, "--", 2) == 0;
        if (*closing_r)
            at += 2;
        while (at < l->len && is_blank(l->text[at]))
            at++;
        if (l->end - l->start == at)
            return k;
    }
    return 0;
}

static int boundary_line(struct scan *s, const struct line *l, unsigned level, bool closing)
{
    const struct level *v = &s->level[level - 1];

    if (entity_close(s, l->start - 1, l->start) == -1 || plan_copy(s, l->next) == -1)
        return -1;
    s->nested = v->nested;
    s->sealed = v->sealed;
    s->depth = level;
    if (closing) {
        s->depth--;
        s->nested--;
        s->sealed = v->sealed_outside;
        s->now = (struct entity){ .from = l->next };
        s->state = IN_FILLER;
        return 0;
    }
    if (++s->parts > MIME_PARTS_MAX)
        return refuse(s, "it has too many parts");
    entity_begin(s, l->next, false);
    return 0;
}

static int scan_line(struct scan *s, const struct line *l)
{
    bool closing = false;
    unsigned level = boundary_of(s, l, &closing);

    if (level > 0)
        return boundary_line(s, l, level, closing);
    return s->state == IN_HEADER ? header_line(s, l) : leaf_line(s, l);
}

/* ---- lines ------------------------------------------------------------- */

static void line_judge(struct line *l, const char *p, size_t n)
{
    unsigned char any = 0;

    for (size_t i = 0; i < n; i++)
        any |= (unsigned char)p[i];
    l->eight_bit |= any >= 0x80;
    l->nul |= memchr(p, '\0', n) != NULL;
}

/* The rest of a line that does not fit the window, whose first GOT bytes were judged. */
static int line_rest(struct scan *s, struct line *l, size_t got)
{
    uint64_t at = l->start + got;

    memcpy(s->kept, l->text, KEPT_MAX);
    l->text = s->kept;
    l->len = KEPT_MAX;
    while (at < s->src->options.bytes) {
        const char *p = source_at(s->src, at, 1, &got, s->e), *lf;
        if (p == NULL)
            return -1;
        lf = memchr(p, '\n', got);
        line_judge(l, p, lf != NULL ? (size_t)(lf - p) : got);
        if (lf != NULL) {
            l->end = at + (uint64_t)(lf - p);
            l->next = l->end + 1;
            return 0;
        }
        at += got;
    }
    l->end = l->next = at;
    return 0;
}

static int line_read(struct scan *s, uint64_t at, struct line *l)
{
    size_t got;
    const char *p = source_at(s->src, at, 1, &got, s->e), *lf = p == NULL ? NULL : memchr(p, '\n', got);

    if (p != NULL && lf == NULL && got < SOURCE_SIZE / 2) {
        p = source_at(s->src, at, SOURCE_SIZE / 2, &got, s->e);
        lf = p == NULL ? NULL : memchr(p, '\n', got);
    }
    if (p == NULL)
        return -1;
    *l = (struct line){ .start = at, .text = p, .len = lf != NULL ? (size_t)(lf - p) : got };
    line_judge(l, p, l->len);
    if (lf == NULL && at + got < s->src->options.bytes)
        return line_rest(s, l, got);
    l->end = at + l->len;
    l->next = l->end + (lf != NULL);
    return 0;
}

int plan_make(struct source *src, struct plan *plan, struct err *e)
{
    struct scan *s = calloc(1, sizeof(*s));
    struct line l = { 0 };
    int result = 0;

    if (s == NULL)
        return err_sys(e, EX_OSERR, "conversion");
    s->src = src;
    s->plan = plan;
    s->e = e;
    s->type.max = s->encoding.max = FIELD_MAX;
    entity_begin(s, 0, true);
    while (result == 0 && l.next < src->options.bytes) {
        result = line_read(s, l.next, &l);
        if (result == 0)
            result = scan_line(s, &l);
    }
    if (result == 0)
        result = entity_close(s, src->options.bytes, src->options.bytes);
    buf_fini(&s->type);
    buf_fini(&s->encoding);
    free(s);
    return result;
}
