/* words: the text of a reply as a list of words, and phrases found in it. Pure.
 *
 * A phrase is a row of elements separated by one blank each:
 *   word       that word; `word*`, `*word`, `*word*` are its beginning, its end, a part
 *   a|b|c      any of these
 *   #          a number
 *   ~ ~~       up to 3, up to 12 words of any kind
 *   ^ $        the beginning (first) and the end (last) of the text
 * Several phrases in one string are separated by " / ". */
#ifndef ABIDE_POLICY_WORDS_H
#define ABIDE_POLICY_WORDS_H

#include <stdbool.h>
#include <stddef.h>

enum { WORDS_MAX = 240, WORDS_BYTES = 1280 };

struct words {
    size_t n;
    const char *word[WORDS_MAX];        /* into bytes: do not copy the struct */
    bool initial[256];                  /* first bytes that occur, to be quick */
    char bytes[WORDS_BYTES];
};

/* Lower case, punctuation dropped, "can't" is "cant". Network addresses become
 * "ip", mailboxes "addr", enhanced status codes vanish. A URL becomes "url",
 * unless URLS: then its words. What passes the bounds is left out. */
void words_split(const char *text, bool urls, struct words *);

bool words_match(const struct words *, const char *phrases);

#endif
