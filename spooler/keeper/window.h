/* window: the bounded part of a domain's queue that is held in memory: names
 * that are due (shared among senders) and the earliest of those that are not.
 * Pure. What does not fit is remembered only as the time from which a new pass
 * over the directory is needed. A name may be in twice, or be gone by the time
 * it is taken: the caller finds out when it opens it. */
#ifndef ABIDE_KEEPER_WINDOW_H
#define ABIDE_KEEPER_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/msgid.h"

struct window;

enum { WINDOW_READY = 1000, WINDOW_LATER = 1000 };
#define WINDOW_NEVER INT64_MAX

struct window *window_new(void);        /* NULL: out of memory */
void window_free(struct window *);

/* A name that is there. Due at NOW (seconds): ready, else later. When there is
 * no room, the sender with most names gives way to one with fewer. */
void window_add(struct window *, const struct qname *, int64_t now);
/* Moves to ready what became due. */
void window_turn(struct window *, int64_t now);
/* The next ready one, senders in turn. False: none. Peek leaves it. */
bool window_take(struct window *, struct qname *);
bool window_peek(const struct window *, struct qname *);

size_t window_ready(const struct window *);
bool window_full(const struct window *);        /* a pass should pause */
/* The earliest time at which something not ready becomes due, or a pass is
 * needed: WINDOW_NEVER if it knows of nothing. */
int64_t window_next(const struct window *);
/* Names were left out that are due by now, and there is room for them. */
bool window_wants_pass(const struct window *, int64_t now);

/* A pass over the whole directory begins: what is later is learned anew. */
void window_pass(struct window *);
/* Forgets everything; the next pass tells. */
void window_reset(struct window *);

#endif
