/* plan: gaps, windows, the deadline. Whole lives of 72 hours run here in a
 * virtual clock: what is tried when is what the tables say. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/err.h"
#include "spooler/policy/judge.h"
#include "spooler/policy/plan.h"
#include "spooler/policy/site.h"
#include "tests/unit/mutate.h"
#include "tests/unit/unit.h"

#define S INT64_C(1000)
#define M (60 * S)
#define H (60 * M)
#define START (INT64_C(1800000000) * S + 123)   /* of the wall clock */
#define BOOT (INT64_C(500) * S)

static struct config *config;
static struct site *site;
static const struct plan_site_word silent;

static void set_up_with(const char *lines)
{
    struct err e = { 0 };

    ck_assert_msg(config_parse("test", lines, strlen(lines), &config, &e) == 0, "%s", e.text);
    site = site_new("example.net", config, 7);
    ck_assert_ptr_nonnull(site);
}

static void set_up(void)
{
    set_up_with("");
}

static void tear_down(void)
{
    site_free(site);
    config_free(config);
}

static struct now at(int64_t ms)
{
    return (struct now){ { START + ms }, { BOOT + ms } };
}

/* The answer came TOOK after the command had left. */
static void defer_slowly(struct trail_rcpt *r, enum cause cause, int64_t hint_ms, int64_t ms, int64_t took, uint32_t random)
{
    struct verdict v = { .cause = cause, .scope = SCOPE_RECIPIENT, .hint_ms = hint_ms, .phase = PHASE_RCPT };

    plan_defer(config, site, &v, "mx.example.net", (struct plan_age){ ms }, at(ms - took).wall, at(ms), random, r);
}

static void defer(struct trail_rcpt *r, enum cause cause, int64_t hint_ms, int64_t ms, uint32_t random)
{
    defer_slowly(r, cause, hint_ms, ms, 0, random);
}

/* How long it waits, in ms, rounded down to seconds of the wall clock. */
static int64_t wait_of(const struct trail_rcpt *r, int64_t ms)
{
    return r->due * 1000 - (START + ms);
}

/* ---- single steps -------------------------------------------------------------- */

static const struct {
    const char *name;
    enum cause cause;
    unsigned n;                         /* deferrals of its own before */
    int64_t hint_ms, low, high;         /* the wait */
} steps[] = {
    { "first", CAUSE_CONGESTION, 0, -1, 5 * M, 5 * M + 30 * S },
    { "second", CAUSE_CONGESTION, 1, -1, 15 * M, 15 * M + 90 * S },
    { "third", CAUSE_UNKNOWN_TEMP, 2, -1, 60 * M, 65 * M },
    { "fifth", CAUSE_UNKNOWN_TEMP, 4, -1, 4 * H, 4 * H + 5 * M },
    { "fiftieth", CAUSE_UNKNOWN_TEMP, 49, -1, 4 * H, 4 * H + 5 * M },
    { "mailbox full", CAUSE_MAILBOX_FULL, 0, -1, 30 * M, 33 * M },
    { "mailbox still full", CAUSE_MAILBOX_FULL, 9, -1, 4 * H, 4 * H + 5 * M },
    { "authentication", CAUSE_AUTH_POLICY, 0, -1, 15 * M, 15 * M + 90 * S },
    { "authentication again", CAUSE_AUTH_POLICY, 1, -1, H, 65 * M },
    { "permanent reason", CAUSE_PERM_MAILBOX, 2, -1, 4 * H, 4 * H + 5 * M },
    { "in doubt", CAUSE_IN_DOUBT, 0, -1, 15 * M, 17 * M },
    { "in doubt later", CAUSE_IN_DOUBT, 4, -1, 4 * H, 4 * H + 5 * M },
    { "hint", CAUSE_RATE_LIMITED, 0, 90 * S, 93 * S, 96 * S },
    { "hint of nothing", CAUSE_RATE_LIMITED, 0, 0, 5 * S, 11 * S },
    { "hint of a month", CAUSE_RATE_LIMITED, 0, 30 * 24 * H, 6 * H, 6 * H + 6 * S },
    { "hint kept in vain", CAUSE_RATE_LIMITED, 5, 90 * S, 12 * M, 13 * M },
    { "hint kept in vain for ever", CAUSE_RATE_LIMITED, 4000000000U, 90 * S, 6 * H, 6 * H + 6 * S },
};

