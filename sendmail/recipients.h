/* recipients: to whom a message goes, from arguments and header. No I/O. */
#ifndef ABIDE_SENDMAIL_RECIPIENTS_H
#define ABIDE_SENDMAIL_RECIPIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include "common/buf.h"
#include "common/envelope.h"

struct err;

struct recipients_rules {
    const char *domain;                 /* qualifies names without one */
    const char *hostname;               /* mail to it (and to localhost) is local */
    const char *root;                   /* gets all local mail, "" for nobody */
    bool from_header;                   /* -t */
    bool subtract;                      /* with -t: arguments are not to get it */
    size_t max;                         /* 0: no limit of ours */
};

struct recipients {
    bool blind;                         /* a Bcc named one that nothing before it did */
    size_t nbad;
    struct buf bad;                     /* what was no address, a line each, printable ASCII */
};

enum { RECIPIENTS_BAD_MAX = 4 * 1024 * 1024, RECIPIENTS_BAD_LINE = 200 };
#define RECIPIENTS_INIT { .bad = BUF_INIT(RECIPIENTS_BAD_MAX) }

/* Adds to ENV, each address once, in the order they were met. HEADER as
 * message_header() gives it. If the message was resent, To, Cc and Bcc are
 * those of the original and do not count. -1: EX_USAGE there is nobody, EX_DATAERR
 * nobody whose address can be read, too many, a control byte in an argument. */
int recipients_collect(const struct recipients_rules *, char *const *arg, size_t narg, const char *header, size_t len,
    struct envelope *env, struct recipients *r, struct err *);
void recipients_fini(struct recipients *);

#endif
