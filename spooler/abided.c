/* abided: the spooler's main: options, and wiring. */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "common/log.h"
#include "common/owner.h"
#include "common/spool.h"
#include "spooler/courier/courier.h"
#include "spooler/lock.h"
#include "spooler/run.h"
#include "spooler/spawn.h"

struct options {
    enum keeper_mode mode;
    const char *file;
    bool named;                         /* somebody named that file: it has to be there */
    bool check;
};

static const char *const mode_name[] = { [KEEPER_DAEMON] = "daemon", [KEEPER_ONCE] = "once", [KEEPER_UNTIL_EMPTY] = "until-empty" };

static const char usage[] =
    "usage: abided [-C FILE] [--once | --until-empty | --check]\n"
    "\n"
    "Delivers what sendmail has put into the spool, and waits well. Stays in the\n"
    "foreground; SIGTERM ends it with nothing lost, SIGHUP reads the configuration anew.\n"
    "\n"
    "  --once         one pass, for cron: delivers what is due, then ends\n"
    "  --until-empty  ends when the spool is empty\n"
    "  --check        reads the configuration, lists all mistakes, and ends\n"
    "  -C FILE        this configuration file\n"
    "  -V, --version  the version\n"
    "  --help         this\n"
    "\n"
    "abided(8) tells the rest, abide.conf(5) the configuration.\n";

static int parse(int argc, char **argv, struct options *o)
{
    enum { ONCE = 256, UNTIL_EMPTY, CHECK, HELP };
    static const struct option options[] = {
        { "once", no_argument, NULL, ONCE }, { "until-empty", no_argument, NULL, UNTIL_EMPTY },
        { "check", no_argument, NULL, CHECK },
        { "version", no_argument, NULL, 'V' }, { "help", no_argument, NULL, HELP }, { 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "C:V", options, NULL)) != -1)
        switch (c) {
        case ONCE:
            o->mode = KEEPER_ONCE;
            break;
        case UNTIL_EMPTY:
            o->mode = KEEPER_UNTIL_EMPTY;
            break;
        case CHECK:
            o->check = true;
            break;
        case 'C':
            o->file = optarg;
            break;
        case 'V':
            puts("abided " PACKAGE_VERSION);
            exit(EX_OK);
        case HELP:
            fputs(usage, stdout);
            exit(EX_OK);
        default:
            return -1;
        }
    return optind == argc ? 0 : -1;
}

static void fd_sane(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (lseek(fd, 0, SEEK_CUR) == -1 && errno == EBADF && !freopen("/dev/null", fd == 0 ? "r" : "w", fd == 0 ? stdin : fd == 1 ? stdout : stderr))
            exit(EX_OSFILE);
}

static int open_all(const struct config *c, struct keeper_options *k, const char *mode, struct err *err)
{
    struct err unwritable = { 0 };

    if (spool_make(c->spool, err) == -1 || owner_become(c->spool, err) == -1)
        return -1;
    if ((k->log = log_open(c->log, c->log_level, &unwritable)) == NULL) {
        *err = unwritable;
        return -1;
    }
    if (unwritable.class != 0)          /* it goes to syslog instead */
        fprintf(stderr, "abided: %s\n", unwritable.text);
    if (spool_open(c->spool, &k->spool, err) == -1)
        return -1;
    return lock_take(k->spool, mode, k->mode == KEEPER_DAEMON, err) == -1 ? -1 : 0;
}

static int complain(const struct err *err)
{
    fprintf(stderr, "abided: %s\n", err->text);
    return err->class;
}

static int check(const char *file)
{
    struct buf all = BUF_INIT(1024 * 1024);
    struct err err = { 0 };
    int wrong = config_check_file(file, &all, &err);

    if (wrong == -1)
        return complain(&err);
    if (wrong == 0)
        printf("%s: no mistakes\n", file);
    else
        fputs(all.data, stdout);
    buf_fini(&all);
    return wrong == 0 ? EX_OK : EX_CONFIG;
}

static void close_all(struct keeper_options *k)
{
    spool_free(k->spool);
    log_free(k->log);
}

static int work(const struct options *o)
{
    struct err err = { 0 }, wrong = { 0 };
    struct keeper_options k = { .mode = o->mode, .courier = spawn_courier };
    struct config *config;
    int bad = config_load(o->file, &config, &wrong), program, status;

    run_prepare();
    if (config == NULL)
        return complain(&wrong);
    if (o->named && config->path[0] == '\0') {
        config_free(config);
        err_set(&err, EX_CONFIG, "%s: no such file", o->file);
        return complain(&err);
    }
    if ((program = spawn_prepare(&err)) == -1 || open_all(config, &k, mode_name[o->mode], &err) == -1) {
        config_free(config);
        close_all(&k);
        complain(&err);
        return err.class == EX_TEMPFAIL && o->mode == KEEPER_ONCE ? EX_OK : err.class;
    }
    if (bad == -1) {
        log_line(k.log, LEVEL_ERROR, "%s; nothing is delivered before that is mended", wrong.text);
        config_free(config);
        config = NULL;
    }
    if (getrandom(&k.random, sizeof k.random, 0) != sizeof k.random)
        k.random = (uint32_t)getpid();
    k.arg = &program;
    log_line(k.log, LEVEL_INFO, "abided %s begins, pid=%ld mode=%s spool=%s configuration=%s", PACKAGE_VERSION, (long)getpid(), mode_name[o->mode],
        spool_path(k.spool), o->file);
    status = run_keeper(&k, o->file, config, &err);
    if (status != EX_OK)
        complain(&err);
    log_line(k.log, LEVEL_INFO, "abided ends, pid=%ld", (long)getpid());
    close_all(&k);
    return status;
}

int main(int argc, char **argv)
{
    struct options o = { .mode = KEEPER_DAEMON };

    if (argc == 2 && strcmp(argv[1], SPAWN_COURIER) == 0)
        return courier_main(SPAWN_LINK_FD);
    fd_sane();
    if (parse(argc, argv, &o) == -1) {
        fputs(usage, stderr);
        return EX_USAGE;
    }
    o.named = o.file != NULL || getenv("ABIDE_CONF") != NULL;
    o.file = config_file(o.file, false);
    return o.check ? check(o.file) : work(&o);
}
