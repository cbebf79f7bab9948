/* context: the keeper's one context, for the files of this folder that act on
 * several of its parts at once. Each part has its own type and header; here
 * they are only held together. */
#ifndef ABIDE_KEEPER_CONTEXT_H
#define ABIDE_KEEPER_CONTEXT_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "common/clock.h"
#include "common/config.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/spool.h"
#include "spooler/keeper/keeper.h"
#include "spooler/keeper/queue.h"
#include "spooler/keeper/record.h"

struct channel;
struct flights;
struct rings;

struct keeper {
    struct keeper_options opt;
    struct config *config;              /* the last good one; NULL: none yet, deliver nothing */
    struct identity identity;
    struct spool *spool;
    struct log *log;
    struct record *record;
    struct queue *queue;
    struct rings *rings;
    struct flights *flights;
    struct channel *channel;            /* NULL: no courier */
    struct now now;                     /* of this step */
    int64_t wall_ahead;                 /* of the boot clock, ms: changes when the clock is set */
    char boot[CLOCK_BOOT_SIZE];
    uint32_t random;                    /* state of keeper_random() */
    uint32_t mark;                      /* see struct domain */

    int wake_fd;
    bool leaving;                       /* its work is done, wake is closed, one more look */
    bool left;
    bool look_new;                      /* new/ is to be read */
    DIR *new_pass;                      /* ... and is being read */
    unsigned new_stuck;                 /* what that pass could not file */
    struct mono new_at;                 /* ... at the latest then */
    struct mono courier_at;             /* no new courier before */
    unsigned courier_deaths;            /* in a row, without a success */
    struct mono courier_idle;           /* since when it has nothing to do */
    struct timespec resolv_conf;        /* when the file it read at its start was changed */
    struct mono leave_at;               /* once: hand out nothing new after */
    struct mono hints_at;               /* hints (sites, routes) are written then */
    struct mono minute_at;              /* what is done once a minute */
    struct mono sweep_at;               /* what is done once an hour */
    bool stopping;                      /* told to stop: hands out nothing new */
    struct mono stop_at;                /* stop waiting for final phases */
};

uint32_t keeper_random(struct keeper *);

/* Nothing new is handed out: told to stop, or a run from cron has lasted long enough. */
static inline bool keeper_resting(const struct keeper *k)
{
    return k->stopping || k->leave_at.ms <= k->now.mono.ms;
}

static inline int64_t keeper_seconds(const struct keeper *k)
{
    return k->now.wall.ms / 1000;
}

#endif
