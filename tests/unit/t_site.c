/* site: what is allowed, what is learned, what is remembered. Servers are
 * played by the tests; time is a number. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "spooler/policy/judge.h"
#include "spooler/policy/site.h"
#include "tests/unit/mutate.h"
#include "tests/unit/unit.h"

#define S INT64_C(1000)
#define M (60 * S)
#define H (60 * M)
#define DAY (24 * H)
#define WALL (INT64_C(1800000000) * S)
#define BOOT (10 * DAY)

static struct config *config;
static struct site *site;
static int64_t now_ms;                  /* since the test began */

static struct site *make(const char *name, const char *lines)
{
    struct err e = { 0 };
    struct site *s;

    config_free(config);
    ck_assert_msg(config_parse("test", lines, strlen(lines), &config, &e) == 0, "%s", e.text);
    s = site_new(name, config, 7);
    ck_assert_ptr_nonnull(s);
    return s;
}

static void use(const char *name)
{
    site_free(site);
    site = make(name, "");
}

static void set_up(void)
{
    now_ms = 0;
    use("example.net");
}

static void tear_down(void)
{
    site_free(site);
    config_free(config);
    site = NULL;
    config = NULL;
}

static struct mono mono(void)
{
    return (struct mono){ BOOT + now_ms };
}

static struct now now(void)
{
    return (struct now){ { WALL + now_ms }, mono() };
}

static const struct site_load nothing = { .open = 1, .ready = 1000 };

static bool refuse_with(enum cause cause, enum phase phase, int64_t hint_ms, unsigned accepted, int64_t sent, struct site_load load)
{
    struct verdict v = { .cause = cause, .scope = SCOPE_SOURCE_IP, .hint_ms = hint_ms, .phase = phase };

    return site_refused(site, &v, "mx.example.net", accepted, (struct mono){ BOOT + sent }, &load, now().wall, mono());
}

static bool refuse(enum cause cause, int64_t hint_ms)
{
    site_dialled(site, mono());
    return refuse_with(cause, PHASE_MAIL, hint_ms, 0, now_ms, nothing);
}

static bool may_open(unsigned open, unsigned up, uint64_t ready)
{
    struct site_load l = { .open = open, .up = up, .ready = ready };
    struct mono when;

    return site_may_open(site, &l, mono(), &when);
}

static bool may_send(unsigned flights)
{
    struct site_load l = { .open = 1, .up = 1, .flights = flights, .ready = 10 };
    struct mono when;

    return site_may_send(site, &l, mono(), &when);
}

static void accept_on(unsigned up)
{
    struct site_load l = { .open = up, .up = up, .ready = 1000 };

    site_accepted(site, &l, mono());
}

/* How many connections may be open at once. */
static unsigned allowed(void)
{
    unsigned n = 0;

    while (n < 1000 && may_open(n, n, 100000))
        n++;
    return n;
}

static int64_t paused_for(void)
{
    struct mono until;

    return site_paused(site, mono(), NULL, &until) ? until.ms - mono().ms : 0;
}

/* ---- limits ---------------------------------------------------------------------- */

static const struct {
    const char *name, *site, *config;
    unsigned connections, messages, recipients;
    const char *provider;
} limits[] = {
    { "anyone", "example.net", "", 5, 100, 50, "generic" },
    { "Google", "google", "", 20, 100, 50, "google" },
    { "Microsoft", "m365", "", 10, 50, 50, "m365" },
    { "Outlook", "outlook", "", 10, 50, 50, "outlook" },
    { "Yahoo", "yahoo", "", 5, 20, 50, "yahoo" },
    { "relay", "relay", "relay smtp.example.com:587\n", 20, 10000, 100, "generic" },
    { "relay of a provider", "relay", "relay smtp.gmail.com:587\n", 20, 10000, 100, "google-relay" },
    { "route", "route-inside", "route example.net inside\n", 20, 10000, 100, "generic" },
    { "configured", "google", "limit google connections=3 messages=7 recipients=2\n", 3, 7, 2, "google" },
    { "configured in part", "example.net", "limit example.net connections=50\n", 50, 100, 50, "generic" },
};

START_TEST(limit)
{
    const char *name = limits[_i].name;

    site_free(site);
    site = make(limits[_i].site, limits[_i].config);
    for (int i = 0; i < 100; i++)
        accept_on(1);
    ck_assert_msg(allowed() == limits[_i].connections, "%s: %u", name, allowed());
    ck_assert_msg(site_connection_messages(site) == limits[_i].messages, "%s: %u", name, site_connection_messages(site));
    ck_assert_msg(site_transaction_rcpts(site) == limits[_i].recipients, "%s: %u", name, site_transaction_rcpts(site));
    ck_assert_msg(strcmp(site_provider(site), limits[_i].provider) == 0, "%s: %s", name, site_provider(site));
}
END_TEST

