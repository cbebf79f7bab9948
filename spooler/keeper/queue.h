/* queue: the spool's cur/ as domains: which exist, what of each is due, passes
 * over their directories, filing of new mail, and the acts on queue names.
 * Knows nothing of sites or connections. All names are of the form of
 * common/msgid; others are left alone. */
#ifndef ABIDE_KEEPER_QUEUE_H
#define ABIDE_KEEPER_QUEUE_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/tree.h>
#include "common/msgid.h"
#include "common/spool.h"
#include "spooler/keeper/window.h"

struct err;
struct hop;
struct queue;
struct record;

/* A recipient domain that has, or had, mail. The first part is the queue's
 * own; `route` is kept for keeper/ring, `hop` and `link` are its. */
struct domain {
    char *name;                         /* the domain, A-labels; "" for none */
    char dir[SPOOL_DOMAIN_SIZE];        /* its directory's name */
    struct window *window;
    DIR *pass;                          /* a pass under way */
    bool need_pass;                     /* its names are not known */
    int64_t retry_at;                   /* seconds: ... from then on; WINDOW_NEVER: they are */
    bool forced;                        /* the next pass takes everything as due */
    bool large;                         /* the directory is worth making anew once it is empty */
    int64_t oldest;                     /* seconds, of the IDs seen; WINDOW_NEVER: none */
    int64_t pass_oldest;
    int64_t warned;                     /* IDs up to here had their warning considered */
    int64_t unwarned;                   /* the oldest ID beyond that */
    int64_t pass_unwarned;
    DIR *attend;                        /* a walk for queue_attend() under way */
    int64_t attend_at;                  /* no other before */
    int64_t attend_by;                  /* when it began */
    int64_t timer;                      /* seconds: when it next needs a look */
    RB_ENTRY(domain) by_timer;
    RB_ENTRY(domain) by_name;
    TAILQ_ENTRY(domain) due;            /* in the queue's list of those that need one now */
    bool in_due;

    struct hop *hop;                    /* where it goes; NULL: to be found out */
    int64_t route_until;                /* seconds: the route, or the refusal, is fresh */
    char *refused;                      /* why nobody takes mail for it: all of it fails; NULL: somebody does */
    const char *status;                 /* the enhanced code for that, static */
    uint32_t query;                     /* a look-up: 0 none, UINT32_MAX in line, else under way */
    TAILQ_ENTRY(domain) link;           /* in its hop's list, or among those that wait for a look-up */
    bool linked;
    uint32_t mark;                      /* for counting the domains of one message */
};

struct queue_options {
    struct spool *spool;
    struct record *record;              /* told of directories to be synced */
};

/* What the configuration says about time, in seconds. */
struct queue_times {
    int64_t longest;                    /* a DUE further ahead than this is some clock's mistake */
    int64_t warn_after;                 /* 0: never */
    int64_t last_call;                  /* the age at which a message's last call comes */
};

struct queue *queue_new(const struct queue_options *, struct err *);
void queue_free(struct queue *);
void queue_configure(struct queue *, const struct queue_times *);

/* Learns the domains from cur/: names of directories only. */
int queue_start(struct queue *, struct err *);

/* The domain of that name, made if there is none (no directory yet). */
struct domain *queue_domain(struct queue *, const char *name, struct err *);
struct domain *queue_find(struct queue *, const char *name);

/* The next domain that needs a look (something is due, its names are unknown,
 * its timer is over), or NULL. It leaves the list; call queue_look() on it. */
struct domain *queue_due(struct queue *, int64_t now);
/* When the next one will need a look (seconds), WINDOW_NEVER for none. */
int64_t queue_next(const struct queue *);
/* Will some name be due by then, or a directory be read anew? Age alone does not count. */
bool queue_soon(const struct queue *, int64_t by);
/* Reads on in its directory if that is needed and there is room (bounded
 * work); sets its timer. Returns the number of names ready. */
size_t queue_look(struct queue *, struct domain *, int64_t now, struct err *);
/* Is the next ready name still there? Those before it that are gone are forgotten. */
bool queue_holds(const struct queue *, struct domain *);
/* Names were taken from it, and there may be more in its directory, or it is to be
 * tidied: look again. */
bool queue_hungry(const struct domain *, int64_t now);
/* It is to be looked at in this turn. */
void queue_touch(struct queue *, struct domain *);
/* Its names are to be learned anew then: something could not be read now. */
void queue_retry(struct queue *, struct domain *, int64_t when);

/* Messages of D that need a look because of their age, although nobody may be
 * sending there: warning, last call, deadline. Due now? */
bool queue_attention(const struct queue *, const struct domain *, int64_t now);
/* The next name that is old enough for either; false at the end of the walk,
 * which is begun by the first call and may go on in later steps. */
bool queue_attend(struct queue *, struct domain *, int64_t now, struct qname *);

/* A name is there that was not known: after filing, a retry, a failed flight. */
void queue_add(struct queue *, struct domain *, const struct qname *, int64_t now);
/* Somebody changed something there; its names are learned anew. FORCED: all of it is due. */
void queue_rescan(struct queue *, struct domain *, bool forced);
void queue_rescan_all(struct queue *, bool forced);
/* The same for a directory by its name, if there is one. */
void queue_changed(struct queue *, const char *dir);
/* The wall clock was set: what was planned by it is planned anew. */
void queue_clock_set(struct queue *);

/* ---- acts on names; each marks the directory it left for the next sync ---- */

/* "DIRECTORY/NAME", the path of a name below cur/ or hold/. */
enum { QUEUE_PATH_SIZE = SPOOL_DOMAIN_SIZE + QNAME_SIZE };
void queue_path(const struct domain *, const struct qname *, char out[QUEUE_PATH_SIZE]);

/* Makes the domain's directory below cur/ or hold/. 1: made (the parent is to be
 * synced before a message's only other name goes), 0: it was there, -1: error. */
int queue_make_dir(struct queue *, const struct domain *, enum spool_dir, struct err *);

/* Syncs cur/ (D NULL: names of new domains), or D's directory in it. */
int queue_sync(struct queue *, const struct domain *d, struct err *);

/* Where the ID waits in the domain now: the given name in cur/, or, when an
 * administrator moved it, another in cur/ or hold/ (a search). False: gone. */
bool queue_locate(struct queue *, const struct domain *, const struct qname *, enum spool_dir *dir_r, struct qname *now_r);
/* Class EX_NOINPUT: no such name (any more). */
int queue_remove(struct queue *, const struct domain *, enum spool_dir, const struct qname *, struct err *);
int queue_rename(struct queue *, const struct domain *, enum spool_dir from, const struct qname *,
    enum spool_dir to, const struct qname *, struct err *);
/* Moves it out of the queue into dead/ID. */
int queue_bury(struct queue *, const struct domain *, enum spool_dir, const struct qname *, struct err *);

/* The directory of a domain with nothing in it is removed, if it is large (it
 * was emptied after a flood, and does not shrink) or ANY; made anew when needed.
 * A large one whose last messages are in the air is looked at again. */
void queue_tidy(struct queue *, struct domain *, bool any, int64_t now);
/* Forgets a domain that nobody holds on to, if it has neither mail nor a directory. */
bool queue_drop(struct queue *, struct domain *);
/* Is anything there, due or not? */
bool queue_empty(const struct queue *);

/* Number of domains with a directory. */
size_t queue_domains(const struct queue *);
struct domain *queue_first(struct queue *);
struct domain *queue_after(struct domain *);

#endif
