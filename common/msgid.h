/* msgid: message IDs and the names under which messages wait. Pure but for
 * msgid_make(), which asks the kernel for random bytes.
 *
 * ID: "1tDabc-0001Xy-2c", Exim's old form. Six base-62 digits (0-9A-Za-z) of
 * seconds, so IDs sort by time; then eight random ones.
 * Queue name: DUE.ID.KEY. DUE: ten digits of UTC seconds. KEY: a cause's
 * letter and three base-62 digits of a hash of the sender. */
#ifndef ABIDE_COMMON_MSGID_H
#define ABIDE_COMMON_MSGID_H

#include <stdbool.h>
#include <stdint.h>
#include "common/clock.h"

struct err;

enum { MSGID_LEN = 16, MSGID_SIZE = 17, QNAME_SENDER_LEN = 3, QNAME_SIZE = 34 };

struct msgid { char s[MSGID_SIZE]; };

struct qname {
    int64_t due;                        /* seconds since 1970, 0..9999999999 */
    struct msgid id;
    char letter;                        /* a cause's, see common/cause.h */
    char sender[QNAME_SENDER_LEN + 1];
};

int msgid_make(struct wall, struct msgid *, struct err *);
bool msgid_valid(const char *);         /* exactly an ID and nothing behind it */
int64_t msgid_seconds(const struct msgid *);

bool qname_parse(const char *name, struct qname *);      /* false: not one of ours */
void qname_format(const struct qname *, char out[QNAME_SIZE]);
void qname_hash_sender(const char *reverse_path, char out[QNAME_SENDER_LEN + 1]);

#endif