START_TEST(reconfigured)
{
    struct config *other;
    const char *lines = "limit example.net connections=2 rate=60/m\n";

    ck_assert_int_eq(config_parse("test", lines, strlen(lines), &other, NULL), 0);
    for (int i = 0; i < 10; i++)
        accept_on(1);
    site_configure(site, other);
    ck_assert_uint_eq(allowed(), 2);
    site_configure(site, config);
    ck_assert_uint_eq(allowed(), 5);
    config_free(other);
}
END_TEST

/* ---- slow start --------------------------------------------------------------------- */

START_TEST(slow_start)
{
    use("google");
    ck_assert_uint_eq(allowed(), 2);
    for (unsigned i = 0; i < 18; i++) {
        ck_assert_uint_eq(allowed(), 2 + i);
        accept_on(2);
    }
    accept_on(2);
    ck_assert_uint_eq(allowed(), 20);
}
END_TEST

START_TEST(relay_starts_wide)
{
    site_free(site);
    site = make("relay", "relay smtp.example.com\n");
    ck_assert_uint_eq(allowed(), 20);
}
END_TEST

static const struct {
    const char *name;
    struct site_load load;
    bool may;
} opens[] = {
    { "work", { .open = 0, .ready = 1 }, true },
    { "no work", { .open = 0, .ready = 0 }, false },
    { "one is idle", { .open = 1, .up = 1, .idle = 1, .ready = 9 }, false },
    { "one is dialling for the one message", { .open = 1, .up = 0, .ready = 1 }, false },
    { "one is dialling, two messages", { .open = 1, .up = 0, .ready = 2 }, true },
    { "slow start", { .open = 2, .up = 2, .ready = 9 }, false },
};

START_TEST(opening)
{
    struct mono when = { 0 };
    bool may = site_may_open(site, &opens[_i].load, mono(), &when);

    ck_assert_msg(may == opens[_i].may, "%s", opens[_i].name);
    if (!may)
        ck_assert_msg(when.ms == CLOCK_NEVER, "%s: only an event changes it", opens[_i].name);
}
END_TEST

/* ---- caps: a server that takes so many connections and no more ------------------------ */

/* 500 messages, three seconds each; returns the refused connections. */
static unsigned burst(unsigned server_cap, int64_t *took_r)
{
    unsigned left = 500, refused = 0, up = 0;
    int64_t ends[32], start = now_ms;

    while (left > 0) {
        struct site_load l = { .open = up, .up = up, .ready = left };
        struct mono when;

        ck_assert_msg(now_ms - start < 4 * H, "stuck with %u left", left);
        for (unsigned i = 0; i < up; i++)
            if (ends[i] <= now_ms) {
                left--;
                site_accepted(site, &l, mono());
                ends[i] = ends[--up];
                i--;
            }
        for (l.open = l.up = up; up < 32 && up < left && site_may_open(site, &l, mono(), &when); l.open = l.up = up) {
            site_dialled(site, mono());
            if (up >= server_cap) {
                l.open++;
                refused++;
                refuse_with(CAUSE_TOO_MANY_CONNECTIONS, PHASE_BANNER, -1, 0, now_ms, l);
                ck_assert_int_eq(paused_for(), 0);
                continue;
            }
            site_connected(site, "mx.example.net", mono());
            site_sent(site, mono());
            ends[up++] = now_ms + 3 * S;
        }
        now_ms += 100;
    }
    *took_r = now_ms - start;
    return refused;
}

START_TEST(cap_is_learned)
{
    int64_t took;
    unsigned refused;

    use("google");
    refused = burst(3, &took);
    ck_assert_msg(refused <= 4, "%u refused", refused);
    ck_assert_int_lt(took, 510 * S);
    ck_assert_uint_le(allowed(), 4);
}
END_TEST

/* The limit was lifted: found out without being asked to. */
START_TEST(cap_rises_again)
{
    int64_t took;

    use("google");
    burst(3, &took);
    for (int i = 0; i < 10; i++) {
        now_ms += 5 * M;
        burst(20, &took);
    }
    ck_assert_uint_ge(allowed(), 10);
}
END_TEST

/* Each renewed refusal of one more lets the cap stand longer. */
START_TEST(cap_is_asked_ever_less)
{
    unsigned refused = 0;
    int64_t took;

    use("google");
    for (int i = 0; i < 24; i++) {
        refused += burst(3, &took);
        now_ms += H - took;
    }
    ck_assert_msg(refused < 40, "%u refused in a day", refused);
}
END_TEST

/* Where none of ours works there is nothing to shrink to: wait, then probe. */
START_TEST(too_many_and_none_works)
{
    enum cause cause;
    struct mono until;

    site_dialled(site, mono());
    refuse_with(CAUSE_TOO_MANY_CONNECTIONS, PHASE_BANNER, -1, 0, now_ms, nothing);
    refuse_with(CAUSE_TOO_MANY_CONNECTIONS, PHASE_BANNER, -1, 0, now_ms, nothing);     /* dialled at the same time */
    ck_assert(site_paused(site, mono(), &cause, &until) && cause == CAUSE_TOO_MANY_CONNECTIONS);
    ck_assert_int_ge(paused_for(), 30 * S);
    ck_assert_int_le(paused_for(), 33 * S);
    now_ms += 33 * S;
    ck_assert_uint_eq(allowed(), 1);
    site_dialled(site, mono());
    refuse_with(CAUSE_TOO_MANY_CONNECTIONS, PHASE_BANNER, -1, 0, now_ms, nothing);
    ck_assert_int_ge(paused_for(), 60 * S);
    ck_assert_int_le(paused_for(), 66 * S);
}
END_TEST

