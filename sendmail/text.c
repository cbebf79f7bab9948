/* text: counts what passes to the spool, so that nobody has to read a message
 * again to know its sizes. Called for every byte of a message, by submit,
 * message and report. */
#include <config.h>

#include <string.h>

#include "common/spool.h"
#include "sendmail/text.h"

/* Eight at a time: compilers do not do it by themselves at -O2. */
static bool has_high_bytes(const char *p, size_t len)
{
    uint64_t all = 0, eight;
    unsigned char tail = 0;

    for (; len >= sizeof(eight); p += sizeof(eight), len -= sizeof(eight)) {
        memcpy(&eight, p, sizeof(eight));
        all |= eight;
    }
    for (; len > 0; p++, len--)
        tail |= (unsigned char)*p;
    return (all & UINT64_C(0x8080808080808080)) != 0 || tail >= 0x80;
}

static void count_lines(struct text *t, const char *p, size_t len)
{
    const char *end = p + len, *nl;

    for (; (nl = memchr(p, '\n', (size_t)(end - p))) != NULL; p = nl + 1) {
        t->line += (uint64_t)(nl - p);
        if (t->line > t->size.longest_line)
            t->size.longest_line = t->line;
        t->line = 0;
        t->size.wire_bytes++;
    }
    t->line += (uint64_t)(end - p);
}

/* A NUL is no 7-bit text either (RFC 2045 2.7). */
int text_write(struct text *t, const void *bytes, size_t len, struct err *e)
{
    if (!t->size.eight_bit)
        t->size.eight_bit = has_high_bytes(bytes, len) || memchr(bytes, '\0', len) != NULL;
    t->size.disk_bytes += len;
    t->size.wire_bytes += len;
    count_lines(t, bytes, len);
    return t->write(t->arg, bytes, len, e);
}

static int write_draft(void *arg, const void *bytes, size_t len, struct err *e)
{
    return draft_write(arg, bytes, len, e);
}

struct text text_to_draft(struct draft *d)
{
    return (struct text){ .write = write_draft, .arg = d };
}
