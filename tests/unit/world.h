/* world: a real keeper on a real spool in a scratch folder, in virtual time, with
 * a scripted courier on the other end of its link: days pass in milliseconds. */
#ifndef ABIDE_TESTS_UNIT_WORLD_H
#define ABIDE_TESTS_UNIT_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include "common/buf.h"
#include "common/clock.h"
#include "common/msgid.h"
#include "spooler/keeper/keeper.h"
#include "spooler/link/wire.h"

struct world;

enum { WORLD_TRIES = 20000 };

/* One recipient as a transaction offered it. */
struct world_try {
    struct now at;
    uint32_t conn;
    char sender[100], rcpt[100], host[100];
    int code;                           /* what it was answered; 0: nothing */
};

/* The scripted world. REPLY gives "250 ok", "450 4.2.0 later", ... for one
 * recipient; "cut" breaks the connection unanswered, "421 text" ends it with these
 * words, "doubt" breaks it after the dot. DIAL: "" lets it in, otherwise the
 * greeting's refusal, or "refused", "unreachable". ROUTE: NULL for one host
 * mx.DOMAIN, else "nxdomain", "temp", or hosts "10 a.example 20 b.example". */
struct world_script {
    const char *(*reply)(struct world *, const char *rcpt, unsigned nth);
    const char *(*dial)(struct world *, const char *host, unsigned nth);
    const char *(*route)(struct world *, const char *domain);
    void *arg;
    bool late;                          /* a connection's end is told a step after its last flight's */
};

struct world {
    struct now now;
    struct world_script script;
    struct buf log;
    struct world_try *tried;
    size_t ntried;
    unsigned dials, lookups;
    struct keeper *keeper;
    struct world_inside *in;
};

/* CONF: lines of configuration (the spool's is added). */
struct world *world_new(const char *conf, enum keeper_mode, const struct world_script *);
void world_free(struct world *);        /* and its folder */

/* Accepts a message now: recipients separated by blanks. */
struct msgid world_submit(struct world *, const char *sender, const char *rcpts);

/* Lets time pass: each step as the keeper asks, until then or until it is done. */
void world_run(struct world *, int64_t ms);
/* The keeper is gone without a word (kill -9), and a new one is there. */
void world_restart(struct world *);
/* The courier dies with all it had. */
void world_kill_courier(struct world *);

/* The path of something in the spool, "cur/x.example": good until the next call. */
const char *world_path(struct world *, const char *below);
/* How many names there are below a folder of the spool ("cur", "hold/x.example", ...). */
unsigned world_count(struct world *, const char *folder);
/* The only name below the folder, parsed; fails the test otherwise. */
struct qname world_name(struct world *, const char *folder);
unsigned world_tries(const struct world *, const char *rcpt, int code);  /* code 0: any */
const char *world_log(const struct world *);    /* its last lines, for a failure's message */
bool world_logged(const struct world *, const char *text);
unsigned world_logged_times(const struct world *, const char *text);

#endif