/* "Busy" at the greeting while others of ours work is a count, too. */
START_TEST(busy_while_others_work)
{
    struct site_load l = { .open = 4, .up = 3, .ready = 100 };

    use("google");
    for (int i = 0; i < 20; i++)
        accept_on(1);
    site_dialled(site, mono());
    refuse_with(CAUSE_CONGESTION, PHASE_BANNER, -1, 0, now_ms, l);
    ck_assert_int_eq(paused_for(), 0);
    ck_assert_uint_eq(allowed(), 3);
    ck_assert_int_eq(site_last_refusal(site, NULL, 0).ms, 0);
}
END_TEST

START_TEST(messages_per_connection)
{
    ck_assert(refuse_with(CAUSE_TOO_MANY_PER_CONNECTION, PHASE_MAIL, -1, 12, now_ms, nothing));
    ck_assert_uint_eq(site_connection_messages(site), 12);
    ck_assert_int_eq(paused_for(), 0);
    ck_assert(!refuse_with(CAUSE_TOO_MANY_PER_CONNECTION, PHASE_MAIL, -1, 40, now_ms, nothing));
    ck_assert_uint_eq(site_connection_messages(site), 12);
    refuse_with(CAUSE_TOO_MANY_PER_CONNECTION, PHASE_MAIL, -1, 0, now_ms, nothing);    /* of none: that is a rate */
    ck_assert_int_gt(paused_for(), 0);
}
END_TEST

START_TEST(recipients_per_transaction)
{
    ck_assert(refuse_with(CAUSE_TOO_MANY_RECIPIENTS, PHASE_RCPT, -1, 10, now_ms, nothing));
    ck_assert_uint_eq(site_transaction_rcpts(site), 10);
    for (int i = 0; i < 10; i++)
        refuse_with(CAUSE_TOO_MANY_RECIPIENTS, PHASE_RCPT, -1, 0, now_ms, nothing);
    ck_assert_uint_eq(site_transaction_rcpts(site), 1);
    ck_assert_int_eq(paused_for(), 0);
}
END_TEST

/* ---- pauses and probes -------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum cause cause;
    int64_t hint_ms;
    int64_t low[4];                     /* of the first pause, and when each probe hears the same */
} pauses[] = {
    { "rate", CAUSE_RATE_LIMITED, -1, { 5 * M, 10 * M, 20 * M, 40 * M } },
    { "reputation", CAUSE_REPUTATION, -1, { 30 * M, H, 2 * H, 4 * H } },
    { "authentication", CAUSE_AUTH_POLICY, -1, { 30 * M, H, 2 * H, 4 * H } },
    { "hint", CAUSE_RATE_LIMITED, 100 * S, { 102 * S, 102 * S, 202 * S, 402 * S } },
    { "hint of nothing", CAUSE_RATE_LIMITED, 0, { 30 * S, 30 * S, 30 * S, 30 * S } },
    { "hint of a week", CAUSE_RATE_LIMITED, 7 * DAY, { 4 * H, 4 * H, 4 * H, 4 * H } },
};

START_TEST(pause)
{
    for (int i = 0; i < 4; i++) {
        int64_t low = pauses[_i].low[i];

        ck_assert(refuse(pauses[_i].cause, pauses[_i].hint_ms));
        ck_assert_msg(paused_for() >= low && paused_for() <= low + low / 10 + 1, "%s %d: %lld s", pauses[_i].name, i, (long long)paused_for() / S);
        ck_assert(!may_open(0, 0, 10) && !may_send(0));
        now_ms += paused_for();
    }
}
END_TEST

/* Replies to what was sent before the pause began count once, but may lengthen it. */
START_TEST(stragglers)
{
    int64_t sent = now_ms, first;

    now_ms += S;
    refuse_with(CAUSE_RATE_LIMITED, PHASE_EOM, -1, 0, sent, nothing);
    first = paused_for();
    for (int i = 0; i < 10; i++) {
        now_ms += 100;
        ck_assert(!refuse_with(CAUSE_RATE_LIMITED, PHASE_EOM, -1, 0, sent, nothing));
        ck_assert_int_eq(paused_for(), first - (i + 1) * 100);
    }
    ck_assert(refuse_with(CAUSE_RATE_LIMITED, PHASE_EOM, H, 0, sent, nothing));
    ck_assert_int_eq(paused_for(), H);
    now_ms += H;
    refuse(CAUSE_RATE_LIMITED, -1);
    ck_assert_int_ge(paused_for(), 10 * M);
    ck_assert_int_le(paused_for(), 11 * M);
}
END_TEST

