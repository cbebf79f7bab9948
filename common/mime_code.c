/* mime_code: quoted-printable and base64, encoding only. They know nothing of
 * messages; what they emit decodes to exactly what went in. Called by mime.c. */
#include <config.h>

#include "common/mime_code.h"

#include <string.h>

enum { QP_COLUMNS = 75, BASE64_COLUMNS = 76, BASE64_LINE = 57 };

static const char hex[] = "0123456789ABCDEF";

/* Puts a token of N bytes that must stay together, on a new line if need be. */
static char *put(char *o, unsigned *column, const char *token, unsigned n)
{
    if (*column + n > QP_COLUMNS) {
        *o++ = '=';
        *o++ = '\n';
        *column = 0;
    }
    memcpy(o, token, n);
    *column += n;
    return o + n;
}

static char *put_coded(char *o, unsigned *column, unsigned char c)
{
    const char token[3] = { '=', hex[c >> 4], hex[c & 15] };

    return put(o, column, token, sizeof(token));
}

static char *put_line_end(char *o, unsigned *column)
{
    *column = 0;
    *o++ = '\n';
    return o;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_plain(char c)
{
    return (c >= ' ' && c < 0x7f && c != '=') || c == '\t';
}

size_t mime_code_qp(unsigned *column, const char *in, size_t len, bool last, char *out, size_t *used_r)
{
    size_t end = last ? len : len - 1, i;
    char *o = out;

    for (i = 0; i < end; i++) {
        bool trailing = is_blank(in[i]) && (i + 1 == len || in[i + 1] == '\n');
        if (in[i] == '\n')
            o = put_line_end(o, column);
        else if (is_plain(in[i]) && !trailing)
            o = put(o, column, in + i, 1);
        else
            o = put_coded(o, column, (unsigned char)in[i]);
    }
    *used_r = i;
    return (size_t)(o - out);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

/* Length of a soft line break at IN, blanks before its line end included; 0: none. */
static size_t soft_break(const char *in, size_t len)
{
    size_t i = 1;

    while (i < len && is_blank(in[i]) && i < MIME_CODE_AHEAD / 2)
        i++;
    return i < len && in[i] == '\n' ? i + 1 : 0;
}

size_t mime_code_qp_mend(unsigned *column, const char *in, size_t len, bool last, char *out, size_t *used_r)
{
    size_t end = last || len < MIME_CODE_AHEAD ? len : len - MIME_CODE_AHEAD, i = 0, n;
    char *o = out;

    while (i < end) {
        n = 1;
        if (in[i] == '\n') {
            o = put_line_end(o, column);
        } else if (in[i] == '=' && i + 2 < len && is_hex(in[i + 1]) && is_hex(in[i + 2])) {
            n = 3;
            o = put(o, column, in + i, 3);
        } else if (in[i] == '=' && (n = soft_break(in + i, len - i)) > 0) {
            *o++ = '=';
            o = put_line_end(o, column);
        } else if (is_plain(in[i]) || (in[i] == '=' && last && i + 1 == len)) {
            n = 1;                      /* a soft line break may be the last byte: its line end is the boundary's */
            o = put(o, column, in + i, 1);
        } else {
            n = 1;
            o = put_coded(o, column, (unsigned char)in[i]);
        }
        i += n;
    }
    *used_r = i;
    return (size_t)(o - out);
}

static char *put_three(char *o, const unsigned char *in, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned v = (unsigned)in[0] << 16 | (n > 1 ? (unsigned)in[1] << 8 : 0) | (n > 2 ? in[2] : 0u);

    *o++ = digits[v >> 18];
    *o++ = digits[v >> 12 & 63];
    *o++ = n > 1 ? digits[v >> 6 & 63] : '=';
    *o++ = n > 2 ? digits[v & 63] : '=';
    return o;
}

size_t mime_code_base64(unsigned *column, const char *in, size_t len, bool last, char *out, size_t *used_r)
{
    const unsigned char *p = (const unsigned char *)in;
    size_t end = last ? len : len - len % BASE64_LINE;
    char *o = out;

    for (size_t i = 0; i < end; i += 3) {
        if (*column == BASE64_COLUMNS)
            o = put_line_end(o, column);
        o = put_three(o, p + i, end - i);
        *column += 4;
    }
    *used_r = end;
    return (size_t)(o - out);
}

size_t mime_code_base64_wrap(unsigned *column, const char *in, size_t len, bool last, char *out, size_t *used_r)
{
    char *o = out;

    (void)last;
    for (size_t i = 0; i < len; i++) {
        if (in[i] == '\n') {
            o = put_line_end(o, column);
            continue;
        }
        if (*column == BASE64_COLUMNS)
            o = put_line_end(o, column);
        *o++ = in[i];
        ++*column;
    }
    *used_r = len;
    return (size_t)(o - out);
}
