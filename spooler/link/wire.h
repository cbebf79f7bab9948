/* wire: what keeper and courier say to each other, as records of one
 * SOCK_SEQPACKET pair. Pure: structs to bytes and back. Every read is bounded
 * and wire_get() insists that nothing is left over; a record that does not
 * parse is a protocol error of the other side (the keeper kills the courier,
 * the courier ends).
 *
 * Strings in a decoded record point into the record's bytes and are
 * NUL-terminated there; arrays point into wire_msg.strings/hosts. */
#ifndef ABIDE_LINK_WIRE_H
#define ABIDE_LINK_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/cause.h"
#include "common/reply.h"

struct buf;
struct err;

enum {
    WIRE_MAX = 60000,                   /* bytes of a record */
    WIRE_RCPT_MAX = 100,                /* recipients of one flight */
    WIRE_FLIGHTS = 8,                   /* flights one connection may hold */
    WIRE_HOST_MAX = 64,                 /* MX hosts of one route */
    WIRE_TEXT_MAX = REPLY_TEXT_MAX
};

enum wire_kind {
    /* keeper to courier */
    WIRE_SETUP = 1,                     /* first, and again when the configuration changed (for what is begun later) */
    WIRE_LOOKUP,                        /* who takes mail for this domain? answered by one WIRE_ROUTE */
    WIRE_DIAL,                          /* open a connection; answered by WIRE_UP or WIRE_FAIL */
    WIRE_SEND,                          /* one transaction on a connection; carries the file's descriptor */
    WIRE_CLOSE,                         /* QUIT when all flights on it are done; answered by WIRE_CLOSED */
    /* courier to keeper */
    WIRE_ROUTE,
    WIRE_UP,
    WIRE_FAIL,
    WIRE_RCPT,                          /* the answer to one recipient, or to all not told otherwise */
    WIRE_DONE,                          /* a flight is over: exactly one per WIRE_SEND */
    WIRE_CLOSED,                        /* a connection that was up is gone: exactly one per WIRE_UP, after its flights' DONE
                                           (but of a WIRE_SEND that crossed it) */
    WIRE_SAID,                          /* a line of the dialogue, for flights that ask for it */
    WIRE_LOG,
    WIRE_KIND_END
};

struct wire_setup {
    const char *helo;                   /* our name; "" : the address literal of the socket */
    const char *resolver;               /* "" or ADDRESS:PORT */
    const char *source4, *source6;      /* "" or the local address to bind */
    unsigned family;                    /* enum ip_family */
    uint16_t mx_port;
    uint32_t timeout_ms[PHASE_COUNT];
};

struct wire_lookup { uint32_t query; const char *domain; const char *self; };   /* self: our hostname, for loop detection */

enum route_status {
    ROUTE_OK,
    ROUTE_TEMP,                         /* SERVFAIL, time-out, refused: try later */
    ROUTE_LOCAL,                        /* our own side: no resolver answers at all */
    ROUTE_NO_DOMAIN,                    /* NXDOMAIN */
    ROUTE_NO_HOST,                      /* the name exists, neither MX nor address, or no MX host has an address */
    ROUTE_NULL_MX,                      /* RFC 7505 */
    ROUTE_LOOP                          /* the best MX is ourselves */
};
struct wire_host { uint16_t preference; const char *name; };    /* lower case, no trailing dot */
struct wire_route {
    uint32_t query;
    enum route_status status;
    uint32_t ttl_s;
    const char *text;                   /* the reason, a sentence for people; "" if OK */
    unsigned nhost;                     /* by preference; equal ones in random order */
    const struct wire_host *host;
};

struct wire_dial {
    uint32_t conn;                      /* the keeper's number, never used again in this courier's life */
    const char *host;                   /* name or address literal (no brackets) */
    const char *address;                /* "" or addresses from the hosts file, separated by blanks, instead of a look-up */
    uint16_t port;
    bool relay;                         /* the administrator's own: may be loopback; else an address of ours is refused */
};

