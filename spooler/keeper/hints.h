/* hints: what outlives a run beside the queue itself: sites/NAME, sites/routes.
 * Losing them costs a few refused attempts, never mail; so they are not synced. */
#ifndef ABIDE_KEEPER_HINTS_H
#define ABIDE_KEEPER_HINTS_H

#include <stdbool.h>

struct keeper;
struct site;

/* What sites/NAME says, into a new site. */
void hints_load_site(struct keeper *, struct site *);
/* Routes of the domains that have mail. */
void hints_load_routes(struct keeper *);
/* Sites that changed; the routes too if ROUTES. */
void hints_save(struct keeper *, bool routes);

#endif
