/* unfiled: mail in new/, which has no place in the queue yet. */
#ifndef ABIDE_TOOL_UNFILED_H
#define ABIDE_TOOL_UNFILED_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct spool;
struct what;

/* Has the spooler file what is meant of new/, and waits for that a few seconds.
 * *LEFT_R: how many messages that are meant are there still; *TOLD_R: whether
 * there was a spooler to tell. Marks what was met. */
int unfiled_settle(struct spool *, struct what *, size_t nwhat, size_t *left_r, bool *told_r, struct err *);

#endif