START_TEST(step)
{
    const char *name = steps[_i].name;

    for (uint32_t random = 0; random < 3000; random += 7) {
        struct trail_rcpt r = { .n = steps[_i].n };

        defer(&r, steps[_i].cause, steps[_i].hint_ms, 1 * M, random * 2654435761U);
        ck_assert_msg(wait_of(&r, 1 * M) >= steps[_i].low && wait_of(&r, 1 * M) <= steps[_i].high + S, "%s: %lld ms", name, (long long)wait_of(&r, 1 * M));
        ck_assert_msg(r.n == steps[_i].n + 1 && r.cause == steps[_i].cause && r.fate == FATE_OWED, "%s: n %u", name, r.n);
        ck_assert_msg(r.first.ms == START + M && r.last.ms == START + M, "%s: answers", name);
    }
}
END_TEST

/* ---- greylisting ---------------------------------------------------------------- */

/* Without hint or experience: the ages of the table, each met within seconds. */
START_TEST(grey_ages)
{
    static const int64_t ages[] = { 305, 905, 1805, 3060, 4200, 6000, 8400, 11400, 14100, 18800 };
    struct trail_rcpt r = { .fate = FATE_OWED };
    int64_t now = 40 * S;

    for (int i = 0; i < LENGTH(ages); i++) {
        int64_t age;

        defer(&r, CAUSE_GREYLISTED, -1, now, (uint32_t)rand());
        age = r.due * 1000 - r.grey.ms;
        ck_assert_msg(age >= ages[i] * S && age <= (ages[i] + 30) * S, "try %d at age %lld", i, (long long)age / S);
        ck_assert_uint_eq(r.grey_n, (unsigned)i + 1);
        ck_assert_uint_eq(r.n, 0);
        ck_assert_str_eq(r.host, "mx.example.net");
        now += wait_of(&r, now);
    }
}
END_TEST

/* Postfix thinks a second about each refusal, and about the fiftieth recipient for the fiftieth time: counted from when the
 * envelope left, we were back before the window opened. */
START_TEST(grey_slow)
{
    struct trail_rcpt r = { .fate = FATE_OWED };

    defer_slowly(&r, CAUSE_GREYLISTED, -1, 60 * S, 50 * S, 0);
    ck_assert_int_ge(wait_of(&r, 60 * S), 305 * S);
    defer_slowly(&r, CAUSE_GREYLISTED, -1, 420 * S, 50 * S, 0);
    ck_assert_int_ge(r.due * 1000 - (START + 60 * S), 905 * S);
}
END_TEST

START_TEST(grey_learned)
{
    struct trail_rcpt r = { .fate = FATE_OWED };

    site_greylisted(site, 600 * S, true);
    defer(&r, CAUSE_GREYLISTED, -1, 0, 5);
    ck_assert_int_ge(wait_of(&r, 0), 603 * S);
    ck_assert_int_le(wait_of(&r, 0), 612 * S);
}
END_TEST

/* Older triplets have been refused at such an age: younger ones need not ask. */
START_TEST(grey_not_before)
{
    struct trail_rcpt r = { .fate = FATE_OWED };

    site_greylisted(site, 1000 * S, false);
    defer(&r, CAUSE_GREYLISTED, -1, 0, 5);
    ck_assert_int_ge(wait_of(&r, 0), 1805 * S);
}
END_TEST

START_TEST(grey_hints)
{
    struct trail_rcpt r = { .fate = FATE_OWED };
    int64_t now = 0;

    defer(&r, CAUSE_GREYLISTED, 300 * S, now, 1);
    ck_assert_int_ge(wait_of(&r, now), 305 * S);
    ck_assert_int_le(wait_of(&r, now), 310 * S);
    now += wait_of(&r, now);
    defer(&r, CAUSE_GREYLISTED, 60 * S, now, 1);        /* kept in vain: once more */
    ck_assert_int_le(wait_of(&r, now), 67 * S);
    now += wait_of(&r, now);
    defer(&r, CAUSE_GREYLISTED, 60 * S, now, 1);        /* twice in vain: believed no more */
    ck_assert_int_ge(r.due * 1000 - r.grey.ms, 905 * S);
}
END_TEST

