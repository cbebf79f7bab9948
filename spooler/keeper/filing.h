/* filing: from new/ into the queue. */
#ifndef ABIDE_KEEPER_FILING_H
#define ABIDE_KEEPER_FILING_H

#include <stdbool.h>

struct keeper;

/* Files what lies in new/, a bounded number a call. True: there is more. */
bool filing_take(struct keeper *);

/* Held local mail whose way is open now (a changed configuration) goes back
 * into the queue. */
void filing_release(struct keeper *);

/* Trails whose message is gone, and what lies in tmp/ for 36 hours, are removed. */
void filing_sweep(struct keeper *);

#endif
