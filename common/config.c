/* config: reads abide.conf into a struct: lines, comments, names said twice.
 * What a value may be is config_values.c's, which names there are
 * config_keys.c's. A wrong line never stops the reading: the front accepts mail
 * whatever the file says. Called by every program at its start, and by the
 * keeper when the file has changed. */
#include <config.h>

#include "common/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/config_keys.h"
#include "common/config_values.h"
#include "common/err.h"

enum { FILE_MAX = 1024 * 1024, LINE_SIZE_MAX = 4096, STATEMENTS_MAX = 4000, DEFAULT_SIZE = 1100 };

/* What was said in which line, to tell who says it again. */
struct statement {
    const struct config_key *key;
    const char *about;                  /* the first word, for keys that repeat, else "" */
    unsigned line;
};

struct reading {
    struct config *config;
    const char *name;                   /* of the file */
    unsigned line;
    struct statement *said;             /* room for STATEMENTS_MAX */
    size_t nsaid;
    unsigned errors;
    bool no_memory;
    struct err *first;                  /* optional */
    struct buf *all;                    /* optional */
};

/* ---- a line ------------------------------------------------------------ */

static void complain(struct reading *r, struct err *why)
{
    r->no_memory = r->no_memory || why->class != EX_CONFIG;
    if (r->line > 0)
        (void)err_at(why, "%s:%u", r->name, r->line);
    else
        (void)err_at(why, "%s", r->name);
    if (r->errors++ == 0 && r->first != NULL)
        *r->first = *why;
    if (r->all != NULL)
        (void)buf_printf(r->all, "%s\n", why->text);
}

static const struct statement *find_said(const struct reading *r, const struct config_key *key, const char *about)
{
    for (size_t i = 0; i < r->nsaid; i++)
        if (r->said[i].key == key && strcasecmp(r->said[i].about, about) == 0)
            return &r->said[i];
    return NULL;
}

static int unknown_name(const char *name, struct err *e)
{
    const char *near = config_key_nearest(name);

    if (near == NULL)
        return err_set(e, EX_CONFIG, "unknown name '%s'", name);
    return err_set(e, EX_CONFIG, "unknown name '%s'; did you mean '%s'?", name, near);
}

static int read_statement(struct reading *r, const struct config_words *w, struct err *e)
{
    const struct config_key *key = config_key_find(w->word[0]);
    const struct statement *before;
    const char *about;

    if (key == NULL)
        return unknown_name(w->word[0], e);
    about = key->repeats && w->n > 1 ? w->word[1] : "";
    before = find_said(r, key, about);
    if (before != NULL)
        return err_set(e, EX_CONFIG, "%s%s%s is set already in line %u", key->name, *about == '\0' ? "" : " ", about,
            before->line);
    if (r->nsaid == STATEMENTS_MAX)
        return err_set(e, EX_CONFIG, "more than %d lines with settings", STATEMENTS_MAX);
    if (config_value_set(r->config, key, w, e) != 0)
        return -1;
    r->said[r->nsaid++] = (struct statement){ key, about, r->line };
    return 0;
}

/* Blanks part words; a # at a word's beginning starts a comment. LINE is
 * changed: the words point into it. */
static int split_words(char *line, struct config_words *w, struct err *e)
{
    w->n = 0;
    for (;;) {
        line += strspn(line, " \t");
        if (*line == '\0' || *line == '#')
            return 0;
        if (w->n == CONFIG_WORDS_MAX)
            return err_set(e, EX_CONFIG, "more than %d words", CONFIG_WORDS_MAX);
        w->word[w->n++] = line;
        line += strcspn(line, " \t");
        if (*line != '\0')
            *line++ = '\0';
    }
}

/* LINE has LEN bytes and a NUL behind them. */
static int read_line(struct reading *r, char *line, size_t len, struct err *e)
{
    struct config_words w;

    if (len > 0 && line[len - 1] == '\r')
        line[--len] = '\0';
    if (len > LINE_SIZE_MAX)
        return err_set(e, EX_CONFIG, "the line has more than %d bytes", LINE_SIZE_MAX);
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
            return err_set(e, EX_CONFIG, "the line has a control character in it");
    if (split_words(line, &w, e) != 0)
        return -1;
    return w.n == 0 ? 0 : read_statement(r, &w, e);
}

/* ---- a text ------------------------------------------------------------ */

/* TEXT has LEN bytes and a NUL behind them; it is changed, and must last as
 * long as the reading. */
static void read_lines(struct reading *r, char *text, size_t len)
{
    char *end = text + len, *next;
    struct err why;

    for (char *line = text; line < end && !r->no_memory; line = next) {
        char *eol = memchr(line, '\n', (size_t)(end - line));

        if (eol == NULL)
            eol = end;
        *eol = '\0';
        next = eol + 1;
        r->line++;
        if (read_line(r, line, (size_t)(eol - line), &why) != 0)
            complain(r, &why);
    }
}

/* A default is read as if it stood in a file. */
static int set_default(struct config *c, const struct config_key *key, struct err *e)
{
    char text[DEFAULT_SIZE], *rest = text, *line;
    struct config_words w;

    if (key->fallback == NULL)
        return 0;
    (void)strlcpy(text, key->fallback, sizeof(text));
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (split_words(line, &w, e) != 0)
            return -1;
        memmove(w.word + 1, w.word, w.n * sizeof(w.word[0]));
        w.word[0] = key->name;
        w.n++;
        if (config_value_set(c, key, &w, e) != 0)
            return -1;
    }
    return 0;
}