START_TEST(grey_long_hint)
{
    struct trail_rcpt r = { .fate = FATE_OWED };

    defer(&r, CAUSE_GREYLISTED, 20 * H, 0, 1);
    ck_assert_int_le(wait_of(&r, 0), H + 5 * S);
}
END_TEST

/* What is refused for another reason later has passed the greylister. */
START_TEST(grey_is_over)
{
    struct trail_rcpt r = { .fate = FATE_OWED };

    defer(&r, CAUSE_GREYLISTED, -1, 0, 1);
    ck_assert_int_eq(r.first.ms, 0);
    defer(&r, CAUSE_MAILBOX_FULL, -1, 310 * S, 1);
    ck_assert(r.grey.ms == 0 && r.grey_n == 0 && r.host[0] == '\0' && r.n == 1);
}
END_TEST

/* A greylisting is an answer only where its window was met. */
START_TEST(grey_evidence)
{
    struct trail_rcpt r = { .fate = FATE_OWED };

    defer(&r, CAUSE_GREYLISTED, -1, 0, 1);
    defer(&r, CAUSE_GREYLISTED, -1, 100 * S, 1);        /* somebody forced it */
    ck_assert_int_eq(r.first.ms, 0);
    defer(&r, CAUSE_GREYLISTED, -1, 320 * S, 1);
    ck_assert_int_eq(r.first.ms, START + 320 * S);
}
END_TEST

/* ---- lives ---------------------------------------------------------------------------- */

enum { TRIES_MAX = 10000 };

struct life {
    int64_t tries[TRIES_MAX];
    unsigned n;
    int64_t end;
    enum plan_act act;                  /* the last one */
};

struct world {
    int64_t pass_ms;                    /* 0: a daemon */
    enum cause cause;                   /* of every refusal; CAUSE_NONE: no answer is had, it just takes time */
    int64_t hint_ms;
    int64_t down_from, down_to;         /* our own network: tries have no answer */
};

static int64_t next_look(const struct world *w, int64_t now, int64_t when)
{
    if (w->pass_ms == 0)
        return when > now ? when : now + S;
    return (now / w->pass_ms + 1) * w->pass_ms;
}

/* One recipient from acceptance to its end. */
static void live(const struct world *w, uint32_t seed, struct life *life)
{
    struct trail_rcpt r = { .fate = FATE_OWED };
    struct mutator m = { seed };
    int64_t now = 0;

    life->n = 0;
    while (now < 200 * H) {
        int64_t when;

        life->act = plan_next(config, &r, START / 1000, (struct plan_age){ now }, &silent, w->pass_ms > 0, at(now), &when);
        life->end = now;
        if (life->act == PLAN_BOUNCE || life->act == PLAN_HOLD)
            return;
        if (life->act == PLAN_WAIT) {
            ck_assert_int_gt(when * 1000, START + now);
            now = next_look(w, now, when * 1000 - START);
            continue;
        }
        ck_assert_uint_lt(life->n, TRIES_MAX);
        life->tries[life->n++] = now;
        if (w->cause == CAUSE_NONE || (now >= w->down_from && now < w->down_to)) {
            now = next_look(w, now, now + M);
            continue;
        }
        now += 700;
        defer(&r, w->cause, w->hint_ms, now, mutator_pick(&m, UINT32_MAX));
    }
    ck_abort_msg("it never ended");
}

static unsigned tries_in(const struct life *l, int64_t from, int64_t to)
{
    unsigned n = 0;

    for (unsigned i = 0; i < l->n; i++)
        n += l->tries[i] >= from && l->tries[i] < to;
    return n;
}

