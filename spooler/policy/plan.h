/* plan: when a recipient is tried next, warned about, given up. Pure. Works on
 * what the trail knows of a recipient and changes it in place; the caller
 * writes it down. */
#ifndef ABIDE_POLICY_PLAN_H
#define ABIDE_POLICY_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include "common/clock.h"
#include "common/trail.h"

struct config;
struct site;
struct verdict;

/* Ages a message: how long ago it was accepted, clock jumps taken out. */
struct plan_age { int64_t ms; };

/* RCPT was deferred for its own reason at NOW by VERDICT (not final, not the
 * site's trouble) or is in doubt: sets cause, n, first, last, grey*, host and
 * due (seconds, wall). SENT: when the command that was refused had been sent.
 * The due time never lies beyond the last-call time of its deadline, nor of the
 * deadline itself once that was used. RANDOM: jitter, upward only. */
void plan_defer(const struct config *, const struct site *, const struct verdict *, const char *host,
    struct plan_age, struct wall sent, struct now, uint32_t random, struct trail_rcpt *);

enum plan_act {
    PLAN_WAIT,                          /* not due: at *when_r (seconds, wall) */
    PLAN_TRY,
    PLAN_BOUNCE,                        /* 72 h are over and the rules for it hold */
    PLAN_HOLD                           /* a day over, and never a real answer: our own trouble */
};

/* What the site's word is worth for a recipient that waits behind it. */
struct plan_site_word {
    struct wall first, last;            /* refusals of this episode; ms 0: none */
    bool paused;
};

/* What to do about RCPT now. DUE: the queue name's, for a recipient without one. */
enum plan_act plan_next(const struct config *, const struct trail_rcpt *, int64_t due, struct plan_age,
    const struct plan_site_word *, bool once, struct now, int64_t *when_r);

/* True if a warning is to be sent now: warn_after is over, it was tried or its
 * site refused, never for the null reverse-path (the caller knows the headers). */
bool plan_warns(const struct config *, struct plan_age, bool warned, bool has_sender, const struct trail_rcpt *,
    const struct plan_site_word *);

/* Seconds (wall) at which a message accepted so long ago next needs a look
 * although none of its recipients is due: warning or last call. */
int64_t plan_attention(const struct config *, struct plan_age, bool warned, struct now);

/* Longest wait any rule allows: a DUE further ahead than 1.2 times this is a
 * mistake of some clock. */
int64_t plan_longest_ms(const struct config *);

#endif
