/* report: tells the sender which of his recipients were no addresses. */
#ifndef ABIDE_SENDMAIL_REPORT_H
#define ABIDE_SENDMAIL_REPORT_H

#include <stddef.h>
#include "common/clock.h"
#include "common/envelope.h"

struct err;
struct msgid;
struct recipients;
struct spool;

struct report_facts {
    const char *hostname;
    const struct envelope *env;         /* of the message; its sender is not null */
    const struct recipients *rcpt;      /* nbad > 0 */
    const char *header;                 /* the message's, completed */
    size_t header_len;
    struct now now;
};

/* Makes a delivery status notification (RFC 3464) from <> durable in the
 * spool. Runs with signals held. */
int report_bad_recipients(struct spool *, const struct report_facts *, struct msgid *id_r, struct err *);

/* Takes it back, if the spooler has not seen it yet: the message did not go in. */
void report_withdraw(struct spool *, const struct msgid *);

#endif
