/* what: reads the words with which mail is named, and compares. It opens
 * nothing. Called by the verbs that choose among messages. */
#include <config.h>

#include "spooler/tool/what.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "spooler/policy/route.h"

bool what_dir(const char *rcpt, char dir[SPOOL_DOMAIN_SIZE])
{
    char domain[ROUTE_DOMAIN_MAX];

    if (route_domain(rcpt, domain, NULL) != 0)
        return false;
    spool_domain_name(domain, dir);
    return true;
}

static int parse_address(const char *text, struct what *w, struct err *e)
{
    w->kind = WHAT_ADDRESS;
    if (address_parse(text, strlen(text), w->address, NULL) == 0 && w->address[0] != '\0' && what_dir(w->address, w->dir))
        return 0;
    return err_set(e, EX_USAGE, "'%.200s' is no mail address", text);
}

static int parse_domain(const char *text, struct what *w, struct err *e)
{
    char address[ADDRESS_MAX];

    w->kind = WHAT_DOMAIN;
    if (snprintf(address, sizeof(address), "x@%s", text) < (int)sizeof(address) && what_dir(address, w->dir))
        return 0;
    return err_set(e, EX_USAGE, "'%.200s' is neither a message ID, a domain, an address, nor 'all'", text);
}

int what_parse(const char *text, struct what *w, struct err *e)
{
    *w = (struct what){ .kind = WHAT_ALL, .text = text };
    if (strcmp(text, "all") == 0)
        return 0;
    if (msgid_valid(text)) {
        w->kind = WHAT_ID;
        (void)strlcpy(w->id.s, text, sizeof(w->id.s));
        return 0;
    }
    return strchr(text, '@') != NULL ? parse_address(text, w, e) : parse_domain(text, w, e);
}

bool what_in_dir(const struct what *w, const char *dir)
{
    return w->kind == WHAT_ALL || w->kind == WHAT_ID || strcmp(w->dir, dir) == 0;
}

bool what_is_id(const struct what *w, const struct msgid *id)
{
    return w->kind == WHAT_ALL || (w->kind == WHAT_ID && strcmp(w->id.s, id->s) == 0);
}

/* Domains are compared as directories: a name has several spellings. */
static bool same_local_part(const char *a, const char *b)
{
    const char *da = address_domain(a), *db = address_domain(b);

    return da != NULL && db != NULL && da - a == db - b && memcmp(a, b, (size_t)(da - a)) == 0;
}

bool what_is_recipient(const struct what *w, const char *rcpt)
{
    char dir[SPOOL_DOMAIN_SIZE];

    if (w->kind != WHAT_DOMAIN && w->kind != WHAT_ADDRESS)
        return false;
    if (!what_dir(rcpt, dir) || strcmp(dir, w->dir) != 0)
        return false;
    return w->kind == WHAT_DOMAIN || same_local_part(w->address, rcpt);
}
