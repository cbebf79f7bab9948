/* site: connections (slow start, learned cap), pauses and probes, hosts that
 * are down. The rate is limit.c's, the file site_memory.c's. It never learns
 * anything about a message, and nothing of our own outages. Called by the
 * keeper: may_open and may_send for every step, so they only look. */
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
    CAP_GAP_MIN = MINUTE,
    CAP_GAP_MAX = 4 * HOUR,
    HINT_MIN = 30 * SECOND,
    SAME_MOMENT = 5 * SECOND,           /* refusals so near are of one cause */
    LAST_CALL_GAP = 10 * MINUTE,
    HARDLY_A_WORD = 3                   /* transactions in ten minutes */
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

/* ---- small parts ------------------------------------------------------------------ */

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* xorshift32 (Marsaglia): jitter needs no more. */
static uint32_t roll(struct site *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 17;
    s->random ^= s->random << 5;
    return s->random;
}

/* Always upwards: what was promised is never undercut. */
static int64_t jitter(struct site *s, int64_t ms)
{
    return ms + roll(s) % (uint32_t)(clamp(ms / 10, 0, 5 * MINUTE) + 1);
}

/* How long to leave alone what has been failing for AGE: a share of it, in bounds. */
static int64_t probe_gap(int64_t age)
{
    return clamp(age / 5, 2 * MINUTE, clamp(age / 16, 45 * MINUTE, 2 * HOUR));
}

/* Connections of ours that worked when this one was refused. */
static unsigned others(const struct site_load *load)
{
    return load->open > 0 ? least(load->open - 1, load->up) : 0;
}

/* ---- may I? ------------------------------------------------------------------------- */

static bool pause_holds(const struct site *s, struct mono now)
{
    return now.ms < s->pause_until.ms;
}

bool site_paused(const struct site *s, struct mono now, enum cause *cause_r, struct mono *until_r)
{
    if (cause_r != NULL)
        *cause_r = s->pause_cause;
    if (until_r != NULL)
        *until_r = s->pause_until;
    return pause_holds(s, now);
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
    return least(s->cwnd, s->cap);
}

