/* Rings, hops and connections. Owns who is dialled when; asks the site whether it
 * may, and keeper/dispatch for what to send. Where a domain goes is ring_routes.c's.
 * Never touches the spool but for its hints (keeper/hints). */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spooler/keeper/child.h"
#include "spooler/keeper/context.h"
#include "spooler/keeper/dispatch.h"
#include "spooler/keeper/hints.h"
#include "spooler/keeper/ring.h"
#include "spooler/keeper/ring_state.h"

enum {
    CONNS = 100,                        /* open at once, all sites together */
    READY_COUNTED = 32,                 /* domains whose names are counted one by one */
    DIALS = 4                           /* per hop and turn */
};
struct rings *rings_new(void)
{
    struct rings *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    TAILQ_INIT(&r->all);
    TAILQ_INIT(&r->line);
    TAILQ_INIT(&r->starved);
    for (unsigned i = 0; i < CONN_BUCKETS; i++)
        TAILQ_INIT(&r->conn[i]);
    return r;
}

static void conn_free(struct rings *r, struct conn *c)
{
    TAILQ_REMOVE(&c->hop->conns, c, link);
    TAILQ_REMOVE(&r->conn[c->number % CONN_BUCKETS], c, by_number);
    c->hop->nconn--;
    r->nconn--;
    free(c);
}

static void hop_free(struct hop *h)
{
    for (size_t i = 0; i < h->nhost; i++)
        free(h->host[i].name);
    free(h->host);
    free(h->address);
    free(h);
}

static void ring_free(struct rings *r, struct ring *ring)
{
    TAILQ_REMOVE(&r->all, ring, link);
    site_free(ring->site);
    free(ring);
}

void rings_free(struct rings *r)
{
    struct ring *ring;
    struct hop *h;
    struct conn *c;

    if (r == NULL)
        return;
    while ((ring = TAILQ_FIRST(&r->all)) != NULL) {
        while ((h = TAILQ_FIRST(&ring->hops)) != NULL) {
            while ((c = TAILQ_FIRST(&h->conns)) != NULL)
                conn_free(r, c);
            TAILQ_REMOVE(&ring->hops, h, turn);
            hop_free(h);
        }
        ring_free(r, ring);
    }
    free(r);
}

void ring_prune(struct keeper *k, struct ring *r, uint32_t mark)
{
    struct hop *h, *next;

    TAILQ_FOREACH_SAFE(h, &r->hops, turn, next)
        if (h->mark != mark && h->nconn == 0 && TAILQ_EMPTY(&h->due)) {
            TAILQ_REMOVE(&r->hops, h, turn);
            hop_free(h);
        }
    if (TAILQ_EMPTY(&r->hops))
        ring_free(k->rings, r);
}

struct ring *ring_first(const struct keeper *k)
{
    return TAILQ_FIRST(&k->rings->all);
}

struct ring *ring_after(struct ring *r)
{
    return TAILQ_NEXT(r, link);
}

void ring_wake(struct ring *r)
{
    r->ask_at.ms = 0;
}

/* ---- sites and host sets --------------------------------------------------- */

struct ring *ring_get(struct keeper *k, const char *site)
{
    struct ring *r;

    TAILQ_FOREACH(r, &k->rings->all, link)
        if (strcmp(site_name(r->site), site) == 0)
            return r;
    r = calloc(1, sizeof *r);
    if (r == NULL || (r->site = site_new(site, k->config, keeper_random(k))) == NULL) {
        free(r);
        return NULL;
    }
    TAILQ_INIT(&r->hops);
    TAILQ_INSERT_TAIL(&k->rings->all, r, link);
    hints_load_site(k, r->site);
    return r;
}

static bool same_hosts(const struct hop *h, const struct wire_host *host, size_t n, unsigned port)
{
    if (h->nhost != n || h->port != port)
        return false;
    for (size_t i = 0; i < n; i++)
        if (h->host[i].preference != host[i].preference || strcmp(h->host[i].name, host[i].name) != 0)
            return false;
    return true;
}

static int by_preference(const void *a, const void *b)
{
    const struct wire_host *x = a, *y = b;

    if (x->preference != y->preference)
        return x->preference < y->preference ? -1 : 1;
    return strcmp(x->name, y->name);
}

struct hop *ring_hop(struct ring *r, const struct wire_host *given, size_t n, unsigned port)
{
    struct wire_host host[WIRE_HOST_MAX];
    struct hop *h;

