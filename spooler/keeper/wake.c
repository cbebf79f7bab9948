/* The FIFO `wake`. Opened for reading and writing, so that it never reports its
 * end and writers find a reader as long as we live. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "spooler/keeper/context.h"
#include "spooler/keeper/ring.h"
#include "spooler/keeper/wake.h"

int wake_open(struct keeper *k, struct err *err)
{
    int top = spool_fd(k->spool, SPOOL_TOP, err);
    struct stat st;

    if (top == -1)
        return -1;
    k->wake_fd = openat(top, "wake", O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (k->wake_fd == -1)
        return err_sys(err, EX_OSFILE, "open %s/wake", spool_path(k->spool));
    if (fstat(k->wake_fd, &st) == -1 || !S_ISFIFO(st.st_mode)) {
        close(k->wake_fd);
        k->wake_fd = -1;
        return err_set(err, EX_OSFILE, "%s/wake is no FIFO", spool_path(k->spool));
    }
    return 0;
}

static void run_all(struct keeper *k)
{
    struct ring *r;

    log_line(k->log, LEVEL_INFO, "queue run asked for");
    k->look_new = true;
    queue_rescan_all(k->queue, true);
    for (r = ring_first(k); r != NULL; r = ring_after(r)) {
        site_last_call(r->site, false, k->now.mono);
        ring_wake(r);
    }
}

static void act(struct keeper *k, const char *line, bool *run)
{
    if (strcmp(line, "n") == 0)
        k->look_new = true;
    else if (strcmp(line, "q") == 0)
        *run = true;
    else if (strncmp(line, "c ", 2) == 0)
        queue_changed(k->queue, line + 2);
}

void wake_read(struct keeper *k)
{
    char lines[4096], *at = lines, *end;
    ssize_t n = read(k->wake_fd, lines, sizeof lines - 1);
    bool run = false;

    if (n <= 0)
        return;
    lines[n] = '\0';
    while ((end = strchr(at, '\n')) != NULL) {  /* what is cut off at the end was a hint */
        *end = '\0';
        act(k, at, &run);
        at = end + 1;
    }
    if (run)
        run_all(k);
    if (n == sizeof lines - 1) {        /* more than was read: whatever it was, look everywhere */
        k->look_new = true;
        queue_rescan_all(k->queue, false);
    }
}