struct wire_up {
    uint32_t conn;
    const char *address;                /* as connected, without brackets */
    bool pipelining, eight_bit, chunking, dsn, size_known;
    uint64_t size_limit;                /* of SIZE; 0: none said */
};

/* Why a connection ended or never came to be. */
enum wire_why {
    WHY_ASKED,                          /* the keeper's WIRE_CLOSE */
    WHY_REPLY,                          /* the server said so: code and text in `reply`, at `phase` */
    WHY_REFUSED,                        /* connection refused, reset while connecting */
    WHY_TIMEOUT,                        /* at `phase` */
    WHY_DROPPED,                        /* EOF or reset at `phase` */
    WHY_PROTOCOL,                       /* what it said is not SMTP, or came unasked */
    WHY_UNREACHABLE,                    /* no route, network down: our own side */
    WHY_DNS,                            /* the host's addresses could not be had for now */
    WHY_NO_ADDRESS,                     /* the host has no address, or only our own */
    WHY_IO,                             /* the message file could not be read */
    WHY_COUNT
};

struct wire_fail {                      /* WIRE_FAIL and WIRE_CLOSED */
    uint32_t conn;
    enum wire_why why;
    enum phase phase;
    struct reply reply;                 /* code 0 where there was none; text then is the reason in words */
    const char *address;                /* the last tried, "" */
};

struct wire_send {
    uint32_t conn;
    uint32_t flight;                    /* the keeper's number */
    const char *sender;
    uint64_t message_at;                /* offset of the message in the file */
    uint64_t disk_bytes, wire_bytes, longest_line;
    bool eight_bit, say;
    unsigned nrcpt;
    const char *const *rcpt;
};

enum { WIRE_ALL = 0xffff };             /* index: every recipient not told otherwise */
struct wire_rcpt {
    uint32_t flight;
    uint16_t index;
    enum phase phase;                   /* MAIL, RCPT, DATA, BODY (refused without sending: size, 8-bit), EOM */
    struct reply reply;                 /* 2yz: delivered (only at EOM), 4yz, 5yz */
};

enum wire_ended {
    ENDED_ANSWERED,                     /* every recipient has had its WIRE_RCPT */
    ENDED_NOT_SENT,                     /* the connection went before; what was told by WIRE_RCPT (refusals) stands, the rest is unharmed */
    ENDED_IN_DOUBT                      /* as before, but the final dot had left: accepted recipients may have it */
};
struct wire_done { uint32_t flight; enum wire_ended ended; };

struct wire_said { uint32_t flight; const char *text; };        /* "<<< 250 ok", ">>> MAIL FROM:<a@b>" */
struct wire_log { unsigned level; const char *text; };

struct wire_msg {
    enum wire_kind kind;
    union {
        struct wire_setup setup;
        struct wire_lookup lookup;
        struct wire_dial dial;
        struct wire_send send;
        uint32_t close;                 /* conn */
        struct wire_route route;
        struct wire_up up;
        struct wire_fail fail;          /* WIRE_FAIL, WIRE_CLOSED */
        struct wire_rcpt rcpt;
        struct wire_done done;
        struct wire_said said;
        struct wire_log log;
    } u;
    const char *strings[WIRE_RCPT_MAX]; /* room for decoded arrays */
    struct wire_host hosts[WIRE_HOST_MAX];
};

/* Encodes into OUT (cleared first). False: a string too long, too many elements. */
bool wire_put(struct buf *out, const struct wire_msg *);

/* Decodes REC in place (it must outlive *msg_r and be writable for nothing).
 * -1 with EX_PROTOCOL: unknown kind, short, a bound passed, bytes left over,
 * strings with control bytes where none may be. */
int wire_get(const void *rec, size_t len, struct wire_msg *msg_r, struct err *);

const char *wire_kind_name(enum wire_kind);
const char *wire_why_name(enum wire_why);

#endif