START_TEST(probe)
{
    use("google");
    for (int i = 0; i < 20; i++)
        accept_on(1);
    refuse(CAUSE_RATE_LIMITED, -1);
    now_ms += paused_for();
    ck_assert_uint_eq(allowed(), 1);
    ck_assert(may_send(0) && !may_send(1));
    accept_on(1);
    ck_assert_uint_eq(allowed(), 2);
    ck_assert(may_send(1) || site_idle_ms(site) > 2 * S);   /* the rate was cut, but no probe any more */
    accept_on(1);
    ck_assert_uint_le(allowed(), 3);
}
END_TEST

/* A message deferred for its own reason has been let through the door. */
START_TEST(probe_with_an_answer)
{
    refuse(CAUSE_TOO_MANY_CONNECTIONS, -1);
    now_ms += paused_for();
    ck_assert(!may_send(1));
    site_answered(site);
    ck_assert(may_send(1));
    ck_assert_int_eq(site_first_refusal(site).ms, 0);
}
END_TEST

START_TEST(a_good_hour_clears)
{
    refuse(CAUSE_RATE_LIMITED, -1);
    now_ms += paused_for();
    accept_on(1);
    now_ms += 2 * H;
    accept_on(1);
    refuse(CAUSE_RATE_LIMITED, -1);
    ck_assert_int_le(paused_for(), 5 * M + 30 * S);
}
END_TEST

START_TEST(last_call)
{
    refuse(CAUSE_REPUTATION, -1);
    ck_assert(site_last_call(site, false, mono()));
    ck_assert_int_eq(paused_for(), 0);
    ck_assert(may_open(0, 0, 10) && !may_open(1, 1, 10));
    now_ms += S;
    refuse(CAUSE_REPUTATION, -1);
    ck_assert(!site_last_call(site, false, mono()));
    ck_assert_int_gt(paused_for(), 0);
    ck_assert(site_last_call(site, true, mono()));
    ck_assert_int_eq(paused_for(), 0);
    now_ms += 11 * M;
    ck_assert(site_last_call(site, false, mono()));
}
END_TEST

/* ---- evidence -------------------------------------------------------------------------------- */

START_TEST(evidence)
{
    char text[100];

    refuse(CAUSE_REPUTATION, -1);
    site_said(site, "421 4.7.0 go\naway");
    now_ms += 10 * M;
    refuse(CAUSE_REPUTATION, -1);
    ck_assert_int_eq(site_first_refusal(site).ms, WALL);
    ck_assert_int_eq(site_last_refusal(site, text, sizeof(text)).ms, WALL + 10 * M);
    ck_assert_str_eq(text, "421 4.7.0 go away");
    accept_on(1);
    ck_assert_int_eq(site_last_refusal(site, text, sizeof(text)).ms, 0);
    ck_assert_str_eq(text, "");
}
END_TEST

/* Our own outage: a short pause and no word against anybody. */
START_TEST(own_outage)
{
    static const char *const host[] = { "mx.example.net" };
    struct wall first, last;
    enum cause cause;
    struct mono until;

    for (int i = 0; i < 5; i++) {
        ck_assert(refuse(CAUSE_LOCAL, -1));
        ck_assert_int_eq(site_pick_host(site, host, 1, mono(), &until), -1);
        ck_assert(site_paused(site, mono(), &cause, &until) && cause == CAUSE_LOCAL);
        ck_assert_int_le(paused_for(), 66 * S);
        ck_assert_int_eq(site_first_refusal(site).ms, 0);
        ck_assert(!site_hosts_fail(site, host, 1, now(), &first, &last));
        now_ms += paused_for();
    }
    refuse(CAUSE_REPUTATION, -1);
    ck_assert(!refuse(CAUSE_LOCAL, -1));
    ck_assert_int_ge(paused_for(), 30 * M);
}
END_TEST

/* ---- rate --------------------------------------------------------------------------------------- */

/* Sends as fast as allowed for so long; returns how many went. */
static unsigned pour(int64_t for_ms)
{
    int64_t end = now_ms + for_ms;
    unsigned sent = 0;

    for (; now_ms < end; now_ms += 50)
        while (may_send(0)) {
            site_sent(site, mono());
            accept_on(2);
            sent++;
        }
    return sent;
}

START_TEST(bucket)
{
    unsigned first;

    ck_assert(may_send(0));
    first = pour(30 * S);
    ck_assert_msg(first >= 200 + 55 && first <= 200 + 65, "%u", first);
    ck_assert_uint_ge(pour(5 * M), 3000);           /* doubled each minute that used it */
}
END_TEST

START_TEST(yahoo_is_gentle)
{
    unsigned first;

    use("yahoo");
    first = pour(30 * S);
    ck_assert_msg(first >= 60 + 25 && first <= 60 + 35, "%u", first);
}
END_TEST

START_TEST(configured_rate)
{
    unsigned n;

    site_free(site);
    site = make("relay", "relay smtp.example.com\nlimit relay rate=60/m\n");
    pour(M);
    n = pour(10 * M);
    ck_assert_msg(n >= 590 && n <= 610, "%u", n);
}
END_TEST

