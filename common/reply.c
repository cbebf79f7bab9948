/* reply: what a server answers, out of a stream of bytes or out of text. It
 * believes nothing beyond the written rule in the header, and keeps no more
 * than the bounds there. Pure; the session feeds it from the network, judge's
 * callers and the tools from logs, trails and people. */
#include <config.h>

#include "common/reply.h"

#include <stdio.h>
#include <string.h>

enum { CODE_BROKEN = -1 };              /* in a parser: nothing more is read */

#define LINE_MARK " / "

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The code that a line begins with, or 0. */
static int line_code(const char *s, size_t n)
{
    if (n < 3 || s[0] < '2' || s[0] > '5' || !is_digit(s[1]) || !is_digit(s[2]))
        return 0;
    if (n > 3 && s[3] != ' ' && s[3] != '-')
        return 0;
    return (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
}

/* One to three digits at the start of S: how many. */
static size_t digits(const char *s, size_t n)
{
    size_t i = 0;

    while (i < n && i < 4 && is_digit(s[i]))
        i++;
    return i < 4 ? i : 0;
}

/* Length of an enhanced status code (RFC 3463) at the start of S, or 0. One
 * whose class is not that of the code is not believed (RFC 2034 4). */
static size_t enhanced_len(const char *s, size_t n, int code)
{
    size_t subject, detail;

    if (n < 5 || s[0] - '0' != code / 100 || s[0] == '3' || s[1] != '.')
        return 0;
    subject = digits(s + 2, n - 2);
    if (subject == 0 || n < subject + 4 || s[2 + subject] != '.')
        return 0;
    detail = digits(s + 3 + subject, n - 3 - subject);
    if (detail == 0)
        return 0;
    n -= 3 + subject + detail;
    return n == 0 || s[3 + subject + detail] == ' ' ? 3 + subject + detail : 0;
}

static void skip_blanks(const char **s, size_t *n)
{
    while (*n > 0 && **s == ' ') {
        (*s)++;
        (*n)--;
    }
}

static void text_add(struct reply *r, size_t *text_len, char c)
{
    if (*text_len < REPLY_TEXT_MAX - 1) {
        r->text[(*text_len)++] = c;
        r->text[*text_len] = '\0';
    }
}

/* Takes the text of one line, its code and separator cut off. */
static void line_add(struct reply *r, size_t *text_len, const char *s, size_t n)
{
    if (r->lines > 0) {
        text_add(r, text_len, '\n');
    } else {
        size_t enh;

        skip_blanks(&s, &n);
        enh = enhanced_len(s, n, r->code);
        memcpy(r->enh, s, enh);
        r->enh[enh] = '\0';
        s += enh;
        n -= enh;
        if (enh > 0)
            skip_blanks(&s, &n);
    }
    for (size_t i = 0; i < n; i++)
        text_add(r, text_len, (unsigned char)s[i] < ' ' || s[i] == 0x7f ? '?' : s[i]);
    r->lines++;
}

static enum reply_got broken(struct reply_parser *p)
{
    memset(p, 0, sizeof(*p));
    p->reply.code = CODE_BROKEN;
    return REPLY_BROKEN;
}

/* Judges the line held, its LF taken off. */
static enum reply_got line_done(struct reply_parser *p, struct reply *reply_r)
{
    size_t n = p->len > 0 && p->line[p->len - 1] == '\r' ? p->len - 1 : p->len;
    int code = line_code(p->line, n);
    bool more = n > 3 && p->line[3] == '-';

    if (code == 0 || (p->reply.lines > 0 && code != p->reply.code) || p->reply.lines == REPLY_LINES_MAX)
        return broken(p);
    p->reply.code = code;
    line_add(&p->reply, &p->text_len, p->line + (n > 3 ? 4 : 3), n > 3 ? n - 4 : 0);
    if (more) {
        p->len = 0;
        return REPLY_MORE;
    }
    *reply_r = p->reply;
    memset(p, 0, sizeof(*p));
    return REPLY_WHOLE;
}

enum reply_got reply_feed(struct reply_parser *p, const char **in, size_t *len, struct reply *reply_r)
{
    enum reply_got got = p->reply.code == CODE_BROKEN ? REPLY_BROKEN : REPLY_MORE;

    while (*len > 0 && got == REPLY_MORE) {
        const char *lf = memchr(*in, '\n', *len);
        size_t n = lf == NULL ? *len : (size_t)(lf - *in);

        if (n > sizeof(p->line) - p->len)
            return broken(p);
        memcpy(p->line + p->len, *in, n);
        p->len += n;
        *in += n + (lf != NULL);
        *len -= n + (lf != NULL);
        if (lf != NULL)
            got = line_done(p, reply_r);
    }
    return got;
}

bool reply_pending(const struct reply_parser *p)
{
    return p->len > 0 || p->reply.lines > 0;
}

/* ---- as people write it ------------------------------------------------ */

/* The length of the line at S, and of what ends it. */
static size_t text_line(const char *s, size_t *end_len)
{
    size_t n = strcspn(s, "\n");
    const char *mark = memmem(s, n, LINE_MARK, sizeof(LINE_MARK) - 1);

    *end_len = mark != NULL ? sizeof(LINE_MARK) - 1 : s[n] != '\0';
    return mark != NULL ? (size_t)(mark - s) : n;
}

static void text_line_add(struct reply *r, size_t *text_len, const char *s, size_t n)
{
    if (n > 0 && s[n - 1] == '\r')
        n--;
    while (line_code(s, n) == r->code) {
        size_t cut = n > 3 ? 4 : 3;

        s += cut;
        n -= cut;
        if (r->lines == 0)
            break;
    }
    line_add(r, text_len, s, n);
}

bool reply_parse(const char *text, struct reply *r)
{
    size_t text_len = 0, end, n;

    *r = (struct reply){ 0 };
    text += strspn(text, " \t\r\n");
    n = text_line(text, &end);
    if (n > 0 && text[n - 1] == '\r')
        n--;
    r->code = line_code(text, n);
    if (r->code == 0)
        return false;
    do {
        n = text_line(text, &end);
        text_line_add(r, &text_len, text, n);
        text += n + end;
    } while ((*text != '\0' || end > 1) && r->lines < REPLY_LINES_MAX);
    return true;
}

const char *reply_format(const struct reply *r, char *out, size_t size)
{
    const char *s = r->text;
    size_t n;

    if (size == 0)
        return out;
    (void)snprintf(out, size, "%03d%s%s", r->code, r->enh[0] == '\0' ? "" : " ", r->enh);
    if (*s != '\0' && *s != '\n')
        (void)strlcat(out, " ", size);
    for (n = strlen(out); *s != '\0' && n < size - 1; s++) {
        if (*s == '\n')
            n = strlcat(out, LINE_MARK, size);
        else
            out[n++] = *s;
        if (n < size)
            out[n] = '\0';
    }
    return out;
}
