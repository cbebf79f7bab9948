/* abide: the administrator's tool: options, and which verb. */
#include <config.h>

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/err.h"
#include "common/identity.h"
#include "spooler/tool/queue.h"
#include "spooler/tool/tool.h"

enum { NAME_SIZE = 64 };

static const struct verb {
    const char *name, *takes, *does;
    int (*run)(const struct tool *, int argc, char **argv);
} verbs[] = {
    { "queue", "[list|retry|hold|release|drop] [WHAT...]", "what waits, and why; acts on it", queue_run },
};

struct options {
    const char *file;                   /* -C */
    bool help, version;
};

static void put_usage(FILE *to)
{
    (void)fputs("usage: abide [-C FILE] VERB ...\n\n", to);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        (void)fprintf(to, "  %s %s\n        %s\n", verbs[i].name, verbs[i].takes, verbs[i].does);
    (void)fputs("\n"
        "  -C FILE        this configuration file\n"
        "  -V, --version  the version\n"
        "  --help         this; `abide VERB --help` tells more\n", to);
}

/* Up to the verb; what follows is the verb's. */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "+C:Vh", options, NULL)) != -1)
        switch (c) {
        case 'C':
            o->file = optarg;
            break;
        case 'V':
            o->version = true;
            break;
        case 'h':
            o->help = true;
            break;
        default:
            return -1;
        }
    return o->help || o->version || optind < argc ? 0 : -1;
}

/* A mistake in it stops the spooler; who comes to look shall see the queue all
 * the same. But a file that was named must be there. */
static int load_config(const struct options *o, struct config **config_r)
{
    struct err e = { 0 };
    int r = config_load(config_file(o->file, false), config_r, &e);

    if (*config_r == NULL)
        return tool_fail(&e);
    if (r != 0)
        tool_say("%s", e.text);
    if (o->file != NULL && (*config_r)->path[0] == '\0') {
        tool_say("there is no configuration file %s", o->file);
        return EX_NOINPUT;
    }
    return EX_OK;
}

static int run(const struct verb *v, const struct options *o, int argc, char **argv)
{
    char name[NAME_SIZE], full[NAME_SIZE];
    struct tool tool = { .caller = name };
    struct config *config = NULL;
    int status = load_config(o, &config);

    if (status == EX_OK) {
        identity_user(getuid(), name, sizeof(name), full, sizeof(full));
        tool.config = config;
        status = v->run(&tool, argc, argv);
    }
    config_free(config);
    return status;
}

int main(int argc, char **argv)
{
    struct options o = { 0 };

    if (parse(argc, argv, &o) != 0) {
        put_usage(stderr);
        return EX_USAGE;
    }
    if (o.version)
        (void)puts("abide " PACKAGE_VERSION);
    else if (o.help)
        put_usage(stdout);
    else
        for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
            if (strcmp(argv[optind], verbs[i].name) == 0)
                return run(&verbs[i], &o, argc - optind, argv + optind);
    if (o.version || o.help)
        return tool_end(TOOL_DONE);
    tool_say("'%s' is no verb; `abide --help` names them", argv[optind]);
    return EX_USAGE;
}
