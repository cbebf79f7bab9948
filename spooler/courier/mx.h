/* mx: which hosts take mail for a domain (RFC 5321 5.1, RFC 7505). */
#ifndef ABIDE_COURIER_MX_H
#define ABIDE_COURIER_MX_H

#include "common/config.h"
#include "spooler/courier/dns.h"
#include "spooler/courier/resolve.h"
#include "spooler/courier/ip.h"
#include "spooler/link/wire.h"

struct mx;

typedef void mx_fn(void *arg, const struct wire_route *);

/* Borrows all of these. FN gets one answer per question. */
struct mx *mx_new(struct event_base *, struct dns *, struct resolve *, const struct ip_own *, mx_fn *, void *arg, struct err *);
void mx_free(struct mx *);              /* before its resolve and dns; nothing is answered any more */

/* Asks, or queues the question behind others. FN may be called from within. */
void mx_lookup(struct mx *, const struct wire_lookup *, enum ip_family, uint32_t timeout_ms);

/* While stalled no look-up begins; those under way are answered. */
void mx_stall(struct mx *, bool stalled);

#endif
