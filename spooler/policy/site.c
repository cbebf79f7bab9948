/* site: what is allowed now (slow start, caps, rate, pauses), and what is
 * learned when all goes well. Refusals are site_trouble.c's, the rate limit.c's,
 * the file site_memory.c's. It never learns anything about a message. Called by
 * the keeper: may_open and may_send for every step, so they only look. */
#include <config.h>

#include "spooler/policy/site.h"

#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "spooler/policy/judge.h"
#include "spooler/policy/provider.h"
#include "spooler/policy/site_state.h"

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    HOUR = 60 * MINUTE,
    CONNECTIONS = 5,                    /* for everyone else */
    CONNECTIONS_OWN = 20,
    MESSAGES = 100,
    MESSAGES_OWN = 10000,
    RECIPIENTS = 50,
    RECIPIENTS_OWN = 100,
    BURST = 200,
    RATE = 120,
    START = 2,                          /* connections */
    LAST_CALL_GAP = 10 * MINUTE
};

/* ---- making -------------------------------------------------------------------- */

static const struct config_limit *find_limit(const struct config *c, const char *name)
{
    static const struct config_limit unsaid;

    for (size_t i = 0; i < c->nlimit; i++)
        if (strcmp(c->limit[i].site, name) == 0)
            return &c->limit[i];
    return &unsaid;
}

/* What is known of everyone's servers binds us there; a relay of the
 * administrator's is told by configuration. */
static const struct provider *table_of(const struct site *s)
{
    static const struct provider nobody;

    return s->provider != NULL && !s->own ? s->provider : &nobody;
}

static unsigned first_of(unsigned said, unsigned table, unsigned otherwise)
{
    return said > 0 ? said : table > 0 ? table : otherwise;
}

void site_configure(struct site *s, const struct config *c)
{
    const struct config_limit *l = find_limit(c, s->name);
    const struct provider *p = table_of(s);
    unsigned ceiling;

    ceiling = first_of(l->connections, p->connections, s->own ? CONNECTIONS_OWN : CONNECTIONS);
    if (s->cap == s->ceiling || s->cap > ceiling)
        s->cap = ceiling;
    s->ceiling = ceiling;
    s->messages = first_of(l->messages, p->messages, s->own ? MESSAGES_OWN : MESSAGES);
    s->recipients = first_of(l->recipients, 0, s->own ? RECIPIENTS_OWN : RECIPIENTS);
    limit_configure(&s->limit, l->rate_per_minute);
}

struct site *site_new(const char *name, const struct config *c, uint32_t random)
{
    struct site *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    strlcpy(s->name, name, sizeof(s->name));
    s->random = random | 1;
    s->own = strcmp(name, "relay") == 0 || strncmp(name, "route-", 6) == 0;
    if (!s->own)
        s->provider = provider_by_name(name);
    else
        s->provider = provider_of_host(strcmp(name, "relay") == 0 ? c->relay_host : name + strlen("route-"));
    s->cap_gap_ms = SITE_CAP_GAP_MS;
    limit_init(&s->limit, first_of(0, table_of(s)->burst, BURST), s->own ? 0 : first_of(0, table_of(s)->rate_per_minute, RATE));
    site_configure(s, c);
    s->cwnd = s->own || s->ceiling < START ? s->ceiling : START;
    return s;
}

void site_free(struct site *s)
{
    free(s);
}

const char *site_name(const struct site *s)
{
    return s->name;
}

const char *site_provider(const struct site *s)
{
    return s->provider != NULL ? s->provider->name : "generic";
}

/* ---- may I? ------------------------------------------------------------------------- */

bool site_paused(const struct site *s, struct mono now, enum cause *cause_r, struct mono *until_r)
{
    if (cause_r != NULL)
        *cause_r = s->pause_cause;
    if (until_r != NULL)
        *until_r = s->pause_until;
    return site_pause_holds(s, now);
}

/* May one connection above the learned cap be tried? It becomes the cap when
 * something is accepted while it is up. */
static bool cap_may_rise(const struct site *s, const struct site_load *load)
{
    return s->cap < s->ceiling && s->cwnd > s->cap && load->ready > 2 * (uint64_t)s->cap;
}

static unsigned connections_now(const struct site *s, const struct site_load *load, struct mono now)
{
    if (s->probing)
        return 1;
    if (cap_may_rise(s, load) && now.ms >= s->cap_try.ms)
        return s->cap + 1;
    return site_least(s->cwnd, s->cap);
}

bool site_may_open(const struct site *s, const struct site_load *load, struct mono now, struct mono *when_r)
{
    unsigned dialling = load->open - site_least(load->open, load->up);

    *when_r = (struct mono){ CLOCK_NEVER };
    if (load->idle > 0 || load->ready <= dialling)
        return false;
    if (site_pause_holds(s, now)) {
        *when_r = s->pause_until;
        return false;
    }
    if (load->open >= connections_now(s, load, now)) {
        if (!s->probing && now.ms < s->cap_try.ms && cap_may_rise(s, load))
            *when_r = s->cap_try;
        return false;
    }
    if (limit_tokens(&s->limit, now) < dialling + 1) {
        *when_r = limit_when(&s->limit, dialling + 1, now);
        return false;
    }
    return true;
}

