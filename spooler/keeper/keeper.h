/* keeper: owns the spool and takes every decision. A step function: the caller
 * holds the clock, waits on the descriptors it names, and calls again. */
#ifndef ABIDE_KEEPER_KEEPER_H
#define ABIDE_KEEPER_KEEPER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/clock.h"

struct config;
struct err;
struct keeper;
struct log;
struct spool;

enum keeper_mode { KEEPER_DAEMON, KEEPER_ONCE, KEEPER_UNTIL_EMPTY };

struct keeper_options {
    enum keeper_mode mode;
    struct spool *spool;                /* borrowed, opened and locked by the caller */
    struct log *log;                    /* borrowed */
    uint32_t random;                    /* seed of all jitter */
    /* Starts a courier and gives our end of its link; -1 with *err. */
    int (*courier)(void *arg, struct err *);
    void *arg;
};

/* CONFIG is taken; NULL: there is no good one yet (mail is kept, none sent). */
struct keeper *keeper_new(const struct keeper_options *, struct config *, struct now, struct err *);
void keeper_free(struct keeper *);

/* A changed configuration; taken. What is in flight ends under the old one. */
void keeper_configure(struct keeper *, struct config *);

/* Does what can be done now without waiting; bounded work. */
void keeper_step(struct keeper *, struct now);
/* The boot-clock time of the next step, if no descriptor speaks before. */
struct mono keeper_next(const struct keeper *);

/* What to wait for: at most KEEPER_FDS entries. */
enum { KEEPER_FDS = 2 };
nfds_t keeper_fds(const struct keeper *, struct pollfd *);

/* Starts nothing new; final phases may end until 10 s from now. */
void keeper_stop(struct keeper *, struct now);
/* True when it may be freed: stopped, or (KEEPER_ONCE, KEEPER_UNTIL_EMPTY) its work is done. */
bool keeper_done(const struct keeper *);
/* The last act before keeper_free(): outcomes are synced, hints written. */
void keeper_close(struct keeper *);

#endif
