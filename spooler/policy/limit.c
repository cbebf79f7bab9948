/* limit: the arithmetic of learned rates. It knows no site and no cause, only
 * times and counts. Called by site. */
#include <config.h>

#include "spooler/policy/limit.h"

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR,
    SLOT = 5 * SECOND,
    UNLEARNED_MAX = 60000,              /* messages a minute */
    WAIT_MAX = DAY
};
#define RATE_MIN 2.0
#define BURST_MIN 3.0
#define BURST_MAX 20.0

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

/* ---- tally ------------------------------------------------------------------- */

void tally_add(struct tally *t, int64_t slot_ms, struct mono now)
{
    int64_t slot = now.ms / slot_ms;

    if (slot - t->slot >= TALLY_SLOTS || slot < t->slot)
        *t = (struct tally){ .slot = slot };
    for (; t->slot < slot; t->slot++)
        t->count[(t->slot + 1) % TALLY_SLOTS] = 0;
    t->count[slot % TALLY_SLOTS]++;
}

unsigned tally_sum(const struct tally *t, int64_t slot_ms, struct mono now)
{
    int64_t slot = now.ms / slot_ms;
    unsigned sum = 0;

    for (int64_t i = t->slot; i > t->slot - TALLY_SLOTS && i >= 0; i--)
        if (i > slot - TALLY_SLOTS)
            sum += t->count[i % TALLY_SLOTS];
    return sum;
}

/* ---- limit ------------------------------------------------------------------- */

void limit_init(struct limit *l, double burst, double per_minute)
{
    *l = (struct limit){ .start = per_minute, .start_burst = burst, .grow_gap_ms = MINUTE };
    l->per_minute = per_minute;
    l->burst = l->tokens = burst;
}

void limit_configure(struct limit *l, double ceiling)
{
    if (ceiling == l->ceiling)
        return;
    l->ceiling = ceiling;
    if (l->learned) {
        l->per_minute = ceiling > 0 ? least(l->per_minute, ceiling) : l->per_minute;
        return;
    }
    l->per_minute = ceiling > 0 ? ceiling : l->start;
    l->burst = ceiling > 0 ? most(1.0, least(l->start_burst, ceiling / 6)) : l->start_burst;
    l->tokens = least(l->tokens, l->burst);
}

double limit_tokens(const struct limit *l, struct mono now)
{
    int64_t ms = now.ms > l->at.ms ? now.ms - l->at.ms : 0;

    if (l->per_minute <= 0)
        return UNLEARNED_MAX;
    return least(l->burst, l->tokens + (double)(ms < DAY ? ms : DAY) * l->per_minute / MINUTE);
}

struct mono limit_when(const struct limit *l, double wanted, struct mono now)
{
    double missing = least(wanted, l->burst) - limit_tokens(l, now);

    if (missing <= 0)
        return now;
    return (struct mono){ now.ms + 1 + (int64_t)least(missing * MINUTE / l->per_minute, WAIT_MAX) };
}

void limit_take(struct limit *l, struct mono now)
{
    l->tokens = limit_tokens(l, now) - 1;
    l->at = now;
}

/* The highest rate that may be tried now. */
static double top(const struct limit *l, struct mono now)
{
    double t = UNLEARNED_MAX;

    if (l->learned && now.ms - l->bad_at.ms < DAY)
        t = 0.9 * l->bad;
    return l->ceiling > 0 ? least(t, l->ceiling) : t;
}

static void grow(struct limit *l, struct mono now)
{
    double t = top(l, now);

    l->tokens = limit_tokens(l, now);
    l->at = now;
    if (l->per_minute < t)
        l->per_minute = least(t, l->per_minute * (l->learned ? 1.05 : 2.0));
}

void limit_accepted(struct limit *l, bool may_grow, struct mono now)
{
    int64_t ms = now.ms - l->since.ms;

    tally_add(&l->accepted, SLOT, now);
    l->used++;
    if (l->per_minute <= 0 || ms < l->grow_gap_ms)
        return;
    /* Idle time must not hide that the rate was used: a window that is far too old counts for nothing. */
    if (may_grow && ms < 2 * l->grow_gap_ms && (double)l->used * MINUTE > 0.6 * l->per_minute * (double)ms)
        grow(l, now);
    l->used = 0;
    l->since = now;
}

void limit_cut(struct limit *l, bool reputation, struct mono now)
{
    double ran = most(1.0, tally_sum(&l->accepted, SLOT, now));
    double had = l->per_minute > 0 ? l->per_minute : UNLEARNED_MAX;
    double rate;

    if (l->learned)
        rate = had * (reputation ? 0.5 : 0.75);
    else
        rate = reputation ? 0.25 * most(ran, 8) : 0.5 * least(had, most(ran, 4));
    l->grow_gap_ms = !l->learned ? 10 * MINUTE : l->grow_gap_ms * 2 < 6 * HOUR ? l->grow_gap_ms * 2 : 6 * HOUR;
    l->per_minute = most(RATE_MIN, rate);
    l->bad = most(ran, l->per_minute * 1.2);
    l->bad_at = now;
    l->burst = least(BURST_MAX, most(BURST_MIN, l->per_minute / 6));
    l->tokens = least(1.0, limit_tokens(l, now));
    l->at = l->since = now;
    l->used = 0;
    l->learned = true;
}
