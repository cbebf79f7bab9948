/* site_memory: what a site has learned, as lines of name=value and back. Only
 * what differs from the start is written; times are wall clock there and boot
 * clock here. What is read is hints: out of bounds, it is bent or dropped.
 * Called by the keeper (and, for reading, by `abide sites`). */
#include <config.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "spooler/policy/site_state.h"

enum { LINE_SIZE = SITE_SAID_MAX + 32, PRINTED_HOSTS_MAX = 8, COUNT_MAX = 1000000 };
#define DAY_MS ((int64_t)24 * 3600 * 1000)
#define FORGOTTEN_MS (30 * DAY_MS)

enum kind {
    A_COUNT,                            /* unsigned */
    A_NUMBER,                           /* int64_t */
    A_RATE,                             /* double, in tenths */
    A_FLAG,
    A_MONO,                             /* struct mono: milliseconds of wall clock */
    A_WALL
};

/* MOST: for times, how far ahead at most. */
static const struct field {
    const char *name;
    enum kind kind;
    size_t at;
    int64_t most;
} fields[] = {
    { "used", A_MONO, offsetof(struct site, used), 0 },
    { "cap", A_COUNT, offsetof(struct site, cap), COUNT_MAX },
    { "cap_gap", A_NUMBER, offsetof(struct site, cap_gap_ms), DAY_MS },
    { "cap_try", A_MONO, offsetof(struct site, cap_try), SITE_PAUSE_MAX_MS },
    { "cap_at", A_MONO, offsetof(struct site, cap_at), 0 },
    { "messages", A_COUNT, offsetof(struct site, messages_learned), COUNT_MAX },
    { "recipients", A_COUNT, offsetof(struct site, recipients_learned), COUNT_MAX },
    { "rate", A_RATE, offsetof(struct site, limit.per_minute), 10 * COUNT_MAX },
    { "rate_learned", A_FLAG, offsetof(struct site, limit.learned), 1 },
    { "rate_bad", A_RATE, offsetof(struct site, limit.bad), 10 * COUNT_MAX },
    { "rate_bad_at", A_MONO, offsetof(struct site, limit.bad_at), 0 },
    { "rate_gap", A_NUMBER, offsetof(struct site, limit.grow_gap_ms), DAY_MS },
    { "burst", A_RATE, offsetof(struct site, limit.burst), 10 * COUNT_MAX },
    { "tokens", A_RATE, offsetof(struct site, limit.tokens), 10 * COUNT_MAX },
    { "tokens_at", A_MONO, offsetof(struct site, limit.at), 0 },
    { "paused", A_MONO, offsetof(struct site, pause_from), 0 },
    { "until", A_MONO, offsetof(struct site, pause_until), SITE_PAUSE_MAX_MS + SITE_PAUSE_MAX_MS / 10 },
    { "length", A_NUMBER, offsetof(struct site, pause_len_ms), DAY_MS },
    { "level_rate", A_NUMBER, offsetof(struct site, level[ILL_RATE]), 8 },
    { "level_reputation", A_NUMBER, offsetof(struct site, level[ILL_REPUTATION]), 8 },
    { "level_many", A_NUMBER, offsetof(struct site, level[ILL_MANY]), 8 },
    { "level_grey", A_NUMBER, offsetof(struct site, level[ILL_GREY]), 8 },
    { "probing", A_FLAG, offsetof(struct site, probing), 1 },
    { "asked", A_MONO, offsetof(struct site, asked), 0 },
    { "was_asked", A_FLAG, offsetof(struct site, was_asked), 1 },
    { "first", A_WALL, offsetof(struct site, first), 0 },
    { "last", A_WALL, offsetof(struct site, last), 0 },
    { "grey_lo", A_NUMBER, offsetof(struct site, grey_lo_ms), 7 * DAY_MS },
    { "grey_hi", A_NUMBER, offsetof(struct site, grey_hi_ms), 7 * DAY_MS },
};

enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

static int64_t to_wall(struct mono m, struct now now)
{
    return now.wall.ms + (m.ms - now.mono.ms);
}

