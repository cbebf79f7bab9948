/* starter: wakes the spooler by the FIFO; where nobody reads it and the caller
 * himself (not the set-group-ID program) may write the queue, starts abided,
 * which sees for itself whether it is needed. What is started has the rights
 * of the caller alone, a session of its own, and none of our descriptors: who
 * waits for our output must not wait for it. */
#include <config.h>

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "common/spool.h"
#include "sendmail/privilege.h"
#include "sendmail/starter.h"

static const char installed[] = ABIDE_SBINDIR "/abided";

/* By his real user and groups. */
static bool caller_may_run(struct spool *s)
{
    int top = spool_fd(s, SPOOL_TOP, NULL);

    return top != -1 && faccessat(top, "cur", W_OK | X_OK, 0) == 0;
}

/* Beside our own file, or where it lies in a build tree. */
static bool find_beside(char path[PATH_MAX])
{
    static const char *const names[] = { "abided", "../spooler/abided" };
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    char *base;

    if (n <= 0)
        return false;
    path[n] = '\0';
    base = strrchr(path, '/');
    for (size_t i = 0; base != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        size_t room = PATH_MAX - (size_t)(base + 1 - path);

        if (strlcpy(base + 1, names[i], room) < room && access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* With privilege only what the administrator installed: a link to us may lie anywhere. */
static bool find_spooler(const struct starter *st, char path[PATH_MAX])
{
    if (!st->elevated && find_beside(path))
        return true;
    return strlcpy(path, installed, PATH_MAX) < PATH_MAX && access(path, X_OK) == 0;
}

/* Becomes the spooler; returns only if that fails. */
static void become(const struct starter *st, const char *path, const char *mode)
{
    char *config = strcmp(st->config, ABIDE_CONF_FILE) == 0 ? NULL : realpath(st->config, NULL);
    char name[] = "abided", option[] = "-C", how[16];
    char *argv[] = { name, how, config == NULL ? NULL : option, config, NULL };
    sigset_t none;

    (void)strlcpy(how, mode, sizeof(how));
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGXFSZ, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (privilege_drop(NULL) == 0)
        (void)execv(path, argv);
    free(config);
}

static bool close_all(void)
{
    int fd = open("/dev/null", O_RDWR);

    for (int i = 0; i < 3; i++)
        if (fd == -1 || dup2(fd, i) == -1)
            return false;
    closefrom(3);
    return true;
}

/* Twice forked, so that nobody has to wait for it, and it never has a terminal. */
static bool detach(const struct starter *st, const char *path)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)setsid();
        if (fork() == 0 && close_all())
            become(st, path, "--until-empty");
        _exit(EX_OSERR);
    }
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    return pid > 0;
}

/* Where even asking is forbidden, somebody else takes care of the queue. */
enum started starter_mail(const struct starter *st)
{
    char path[PATH_MAX];

    if (spool_wake(st->spool, "n\n", NULL) != 0)
        return STARTED_LISTENING;
    if (st->automatic && caller_may_run(st->spool) && find_spooler(st, path) && detach(st, path))
        return STARTED_NEW;
    return STARTED_NOBODY;
}

int starter_queue_run(const struct starter *st, struct err *e)
{
    char path[PATH_MAX];
    int told = spool_wake(st->spool, "q\n", e);

    if (told != 0)
        return told == 1 ? 0 : -1;
    if (!caller_may_run(st->spool))
        return err_set(e, EX_TEMPFAIL, "no spooler is running, and you may not run the queue of %s yourself", spool_path(st->spool));
    if (!find_spooler(st, path))
        return err_set(e, EX_UNAVAILABLE, "no spooler is running, and there is no %s to start", installed);
    become(st, path, "--once");
    return err_sys(e, EX_OSERR, "start %s", path);
}
