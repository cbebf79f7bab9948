/* options: every option of sendmail(8) is a row of one table: its name, whether
 * a value belongs to it, what it does, and a word of help. What is not done
 * yet stands there too, so that its value is never taken for a recipient, and
 * is refused by name. Getopt is not used: musl's stops at the first argument,
 * and -oi, -odq, -bp are words rather than letters with values. */
#include <config.h>

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/err.h"
#include "sendmail/options.h"

enum { HOPS_MAX = 1000000, FAMILY_MAX = 64 };

enum takes {
    TAKES_NONE,                         /* one letter: others may follow in the same word; several: the whole word */
    TAKES_VALUE,                        /* the rest of the word, or the next one */
    TAKES_REST                          /* the rest of the word, which may be empty */
};

struct option {
    const char *name;
    enum takes takes;
    int (*set)(struct options *, const struct option *, const char *value, struct err *);
    size_t what;                        /* for the handler: a member's offset, a mode */
    const char *help;                   /* "VALUE\ttext", or NULL: not worth a line */
};

/* ---- what they do ------------------------------------------------------ */

static int set_flag(struct options *opt, const struct option *row, const char *value, struct err *e)
{
    bool *flag = (bool *)((char *)opt + row->what);

    (void)value, (void)e;
    *flag = true;
    return 0;
}

static int set_text(struct options *opt, const struct option *row, const char *value, struct err *e)
{
    const char **text = (const char **)(void *)((char *)opt + row->what);

    (void)e;
    *text = value;
    return 0;
}

static int set_mode(struct options *opt, const struct option *row, const char *value, struct err *e)
{
    (void)value, (void)e;
    opt->mode = (enum mode)row->what;
    return 0;
}

static int ignore(struct options *opt, const struct option *row, const char *value, struct err *e)
{
    (void)opt, (void)row, (void)value, (void)e;
    return 0;
}

static int refuse(struct options *opt, const struct option *row, const char *value, struct err *e)
{
    (void)opt, (void)value;
    return err_set(e, EX_USAGE, "-%s is not supported", row->name);
}

/* For what is refused because of its value. */
static int refuse_value(struct options *opt, const struct option *row, const char *value, struct err *e)
{
    (void)opt;
    return err_set(e, EX_USAGE, "-%s%.40s is not supported", row->name, value);
}

static int set_queue_run(struct options *opt, const struct option *row, const char *value, struct err *e)
{
    return value[0] != '\0' ? refuse_value(opt, row, value, e) : set_mode(opt, row, value, e);
}

static int set_hops(struct options *opt, const struct option *row, const char *value, struct err *e)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);

    (void)row;
    if (!isdigit((unsigned char)value[0]) || *end != '\0' || n > HOPS_MAX)
        return err_set(e, EX_USAGE, "-h takes a number of hops, not \"%.40s\"", value);
    opt->hops = (unsigned)n;
    return 0;
}

/* ---- the table --------------------------------------------------------- */

#define FLAG(member) TAKES_NONE, set_flag, offsetof(struct options, member)
#define TEXT(member) TAKES_VALUE, set_text, offsetof(struct options, member)
#define MODE(mode) TAKES_NONE, set_mode, mode
#define IGNORED(takes) takes, ignore, 0
#define REFUSED(takes) takes, refuse, 0

/* Of the rows whose name the word begins with, the longest counts: -odq is not
 * -o with the value "dq". */
