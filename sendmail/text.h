/* text: a message on its way out, and what will be known of it when it is whole. */
#ifndef ABIDE_SENDMAIL_TEXT_H
#define ABIDE_SENDMAIL_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include "common/envelope.h"

struct draft;
struct err;

struct text {
    int (*write)(void *arg, const void *, size_t, struct err *);
    void *arg;
    struct envelope_size size;          /* of all that was written */
    uint64_t line;                      /* bytes of the line not ended yet */
};

/* Lines ended by LF, in pieces of any length. -1: what the writer said. */
int text_write(struct text *, const void *, size_t, struct err *);

/* A text that goes into the draft, whose envelope is written already. */
struct text text_to_draft(struct draft *);

#endif
