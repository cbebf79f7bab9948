/* envelope: the first lines of a spool file, as bytes and as a struct. Pure.
 * abide-spool(5) is the reader's description; this is the form:
 *
 *   abide 1
 *   size DISK WIRE BITS LONGEST    fixed width, patched in place before the sync:
 *                                  %015d bytes of message on disk, %015d on the wire (CRLF,
 *                                  no dot-stuffing), 7 or 8, %010d bytes of the longest line
 *   time WALL BOOTCLOCK BOOT       milliseconds, milliseconds, clock_boot()
 *   user UID NAME PROTOCOL         submitter; "-" for no name; local, smtp, ...
 *   from <REVERSE-PATH>
 *   to <RECIPIENT>                 one line each, at least one, canonical (common/address)
 *   say                            the dialogue goes into the trail (sendmail -v)
 *   loop N                         Received headers counted at submission
 *   (empty line, then the message, LF line ends)
 *
 * The order is as above; names unknown to this version are an error, so that
 * an older spooler never misunderstands a newer front. */
#ifndef ABIDE_COMMON_ENVELOPE_H
#define ABIDE_COMMON_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/clock.h"

struct buf;
struct err;

enum {
    ENVELOPE_HEAD_MAX = 16 * 1024 * 1024,   /* bytes before the message */
    ENVELOPE_RCPT_MAX = 100000
};

struct envelope_size {
    uint64_t disk_bytes;                /* of the message, not of the envelope */
    uint64_t wire_bytes;
    uint64_t longest_line;              /* bytes without line end */
    bool eight_bit;
};

struct envelope {
    struct envelope_size size;
    struct wall accepted;
    struct mono accepted_mono;
    char boot[CLOCK_BOOT_SIZE];
    uid_t uid;
    char *user;                         /* "" for none */
    char *protocol;
    char *sender;                       /* "" is the null reverse-path */
    char **rcpt;                        /* nrcpt canonical addresses */
    size_t nrcpt;
    size_t rcpt_room;                   /* allocated; envelope_add_rcpt's own */
    unsigned received;                  /* `loop` */
    bool say;
    size_t message_at;                  /* offset of the message in the file; set by envelope_parse */
};

void envelope_fini(struct envelope *);  /* frees what it holds and zeroes it */

/* Adds a copy of the address, which must be canonical (EX_DATAERR). */
int envelope_add_rcpt(struct envelope *, const char *address, struct err *);

/* Appends the lines and the empty line. */
int envelope_print(const struct envelope *, struct buf *, struct err *);

/* Where the fixed-width `size` line begins, and that line anew. */
enum { ENVELOPE_SIZE_AT = 8, ENVELOPE_SIZE_LEN = 50 };
void envelope_print_size(const struct envelope_size *, char out[ENVELOPE_SIZE_LEN + 1]);

/* Reads an envelope from the first LEN bytes of a file. 0: done, *env_r is the
 * caller's to envelope_fini(). 1: more bytes are needed (len < ENVELOPE_HEAD_MAX).
 * -1: not an envelope (EX_DATAERR). */
int envelope_parse(const char *, size_t len, struct envelope *env_r, struct err *);

#endif
