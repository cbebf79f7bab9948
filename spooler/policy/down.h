/* down: which hosts of a site do not answer, or say that they cannot, and
 * until when they are left alone. Pure, bounded. Part of struct site. */
#ifndef ABIDE_POLICY_DOWN_H
#define ABIDE_POLICY_DOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/clock.h"

enum { DOWN_MAX = 64 };

struct down_host {
    uint64_t key;                       /* hash of its name; 0: a free place */
    struct mono since, last;            /* first and latest failure in a row; ms 0: none of its own */
    struct mono until;                  /* not before */
};

struct down { struct down_host host[DOWN_MAX]; };

const struct down_host *down_find(const struct down *, const char *name);
/* NAME has just failed: its entry, whose UNTIL the caller sets. Failures long
 * after the time when it might have been tried again start anew. The entry
 * unused for longest gives way to a new one. */
struct down_host *down_fail(struct down *, const char *name, struct mono now);
/* There is no way to NAME from here, which is nobody's failure: not before UNTIL. */
void down_avoid(struct down *, const char *name, struct mono until);
/* NAME works. True if it had not. */
bool down_forget(struct down *, const char *name);
/* All may be tried now. */
void down_release(struct down *, struct mono now);

/* The first of N by order that may be tried, or -1 and when one may be. */
int down_pick(const struct down *, const char *const *name, size_t n, struct mono now, struct mono *when_r);
/* True if all N have been failing: since when, and the latest failure. Of those
 * that are only avoided nothing is known, so the others speak for them. */
bool down_all_fail(const struct down *, const char *const *name, size_t n, struct mono *since_r, struct mono *last_r);

#endif
