/* ring_state: the inside of struct rings, for ring.c and ring_routes.c alone. */
#ifndef ABIDE_KEEPER_RING_STATE_H
#define ABIDE_KEEPER_RING_STATE_H

#include <stdint.h>
#include <sys/queue.h>
#include "spooler/keeper/ring.h"

enum { LOOKUPS = 50 /* under way at once */, CONN_BUCKETS = 128 };
#define RING_WAITS UINT32_MAX

struct rings {
    TAILQ_HEAD(, ring) all;
    TAILQ_HEAD(conn_list, conn) conn[CONN_BUCKETS];     /* by number */
    TAILQ_HEAD(, domain) line;          /* wait for a place among the look-ups */
    struct { uint32_t query; struct domain *domain; } asked[LOOKUPS];
    uint32_t next_query, next_conn;
    TAILQ_HEAD(, ring) starved;         /* wait for one of the places that all connections share */
    unsigned nconn;
};

/* D waits for a place among the look-ups. */
void ring_stand_in_line(struct keeper *, struct domain *);

#endif
