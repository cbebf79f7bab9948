/* main: sendmail. Makes the process safe, reads options and configuration, and
 * calls what was asked for. An error is one line on stderr and a status of
 * sysexits(3). */
#include <config.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "common/spool.h"
#include "sendmail/mailq.h"
#include "sendmail/message.h"
#include "sendmail/options.h"
#include "sendmail/privilege.h"
#include "sendmail/say.h"
#include "sendmail/starter.h"
#include "sendmail/submit.h"

enum { DRAIN_IDLE_MS = 60 * 1000, PRINT_MAX = 64 * 1024 };

struct front {
    struct options opt;
    struct privilege privilege;
    struct config *config;
    const char *config_file;
    struct err config_error;            /* class 0: none */
};

static int print(const struct buf *out, struct err *e)
{
    if (write(STDOUT_FILENO, out->data, out->len) != (ssize_t)out->len)
        return err_sys(e, EX_IOERR, "write to stdout");
    return 0;
}

/* ---- modes ------------------------------------------------------------- */

static int do_submit(struct front *f, struct err *e)
{
    const struct submit_facts facts = {
        .opt = &f->opt, .privilege = &f->privilege, .config = f->config, .config_file = f->config_file
    };
    struct err note = { 0 };
    int r = submit(&facts, &note, e);

    if (r == 0 && note.class != 0 && !f->opt.quiet)
        say("%s: %s", f->opt.name, note.text);
    return r;
}

static int do_mailq(struct front *f, struct err *e)
{
    struct spool *s;
    int r;

    if (spool_open(f->config->spool, &s, e) != 0)
        return -1;
    r = mailq(s, f->opt.arg, f->opt.narg, STDOUT_FILENO, e);
    spool_free(s);
    return r == -1 && e->class == 0 ? 0 : r;
}

static int do_queue_run(struct front *f, struct err *e)
{
    struct starter st = { .config = f->config_file, .elevated = f->privilege.elevated };
    int r;

    if (spool_open(f->config->spool, &st.spool, e) != 0)
        return -1;
    r = starter_queue_run(&st, e);
    spool_free(st.spool);
    return r;
}

static int do_newaliases(struct front *f, struct err *e)
{
    struct buf out = BUF_INIT(PRINT_MAX);
    int r;

    (void)buf_printf(&out, "%s: there is no alias database to build\n", f->opt.name);
    r = print(&out, e);
    buf_fini(&out);
    return r;
}

static int do_version(struct front *f, struct err *e)
{
    struct buf out = BUF_INIT(PRINT_MAX);
    int r;

    (void)buf_printf(&out, "abide sendmail " PACKAGE_VERSION " (Exim-compatible)\nConfiguration file is %s%s\n", f->config_file,
        f->config->path[0] == '\0' ? ", which does not exist: all is default" : "");
    r = print(&out, e);
    buf_fini(&out);
    if (r == 0 && f->config_error.class != 0) {
        *e = f->config_error;
        r = -1;
    }
    return r;
}

static int do_help(struct front *f, struct err *e)
{
    struct buf out = BUF_INIT(PRINT_MAX);
    int r;

    (void)f;
    options_help(&out);
    r = print(&out, e);
    buf_fini(&out);
    return r;
}

static int (*const modes[])(struct front *, struct err *) = {
    [MODE_SUBMIT] = do_submit,
    [MODE_MAILQ] = do_mailq,
    [MODE_QUEUE_RUN] = do_queue_run,
    [MODE_NEWALIASES] = do_newaliases,
    [MODE_VERSION] = do_version,
    [MODE_HELP] = do_help,
};

/* ---- beginning --------------------------------------------------------- */

/* It says where the spool is: mail put elsewhere would lie there for ever. */
static int unread_config(struct err *e)
{
    bool set_up = e->sys == 0 || e->sys == EACCES || e->sys == EPERM || e->sys == ELOOP || e->sys == ENOTDIR;

    e->class = set_up ? EX_CONFIG : EX_TEMPFAIL;
    return err_at(e, "configuration");
}

/* A file with mistakes refuses no mail: the spooler says what is wrong. But one
 * named on the command line must be there, and one that is there be readable. */
static int load_config(struct front *f, struct err *e)
{
    if (f->opt.config != NULL && f->privilege.elevated)
        return err_set(e, EX_NOPERM, "-C is not allowed for uid %ju", (uintmax_t)f->privilege.uid);
    f->config_file = config_file(f->opt.config, f->privilege.elevated);
    if (config_load(f->config_file, &f->config, &f->config_error) == 0)
        f->config_error.class = 0;
    if (f->config_error.class != 0 && f->config_error.class != EX_CONFIG) {
        *e = f->config_error;
        return unread_config(e);
    }
    if (f->opt.config != NULL && f->config->path[0] == '\0')
        return err_set(e, EX_NOINPUT, "there is no configuration file %.200s", f->opt.config);
    return 0;
}

/* Whoever pipes a message to us gets our status, not a broken pipe. */
static int begin(struct front *f, int argc, char **argv, struct err *e)
{
    if (privilege_enter(&f->privilege, e) != 0)
        return -1;
    if (options_parse(argc, argv, &f->opt, e) == 0 && load_config(f, e) == 0)
        return 0;
    if (f->opt.mode == MODE_SUBMIT)
        (void)message_drain(STDIN_FILENO, DRAIN_IDLE_MS);
    return -1;
}

int main(int argc, char **argv)
{
    struct front f = { .opt = { .name = "sendmail" } };
    struct err e = { 0 };
    int r = begin(&f, argc, argv, &e);

    if (r == 0)
        r = modes[f.opt.mode](&f, &e);
    if (r != 0 && !f.opt.quiet)
        say("%s: %s", f.opt.name, e.text);
    config_free(f.config);
    return r == 0 ? EX_OK : e.class;
}
