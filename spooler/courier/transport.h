/* transport: connections: each joins one session with one socket. */
#ifndef ABIDE_COURIER_TRANSPORT_H
#define ABIDE_COURIER_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include "spooler/courier/ip.h"
#include "spooler/link/wire.h"

struct err;
struct event_base;
struct transport;
struct transports;                      /* all of them, and what they share */

struct transport_options {
    int fd;                             /* connected, non-blocking; taken in any case */
    uint32_t conn;
    struct ip ip;                       /* it leads to */
    const char *helo;                   /* copied */
    const uint32_t *timeout_ms;         /* by phase, copied */
};

/* Takes what there is to tell the keeper. After WIRE_FAIL or WIRE_CLOSED that
 * transport is gone. */
typedef void transport_report_fn(void *arg, const struct wire_msg *);

struct transports *transports_new(struct event_base *, transport_report_fn *, void *arg, struct err *);
void transports_free(struct transports *);      /* cuts all, reports nothing */

/* The conversation begins; it is reported later, never from within. */
struct transport *transport_new(struct transports *, const struct transport_options *, struct err *);
/* Takes FD. Where it cannot be sent (any more) WIRE_DONE says so at once.
 * Not while stalled; these two may report, even the end, from within. */
void transport_send(struct transport *, const struct wire_send *, int fd);
void transport_quit(struct transport *);        /* at once, if it is not up yet */

/* Does now what the calls above have left to do: to be called once after a
 * batch of them. */
void transports_run(struct transports *);

/* While stalled nothing is read from servers, and what there is to report
 * stays where it is. To be called from the report function, too. */
void transports_stall(struct transports *, bool stalled);

/* Nothing is written any more; a connection whose final dot has left may have
 * its answer, every other one is cut now. */
void transports_finish(struct transports *);

#endif
