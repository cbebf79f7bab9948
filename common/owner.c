/* owner: root becomes the spool's owner before it touches the spool; a file of
 * root's in it would be out of the spooler's reach. Called by the programs at
 * their start. */
#include <config.h>

#include "common/owner.h"

#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"

int owner_become(const char *directory, struct err *e)
{
    const struct passwd *pw;
    struct stat st;
    gid_t gid;

    if (geteuid() != 0)
        return 0;
    if (stat(directory, &st) != 0)
        return err_sys(e, EX_OSFILE, "look at %s", directory);
    if (st.st_uid == 0)
        return 0;
    pw = getpwuid(st.st_uid);
    gid = pw != NULL ? pw->pw_gid : st.st_gid;
    if (setgroups(1, &gid) != 0 || setgid(gid) != 0 || setuid(st.st_uid) != 0)
        return err_sys(e, EX_OSERR, "become uid %ju, who owns %s", (uintmax_t)st.st_uid, directory);
    return 0;
}
