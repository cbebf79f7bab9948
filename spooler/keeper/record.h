/* record: outcomes made durable in groups. Trail lines and removals are done
 * at once, their syncs together: at most 50 ms or 200 outcomes later, one per
 * file and then one per directory that a name left. A trail goes only after
 * the removal of the last name is synced. What could not be written is kept and
 * tried again; its message is not to be sent meanwhile. */
#ifndef ABIDE_KEEPER_RECORD_H
#define ABIDE_KEEPER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "common/clock.h"
#include "common/msgid.h"
#include "common/spool.h"

struct err;
struct log;
struct record;

struct record *record_new(struct spool *, struct log *, struct err *);
void record_free(struct record *);      /* after a last record_flush() */

/* Appends LINES (whole lines) to trail/ID.UID. SYNC: they tell of a delivery or
 * failure; else a hint. False: they are kept in memory, the log has been told. */
bool record_trail(struct record *, const struct msgid *, uid_t, const char *lines, size_t len, bool sync);
/* A name left the directory NAME below DIR ("": DIR itself), which is synced
 * with the group. */
void record_left(struct record *, enum spool_dir dir, const char *name);
/* The message is settled: its trail may go once all of this group is synced. */
void record_forget(struct record *, const struct msgid *, uid_t);
/* An outcome was recorded: counts towards the group's size. */
void record_count(struct record *);

/* Lines about this message wait in memory: do not send it. */
bool record_stuck(const struct record *, const struct msgid *);

/* Syncs if it is time (or FORCE). 0, or -1 when a sync failed (said in the log;
 * nothing is tried again: the truth on disk is unknown, a duplicate is
 * possible). */
void record_time(struct record *, struct mono now);   /* of this step */
int record_flush(struct record *, bool force);
struct mono record_next(const struct record *);

#endif
