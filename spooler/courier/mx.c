/* mx: domain to mail hosts. Owns the look-ups under way and those behind them.
 * A domain's answer waits for the addresses of its first hosts: a host without
 * any is no host, and one that is ourselves is a loop. It never falls back to
 * the domain's own address where an MX record exists. Called by courier. */
#include <config.h>

#include <sys/queue.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/err.h"
#include "spooler/courier/answer.h"
#include "spooler/courier/mx.h"

enum {
    UNDER_WAY_MAX = 50,
    RESOLVED_MAX = 16,                  /* hosts whose addresses are looked up before the domain is answered */
    HOSTS_WAIT_MIN_MS = 1000,
    DOMAIN_SIZE = 256
};

struct lookup;

/* A host of a domain while its addresses are looked up. */
struct check {
    struct lookup *lookup;
    struct resolve_query *query;          /* NULL: answered */
    enum dns_status status;
    const char *why;
    bool own;
};

struct lookup {
    TAILQ_ENTRY(lookup) entry;
    struct mx *mx;
    uint32_t query;
    char domain[DOMAIN_SIZE], self[DOMAIN_SIZE];
    enum ip_family family;
    uint32_t timeout_ms;
    struct mono begun;
    struct event *timer;                /* of the MX question; its hosts have their own */
    struct dns_query *asking;
    bool implicit;                      /* no MX record: the domain is its own host */
    bool loop;
    struct answer_mx found;
    struct check check[RESOLVED_MAX];
    unsigned checking;
};

struct mx {
    struct event_base *base;
    struct dns *dns;
    struct resolve *resolve;
    const struct ip_own *own;
    mx_fn *fn;
    void *arg;
    TAILQ_HEAD(lookup_list, lookup) under_way, waiting;
    unsigned nunder_way;
    bool starting;                      /* one that fails at once must not start the next from within */
    bool stalled;
};

static void lookup_start(struct lookup *);

static void lookup_free(struct lookup *l)
{
    dns_cancel(l->asking);
    for (unsigned i = 0; i < RESOLVED_MAX; i++)
        resolve_cancel(l->check[i].query);
    if (l->timer != NULL)
        event_free(l->timer);
    free(l);
}

static void lookup_next(struct mx *m)
{
    struct lookup *l;

    if (m->starting)
        return;
    m->starting = true;
    while (!m->stalled && m->nunder_way < UNDER_WAY_MAX && (l = TAILQ_FIRST(&m->waiting)) != NULL) {
        TAILQ_REMOVE(&m->waiting, l, entry);
        TAILQ_INSERT_TAIL(&m->under_way, l, entry);
        m->nunder_way++;
        lookup_start(l);
    }
    m->starting = false;
}

/* The end of L: tells, and forgets it. */
static void lookup_tell(struct lookup *l, const struct wire_route *r)
{
    struct mx *m = l->mx;

    TAILQ_REMOVE(&m->under_way, l, entry);
    m->nunder_way--;
    m->fn(m->arg, r);
    lookup_free(l);
    lookup_next(m);
}

__attribute__((format(printf, 4, 5)))
static void lookup_fail(struct lookup *l, enum route_status status, uint32_t ttl_s, const char *fmt, ...)
{
    char text[WIRE_TEXT_MAX];
    struct wire_route r = { .query = l->query, .status = status, .ttl_s = ttl_s, .text = text };
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    lookup_tell(l, &r);
}

static void lookup_fail_dns(struct lookup *l, enum dns_status status, const char *why)
{
    lookup_fail(l, status == DNS_LOCAL ? ROUTE_LOCAL : ROUTE_TEMP, ANSWER_TTL_MIN_S, "%s: %s", l->domain, why);
}

static void lookup_succeed(struct lookup *l)
{
    struct wire_host host[WIRE_HOST_MAX];
    struct wire_route r = { .query = l->query, .status = ROUTE_OK, .ttl_s = l->found.ttl_s, .text = "", .nhost = l->found.nhost, .host = host };

    for (unsigned i = 0; i < l->found.nhost; i++)
        host[i] = (struct wire_host){ .preference = l->found.host[i].preference, .name = l->found.host[i].name };
    lookup_tell(l, &r);
}

/* Of the hosts that could not be resolved, the reason most worth telling. */
static const struct check *worst_check(const struct lookup *l, unsigned n)
{
    const struct check *worst = NULL;

    for (unsigned i = 0; i < n; i++)
        if (l->check[i].status >= DNS_TEMP && (worst == NULL || l->check[i].status > worst->status))
            worst = &l->check[i];
    return worst;
}

