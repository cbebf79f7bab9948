/* dns: asks the resolver, one question at a time, raw answers back. A bounded
 * number is under way, the rest queues. */
#ifndef ABIDE_COURIER_DNS_H
#define ABIDE_COURIER_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include "common/clock.h"

struct dns;
struct dns_query;
struct err;
struct event_base;

enum dns_status {
    DNS_OK,                             /* an answer with records */
    DNS_NO_DATA,                        /* the name exists, but has none of that type */
    DNS_NO_DOMAIN,                      /* NXDOMAIN */
    DNS_TEMP,                           /* SERVFAIL, refused, no answer to this question */
    DNS_LOCAL                           /* no resolver answers anything */
};

enum dns_type { DNS_A = 1, DNS_NS = 2, DNS_MX = 15, DNS_AAAA = 28 };

struct dns_answer {
    enum dns_status status;
    const char *why;                    /* in words, unless OK */
    const unsigned char *msg;           /* OK, NO_DATA, NO_DOMAIN: the message, else NULL */
    size_t len;
};

/* The query is over and its handle invalid. */
typedef void dns_fn(void *arg, const struct dns_answer *);

/* Reads resolv.conf: before any sandbox. */
struct dns *dns_new(struct event_base *, struct err *);
void dns_free(struct dns *);            /* no query is answered any more */

/* RESOLVER is ADDRESS:PORT, or "" for those of resolv.conf; takes effect once
 * the questions under way have ended. *changed_r: it is another than before. */
int dns_use(struct dns *, const char *resolver, bool *changed_r, struct err *);

/* NAME is a host name. FN is called later, never from within. NULL: no memory. */
struct dns_query *dns_ask(struct dns *, const char *name, enum dns_type, dns_fn *, void *arg);
/* FN will not be called; NULL is legal. */
void dns_cancel(struct dns_query *);

/* A resolver has said something, to whatever question, since then. */
bool dns_heard(const struct dns *, struct mono since);

#endif
