/* expect: the queue of replies a session still waits for, oldest first: a
 * fixed ring. Pure. */
#ifndef ABIDE_COURIER_EXPECT_H
#define ABIDE_COURIER_EXPECT_H

#include <stdbool.h>
#include <stdint.h>
#include "spooler/link/wire.h"

struct transaction;

enum expect_kind {
    EXPECT_BANNER, EXPECT_EHLO, EXPECT_HELO, EXPECT_RSET, EXPECT_MAIL, EXPECT_RCPT, EXPECT_DATA, EXPECT_DOT, EXPECT_QUIT,
    EXPECT_KINDS
};

#define EXPECT_UNSENT UINT64_MAX        /* the end of what is still being made */

struct expect {
    enum expect_kind kind;
    uint16_t rcpt;                      /* index, for EXPECT_RCPT */
    struct transaction *t;              /* whose command it was, or NULL */
    uint64_t end;                       /* where in the stream of bytes out the command ends */
};

/* A dot, then a whole group behind it: RSET, MAIL, every RCPT, DATA. */
enum { EXPECT_MAX = WIRE_RCPT_MAX + 4 };

struct expect_ring {
    struct expect at[EXPECT_MAX];
    unsigned first, count;
};

/* True if one more may be pushed. */
bool expect_room(const struct expect_ring *);
void expect_push(struct expect_ring *, const struct expect *);
const struct expect *expect_head(const struct expect_ring *);   /* the oldest; NULL: none */
const struct expect *expect_tail(const struct expect_ring *);   /* the youngest; NULL: none */
struct expect expect_pop(struct expect_ring *);                 /* the oldest; there is one */
void expect_sent(struct expect_ring *, uint64_t end);           /* the oldest has its end now */

/* A reply can be E's only if the last byte of its command has left. */
bool expect_armed(const struct expect *e, uint64_t wrote);

#endif
