/* spawn: a courier is always exec'ed afresh, from a descriptor of our own program
 * opened at the start, with its link as descriptor 3 and 0 to 2 on /dev/null. */
#ifndef ABIDE_SPOOLER_SPAWN_H
#define ABIDE_SPOOLER_SPAWN_H

struct err;

enum { SPAWN_LINK_FD = 3 };
#define SPAWN_COURIER "--courier"       /* the hidden argument */

/* Opens our own program for later. -1 with *err. */
int spawn_prepare(struct err *);
/* The keeper's `courier` option; ARG points to what spawn_prepare() returned. */
int spawn_courier(void *arg, struct err *);

#endif