    for (size_t i = 0; i < n; i++)
        host[i] = given[i];             /* equal ones come in any order: one order names the set */
    qsort(host, n, sizeof *host, by_preference);
    TAILQ_FOREACH(h, &r->hops, turn)
        if (same_hosts(h, host, n, port))
            return h;
    h = calloc(1, sizeof *h);
    if (h == NULL || (n > 0 && (h->host = calloc(n, sizeof *h->host)) == NULL)) {
        free(h);
        return NULL;
    }
    h->ring = r;
    h->port = port;
    TAILQ_INIT(&h->due);
    TAILQ_INIT(&h->conns);
    for (; h->nhost < n; h->nhost++) {
        h->host[h->nhost].preference = host[h->nhost].preference;
        if ((h->host[h->nhost].name = strdup(host[h->nhost].name)) == NULL) {
            hop_free(h);
            return NULL;
        }
    }
    TAILQ_INSERT_TAIL(&r->hops, h, turn);
    return h;
}

/* ---- domains in the circle ---------------------------------------------------- */

void ring_join(struct domain *d)
{
    if (d->linked)
        return;
    d->linked = true;
    TAILQ_INSERT_TAIL(&d->hop->due, d, link);
    ring_wake(d->hop->ring);
}

void ring_leave(struct keeper *k, struct domain *d)
{
    if (!d->linked)
        return;
    d->linked = false;
    if (d->query == RING_WAITS) {
        TAILQ_REMOVE(&k->rings->line, d, link);
        d->query = 0;
    } else
        TAILQ_REMOVE(&d->hop->due, d, link);
}

void ring_rotate(struct keeper *k, struct domain *d)
{
    if (window_ready(d->window) == 0)
        ring_leave(k, d);
    else if (d->linked && d->query != RING_WAITS) {
        TAILQ_REMOVE(&d->hop->due, d, link);
        TAILQ_INSERT_TAIL(&d->hop->due, d, link);
    }
}

void ring_place(struct keeper *k, struct domain *d, struct hop *h, int64_t until)
{
    if (d->hop != h)
        ring_leave(k, d);
    d->hop = h;
    d->route_until = until;
    free(d->refused);
    d->refused = NULL;
}

/* ---- serving ------------------------------------------------------------------- */

static uint64_t count_ready(const struct ring *r)
{
    const struct hop *h;
    const struct domain *d;
    uint64_t ready = 0;
    unsigned seen = 0;

    TAILQ_FOREACH(h, &r->hops, turn)
        TAILQ_FOREACH(d, &h->due, link) {
            if (++seen > READY_COUNTED)
                return ready;           /* enough to know that there is plenty */
            ready += window_ready(d->window);
        }
    return ready;
}

static void ask_again(struct ring *r, struct mono when)
{
    if (when.ms < r->ask_at.ms)
        r->ask_at = when;
}

/* The hosts in the order to try: by preference, equal ones shuffled anew. */
static size_t dial_order(struct keeper *k, const struct hop *h, const char **order)
{
    for (size_t i = 0; i < h->nhost; i++) {
        size_t j = i, first = i;

        order[i] = h->host[i].name;
        while (first > 0 && h->host[first - 1].preference == h->host[i].preference)
            first--;
        j = first + keeper_random(k) % (i - first + 1);
        order[i] = order[j];
        order[j] = h->host[i].name;
    }
    return h->nhost;
}

static bool dial(struct keeper *k, struct hop *h)
{
    struct ring *r = h->ring;
    const char *order[WIRE_HOST_MAX];
    struct mono when = { CLOCK_NEVER };
    int at = site_pick_host(r->site, order, dial_order(k, h, order), k->now.mono, &when);
    struct wire_msg m = { .kind = WIRE_DIAL };
    struct conn *c;

    if (at == -1) {
        ask_again(r, when);
        return false;
    }
    if ((c = calloc(1, sizeof *c)) == NULL)
        return false;
    c->number = ++k->rings->next_conn;
    c->hop = h;
    c->host = order[at];
    c->idle_since = k->now.mono;
    m.u.dial = (struct wire_dial){ .conn = c->number, .host = c->host, .address = h->address == NULL ? "" : h->address,
        .port = (uint16_t)h->port, .relay = h->relay };
    if (!child_send(k, &m, -1)) {
        free(c);
        ring_wake(r);
        return false;
    }
    TAILQ_INSERT_TAIL(&h->conns, c, link);
    TAILQ_INSERT_TAIL(&k->rings->conn[c->number % CONN_BUCKETS], c, by_number);
    h->nconn++;
    k->rings->nconn++;
    r->load.open++;
    site_dialled(r->site, k->now.mono);
    return true;
}