static void lookup_fail_hosts(struct lookup *l, const struct check *worst)
{
    if (l->loop)
        lookup_fail(l, ROUTE_LOOP, l->found.ttl_s, "mail for %s loops back to myself", l->domain);
    else if (worst != NULL)
        lookup_fail_dns(l, worst->status, worst->why);
    else if (l->implicit)
        lookup_fail(l, ROUTE_NO_HOST, ANSWER_TTL_MIN_S, "%s has neither mail host nor address", l->domain);
    else
        lookup_fail(l, ROUTE_NO_HOST, ANSWER_TTL_MIN_S, "no mail host of %s has an address", l->domain);
}

/* All addresses are known that will be. */
static void lookup_finish(struct lookup *l)
{
    unsigned nchecked, kept = 0;
    const struct check *worst;

    for (unsigned i = 0; i < l->found.nhost && i < RESOLVED_MAX; i++)
        if (l->check[i].own) {
            answer_mx_cut(&l->found, i);
            l->loop = l->found.nhost == 0;
        }
    nchecked = l->found.nhost < RESOLVED_MAX ? l->found.nhost : RESOLVED_MAX;
    worst = worst_check(l, nchecked);
    for (unsigned i = 0; i < l->found.nhost; i++)
        if (i >= nchecked || l->check[i].status == DNS_OK)
            l->found.host[kept++] = l->found.host[i];
    l->found.nhost = kept;
    if (worst != NULL)
        l->found.ttl_s = ANSWER_TTL_MIN_S;
    if (kept > 0)
        lookup_succeed(l);
    else
        lookup_fail_hosts(l, worst);
}

static void on_host(void *arg, const struct resolve_found *f)
{
    struct check *c = arg;
    struct lookup *l = c->lookup;

    c->query = NULL;
    c->status = f->status;
    c->why = f->why;
    for (unsigned i = 0; i < f->nip; i++)
        if (ip_is_own(l->mx->own, &f->ip[i]))
            c->own = true;
    if (f->nip > 0 && f->ttl_s < l->found.ttl_s)
        l->found.ttl_s = f->ttl_s;
    if (--l->checking == 0)
        lookup_finish(l);
}

static void check_start(struct lookup *l, unsigned at)
{
    struct check *c = &l->check[at];
    int64_t left_ms = l->begun.ms + l->timeout_ms - clock_now().mono.ms;
    uint32_t wait_ms = left_ms < HOSTS_WAIT_MIN_MS ? HOSTS_WAIT_MIN_MS : (uint32_t)left_ms;

    c->lookup = l;
    c->query = resolve_find(l->mx->resolve, l->found.host[at].name, l->family, wait_ms, on_host, c);
    if (c->query != NULL) {
        l->checking++;
        return;
    }
    c->status = DNS_LOCAL;
    c->why = "out of memory";
}

static void lookup_hosts(struct lookup *l)
{
    for (unsigned i = 0; i < l->found.nhost; i++)
        if (strcmp(l->found.host[i].name, l->self) == 0) {
            answer_mx_cut(&l->found, i);
            l->loop = l->found.nhost == 0;
        }
    answer_mx_shuffle(&l->found);
    for (unsigned i = 0; i < l->found.nhost && i < RESOLVED_MAX; i++)
        check_start(l, i);
    if (l->checking == 0)
        lookup_finish(l);
}

static void lookup_implicit(struct lookup *l)
{
    l->implicit = true;
    l->found = (struct answer_mx){ .nhost = 1, .ttl_s = ANSWER_TTL_MAX_S };
    strlcpy(l->found.host[0].name, l->domain, sizeof(l->found.host[0].name));
    lookup_hosts(l);
}

static void lookup_records(struct lookup *l, const struct dns_answer *a)
{
    if (answer_mx(a->msg, a->len, l->domain, &l->found) == -1)
        lookup_fail_dns(l, DNS_TEMP, "the DNS answer is malformed");
    else if (l->found.nrecord == 0)
        lookup_implicit(l);
    else if (l->found.nrecord == l->found.nnull)
        lookup_fail(l, ROUTE_NULL_MX, l->found.ttl_s, "%s accepts no mail (null MX)", l->domain);
    else
        lookup_hosts(l);
}

