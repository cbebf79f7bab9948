/* lock: one spooler per spool: flock on its file `lock`, whose first line says
 * who holds it. */
#ifndef ABIDE_SPOOLER_LOCK_H
#define ABIDE_SPOOLER_LOCK_H

struct err;
struct spool;

/* Takes the lock and writes "pid PID MODE" into it. Returns its descriptor, to
 * be kept open. -1: EX_TEMPFAIL, somebody else holds it (the sentence says who).
 * TAKE_OVER: one that was started on demand is asked to leave, and waited for. */
int lock_take(struct spool *, const char *mode, int take_over, struct err *);

#endif
