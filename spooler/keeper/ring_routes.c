/* Where a domain goes. Owns the line of those that wait for a look-up and which of
 * these are under way. Called by the keeper's look at a domain, by dispatch and by
 * requests with the courier's answers. Never touches a connection. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spooler/keeper/child.h"
#include "spooler/keeper/context.h"
#include "spooler/keeper/hostsfile.h"
#include "spooler/keeper/ring.h"
#include "spooler/keeper/ring_state.h"
#include "spooler/policy/judge.h"
#include "spooler/policy/route.h"

enum { REFUSED_S = 300 };               /* an unhappy answer of the DNS is asked again after */

void ring_stand_in_line(struct keeper *k, struct domain *d)
{
    ring_leave(k, d);
    d->query = RING_WAITS;
    d->linked = true;
    TAILQ_INSERT_TAIL(&k->rings->line, d, link);
}

static enum ring_route to_relay(struct keeper *k, struct domain *d, const struct route_hop *to)
{
    struct wire_host host = { .preference = 0, .name = to->host };
    struct ring *r = ring_get(k, to->site);
    struct hop *h = r == NULL ? NULL : ring_hop(r, &host, 1, to->port);

    if (h == NULL)
        return RING_ASKED;              /* out of memory: later */
    h->relay = true;
    if (h->address == NULL)
        h->address = hostsfile_find(to->host, k->config->ip);
    ring_place(k, d, h, WINDOW_NEVER);
    return RING_ROUTED;
}

enum ring_route ring_route(struct keeper *k, struct domain *d)
{
    struct route_hop to;
    struct mono until;

    route_hop(k->config, &k->identity, d->name, &to);
    if (to.kind == ROUTE_TO_RELAY)
        return d->hop != NULL && d->route_until == WINDOW_NEVER ? RING_ROUTED : to_relay(k, d, &to);
    if (to.kind == ROUTE_NOWHERE)
        return RING_NOWHERE;
    if (d->route_until > keeper_seconds(k))
        return d->refused != NULL ? RING_REFUSED : RING_ROUTED;
    if (d->hop != NULL && site_paused(d->hop->ring->site, k->now.mono, NULL, &until))
        return RING_ROUTED;             /* nobody goes there now: no need to know better */
    if (d->query == 0)
        ring_stand_in_line(k, d);
    return RING_ASKED;
}

void ring_ask(struct keeper *k)
{
    struct rings *r = k->rings;
    struct domain *d;

    for (unsigned i = 0; i < LOOKUPS && !TAILQ_EMPTY(&r->line); i++) {
        struct wire_msg m = { .kind = WIRE_LOOKUP };

        if (r->asked[i].domain != NULL)
            continue;
        if (!child_ready(k))
            return;
        d = TAILQ_FIRST(&r->line);
        m.u.lookup = (struct wire_lookup){ .query = ++r->next_query, .domain = d->name, .self = k->identity.hostname };
        if (!child_send(k, &m, -1))
            return;
        ring_leave(k, d);
        d->query = m.u.lookup.query;
        r->asked[i].domain = d;
        r->asked[i].query = d->query;
    }
}

/* Nobody could tell: the domain waits as behind a site that is down. */
static void unresolved(struct keeper *k, struct domain *d, const struct wire_route *w)
{
    struct verdict v = { .cause = w->status == ROUTE_LOCAL ? CAUSE_LOCAL : CAUSE_DNS_TEMP, .scope = SCOPE_HOST, .hint_ms = -1, .rule = "dns" };
    char name[ROUTE_SITE_MAX];
    struct ring *r = d->hop != NULL ? d->hop->ring : NULL;

    log_line(k->log, LEVEL_WARN, "domain=%s look-up failed: %s", d->name, w->text);
    if (d->hop != NULL && d->hop->nhost > 0) {
        d->route_until = keeper_seconds(k) + REFUSED_S;         /* the hosts it had are better than none */
        return;
    }
    if (r == NULL) {
        snprintf(name, sizeof name, "dns-%.*s", (int)sizeof name - 5, d->dir);
        if ((r = ring_get(k, name)) == NULL)
            return;
        ring_place(k, d, ring_hop(r, NULL, 0, 0), 0);
    }
    if (d->hop == NULL)
        return;
    site_said(r->site, w->text);
    site_refused(r->site, &v, d->name, 0, k->now.mono, &r->load, k->now.wall, k->now.mono);
}

static void refused(struct keeper *k, struct domain *d, const struct wire_route *w)
{
    static const char *const status[] = {
        [ROUTE_NO_DOMAIN] = "5.1.2", [ROUTE_NO_HOST] = "5.4.4", [ROUTE_NULL_MX] = "5.1.10", [ROUTE_LOOP] = "5.4.6",
    };

    ring_leave(k, d);
    free(d->refused);
    d->refused = strdup(w->text[0] != '\0' ? w->text : "no host takes mail for this domain");
    d->status = status[w->status];
    d->hop = NULL;
    d->route_until = keeper_seconds(k) + REFUSED_S;
}

static void found(struct keeper *k, struct domain *d, const struct wire_route *w)
{
    const char *name[WIRE_HOST_MAX];
    char site[ROUTE_SITE_MAX];
    struct ring *r;
    struct hop *h;

    for (unsigned i = 0; i < w->nhost; i++)
        name[i] = w->host[i].name;
    route_site(name, w->nhost, site);
    r = ring_get(k, site);
    h = r == NULL ? NULL : ring_hop(r, w->host, w->nhost, k->config->mx_port);
    if (h != NULL)
        ring_place(k, d, h, keeper_seconds(k) + w->ttl_s);
}

void ring_routed(struct keeper *k, const struct wire_route *w)
{
    struct domain *d = NULL;

    for (unsigned i = 0; i < LOOKUPS && d == NULL; i++)
        if (k->rings->asked[i].domain != NULL && k->rings->asked[i].query == w->query) {
            d = k->rings->asked[i].domain;
            k->rings->asked[i].domain = NULL;
        }
    if (d == NULL)
        return;
    d->query = 0;
    if (w->status == ROUTE_OK && w->nhost > 0)
        found(k, d, w);
    else if (w->status == ROUTE_TEMP || w->status == ROUTE_LOCAL || w->status == ROUTE_OK)
        unresolved(k, d, w);
    else
        refused(k, d, w);
    queue_touch(k->queue, d);
}

bool ring_asked(const struct keeper *k)
{
    for (unsigned i = 0; i < LOOKUPS; i++)
        if (k->rings->asked[i].domain != NULL)
            return true;
    return false;
}

bool ring_asking(const struct keeper *k)
{
    return !TAILQ_EMPTY(&k->rings->line) || ring_asked(k);
}
