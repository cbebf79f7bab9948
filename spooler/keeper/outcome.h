/* outcome: what a result means: for the recipients (delivered, failed, later),
 * for the names and the trail, for the site, for the sender (bounce, warning).
 * The order of acts is the promise: a bounce is durable before the failure is
 * recorded; lines before names; a removal is the record of a domain settled. */
#ifndef ABIDE_KEEPER_OUTCOME_H
#define ABIDE_KEEPER_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include "common/trail.h"
#include "spooler/link/wire.h"

struct domain;
struct flight;
struct keeper;
struct message;

/* One recipient was answered: remembered in the flight. */
void outcome_told(struct keeper *, struct flight *, const struct wire_rcpt *);
/* Has every recipient had an answer? */
bool outcome_all_told(const struct flight *);
/* The flight is over: everything is decided and recorded; it is freed. */
void outcome_done(struct keeper *, struct flight *, enum wire_ended);

/* A recipient's new state, and the words that say why. */
struct change {
    size_t index;                       /* in the envelope */
    struct trail_rcpt to;
    const char *why;                    /* a reply on one line, or our words; borrowed */
    const char *status;                 /* enhanced code for a report, "" if WHY has it */
    bool remote;                        /* WHY is a server's reply */
};
/* Who spoke, for the log. */
struct speaker { const char *router, *host, *address; };

/* Records CHANGES of MSG as it waits in the DOMAINS (equal names in all): log,
 * bounce, trail, names. */
void outcome_settle(struct keeper *, struct message *, struct domain *const *domain, size_t ndomain,
    const struct speaker *, struct change *, size_t n);

/* It goes to hold/ and is shown. LETTER's cause says why it is there. */
void outcome_hold(struct keeper *, struct message *, struct domain *, enum cause, const char *why);
/* The delay warning, once for each recipient; recorded in the trail. WHY: the
 * site's last word, for those who had none of their own. */
void outcome_warn(struct keeper *, struct message *, struct domain *, const char *why);

#endif
