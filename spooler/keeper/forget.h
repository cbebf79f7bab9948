/* forget: what memory need not hold any more. */
#ifndef ABIDE_KEEPER_FORGET_H
#define ABIDE_KEEPER_FORGET_H

struct keeper;

/* Domains without mail whose route is stale, host sets nobody goes to, sites
 * without any: freed. Once an hour, after the hints were saved. */
void forget_unused(struct keeper *);

#endif
