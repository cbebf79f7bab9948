/* addrlist: an RFC 5322 address list (3.4, obsolete forms of 4.4) taken apart
 * into mailboxes. Pure; linear in its length, no recursion. */
#ifndef ABIDE_SENDMAIL_ADDRLIST_H
#define ABIDE_SENDMAIL_ADDRLIST_H

#include <stdbool.h>
#include <stddef.h>
#include "common/address.h"

enum addrlist_got {
    ADDRLIST_END,
    ADDRLIST_ADDRESS,                   /* canonical, in address; without a domain if none was given */
    ADDRLIST_BAD                        /* text says what could not be read; the list goes on behind it */
};

struct addrlist {
    const char *at, *end;               /* what is left of the list */
    const char *element;                /* end of the list element at `at`, if one was begun, else NULL */
    bool spaced;                        /* only a blank separates `at` from the address before */
    char address[ADDRESS_MAX];
    const char *text;                   /* of the bad part, trimmed; points into the list */
    size_t text_len;
};

/* TEXT is a header field's value as it stands, folded or not, or one argument;
 * it is borrowed. Elements are separated by commas; also by semicolons outside
 * a group, and by blanks between two addresses that both have a domain.
 * Nothing is guessed within one address. Empty elements and groups give nothing. */
void addrlist_init(struct addrlist *, const char *text, size_t len);
enum addrlist_got addrlist_next(struct addrlist *);

/* TEXT has a byte that belongs into no argument: it was meant to become a line. */
bool addrlist_has_control(const char *text);

/* TEXT, an argument, is exactly one mailbox; its address. */
bool addrlist_one(const char *text, char address[ADDRESS_MAX]);

#endif
