/* run: the spooler's loop around a keeper: clock, poll, signals, a changed
 * configuration. */
#ifndef ABIDE_SPOOLER_RUN_H
#define ABIDE_SPOOLER_RUN_H

#include "spooler/keeper/keeper.h"

/* Catches and blocks the signals that run_keeper() listens to: whatever comes from
 * here on is heard there. */
void run_prepare(void);

/* Runs a keeper on the spool until its work is done or it is told to stop. FILE
 * is the configuration's path, CONFIG (taken; NULL: none that is good) what it
 * said. Returns an exit status. */
int run_keeper(const struct keeper_options *, const char *file, struct config *config, struct err *);

#endif
