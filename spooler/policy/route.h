/* route: from a recipient's domain and the configuration to a next hop, and
 * from MX hosts to a site. Pure. IDNA is done here (libidn2). */
#ifndef ABIDE_POLICY_ROUTE_H
#define ABIDE_POLICY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

struct config;
struct err;
struct identity;

enum { ROUTE_DOMAIN_MAX = 256, ROUTE_SITE_MAX = 128 };

/* The recipient domain of an address in the spelling that names its directory:
 * lower case, A-labels, no trailing dot; an address literal keeps its
 * brackets; "" for an address without one. -1: no valid domain (EX_NOHOST,
 * status 5.1.2): the recipient bounces. */
int route_domain(const char *address, char out[ROUTE_DOMAIN_MAX], struct err *);

/* ADDRESS with its domain as A-labels, which is how servers without SMTPUTF8
 * know it. False: OUT is not needed, for it is so already or has no valid domain. */
bool route_address(const char *address, char *out, size_t size);

enum route_kind {
    ROUTE_TO_RELAY,                     /* host, port: the configuration's relay or a `route` line */
    ROUTE_TO_MX,                        /* look it up */
    ROUTE_NOWHERE                       /* local mail: no root, no relay */
};
struct route_hop {
    enum route_kind kind;
    char host[ROUTE_DOMAIN_MAX];
    unsigned port;
    char site[ROUTE_SITE_MAX];          /* "relay", or "route-HOST"; "" for MX until looked up */
};

/* Where mail for DOMAIN goes. Local: our hostname, localhost, or "". */
void route_hop(const struct config *, const struct identity *, const char *domain, struct route_hop *);

/* The site of a set of MX hosts (N > 0, by preference): the provider's name if
 * most of them are one's, else what they share and is at least a registered
 * domain ("mx.example.net" for mx1, mx2.mx.example.net), else the domains of
 * all, joined by "+". Always a valid file name, lower case. Same set, any order
 * of equals: same name, unless just half of them are a provider's. */
void route_site(const char *const *host, size_t n, char out[ROUTE_SITE_MAX]);

#endif
