/* mutate: damage for the parsers' tests. Xorshift, so that a seed means the
 * same everywhere; bytes put in are mostly those that grammars care about. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "tests/unit/mutate.h"

enum { SPAN_MAX = 24 };

unsigned mutator_pick(struct mutator *m, unsigned below)
{
    m->state ^= m->state << 13;
    m->state ^= m->state >> 7;
    m->state ^= m->state << 17;
    return (unsigned)((m->state >> 33) % below);
}

static char any_byte(struct mutator *m)
{
    static const char favoured[] = "\n\r\t \"\\()<>[]@.,:;=-/0245789azAZ_%\0\177\200\303\266\377";

    if (mutator_pick(m, 4) == 0)
        return (char)mutator_pick(m, 256);
    return favoured[mutator_pick(m, sizeof(favoured) - 1)];
}

/* Puts in a copy of a span of its own, or a byte. */
static size_t grow(struct mutator *m, char *s, size_t len)
{
    size_t at = mutator_pick(m, (unsigned)len + 1), n = 1 + mutator_pick(m, SPAN_MAX);
    size_t from = mutator_pick(m, (unsigned)len + 1);
    char span[SPAN_MAX];

    if (n > len - from || mutator_pick(m, 2) == 0)
        n = 0;
    memcpy(span, s + from, n);
    if (n == 0)
        span[n++] = any_byte(m);
    memmove(s + at + n, s + at, len - at);
    memcpy(s + at, span, n);
    return len + n;
}

static size_t shrink(struct mutator *m, char *s, size_t len)
{
    size_t at = mutator_pick(m, (unsigned)len), n = 1 + mutator_pick(m, SPAN_MAX);

    if (mutator_pick(m, 8) == 0)
        return at;
    if (n > len - at || mutator_pick(m, 2) == 0)
        n = 1;
    memmove(s + at, s + at + n, len - at - n);
    return len - n;
}

char *mutate(struct mutator *m, const char *in, size_t len, size_t *len_r)
{
    char *s = malloc(len + 4 * SPAN_MAX), *exact;

    ck_assert_ptr_nonnull(s);
    memcpy(s, in, len);
    for (unsigned n = 1 + mutator_pick(m, 4); n > 0; n--) {
        unsigned kind = len == 0 ? 2 : mutator_pick(m, 4);

        if (kind == 0)
            len = shrink(m, s, len);
        else if (kind == 1)
            s[mutator_pick(m, (unsigned)len)] = any_byte(m);
        else
            len = grow(m, s, len);
    }
    exact = malloc(len == 0 ? 1 : len);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, s, len);
    free(s);
    *len_r = len;
    return exact;
}

char *mutate_string(struct mutator *m, const char *in)
{
    size_t len;
    char *bytes = mutate(m, in, strlen(in), &len);
    char *s = strndup(bytes, len);

    ck_assert_ptr_nonnull(s);
    free(bytes);
    return s;
}
