/* queue: reads the words behind `abide queue`, and calls list or act. As root
 * it works as the spool's owner. Called by abide's main. */
#include <config.h>

#include "spooler/tool/queue.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/err.h"
#include "common/owner.h"
#include "common/spool.h"
#include "spooler/tool/act.h"
#include "spooler/tool/list.h"
#include "spooler/tool/tool.h"
#include "spooler/tool/what.h"

static const char usage[] =
    "usage: abide queue [list [WHAT...]]\n"
    "       abide queue retry|hold|release|drop WHAT...\n"
    "\n"
    "  list      what waits, where and why, and when it is tried next\n"
    "  retry     tries it at once instead\n"
    "  hold      tries it no more until it is released\n"
    "  release   lets go what was held, and tries it at once\n"
    "  drop      removes it: neither delivered nor returned; `drop all` needs --force\n"
    "\n"
    "WHAT is a message ID, a recipient's domain, a recipient's address, or `all`.\n"
    "Exit status: 0 done, 1 nothing found for one of them, 64 wrong usage, 69 not all\n"
    "could be dropped, 75 not now, 77 not allowed.\n";

struct request {
    const struct act *act;              /* NULL: list */
    bool force, help;
    struct what *what;
    size_t nwhat;
};

static int parse_whats(struct request *q, int argc, char **argv, struct err *e)
{
    q->what = calloc((size_t)argc + 1, sizeof(*q->what));
    if (q->what == NULL)
        return err_sys(e, EX_OSERR, "abide queue");
    for (int i = 0; i < argc; i++) {
        struct what *w = &q->what[q->nwhat++];

        if (what_parse(argv[i], w, e) != 0)
            return -1;
        if (q->act != NULL && act_destroys(q->act) && w->kind == WHAT_ALL && !q->force)
            return err_set(e, EX_USAGE, "`drop all` would remove the whole queue: if that is meant, add --force");
    }
    return 0;
}

static int parse_words(struct request *q, int argc, char **argv, struct err *e)
{
    bool list = argc == 0 || strcmp(argv[0], "list") == 0;

    if (!list && (q->act = act_find(argv[0])) == NULL)
        return err_set(e, EX_USAGE, "'%.100s' is none of list, retry, hold, release, drop", argv[0]);
    if (q->act != NULL && argc == 1)
        return err_set(e, EX_USAGE, "%s what? A message ID, a domain, an address, or `all`", argv[0]);
    if (q->force && (q->act == NULL || !act_destroys(q->act)))
        return err_set(e, EX_USAGE, "--force is for drop alone");
    return argc == 0 ? 0 : parse_whats(q, argc - 1, argv + 1, e);
}

static int parse(struct request *q, int argc, char **argv, struct err *e)
{
    enum { FORCE = 256 };
    static const struct option options[] = {
        { "force", no_argument, NULL, FORCE }, { "help", no_argument, NULL, 'h' }, { 0 },
    };
    int c;

    optind = opterr = 0;                /* 0: begins anew, and options may follow words */
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h')
            q->help = true;
        else if (c == FORCE)
            q->force = true;
        else
            return err_set(e, EX_USAGE, "%.100s is no option; `abide queue --help` names them", argv[optind - 1]);
    }
    return q->help ? 0 : parse_words(q, argc - optind, argv + optind, e);
}

static int check_may_act(struct spool *s, struct err *e)
{
    int top = spool_fd(s, SPOOL_TOP, e);

    if (top == -1)
        return -1;
    if (faccessat(top, "cur", R_OK | W_OK | X_OK, AT_EACCESS) == 0 && faccessat(top, "hold", R_OK | W_OK | X_OK, AT_EACCESS) == 0)
        return 0;
    return err_sys(e, EX_NOPERM, "you may not act on the mail in %s", spool_path(s));
}

static int work(const struct tool *t, struct request *q)
{
    struct spool *s = NULL;
    struct err e = { 0 };
    int status;

    if (owner_become(t->config->spool, &e) != 0 || spool_open(t->config->spool, &s, &e) != 0)
        return tool_fail(&e);
    if (q->act == NULL)
        status = list_run(s, q->what, q->nwhat);
    else if (check_may_act(s, &e) != 0)
        status = tool_fail(&e);
    else
        status = act_run(q->act, t, s, q->what, q->nwhat);
    spool_free(s);
    return tool_end(status);
}

int queue_run(const struct tool *t, int argc, char **argv)
{
    struct request q = { 0 };
    struct err e = { 0 };
    int status;

    if (parse(&q, argc, argv, &e) != 0) {
        status = tool_fail(&e);
    } else if (q.help) {
        (void)fputs(usage, stdout);
        status = tool_end(TOOL_DONE);
    } else {
        status = work(t, &q);
    }
    free(q.what);
    return status;
}
