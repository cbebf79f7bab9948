/* ehlo: reads the capability list. The list is as long as the text of a reply
 * is kept; what is not understood is not offered. Called by the session. */
#include <config.h>

#include "spooler/courier/ehlo.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/reply.h"
#include "spooler/link/wire.h"

static const struct {
    const char *keyword;
    size_t offset;                      /* of a bool in struct wire_up */
} offers[] = {
    { "PIPELINING", offsetof(struct wire_up, pipelining) },     /* RFC 2920 */
    { "8BITMIME", offsetof(struct wire_up, eight_bit) },        /* RFC 6152 */
    { "CHUNKING", offsetof(struct wire_up, chunking) },         /* RFC 3030 */
    { "DSN", offsetof(struct wire_up, dsn) },                   /* RFC 3461 */
    { "SIZE", offsetof(struct wire_up, size_known) },           /* RFC 1870 */
};

/* 0, no limit, where there is no number or none that fits. */
static uint64_t size_value(const char *s, size_t len)
{
    uint64_t v = 0;

    while (len > 0 && (*s == ' ' || *s == '=')) {
        s++;
        len--;
    }
    for (size_t i = 0; i < len && s[i] != ' '; i++) {
        unsigned digit = (unsigned)(s[i] - '0');
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return 0;
        v = v * 10 + digit;
    }
    return v;
}

static void line_parse(const char *line, size_t len, struct wire_up *up)
{
    size_t word = 0;

    while (word < len && line[word] != ' ' && line[word] != '=')
        word++;
    for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
        if (strlen(offers[i].keyword) != word || strncasecmp(line, offers[i].keyword, word) != 0)
            continue;
        *(bool *)((char *)up + offers[i].offset) = true;
        if (offers[i].offset == offsetof(struct wire_up, size_known))
            up->size_limit = size_value(line + word, len - word);
    }
}

void ehlo_parse(const struct reply *r, struct wire_up *up)
{
    const char *line = strchr(r->text, '\n');       /* the first line is a greeting */

    *up = (struct wire_up){ .address = "" };
    while (line != NULL) {
        const char *end = strchr(++line, '\n');
        line_parse(line, end == NULL ? strlen(line) : (size_t)(end - line), up);
        line = end;
    }
}
