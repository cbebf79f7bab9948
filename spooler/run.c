/* The loop. The only file of the spooler that waits, and with clock.c the only one
 * that knows what time it is. */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "common/config.h"
#include "common/err.h"
#include "common/log.h"
#include "spooler/run.h"

enum { WATCH_MS = 5 * 1000, WAIT_MAX_MS = 60 * 1000 };

static volatile sig_atomic_t caught;    /* the process's one mutable global: SIGTERM beats SIGHUP */

static void on_signal(int number)
{
    if (number == SIGCHLD || (number == SIGHUP && caught != 0))
        return;
    caught = number == SIGINT ? SIGTERM : number;
}

static const int wanted[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };

void run_prepare(void)
{
    struct sigaction act = { .sa_handler = on_signal };
    sigset_t blocked;

    sigemptyset(&blocked);
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        sigaddset(&blocked, wanted[i]);
        sigaction(wanted[i], &act, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
}

/* Signals come only while we wait. */
static void mask_while_waiting(sigset_t *open)
{
    sigprocmask(SIG_BLOCK, NULL, open);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        sigdelset(open, wanted[i]);
}

/* The configuration file as it was when last read. */
struct watch {
    const char *file;
    bool there;                         /* it was, when the configuration in force was read */
    struct timespec changed;
    ino_t ino;
    off_t size;
    struct mono next;
};

static bool watch_changed(struct watch *w)
{
    struct stat st = { 0 };

    if (stat(w->file, &st) == -1)
        memset(&st, 0, sizeof st);
    if (st.st_mtim.tv_sec == w->changed.tv_sec && st.st_mtim.tv_nsec == w->changed.tv_nsec && st.st_ino == w->ino && st.st_size == w->size)
        return false;
    w->changed = st.st_mtim;
    w->ino = st.st_ino;
    w->size = st.st_size;
    return true;
}

static void reload(struct keeper *k, struct watch *w, struct log *log)
{
    struct err err = { 0 };
    struct config *config;

    if (config_load(w->file, &config, &err) == 0 && config->path[0] == '\0' && w->there)
        err_set(&err, EX_NOINPUT, "%s: it is gone", w->file);   /* defaults would send straight to MX */
    if (err.class == 0) {
        w->there = config->path[0] != '\0';
        keeper_configure(k, config);
        log_line(log, LEVEL_INFO, "configuration=%s read anew", w->file);
        return;
    }
    config_free(config);
    log_line(log, LEVEL_ERROR, "%s; the last good configuration stays in force", err.text);
}

static void look_at_file(struct keeper *k, struct watch *w, struct log *log, struct now now, bool asked)
{
    if (!asked && w->next.ms > now.mono.ms)
        return;
    w->next.ms = now.mono.ms + WATCH_MS;
    if (watch_changed(w) || asked)
        reload(k, w, log);
}

/* True if a signal came. Where a descriptor is ready at once ppoll() leaves it
 * pending, and under load one always is: so it is asked once more, for signals alone. */
static bool wait_for(const struct keeper *k, struct mono until, const sigset_t *open)
{
    struct pollfd fds[KEEPER_FDS];
    nfds_t n = keeper_fds(k, fds);
    int64_t ms = until.ms - clock_now().mono.ms;
    struct timespec ts;

    ms = ms < 0 ? 0 : ms > WAIT_MAX_MS ? WAIT_MAX_MS : ms;
    ts = (struct timespec){ .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000L };
    if (ppoll(fds, n, &ts, open) > 0)
        return ppoll(NULL, 0, &(struct timespec){ 0 }, open) == -1;
    return true;
}

static void reap(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

int run_keeper(const struct keeper_options *opt, const char *file, struct config *config, struct err *err)
{
    struct watch watch = { .file = file, .there = config == NULL || config->path[0] != '\0' };
    struct now now = clock_now();
    struct keeper *k;
    sigset_t open;

    mask_while_waiting(&open);
    watch_changed(&watch);
    if ((k = keeper_new(opt, config, now, err)) == NULL)
        return err->class;
    while (!keeper_done(k)) {
        int signal_seen = caught;

        caught = 0;
        now = clock_now();
        if (signal_seen == SIGTERM)
            keeper_stop(k, now);
        look_at_file(k, &watch, opt->log, now, signal_seen == SIGHUP);
        keeper_step(k, now);
        if (!keeper_done(k) && wait_for(k, keeper_next(k), &open))
            reap();
    }
    keeper_close(k);
    keeper_free(k);
    return 0;
}
