/* resolve: the addresses of a host, from the DNS, remembered as long as their
 * TTL allows and within bounds. Who asks for what is being asked already waits
 * for the same answer. */
#ifndef ABIDE_COURIER_RESOLVE_H
#define ABIDE_COURIER_RESOLVE_H

#include <stdint.h>
#include "common/config.h"
#include "spooler/courier/answer.h"
#include "spooler/courier/dns.h"

struct resolve;
struct resolve_query;

enum { RESOLVE_IP_MAX = 2 * ANSWER_IP_MAX };

struct resolve_found {
    enum dns_status status;             /* OK: nip > 0 */
    const char *why;
    unsigned nip;
    struct ip ip[RESOLVE_IP_MAX];         /* all IPv6 ones first */
    uint32_t ttl_s;
};

/* The query is over and its handle invalid. */
typedef void resolve_fn(void *arg, const struct resolve_found *);

struct resolve *resolve_new(struct event_base *, struct dns *, struct err *);
void resolve_free(struct resolve *);        /* before its dns; no query is answered any more */

/* Asks for A, AAAA or both. FN is called later, never from within, and at the
 * latest after WAIT_MS with what is known then. If one family has addresses
 * the other is not waited for much longer. NULL: no memory. */
struct resolve_query *resolve_find(struct resolve *, const char *name, enum ip_family, uint32_t wait_ms, resolve_fn *, void *arg);
void resolve_cancel(struct resolve_query *);        /* NULL is legal */

/* What is remembered came from another resolver: ask anew. */
void resolve_forget(struct resolve *);

#endif
