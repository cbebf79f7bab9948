/* config_values: one reader for each type of value. A reader sets its field or
 * leaves it as it was, and says in one sentence what is wrong. It does not
 * know files or lines. Called by config.c alone. */
#include <config.h>

#include "common/config_values.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/address.h"
#include "common/config.h"
#include "common/config_keys.h"
#include "common/err.h"
#include "common/identity.h"

enum { PORT_SMTP = 25, PORT_DNS = 53, HOST_SIZE = 256, VALUE_PATH_MAX = 1000, LITERAL_MAX = 100 };

typedef int reader(struct config *, const struct config_key *, const char *const *word, size_t n, struct err *);

static void *field(struct config *c, const struct config_key *key)
{
    return (char *)c + key->offset;
}

static int no_memory(struct err *e)
{
    return err_sys(e, EX_OSERR, "read the configuration");
}

/* Replaces *FIELD by a copy, in lower case if asked for. */
static int put_string(char **where, const char *value, struct err *e)
{
    char *copy = strdup(value);

    if (copy == NULL)
        return no_memory(e);
    free(*where);
    *where = copy;
    return 0;
}

static int put_lower(char **where, const char *value, struct err *e)
{
    if (put_string(where, value, e) != 0)
        return -1;
    for (char *p = *where; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    return 0;
}

/* ---- numbers ----------------------------------------------------------- */

/* Digits and nothing else, up to MAX; -1: they are not. */
static int64_t read_digits(const char *s, size_t len, int64_t max)
{
    int64_t v = 0;

    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || v > (INT64_MAX - 9) / 10)
            return -1;
        v = v * 10 + (s[i] - '0');
    }
    return len == 0 || v > max ? -1 : v;
}

struct unit { char letter; int64_t worth; };

static const struct unit durations[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 }, { 0, 1000 } };
static const struct unit bytes[] = { { 'k', 1 << 10 }, { 'K', 1 << 10 }, { 'M', 1 << 20 }, { 'G', 1 << 30 }, { 0, 1 } };

/* Digits and at most one letter of UNITS, whose last row is for none. */
static int64_t read_scaled(const char *s, const struct unit *u)
{
    size_t digits = strspn(s, "0123456789");
    int64_t v;

    if (s[digits] != '\0' && s[digits + 1] != '\0')
        return -1;
    while (u->letter != s[digits] && u->letter != 0)
        u++;
    if (u->letter != s[digits])
        return -1;
    v = read_digits(s, digits, INT64_MAX / u->worth);
    return v == -1 ? -1 : v * u->worth;
}

/* "90s", "15m", "3d": in the largest unit that fits without a rest. */
static const char *print_duration(int64_t ms, char out[32])
{
    size_t i = 3;

    while (i > 0 && (ms == 0 || ms % durations[i].worth != 0))
        i--;
    (void)snprintf(out, 32, "%" PRId64 "%c", ms / durations[i].worth, durations[i].letter);
    return out;
}

static int read_duration(const struct config_key *key, const char *s, int64_t *v_r, struct err *e)
{
    int64_t v = read_scaled(s, durations);
    char min[32], max[32];

    if (v == -1)
        return err_set(e, EX_CONFIG, "%s: '%s' is no time such as 30s, 5m, 4h or 3d", key->name, s);
    if (v < key->min || v > key->max)
        return err_set(e, EX_CONFIG, "%s: %s is not between %s and %s", key->name, s, print_duration(key->min, min),
            print_duration(key->max, max));
    *v_r = v;
    return 0;
}

static int set_duration(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    (void)n;
    return read_duration(key, word[0], field(c, key), e);
}

static int set_bytes(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    int64_t v = read_scaled(word[0], bytes);

    (void)n;
    if (v == -1)
        return err_set(e, EX_CONFIG, "%s: '%s' is no size such as 500k, 50M or 1G", key->name, word[0]);
    if (v < key->min || v > key->max)
        return err_set(e, EX_CONFIG, "%s: %s is too large", key->name, word[0]);
    *(uint64_t *)field(c, key) = (uint64_t)v;
    return 0;
}

