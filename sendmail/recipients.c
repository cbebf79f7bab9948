/* recipients: gathers, qualifies and merges addresses. Each is looked up in a
 * table of those seen, so that a hundred thousand take no longer than they
 * must. An address that cannot be read is put aside, and the others go on.
 * Called by submit once the header is in. */
#include <config.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/address.h"
#include "common/err.h"
#include "common/rfc5322.h"
#include "sendmail/addrlist.h"
#include "sendmail/header.h"
#include "sendmail/recipients.h"

/* ---- a set of addresses ------------------------------------------------ */

struct set {
    char **slot;                        /* open addressing; NULL is free */
    size_t room, n;                     /* room is a power of two */
};

static uint64_t hash(const char *s)
{
    uint64_t h = UINT64_C(14695981039346656037);    /* FNV-1a */

    for (; *s != '\0'; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
    return h ^ (h >> 32);
}

/* Where ADDRESS is, or where it would go. */
static char **set_slot(const struct set *s, const char *address)
{
    size_t i = (size_t)hash(address) & (s->room - 1);

    while (s->slot[i] != NULL && strcmp(s->slot[i], address) != 0)
        i = (i + 1) & (s->room - 1);
    return &s->slot[i];
}

static bool set_has(const struct set *s, const char *address)
{
    return s->room > 0 && *set_slot(s, address) != NULL;
}

static int set_grow(struct set *s, struct err *e)
{
    struct set more = { .room = s->room == 0 ? 64 : s->room * 2, .n = s->n };

    more.slot = calloc(more.room, sizeof(*more.slot));
    if (more.slot == NULL)
        return err_sys(e, EX_TEMPFAIL, "recipients");
    for (size_t i = 0; i < s->room; i++)
        if (s->slot[i] != NULL)
            *set_slot(&more, s->slot[i]) = s->slot[i];
    free(s->slot);
    *s = more;
    return 0;
}

/* Keeps a copy of an ADDRESS it has not. */
static int set_add(struct set *s, const char *address, struct err *e)
{
    char *copy;

    if (s->n >= s->room / 2 && set_grow(s, e) != 0)
        return -1;
    copy = strdup(address);
    if (copy == NULL)
        return err_sys(e, EX_TEMPFAIL, "recipients");
    *set_slot(s, address) = copy;
    s->n++;
    return 0;
}

static void set_fini(struct set *s)
{
    for (size_t i = 0; i < s->room; i++)
        free(s->slot[i]);
    free(s->slot);
}

/* ---- collecting -------------------------------------------------------- */

struct collector {
    const struct recipients_rules *rules;
    struct envelope *env;
    struct recipients *r;
    struct set seen;                    /* met, or not to be met */
};

static bool is_local(const struct recipients_rules *rules, const char *domain)
{
    return domain == NULL || strcasecmp(domain, "localhost") == 0 || strcasecmp(domain, rules->hostname) == 0;
}

/* ADDRESS as it goes into the envelope. False: too long with its domain. */
static bool qualify(const struct recipients_rules *rules, const char *address, char out[ADDRESS_MAX])
{
    const char *domain = address_domain(address);

    if (rules->root[0] != '\0' && is_local(rules, domain)) {
        address = rules->root;
        domain = address_domain(address);
    }
    if (domain != NULL)
        return strlcpy(out, address, ADDRESS_MAX) < ADDRESS_MAX;
    return snprintf(out, ADDRESS_MAX, "%s@%s", address, rules->domain) < ADDRESS_MAX;
}

static void put_aside(struct recipients *r, const char *text, size_t len)
{
    char line[RECIPIENTS_BAD_LINE + 1];
    size_t n = 0;

    for (size_t i = 0; i < len && n < RECIPIENTS_BAD_LINE; i++)
        line[n++] = text[i] == '\n' || text[i] == '\t' ? ' ' : text[i] < ' ' || text[i] > '~' ? '?' : text[i];
    line[n++] = '\n';
    r->nbad++;
    (void)buf_add(&r->bad, line, n);    /* what does not fit is counted */
}

static int take(struct collector *c, const char *address, bool blind, struct err *e)
{
    if (set_has(&c->seen, address))
        return 0;
    if (c->rules->max != 0 && c->env->nrcpt >= c->rules->max)
        return err_set(e, EX_DATAERR, "more than %zu recipients (max_recipients)", c->rules->max);
    if (set_add(&c->seen, address, e) != 0)
        return -1;
    c->r->blind |= blind;
    return envelope_add_rcpt(c->env, address, e);
}

enum use { USE_OPEN, USE_BLIND, USE_EXCLUDE };

static int take_list(struct collector *c, const char *text, size_t len, enum use use, struct err *e)
{
    char address[ADDRESS_MAX];
    enum addrlist_got got;
    struct addrlist list;
    int r = 0;

    addrlist_init(&list, text, len);
    while (r == 0 && (got = addrlist_next(&list)) != ADDRLIST_END) {
        if (got == ADDRLIST_BAD)
            put_aside(c->r, list.text, list.text_len);
        else if (!qualify(c->rules, list.address, address))
            put_aside(c->r, list.address, strlen(list.address));
        else if (use != USE_EXCLUDE)
            r = take(c, address, use == USE_BLIND, e);
        else if (!set_has(&c->seen, address))
            r = set_add(&c->seen, address, e);
    }
    return r;
}

/* A control byte in an argument was meant to become a line of something. */
static int take_args(struct collector *c, char *const *arg, size_t narg, enum use use, struct err *e)
{
    for (size_t i = 0; i < narg; i++) {
        if (addrlist_has_control(arg[i]))
            return err_set(e, EX_DATAERR, "a control byte in the recipient \"%.100s\"", arg[i]);
        if (take_list(c, arg[i], strlen(arg[i]), use, e) != 0)
            return -1;
    }
    return 0;
}

static const struct source {
    const char *name;
    bool resent;
    enum use use;
} sources[] = {
    { "To", false, USE_OPEN }, { "Cc", false, USE_OPEN }, { "Bcc", false, USE_BLIND },
    { "Resent-To", true, USE_OPEN }, { "Resent-Cc", true, USE_OPEN }, { "Resent-Bcc", true, USE_BLIND },
};

static const struct source *source_find(const struct field *f)
{
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
        if (field_is(f, sources[i].name))
            return &sources[i];
    return NULL;
}

static int take_header(struct collector *c, const char *header, size_t len, bool resent, struct err *e)
{
    struct field f;

    for (size_t pos = 0; field_next(header, len, &pos, &f);) {
        const struct source *s = source_find(&f);

        if (s != NULL && s->resent == resent && take_list(c, f.value, f.value_len, s->use, e) != 0)
            return -1;
    }
    return 0;
}

/* Nobody is left: why? */
static int nobody(const struct recipients *r, bool resent, struct err *e)
{
    if (r->nbad > 0)
        return err_set(e, EX_DATAERR, "bad recipient address: %.*s", (int)strcspn(r->bad.data, "\n"), r->bad.data);
    if (resent)
        return err_set(e, EX_DATAERR, "no recipients in Resent- fields");
    return err_set(e, EX_USAGE, "no recipients");
}

int recipients_collect(const struct recipients_rules *rules, char *const *arg, size_t narg, const char *header, size_t len,
    struct envelope *env, struct recipients *r, struct err *e)
{
    struct collector c = { .rules = rules, .env = env, .r = r };
    bool resent = rules->from_header && header_resent(header, len);
    int got = take_args(&c, arg, narg, rules->from_header && rules->subtract ? USE_EXCLUDE : USE_OPEN, e);

    if (got == 0 && rules->from_header)
        got = take_header(&c, header, len, resent, e);
    if (got == 0 && r->nbad > 0 && r->bad.len == 0)
        got = err_set(e, EX_TEMPFAIL, "recipients: out of memory");
    if (got == 0 && env->nrcpt == 0)
        got = nobody(r, resent, e);
    set_fini(&c.seen);
    return got;
}

void recipients_fini(struct recipients *r)
{
    buf_fini(&r->bad);
}
