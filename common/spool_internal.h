/* spool_internal: what spool.c, spool_make.c, draft.c and listing.c share; nobody
 * else includes it. */
#ifndef ABIDE_COMMON_SPOOL_INTERNAL_H
#define ABIDE_COMMON_SPOOL_INTERNAL_H

#include <sys/stat.h>

#include "common/spool.h"

struct spool {
    char *path;
    int fd[SPOOL_DIRS];                 /* -1: not asked for yet */
    uid_t owner;                        /* of the top; valid once owner_known */
    bool owner_known;
};

/* spool_read(), and all that is known of the file. */
int spool_read_stat(struct spool *, int dirfd, const char *name, struct envelope *env_r, struct stat *st_r, struct err *);

/* Syncs a directory. On some network and stacked file systems that cannot be
 * asked for (EINVAL): the one failure that counts as success. 0, or -1 with errno. */
int spool_sync_dir(int fd);

#endif
