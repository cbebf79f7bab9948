/* wake: the FIFO by which others say that something changed: `n` look in new/,
 * `c DIRECTORY` (below cur/) names changed there, `q` make everything due now. A line a write;
 * anybody in the group may write anything, so lines are bounded and only hints. */
#ifndef ABIDE_KEEPER_WAKE_H
#define ABIDE_KEEPER_WAKE_H

struct err;
struct keeper;

/* Opens (makes, where missing) the FIFO. -1 with *err. */
int wake_open(struct keeper *, struct err *);
/* Reads what is there and acts on it. */
void wake_read(struct keeper *);

#endif
