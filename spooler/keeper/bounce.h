/* bounce: reports to the sender, RFC 3464: failures and the delay warning.
 * Writes a new message into the spool, durable before it returns. */
#ifndef ABIDE_KEEPER_BOUNCE_H
#define ABIDE_KEEPER_BOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/clock.h"
#include "common/envelope.h"
#include "common/msgid.h"

struct config;
struct err;
struct identity;
struct spool;

enum bounce_kind { BOUNCE_FAILED, BOUNCE_DELAYED };

struct bounce_rcpt {
    const char *address;
    const char *status;                 /* "5.1.1"; "" : derived from the diagnostic or the kind */
    const char *host;                   /* that spoke, "" : none */
    const char *diagnostic;             /* its reply on one line, or our words */
    bool from_remote;                   /* a server's reply: Diagnostic-Code: smtp */
    struct wall last_attempt;           /* ms 0: none */
};

struct bounce {
    enum bounce_kind kind;
    const struct msgid *id;             /* of the message reported about */
    const struct envelope *envelope;
    int fd;                             /* the message's file, to be returned in part or whole */
    const struct bounce_rcpt *rcpt;
    size_t nrcpt;
    struct wall give_up;                /* BOUNCE_DELAYED: until when it is tried */
};

/* The report's recipient is the envelope's sender (never null: the caller has
 * seen to it), or `root` where that sender is local and `root` is set. Gives
 * the new message's ID. -1: nothing was written. */
int bounce_send(struct spool *, const struct config *, const struct identity *, const struct bounce *,
    struct now, struct msgid *id_r, struct err *);

#endif
