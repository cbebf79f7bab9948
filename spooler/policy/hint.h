/* hint: how long a reply asks us to wait, in whatever words. Pure. */
#ifndef ABIDE_POLICY_HINT_H
#define ABIDE_POLICY_HINT_H

#include <stdint.h>
#include "common/clock.h"

/* Milliseconds from NOW on, 0..30 days; -1: the text does not say. A span that
 * is no wait ("100 per hour", "in the last 10 minutes") is none, nor is a date
 * without a word before it that makes it one ("until", "after", "later:"). */
int64_t hint_find(const char *text, struct wall now);

#endif