/* Within the key's bounds. */
static int read_count(const struct config_key *key, const char *what, const char *s, unsigned *v_r, struct err *e)
{
    int64_t v = read_digits(s, strlen(s), key->max);

    if (v < key->min)
        return err_set(e, EX_CONFIG, "%s: '%s' is no number between %" PRId64 " and %" PRId64, what, s, key->min, key->max);
    *v_r = (unsigned)v;
    return 0;
}

static int set_count(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    (void)n;
    return read_count(key, key->name, word[0], field(c, key), e);
}

/* ---- one of several words ---------------------------------------------- */

/* The place of WORD in "a|b|c", or -1. */
static int choose(const struct config_key *key, const char *word, struct err *e)
{
    size_t len = strlen(word), part;
    int i = 0;

    for (const char *p = key->takes;; p += part + 1, i++) {
        part = strcspn(p, "|");
        if (part == len && strncmp(p, word, len) == 0)
            return i;
        if (p[part] == '\0')
            return err_set(e, EX_CONFIG, "%s: '%s' is not one of %s", key->name, word, key->takes);
    }
}

static int set_flag(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    int i = choose(key, word[0], e);

    (void)n;
    if (i == -1)
        return -1;
    *(bool *)field(c, key) = i == 1;
    return 0;
}

static int set_ip(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    static const enum ip_family family[] = { IP_BOTH, IP_4, IP_6 };
    int i = choose(key, word[0], e);

    (void)n;
    if (i == -1)
        return -1;
    c->ip = family[i];
    return 0;
}

static int set_level(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    static const enum level level[] = { LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG };
    int i = choose(key, word[0], e);

    (void)n;
    if (i == -1)
        return -1;
    c->log_level = level[i];
    return 0;
}

/* ---- hosts and addresses ----------------------------------------------- */

/* 4, 6 or 0. inet_pton() knows no short forms: 127.1 is no address here. */
static int ip_version(const char *s)
{
    unsigned char a[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, s, a) == 1 ? 4 : inet_pton(AF_INET6, s, a) == 1 ? 6 : 0;
}

/* HOST, HOST:PORT, [V6], [V6]:PORT, or an IPv6 address as it is: *port_r is ""
 * where none was given. HOST is neither looked up nor guessed. */
static int split_host(const struct config_key *key, const char *s, char host[HOST_SIZE], const char **port_r, struct err *e)
{
    bool bracket = s[0] == '[', bare = ip_version(s) == 6;
    const char *start = s + bracket;
    size_t len = bare ? strlen(s) : strcspn(start, bracket ? "]" : ":");
    const char *rest = start + len;

    if (bracket && *rest++ != ']')
        return err_set(e, EX_CONFIG, "%s: '%s' lacks a ]", key->name, s);
    if (len >= HOST_SIZE)
        return err_set(e, EX_CONFIG, "%s: the name is too long", key->name);
    memcpy(host, start, len);
    host[len] = '\0';
    if (bracket && ip_version(host) != 6)
        return err_set(e, EX_CONFIG, "%s: brackets are for IPv6 addresses, '%s' is none", key->name, host);
    if (ip_version(host) == 0 && !identity_host_valid(host))
        return err_set(e, EX_CONFIG, "%s: '%s' is neither a host name nor an address", key->name, host);
    *port_r = *rest == ':' ? rest + 1 : rest;
    if (*rest != '\0' && (*rest != ':' || rest[1] == '\0'))
        return err_set(e, EX_CONFIG, "%s: '%s' is not %s", key->name, s, key->takes);
    return 0;
}

static int read_host(const struct config_key *key, const char *s, unsigned usual, char host[HOST_SIZE], unsigned *port_r,
    struct err *e)
{
    const char *port = "";

    if (split_host(key, s, host, &port, e) != 0)
        return -1;
    *port_r = usual;
    return *port == '\0' ? 0 : read_count(key, "port", port, port_r, e);
}

static int set_relay(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    char host[HOST_SIZE];
    unsigned port;

    (void)n;
    if (read_host(key, word[0], PORT_SMTP, host, &port, e) != 0 || put_lower(&c->relay_host, host, e) != 0)
        return -1;
    c->relay_port = port;
    return 0;
}