static const struct option table[] = {
    { "t", FLAG(from_header), "\ttake recipients from To, Cc and Bcc too" },
    { "i", FLAG(dot_is_text), "\ta line with a single dot does not end the message (also -oi)" },
    { "f", TEXT(sender), "ADDRESS\tenvelope sender; '<>' for none (also -r)" },
    { "F", TEXT(full_name), "NAME\tfull name for a From line that is missing" },
    { "v", FLAG(verbose), "\tfollow the delivery (also -ov)" },
    { "C", TEXT(config), "FILE\tanother configuration file" },
    { "odq", FLAG(queue_only), "\tqueue only: wake nobody" },
    { "oeq", FLAG(quiet), "\tno error text, only the exit status" },
    { "bp", MODE(MODE_MAILQ), "[ID...]\tlist the queue (also mailq)" },
    { "q", TAKES_REST, set_queue_run, MODE_QUEUE_RUN, "\trun the queue now (also runq)" },
    { "bV", MODE(MODE_VERSION), "\tversion and configuration file (also --version)" },
    { "-version", MODE(MODE_VERSION), NULL },
    { "-help", MODE(MODE_HELP), "\tthis" },

    { "bm", MODE(MODE_SUBMIT), NULL },
    { "bi", MODE(MODE_NEWALIASES), NULL },
    { "I", MODE(MODE_NEWALIASES), NULL },
    { "eq", FLAG(quiet), NULL },
    { "h", TAKES_VALUE, set_hops, 0, NULL },
    { "odd", FLAG(queue_only), NULL },
    { "oi", FLAG(dot_is_text), NULL },
    { "oitrue", FLAG(dot_is_text), NULL },
    { "ov", FLAG(verbose), NULL },
    { "r", TEXT(sender), NULL },

    /* True already, or of no consequence here. */
    { "B", IGNORED(TAKES_VALUE), NULL },        /* the body itself says what it needs */
    { "m", IGNORED(TAKES_NONE), NULL },
    { "n", IGNORED(TAKES_NONE), NULL },
    { "U", IGNORED(TAKES_NONE), NULL },
    { "em", IGNORED(TAKES_NONE), NULL },
    { "ee", IGNORED(TAKES_NONE), NULL },
    { "ep", IGNORED(TAKES_NONE), NULL },
    { "ew", IGNORED(TAKES_NONE), NULL },
    { "o", IGNORED(TAKES_VALUE), NULL },

    /* Exim takes the next word as their value, sendmail does not. */
    { "oA", REFUSED(TAKES_REST), NULL },
    { "oB", REFUSED(TAKES_REST), NULL },
    { "oM", REFUSED(TAKES_REST), NULL },
    { "oP", REFUSED(TAKES_REST), NULL },
    { "oX", REFUSED(TAKES_REST), NULL },

    { "b", TAKES_VALUE, refuse_value, 0, NULL },
    { "e", TAKES_VALUE, refuse_value, 0, NULL },
    { "A", REFUSED(TAKES_VALUE), NULL },
    { "c", REFUSED(TAKES_NONE), NULL },
    { "D", REFUSED(TAKES_VALUE), NULL },
    { "d", REFUSED(TAKES_REST), NULL },
    { "G", REFUSED(TAKES_NONE), NULL },
    { "L", REFUSED(TAKES_VALUE), NULL },
    { "M", REFUSED(TAKES_VALUE), NULL },
    { "N", REFUSED(TAKES_VALUE), NULL },
    { "O", REFUSED(TAKES_VALUE), NULL },
    { "p", REFUSED(TAKES_VALUE), NULL },
    { "Q", REFUSED(TAKES_VALUE), NULL },
    { "R", REFUSED(TAKES_VALUE), NULL },
    { "s", REFUSED(TAKES_NONE), NULL },
    { "T", REFUSED(TAKES_REST), NULL },
    { "V", REFUSED(TAKES_VALUE), NULL },
    { "X", REFUSED(TAKES_VALUE), NULL },
};

static const struct name {
    const char *name;
    enum mode mode;
    bool subtract;
} names[] = {
    { "sendmail", MODE_SUBMIT, false },             /* first: any other name means this */
    { "mailq", MODE_MAILQ, false },
    { "newaliases", MODE_NEWALIASES, false },
    { "runq", MODE_QUEUE_RUN, false },
    { "exim", MODE_SUBMIT, true },
    { "exim4", MODE_SUBMIT, true },
};

/* ---- reading ----------------------------------------------------------- */

static bool row_fits(const struct option *row, const char *word, bool first)
{
    size_t len = strlen(row->name);

    if (strncmp(word, row->name, len) != 0 || (row->name[0] == '-' && !first))
        return false;
    return len == 1 || row->takes != TAKES_NONE || word[len] == '\0';
}

/* FIRST: WORD is all that follows the hyphen. */
static const struct option *find(const char *word, bool first)
{
    const struct option *best = NULL;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (row_fits(&table[i], word, first) && (best == NULL || strlen(table[i].name) > strlen(best->name)))
            best = &table[i];
    return best;
}