START_TEST(relay_has_no_rate)
{
    site_free(site);
    site = make("relay", "relay smtp.example.com\n");
    for (int i = 0; i < 50000; i++) {
        ck_assert(may_send(0));
        site_sent(site, mono());
    }
}
END_TEST

/* Stopped at some 1000 a minute: half of that, and for a day never quite that much again. */
START_TEST(rate_is_halved_and_grows)
{
    unsigned n;

    site_free(site);
    site = make("relay", "relay smtp.example.com\n");
    for (int i = 0; i < 1000; i++) {
        site_sent(site, mono());
        accept_on(2);
        now_ms += 60;
    }
    refuse(CAUSE_RATE_LIMITED, 60 * S);
    now_ms += paused_for();
    pour(M);
    n = pour(5 * M) / 5;
    ck_assert_msg(n >= 450 && n <= 530, "%u a minute after", n);
    pour(8 * H);
    n = pour(5 * M) / 5;
    ck_assert_msg(n >= 600 && n <= 900, "%u a minute in the evening", n);
    refuse(CAUSE_RATE_LIMITED, 60 * S);
    now_ms += paused_for();
    pour(M);
    ck_assert_uint_le(pour(5 * M) / 5, n * 80 / 100);
}
END_TEST

START_TEST(rate_has_a_floor)
{
    for (int i = 0; i < 50; i++) {
        refuse(CAUSE_REPUTATION, -1);
        now_ms += paused_for();
    }
    ck_assert(may_send(0));
    pour(M);
    ck_assert_uint_ge(pour(10 * M), 19);
}
END_TEST

/* "When" is when it may: not a moment too early, not much too late. */
START_TEST(told_when)
{
    struct site_load l = { .open = 1, .up = 1, .ready = 10 };
    struct mono when;

    refuse(CAUSE_RATE_LIMITED, -1);
    ck_assert(!site_may_send(site, &l, mono(), &when));
    ck_assert_int_eq(when.ms - mono().ms, paused_for());
    now_ms += paused_for();
    accept_on(1);
    for (int i = 0; i < 20; i++) {
        if (site_may_send(site, &l, mono(), &when)) {
            site_sent(site, mono());
            continue;
        }
        now_ms += when.ms - mono().ms - 2;
        ck_assert(!site_may_send(site, &l, mono(), &when));
        now_ms += 2;
        ck_assert(site_may_send(site, &l, mono(), &when));
    }
}
END_TEST

/* ---- hosts ------------------------------------------------------------------------------------------ */

static const char *const two[] = { "mx1.example.net", "mx2.example.net" };

static void host_fails(const char *host, struct site_load load)
{
    struct verdict v = { .cause = CAUSE_UNREACHABLE, .scope = SCOPE_HOST, .hint_ms = -1, .phase = PHASE_CONNECT };

    site_dialled(site, mono());
    site_refused(site, &v, host, 0, mono(), &load, now().wall, mono());
}

START_TEST(next_host)
{
    struct mono when;
    struct wall first, last;

    ck_assert_int_eq(site_pick_host(site, two, 2, mono(), &when), 0);
    host_fails(two[0], nothing);
    ck_assert_int_eq(site_pick_host(site, two, 2, mono(), &when), 1);
    ck_assert_int_eq(paused_for(), 0);
    ck_assert_uint_eq(allowed(), 1);
    ck_assert(!site_hosts_fail(site, two, 2, now(), &first, &last));
    now_ms += S;
    host_fails(two[1], nothing);
    ck_assert_int_eq(site_pick_host(site, two, 2, mono(), &when), -1);
    ck_assert_int_ge(when.ms - mono().ms, 2 * M - S);
    ck_assert_int_le(when.ms - mono().ms, 2 * M + 12 * S);
    ck_assert_int_eq(paused_for(), when.ms - mono().ms);
    ck_assert(site_hosts_fail(site, two, 2, now(), &first, &last));
    ck_assert_int_eq(first.ms, WALL + S);
    ck_assert_int_eq(last.ms, WALL + S);
    now_ms += paused_for();
    ck_assert_int_eq(site_pick_host(site, two, 2, mono(), &when), 0);
    site_connected(site, two[0], mono());
    ck_assert(!site_hosts_fail(site, two, 2, now(), &first, &last));
}
END_TEST

static void no_way_to(const char *host)
{
    struct verdict v = { .cause = CAUSE_LOCAL, .scope = SCOPE_HOST, .hint_ms = -1, .phase = PHASE_CONNECT };

    site_refused(site, &v, host, 0, mono(), &nothing, now().wall, mono());
}

/* The best host had an IPv6 address alone, we have none: the second one was never asked. */
START_TEST(no_way_to_one)
{
    struct wall first, last;
    struct mono when;

    no_way_to(two[0]);
    ck_assert_int_eq(site_pick_host(site, two, 2, mono(), &when), 1);
    ck_assert_int_eq(paused_for(), 0);
    ck_assert(may_open(0, 0, 10));
    host_fails(two[1], nothing);
    ck_assert(site_hosts_fail(site, two, 2, now(), &first, &last));
    ck_assert_int_eq(first.ms, WALL);
    ck_assert_int_eq(site_pick_host(site, two, 2, mono(), &when), -1);
    now_ms += 67 * S;
    ck_assert_int_eq(site_pick_host(site, two, 2, mono(), &when), 0);
    host_fails(two[0], nothing);
    ck_assert(site_hosts_fail(site, two, 2, now(), &first, &last));
    ck_assert_int_eq(first.ms, WALL + 67 * S);
}
END_TEST

