/* header: what is added to the header a caller gave, and what is taken out. Pure. */
#ifndef ABIDE_SENDMAIL_HEADER_H
#define ABIDE_SENDMAIL_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "common/clock.h"

struct buf;
struct msgid;

struct header_facts {
    const struct msgid *id;
    const char *hostname;               /* ours */
    const char *user;                   /* the caller */
    uid_t uid;
    struct wall at;
    const char *from;                   /* address for a From that is missing */
    const char *full_name;              /* to go with it; "" for none */
    const char *only_rcpt;              /* to be named in Received, or NULL */
};

/* Appends to OUT: our Received field, the fields of TEXT (as message_header()
 * gives it), what was missing, and the empty line. Fields are kept byte for
 * byte, but Bcc, Resent-Bcc, Return-Path and Content-Length are dropped, as
 * are an empty Date, From or Message-ID and their Resent- forms; blanks before
 * a colon go (RFC 5322 4.5). A resent message gets what its Resent- fields lack. */
void header_complete(struct buf *out, const char *text, size_t len, const struct header_facts *);

/* Somebody sent on what he had got (RFC 5322 3.6.6): there are Resent- fields. */
bool header_resent(const char *text, size_t len);

/* How many servers it came through. */
unsigned header_received(const char *text, size_t len);

#endif