bool site_may_open(const struct site *s, const struct site_load *load, struct mono now, struct mono *when_r)
{
    unsigned dialling = load->open - least(load->open, load->up);

    *when_r = (struct mono){ CLOCK_NEVER };
    if (load->idle > 0 || load->ready <= dialling)
        return false;
    if (pause_holds(s, now)) {
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
    if (pause_holds(s, now)) {
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
    if (pause_holds(s, now))
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
    return s->messages_learned > 0 ? least(s->messages_learned, s->messages) : s->messages;
}

unsigned site_transaction_rcpts(const struct site *s)
{
    return s->recipients_learned > 0 ? least(s->recipients_learned, s->recipients) : s->recipients;
}

/* Long enough for the next token, where that is near: a new connection costs more. */
int64_t site_idle_ms(const struct site *s)
{
    int64_t ms = s->own ? 10 * SECOND : 2 * SECOND;

    if (s->limit.per_minute > 0 && s->limit.tokens < 1)
        ms = clamp((int64_t)((1 - s->limit.tokens) * MINUTE / s->limit.per_minute) + SECOND, ms, 12 * SECOND);
    return ms;
}

bool site_hosts_fail(const struct site *s, const char *const *host, size_t n, struct now now, struct wall *first_r, struct wall *last_r)
{
    struct mono since = { 0 }, last = { 0 };
    bool all = down_all_fail(&s->down, host, n, &since, &last);

    first_r->ms = all ? now.wall.ms - (now.mono.ms - since.ms) : 0;
    last_r->ms = all ? now.wall.ms - (now.mono.ms - last.ms) : 0;
    return all;
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
        s->cwnd = least(START, s->ceiling);
    s->probing = false;
}

void site_answered(struct site *s)
{
    if (s->probing)
        open_door(s);
}

static void raise_cap(struct site *s, unsigned up, struct mono now)
{
    s->cap = least(up, s->ceiling);
    s->cap_gap_ms = clamp(s->cap_gap_ms / 4, CAP_GAP_MIN, CAP_GAP_MAX);
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

/* ---- what went wrong ------------------------------------------------------------------------- */

static const struct {
    int64_t base_ms, max_ms;
} pauses[ILL_COUNT] = {
    [ILL_RATE] = { 5 * MINUTE, HOUR },
    [ILL_REPUTATION] = { 30 * MINUTE, SITE_PAUSE_MAX_MS },
    [ILL_MANY] = { 30 * SECOND, 15 * MINUTE },
    [ILL_GREY] = { 305 * SECOND, HOUR },
};

static void note_refusal(struct site *s, struct wall wall)
{
    if (s->first.ms == 0)
        s->first = wall;
    s->last = wall;
}

static void set_pause(struct site *s, enum cause cause, int64_t ms, struct mono now)
{
    s->pause_from = now;
    s->pause_until.ms = now.ms + ms;
    s->pause_len_ms = ms;
    s->pause_cause = cause;
    s->probing = true;
    s->cwnd = 1;
    s->changed = true;
}

/* Many domains are one site where a provider's name makes them so, each with
 * hosts of its own perhaps: there, one domain's dead host pauses nobody else. */
static bool is_shared(const struct site *s)
{
    return s->provider != NULL && !s->own;
}

int site_pick_host(struct site *s, const char *const *host, size_t n, struct mono now, struct mono *when_r)
{
    int i = down_pick(&s->down, host, n, now, when_r);

    /* Probing: nothing of ours has worked there since a host failed. */
    if (i == -1 && n > 0 && s->probing && !is_shared(s) && !pause_holds(s, now))
        set_pause(s, s->trouble, when_r->ms - now.ms, now);
    return i;
}

/* Once more in the same trouble, or the first time for long? */
static int64_t next_level(const struct site *s, enum ill ill, struct mono now)
{
    bool again = s->probing || now.ms - s->pause_until.ms < larger(s->pause_len_ms, 30 * MINUTE);

    return again ? clamp(s->level[ill] + 1, 1, 8) : 1;
}

static int64_t pause_length(struct site *s, enum ill ill, int64_t hint_ms)
{
    static const int64_t times[] = { 1, 1, 1, 2, 4 };
    int64_t level = s->level[ill];

    if (hint_ms >= 0)
        return clamp(hint_ms * times[clamp(level, 0, 4)] + 2 * SECOND, HINT_MIN, SITE_PAUSE_MAX_MS);
    return jitter(s, clamp(pauses[ill].base_ms << (level - 1), 0, pauses[ill].max_ms));
}

static bool pause_site(struct site *s, enum ill ill, const struct verdict *v, struct mono sent, struct now now_both)
{
    struct mono now = now_both.mono;

    note_refusal(s, now_both.wall);
    if (pause_holds(s, now) || (sent.ms < s->pause_from.ms && s->pause_cause != CAUSE_NONE)) {
        /* Sent before the pause began, or the same word once more: it tells nothing new, but how long. */
        if (v->hint_ms < 0 || now.ms + v->hint_ms <= s->pause_until.ms)
            return false;
        s->pause_until.ms = now.ms + clamp(v->hint_ms, HINT_MIN, SITE_PAUSE_MAX_MS);
        return s->changed = true;
    }
    s->level[ill] = next_level(s, ill, now);
    if (v->cause == CAUSE_RATE_LIMITED || v->cause == CAUSE_REPUTATION || v->cause == CAUSE_TOO_MANY_PER_CONNECTION)
        limit_cut(&s->limit, v->cause == CAUSE_REPUTATION, now);
    set_pause(s, v->cause, pause_length(s, ill, v->hint_ms), now);
    return true;
}

/* Shrink to what worked and go on with it; only where nothing works, wait. */
static bool too_many(struct site *s, const struct verdict *v, struct mono sent, const struct site_load *load, struct now now)
{
    unsigned working = others(load);
    unsigned half = s->cwnd / 2 > 0 ? s->cwnd / 2 : 1;

    if (sent.ms >= s->cap_at.ms && now.mono.ms - s->cap_at.ms > SAME_MOMENT && s->cap < s->ceiling)
        s->cap_gap_ms = clamp(s->cap_gap_ms + s->cap_gap_ms / 2, CAP_GAP_MIN, CAP_GAP_MAX);
    s->cap = least(s->cap, working > 0 ? working : half);
    s->cap_at = now.mono;
    s->cap_try.ms = now.mono.ms + s->cap_gap_ms;
    s->changed = true;
    if (working == 0)
        return pause_site(s, ILL_MANY, v, sent, now);
    s->cwnd = least(s->cwnd, s->cap);
    return true;
}

/* A domain whose MX hosts could not be looked up yet has a site of its own. */
static bool has_no_hosts(const struct site *s)
{
    return strncmp(s->name, "dns-", 4) == 0;
}

/* This host does not answer, or says that it cannot: others are to be tried
 * first. A connection that carried something only makes us more careful. */
static bool host_trouble(struct site *s, const struct verdict *v, const char *host, unsigned accepted, const struct site_load *load,
                         struct now now)
{
    unsigned working = others(load);
    struct down_host *h;

    if (accepted > 0 && v->hint_ms < 0) {
        s->cwnd = s->cwnd / 2 > 0 ? s->cwnd / 2 : 1;
        return false;
    }
    h = down_fail(&s->down, host, now.mono);
    h->until.ms = now.mono.ms + jitter(s, probe_gap(now.mono.ms - h->since.ms));
    if (v->hint_ms >= 0)
        h->until.ms = larger(h->until.ms, now.mono.ms + clamp(v->hint_ms, HINT_MIN, SITE_PAUSE_MAX_MS));
    s->trouble = v->cause;
    s->cwnd = working == 0 ? 1 : least(s->cwnd, working);
    if (working == 0) {
        s->probing = true;
        note_refusal(s, now.wall);
    }
    if (has_no_hosts(s))
        set_pause(s, v->cause, h->until.ms - now.mono.ms, now.mono);
    return s->changed = true;
}

/* No route, no resolver: nobody else's fault, and no evidence against anybody. */
static bool local_trouble(struct site *s, struct mono now)
{
    if (pause_holds(s, now) && s->pause_until.ms - now.ms >= MINUTE)
        return false;
    set_pause(s, CAUSE_LOCAL, jitter(s, MINUTE), now);
    return true;
}

static bool learn(unsigned *learned, unsigned had, unsigned worked)
{
    *learned = least(had, worked > 0 ? worked : 1);
    return *learned < had;
}

static bool is_at_door(const struct verdict *v)
{
    return v->phase <= PHASE_EHLO && (v->cause == CAUSE_CONGESTION || v->cause == CAUSE_UNKNOWN_TEMP);
}

static enum ill ill_of(enum cause c)
{
    switch (c) {
    case CAUSE_RATE_LIMITED:
    case CAUSE_TOO_MANY_PER_CONNECTION:
        return ILL_RATE;
    case CAUSE_REPUTATION:
    case CAUSE_PERM_REPUTATION:
    case CAUSE_AUTH_POLICY:
    case CAUSE_PERM_AUTH:
        return ILL_REPUTATION;
    case CAUSE_GREYLISTED:
        return ILL_GREY;
    default:
        return ILL_COUNT;
    }
}

/* True for what teaches a limit without being a refusal of the whole site. */
static bool lesson(struct site *s, const struct verdict *v, unsigned accepted, bool *changed_r)
{
    unsigned rcpts = site_transaction_rcpts(s);

    if (v->cause == CAUSE_TOO_MANY_PER_CONNECTION && accepted > 0)
        *changed_r = learn(&s->messages_learned, site_connection_messages(s), accepted);
    else if (v->cause == CAUSE_TOO_MANY_RECIPIENTS)
        *changed_r = learn(&s->recipients_learned, rcpts, accepted > 0 && accepted < rcpts ? accepted : rcpts / 2);
    else
        return false;
    s->changed = s->changed || *changed_r;
    return true;
}

bool site_refused(struct site *s, const struct verdict *v, const char *host, unsigned accepted, struct mono sent,
                  const struct site_load *load, struct wall wall, struct mono mono)
{
    struct now now = { wall, mono };
    enum ill ill = ill_of(v->cause);
    bool changed = false;

    s->used = mono;
    if (v->phase <= PHASE_EHLO && s->dialled.ms < sent.ms)
        sent = s->dialled;
    if (lesson(s, v, accepted, &changed))
        return changed;
    if (v->cause == CAUSE_LOCAL)
        return local_trouble(s, mono);
    if (ill != ILL_COUNT)
        return pause_site(s, ill, v, sent, now);
    if (v->cause == CAUSE_TOO_MANY_CONNECTIONS || (is_at_door(v) && others(load) > 0))
        return too_many(s, v, sent, load, now);
    return host_trouble(s, v, host, accepted, load, now);
}

void site_review(const struct site *s, struct verdict *v, struct mono now)
{
    if (v->cause != CAUSE_RATE_LIMITED || v->final || v->hint_ms >= 0 || v->phase < PHASE_RCPT || v->phase > PHASE_EOM)
        return;
    if (tally_sum(&s->sent, MINUTE, now) > HARDLY_A_WORD)
        return;
    v->cause = CAUSE_GREYLISTED;
    v->scope = SCOPE_TRIPLET;
    v->rule = "too fast, it says, but we have hardly said a word: first contact";
}

struct wall site_last_refusal(const struct site *s, char *text, size_t size)
{
    if (size > 0)
        strlcpy(text, s->said, size);
    return s->last;
}

struct wall site_first_refusal(const struct site *s)
{
    return s->first;
}

void site_said(struct site *s, const char *reply)
{
    strlcpy(s->said, reply, sizeof(s->said));
    for (char *p = s->said; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    s->changed = true;
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
