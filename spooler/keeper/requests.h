/* requests: what the courier may say, as a table: each kind with what must hold
 * for it to be believed. The keeper never ends for what the courier says. */
#ifndef ABIDE_KEEPER_REQUESTS_H
#define ABIDE_KEEPER_REQUESTS_H

#include "spooler/link/wire.h"

struct err;
struct keeper;

/* Acts on one record. -1 with EX_PROTOCOL: it may not say that now; the caller
 * ends that courier. */
int request_take(struct keeper *, const struct wire_msg *, struct err *);

#endif
