/* Keeps the memory of a long life bounded by what is in the spool: marks what is
 * in use, frees the rest. Called by the keeper's housekeeping, never while a message
 * is open elsewhere than in a flight. */
#include <config.h>

#include <stdlib.h>

#include "spooler/keeper/context.h"
#include "spooler/keeper/flight.h"
#include "spooler/keeper/forget.h"
#include "spooler/keeper/ring.h"

/* Flights hold pointers to the domains of all their message's recipients. */
static void mark_flights(struct keeper *k)
{
    for (struct flight *f = flight_first(k); f != NULL; f = TAILQ_NEXT(f, link)) {
        f->hop->mark = k->mark;
        for (size_t i = 0; i < f->msg.envelope.nrcpt; i++)
            if (f->msg.of[i] != NULL)
                f->msg.of[i]->mark = k->mark;
    }
}

static void forget_domains(struct keeper *k)
{
    struct domain *next;

    for (struct domain *d = queue_first(k->queue); d != NULL; d = next) {
        bool fresh = d->route_until > keeper_seconds(k) && d->route_until != WINDOW_NEVER;

        next = queue_after(d);
        if (d->mark != k->mark && !fresh && !d->linked && d->query == 0 && queue_drop(k->queue, d))
            continue;
        if (d->hop != NULL)
            d->hop->mark = k->mark;
    }
}

void forget_unused(struct keeper *k)
{
    struct ring *r, *next;

    k->mark++;
    mark_flights(k);
    forget_domains(k);
    for (r = ring_first(k); r != NULL; r = next) {
        next = ring_after(r);
        ring_prune(k, r, k->mark);
    }
}
