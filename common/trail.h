/* trail: what happened to a message so far, one line per event, append-only.
 * Pure: bytes to struct and back. The last word about a recipient counts.
 * A torn last line is ignored; so is a line this version does not know, and
 * a deferral of a recipient that was settled before.
 *
 *   WALLMS delivered N HOST REPLY...            N: recipient, counted from 1
 *   WALLMS failed N CAUSE REPLY...
 *   WALLMS deferred N CAUSE due=SECONDS n=COUNT first=MS last=MS grey=MS:COUNT host=HOST REPLY...
 *   WALLMS warned N
 *   WALLMS said N TEXT...                       the dialogue, for sendmail -v; N is 0
 *   WALLMS moved TEXT...                        by whom, why (hold, release, retry)
 */
#ifndef ABIDE_COMMON_TRAIL_H
#define ABIDE_COMMON_TRAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/cause.h"
#include "common/clock.h"

struct buf;
struct err;

enum fate { FATE_OWED, FATE_DELIVERED, FATE_FAILED };

/* What is known of one recipient. Zero: nothing was ever tried. */
struct trail_rcpt {
    enum fate fate;
    enum cause cause;
    int64_t due;                        /* seconds; 0: at the queue name's DUE */
    unsigned n;                         /* deferrals of its own so far */
    struct wall first;                  /* first real answer that deferred it; 0: none */
    struct wall last;                   /* last real answer */
    struct wall grey;                   /* when it was first greylisted; 0: never */
    unsigned grey_n;                    /* greylistings in a row */
    char host[64];                      /* that greylisted it, "" */
    bool warned;                        /* the sender was told of the delay */
    const char *text;                   /* of the last answer, one line; the trail's; NULL: none */
};

struct trail {
    size_t nrcpt;
    struct trail_rcpt *rcpt;            /* by index, 0-based */
    char *bytes;                        /* what the texts point into */
};

/* Reads BYTES for a message of NRCPT recipients; never fails on content. */
int trail_parse(const char *, size_t len, size_t nrcpt, struct trail *trail_r, struct err *);
void trail_fini(struct trail *);

/* Appends one line. INDEX is 0-based. REPLY is any text: made one line here. */
bool trail_print_rcpt(struct buf *, struct wall at, size_t index, const struct trail_rcpt *, const char *reply);
bool trail_print_warned(struct buf *, struct wall at, size_t index);
bool trail_print_said(struct buf *, struct wall at, const char *text);
bool trail_print_moved(struct buf *, struct wall at, const char *text);

#endif
