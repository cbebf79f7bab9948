/* limit: how many messages a minute a site takes: a bucket of tokens whose rate
 * is learned, halved when the site complains and raised slowly while it is
 * really used. Pure. Part of struct site. */
#ifndef ABIDE_POLICY_LIMIT_H
#define ABIDE_POLICY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>
#include "common/clock.h"

enum { TALLY_SLOTS = 12 };

/* How often something happened of late. */
struct tally {
    uint32_t count[TALLY_SLOTS];
    int64_t slot;                       /* the newest, in slot lengths since boot */
};

void tally_add(struct tally *, int64_t slot_ms, struct mono now);
unsigned tally_sum(const struct tally *, int64_t slot_ms, struct mono now);

struct limit {
    double per_minute;                  /* 0: no limit */
    double ceiling;                     /* configured; 0: none */
    double burst, tokens;
    double start, start_burst;          /* before anything was learned */
    double bad;                         /* what ran when we were last stopped */
    struct mono at;                     /* when tokens were counted */
    struct mono bad_at;
    struct mono since;                  /* of the window that may end in a raise */
    unsigned used;                      /* in that window */
    int64_t grow_gap_ms;
    bool learned;
    struct tally accepted;              /* the last minute, in slots of 5 s */
};

/* PER_MINUTE 0: unlimited until stopped. */
void limit_init(struct limit *, double burst, double per_minute);
/* The highest rate allowed; 0: none said. */
void limit_configure(struct limit *, double ceiling);

double limit_tokens(const struct limit *, struct mono now);
/* When WANTED tokens will be there. */
struct mono limit_when(const struct limit *, double wanted, struct mono now);
void limit_take(struct limit *, struct mono now);
void limit_accepted(struct limit *, bool may_grow, struct mono now);
/* The site said that it was too much; REPUTATION: that we are not liked. */
void limit_cut(struct limit *, bool reputation, struct mono now);

#endif
