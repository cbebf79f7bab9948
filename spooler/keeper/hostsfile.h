/* hostsfile: a name in the hosts file, for relay names: a relay may be known there
 * alone. */
#ifndef ABIDE_KEEPER_HOSTSFILE_H
#define ABIDE_KEEPER_HOSTSFILE_H

#include "common/config.h"

/* The addresses of NAME, separated by blanks (caller frees), or NULL. */
char *hostsfile_find(const char *name, enum ip_family);

#endif
