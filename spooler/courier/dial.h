/* dial: a host's name, or its addresses, to a connected socket. All addresses
 * have a chance within one deadline: the next starts while the one before is
 * still trying (RFC 8305 in spirit), and the first to connect wins. */
#ifndef ABIDE_COURIER_DIAL_H
#define ABIDE_COURIER_DIAL_H

#include "common/cause.h"
#include "common/config.h"
#include "common/reply.h"
#include "spooler/courier/resolve.h"
#include "spooler/courier/ip.h"
#include "spooler/link/wire.h"

struct dialer;                          /* what all dials share */
struct dial;

enum { DIAL_MAX = 8 };                  /* addresses tried */

struct dial_options {
    const char *host;                   /* name or address without brackets */
    const char *address;                /* "" or addresses to use instead, separated by blanks */
    uint16_t port;
    bool relay;                         /* may be ourselves */
    enum ip_family family;
    struct ip source4, source6;         /* to bind; no family: any */
    uint32_t dns_ms, connect_ms;
};

struct dial_result {
    int fd;                             /* connected, non-blocking, the callee's; -1: failed, then: */
    struct ip ip;                       /* connected to, or last tried */
    enum wire_why why;
    enum phase phase;                   /* DNS or CONNECT */
    char text[REPLY_TEXT_MAX];
};

/* The dial is over and its handle invalid. */
typedef void dial_fn(void *arg, const struct dial_result *);

struct dialer *dialer_new(struct event_base *, struct resolve *, const struct ip_own *, struct err *);
void dialer_free(struct dialer *);      /* after its dials, before resolve */

/* FN is called once, later, never from within. NULL: no memory. */
struct dial *dial_start(struct dialer *, const struct dial_options *, dial_fn *, void *arg);
void dial_cancel(struct dial *);        /* NULL is legal */

/* The order of trying: families take turns, IPv6 first; what is marked LATE
 * comes after all else. Returns how many, at most DIAL_MAX. */
unsigned dial_order(const struct ip in[], const bool late[], unsigned n, struct ip out[DIAL_MAX]);

#endif
