/* issetugid: glibc has none; the kernel says it in the auxiliary vector. A
 * setgid that changed nothing (the caller had that group as its own already)
 * counts as not privileged. */
#include <config.h>

#include <sys/auxv.h>

#include "compat/compat.h"

int issetugid(void)
{
    return getauxval(AT_SECURE) != 0;
}
