/* mime: makes a message fit for a server that cannot take it as it is (RFC
 * 2045, RFC 6152 3): content with 8-bit bytes for a 7-bit server, lines of
 * more than 998 bytes for anyone. Only the parts that need it are encoded,
 * quoted-printable for text, base64 for the rest; what a receiver decodes is
 * what was given. Memory is bounded: a first pass over the message makes a
 * plan, the output is pulled by a second one. Lines end in LF here. */
#ifndef ABIDE_COMMON_MIME_H
#define ABIDE_COMMON_MIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct mime;

enum {
    MIME_LINE_MAX = 998,                /* RFC 5322 2.1.1, without line end */
    MIME_DEPTH_MAX = 20,
    MIME_PARTS_MAX = 1000
};

struct mime_options {
    /* Exactly LEN bytes at AT of the message, or -1. */
    int (*read)(void *arg, char *out, size_t len, uint64_t at, struct err *);
    void *arg;
    uint64_t bytes;                     /* of the message */
    bool seven_bit;                     /* 8-bit content must go, not only long lines */
};

/* The first pass. NULL: EX_DATAERR it must not or cannot be converted (signed,
 * nested too deep, a header line that cannot be folded ...), in words; or what
 * `read` failed with; EX_OSERR out of memory. A message that needs no change
 * comes out as it is, signed or not. 8-bit header fields stay as they are. */
struct mime *mime_new(const struct mime_options *, struct err *);
void mime_free(struct mime *);

/* The next bytes of the converted message; 0: its end; -1: `read` failed. */
ssize_t mime_pull(struct mime *, char *out, size_t room, struct err *);

#endif
