/* child: the courier as the keeper sees it: started when there is work, watched,
 * started again with a growing pause when it died, let go after a minute
 * without work. */
#ifndef ABIDE_KEEPER_CHILD_H
#define ABIDE_KEEPER_CHILD_H

#include <stdbool.h>

struct keeper;
struct wire_msg;

/* A courier is there and its link has room; starts one if that is allowed now.
 * False: try again later (keeper_next() knows when). */
bool child_ready(struct keeper *);
/* Sends; FD is taken. False: not sent (the link is full or gone). */
bool child_send(struct keeper *, const struct wire_msg *, int fd);
/* Reads what it has to say (bounded) and acts on it (keeper/requests). */
void child_listen(struct keeper *);
/* It died, or said what it may not: what it held is taken back. */
void child_lost(struct keeper *, const char *why);
/* Lets an idle one go; called once a step. */
void child_rest(struct keeper *);
/* A changed resolv.conf: the next one knows it, so an idle one goes. Once a minute. */
void child_watch(struct keeper *);
/* The end of all: what it told of unfinished transactions is recorded. */
void child_close(struct keeper *);
/* New work is refused; final phases may end. */
void child_finish(struct keeper *);
/* Tells it the configuration (anew). */
bool child_setup(struct keeper *);

#endif