/* A provider's many hosts are not tried one after the other while we are cut off. */
START_TEST(own_outage_at_provider)
{
    struct mono when;

    use("google");
    no_way_to(two[0]);
    ck_assert_int_ge(paused_for(), 60 * S);
    ck_assert_int_le(paused_for(), 66 * S);
    now_ms += paused_for();
    ck_assert_int_eq(site_pick_host(site, two, 2, mono(), &when), 1);
}
END_TEST

/* One tenant's dead host is not the provider's trouble. */
START_TEST(shared_site)
{
    struct site_load l = { .open = 3, .up = 2, .ready = 100 };
    struct mono when;

    use("m365");
    host_fails(two[0], l);
    ck_assert_int_eq(site_pick_host(site, two, 1, mono(), &when), -1);
    host_fails(two[0], nothing);
    ck_assert_int_eq(site_pick_host(site, two, 1, mono(), &when), -1);
    ck_assert_int_eq(paused_for(), 0);
}
END_TEST

/* While another connection works, a failed one pauses nothing. */
START_TEST(one_of_many_fails)
{
    struct site_load l = { .open = 3, .up = 2, .ready = 100 };
    struct mono when;

    host_fails(two[0], l);
    ck_assert_int_eq(site_pick_host(site, two, 1, mono(), &when), -1);
    ck_assert_int_eq(paused_for(), 0);
    ck_assert_int_eq(site_first_refusal(site).ms, 0);
}
END_TEST

/* 421 on a connection that has carried mail: dial again, more carefully. */
START_TEST(cut_after_success)
{
    struct site_load l = { .open = 4, .up = 4, .ready = 100 };
    struct mono when;

    use("google");
    for (int i = 0; i < 6; i++)
        accept_on(2);
    refuse_with(CAUSE_CONGESTION, PHASE_MAIL, -1, 9, now_ms, l);
    ck_assert_int_eq(site_pick_host(site, two, 1, mono(), &when), 0);
    ck_assert_uint_eq(allowed(), 4);
}
END_TEST

/* A host that is dead for 60 hours is asked some 65 times, and found soon after it is back. */
START_TEST(long_outage)
{
    struct mono when;
    unsigned asked = 0;
    int64_t found;

    while (now_ms < 60 * H) {
        if (site_pick_host(site, two, 1, mono(), &when) == 0) {
            asked++;
            host_fails(two[0], nothing);
        }
        now_ms = now_ms + S;
    }
    ck_assert_msg(asked >= 40 && asked <= 66, "asked %u times", asked);
    while (site_pick_host(site, two, 1, mono(), &when) != 0)
        now_ms += S;
    found = now_ms - 60 * H;
    ck_assert_int_le(found, 2 * H + 5 * M);
    ck_assert_uint_eq(allowed(), 1);
    site_connected(site, two[0], mono());
    accept_on(1);
    ck_assert_uint_eq(allowed(), 2);
    ck_assert_int_eq(site_first_refusal(site).ms, 0);
}
END_TEST

START_TEST(hint_of_a_host)
{
    struct verdict v = { .cause = CAUSE_CONGESTION, .scope = SCOPE_HOST, .hint_ms = 20 * M, .phase = PHASE_BANNER };
    struct mono when;

    site_refused(site, &v, two[0], 0, mono(), &nothing, now().wall, mono());
    ck_assert_int_eq(site_pick_host(site, two, 1, mono(), &when), -1);
    ck_assert_int_eq(when.ms - mono().ms, 20 * M);
}
END_TEST

/* A domain whose hosts are not known waits as a whole. */
START_TEST(no_hosts_yet)
{
    struct verdict v = { .cause = CAUSE_DNS_TEMP, .scope = SCOPE_HOST, .hint_ms = -1 };

    use("dns-example.net");
    site_refused(site, &v, "example.net", 0, mono(), &(struct site_load){ 0 }, now().wall, mono());
    ck_assert_int_ge(paused_for(), 2 * M);
    ck_assert_int_eq(site_first_refusal(site).ms, WALL);
}
END_TEST

/* More hosts in trouble than the table holds: the stalest are forgotten, nothing breaks. */
START_TEST(many_hosts)
{
    char name[32];

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "mx%d.example.net", i);
        host_fails(name, nothing);
        now_ms += 10;
    }
    ck_assert_str_eq(site_name(site), "example.net");
}
END_TEST

/* ---- greylisting, second thoughts ----------------------------------------------------------------- */

