/* session_state: private to session.c, session_speak.c and session_hear.c: what
 * a session is, and what the three ask of each other. */
#ifndef ABIDE_COURIER_SESSION_STATE_H
#define ABIDE_COURIER_SESSION_STATE_H

#include "spooler/courier/expect.h"
#include "spooler/courier/session.h"
#include "spooler/courier/transaction.h"

struct events;

enum {
    HELO_SIZE = 256,
    COMMAND_MAX = 1200,                 /* an address of ADDRESS_MAX and parameters */
    COMMANDS_FULL = 4096                /* more is not made before these were taken */
};

struct session {
    char helo[HELO_SIZE];
    uint32_t timeout_ms[PHASE_COUNT];
    struct wire_up up;
    struct mono now;
    struct mono since;                  /* when the oldest expectation began to wait */
    bool ready, over;
    bool quitting;                      /* QUIT when the last transaction is over */
    bool dirty;                         /* the server still has a transaction that came to nothing */
    uint64_t made, given, wrote;        /* bytes out since the beginning */
    struct expect_ring waits;
    struct transaction *t;              /* a ring; the oldest AHEAD of them were written to the end */
    unsigned window, first, count, ahead;
    struct events *events;
    struct reply_parser parser;
    struct reply reply;
    struct { char bytes[COMMANDS_FULL + COMMAND_MAX]; size_t at, len; } commands;
};

/* ---- session.c --------------------------------------------------------- */

/* The oldest transaction is over: tells DONE, makes room. */
void session_finish(struct session *, enum wire_ended);

/* The session is over: all transactions are, and then OVER is told. Harmless twice. */
void session_end(struct session *, enum wire_why, enum phase, const struct reply *);
/* The same for a reason of our own. */
void session_fail(struct session *, enum wire_why, enum phase, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same, but what befalls a connection that only waits for the answer to QUIT is of no interest. */
void session_cut(struct session *, enum wire_why, const char *text);

enum phase session_phase(const struct session *);           /* where in the conversation we are */
void session_tell(struct session *, const struct transaction *, uint16_t index, enum phase, const struct reply *);

/* ---- session_speak.c --------------------------------------------------- */

/* The reply to what ends at AT in the stream of bytes out will be of this kind. */
void session_expect(struct session *, enum expect_kind, struct transaction *, uint16_t rcpt, uint64_t at);
void session_command(struct session *, enum expect_kind, struct transaction *, uint16_t rcpt, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void session_lone_dot(struct session *, struct transaction *);
void session_goodbye(struct session *);                     /* QUIT, which nobody waits for */
struct transaction *session_writing(const struct session *);    /* the one to be written now, or NULL */
void session_pump(struct session *);                        /* makes all commands that may be written by now */

/* ---- session_hear.c ---------------------------------------------------- */

/* GOOD: the reply was the one hoped for; otherwise it is 4yz or 5yz. */
typedef void reply_handler(struct session *, const struct expect *, const struct reply *, bool good);

struct kind {
    const char *name;
    enum phase phase;
    int good;                           /* the code, or its first digit */
    bool pipelined;                     /* with PIPELINING, more may be written behind it (RFC 2920 3.1) */
    reply_handler *handler;
};
const struct kind *session_kind(enum expect_kind);

#endif