START_TEST(schedule_of_72_hours)
{
    static const int64_t gaps[] = { 5 * M, 15 * M, 60 * M, 2 * H, 4 * H };
    struct world w = { .cause = CAUSE_UNKNOWN_TEMP, .hint_ms = -1 };
    static struct life l;

    for (uint32_t seed = 1; seed < 300; seed++) {
        live(&w, seed, &l);
        ck_assert_int_eq(l.act, PLAN_BOUNCE);
        ck_assert_msg(l.end >= 72 * H && l.end <= 72 * H + 2 * S, "bounced at %lld s", (long long)l.end / S);
        ck_assert_uint_eq(tries_in(&l, 72 * H - 3 * M, 72 * H), 1);
        ck_assert_uint_eq(tries_in(&l, 72 * H - M, 72 * H), 0);
        ck_assert_int_lt(l.tries[0], S);
        for (unsigned i = 1; i + 1 < l.n; i++) {
            int64_t gap = gaps[i - 1 < 4 ? i - 1 : 4], had = l.tries[i] - l.tries[i - 1];

            ck_assert_msg(had >= gap && had <= gap + gap / 10 + 3 * S, "seed %u: gap %u is %lld s", seed, i, (long long)had / S);
        }
    }
}
END_TEST

START_TEST(greylisted_for_ever)
{
    struct world w = { .cause = CAUSE_GREYLISTED, .hint_ms = -1 };
    static struct life l;

    live(&w, 5, &l);
    ck_assert_int_eq(l.act, PLAN_BOUNCE);
    ck_assert_int_le(l.end, 72 * H + 2 * S);
    ck_assert_uint_ge(tries_in(&l, 1, 4 * H), 9);
    ck_assert_uint_eq(tries_in(&l, 72 * H - 3 * M, 72 * H), 1);
    ck_assert_uint_lt(l.n, 35);
}
END_TEST

/* No network for the whole time and a day: held, never bounced. */
START_TEST(own_outage)
{
    struct world w = { .cause = CAUSE_NONE };
    static struct life l;

    live(&w, 5, &l);
    ck_assert_int_eq(l.act, PLAN_HOLD);
    ck_assert_int_ge(l.end, 96 * H);
    ck_assert_int_le(l.end, 96 * H + 3 * M);
}
END_TEST

/* An outage of ours over the deadline: what was answered before is stale, so it
 * is tried again until two fresh words stand. */
START_TEST(outage_over_the_deadline)
{
    struct world w = { .cause = CAUSE_UNKNOWN_TEMP, .hint_ms = -1, .down_from = 10 * H, .down_to = 80 * H };
    static struct life l;

    live(&w, 5, &l);
    ck_assert_int_eq(l.act, PLAN_BOUNCE);
    ck_assert_int_ge(l.end, 80 * H);
    ck_assert_int_le(l.end, 80 * H + 5 * M);
}
END_TEST

START_TEST(passes_from_cron)
{
    struct world w = { .cause = CAUSE_UNKNOWN_TEMP, .hint_ms = -1, .pass_ms = (_i + 1) * 5 * M };
    static struct life l;

    for (uint32_t seed = 1; seed < 50; seed++) {
        unsigned late;

        live(&w, seed, &l);
        late = tries_in(&l, 72 * H - 3 * M, 72 * H + 1) + tries_in(&l, 72 * H + 1, 80 * H);
        ck_assert_int_eq(l.act, PLAN_BOUNCE);
        ck_assert_int_le(l.end, 72 * H + 2 * w.pass_ms);
        ck_assert_msg(late == 1, "seed %u: %u tries at the end", seed, late);
    }
}
END_TEST

/* A lifetime of a minute still has its last call, in its last tenth. */
START_TEST(short_life)
{
    struct world w = { .cause = CAUSE_UNKNOWN_TEMP, .hint_ms = -1 };
    static struct life l;

    tear_down();
    set_up_with("lifetime 60s\nschedule 2s\n");
    live(&w, 9, &l);
    ck_assert_int_eq(l.act, PLAN_BOUNCE);
    ck_assert_int_le(l.end, 62 * S);
    ck_assert_uint_ge(tries_in(&l, 54 * S - 500, 61 * S), 1);
}
END_TEST

/* ---- behind a paused site ------------------------------------------------------------------ */