static void on_mx(void *arg, const struct dns_answer *a)
{
    struct lookup *l = arg;

    l->asking = NULL;
    event_del(l->timer);
    switch (a->status) {
    case DNS_OK:
        lookup_records(l, a);
        break;
    case DNS_NO_DATA:
        lookup_implicit(l);
        break;
    case DNS_NO_DOMAIN:
        lookup_fail(l, ROUTE_NO_DOMAIN, answer_negative_ttl_s(a->msg, a->len), "%s: no such domain", l->domain);
        break;
    case DNS_TEMP:
    case DNS_LOCAL:
        lookup_fail_dns(l, a->status, a->why);
        break;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct lookup *l = arg;

    (void)fd;
    (void)what;
    if (dns_heard(l->mx->dns, l->begun))
        lookup_fail_dns(l, DNS_TEMP, "the DNS servers have no answer in time");
    else
        lookup_fail_dns(l, DNS_LOCAL, "no DNS server answers");
}

/* The domain is an address: it is its own host, by that address. */
static void lookup_literal(struct lookup *l, const struct ip *ip)
{
    l->found = (struct answer_mx){ .nhost = 1, .ttl_s = ANSWER_TTL_MAX_S };
    ip_format(ip, l->found.host[0].name);
    l->check[0].own = ip_is_own(l->mx->own, ip);
    lookup_finish(l);
}

static void lookup_start(struct lookup *l)
{
    struct timeval tv = { .tv_sec = l->timeout_ms / 1000, .tv_usec = (suseconds_t)(l->timeout_ms % 1000) * 1000 };
    char name[ANSWER_NAME_SIZE];
    struct ip ip;

    l->begun = clock_now().mono;
    if (ip_parse_literal(l->domain, &ip)) {
        lookup_literal(l, &ip);
        return;
    }
    if (!answer_name(l->domain, name)) {
        lookup_fail(l, ROUTE_NO_DOMAIN, ANSWER_NEGATIVE_TTL_MAX_S, "%s: not a domain name", l->domain);
        return;
    }
    strlcpy(l->domain, name, sizeof(l->domain));
    l->timer = evtimer_new(l->mx->base, on_timer, l);
    l->asking = dns_ask(l->mx->dns, name, DNS_MX, on_mx, l);
    if (l->timer == NULL || l->asking == NULL || event_add(l->timer, &tv) == -1)
        lookup_fail_dns(l, DNS_LOCAL, "out of memory");
}

void mx_lookup(struct mx *m, const struct wire_lookup *w, enum ip_family family, uint32_t timeout_ms)
{
    struct lookup *l = calloc(1, sizeof(*l));

    if (l == NULL) {
        m->fn(m->arg, &(struct wire_route){ .query = w->query, .status = ROUTE_LOCAL, .ttl_s = ANSWER_TTL_MIN_S, .text = "out of memory" });
        return;
    }
    l->mx = m;
    l->query = w->query;
    strlcpy(l->domain, w->domain, sizeof(l->domain));
    if (!answer_name(w->self, l->self))
        l->self[0] = '\0';
    l->family = family;
    l->timeout_ms = timeout_ms;
    TAILQ_INSERT_TAIL(&m->waiting, l, entry);
    lookup_next(m);
}

void mx_stall(struct mx *m, bool stalled)
{
    m->stalled = stalled;
    lookup_next(m);
}

struct mx *mx_new(struct event_base *base, struct dns *dns, struct resolve *resolve, const struct ip_own *own, mx_fn *fn, void *arg, struct err *e)
{
    struct mx *m = calloc(1, sizeof(*m));

    if (m == NULL) {
        err_sys(e, EX_OSERR, "mx");
        return NULL;
    }
    m->base = base;
    m->dns = dns;
    m->resolve = resolve;
    m->own = own;
    m->fn = fn;
    m->arg = arg;
    TAILQ_INIT(&m->under_way);
    TAILQ_INIT(&m->waiting);
    return m;
}

void mx_free(struct mx *m)
{
    struct lookup *l;

    if (m == NULL)
        return;
    while ((l = TAILQ_FIRST(&m->under_way)) != NULL) {
        TAILQ_REMOVE(&m->under_way, l, entry);
        lookup_free(l);
    }
    while ((l = TAILQ_FIRST(&m->waiting)) != NULL) {
        TAILQ_REMOVE(&m->waiting, l, entry);
        lookup_free(l);
    }
    free(m);
}
