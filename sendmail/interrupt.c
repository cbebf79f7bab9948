/* interrupt: the one place where a signal is handled. The handler touches
 * nothing but a name that was set while signals were held, and never runs once
 * the draft is being committed: then the message is finished. Used by submit. */
#include <config.h>

#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "common/spool.h"
#include "sendmail/interrupt.h"

static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGPROF, SIGXCPU };
enum { ENDINGS = sizeof(ending) / sizeof(ending[0]) };

static struct { int dirfd; const char *name; } doomed;

static void on_ending(int sig)
{
    if (doomed.name != NULL)
        (void)unlinkat(doomed.dirfd, doomed.name, 0);
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);                   /* takes effect on return */
}

static void set_of(sigset_t *set)
{
    (void)sigemptyset(set);
    for (int i = 0; i < ENDINGS; i++)
        (void)sigaddset(set, ending[i]);
}

void interrupt_hold(void)
{
    sigset_t set;

    set_of(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

/* What the caller had ignored (nohup, a background job) stays ignored. */
void interrupt_watch(const struct draft *d)
{
    struct sigaction act = { .sa_handler = on_ending }, before;

    doomed.name = NULL;
    if (d != NULL)
        draft_cleanup_name(d, &doomed.dirfd, &doomed.name);
    (void)sigfillset(&act.sa_mask);
    for (int i = 0; i < ENDINGS; i++)
        if (sigaction(ending[i], &act, &before) == 0 && before.sa_handler == SIG_IGN)
            (void)sigaction(ending[i], &before, NULL);
    set_of(&act.sa_mask);
    (void)sigprocmask(SIG_UNBLOCK, &act.sa_mask, NULL);
}

bool interrupt_sleep(int ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
    sigset_t set;

    set_of(&set);
    return sigtimedwait(&set, NULL, &t) > 0;
}