/* Strings are never null, so that nobody has to ask. */
static struct config *config_new(const char *path, struct err *e)
{
    struct config *c = calloc(1, sizeof(*c));
    char **strings[] = { &c->relay_host, &c->resolver, &c->hostname, &c->domain, &c->root };
    bool ok = c != NULL && (c->path = strdup(path)) != NULL;

    for (size_t i = 0; ok && i < sizeof(strings) / sizeof(strings[0]); i++)
        ok = (*strings[i] = strdup("")) != NULL;
    if (!ok)
        (void)err_sys(e, EX_OSERR, "read the configuration");
    for (size_t i = 0; ok && i < config_keys_count; i++)
        ok = set_default(c, &config_keys[i], e) == 0;
    if (ok)
        return c;
    config_free(c);
    return NULL;
}

static void read_text(struct reading *r, const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    struct err why;

    r->said = reallocarray(NULL, STATEMENTS_MAX, sizeof(*r->said));
    if (copy == NULL || r->said == NULL) {
        (void)err_sys(&why, EX_OSERR, "read the configuration");
        complain(r, &why);
    } else {
        memcpy(copy, text, len);
        copy[len] = '\0';
        read_lines(r, copy, len);
    }
    free(r->said);
    free(copy);
}

/* Returns the number of errors; *config_r is null only if memory is. */
static unsigned parse(struct reading *r, const char *text, size_t len, struct config **config_r)
{
    struct err why;

    *config_r = NULL;
    r->config = config_new(r->name, &why);
    if (r->config == NULL) {
        complain(r, &why);
        return r->errors;
    }
    if (len > FILE_MAX) {
        (void)err_set(&why, EX_CONFIG, "the file has more than %d bytes", FILE_MAX);
        complain(r, &why);
    } else if (len > 0) {
        read_text(r, text, len);
    }
    if (r->no_memory)
        config_free(r->config);
    else
        *config_r = r->config;
    return r->errors;
}

int config_parse(const char *name, const char *text, size_t len, struct config **config_r, struct err *e)
{
    struct reading r = { .name = name, .first = e };

    return parse(&r, text, len, config_r) == 0 ? 0 : -1;
}

unsigned config_check(const char *name, const char *text, size_t len, struct buf *all)
{
    struct reading r = { .name = name, .all = all };
    struct config *c;
    unsigned errors = parse(&r, text, len, &c);

    config_free(c);
    return errors;
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->nroute; i++) {
        free(c->route[i].domain);
        free(c->route[i].host);
    }
    for (size_t i = 0; i < c->nlimit; i++)
        free(c->limit[i].site);
    for (size_t i = 0; i < c->nsource; i++)
        free(c->source[i]);
    free(c->route);
    free(c->limit);
    free(c->path);
    free(c->relay_host);
    free(c->resolver);
    free(c->hostname);
    free(c->domain);
    free(c->root);
    free(c->spool);
    free(c->log);
    free(c);
}

/* ---- a file ------------------------------------------------------------ */

/* One byte more than may be, so that too much is seen. */
static int read_file(int fd, const char *path, struct buf *text, struct err *e)
{
    char chunk[8192];
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(e, EX_NOINPUT, "%s is no regular file", path);
    while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return err_sys(e, EX_OSERR, "read %s", path);
        if (text->len + (size_t)n > text->max)
            n = (ssize_t)(text->max - text->len);
        if (n == 0)
            break;
        if (!buf_add(text, chunk, (size_t)n))
            return err_sys(e, EX_OSERR, "read %s", path);
    }
    return 0;
}

/* A file that cannot be read leaves the defaults, and the reason. */
static int load_unread(const char *path, struct config **config_r, const struct err *why, struct err *e)
{
    if (config_parse(path, "", 0, config_r, e) == 0 && e != NULL)
        *e = *why;
    return -1;
}

int config_load(const char *path, struct config **config_r, struct err *e)
{
    struct buf text = BUF_INIT(FILE_MAX + 1);
    struct err why;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), r;

    if (fd == -1 && errno == ENOENT)
        return config_parse("", "", 0, config_r, e);
    if (fd == -1) {
        (void)err_sys(&why, EX_NOINPUT, "open %s", path);
        return load_unread(path, config_r, &why, e);
    }
    if (read_file(fd, path, &text, &why) != 0)
        r = load_unread(path, config_r, &why, e);
    else
        r = config_parse(path, text.len == 0 ? "" : text.data, text.len, config_r, e);
    (void)close(fd);
    buf_fini(&text);
    return r;
}

int config_check_file(const char *path, struct buf *all, struct err *e)
{
    struct buf text = BUF_INIT(FILE_MAX + 1);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), wrong = -1;

    if (fd == -1)
        return err_sys(e, EX_NOINPUT, "open %s", path);
    if (read_file(fd, path, &text, e) == 0)
        wrong = (int)config_check(path, text.len == 0 ? "" : text.data, text.len, all);
    (void)close(fd);
    buf_fini(&text);
    return wrong;
}

const char *config_file(const char *option, bool privileged)
{
    const char *variable = privileged ? NULL : getenv("ABIDE_CONF");

    if (option != NULL && !privileged)
        return option;
    return variable != NULL && *variable != '\0' ? variable : ABIDE_CONF_FILE;
}
