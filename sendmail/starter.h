/* starter: gets the spooler to look at the queue, and starts one where nobody else does. */
#ifndef ABIDE_SENDMAIL_STARTER_H
#define ABIDE_SENDMAIL_STARTER_H

#include <stdbool.h>

struct err;
struct spool;

struct starter {
    struct spool *spool;
    const char *config;                 /* the file in use */
    bool elevated;
    bool automatic;                     /* the configuration lets a submission start a spooler */
};

enum started {
    STARTED_LISTENING,                  /* a spooler was told, or may be there unseen */
    STARTED_NEW,                        /* there was none; one is on its way */
    STARTED_NOBODY
};

/* Mail came in. Never fails, never waits for the spooler. */
enum started starter_mail(const struct starter *);

/* Runs the queue: tells the spooler, or becomes one that makes one pass. 0:
 * told. -1: EX_TEMPFAIL nobody listens and the caller may not do it himself,
 * EX_NOPERM he may not even ask. */
int starter_queue_run(const struct starter *, struct err *);

#endif