static struct mono to_mono(int64_t wall_ms, int64_t most_ahead, struct now now)
{
    int64_t ahead = wall_ms - now.wall.ms;

    return (struct mono){ now.mono.ms + (ahead > most_ahead ? most_ahead : ahead) };
}

/* ---- printing -------------------------------------------------------------------- */

static int64_t value_of(const struct site *s, const struct field *f, struct now now)
{
    const char *p = (const char *)s + f->at;

    switch (f->kind) {
    case A_COUNT:
        return *(const unsigned *)(const void *)p;
    case A_NUMBER:
        return *(const int64_t *)(const void *)p;
    case A_RATE:
        return (int64_t)(*(const double *)(const void *)p * 10 + 0.5);
    case A_FLAG:
        return *(const bool *)(const void *)p;
    case A_MONO:
        return to_wall(*(const struct mono *)(const void *)p, now);
    case A_WALL:
        return ((const struct wall *)(const void *)p)->ms;
    }
    return 0;
}

/* Is it as it would be without a file? A site is made with its own start values. */
static bool is_unset(const struct site *s, const struct field *f)
{
    const char *p = (const char *)s + f->at;

    if (f->kind == A_MONO)
        return ((const struct mono *)(const void *)p)->ms == 0;
    if (f->at == offsetof(struct site, cap))
        return s->cap == s->ceiling;
    if (f->at == offsetof(struct site, cap_gap_ms))
        return s->cap_gap_ms == SITE_CAP_GAP_MS;
    if (f->kind == A_RATE && f->at != offsetof(struct site, limit.bad))
        return s->limit.per_minute <= 0 || (f->at != offsetof(struct site, limit.tokens) && !s->limit.learned);
    if (f->at == offsetof(struct site, limit.grow_gap_ms))
        return !s->limit.learned;
    return value_of(s, f, (struct now){ { 0 }, { 0 } }) == 0;
}

static void print_hosts(const struct down *t, struct buf *out, struct now now)
{
    unsigned printed = 0;

    for (size_t i = 0; i < DOWN_MAX && printed < PRINTED_HOSTS_MAX; i++) {
        const struct down_host *h = &t->host[i];

        if (h->key == 0 || h->last.ms == 0)
            continue;
        (void)buf_printf(out, "host=%llx,%lld,%lld,%lld\n", (unsigned long long)h->key, (long long)to_wall(h->since, now),
                         (long long)to_wall(h->last, now), (long long)to_wall(h->until, now));
        printed++;
    }
}

bool site_print(const struct site *s, struct buf *out, struct now now)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (!is_unset(s, &fields[i]))
            (void)buf_printf(out, "%s=%lld\n", fields[i].name, (long long)value_of(s, &fields[i], now));
    if (s->pause_cause != CAUSE_NONE)
        (void)buf_printf(out, "cause=%s\n", cause_name(s->pause_cause));
    if (s->said[0] != '\0')
        (void)buf_printf(out, "said=%s\n", s->said);
    print_hosts(&s->down, out, now);
    return buf_ok(out);
}

/* ---- parsing ---------------------------------------------------------------------- */

static void set_value(struct site *s, const struct field *f, int64_t v, struct now now)
{
    char *p = (char *)s + f->at;

    if (f->kind < A_MONO && (v < 0 || v > f->most))
        return;
    switch (f->kind) {
    case A_COUNT:
        *(unsigned *)(void *)p = (unsigned)v;
        break;
    case A_NUMBER:
        *(int64_t *)(void *)p = v;
        break;
    case A_RATE:
        *(double *)(void *)p = (double)v / 10;
        break;
    case A_FLAG:
        *(bool *)(void *)p = v != 0;
        break;
    case A_MONO:
        *(struct mono *)(void *)p = to_mono(v, f->most, now);
        break;
    case A_WALL:
        ((struct wall *)(void *)p)->ms = v < now.wall.ms ? v : now.wall.ms;
        break;
    }
}

