/* site: what a destination has taught us: its limits, learned within the
 * configured ones, its pauses, its hosts' health, its greylisting delay. Pure:
 * no I/O, time comes in. A site is a set of MX hosts run by one provider as
 * seen from one source address; limits belong to sites, never to messages.
 * The keeper owns the connections and tells their numbers in struct site_load. */
#ifndef ABIDE_POLICY_SITE_H
#define ABIDE_POLICY_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/cause.h"
#include "common/clock.h"

struct buf;
struct config;
struct site;
struct verdict;

struct site_load {
    unsigned open;                      /* connections dialling or up */
    unsigned up;                        /* of these, up */
    unsigned idle;                      /* of these, up without a flight */
    unsigned flights;                   /* transactions handed out and not done */
    uint64_t ready;                     /* messages that could go now */
};

/* NAME as in sites/NAME: "google", "relay", or the MX hosts' domain (route.h
 * says how); "dns-DOMAIN" for one whose hosts are not known: its trouble pauses it
 * at once. RANDOM seeds its jitter. Limits come from CONFIG: `limit`
 * lines, else the provider table, else 5 connections (`relay`: 20). */
struct site *site_new(const char *name, const struct config *, uint32_t random);
void site_free(struct site *);
void site_configure(struct site *, const struct config *);      /* a changed configuration */
const char *site_name(const struct site *);
const char *site_provider(const struct site *);                 /* for judge_reply() */

/* ---- may I? Each says no with the boot-clock time to ask again in *when_r
 * (CLOCK_NEVER: only an event can change it). -------------------------------- */

/* One more connection: none idle, work for it, cap, slow start, pause, probe, rate. */
bool site_may_open(const struct site *, const struct site_load *, struct mono now, struct mono *when_r);
/* One more transaction on an open connection: rate, pause, probe. */
bool site_may_send(const struct site *, const struct site_load *, struct mono now, struct mono *when_r);
/* True while a pause holds; the cause and end of it (either may be NULL). A pause that is over
 * leaves the site probing: one connection, one transaction, until it answers. */
bool site_paused(const struct site *, struct mono now, enum cause *cause_r, struct mono *until_r);
/* The administrator's or a dying message's wish: the pause ends now, and a
 * probe may go. Refused (false) within ten minutes of the last such call
 * unless FORCE. */
bool site_last_call(struct site *, bool force, struct mono now);

unsigned site_connection_messages(const struct site *);         /* close after so many */
unsigned site_transaction_rcpts(const struct site *);           /* split beyond so many */
int64_t site_idle_ms(const struct site *);                      /* keep an idle connection so long */

/* Which of N hosts to dial: the first by order that is not known to be down.
 * -1: all are down, ask again at *when_r; the site itself pauses until then,
 * unless it is a provider's: there each domain may have hosts of its own. */
int site_pick_host(struct site *, const char *const *host, size_t n, struct mono now, struct mono *when_r);

/* True if all N hosts have been failing: since when, and the latest failure.
 * A site may be many domains' (one host each): for a recipient whose hosts are
 * all down this is the site's word, whatever the others of the site hear. */
bool site_hosts_fail(const struct site *, const char *const *host, size_t n, struct now,
    struct wall *first_r, struct wall *last_r);

/* ---- what happened ------------------------------------------------------- */

void site_dialled(struct site *, struct mono now);
void site_connected(struct site *, const char *host, struct mono now);
void site_sent(struct site *, struct mono now);                 /* a transaction was handed out: takes a token */
void site_accepted(struct site *, const struct site_load *, struct mono now);   /* at least one recipient was */
/* A transaction had answers of its own (5yz, mailbox full ...) and nobody was
 * accepted: the site as a whole is well, which ends a probe. */
void site_answered(struct site *);
/* What the site knows better than the words: "too fast" where we have hardly
 * said a word is a first contact. May change the verdict. Call it between
 * judge_reply() and judge_blames_site(). */
void site_review(const struct site *, struct verdict *, struct mono now);

/* A refusal or failure whose blame is the site's (judge_blames_site) or, for
 * too_many_recipients, that teaches a limit. HOST spoke (or was dialled).
 * ACCEPTED transactions had been on that connection (for too_many_recipients:
 * recipients of that transaction, 0 if not known); SENT: when the command
 * was handed out (a refusal of what was sent before a pause began counts
 * once). LOAD includes the connection at hand. Returns true if something
 * changed that is worth writing to sites/NAME. */
bool site_refused(struct site *, const struct verdict *, const char *host, unsigned accepted, struct mono sent,
    const struct site_load *, struct wall wall, struct mono now);
/* The last real answer the site gave as a whole, and when; ms 0: none since
 * its last success. Evidence for the bounce of what waits behind a pause. */
struct wall site_last_refusal(const struct site *, char *text, size_t size);
struct wall site_first_refusal(const struct site *);            /* of this episode */
void site_said(struct site *, const char *reply);               /* the words kept for the above */

/* Greylisting: a triplet of AGE was refused, or let in after AGE. */
void site_greylisted(struct site *, int64_t age_ms, bool let_in);
int64_t site_grey_lo_ms(const struct site *);                   /* still refused at this age; 0 unknown */
int64_t site_grey_hi_ms(const struct site *);                   /* was let in at this age; 0 unknown */

/* ---- memory: sites/NAME, lines of name=value; hints only ----------------- */
bool site_print(const struct site *, struct buf *, struct now);
void site_parse(struct site *, const char *, size_t len, struct now);   /* never fails on content */
bool site_changed(struct site *);                               /* since the last call: write it soon */

#endif
