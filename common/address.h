/* address: RFC 5321 mailboxes as plain strings in one canonical spelling:
 * no angle brackets, no source route, domain in lower case without a trailing
 * dot, local part as given and quoted only where it must be. "" is the null
 * reverse-path. IDNA is not done here (policy/route). */
#ifndef ABIDE_COMMON_ADDRESS_H
#define ABIDE_COMMON_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

struct err;

enum { ADDRESS_MAX = 1000 };            /* bytes with the NUL; RFC 5321 asks for 256, VERP wants more */

/* Reads one path or mailbox: <u@d>, <@r1,@r2:u@d>, u@d, u, <>, "q s"@d, u@[1.2.3.4].
 * Comments and blanks around it are dropped. Control bytes, NUL, two
 * addresses, an empty local part: EX_DATAERR. 8-bit bytes pass. A mailbox
 * without domain stays without one. */
int address_parse(const char *in, size_t len, char out[ADDRESS_MAX], struct err *);

/* The part behind the last @ outside quotes, or NULL. */
const char *address_domain(const char *address);

/* Same mailbox: local parts byte for byte, domains without regard to case. */
bool address_equal(const char *, const char *);

/* A domain (or address literal in brackets) by RFC 5321 syntax, A-labels or
 * UTF-8; at most 255 bytes, labels at most 63. */
bool address_domain_valid(const char *domain);

#endif
