/* expect: a ring of what the next replies will mean. It knows no protocol;
 * session.c has the table of kinds. It must never lose its order: replies
 * carry no name, their place is all that tells what they answer. */
#include <config.h>

#include "spooler/courier/expect.h"

#include <stddef.h>

bool expect_room(const struct expect_ring *r)
{
    return r->count < EXPECT_MAX;
}

void expect_push(struct expect_ring *r, const struct expect *e)
{
    r->at[(r->first + r->count) % EXPECT_MAX] = *e;
    r->count++;
}

const struct expect *expect_head(const struct expect_ring *r)
{
    return r->count > 0 ? &r->at[r->first] : NULL;
}

const struct expect *expect_tail(const struct expect_ring *r)
{
    return r->count > 0 ? &r->at[(r->first + r->count - 1) % EXPECT_MAX] : NULL;
}

struct expect expect_pop(struct expect_ring *r)
{
    struct expect e = r->at[r->first];

    r->first = (r->first + 1) % EXPECT_MAX;
    r->count--;
    return e;
}

void expect_sent(struct expect_ring *r, uint64_t end)
{
    r->at[r->first].end = end;
}

bool expect_armed(const struct expect *e, uint64_t wrote)
{
    return e->end != EXPECT_UNSENT && e->end <= wrote;
}
