/* filing: from new/ into the queue. */
#ifndef ABIDE_KEEPER_FILING_H
#define ABIDE_KEEPER_FILING_H

#include <stdbool.h>

struct keeper;
struct msgid;

/* Files what lies in new/, a bounded number a call, in passes over it: what could
 * not be filed is for the next one. */
void filing_take(struct keeper *);
/* A pass is wanted or under way. */
bool filing_asked(const struct keeper *);
/* Is this ID still in new/? Then nobody may act on its names in the queue: it is
 * between its two homes. */
bool filing_has(struct keeper *, const struct msgid *);

/* Held local mail whose way is open now (a changed configuration) goes back
 * into the queue. */
void filing_release(struct keeper *);

/* Trails whose message is gone, what lies in tmp/ for 36 hours, and what was learned
 * of sites 60 days ago, are removed. */
void filing_sweep(struct keeper *);

#endif
