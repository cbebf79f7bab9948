/* bounce_original: what a report gives back of the message it is about. */
#ifndef ABIDE_KEEPER_BOUNCE_ORIGINAL_H
#define ABIDE_KEEPER_BOUNCE_ORIGINAL_H

#include <stdbool.h>
#include "common/buf.h"

struct bounce;

enum { ORIGINAL_WHOLE_MAX = 100 * 1024, ORIGINAL_HEADER_MAX = 64 * 1024 };

struct bounce_original {
    struct buf bytes;                   /* the header or all of it; empty: there is nothing to give back */
    bool whole;
    bool eight_bit;
    char subject[400];                  /* unfolded printable ASCII, or "" */
    char message_id[256];               /* "<...@...>", or "" */
};

/* Reads the header, or, if asked for and it can stand in a report as it is (size, long lines, NULs), the whole message.
 * What cannot be read is left out: the report matters more. */
void bounce_original_read(const struct bounce *, bool whole, struct bounce_original *);
void bounce_original_fini(struct bounce_original *);

#endif
