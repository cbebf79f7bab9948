/* rfc5322: where the fields of a header begin and end, and names written into
 * one. It changes no byte of a message and looks at each only once. Pure;
 * called by the front for submissions and by the keeper for reports. */
#include <config.h>

#include "common/rfc5322.h"
#include "common/buf.h"
#include "common/utf8.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

enum { ENCODED_WORD_MAX = 75 };         /* RFC 2047 2 */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Behind the line at AT. */
static size_t line_end(const char *header, size_t len, size_t at)
{
    const char *nl = memchr(header + at, '\n', len - at);

    return nl == NULL ? len : (size_t)(nl - header) + 1;
}

bool field_next(const char *header, size_t len, size_t *pos, struct field *f)
{
    size_t p = *pos, colon, end;

    while (p < len && (unsigned char)header[p] > ' ' && (unsigned char)header[p] < 0x7f && header[p] != ':')
        p++;
    for (colon = p; colon < len && is_blank(header[colon]); colon++)
        continue;
    if (p == *pos || colon >= len || header[colon] != ':')
        return false;
    end = line_end(header, len, colon);
    while (end < len && is_blank(header[end]))
        end = line_end(header, len, end);
    f->start = header + *pos;
    f->len = end - *pos;
    f->name_len = p - *pos;
    f->value = header + colon + 1;
    f->value_len = end - colon - 1 - (header[end - 1] == '\n');
    *pos = end;
    return true;
}

bool field_is(const struct field *f, const char *name)
{
    return strlen(name) == f->name_len && strncasecmp(f->start, name, f->name_len) == 0;
}

bool field_blank(const struct field *f)
{
    for (size_t i = 0; i < f->value_len; i++)
        if (!is_blank(f->value[i]) && f->value[i] != '\n' && f->value[i] != '\r')
            return false;
    return true;
}

void field_unfold(const struct field *f, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < f->value_len && n + 1 < size; i++) {
        char c = f->value[i];
        bool cr_of_end = c == '\r' && (i + 1 == f->value_len || f->value[i + 1] == '\n');

        if (c == '\n' || cr_of_end)
            continue;
        if ((unsigned char)c < ' ' || c == 0x7f)
            c = ' ';
        if (c != ' ' || n > 0)
            out[n++] = c;
    }
    while (n > 0 && out[n - 1] == ' ')
        n--;
    if (size > 0)
        out[n] = '\0';
}

/* ---- display names ----------------------------------------------------- */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

enum form { FORM_ATOMS, FORM_QUOTED, FORM_ENCODED };

static enum form phrase_form(const char *name, size_t len)
{
    enum form form = FORM_ATOMS;

    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] >= 0x80)
            return FORM_ENCODED;
        if (name[i] == ' ' || is_control(name[i])) {
            if (name[i + 1] == ' ' || is_control(name[i + 1]))
                form = FORM_QUOTED;
        } else if (!is_alnum(name[i]) && strchr("!#$%&'*+-/=?^_`{|}~", name[i]) == NULL) {
            form = FORM_QUOTED;
        } else if (name[i] == '=' && name[i + 1] == '?') {
            form = FORM_QUOTED;         /* else it would read as an encoded word */
        }
    }
    return form;
}

static void put_plain(struct buf *out, const char *name, size_t len, bool quoted)
{
    if (quoted)
        (void)buf_char(out, '"');
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '"' || name[i] == '\\')
            (void)buf_char(out, '\\');
        (void)buf_char(out, is_control(name[i]) ? ' ' : name[i]);
    }
    if (quoted)
        (void)buf_char(out, '"');
}

/* One byte in the Q encoding as phrases allow it (RFC 2047 5 (3)). */
static void put_q(struct buf *out, char c)
{
    static const char hex[] = "0123456789ABCDEF";

    if (c == ' ' || is_control(c)) {
        (void)buf_char(out, '_');
    } else if (is_alnum(c) || strchr("!*+-/", c) != NULL) {
        (void)buf_char(out, c);
    } else {
        (void)buf_char(out, '=');
        (void)buf_char(out, hex[(unsigned char)c >> 4]);
        (void)buf_char(out, hex[(unsigned char)c & 15]);
    }
}

/* Words of whole characters, each on a line of its own: blanks between
 * encoded words are not shown (RFC 2047 6.2). */
static void put_encoded(struct buf *out, const char *name, size_t len)
{
    bool utf8 = utf8_valid(name, len);
    const char *head = utf8 ? "=?utf-8?q?" : "=?unknown-8bit?q?";
    const size_t room = ENCODED_WORD_MAX - 2 - strlen(head);
    size_t start;

    (void)buf_str(out, head);
    start = out->len;
    while (len > 0) {
        size_t n = utf8 ? utf8_char(name, len) : 1;

        if (out->len - start + 3 * n > room) {
            (void)buf_str(out, "?=\n ");
            (void)buf_str(out, head);
            start = out->len;
        }
        for (; n > 0; n--, name++, len--)
            put_q(out, *name);
    }
    (void)buf_str(out, "?=");
}

void rfc5322_phrase(struct buf *out, const char *name)
{
    size_t len;
    enum form form;

    while (*name == ' ' || (*name != '\0' && is_control(*name)))
        name++;
    len = strlen(name);
    while (len > 0 && (name[len - 1] == ' ' || is_control(name[len - 1])))
        len--;
    if (len == 0)
        return;
    form = phrase_form(name, len);
    if (form == FORM_ENCODED)
        put_encoded(out, name, len);
    else
        put_plain(out, name, len, form == FORM_QUOTED);
}
