/* route: names next hops and sites. It looks nothing up: MX hosts come from the
 * courier. Called by the keeper when it files a message, before a delivery, and
 * when an answer of the DNS arrives. */
#include <config.h>

#include "spooler/policy/route.h"

#include <idn2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/address.h"
#include "common/config.h"
#include "common/err.h"
#include "common/identity.h"
#include "spooler/policy/provider.h"

enum { HOSTS_MAX = 64 };                /* of one route; more are not looked at */

static void lower(char *s)
{
    for (; *s != '\0'; s++)
        if (*s >= 'A' && *s <= 'Z')
            *s = (char)(*s - 'A' + 'a');
}

static bool is_ascii(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

/* ---- domains ----------------------------------------------------------------- */

/* RFC 5891: a U-label becomes the A-label that the DNS knows. */
static int to_ascii(const char *domain, char out[ROUTE_DOMAIN_MAX], struct err *e)
{
    uint8_t *ascii = NULL;
    int rc = idn2_lookup_u8((const uint8_t *)domain, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    size_t len;

    if (rc != IDN2_OK)
        return err_set(e, rc == IDN2_MALLOC ? EX_TEMPFAIL : EX_NOHOST, "%s: %s", domain, idn2_strerror(rc));
    len = strlcpy(out, (const char *)ascii, ROUTE_DOMAIN_MAX);
    idn2_free(ascii);
    return len < ROUTE_DOMAIN_MAX ? 0 : err_set(e, EX_NOHOST, "%s: the name is too long", domain);
}

int route_domain(const char *address, char out[ROUTE_DOMAIN_MAX], struct err *e)
{
    const char *domain = address_domain(address);
    size_t len;

    out[0] = '\0';
    if (domain == NULL)
        return 0;
    if (!is_ascii(domain)) {
        if (to_ascii(domain, out, e) == -1)
            return -1;
    } else if (strlcpy(out, domain, ROUTE_DOMAIN_MAX) >= ROUTE_DOMAIN_MAX) {
        return err_set(e, EX_NOHOST, "%s: the name is too long", domain);
    }
    lower(out);
    len = strlen(out);
    if (len > 1 && out[len - 1] == '.')
        out[len - 1] = '\0';
    if (!address_domain_valid(out))
        return err_set(e, EX_NOHOST, "%s: not a valid domain", domain);
    return 0;
}

bool route_address(const char *address, char *out, size_t size)
{
    const char *domain = address_domain(address);
    char name[ROUTE_DOMAIN_MAX];

    if (domain == NULL || is_ascii(domain) || route_domain(address, name, NULL) == -1)
        return false;
    return (size_t)snprintf(out, size, "%.*s%s", (int)(domain - address), address, name) < size;
}

/* ---- next hop ------------------------------------------------------------------ */

/* How well a `route` line fits: 0 not at all, more for the more special one. */
static size_t route_fit(const char *pattern, const char *domain)
{
    size_t n = strlen(pattern), len = strlen(domain);

    if (strcasecmp(pattern, domain) == 0)
        return SIZE_MAX;
    if (n < 3 || strncmp(pattern, "*.", 2) != 0 || len < n)
        return 0;
    return strcasecmp(domain + len - (n - 1), pattern + 1) == 0 ? n : 0;
}

static const struct config_route *find_route(const struct config *c, const char *domain)
{
    const struct config_route *best = NULL;
    size_t most = 0;

    for (size_t i = 0; i < c->nroute; i++) {
        size_t fit = route_fit(c->route[i].domain, domain);

        if (fit > most) {
            most = fit;
            best = &c->route[i];
        }
    }
    return best;
}

static bool is_local(const struct identity *id, const char *domain)
{
    return *domain == '\0' || strcasecmp(domain, id->hostname) == 0 || strcmp(domain, "localhost") == 0 ||
           strcmp(domain, "localhost.localdomain") == 0;
}

static uint64_t hash(const char *s)
{
    uint64_t h = 14695981039346656037U;

    for (; *s != '\0'; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211U;
    return h;
}

/* A name for sites/NAME out of any text: nothing in it can leave the
 * directory, and what was cut stays distinct. */
static void make_site(const char *prefix, const char *name, char out[ROUTE_SITE_MAX])
{
    size_t len = (size_t)snprintf(out, ROUTE_SITE_MAX, "%s%s", prefix, name);

    lower(out);
    if (len >= ROUTE_SITE_MAX)
        snprintf(out + ROUTE_SITE_MAX - 18, 18, "-%016llx", (unsigned long long)hash(name));
    for (char *p = out; *p != '\0'; p++)
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789.-_+", *p) == NULL || (p == out && *p == '.'))
            *p = '_';
}

static void hop_via(struct route_hop *hop, const char *host, unsigned port)
{
    hop->kind = ROUTE_TO_RELAY;
    strlcpy(hop->host, host, sizeof(hop->host));
    hop->port = port;
}

void route_hop(const struct config *c, const struct identity *id, const char *domain, struct route_hop *hop)
{
    const struct config_route *r = find_route(c, domain);

    *hop = (struct route_hop){ .kind = ROUTE_TO_MX, .port = c->mx_port };
    if (r != NULL) {
        hop_via(hop, r->host, r->port);
        make_site("route-", r->host, hop->site);
    } else if (c->relay_host[0] != '\0') {
        hop_via(hop, c->relay_host, c->relay_port);
        strlcpy(hop->site, "relay", sizeof(hop->site));
    } else if (is_local(id, domain)) {
        hop->kind = ROUTE_NOWHERE;
    }
}

/* ---- sites ------------------------------------------------------------------------ */

/* Where the last N labels of HOST begin. */
static const char *last_labels(const char *host, unsigned n)
{
    const char *p = host + strlen(host);

    for (; p > host; p--)
        if (p[-1] == '.' && --n == 0)
            return p;
    return host;
}

/* The part one registers: two labels, three under what looks like co.uk or
 * com.br. There is no need to be right: a wrong guess only makes a site wider
 * or narrower. */
static const char *registered(const char *host)
{
    static const char *const second[] = {
        "ac", "co", "com", "edu", "go", "gob", "gov", "gv", "mil", "ne", "net", "nom", "or", "org", "plc", "sch",
    };
    const char *two = last_labels(host, 2), *dot = strchr(two, '.');

    if (dot == NULL || strlen(dot + 1) != 2)
        return two;
    for (size_t i = 0; i < sizeof(second) / sizeof(second[0]); i++)
        if (strlen(second[i]) == (size_t)(dot - two) && memcmp(second[i], two, (size_t)(dot - two)) == 0)
            return last_labels(host, 3);
    return two;
}

/* The end that A and B have in common, in whole labels. */
static const char *common_parent(const char *a, const char *b)
{
    const char *p = a + strlen(a), *q = b + strlen(b), *parent = p;

    while (p > a && q > b && p[-1] == q[-1]) {
        p--;
        q--;
        if ((p == a || p[-1] == '.') && (q == b || q[-1] == '.'))
            parent = p;
    }
    return parent;
}

static const char *above(const char *host)
{
    const char *dot = strchr(host, '.');

    return host == registered(host) || dot == NULL ? host : dot + 1;
}

/* What HOST[I] and all of its registered domain share: mx1 and mx2 of
 * mx.example.net are mx.example.net; a lone host is the domain it is in. */
static const char *group_name(const char *const *host, size_t n, size_t i)
{
    const char *domain = registered(host[i]), *name = above(host[i]);

    for (size_t k = 0; k < n; k++)
        if (strcmp(registered(host[k]), domain) == 0)
            name = common_parent(name, above(host[k]));
    return name;
}

/* Whose hosts these are: a provider's if most of them are, or half of them and
 * the first. The order of equal preferences is random, so it must count little. */
static const struct provider *owner(const char *const *host, size_t n)
{
    const struct provider *of[HOSTS_MAX];

    for (size_t i = 0; i < n; i++)
        of[i] = provider_of_host(host[i]);
    for (size_t i = 0; i < n; i++) {
        size_t count = 0;

        for (size_t k = 0; k < n; k++)
            count += of[k] == of[i];
        if (of[i] != NULL && (count * 2 > n || (count * 2 == n && of[i] == of[0])))
            return of[i];
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Hosts of several registered domains are a site of their own, named after all
 * of them in alphabetical order: sharing a backup host makes nobody neighbours. */
static void join_groups(const char *const *host, size_t n, char *out, size_t size)
{
    const char *name[HOSTS_MAX];

    for (size_t i = 0; i < n; i++)
        name[i] = group_name(host, n, i);
    qsort(name, n, sizeof(name[0]), by_name);
    strlcpy(out, name[0], size);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(name[i], name[i - 1]) == 0)
            continue;
        strlcat(out, "+", size);
        strlcat(out, name[i], size);
    }
}

/* Names without a dot, of `route` lines and of domains without hosts are ours,
 * never a stranger's. */
static bool is_reserved(const char *name)
{
    return strchr(name, '.') == NULL || strncmp(name, "route-", 6) == 0 || strncmp(name, "dns-", 4) == 0;
}

void route_site(const char *const *host, size_t n, char out[ROUTE_SITE_MAX])
{
    char name[4 * ROUTE_DOMAIN_MAX];
    const struct provider *p;

    if (n > HOSTS_MAX)
        n = HOSTS_MAX;
    p = owner(host, n);
    if (p != NULL) {
        strlcpy(out, p->name, ROUTE_SITE_MAX);
        return;
    }
    join_groups(host, n, name, sizeof(name));
    make_site(is_reserved(name) ? "mx-" : "", name, out);
}
