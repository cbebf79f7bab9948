/* privilege: what it means here that sendmail is installed set-group-ID. */
#ifndef ABIDE_SENDMAIL_PRIVILEGE_H
#define ABIDE_SENDMAIL_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

struct err;

struct privilege {
    uid_t uid;                          /* the caller */
    bool elevated;                      /* we may do more than the caller could */
};

/* The first act of main: descriptors 0-2, signals, timers, umask, and if
 * elevated environment and limits too. Root and the owner of the built-in
 * spool gain nothing by the set-group-ID bit: they lose it here, and count as
 * not elevated. -1 (EX_OSERR): do not go on. */
int privilege_enter(struct privilege *, struct err *);

/* Becomes what the caller is, for good: before another program is started. */
int privilege_drop(struct err *);

#endif
