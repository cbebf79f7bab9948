/* mime_type: reads a Content-Type as far as a conversion needs it: type,
 * subtype, boundary. What it does not understand it leaves empty. */
#include <config.h>

#include "common/mime_type.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Behind white space and comments (RFC 5322 3.2.2). */
static const char *skip(const char *p)
{
    unsigned depth = 0;

    for (; *p != '\0'; p++) {
        if (*p == '(')
            depth++;
        else if (depth > 0 && *p == ')')
            depth--;
        else if (depth > 0 && *p == '\\' && p[1] != '\0')
            p++;
        else if (depth == 0 && strchr(" \t\r\n", *p) == NULL)
            break;
    }
    return p;
}

/* A token in lower case; "" if it is longer than SIZE allows. */
static const char *word(const char *p, char *out, size_t size)
{
    size_t n = 0, len = strcspn(p, " \t\r\n()<>@,;:\\\"/[]?=");

    if (len < size)
        for (; n < len; n++)
            out[n] = (char)tolower((unsigned char)p[n]);
    out[n] = '\0';
    return p + len;
}

/* The value of a parameter. Its quotes taken off; "" if it is too long. */
static const char *value(const char *p, char *out, size_t size)
{
    bool quoted = *p == '"';
    size_t n = 0;

    if (quoted)
        p++;
    for (; *p != '\0' && (quoted ? *p != '"' : strchr(" \t\r\n;(", *p) == NULL); p++) {
        if (quoted && *p == '\\' && p[1] != '\0')
            p++;
        if (n < size)
            out[n] = *p;
        n++;
    }
    if (n >= size)
        n = 0;
    while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '\t'))
        n--;                            /* RFC 2046 5.1.1: never ends in white space */
    out[n] = '\0';
    return quoted && *p == '"' ? p + 1 : p;
}

static void parameters(const char *p, struct mime_type *t)
{
    char name[MIME_WORD_MAX], other[2];

    while (*p != '\0') {
        if (*p != ';') {                /* not a parameter: on to the next */
            p = *p == '"' ? value(p, other, sizeof(other)) : p + 1;
            p = skip(p);
            continue;
        }
        p = skip(word(skip(p + 1), name, sizeof(name)));
        if (*p != '=')
            continue;
        p = skip(p + 1);
        if (strcmp(name, "boundary") == 0 && t->boundary[0] == '\0')
            p = value(p, t->boundary, sizeof(t->boundary));
        else
            p = value(p, other, sizeof(other));
        p = skip(p);
    }
}

void mime_type_parse(const char *text, struct mime_type *t)
{
    const char *p = skip(word(skip(text), t->major, sizeof(t->major)));

    t->minor[0] = t->boundary[0] = '\0';
    if (*p == '/')
        p = skip(word(skip(p + 1), t->minor, sizeof(t->minor)));
    parameters(p, t);
    t->digest = strcmp(t->major, "multipart") == 0 && strcmp(t->minor, "digest") == 0;
}
