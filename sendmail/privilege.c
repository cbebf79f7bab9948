/* privilege: makes the process safe to go on in, whoever started it and
 * however: closed descriptors, ignored signals, running timers, tiny limits,
 * a hostile environment. main calls it before anything is opened or read. It
 * never changes what an unprivileged caller set for himself, but for what
 * would break the program. */
#include <config.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "common/err.h"
#include "compat/compat.h"
#include "sendmail/privilege.h"

extern char **environ;

/* A closed 0, 1 or 2 would be given to the next file opened, which then took
 * what is meant for stderr. Opened for writing only, 0 still fails to be read:
 * nobody wrote an empty message. */
static int open_standard(struct err *e)
{
    struct pollfd fds[3] = { { .fd = 0 }, { .fd = 1 }, { .fd = 2 } };

    if (poll(fds, 3, 0) == -1)
        return err_sys(e, EX_OSERR, "look at the standard descriptors");
    for (int fd = 0; fd < 3; fd++)
        if ((fds[fd].revents & POLLNVAL) != 0 && open("/dev/null", O_WRONLY) != fd)
            return err_sys(e, EX_OSERR, "open /dev/null");
    return 0;
}

static void reset_signals(void)
{
    static const struct itimerval off;
    sigset_t none;

    (void)setitimer(ITIMER_REAL, &off, NULL);
    (void)setitimer(ITIMER_VIRTUAL, &off, NULL);
    (void)setitimer(ITIMER_PROF, &off, NULL);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);     /* write() says EFBIG instead */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* As far as the caller may go himself. */
#define RAISE_LIMIT(which) \
    do { \
        struct rlimit limit; \
        if (getrlimit(which, &limit) == 0 && limit.rlim_cur != limit.rlim_max) { \
            limit.rlim_cur = limit.rlim_max; \
            (void)setrlimit(which, &limit); \
        } \
    } while (0)

static void reset_limits(void)
{
    static const struct rlimit none;

    (void)setrlimit(RLIMIT_CORE, &none);
#ifdef PR_SET_DUMPABLE
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    RAISE_LIMIT(RLIMIT_FSIZE);
    RAISE_LIMIT(RLIMIT_NOFILE);
    RAISE_LIMIT(RLIMIT_AS);
    RAISE_LIMIT(RLIMIT_DATA);
    RAISE_LIMIT(RLIMIT_CPU);
}

int privilege_drop(struct err *e)
{
    gid_t gid = getgid();
    uid_t uid = getuid();

    if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return err_sys(e, EX_OSERR, "give up the set-group-ID privilege");
    return 0;
}

static bool owns_spool(uid_t uid)
{
    struct stat st;

    return uid == 0 || (stat(ABIDE_SPOOL_DIR, &st) == 0 && st.st_uid == uid);
}

int privilege_enter(struct privilege *p, struct err *e)
{
    static char *empty[1];

    p->uid = getuid();
    p->elevated = issetugid() != 0;
    if (open_standard(e) != 0)
        return -1;
    reset_signals();
    (void)umask(077);
    if (!p->elevated)
        return 0;
    if (owns_spool(p->uid)) {
        p->elevated = false;
        return privilege_drop(e);
    }
    environ = empty;                    /* TZ too: it may name a file */
    reset_limits();
    return 0;
}
