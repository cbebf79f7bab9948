/* site_state: the inside of struct site, for site.c, site_trouble.c and site_memory.c alone. */
#ifndef ABIDE_POLICY_SITE_STATE_H
#define ABIDE_POLICY_SITE_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/cause.h"
#include "common/clock.h"
#include "spooler/policy/down.h"
#include "spooler/policy/limit.h"
#include "spooler/policy/route.h"
#include "spooler/policy/site.h"

/* Kinds of trouble that pause a site, each with a level of its own. */
enum ill { ILL_RATE, ILL_REPUTATION, ILL_MANY, ILL_GREY, ILL_COUNT };

enum { SITE_SAID_MAX = 200, SITE_PAUSE_MAX_MS = 4 * 3600 * 1000, SITE_CAP_GAP_MS = 5 * 60 * 1000 };

struct site {
    char name[ROUTE_SITE_MAX];
    const struct provider *provider;    /* NULL: none */
    bool own;                           /* a relay of the administrator's */
    uint32_t random;
    /* configured */
    unsigned ceiling;                   /* connections */
    unsigned messages;                  /* per connection */
    unsigned recipients;                /* per transaction */
    /* learned */
    unsigned cap;                       /* connections that worked, <= ceiling */
    int64_t cap_gap_ms;                 /* how long such a cap stands */
    struct mono cap_try;                /* when one more may be tried */
    struct mono cap_at;                 /* when it was lowered */
    unsigned cwnd;                      /* connections we allow ourselves: slow start */
    unsigned messages_learned, recipients_learned;  /* 0: not */
    struct limit limit;
    struct tally sent;                  /* the last ten minutes, in slots of one */
    /* pause */
    struct mono pause_from, pause_until;
    int64_t pause_len_ms;
    enum cause pause_cause;             /* CAUSE_NONE: none of late */
    int64_t level[ILL_COUNT];           /* 0: well; n: n times in a row */
    bool probing;
    struct mono asked;                  /* the last site_last_call() */
    bool was_asked;
    struct wall first, last;            /* refusals as a whole since the last success */
    char said[SITE_SAID_MAX];
    struct down down;
    enum cause trouble;                 /* why the last host went into it */
    int64_t grey_lo_ms, grey_hi_ms;
    struct mono dialled;
    struct mono used;
    bool changed;
};

static inline int64_t site_clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

static inline unsigned site_least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static inline bool site_pause_holds(const struct site *s, struct mono now)
{
    return now.ms < s->pause_until.ms;
}

#endif
