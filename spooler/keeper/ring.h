/* ring: sites with work and their connections. A ring is a site as the keeper
 * serves it; a hop is one set of hosts within it (domains of one provider may
 * have different MX hosts; only those with the same set share a connection); a
 * conn is a connection the courier holds for us. Routes of domains are cached
 * here, and kept as a hint in sites/routes. */
#ifndef ABIDE_KEEPER_RING_H
#define ABIDE_KEEPER_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "common/clock.h"
#include "spooler/link/wire.h"
#include "spooler/policy/site.h"

struct domain;
struct err;
struct keeper;
struct ring;
struct rings;

struct hop {
    struct ring *ring;
    unsigned port;
    bool relay;                         /* the administrator's own host */
    char *address;                      /* "" or what the hosts file says */
    size_t nhost;                       /* 0: not known, the DNS does not tell */
    struct hop_host { unsigned preference; char *name; } *host;     /* by preference, then name */
    TAILQ_HEAD(, domain) due;           /* domains with something ready, served in turn */
    TAILQ_HEAD(, conn) conns;
    TAILQ_ENTRY(hop) turn;              /* in its ring's circle */
    unsigned nconn;
    uint32_t mark;                      /* see forget */
};

struct ring {
    struct site *site;
    TAILQ_HEAD(, hop) hops;
    TAILQ_ENTRY(ring) link;
    struct site_load load;              /* ready is filled when asked */
    struct mono ask_at;                 /* serve it again then; 0: now */
    TAILQ_ENTRY(ring) hunger;           /* among those that wait for a place */
    bool starved;
};

enum conn_state { CONN_DIALLING, CONN_UP, CONN_CLOSING };
struct conn {
    uint32_t number;
    struct hop *hop;
    const char *host;                   /* one of hop->host's names */
    char address[64];
    enum conn_state state;
    unsigned flights;                   /* handed out and not done */
    unsigned accepted, sent;            /* transactions */
    struct mono idle_since;
    bool cut;                           /* a flight came back from it unanswered */
    bool over;                          /* it has gone; flights handed to it meanwhile come back yet */
    TAILQ_ENTRY(conn) link, by_number;
};

struct rings *rings_new(void);
void rings_free(struct rings *);        /* frees what hangs in it */

/* Finds out where D goes, as far as that is known now. ROUTED: d->hop is set.
 * ASKED: a look-up is under way or in line. NOWHERE: local mail without a route.
 * REFUSED: d->refused and d->status say why nobody takes its mail. */
enum ring_route { RING_ROUTED, RING_ASKED, RING_NOWHERE, RING_REFUSED };
enum ring_route ring_route(struct keeper *, struct domain *);
/* The answer to a look-up. */
void ring_routed(struct keeper *, const struct wire_route *);
/* Look-ups that wait for a place, or for a courier, are asked now. */
void ring_ask(struct keeper *);
/* The courier is gone: its connections and look-ups are void. */
void ring_orphan(struct keeper *);

/* The ring of a site, made if there is none; and one of its host sets. NULL: out
 * of memory. */
struct ring *ring_get(struct keeper *, const char *site);
struct hop *ring_hop(struct ring *, const struct wire_host *, size_t n, unsigned port);
/* D goes there, until then (seconds). */
void ring_place(struct keeper *, struct domain *, struct hop *, int64_t until);

/* D (with its hop known) has something ready: it joins the circle. */
void ring_join(struct domain *);
void ring_leave(struct keeper *, struct domain *);
void ring_rotate(struct keeper *, struct domain *);     /* it had its turn: last, or out if it has no more */
void ring_wake(struct ring *);          /* something changed: serve it in this step */

/* Serves all rings that may do something: connections and transactions. */
void ring_serve(struct keeper *);
struct mono ring_next(const struct keeper *);
/* Is a host being called, or can something that is due be sent until then? */
bool ring_hopeful(const struct keeper *, struct mono until);

struct conn *ring_conn(struct keeper *, uint32_t number);
void ring_conn_gone(struct keeper *, struct conn *);
/* The same for one whose end crossed flights on the link: each is answered yet,
 * and the last one's answer lets it go. */
void ring_conn_over(struct conn *);
void ring_landed(struct keeper *, struct conn *);       /* one of its flights is over */

/* Connections open or being dialled, or look-ups to be answered? */
bool ring_busy(const struct keeper *);
bool ring_asking(const struct keeper *);        /* the latter alone */
bool ring_asked(const struct keeper *);         /* some of these are under way */
struct ring *ring_first(const struct keeper *);
struct ring *ring_after(struct ring *);
/* Frees its host sets without that mark, connections or mail; and itself with the last. */
void ring_prune(struct keeper *, struct ring *, uint32_t mark);

/* A changed configuration: all routes are found out anew. */
void ring_configure(struct keeper *);

#endif
