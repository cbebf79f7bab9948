/* mailq: the queue as Exim lists it. */
#ifndef ABIDE_SENDMAIL_MAILQ_H
#define ABIDE_SENDMAIL_MAILQ_H

#include <stddef.h>
#include "common/clock.h"

struct buf;
struct err;
struct listing_item;
struct spool;

/* Prints to descriptor FD all messages, or those with the IDs given. An empty
 * queue prints nothing. */
int mailq(struct spool *, char *const *id, size_t nid, int fd, struct err *);

/* One message's lines. */
void mailq_item(struct buf *, const struct listing_item *, struct wall now);

#endif
