/* spool_internal: what spool.c, spool_make.c and draft.c share; nobody else
 * includes it. */
#ifndef ABIDE_COMMON_SPOOL_INTERNAL_H
#define ABIDE_COMMON_SPOOL_INTERNAL_H

#include "common/spool.h"

struct spool {
    char *path;
    int fd[SPOOL_DIRS];                 /* -1: not asked for yet */
    uid_t owner;                        /* of the top; valid once owner_known */
    bool owner_known;
};

/* Syncs a directory. On some network and stacked file systems that cannot be
 * asked for (EINVAL): the one failure that counts as success. 0, or -1 with errno. */
int spool_sync_dir(int fd);

#endif
