/* mutate: pseudo-random damage to good inputs, the same on every run. */
#ifndef ABIDE_TESTS_UNIT_MUTATE_H
#define ABIDE_TESTS_UNIT_MUTATE_H

#include <stddef.h>
#include <stdint.h>

enum { MUTATIONS = 20000 };

struct mutator { uint64_t state; };     /* start with a seed that is not 0 */

/* 0 .. below-1. */
unsigned mutator_pick(struct mutator *, unsigned below);

/* A damaged copy: one to four bytes flipped, doubled, dropped, cut off or put
 * in. Exactly *len_r bytes are allocated, so that a sanitizer sees any read
 * behind them; the caller frees. */
char *mutate(struct mutator *, const char *in, size_t len, size_t *len_r);

/* The same as a string: no NUL inside, one behind. */
char *mutate_string(struct mutator *, const char *in);

#endif
