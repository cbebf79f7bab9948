/* listing: what lies in the spool, for people: mailq, abide queue. Works
 * without a running spooler, on names first; opens a message only when asked.
 * A message that waits for several domains is one item. */
#ifndef ABIDE_COMMON_LISTING_H
#define ABIDE_COMMON_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/envelope.h"
#include "common/msgid.h"
#include "common/trail.h"

struct err;
struct spool;
struct listing;

enum listing_where { LISTED_NEW, LISTED_CUR, LISTED_HOLD, LISTED_DEAD };

struct listing_item {
    struct msgid id;
    enum listing_where where;           /* HOLD only if all of it is held */
    int64_t due;                        /* seconds, earliest; 0 for new and dead */
    char letter;                        /* of the earliest due */
    uint64_t bytes;                     /* of the file, as stat says: no right to read needed */
    uid_t uid;                          /* owner */
    bool readable;                      /* envelope and trail below are filled */
    struct envelope envelope;
    struct trail trail;
    bool *gone;                         /* by recipient: no name of its domain is left; NULL: nothing is known of that */
};

/* Reads all names (sorted by ID, that is by age). DEAD: list dead/ instead. */
int listing_open(struct spool *, bool dead, struct listing **listing_r, struct err *);
size_t listing_count(const struct listing *);

/* The next item, opened; 1, or 0 at the end. What vanished meanwhile is
 * skipped. The item is the listing's until the next call. */
int listing_next(struct listing *, const struct listing_item **item_r);
void listing_free(struct listing *);

/* Is recipient I of a readable item still owed? Where a transaction settles all
 * that waits for a domain, the end of its name is the record, and no trail says more. */
bool listing_owes(const struct listing_item *, size_t i);

#endif