static const struct {
    const char *name;
    int64_t now, first, last;           /* of the site's refusals, since acceptance; -1: none */
    bool paused;
    int64_t own_first, own_last;        /* -1: none */
    enum plan_act act;
} behind[] = {
    { "paused: nobody is tried", 10 * H, H, 9 * H, true, -1, -1, PLAN_WAIT },
    { "last call", 72 * H - 30 * S, H, 70 * H, true, -1, -1, PLAN_TRY },
    { "refused a moment ago: no last call", 72 * H - 30 * S, H, 72 * H - 5 * M, true, -1, -1, PLAN_WAIT },
    { "its site's word", 72 * H, H, 72 * H - 5 * M, true, -1, -1, PLAN_BOUNCE },
    { "its site's word, not paused", 72 * H, H, 72 * H - 5 * M, false, -1, -1, PLAN_BOUNCE },
    { "one word only", 72 * H, 72 * H - M, 72 * H - M, true, -1, -1, PLAN_WAIT },
    { "a word of before it was accepted", 72 * H, -2 * H, -1 * H, true, -1, -1, PLAN_TRY },
    { "first word before it was accepted", 72 * H, -2 * H, 72 * H - M, true, -1, -1, PLAN_BOUNCE },
    { "own and site's together", 72 * H, 72 * H - M, 72 * H - M, true, 71 * H, 71 * H, PLAN_BOUNCE },
    { "stale", 72 * H, H, 67 * H, true, H, 60 * H, PLAN_TRY },
    { "stale for a day", 96 * H, H, 67 * H, true, H, 60 * H, PLAN_HOLD },
    { "nobody said anything", 72 * H, -1, -1, false, -1, -1, PLAN_TRY },
};

static struct wall wall_of(int64_t ms)
{
    return (struct wall){ ms == -1 ? 0 : START + ms };
}

START_TEST(behind_a_site)
{
    struct trail_rcpt r = { .fate = FATE_OWED, .first = wall_of(behind[_i].own_first), .last = wall_of(behind[_i].own_last) };
    struct plan_site_word w = { wall_of(behind[_i].first), wall_of(behind[_i].last), behind[_i].paused };
    int64_t when;
    enum plan_act act = plan_next(config, &r, START / 1000, (struct plan_age){ behind[_i].now }, &w, false, at(behind[_i].now), &when);

    ck_assert_msg(act == behind[_i].act, "%s: %d", behind[_i].name, act);
    if (act == PLAN_WAIT)
        ck_assert_msg(when * 1000 > START + behind[_i].now, "%s: waits for the past", behind[_i].name);
}
END_TEST

/* The last call of one that waits lies where it lay when asked before. */
START_TEST(last_call_stands)
{
    struct plan_site_word w = { wall_of(H), wall_of(2 * H), true };
    struct trail_rcpt r = { .fate = FATE_OWED };
    int64_t first, when;

    ck_assert_int_eq(plan_next(config, &r, START / 1000, (struct plan_age){ 5 * H }, &w, false, at(5 * H), &first), PLAN_WAIT);
    ck_assert_int_ge(first * 1000 - START, 72 * H - 3 * M);
    ck_assert_int_le(first * 1000 - START, 72 * H - M + S);
    for (int64_t now = 6 * H; now < 71 * H; now += 3 * H + 17) {
        ck_assert_int_eq(plan_next(config, &r, START / 1000, (struct plan_age){ now }, &w, false, at(now), &when), PLAN_WAIT);
        ck_assert_int_eq(when, first);
    }
}
END_TEST

/* ---- warning, attention, bounds --------------------------------------------------------------- */

static const struct {
    const char *name;
    int64_t age;
    bool warned, has_sender;
    int64_t own, site;                  /* last answers; -1: none */
    bool warns;
} warnings[] = {
    { "too early", 3 * H, false, true, H, -1, false },
    { "tried", 4 * H, false, true, H, -1, true },
    { "its site refused", 4 * H, false, true, -1, H, true },
    { "nothing happened yet", 5 * H, false, true, -1, -1, false },
    { "warned", 5 * H, true, true, H, -1, false },
    { "null reverse-path", 5 * H, false, false, H, -1, false },
    { "too late", 73 * H, false, true, H, -1, false },
};