static void hang_up(struct keeper *k, struct conn *c)
{
    struct wire_msg m = { .kind = WIRE_CLOSE, .u.close = c->number };

    if (c->state == CONN_UP && child_send(k, &m, -1)) {
        c->state = CONN_CLOSING;
        c->hop->ring->load.up--;
        if (c->flights == 0)
            c->hop->ring->load.idle--;
    } else if (c->state == CONN_UP)
        ring_wake(c->hop->ring);        /* the link is full: as soon as it is not */
}

/* How many transactions may be in its hands: more as it proves itself, so that
 * the next envelope travels with the last dot and a record's sync starves nobody. */
static unsigned depth(const struct conn *c)
{
    return c->accepted < WIRE_FLIGHTS - 1 ? c->accepted + 1 : WIRE_FLIGHTS;
}

/* Feeds one connection. False: nothing more can be done in this ring now. */
static bool feed(struct keeper *k, struct conn *c)
{
    struct ring *r = c->hop->ring;
    struct mono when = { CLOCK_NEVER };
    unsigned most = site_connection_messages(r->site);

    while (c->state == CONN_UP && c->flights < depth(c)) {
        if (most > 0 && c->sent >= most) {
            hang_up(k, c);
            return true;
        }
        if (TAILQ_EMPTY(&c->hop->due))
            return true;
        if (!site_may_send(r->site, &r->load, k->now.mono, &when)) {
            ask_again(r, when);
            return false;
        }
        if (!dispatch_next(k, c))
            return true;
    }
    return true;
}

static bool others_wait(const struct ring *r, const struct hop *mine)
{
    const struct hop *h;

    TAILQ_FOREACH(h, &r->hops, turn)
        if (h != mine && !TAILQ_EMPTY(&h->due))
            return true;
    return false;
}

static void rest(struct keeper *k, struct conn *c)
{
    struct ring *r = c->hop->ring;
    struct mono end = { c->idle_since.ms + site_idle_ms(r->site) };

    if (c->state != CONN_UP || c->flights > 0)
        return;
    if (end.ms <= k->now.mono.ms || site_paused(r->site, k->now.mono, NULL, NULL) || others_wait(r, c->hop) ||
        !TAILQ_EMPTY(&k->rings->starved))
        hang_up(k, c);
    else
        ask_again(r, end);
}

/* All places are taken: R waits for one, and those that hold one idly give it up. */
static void starve(struct keeper *k, struct ring *r)
{
    struct ring *other;

    if (r->starved)
        return;
    if (TAILQ_EMPTY(&k->rings->starved))
        TAILQ_FOREACH(other, &k->rings->all, link)
            if (other->load.idle > 0)
                ring_wake(other);
    r->starved = true;
    TAILQ_INSERT_TAIL(&k->rings->starved, r, hunger);
}

static void dial_more(struct keeper *k, struct ring *r, struct hop *h)
{
    struct mono when = { CLOCK_NEVER };
    unsigned dials = 0;

    while (!TAILQ_EMPTY(&h->due) && dials++ < DIALS) {
        struct domain *d = TAILQ_FIRST(&h->due);

        r->load.ready = count_ready(r);
        if (k->rings->nconn >= CONNS) {
            starve(k, r);
            return;
        }
        if (!site_may_open(r->site, &r->load, k->now.mono, &when)) {
            ask_again(r, when);
            return;
        }
        if (!queue_holds(k->queue, d)) {        /* nobody is called for mail that is gone */
            if (queue_hungry(d, keeper_seconds(k)))
                queue_touch(k->queue, d);
            ring_rotate(k, d);
            continue;
        }
        if (h->nhost == 0) {            /* its hosts are not known: the DNS is asked again */
            if (d->query == 0) {
                d->route_until = 0;
                ring_stand_in_line(k, d);
            }
            continue;
        }
        if (!dial(k, h))
            return;
    }
    if (!TAILQ_EMPTY(&h->due) && dials > DIALS)
        ask_again(r, k->now.mono);
}

static void serve(struct keeper *k, struct ring *r)
{
    struct hop *h, *next_hop;
    struct conn *c, *next;
    bool more = true;

    r->ask_at.ms = CLOCK_NEVER;
    TAILQ_FOREACH_SAFE(h, &r->hops, turn, next_hop) {
        TAILQ_FOREACH_SAFE(c, &h->conns, link, next) {
            if (more && !keeper_resting(k))
                more = feed(k, c);
            rest(k, c);
        }
        if (!keeper_resting(k) && !TAILQ_EMPTY(&h->due))
            dial_more(k, r, h);
    }
    h = TAILQ_FIRST(&r->hops);          /* another is first next time */
    if (h != NULL && TAILQ_NEXT(h, turn) != NULL) {
        TAILQ_REMOVE(&r->hops, h, turn);
        TAILQ_INSERT_TAIL(&r->hops, h, turn);
    }
}