START_TEST(greylisting_is_learned)
{
    site_greylisted(site, 0, false);
    site_greylisted(site, 310 * S, false);
    site_greylisted(site, 905 * S, true);
    ck_assert_int_eq(site_grey_lo_ms(site), 310 * S);
    ck_assert_int_eq(site_grey_hi_ms(site), 905 * S);
    site_greylisted(site, 610 * S, true);
    ck_assert_int_eq(site_grey_hi_ms(site), 610 * S);
    site_greylisted(site, 700 * S, false);              /* it has changed its mind */
    ck_assert_int_eq(site_grey_lo_ms(site), 700 * S);
    ck_assert_int_eq(site_grey_hi_ms(site), 0);
}
END_TEST

START_TEST(hardly_a_word)
{
    struct verdict v = { .cause = CAUSE_RATE_LIMITED, .scope = SCOPE_SOURCE_IP, .hint_ms = -1, .phase = PHASE_RCPT };
    struct verdict kept = v;

    site_sent(site, mono());
    site_review(site, &v, mono());
    ck_assert(v.cause == CAUSE_GREYLISTED && !judge_blames_site(&v));
    for (int i = 0; i < 10; i++)
        site_sent(site, mono());
    site_review(site, &kept, mono());
    ck_assert_int_eq(kept.cause, CAUSE_RATE_LIMITED);
    now_ms += 15 * M;
    site_review(site, &kept, mono());
    ck_assert_int_eq(kept.cause, CAUSE_GREYLISTED);
}
END_TEST

/* ---- memory ------------------------------------------------------------------------------------------- */

static void learn_much(void)
{
    struct site_load l = { .open = 4, .up = 3, .ready = 100 };

    for (int i = 0; i < 20; i++)
        accept_on(1);
    site_greylisted(site, 300 * S, false);
    site_greylisted(site, 600 * S, true);
    refuse_with(CAUSE_TOO_MANY_PER_CONNECTION, PHASE_MAIL, -1, 12, now_ms, nothing);
    refuse_with(CAUSE_TOO_MANY_RECIPIENTS, PHASE_RCPT, -1, 9, now_ms, nothing);
    refuse_with(CAUSE_TOO_MANY_CONNECTIONS, PHASE_MAIL, -1, 0, now_ms, l);
    host_fails(two[1], l);
    refuse(CAUSE_RATE_LIMITED, 20 * M);
    site_said(site, "421 4.7.28 too fast");
}

static void print(struct buf *out)
{
    ck_assert(site_print(site, out, now()));
    ck_assert_msg(out->len < 900, "%zu bytes:\n%s", out->len, out->data);
}

START_TEST(remembered)
{
    struct buf first = BUF_INIT(100000), second = BUF_INIT(100000);
    struct mono when;
    int64_t left;

    learn_much();
    print(&first);
    left = paused_for();
    use("example.net");
    now_ms += 60 * S;
    site_parse(site, first.data, first.len, (struct now){ { WALL + now_ms }, mono() });
    ck_assert_int_eq(paused_for(), left - 60 * S);
    ck_assert_uint_eq(site_connection_messages(site), 12);
    ck_assert_uint_eq(site_transaction_rcpts(site), 9);
    ck_assert_int_eq(site_grey_hi_ms(site), 600 * S);
    ck_assert_int_eq(site_pick_host(site, two + 1, 1, mono(), &when), -1);
    now_ms -= 60 * S;
    print(&second);
    ck_assert_str_eq(first.data, second.data);
    buf_fini(&first);
    buf_fini(&second);
}
END_TEST

/* Over a reboot the boot clock begins anew; what is written is wall clock. */
START_TEST(remembered_over_a_reboot)
{
    struct buf b = BUF_INIT(100000);
    struct mono young = { 30 * S };
    struct mono until;

    learn_much();
    print(&b);
    use("example.net");
    site_parse(site, b.data, b.len, (struct now){ { WALL + M }, young });
    ck_assert(site_paused(site, young, NULL, &until));
    ck_assert_int_ge(until.ms - young.ms, 18 * M);
    ck_assert_int_le(until.ms - young.ms, 20 * M);
    buf_fini(&b);
}
END_TEST

START_TEST(little_to_remember)
{
    struct buf b = BUF_INIT(100000);

    accept_on(1);
    ck_assert(site_print(site, &b, now()));
    ck_assert_uint_lt(b.len, 200);
    buf_fini(&b);
}
END_TEST

START_TEST(pauses_are_forgotten)
{
    struct buf b = BUF_INIT(100000);
    struct mono when;

    learn_much();
    print(&b);
    now_ms += 2 * DAY;
    use("example.net");
    site_parse(site, b.data, b.len, now());
    ck_assert_uint_eq(site_connection_messages(site), 12);
    ck_assert_int_eq(site_first_refusal(site).ms, 0);
    ck_assert_int_eq(site_pick_host(site, two + 1, 1, mono(), &when), 0);
    now_ms += 31 * DAY;
    use("example.net");
    site_parse(site, b.data, b.len, now());
    ck_assert_uint_eq(site_connection_messages(site), 100);
    buf_fini(&b);
}
END_TEST

