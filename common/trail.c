/* trail: lines about a message's recipients, struct to bytes and back. Only
 * the keeper writes them, but a machine may stop within any write: a line
 * that is torn, unknown or absurd is passed over, and a recipient once
 * settled is never owed again by a line that comes later. Linear in length.
 * Called by the keeper (queue, record) and by what shows the queue. */
#include <config.h>

#include "common/trail.h"
#include "common/buf.h"
#include "common/err.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { TRAIL_TEXT_MAX = 4000, TRAIL_KEYS = 6 };

void trail_fini(struct trail *t)
{
    free(t->rcpt);
    free(t->bytes);
    *t = (struct trail){ 0 };
}

/* ---- printing ---------------------------------------------------------- */

/* TEXT on one line, behind a blank: line ends become " / ". */
static void print_text(struct buf *out, const char *text)
{
    size_t n = text == NULL ? 0 : strnlen(text, TRAIL_TEXT_MAX);

    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    if (n > 0)
        (void)buf_char(out, ' ');
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n')
            (void)buf_str(out, " / ");
        else if (text[i] != '\r' || text[i + 1] != '\n')
            (void)buf_char(out, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i]);
    }
}

static bool print_end(struct buf *out, const char *text)
{
    print_text(out, text);
    return buf_char(out, '\n');
}

static void print_host(struct buf *out, const char *host)
{
    if (*host == '\0')
        (void)buf_char(out, '-');
    for (; *host != '\0'; host++)
        (void)buf_char(out, (unsigned char)*host <= ' ' || *host == 0x7f ? '?' : *host);
}

static int64_t not_negative(int64_t v)
{
    return v < 0 ? 0 : v;
}

/* All keys, always: so the words of a hostile reply behind them, which may
 * look like keys, come second and count for nothing. */
static void print_keys(struct buf *out, const struct trail_rcpt *r)
{
    (void)buf_printf(out, " due=%" PRId64 " n=%u first=%" PRId64 " last=%" PRId64 " grey=%" PRId64 ":%u host=",
                     not_negative(r->due), r->n, not_negative(r->first.ms), not_negative(r->last.ms),
                     not_negative(r->grey.ms), r->grey_n);
    print_host(out, r->host);
}

bool trail_print_rcpt(struct buf *out, struct wall at, size_t index, const struct trail_rcpt *r, const char *reply)
{
    static const char *const verbs[] = {
        [FATE_OWED] = "deferred", [FATE_DELIVERED] = "delivered", [FATE_FAILED] = "failed"
    };

    (void)buf_printf(out, "%" PRId64 " %s %zu ", not_negative(at.ms), verbs[r->fate], index + 1);
    if (r->fate == FATE_DELIVERED)
        print_host(out, r->host);
    else
        (void)buf_str(out, cause_name(r->cause));
    if (r->fate == FATE_OWED)
        print_keys(out, r);
    return print_end(out, reply);
}

bool trail_print_warned(struct buf *out, struct wall at, size_t index)
{
    return buf_printf(out, "%" PRId64 " warned %zu\n", not_negative(at.ms), index + 1);
}

bool trail_print_said(struct buf *out, struct wall at, const char *text)
{
    (void)buf_printf(out, "%" PRId64 " said 0", not_negative(at.ms));
    return print_end(out, text);
}

bool trail_print_moved(struct buf *out, struct wall at, const char *text)
{
    (void)buf_printf(out, "%" PRId64 " moved", not_negative(at.ms));
    return print_end(out, text);
}

/* ---- reading ----------------------------------------------------------- */

/* The rest of a line, or one word of it. */
struct span {
    const char *p;
    size_t n;
};

/* Takes the word up to the next STOP, and the STOP. */
static struct span take_word(struct span *line, char stop)
{
    const char *end = line->n == 0 ? NULL : memchr(line->p, stop, line->n);
    struct span word = { line->p, end == NULL ? line->n : (size_t)(end - line->p) };

    line->p += word.n + (end != NULL);
    line->n -= word.n + (end != NULL);
    return word;
}

static bool span_is(struct span s, const char *word)
{
    return strlen(word) == s.n && memcmp(s.p, word, s.n) == 0;
}

