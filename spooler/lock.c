/* The spool's lock. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "common/spool.h"
#include "spooler/lock.h"

enum { GLANCE_TRIES = 20, LEAVE_TRIES = 1500, TRY_MS = 10 };

/* Whoever only looks (sendmail, mailq) holds it for a moment too. */
static int try_lock(int fd, int tries)
{
    const struct timespec pause = { .tv_nsec = TRY_MS * 1000000L };

    while (flock(fd, LOCK_EX | LOCK_NB) == -1) {
        if (errno != EWOULDBLOCK || --tries <= 0)
            return -1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static void read_who(int fd, char who[128])
{
    ssize_t n = pread(fd, who, 127, 0);

    who[n > 0 ? n : 0] = '\0';
    who[strcspn(who, "\n")] = '\0';
}

static int ask_to_leave(int fd, const char *who)
{
    int pid = 0;
    char mode[32] = "";

    if (sscanf(who, "pid %d %31s", &pid, mode) != 2 || strcmp(mode, "until-empty") != 0 || pid <= 1 || kill(pid, SIGTERM) == -1)
        return -1;
    return try_lock(fd, LEAVE_TRIES);
}

int lock_take(struct spool *s, const char *mode, int take_over, struct err *err)
{
    int top = spool_fd(s, SPOOL_TOP, err), fd;
    char who[128], line[128];

    if (top == -1)
        return -1;
    fd = openat(top, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd == -1)
        return err_sys(err, EX_CANTCREAT, "open %s/lock", spool_path(s));
    if (try_lock(fd, GLANCE_TRIES) == -1) {
        read_who(fd, who);
        if (!take_over || ask_to_leave(fd, who) == -1) {
            close(fd);
            return err_set(err, EX_TEMPFAIL, "another spooler works on %s: %s", spool_path(s), who[0] != '\0' ? who : "it does not say who");
        }
    }
    snprintf(line, sizeof line, "pid %ld %s\n", (long)getpid(), mode);
    if (ftruncate(fd, 0) == -1 || pwrite(fd, line, strlen(line), 0) == -1) {
        close(fd);
        return err_sys(err, EX_CANTCREAT, "write %s/lock", spool_path(s));
    }
    return fd;
}
