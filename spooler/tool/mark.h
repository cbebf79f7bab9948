/* mark: lines of an administrator in a message's trail. */
#ifndef ABIDE_TOOL_MARK_H
#define ABIDE_TOOL_MARK_H

#include <sys/types.h>
#include "common/clock.h"
#include "common/msgid.h"

struct envelope;
struct err;
struct spool;
struct trail;

/* Who did what. A hint: not synced. */
int mark_moved(struct spool *, const struct msgid *, uid_t, struct wall at, const char *text, struct err *);

/* Nothing is owed any more to the recipients of the domain directory DIR; durable when it returns. */
int mark_dropped(struct spool *, const struct msgid *, const struct envelope *, const struct trail *, const char *dir, struct wall at,
    const char *text, struct err *);

#endif
