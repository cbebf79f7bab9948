/* Starting couriers. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/err.h"
#include "spooler/link/channel.h"
#include "spooler/spawn.h"

extern char **environ;

int spawn_prepare(struct err *err)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    if (fd == -1)                       /* no /proc: as installed */
        fd = open(ABIDE_SBINDIR "/abided", O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        err_sys(err, EX_OSFILE, "open our own program (no /proc, and not at " ABIDE_SBINDIR "/abided)");
    return fd;
}

static void lay_out(int link, int program)
{
    char *argv[] = { (char[]){ "abided" }, (char[]){ SPAWN_COURIER }, NULL };
    int null = open("/dev/null", O_RDWR);
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (null == -1 || setsid() == -1)   /* a terminal's Ctrl-C is the keeper's to hear */
        _exit(EX_OSERR);
    for (int fd = 0; fd <= 2; fd++)
        if (dup2(null, fd) == -1)
            _exit(EX_OSERR);
    /* All others are close-on-exec; the program's own must not be where the link goes. */
    if (program == SPAWN_LINK_FD && (program = fcntl(program, F_DUPFD_CLOEXEC, SPAWN_LINK_FD + 1)) == -1)
        _exit(EX_OSERR);
    if (link == SPAWN_LINK_FD ? fcntl(link, F_SETFD, 0) == -1 : dup2(link, SPAWN_LINK_FD) == -1)
        _exit(EX_OSERR);
    if (null > SPAWN_LINK_FD)
        close(null);
    fexecve(program, argv, environ);
    _exit(EX_OSFILE);
}

int spawn_courier(void *arg, struct err *err)
{
    const int *program = arg;
    int link[2];
    pid_t pid;

    if (channel_pair(link, err) == -1)
        return -1;
    pid = fork();
    if (pid == 0)
        lay_out(link[1], *program);
    close(link[1]);
    if (pid == -1) {
        close(link[0]);
        return err_sys(err, EX_OSERR, "start a courier");
    }
    return link[0];
}
