/* flight: one message on one connection, from being handed out to its record:
 * which names it covers, which recipients, what each was answered. */
#ifndef ABIDE_KEEPER_FLIGHT_H
#define ABIDE_KEEPER_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "common/clock.h"
#include "common/envelope.h"
#include "common/msgid.h"
#include "common/trail.h"
#include "spooler/link/wire.h"
#include "spooler/policy/plan.h"

struct conn;
struct domain;
struct err;
struct flights;
struct hop;
struct keeper;

/* A message opened for a decision: its envelope, its trail, its age. */
struct message {
    int fd;
    struct qname name;
    struct envelope envelope;
    uint64_t bytes;
    struct trail trail;
    bool has_trail;
    struct plan_age age;
    size_t ndomain;                     /* domains of all its recipients */
    struct domain **of;                 /* by recipient: its domain, NULL: none valid */
};

/* Opens NAME as it waits in D (below cur/). -1: EX_NOINPUT it is gone; else an error. */
int message_open(struct keeper *, struct domain *d, const struct qname *, struct message *, struct err *);
void message_close(struct message *);   /* closes and frees; zero is legal */

struct told { bool told; enum phase phase; struct reply *reply; };   /* reply: own copy */

struct flight {
    uint32_t number;
    struct conn *conn;
    struct hop *hop;
    const char *host;
    char address[64];
    struct message msg;                 /* fd is -1: the courier has it */
    size_t ndomain;
    struct domain *domain[WIRE_RCPT_MAX];       /* whose names it covers, all equal to msg.name */
    unsigned nrcpt;
    size_t rcpt[WIRE_RCPT_MAX];         /* indices into msg.envelope.rcpt */
    struct told told[WIRE_RCPT_MAX];
    struct wall sent_wall;
    struct mono sent;
    LIST_ENTRY(flight) by_number, by_id;
    TAILQ_ENTRY(flight) link;
};

struct flights *flights_new(void);
void flights_free(struct flights *);

struct flight *flight_new(struct keeper *, struct conn *);
struct flight *flight_find(struct keeper *, uint32_t number);
/* Is this ID in the air for that domain? */
bool flight_of(struct keeper *, const struct msgid *, const struct domain *);
void flight_add(struct keeper *, struct flight *);      /* once msg and domains are set */
void flight_free(struct keeper *, struct flight *);
struct flight *flight_first(struct keeper *);

/* How often was a transaction of this message cut without an answer of late? */
unsigned flight_cut(struct keeper *, const struct msgid *, bool count);

#endif
