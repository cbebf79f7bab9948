/* transaction: one flight inside a session: its addresses, its message, how
 * far it has come. A value of the session's; text memory is kept for the next
 * one in the same place. */
#ifndef ABIDE_COURIER_TRANSACTION_H
#define ABIDE_COURIER_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>
#include "common/buf.h"
#include "spooler/courier/body.h"

struct err;
struct wire_send;

/* What is to be written next. */
enum step {
    STEP_CHECK,                         /* nothing yet: will the server take it as it is? */
    STEP_MAIL, STEP_RCPT, STEP_DATA,
    STEP_WAIT,                          /* nothing before the reply to DATA */
    STEP_BODY,
    STEP_SENT                           /* the final dot was written */
};

struct transaction {
    uint32_t flight;
    bool eight_bit, say;
    uint64_t wire_bytes, longest_line;
    unsigned nrcpt;
    enum step step;
    unsigned asked;                     /* RCPT commands written */
    unsigned owed;                      /* replies of its own that are still to come */
    unsigned accepted, refused;         /* recipients, by the replies so far */
    bool begun;                         /* MAIL was accepted and nothing has ended the transaction */
    bool told;                          /* every recipient's fate was told */
    uint64_t body_at;                   /* where in the stream of bytes out the body began */
    struct body body;
    struct buf names;                   /* sender and recipients, each with its NUL */
    size_t name_at;
};

/* Takes FD, also by a failure. T is zero or was transaction_fini'ed. */
int transaction_init(struct transaction *, const struct wire_send *, int fd, struct err *);
void transaction_fini(struct transaction *);    /* closes the message; keeps the memory of names */
void transaction_free(struct transaction *);    /* that too */

/* First the sender, then each recipient. */
const char *transaction_name(struct transaction *);

#endif
