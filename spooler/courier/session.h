/* session: the client side of one SMTP conversation as a pure machine: bytes
 * in, bytes out, deadline as a value, events as values. No socket, no clock,
 * no TLS. It speaks as a full-duplex pipe with a queue of expectations:
 * whatever is written pushes what its reply will mean, each reply pops one. An
 * expectation is armed only when the last byte of its command has been taken
 * by session_wrote(); a reply that finds none armed is a protocol error and
 * nothing of it is believed (an early 250 must not count as the dot's answer).
 * (RFC 5321; RFC 2920 pipelining: MAIL, RCPT, DATA of the next message travel
 * with the final dot of the last one.) */
#ifndef ABIDE_COURIER_SESSION_H
#define ABIDE_COURIER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/cause.h"
#include "common/clock.h"
#include "common/reply.h"
#include "spooler/link/wire.h"

struct err;
struct session;

struct session_options {
    const char *helo;                   /* name or address literal, copied */
    const uint32_t *timeout_ms;         /* by phase, copied */
    unsigned window;                    /* flights it may hold, >= 2 */
};

/* The conversation starts with the server's greeting at NOW. */
struct session *session_new(const struct session_options *, struct mono now, struct err *);
void session_free(struct session *);    /* closes the descriptors of flights it still holds */

/* Bytes from the server. Never fails: what is wrong becomes an event. */
void session_input(struct session *, const void *, size_t, struct mono now);
void session_eof(struct session *, bool reset, struct mono now);
/* The deadline has passed. */
void session_timeout(struct session *, struct mono now);

/* What to write next: up to ROOM bytes into OUT; 0: nothing now. Each byte is
 * given once: the caller keeps what it could not write yet. Bodies are read
 * with pread here (the one I/O, in body.c), half of ROOM at a time, so ROOM
 * should be large (128 KB). After SESSION_OVER there may still be a QUIT, to
 * be written if the socket takes it at once, and forgotten otherwise. */
size_t session_output(struct session *, void *out, size_t room);
/* True if session_output() would give something. */
bool session_wants_write(const struct session *);
/* N more bytes of those given have left, in their order. To be told before
 * the next session_input(). */
void session_wrote(struct session *, size_t n, struct mono now);

struct mono session_deadline(const struct session *);   /* CLOCK_NEVER: none */

/* One more transaction behind those it has; FD is taken, also by a failure
 * (after which no event tells of this flight). Only while session_room(), so
 * only after SESSION_READY. */
bool session_room(const struct session *);
int session_send(struct session *, const struct wire_send *, int fd, struct mono now, struct err *);
/* QUIT once all is answered; at once if idle. */
void session_quit(struct session *, struct mono now);
/* True while a final dot has left and its answer has not come. */
bool session_in_doubt(const struct session *);

enum session_kind {
    SESSION_READY,                      /* EHLO (or HELO) done: u.up without address */
    SESSION_RCPT,                       /* u.rcpt */
    SESSION_DONE,                       /* u.done */
    SESSION_SAID,                       /* u.said */
    SESSION_OVER                        /* u.fail without address: close the socket now; no event follows.
                                           Before READY it becomes WIRE_FAIL, after it WIRE_CLOSED. */
};
struct session_event {
    enum session_kind kind;
    union {
        struct wire_up up;
        struct wire_rcpt rcpt;
        struct wire_done done;
        struct wire_said said;          /* text valid until the next call on this session */
        struct wire_fail fail;
    } u;
};
/* Takes the next event; false when there is none. Drain after every call above. */
bool session_event(struct session *, struct session_event *);

#endif
