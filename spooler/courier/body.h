/* body: the bytes of one message as SMTP wants them: CRLF line ends, leading
 * dots doubled (RFC 5321 4.5.2), the final dot at the end; converted to MIME
 * encodings first where the server could not take it as it is. */
#ifndef ABIDE_COURIER_BODY_H
#define ABIDE_COURIER_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct mime;

enum { BODY_ROOM_MIN = 32 };            /* bytes body_fill() needs to get on */

struct body {
    int fd;                             /* -1: none */
    uint64_t at, left;                  /* in the file */
    struct mime *mime;                  /* NULL: as it is */
    bool line_start;
    bool done;                          /* the final dot was given */
};

/* Takes FD; the message is BYTES bytes at AT. */
void body_init(struct body *, int fd, uint64_t at, uint64_t bytes);
void body_fini(struct body *);          /* closes; harmless twice */

/* Reads the message once and plans its conversion: over-long lines, and 8-bit
 * content if SEVEN_BIT. -1: EX_DATAERR it cannot be converted, for the reason
 * in words; EX_IOERR it cannot be read. */
int body_convert(struct body *, bool seven_bit, struct err *);

/* The next bytes, until `done`. ROOM >= BODY_ROOM_MIN. -1: the file cannot be
 * read, or is shorter than was said (EX_IOERR): what was given so far must
 * never be ended by a dot. */
ssize_t body_fill(struct body *, char *out, size_t room, struct err *);

#endif