/* The wall clock went back a year: no pause lasts longer for it than a pause may. */
START_TEST(clock_went_back)
{
    struct buf b = BUF_INIT(100000);

    learn_much();
    print(&b);
    use("example.net");
    site_parse(site, b.data, b.len, (struct now){ { WALL - 365 * DAY }, mono() });
    ck_assert_int_le(paused_for(), 5 * H);
    buf_fini(&b);
}
END_TEST

static const struct { const char *name, *text; } rubbish[] = {
    { "empty", "" },
    { "no newline", "cap=3" },
    { "no equals", "cap\n\n=\n=3\ncap=\n" },
    { "huge", "cap=99999999999999999999\nmessages=1000001\nrate=-1\nuntil=9000000000000\n" },
    { "zero", "cap=0\ncap_gap=0\nburst=0\nrate=0\nrate_learned=1\ntokens=0\n" },
    { "hosts", "host=\nhost=1\nhost=0,1,1,1\nhost=zz,1,2\nhost=5,1,2,3\nhost=5,,,\n" },
    { "unknown", "colour=blue\nsaid=\ncause=nonsense\n" },
};

START_TEST(rubbish_does_no_harm)
{
    site_parse(site, rubbish[_i].text, strlen(rubbish[_i].text), now());
    now_ms += 5 * H;
    ck_assert_msg(may_open(0, 0, 10), "%s", rubbish[_i].name);
    pour(10 * M);
    ck_assert_msg(allowed() >= 1 || site_idle_ms(site) > 2 * S, "%s", rubbish[_i].name);
}
END_TEST

START_TEST(mutated)
{
    struct mutator m = { 3 };
    struct buf b = BUF_INIT(100000);

    learn_much();
    print(&b);
    for (int i = 0; i < 3000; i++) {
        size_t len;
        char *bad = mutate(&m, b.data, b.len, &len);

        use("example.net");
        site_parse(site, bad, len, now());
        free(bad);
        ck_assert_int_le(paused_for(), 5 * H);
        ck_assert_uint_le(site_connection_messages(site), 100);
        ck_assert_uint_ge(site_transaction_rcpts(site), 1);
        (void)may_open(0, 0, 10);
    }
    buf_fini(&b);
}
END_TEST

START_TEST(changes_are_told_once)
{
    ck_assert(!site_changed(site));
    refuse(CAUSE_RATE_LIMITED, -1);
    ck_assert(site_changed(site));
    ck_assert(!site_changed(site));
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("site");
    TCase *tc = tcase_create("site");

    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, limit, 0, LENGTH(limits));
    tcase_add_test(tc, reconfigured);
    tcase_add_test(tc, slow_start);
    tcase_add_test(tc, relay_starts_wide);
    tcase_add_loop_test(tc, opening, 0, LENGTH(opens));
    tcase_add_test(tc, cap_is_learned);
    tcase_add_test(tc, cap_rises_again);
    tcase_add_test(tc, cap_is_asked_ever_less);
    tcase_add_test(tc, too_many_and_none_works);
    tcase_add_test(tc, busy_while_others_work);
    tcase_add_test(tc, messages_per_connection);
    tcase_add_test(tc, recipients_per_transaction);
    tcase_add_loop_test(tc, pause, 0, LENGTH(pauses));
    tcase_add_test(tc, stragglers);
    tcase_add_test(tc, probe);
    tcase_add_test(tc, probe_with_an_answer);
    tcase_add_test(tc, a_good_hour_clears);
    tcase_add_test(tc, last_call);
    tcase_add_test(tc, evidence);
    tcase_add_test(tc, own_outage);
    tcase_add_test(tc, no_way_to_one);
    tcase_add_test(tc, own_outage_at_provider);
    tcase_add_test(tc, bucket);
    tcase_add_test(tc, yahoo_is_gentle);
    tcase_add_test(tc, configured_rate);
    tcase_add_test(tc, relay_has_no_rate);
    tcase_add_test(tc, rate_is_halved_and_grows);
    tcase_add_test(tc, rate_has_a_floor);
    tcase_add_test(tc, told_when);
    tcase_add_test(tc, next_host);
    tcase_add_test(tc, shared_site);
    tcase_add_test(tc, one_of_many_fails);
    tcase_add_test(tc, cut_after_success);
    tcase_add_test(tc, long_outage);
    tcase_add_test(tc, hint_of_a_host);
    tcase_add_test(tc, no_hosts_yet);
    tcase_add_test(tc, many_hosts);
    tcase_add_test(tc, greylisting_is_learned);
    tcase_add_test(tc, hardly_a_word);
    tcase_add_test(tc, remembered);
    tcase_add_test(tc, remembered_over_a_reboot);
    tcase_add_test(tc, little_to_remember);
    tcase_add_test(tc, pauses_are_forgotten);
    tcase_add_test(tc, clock_went_back);
    tcase_add_loop_test(tc, rubbish_does_no_harm, 0, LENGTH(rubbish));
    tcase_add_test(tc, mutated);
    tcase_add_test(tc, changes_are_told_once);
    suite_add_tcase(s, tc);
    return s;
}