static int set_resolver(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    char host[HOST_SIZE], text[HOST_SIZE + 16];
    unsigned port;

    (void)n;
    if (read_host(key, word[0], PORT_DNS, host, &port, e) != 0)
        return -1;
    if (ip_version(host) == 0)
        return err_set(e, EX_CONFIG, "resolver: '%s' is a name; only an address can be asked", host);
    (void)snprintf(text, sizeof(text), ip_version(host) == 6 ? "[%s]:%u" : "%s:%u", host, port);
    return put_string(&c->resolver, text, e);
}

static int set_source(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    (void)n;
    if (ip_version(word[0]) == 0)
        return err_set(e, EX_CONFIG, "%s: '%s' is no IP address", key->name, word[0]);
    if (c->nsource == CONFIG_SOURCES_MAX)
        return err_set(e, EX_CONFIG, "%s: more than %d addresses", key->name, CONFIG_SOURCES_MAX);
    if (put_string(&c->source[c->nsource], word[0], e) != 0)
        return -1;
    c->nsource++;
    return 0;
}

/* A domain as routes name it: *.x is all below x. */
static bool domain_valid(const char *s)
{
    return identity_host_valid(strncmp(s, "*.", 2) == 0 ? s + 2 : s);
}

static int set_route(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    struct config_route r = { 0 }, *all;
    char host[HOST_SIZE];

    (void)n;
    if (!domain_valid(word[0]))
        return err_set(e, EX_CONFIG, "%s: '%s' is no domain (write other scripts as xn--...)", key->name, word[0]);
    if (read_host(key, word[1], PORT_SMTP, host, &r.port, e) != 0)
        return -1;
    all = reallocarray(c->route, c->nroute + 1, sizeof(*all));
    if (all == NULL)
        return no_memory(e);
    c->route = all;
    if (put_lower(&r.domain, word[0], e) != 0 || put_lower(&r.host, host, e) != 0) {
        free(r.domain);
        return -1;
    }
    c->route[c->nroute++] = r;
    return 0;
}

/* ---- names and paths --------------------------------------------------- */

static int set_name(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    (void)n;
    if (!identity_name_valid(word[0]))
        return err_set(e, EX_CONFIG, "%s: '%s' is no full name such as mail.example.org", key->name, word[0]);
    return put_lower(field(c, key), word[0], e);
}

static int set_address(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    char address[ADDRESS_MAX];

    (void)n;
    if (address_parse(word[0], strlen(word[0]), address, NULL) != 0 || address[0] == '\0')
        return err_set(e, EX_CONFIG, "%s: '%s' is no mail address", key->name, word[0]);
    return put_string(field(c, key), address, e);
}

static int set_path(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    (void)n;
    if (word[0][0] != '/' || strlen(word[0]) > VALUE_PATH_MAX)
        return err_set(e, EX_CONFIG, "%s: '%s' is no absolute path", key->name, word[0]);
    return put_string(field(c, key), word[0], e);
}

static int set_log(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    if (strcmp(word[0], "syslog") == 0 || strcmp(word[0], "stderr") == 0)
        return put_string(&c->log, word[0], e);
    if (word[0][0] != '/')
        return err_set(e, EX_CONFIG, "%s: '%s' is neither syslog, stderr nor an absolute path", key->name, word[0]);
    return set_path(c, key, word, n, e);
}

/* ---- lists ------------------------------------------------------------- */

static int set_schedule(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    int64_t gap[CONFIG_SCHEDULE_MAX];

    if (n > CONFIG_SCHEDULE_MAX)
        return err_set(e, EX_CONFIG, "%s: more than %d times", key->name, CONFIG_SCHEDULE_MAX);
    for (size_t i = 0; i < n; i++)
        if (read_duration(key, word[i], &gap[i], e) != 0)
            return -1;
    memcpy(c->schedule_ms, gap, n * sizeof(gap[0]));
    c->nschedule = n;
    return 0;
}

static int set_timeout(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    enum phase phase;

    (void)n;
    if (!phase_from_name(word[0], &phase))
        return err_set(e, EX_CONFIG, "%s: there is no phase '%s'", key->name, word[0]);
    return read_duration(key, word[1], &c->timeout_ms[phase], e);
}

