/* options: what the caller asks for, from argv. */
#ifndef ABIDE_SENDMAIL_OPTIONS_H
#define ABIDE_SENDMAIL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;

enum mode { MODE_SUBMIT, MODE_MAILQ, MODE_QUEUE_RUN, MODE_NEWALIASES, MODE_VERSION, MODE_HELP };

struct options {
    const char *name;                   /* under which we were called, from a table: never argv[0] itself */
    enum mode mode;
    bool from_header;                   /* -t */
    bool subtract;                      /* with -t, arguments are taken away: the habit of the name exim */
    bool dot_is_text;                   /* -i */
    bool verbose;                       /* -v */
    bool quiet;                         /* -oeq: the exit status says it all */
    bool queue_only;                    /* -odq: nobody is woken */
    const char *sender;                 /* -f, -r; NULL: not given */
    const char *full_name;              /* -F; NULL: not given */
    const char *config;                 /* -C; NULL: not given */
    unsigned hops;                      /* -h */
    char **arg;                         /* what is no option, in order; the space is argv's */
    size_t narg;
};

/* Reads argv, which is reordered. Options may follow arguments until "--".
 * -1: EX_USAGE; OPT holds what was understood before. */
int options_parse(int argc, char **argv, struct options *opt, struct err *);

/* The list of options for --help. */
void options_help(struct buf *);

#endif
