/* compat: declarations of what compat/ supplies where libc and libbsd lack it.
 * Include it after config.h, in the files that call one of these. */
#ifndef ABIDE_COMPAT_COMPAT_H
#define ABIDE_COMPAT_COMPAT_H

#ifndef HAVE_ISSETUGID
/* Non-zero if this program was started with more rights than its caller has
 * (setuid, setgid, file capabilities), so that the environment is not to be trusted. */
int issetugid(void);
#else
#include <unistd.h>
#endif

#endif
