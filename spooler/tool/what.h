/* what: which mail somebody means: a message ID, a recipient's domain, a
 * recipient's address, or all. */
#ifndef ABIDE_TOOL_WHAT_H
#define ABIDE_TOOL_WHAT_H

#include <stdbool.h>
#include "common/address.h"
#include "common/msgid.h"
#include "common/spool.h"

struct err;

enum what_kind { WHAT_ALL, WHAT_ID, WHAT_DOMAIN, WHAT_ADDRESS };

struct what {
    enum what_kind kind;
    const char *text;                   /* as given; borrowed */
    struct msgid id;                    /* WHAT_ID */
    char dir[SPOOL_DOMAIN_SIZE];        /* WHAT_DOMAIN, WHAT_ADDRESS: the domain's directory */
    char address[ADDRESS_MAX];          /* WHAT_ADDRESS */
    bool met;                           /* something matched it */
};

/* -1: EX_USAGE, it can be none of these. */
int what_parse(const char *text, struct what *, struct err *);

/* May names in the domain directory DIR be meant? */
bool what_in_dir(const struct what *, const char *dir);
/* Is this ID meant by itself, whoever its recipients are (WHAT_ALL, WHAT_ID)? */
bool what_is_id(const struct what *, const struct msgid *);
/* Is this recipient meant (WHAT_DOMAIN, WHAT_ADDRESS)? */
bool what_is_recipient(const struct what *, const char *rcpt);

/* The domain directory of a recipient. False: it has none. */
bool what_dir(const char *rcpt, char dir[SPOOL_DOMAIN_SIZE]);

#endif