/* Getopt lets callers write "-o i" for -oi: such a pair is read as one word. */
static bool join_family(const char *word, const char *next, char out[FAMILY_MAX + 1])
{
    if (word[0] == '\0' || word[1] != '\0' || strchr("obe", word[0]) == NULL)
        return false;
    if (next == NULL || strlen(next) >= FAMILY_MAX)
        return false;
    out[0] = word[0];
    (void)strlcpy(out + 1, next, FAMILY_MAX);
    return true;
}

/* The word being read, and the one that may be its value. */
struct reading {
    const char *at;                     /* the next letter */
    const char *next;                   /* NULL: none, or used */
    bool first;
};

static int parse_option(struct options *opt, struct reading *r, struct err *e)
{
    const struct option *row = find(r->at, r->first);
    const char *value;

    if (row == NULL)
        return err_set(e, EX_USAGE, "unknown option -%.*s", r->first ? 40 : 1, r->at);
    r->at += strlen(row->name);
    r->first = false;
    value = r->at;
    if (row->takes == TAKES_NONE)
        return row->set(opt, row, "", e);
    if (row->takes == TAKES_VALUE && *value == '\0') {
        if (r->next == NULL)
            return err_set(e, EX_USAGE, "-%s needs a value", row->name);
        value = r->next;
        r->next = NULL;
    }
    r->at = "";
    return row->set(opt, row, value, e);
}

/* One word, without its hyphen; NEXT is the one after it or NULL. Returns how
 * many words were used, or -1. */
static int parse_word(struct options *opt, const char *word, const char *next, struct err *e)
{
    char joined[FAMILY_MAX + 1];
    struct reading r = { .at = word, .next = next, .first = true };

    if (join_family(word, next, joined)) {
        r.at = joined;
        r.next = NULL;
    }
    while (*r.at != '\0')
        if (parse_option(opt, &r, e) != 0)
            return -1;
    return next != NULL && r.next == NULL ? 2 : 1;
}

static void set_name(struct options *opt, const char *argv0)
{
    const char *base = argv0 == NULL ? NULL : strrchr(argv0, '/');
    const struct name *found = &names[0];

    base = base != NULL ? base + 1 : argv0;
    for (size_t i = 0; base != NULL && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(base, names[i].name) == 0)
            found = &names[i];
    *opt = (struct options){ .name = found->name, .mode = found->mode, .subtract = found->subtract };
}

/* Arguments move to the front of argv, over words that were read already. */
int options_parse(int argc, char **argv, struct options *opt, struct err *e)
{
    int i = 1;

    set_name(opt, argc > 0 ? argv[0] : NULL);
    opt->arg = argv;
    while (i < argc) {
        char *word = argv[i];
        int used;

        if (word[0] != '-' || word[1] == '\0') {
            opt->arg[opt->narg++] = word;
            i++;
            continue;
        }
        if (strcmp(word, "--") == 0)
            break;
        used = parse_word(opt, word + 1, i + 1 < argc ? argv[i + 1] : NULL, e);
        if (used == -1)
            return -1;
        i += used;
    }
    while (++i < argc)
        opt->arg[opt->narg++] = argv[i];
    if (opt->mode == MODE_QUEUE_RUN && opt->narg > 0)
        return err_set(e, EX_USAGE, "-q takes no arguments");
    if (opt->mode == MODE_SUBMIT && opt->narg == 0 && !opt->from_header)
        return err_set(e, EX_USAGE, "no recipients");
    return 0;
}

void options_help(struct buf *out)
{
    (void)buf_str(out, "usage: sendmail [options] [recipient...] <message\n\n");
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct option *row = &table[i];
        const char *text = row->help == NULL ? NULL : strchr(row->help, '\t');

        if (text != NULL)
            (void)buf_printf(out, "  -%s %-*.*s %s\n", row->name, 13 - (int)strlen(row->name), (int)(text - row->help), row->help,
                text + 1);
    }
    (void)buf_str(out, "\nThe manual page sendmail(8) has them all.\n");
}
