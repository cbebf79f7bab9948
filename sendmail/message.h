/* message: what the caller writes to stdin, as lines that end in LF. First its
 * header, whole and in memory; then its body, as a stream. */
#ifndef ABIDE_SENDMAIL_MESSAGE_H
#define ABIDE_SENDMAIL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct message;
struct text;

enum {
    MESSAGE_CHUNK = 64 * 1024,
    MESSAGE_HEADER_MAX = 1024 * 1024
};

struct message_options {
    int fd;
    bool dot_ends;                      /* a line with a single dot is the end */
    uint64_t max_bytes;                 /* of input; 0: no limit */
    size_t chunk;                       /* bytes a read; 0: MESSAGE_CHUNK (tests take less) */
};

/* NULL: out of memory. */
struct message *message_new(const struct message_options *);
void message_free(struct message *);

/* Reads up to the end of the header. Lines "From " and ">From " before it are
 * dropped (an mbox was piped in); the first line that can be none of its lines
 * begins the body. In fields a CR that ends no line becomes a blank, a NUL is
 * dropped. -1: EX_IOERR (input failed), EX_DATAERR (too long). */
int message_read_header(struct message *, struct err *);

/* The fields read, each line ended by LF, without the empty line. Borrowed. */
const char *message_header(const struct message *, size_t *len_r);

/* Streams the body: CRs directly before LF are dropped, one that ends no line
 * becomes a line end, a missing last line end is added, everything else stays
 * as it is. -1: EX_IOERR, EX_DATAERR (see message_too_big), or what the writer said. */
int message_copy_body(struct message *, struct text *, struct err *);

bool message_too_big(const struct message *);
/* The dot came: what may follow it is not part of the message. */
bool message_dot_seen(const struct message *);
/* Bytes taken from the descriptor so far. */
uint64_t message_arrived(const struct message *);

/* Reads and forgets what the caller still writes, so that it gets our exit
 * status rather than SIGPIPE; to its end, but not beyond a silence of IDLE_MS,
 * and not from a terminal. Returns the number of bytes. */
uint64_t message_drain(int fd, int idle_ms);

#endif
