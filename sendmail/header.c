/* header: completes a submitted header (RFC 6409 8, RFC 5322 3.6) and drops
 * what must not travel. It invents nothing that the caller said, and lets no
 * byte in that could begin another field: addresses are canonical, names go
 * through rfc5322_phrase. Called by submit, and by report for its own Date. */
#include <config.h>

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/msgid.h"
#include "common/rfc5322.h"
#include "sendmail/header.h"

enum { LINE_MAX_BYTES = 998, LINE_WISHED = 66 };    /* RFC 5322 2.1.1; 78 less the name and brackets */

enum wanted {
    WANTED_DATE = 1, WANTED_FROM = 2, WANTED_ID = 4,
    WANTED_ALL = WANTED_DATE | WANTED_FROM | WANTED_ID,
    RESENT_SHIFT = 3                    /* the same bits for the Resent- forms */
};

enum rule { RULE_KEEP, RULE_DROP, RULE_DROP_EMPTY };

static const struct known {
    const char *name;
    enum rule rule;
    unsigned wanted;
} known[] = {
    { "Bcc", RULE_DROP, 0 },
    { "Content-Length", RULE_DROP, 0 },
    { "Date", RULE_DROP_EMPTY, WANTED_DATE },
    { "From", RULE_DROP_EMPTY, WANTED_FROM },
    { "Message-ID", RULE_DROP_EMPTY, WANTED_ID },
    { "Resent-Bcc", RULE_DROP, 0 },
    { "Resent-Date", RULE_DROP_EMPTY, WANTED_DATE << RESENT_SHIFT },
    { "Resent-From", RULE_DROP_EMPTY, WANTED_FROM << RESENT_SHIFT },
    { "Resent-Message-ID", RULE_DROP_EMPTY, WANTED_ID << RESENT_SHIFT },
    { "Return-Path", RULE_DROP, 0 },
};

static const struct known *known_find(const struct field *f)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (field_is(f, known[i].name))
            return &known[i];
    return NULL;
}

static bool is_dropped(const struct known *k, const struct field *f)
{
    return k != NULL && (k->rule == RULE_DROP || (k->rule == RULE_DROP_EMPTY && field_blank(f)));
}

bool header_resent(const char *text, size_t len)
{
    struct field f;

    for (size_t pos = 0; field_next(text, len, &pos, &f);)
        if (f.name_len > 7 && strncasecmp(f.start, "Resent-", 7) == 0)
            return true;
    return false;
}

/* What the header lacks; the Resent- forms only if it was resent at all. */
static unsigned missing(const char *text, size_t len)
{
    unsigned needed = WANTED_ALL | (header_resent(text, len) ? WANTED_ALL << RESENT_SHIFT : 0), there = 0;
    struct field f;

    for (size_t pos = 0; field_next(text, len, &pos, &f);) {
        const struct known *k = known_find(&f);

        if (k != NULL && !is_dropped(k, &f))
            there |= k->wanted;
    }
    return needed & ~there;
}

static void put_field(struct buf *out, const struct field *f)
{
    if (f->value == f->start + f->name_len + 1) {
        (void)buf_add(out, f->start, f->len);
        return;
    }
    (void)buf_add(out, f->start, f->name_len);
    (void)buf_char(out, ':');
    (void)buf_add(out, f->value, f->value_len);
    (void)buf_char(out, '\n');
}

static void put_fields(struct buf *out, const char *text, size_t len)
{
    struct field f;

    for (size_t pos = 0; field_next(text, len, &pos, &f);)
        if (!is_dropped(known_find(&f), &f))
            put_field(out, &f);
}

static void put_received(struct buf *out, const struct header_facts *h, const char *date)
{
    (void)buf_printf(out, "Received: from %s (uid %ju)\n\tby %s (abide " PACKAGE_VERSION ") id %s", h->user, (uintmax_t)h->uid,
        h->hostname, h->id->s);
    if (h->only_rcpt != NULL && strlen(h->only_rcpt) < LINE_MAX_BYTES / 2)
        (void)buf_printf(out, "\n\tfor <%s>", h->only_rcpt);
    (void)buf_printf(out, ";\n\t%s\n", date);
}

static void put_from(struct buf *out, const char *prefix, const struct header_facts *h)
{
    size_t start;

    (void)buf_printf(out, "%sFrom: ", prefix);
    start = out->len;
    rfc5322_phrase(out, h->full_name);
    if (out->len == start)
        (void)buf_printf(out, "%s\n", h->from);
    else
        (void)buf_printf(out, "%s<%s>\n", out->len - start + strlen(h->from) > LINE_WISHED ? "\n " : " ", h->from);
}

/* The fields that are WANTED, each name with PREFIX before it. */
static void put_missing(struct buf *out, unsigned wanted, const char *prefix, const struct header_facts *h, const char *date)
{
    if (wanted & WANTED_DATE)
        (void)buf_printf(out, "%sDate: %s\n", prefix, date);
    if (wanted & WANTED_FROM)
        put_from(out, prefix, h);
    if (wanted & WANTED_ID)
        (void)buf_printf(out, "%sMessage-ID: <%s%s@%s>\n", prefix, h->id->s, prefix[0] == '\0' ? "" : "-resent", h->hostname);
}

/* Resent- fields stand before the message they resend (RFC 5322 3.6.6). */
void header_complete(struct buf *out, const char *text, size_t len, const struct header_facts *h)
{
    unsigned wanted = missing(text, len);
    char date[CLOCK_DATE_SIZE];

    clock_date(h->at, date);
    put_received(out, h, date);
    put_missing(out, wanted >> RESENT_SHIFT, "Resent-", h, date);
    put_fields(out, text, len);
    put_missing(out, wanted & WANTED_ALL, "", h, date);
    (void)buf_char(out, '\n');
}

unsigned header_received(const char *text, size_t len)
{
    unsigned n = 0;
    struct field f;

    for (size_t pos = 0; field_next(text, len, &pos, &f);)
        n += field_is(&f, "Received");
    return n;
}