/* One `name=value` of a limit line. */
static int read_limit(const struct config_key *key, const char *word, struct config_limit *limit, struct err *e)
{
    const struct { const char *name; unsigned *where; } known[] = {
        { "connections", &limit->connections }, { "messages", &limit->messages },
        { "recipients", &limit->recipients }, { "rate", &limit->rate_per_minute },
    };
    size_t len = strcspn(word, "=");
    char value[LITERAL_MAX];

    if (word[len] == '\0' || strlcpy(value, word + len + 1, sizeof(value)) >= sizeof(value))
        return err_set(e, EX_CONFIG, "%s: '%s' is not NAME=NUMBER", key->name, word);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i].name) != len || strncmp(known[i].name, word, len) != 0)
            continue;
        if (*known[i].where != 0)
            return err_set(e, EX_CONFIG, "%s: %s twice", key->name, known[i].name);
        if (known[i].where == &limit->rate_per_minute) {
            size_t digits = strspn(value, "0123456789");

            if (strcmp(value + digits, "/m") != 0)
                return err_set(e, EX_CONFIG, "%s: '%s' is no rate such as 600/m", key->name, value);
            value[digits] = '\0';
        }
        return read_count(key, known[i].name, value, known[i].where, e);
    }
    return err_set(e, EX_CONFIG, "%s: '%s' is none of connections, messages, recipients, rate", key->name, word);
}

/* As sites are called: google, relay, example.net, route-[2001:db8::1]. */
static bool site_valid(const char *s)
{
    size_t len = strlen(s);

    return len > 0 && len < LITERAL_MAX && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_[]:") == len;
}

static int set_limit(struct config *c, const struct config_key *key, const char *const *word, size_t n, struct err *e)
{
    struct config_limit limit = { 0 }, *all;

    if (!site_valid(word[0]))
        return err_set(e, EX_CONFIG, "%s: '%s' is no name of a site", key->name, word[0]);
    for (size_t i = 1; i < n; i++)
        if (read_limit(key, word[i], &limit, e) != 0)
            return -1;
    all = reallocarray(c->limit, c->nlimit + 1, sizeof(*all));
    if (all == NULL)
        return no_memory(e);
    c->limit = all;
    if (put_lower(&limit.site, word[0], e) != 0)
        return -1;
    c->limit[c->nlimit++] = limit;
    return 0;
}

/* ---- the table --------------------------------------------------------- */

static const struct { size_t min, max; reader *read; } types[CONFIG_TYPES] = {
    [CONFIG_RELAY] = { 1, 1, set_relay },
    [CONFIG_ROUTE] = { 2, 2, set_route },
    [CONFIG_RESOLVER] = { 1, 1, set_resolver },
    [CONFIG_SOURCE] = { 1, 1, set_source },
    [CONFIG_NAME] = { 1, 1, set_name },
    [CONFIG_ADDRESS] = { 1, 1, set_address },
    [CONFIG_PATH] = { 1, 1, set_path },
    [CONFIG_LOG] = { 1, 1, set_log },
    [CONFIG_IP] = { 1, 1, set_ip },
    [CONFIG_LEVEL] = { 1, 1, set_level },
    [CONFIG_FLAG] = { 1, 1, set_flag },
    [CONFIG_COUNT] = { 1, 1, set_count },
    [CONFIG_BYTES] = { 1, 1, set_bytes },
    [CONFIG_DURATION] = { 1, 1, set_duration },
    [CONFIG_SCHEDULE] = { 1, CONFIG_WORDS_MAX, set_schedule },
    [CONFIG_TIMEOUT] = { 2, 2, set_timeout },
    [CONFIG_LIMIT] = { 2, CONFIG_WORDS_MAX, set_limit },
};

int config_value_set(struct config *c, const struct config_key *key, const struct config_words *w, struct err *e)
{
    size_t n = w->n - 1;

    if (n < types[key->type].min || n > types[key->type].max)
        return err_set(e, EX_CONFIG, "it should be: %s %s", key->name, key->takes);
    return types[key->type].read(c, key, w->word + 1, n, e);
}