bool site_may_send(const struct site *s, const struct site_load *load, struct mono now, struct mono *when_r)
{
    *when_r = (struct mono){ CLOCK_NEVER };
    if (site_pause_holds(s, now)) {
        *when_r = s->pause_until;
        return false;
    }
    if (s->probing && load->flights > 0)
        return false;
    if (limit_tokens(&s->limit, now) < 1) {
        *when_r = limit_when(&s->limit, 1, now);
        return false;
    }
    return true;
}

bool site_last_call(struct site *s, bool force, struct mono now)
{
    if (!force && s->was_asked && now.ms - s->asked.ms < LAST_CALL_GAP)
        return false;
    s->asked = now;
    s->was_asked = true;
    if (site_pause_holds(s, now))
        s->pause_until = now;
    down_release(&s->down, now);
    if (s->limit.per_minute > 0 && limit_tokens(&s->limit, now) < 1) {
        s->limit.tokens = 1;
        s->limit.at = now;
    }
    s->changed = true;
    return true;
}

unsigned site_connection_messages(const struct site *s)
{
    return s->messages_learned > 0 ? site_least(s->messages_learned, s->messages) : s->messages;
}

unsigned site_transaction_rcpts(const struct site *s)
{
    return s->recipients_learned > 0 ? site_least(s->recipients_learned, s->recipients) : s->recipients;
}

/* Long enough for the next token, where that is near: a new connection costs more. */
int64_t site_idle_ms(const struct site *s)
{
    int64_t ms = s->own ? 10 * SECOND : 2 * SECOND;

    if (s->limit.per_minute > 0 && s->limit.tokens < 1)
        ms = site_clamp((int64_t)((1 - s->limit.tokens) * MINUTE / s->limit.per_minute) + SECOND, ms, 12 * SECOND);
    return ms;
}

/* ---- what went well ------------------------------------------------------------------------ */

void site_dialled(struct site *s, struct mono now)
{
    s->dialled = s->used = now;
}

void site_connected(struct site *s, const char *host, struct mono now)
{
    s->used = now;
    if (down_forget(&s->down, host))
        s->changed = true;
}

void site_sent(struct site *s, struct mono now)
{
    s->used = now;
    limit_take(&s->limit, now);
    tally_add(&s->sent, MINUTE, now);
}

static void open_door(struct site *s)
{
    if (s->first.ms != 0 || s->probing)
        s->changed = true;
    s->first = s->last = (struct wall){ 0 };
    s->said[0] = '\0';
    if (s->probing)
        s->cwnd = site_least(START, s->ceiling);
    s->probing = false;
}

void site_answered(struct site *s)
{
    if (s->probing)
        open_door(s);
}

static void raise_cap(struct site *s, unsigned up, struct mono now)
{
    s->cap = site_least(up, s->ceiling);
    s->cap_gap_ms = s->cap_gap_ms / 4 > MINUTE ? s->cap_gap_ms / 4 : MINUTE;
    s->cap_try.ms = now.ms + s->cap_gap_ms;
    s->changed = true;
}

void site_accepted(struct site *s, const struct site_load *load, struct mono now)
{
    bool probed = s->probing;
    int64_t good = now.ms - s->pause_until.ms;

    limit_accepted(&s->limit, !probed, now);
    open_door(s);
    if (!probed && s->cwnd < s->ceiling)
        s->cwnd++;
    if (load->up > s->cap)
        raise_cap(s, load->up, now);
    if (s->pause_cause != CAUSE_NONE && good > HOUR && good > 2 * s->pause_len_ms) {
        memset(s->level, 0, sizeof(s->level));
        s->pause_cause = CAUSE_NONE;
        s->changed = true;
    }
}

/* ---- greylisting ---------------------------------------------------------------------------------- */

void site_greylisted(struct site *s, int64_t age_ms, bool let_in)
{
    int64_t lo = s->grey_lo_ms, hi = s->grey_hi_ms;

    if (!let_in) {
        site_answered(s);
        if (age_ms > lo)
            lo = age_ms;
        if (hi <= lo)
            hi = 0;
    } else if (age_ms > lo && (hi == 0 || age_ms < hi)) {
        hi = age_ms;
    }
    s->changed = s->changed || lo != s->grey_lo_ms || hi != s->grey_hi_ms;
    s->grey_lo_ms = lo;
    s->grey_hi_ms = hi;
}

int64_t site_grey_lo_ms(const struct site *s)
{
    return s->grey_lo_ms;
}

int64_t site_grey_hi_ms(const struct site *s)
{
    return s->grey_hi_ms;
}