static bool span_number(struct span s, int64_t max, int64_t *v_r)
{
    int64_t v = 0;

    for (size_t i = 0; i < s.n; i++) {
        int digit = s.p[i] - '0';

        if (digit < 0 || digit > 9 || v > (max - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *v_r = v;
    return s.n > 0;
}

static void span_copy(struct span s, char *out, size_t size)
{
    size_t n = s.n < size ? s.n : size - 1;

    memcpy(out, s.p, n);
    out[n] = '\0';
    if (strcmp(out, "-") == 0)
        out[0] = '\0';
}

static void set_wall(struct wall *at, struct span s)
{
    int64_t v;

    if (span_number(s, INT64_MAX, &v))
        at->ms = v;
}

static void set_count(unsigned *count, struct span s)
{
    int64_t v;

    if (span_number(s, UINT_MAX, &v))
        *count = (unsigned)v;
}

static void key_due(struct trail_rcpt *r, struct span s)
{
    int64_t v;

    if (span_number(s, INT64_MAX, &v))
        r->due = v;
}

static void key_n(struct trail_rcpt *r, struct span s)
{
    set_count(&r->n, s);
}

static void key_first(struct trail_rcpt *r, struct span s)
{
    set_wall(&r->first, s);
}

static void key_last(struct trail_rcpt *r, struct span s)
{
    set_wall(&r->last, s);
}

static void key_grey(struct trail_rcpt *r, struct span s)
{
    set_wall(&r->grey, take_word(&s, ':'));
    set_count(&r->grey_n, s);
}

static void key_host(struct trail_rcpt *r, struct span s)
{
    span_copy(s, r->host, sizeof(r->host));
}

static const struct {
    const char *name;
    void (*set)(struct trail_rcpt *, struct span);
} keys[TRAIL_KEYS] = {
    { "due", key_due },   { "n", key_n },       { "first", key_first },
    { "last", key_last }, { "grey", key_grey }, { "host", key_host },
};

/* The first of a name counts, see print_keys(). Ends where the keys end, before the text. */
static void read_keys(struct span *line, struct trail_rcpt *r)
{
    unsigned seen = 0;

    while (line->n > 0) {
        struct span text = *line, value = take_word(line, ' ');
        size_t whole = value.n;
        struct span name = take_word(&value, '=');

        if (name.n == whole) {
            *line = text;
            return;
        }
        for (unsigned i = 0; i < TRAIL_KEYS; i++) {
            if (span_is(name, keys[i].name) && (seen & 1U << i) == 0) {
                seen |= 1U << i;
                keys[i].set(r, value);
            }
        }
    }
}

static enum cause read_cause(struct span *line, enum cause otherwise)
{
    char name[32];
    enum cause c = otherwise;

    span_copy(take_word(line, ' '), name, sizeof(name));
    (void)cause_from_name(name, &c);
    return c;
}

static void read_delivered(struct span *line, struct trail_rcpt *r)
{
    r->fate = FATE_DELIVERED;
    r->cause = CAUSE_NONE;
    span_copy(take_word(line, ' '), r->host, sizeof(r->host));
}

static void read_failed(struct span *line, struct trail_rcpt *r)
{
    if (r->fate == FATE_DELIVERED)
        return;
    r->fate = FATE_FAILED;
    r->cause = read_cause(line, CAUSE_PERM_OTHER);
}

static void read_deferred(struct span *line, struct trail_rcpt *r)
{
    if (r->fate != FATE_OWED)
        return;
    *r = (struct trail_rcpt){ .cause = read_cause(line, CAUSE_UNKNOWN_TEMP), .warned = r->warned };
    read_keys(line, r);
    r->text = line->n > 0 ? line->p : NULL;
}

static void read_warned(struct span *line, struct trail_rcpt *r)
{
    (void)line;
    r->warned = true;
}

static const struct {
    const char *verb;
    void (*read)(struct span *, struct trail_rcpt *);
} verbs[] = {
    { "delivered", read_delivered },
    { "failed", read_failed },
    { "deferred", read_deferred },
    { "warned", read_warned },
};

static void read_line(struct span line, struct trail *t)
{
    struct span verb;
    int64_t v;

    if (!span_number(take_word(&line, ' '), INT64_MAX, &v))
        return;
    verb = take_word(&line, ' ');
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (span_is(verb, verbs[i].verb)) {
            if (span_number(take_word(&line, ' '), INT64_MAX, &v) && v > 0 && (uint64_t)v <= t->nrcpt)
                verbs[i].read(&line, &t->rcpt[v - 1]);
            return;
        }
    }
}

int trail_parse(const char *bytes, size_t len, size_t nrcpt, struct trail *trail_r, struct err *e)
{
    struct span rest, line;

    *trail_r = (struct trail){ .nrcpt = nrcpt, .rcpt = calloc(nrcpt == 0 ? 1 : nrcpt, sizeof(struct trail_rcpt)), .bytes = malloc(len + 1) };
    if (trail_r->rcpt == NULL || trail_r->bytes == NULL) {
        trail_fini(trail_r);
        return err_sys(e, EX_OSERR, "trail");
    }
    if (len > 0)
        memcpy(trail_r->bytes, bytes, len);
    rest = (struct span){ trail_r->bytes, len };
    while (rest.n > 0 && memchr(rest.p, '\n', rest.n) != NULL) {
        line = take_word(&rest, '\n');
        trail_r->bytes[line.p + line.n - trail_r->bytes] = '\0';        /* a text ends here */
        read_line(line, trail_r);
    }
    return 0;
}
