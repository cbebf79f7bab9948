/* site_trouble: what a site's refusals mean: caps, pauses, hosts that are down,
 * and the words kept as evidence. Each kind of trouble stays its own: a full
 * server pauses nobody whose connections work, a dead host no other host. Called
 * by the keeper through site.h. */
#include <config.h>

#include <string.h>

#include "spooler/policy/judge.h"
#include "spooler/policy/site_state.h"

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    HOUR = 60 * MINUTE,
    CAP_GAP_MIN = MINUTE,
    CAP_GAP_MAX = 4 * HOUR,
    HINT_MIN = 30 * SECOND,
    SAME_MOMENT = 5 * SECOND,           /* refusals so near are of one cause */
    HARDLY_A_WORD = 3                   /* transactions in ten minutes */
};

/* ---- small parts ------------------------------------------------------------------ */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
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
    return ms + roll(s) % (uint32_t)(site_clamp(ms / 10, 0, 5 * MINUTE) + 1);
}

/* How long to leave alone what has been failing for AGE: a share of it, in bounds. */
static int64_t probe_gap(int64_t age)
{
    return site_clamp(age / 5, 2 * MINUTE, site_clamp(age / 16, 45 * MINUTE, 2 * HOUR));
}

/* Connections of ours that worked when this one was refused. */
static unsigned others(const struct site_load *load)
{
    return load->open > 0 ? site_least(load->open - 1, load->up) : 0;
}

/* ---- pauses ----------------------------------------------------------------------- */

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

/* Once more in the same trouble, or the first time for long? */
static int64_t next_level(const struct site *s, enum ill ill, struct mono now)
{
    bool again = s->probing || now.ms - s->pause_until.ms < larger(s->pause_len_ms, 30 * MINUTE);

    return again ? site_clamp(s->level[ill] + 1, 1, 8) : 1;
}

static int64_t pause_length(struct site *s, enum ill ill, int64_t hint_ms)
{
    static const int64_t times[] = { 1, 1, 1, 2, 4 };
    int64_t level = s->level[ill];

    if (hint_ms >= 0)
        return site_clamp(hint_ms * times[site_clamp(level, 0, 4)] + 2 * SECOND, HINT_MIN, SITE_PAUSE_MAX_MS);
    return jitter(s, site_clamp(pauses[ill].base_ms << (level - 1), 0, pauses[ill].max_ms));
}

static bool pause_site(struct site *s, enum ill ill, const struct verdict *v, struct mono sent, struct now now_both)
{
    struct mono now = now_both.mono;

    note_refusal(s, now_both.wall);
    if (site_pause_holds(s, now) || (sent.ms < s->pause_from.ms && s->pause_cause != CAUSE_NONE)) {
        /* Sent before the pause began, or the same word once more: it tells nothing new, but how long. */
        if (v->hint_ms < 0 || now.ms + v->hint_ms <= s->pause_until.ms)
            return false;
        s->pause_until.ms = now.ms + site_clamp(v->hint_ms, HINT_MIN, SITE_PAUSE_MAX_MS);
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
        s->cap_gap_ms = site_clamp(s->cap_gap_ms + s->cap_gap_ms / 2, CAP_GAP_MIN, CAP_GAP_MAX);
    s->cap = site_least(s->cap, working > 0 ? working : half);
    s->cap_at = now.mono;
    s->cap_try.ms = now.mono.ms + s->cap_gap_ms;
    s->changed = true;
    if (working == 0)
        return pause_site(s, ILL_MANY, v, sent, now);
    s->cwnd = site_least(s->cwnd, s->cap);
    return true;
}

/* Many domains are one site where a provider's name makes them so, each with
 * hosts of its own perhaps: there, one domain's dead host pauses nobody else. */
static bool is_shared(const struct site *s)
{
    return s->provider != NULL && !s->own;
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
        h->until.ms = larger(h->until.ms, now.mono.ms + site_clamp(v->hint_ms, HINT_MIN, SITE_PAUSE_MAX_MS));
    s->trouble = v->cause;
    s->cwnd = working == 0 ? 1 : site_least(s->cwnd, working);
    if (working == 0) {
        s->probing = true;
        note_refusal(s, now.wall);
    }
    if (has_no_hosts(s))
        set_pause(s, v->cause, h->until.ms - now.mono.ms, now.mono);
    return s->changed = true;
}

/* No route, no resolver: nobody else's fault, and no evidence against anybody.
 * There may be a way to another host of theirs, as to an old address where we
 * have none to the new kind. A shared site has too many hosts to find out. */
static bool local_trouble(struct site *s, const char *host, const struct site_load *load, struct mono now)
{
    if (site_pause_holds(s, now) && s->pause_until.ms - now.ms >= MINUTE)
        return false;
    if (has_no_hosts(s) || is_shared(s)) {
        set_pause(s, CAUSE_LOCAL, jitter(s, MINUTE), now);
    } else {
        s->trouble = CAUSE_LOCAL;
        s->probing = s->probing || others(load) == 0;
    }
    down_avoid(&s->down, host, (struct mono){ now.ms + jitter(s, is_shared(s) ? 2 * MINUTE : MINUTE) });
    return true;
}

static bool learn(unsigned *learned, unsigned had, unsigned worked)
{
    *learned = site_least(had, worked > 0 ? worked : 1);
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
        return local_trouble(s, host, load, mono);
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

/* ---- hosts and evidence ------------------------------------------------------------ */

int site_pick_host(struct site *s, const char *const *host, size_t n, struct mono now, struct mono *when_r)
{
    int i = down_pick(&s->down, host, n, now, when_r);

    /* Probing: nothing of ours has worked there since a host failed. */
    if (i == -1 && n > 0 && s->probing && !is_shared(s) && !site_pause_holds(s, now))
        set_pause(s, s->trouble, when_r->ms - now.ms, now);
    return i;
}

bool site_hosts_fail(const struct site *s, const char *const *host, size_t n, struct now now, struct wall *first_r, struct wall *last_r)
{
    struct mono since = { 0 }, last = { 0 };
    bool all = down_all_fail(&s->down, host, n, &since, &last);

    first_r->ms = all ? now.wall.ms - (now.mono.ms - since.ms) : 0;
    last_r->ms = all ? now.wall.ms - (now.mono.ms - last.ms) : 0;
    return all;
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

