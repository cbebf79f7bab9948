/* ehlo: what a server offers, out of its reply to EHLO (RFC 5321 4.1.1.1). */
#ifndef ABIDE_COURIER_EHLO_H
#define ABIDE_COURIER_EHLO_H

struct reply;
struct wire_up;

/* Sets the offers in *up_r, all others off. Unknown keywords, `AUTH=`, case
 * and trailing blanks do no harm. */
void ehlo_parse(const struct reply *, struct wire_up *up_r);

#endif