START_TEST(warning)
{
    struct trail_rcpt r = { .last = wall_of(warnings[_i].own) };
    struct plan_site_word w = { .last = wall_of(warnings[_i].site) };

    ck_assert_msg(plan_warns(config, (struct plan_age){ warnings[_i].age }, warnings[_i].warned, warnings[_i].has_sender, &r, &w) == warnings[_i].warns,
                  "%s", warnings[_i].name);
}
END_TEST

START_TEST(attention)
{
    struct now now = at(0);

    ck_assert_int_eq(plan_attention(config, (struct plan_age){ 0 }, false, now) - START / 1000, 4 * 3600 + 1);
    ck_assert_int_eq(plan_attention(config, (struct plan_age){ 0 }, true, now) - START / 1000, 72 * 3600 - 180 + 1);
    ck_assert_int_eq(plan_attention(config, (struct plan_age){ 72 * H - M }, true, now) - START / 1000, 61);
    ck_assert_int_eq(plan_attention(config, (struct plan_age){ 80 * H }, true, now) - START / 1000, 121);
}
END_TEST

START_TEST(longest)
{
    ck_assert_int_eq(plan_longest_ms(config), 6 * H);
    tear_down();
    set_up_with("schedule 5m 9h\n");
    ck_assert_int_eq(plan_longest_ms(config), 9 * H);
}
END_TEST

/* Whatever the trail held and whenever it is: the new due time lies ahead, not
 * beyond the deadline while that lies ahead, and not further than any rule allows. */
START_TEST(any_state)
{
    struct mutator m = { 11 };

    for (unsigned i = 0; i < 100000; i++) {
        int64_t now = (int64_t)mutator_pick(&m, 100 * 3600) * S;
        struct trail_rcpt r = { .n = mutator_pick(&m, 40), .due = START / 1000 + mutator_pick(&m, 400000), .grey_n = mutator_pick(&m, 30) };
        enum cause cause = (enum cause)(1 + mutator_pick(&m, CAUSE_COUNT - 1));
        int64_t wait, left = 72 * H - now;

        r.cause = (enum cause)mutator_pick(&m, CAUSE_COUNT);
        r.grey.ms = r.grey_n > 0 ? START + (int64_t)mutator_pick(&m, 100 * 3600) * S : 0;
        defer(&r, cause, mutator_pick(&m, 3) == 0 ? (int64_t)mutator_pick(&m, INT32_MAX) : -1, now, mutator_pick(&m, UINT32_MAX));
        wait = wait_of(&r, now);
        ck_assert_msg(wait > -S && wait <= plan_longest_ms(config) + 6 * M, "cause %d at %lld: %lld", cause, (long long)now, (long long)wait);
        ck_assert(left < S || wait <= left);
    }
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("plan");
    TCase *tc = tcase_create("plan");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, step, 0, LENGTH(steps));
    tcase_add_test(tc, grey_ages);
    tcase_add_test(tc, grey_slow);
    tcase_add_test(tc, grey_learned);
    tcase_add_test(tc, grey_not_before);
    tcase_add_test(tc, grey_hints);
    tcase_add_test(tc, grey_long_hint);
    tcase_add_test(tc, grey_is_over);
    tcase_add_test(tc, grey_evidence);
    tcase_add_test(tc, schedule_of_72_hours);
    tcase_add_test(tc, greylisted_for_ever);
    tcase_add_test(tc, own_outage);
    tcase_add_test(tc, outage_over_the_deadline);
    tcase_add_loop_test(tc, passes_from_cron, 0, 4);
    tcase_add_test(tc, short_life);
    tcase_add_loop_test(tc, behind_a_site, 0, LENGTH(behind));
    tcase_add_test(tc, last_call_stands);
    tcase_add_loop_test(tc, warning, 0, LENGTH(warnings));
    tcase_add_test(tc, attention);
    tcase_add_test(tc, longest);
    tcase_add_test(tc, any_state);
    suite_add_tcase(s, tc);
    return s;
}
