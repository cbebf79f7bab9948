/* act: what an administrator may do to mail that waits. */
#ifndef ABIDE_TOOL_ACT_H
#define ABIDE_TOOL_ACT_H

#include <stdbool.h>
#include <stddef.h>

struct act;
struct spool;
struct tool;
struct what;

/* retry, hold, release or drop; NULL: none of these. */
const struct act *act_find(const char *name);
/* It destroys: to do it to everything has to be asked for twice. */
bool act_destroys(const struct act *);

/* Does it to all that is meant, and says so. The exit status. */
int act_run(const struct act *, const struct tool *, struct spool *, struct what *, size_t nwhat);

#endif
