/* owner: whoever owns the spool does the work on it. */
#ifndef ABIDE_COMMON_OWNER_H
#define ABIDE_COMMON_OWNER_H

struct err;

/* Called as root: this process becomes the owner of DIRECTORY, for good, so
 * that what it makes there belongs to him. Nothing happens to others, and where
 * root is the owner. -1: EX_OSFILE, EX_OSERR. */
int owner_become(const char *directory, struct err *);

#endif