static bool has_work(const struct ring *r)
{
    const struct hop *h;

    TAILQ_FOREACH(h, &r->hops, turn)
        if (!TAILQ_EMPTY(&h->due) || h->nconn > 0)
            return true;
    return false;
}

void ring_serve(struct keeper *k)
{
    struct ring *r;

    TAILQ_FOREACH(r, &k->rings->all, link)
        if (r->ask_at.ms <= k->now.mono.ms && !has_work(r))
            r->ask_at.ms = CLOCK_NEVER;
        else if (r->ask_at.ms <= k->now.mono.ms && child_ready(k))
            serve(k, r);
}

struct mono ring_next(const struct keeper *k)
{
    struct mono next = { CLOCK_NEVER };
    const struct ring *r;

    TAILQ_FOREACH(r, &k->rings->all, link)
        if (r->ask_at.ms < next.ms)
            next = r->ask_at;
    return next;
}

static bool is_dialling(const struct hop *h)
{
    const struct conn *c;

    TAILQ_FOREACH(c, &h->conns, link)
        if (c->state == CONN_DIALLING)
            return true;
    return false;
}

bool ring_hopeful(const struct keeper *k, struct mono until)
{
    const struct ring *r;
    const struct hop *h;

    TAILQ_FOREACH(r, &k->rings->all, link)
        TAILQ_FOREACH(h, &r->hops, turn)
            if (r->starved || is_dialling(h) || (r->ask_at.ms <= until.ms && !TAILQ_EMPTY(&h->due)))
                return true;
    return false;
}

/* ---- connections ------------------------------------------------------------------ */

struct conn *ring_conn(struct keeper *k, uint32_t number)
{
    struct conn *c;

    TAILQ_FOREACH(c, &k->rings->conn[number % CONN_BUCKETS], by_number)
        if (c->number == number)
            return c;
    return NULL;
}

void ring_landed(struct keeper *k, struct conn *c)
{
    struct ring *r = c->hop->ring;

    r->load.flights--;
    if (--c->flights > 0)
        return;
    c->idle_since = k->now.mono;
    if (c->state == CONN_UP)
        r->load.idle++;
}

void ring_conn_gone(struct keeper *k, struct conn *c)
{
    struct ring *r = c->hop->ring;

    r->load.open--;
    if (c->state == CONN_UP) {
        r->load.up--;
        if (c->flights == 0)
            r->load.idle--;
    }
    conn_free(k->rings, c);
    ring_wake(r);
    if ((r = TAILQ_FIRST(&k->rings->starved)) != NULL) {        /* its place goes to whoever waits longest */
        TAILQ_REMOVE(&k->rings->starved, r, hunger);
        r->starved = false;
        ring_wake(r);
    }
}

void ring_conn_over(struct conn *c)
{
    if (c->state == CONN_UP)
        c->hop->ring->load.up--;
    c->state = CONN_CLOSING;
    c->over = true;
    c->cut = true;                      /* what comes back was never begun, and is not to blame */
}

void ring_orphan(struct keeper *k)
{
    struct rings *r = k->rings;

    for (unsigned i = 0; i < CONN_BUCKETS; i++)
        while (!TAILQ_EMPTY(&r->conn[i]))
            ring_conn_gone(k, TAILQ_FIRST(&r->conn[i]));
    for (unsigned i = 0; i < LOOKUPS; i++)
        if (r->asked[i].domain != NULL) {
            r->asked[i].domain->query = 0;
            queue_touch(k->queue, r->asked[i].domain);
            r->asked[i].domain = NULL;
        }
}

bool ring_busy(const struct keeper *k)
{
    return k->rings->nconn > 0 || ring_asking(k);
}

void ring_configure(struct keeper *k)
{
    struct domain *d;
    struct ring *r;

    for (d = queue_first(k->queue); d != NULL; d = queue_after(d)) {
        ring_leave(k, d);
        d->hop = NULL;
        d->route_until = 0;
        queue_touch(k->queue, d);
    }
    TAILQ_FOREACH(r, &k->rings->all, link) {
        site_configure(r->site, k->config);
        ring_wake(r);
    }
}
