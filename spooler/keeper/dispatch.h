/* dispatch: the choice of the next message for a connection, and handing it
 * out: who of its recipients is due, which sibling names go along. */
#ifndef ABIDE_KEEPER_DISPATCH_H
#define ABIDE_KEEPER_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>

struct conn;
struct domain;
struct keeper;

enum { LAST_CALL_MS = 180 * 1000 };     /* a last call comes at most so long before the deadline */

/* Hands one transaction to C. False: its hop has nothing to send now. */
bool dispatch_next(struct keeper *, struct conn *);

/* What waits behind a refused route, or has nowhere to go, or is about to die
 * behind a pause: each of up to MOST ready names of D is opened and decided on
 * without a transaction. */
void dispatch_without(struct keeper *, struct domain *, size_t most);

/* Messages of D whose warning or last call has come while nobody is sent there. */
void dispatch_attend(struct keeper *, struct domain *);

#endif