/* A whole number of milliseconds and the like; times of the next 200 years pass. */
static bool parse_number(const char *p, int64_t *out)
{
    const char *bad;

    *out = strtonum(p, 0, INT64_C(1) << 43, &bad);
    return bad == NULL;
}

/* KEY,SINCE,LAST,UNTIL */
static void parse_host(struct site *s, char *p, struct now now)
{
    const char *key = strsep(&p, ",");
    int64_t ms[3];
    struct down_host h = { .key = strtoull(key, NULL, 16) };
    size_t i;

    for (i = 0; i < 3; i++) {
        const char *part = strsep(&p, ",");

        if (part == NULL || !parse_number(part, &ms[i]))
            return;
    }
    h.since = to_mono(ms[0], 0, now);
    h.last = to_mono(ms[1], 0, now);
    h.until = to_mono(ms[2], SITE_PAUSE_MAX_MS, now);
    for (i = 0; i < DOWN_MAX && s->down.host[i].key != 0; i++)
        ;
    if (i < DOWN_MAX && h.key != 0)
        s->down.host[i] = h;
}

static void parse_line(struct site *s, char *line, struct now now)
{
    char *value = strchr(line, '=');
    int64_t v;

    if (value == NULL)
        return;
    *value++ = '\0';
    if (strcmp(line, "said") == 0)
        strlcpy(s->said, value, sizeof(s->said));
    else if (strcmp(line, "cause") == 0)
        (void)cause_from_name(value, &s->pause_cause);
    else if (strcmp(line, "host") == 0)
        parse_host(s, value, now);
    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(line, fields[i].name) == 0 && parse_number(value, &v))
            set_value(s, &fields[i], v, now);
}

/* Bounds that no single field can hold. */
static void make_sane(struct site *s)
{
    if (s->cap == 0 || s->cap > s->ceiling)
        s->cap = s->ceiling;
    if (s->cap_gap_ms < 60 * 1000)
        s->cap_gap_ms = SITE_CAP_GAP_MS;
    if (s->limit.learned && s->limit.per_minute < 1)
        s->limit.per_minute = 1;
    if (s->limit.ceiling > 0 && s->limit.per_minute > s->limit.ceiling)
        s->limit.per_minute = s->limit.ceiling;
    if (s->limit.burst < 1)
        s->limit.burst = 1;
    if (s->limit.tokens > s->limit.burst)
        s->limit.tokens = s->limit.burst;
    if (s->limit.grow_gap_ms < 60 * 1000)
        s->limit.grow_gap_ms = 60 * 1000;
    if (s->probing)
        s->cwnd = 1;
}

static void forget_trouble(struct site *s)
{
    s->pause_cause = CAUSE_NONE;
    s->pause_until = s->pause_from = (struct mono){ 0 };
    s->probing = false;
    s->first = s->last = (struct wall){ 0 };
    s->said[0] = '\0';
    memset(s->level, 0, sizeof(s->level));
    memset(&s->down, 0, sizeof(s->down));
}

static void parse_lines(struct site *s, const char *p, size_t len, struct now now)
{
    while (len > 0) {
        const char *end = memchr(p, '\n', len);
        size_t n = end != NULL ? (size_t)(end - p) : len;
        char line[LINE_SIZE];

        if (n < sizeof(line) && memchr(p, '\0', n) == NULL) {
            memcpy(line, p, n);
            line[n] = '\0';
            parse_line(s, line, now);
        }
        n += end != NULL;
        p += n;
        len -= n;
    }
}

void site_parse(struct site *s, const char *p, size_t len, struct now now)
{
    struct site read = *s;

    read.used = now.mono;
    parse_lines(&read, p, len, now);
    if (now.mono.ms - read.used.ms > FORGOTTEN_MS)
        return;
    if (now.mono.ms - read.used.ms > DAY_MS)
        forget_trouble(&read);
    make_sane(&read);
    *s = read;
}

bool site_changed(struct site *s)
{
    bool changed = s->changed;

    s->changed = false;
    return changed;
}
