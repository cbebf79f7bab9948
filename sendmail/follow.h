/* follow: sendmail -v, what becomes of a message that was just queued. */
#ifndef ABIDE_SENDMAIL_FOLLOW_H
#define ABIDE_SENDMAIL_FOLLOW_H

#include <stdbool.h>

struct envelope;
struct follow;
struct msgid;
struct spool;

/* Between commit and waking the spooler: gets hold of the message while it
 * still lies in new/. NULL: the caller may not read trails. ENV is borrowed. */
struct follow *follow_begin(struct spool *, const struct msgid *, const struct envelope *);

/* Shows on stderr what the spooler writes about it, until every recipient is
 * settled or deferred, a signal comes, or ten minutes have passed. RUNNING: a
 * spooler knows of it. Frees. */
void follow_end(struct follow *, const struct msgid *, bool running);

#endif
