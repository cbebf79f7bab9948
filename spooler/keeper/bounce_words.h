/* bounce_words: the words of a report: for the person who wrote the message, and as RFC 3464's fields for programs. Pure.
 * Whatever came from outside is made harmless here: no byte of it can become a line or a field of its own, and no line is
 * longer than WORDS_LINE_MAX. */
#ifndef ABIDE_KEEPER_BOUNCE_WORDS_H
#define ABIDE_KEEPER_BOUNCE_WORDS_H

#include "common/clock.h"
#include "spooler/keeper/bounce.h"

struct buf;
struct bounce_original;

enum { WORDS_LINE_MAX = 900, WORDS_STATUS_SIZE = 12 };

/* "NAME: VALUE", ASCII, folded at blanks. */
void words_field(struct buf *, const char *name, const char *value);
/* "NAME: ADDRESS", not folded within it; UTF-8 stays. False: it is too long for a field, nothing was added. */
bool words_address(struct buf *, const char *name, const char *address);

/* The first part of the report, UTF-8. */
void words_for_people(struct buf *, const struct bounce *, const struct bounce_original *, const char *hostname);

/* The fields about one recipient, ASCII, with an empty line before them. BRIEF: without the words of the server. */
void words_for_programs(struct buf *, const struct bounce *, const struct bounce_rcpt *, bool brief);

/* The code for the recipient: as given, else the one inside a server's reply if it is of the right class, else 5.0.0 or 4.0.0. */
void words_status(const struct bounce_rcpt *, enum bounce_kind, char out[WORDS_STATUS_SIZE]);

#endif
