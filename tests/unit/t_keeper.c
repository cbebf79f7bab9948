/* The real keeper, names, trail, windows and rings against a scripted courier, in
 * virtual time. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "common/cause.h"
#include "tests/unit/unit.h"
#include "tests/unit/world.h"

static const int64_t minute = 60 * 1000, hour = 60 * 60 * 1000;

static const char *yes(struct world *w, const char *rcpt, unsigned nth)
{
    (void)w, (void)rcpt, (void)nth;
    return "250 2.0.0 taken";
}

static const char *never(struct world *w, const char *rcpt, unsigned nth)
{
    (void)w, (void)nth;
    return strstr(rcpt, "@me.example") != NULL ? "250 a report" : "450 4.2.0 mailbox cannot be reached, try again later";
}

static const char *grey(struct world *w, const char *rcpt, unsigned nth)
{
    (void)w, (void)rcpt;
    return nth == 0 ? "450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/help/" : "250 2.0.0 taken";
}

/* By the first letter of the local part. */
static const char *mixed(struct world *w, const char *rcpt, unsigned nth)
{
    (void)w;
    switch (rcpt[0]) {
    case 'p':
        return "550 5.1.1 no such user";
    case 'l':
        return nth == 0 ? "450 4.2.0 later" : "250 taken";
    case 'x':
        return nth == 0 ? "421 4.3.2 shutting down" : "250 taken";
    case 'c':
        return nth == 0 ? "cut" : "250 taken";
    case 'd':
        return nth == 0 ? "doubt" : "250 taken";
    default:
        return "250 taken";
    }
}

static struct world *begin(const char *conf, const char *(*reply)(struct world *, const char *, unsigned))
{
    struct world_script script = { .reply = reply };

    return world_new(conf, KEEPER_DAEMON, &script);
}

static void nothing_left(struct world *w)
{
    ck_assert_msg(world_count(w, "new") + world_count(w, "cur") + world_count(w, "hold") + world_count(w, "dead") == 0, "something is left:\n%s", world_log(w));
    ck_assert_msg(world_count(w, "trail") == 0, "a trail is left:\n%s", world_log(w));
}

START_TEST(test_delivered)
{
    struct world *w = begin("", yes);

    world_submit(w, "a@me.example", "b@x.example");
    world_run(w, minute);
    ck_assert_uint_eq(world_tries(w, "b@x.example", 250), 1);
    ck_assert_msg(world_logged(w, " => b@x.example R=mx T=smtp H=mx.x.example [192.0.2.1] C=\"250 2.0.0 taken\""), "%s", world_log(w));
    ck_assert(world_logged(w, " Completed"));
    nothing_left(w);
    world_free(w);
}
END_TEST

START_TEST(test_one_transaction)
{
    struct world *w = begin("relay r.example\n", yes);

    world_submit(w, "a@me.example", "a@x.example b@x.example c@y.example d@z.example");
    world_run(w, minute);
    ck_assert_uint_eq(w->ntried, 4);
    for (unsigned i = 1; i < 4; i++) {
        ck_assert_uint_eq(w->tried[i].conn, w->tried[0].conn);
        ck_assert_int_eq(w->tried[i].at.mono.ms, w->tried[0].at.mono.ms);
    }
    ck_assert_uint_eq(world_logged_times(w, " Completed"), 1);
    ck_assert_uint_eq(w->lookups, 0);
    nothing_left(w);
    world_free(w);
}
END_TEST

START_TEST(test_mixed_fates)
{
    struct world *w = begin("", mixed);
    const char *const all[] = { "o1@x.example", "l2@x.example", "o4@y.example", "x5@y.example", "l6@y.example", "c7@z.example", "d8@w.example" };

    world_submit(w, "s@far.example", "o1@x.example l2@x.example p3@x.example o4@y.example x5@y.example l6@y.example c7@z.example d8@w.example");
    world_run(w, 6 * hour);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ck_assert_msg(world_tries(w, all[i], 250) == 1, "%s was delivered %u times\n%s", all[i], world_tries(w, all[i], 250), world_log(w));
    ck_assert_uint_eq(world_tries(w, "p3@x.example", 0), 1);
    ck_assert_uint_eq(world_logged_times(w, " ** p3@x.example"), 1);
    nothing_left(w);
    world_free(w);
}
END_TEST

/* The report about it reaches the sender; nothing comes after. */
START_TEST(test_three_days)
{
    const int64_t gap[] = { 0, 5 * minute, 20 * minute, 80 * minute, 200 * minute, 440 * minute };
    struct world *w = begin("", never);
    int64_t start = w->now.wall.ms, last = 0, tries = 0;

    world_submit(w, "s@far.example", "b@x.example");
    w->script.reply = never;
    for (int i = 0; i < 80; i++) {
        world_run(w, hour);
        if (i % 7 == _i)
            world_restart(w);
    }
    for (size_t i = 0; i < w->ntried; i++) {
        int64_t at = w->tried[i].at.wall.ms - start;

        if (strcmp(w->tried[i].rcpt, "b@x.example") != 0)
            continue;
        if (tries < 6)
            ck_assert_msg(at >= gap[tries] && at <= gap[tries] + tries * 6 * minute, "attempt %d after %lld min\n%s", (int)tries, (long long)(at / minute), world_log(w));
        else
            ck_assert_msg(at - last >= 4 * hour || at > 72 * hour - 4 * minute, "attempt %d only %lld min later", (int)tries, (long long)((at - last) / minute));
        tries++;
        last = at;
    }
    ck_assert_msg(last >= 72 * hour - 3 * minute && last <= 72 * hour, "last attempt at %lld min\n%s", (long long)(last / minute), world_log(w));
    ck_assert_msg(world_logged_times(w, "delay warning") == 1, "%s", world_log(w));
    ck_assert_msg(world_logged_times(w, " ** b@x.example") == 1, "%s", world_log(w));
    world_free(w);
}
END_TEST

START_TEST(test_greylisted)
{
    struct world *w = begin("", grey);

    world_submit(w, "a@me.example", "b@x.example");
    world_run(w, minute);
    ck_assert_int_eq(world_name(w, "cur").letter, 'g');
    if (_i == 1)
        world_restart(w);
    world_run(w, 10 * minute);
    ck_assert_uint_eq(world_tries(w, "b@x.example", 0), 2);
    ck_assert_int_ge(w->tried[1].at.wall.ms - w->tried[0].at.wall.ms, 5 * minute);
    ck_assert_int_le(w->tried[1].at.wall.ms - w->tried[0].at.wall.ms, 6 * minute);
    nothing_left(w);
    world_free(w);
}
END_TEST

static const char *nxdomain(struct world *w, const char *domain)
{
    (void)w;
    return strcmp(domain, "x.example") == 0 ? "nxdomain" : NULL;
}

START_TEST(test_no_domain)
{
    struct world_script script = { .reply = yes, .route = nxdomain };
    struct world *w = world_new("", KEEPER_DAEMON, &script);

    world_submit(w, "s@far.example", "b@x.example c@x.example");
    world_run(w, minute);
    ck_assert_uint_eq(world_logged_times(w, " ** "), 2);
    ck_assert_msg(world_tries(w, "s@far.example", 250) == 1, "one report:\n%s", world_log(w));
    ck_assert_str_eq(w->tried[0].sender, "");
    nothing_left(w);
    world_free(w);
}
END_TEST

START_TEST(test_null_sender_is_kept)
{
    struct world_script script = { .reply = yes, .route = nxdomain };
    struct world *w = world_new("", KEEPER_DAEMON, &script);

    world_submit(w, "", "b@x.example");
    world_run(w, minute);
    ck_assert_uint_eq(world_count(w, "dead"), 1);
    ck_assert_uint_eq(world_count(w, "cur") + world_count(w, "new"), 0);
    ck_assert_uint_eq(w->ntried, 0);
    world_free(w);
}
END_TEST

START_TEST(test_local_is_held)
{
    struct world *w = begin("", yes);

    world_submit(w, "a@me.example", "root@me.example b@x.example");
    world_run(w, minute);
    ck_assert_uint_eq(world_count(w, "hold/me.example"), 1);
    ck_assert(world_logged(w, "set `root` or `relay`"));
    ck_assert_uint_eq(world_tries(w, "b@x.example", 250), 1);
    ck_assert(!world_logged(w, "Completed"));
    world_free(w);
}
END_TEST

static const char *down(struct world *w, const char *host, unsigned nth)
{
    (void)host, (void)nth;
    return w->script.arg != NULL ? "refused" : "";
}

/* A site that is down pauses as a whole: the mail's names stay as they are. */
START_TEST(test_dead_site)
{
    struct world_script script = { .reply = yes, .dial = down, .arg = &script };
    struct world *w = world_new("relay r.example\n", KEEPER_DAEMON, &script);
    int64_t due;

    for (int i = 0; i < 50; i++)
        world_submit(w, "a@me.example", "b@x.example");
    due = w->now.wall.ms / 1000;
    world_run(w, 6 * hour);
    ck_assert_uint_eq(world_count(w, "cur/x.example"), 50);
    ck_assert_msg(w->dials < 60, "%u dials in six hours", w->dials);
    ck_assert_uint_eq(w->ntried, 0);
    w->script.arg = NULL;
    world_run(w, 2 * hour);
    ck_assert_uint_eq(world_tries(w, "b@x.example", 250), 50);
    ck_assert_int_le(due, w->now.wall.ms / 1000);
    ck_assert_msg(world_logged_times(w, "delay warning") == 50, "%u warnings", world_logged_times(w, "delay warning"));
    ck_assert_msg(world_count(w, "cur") + world_count(w, "new") == world_count(w, "hold"), "%s", world_log(w));
    world_free(w);
}
END_TEST

/* ... and what it never let in bounces after 72 hours, with a probe before. */
START_TEST(test_dead_for_ever)
{
    struct world_script script = { .reply = yes, .dial = down, .arg = &script };
    struct world *w = world_new("relay r.example\nroot admin@far.example\nroute far.example f.example\nwarn_after 0\n", KEEPER_DAEMON, &script);

    for (int i = 0; i < 20; i++)
        world_submit(w, "s@x.example", "b@x.example");
    world_run(w, 71 * hour);
    ck_assert_uint_eq(world_logged_times(w, " ** "), 0);
    world_run(w, 3 * hour);
    ck_assert_msg(world_logged_times(w, " ** b@x.example") == 20, "%u of 20 bounced\n%s", world_logged_times(w, " ** b@x.example"), world_log(w));
    world_free(w);
}
END_TEST

static const char *unreachable(struct world *w, const char *host, unsigned nth)
{
    (void)host, (void)nth;
    return w->script.arg != NULL ? "unreachable" : "";
}

START_TEST(test_own_outage)
{
    struct world_script script = { .reply = yes, .dial = unreachable, .arg = &script };
    struct world *w = world_new("relay r.example\nwarn_after 0\n", KEEPER_DAEMON, &script);

    world_submit(w, "s@x.example", "b@x.example");
    world_run(w, 80 * hour);
    ck_assert_msg(!world_logged(w, " ** "), "our own outage bounced mail:\n%s", world_log(w));
    w->script.arg = NULL;
    world_run(w, hour);
    ck_assert_uint_eq(world_tries(w, "b@x.example", 250), 1);
    world_free(w);
}
END_TEST

static const char *two_hosts(struct world *w, const char *domain)
{
    (void)w, (void)domain;
    return "10 a.example 20 b.example";
}

static const char *first_busy(struct world *w, const char *host, unsigned nth)
{
    (void)w, (void)nth;
    return strcmp(host, "a.example") == 0 ? "421 4.3.2 busy, try later" : "";
}

START_TEST(test_next_host)
{
    struct world_script script = { .reply = yes, .dial = first_busy, .route = two_hosts };
    struct world *w = world_new("", KEEPER_DAEMON, &script);

    world_submit(w, "s@me.example", "b@x.example");
    world_run(w, minute);
    ck_assert_uint_eq(world_tries(w, "b@x.example", 250), 1);
    ck_assert_str_eq(w->tried[0].host, "b.example");
    nothing_left(w);
    world_free(w);
}
END_TEST

static const char *busy_at_first(struct world *w, const char *host, unsigned nth)
{
    (void)w, (void)host;
    return nth < 2 ? "421 4.3.2 busy, try later" : "";
}

/* The probe's success opens the door at once for all that waits, in whatever domain. */
START_TEST(test_after_the_probe)
{
    struct world_script script = { .reply = yes, .dial = busy_at_first };
    struct world *w = world_new("route *.example r.example\n", KEEPER_DAEMON, &script);

    world_submit(w, "s@me.example", "b@x.example");
    world_submit(w, "s@me.example", "b@x.example");
    world_submit(w, "s@me.example", "b@y.example");
    world_run(w, hour);
    ck_assert_uint_eq(w->ntried, 3);
    ck_assert_msg(w->tried[2].at.mono.ms - w->tried[0].at.mono.ms < 1000, "the others waited %lld ms for the probe's success\n%s",
        (long long)(w->tried[2].at.mono.ms - w->tried[0].at.mono.ms), world_log(w));
    world_free(w);
}
END_TEST

static const char *busy_once(struct world *w, const char *rcpt, unsigned nth)
{
    (void)w, (void)rcpt;
    return nth == 0 ? "421 4.3.2 Service not available, closing transmission channel" : "250 ok";
}

/* The end of a connection crosses the next transaction on the link: that is nobody's
 * fault, and what waits for the site keeps its name. */
START_TEST(test_late_end)
{
    struct world_script script = { .reply = busy_once, .late = true };
    struct world *w = world_new("relay r.example\nlimit relay connections=1\n", KEEPER_DAEMON, &script);

    world_submit(w, "s@me.example", "b@x.example c@y.example");
    world_submit(w, "s@me.example", "b@x.example");
    world_run(w, minute);
    ck_assert_int_le(world_name(w, "cur/y.example").due, w->now.wall.ms / 1000);
    world_run(w, 5 * minute);
    ck_assert_msg(world_tries(w, "b@x.example", 250) == 2 && world_tries(w, "c@y.example", 250) == 1, "%s", world_log(w));
    ck_assert_uint_eq(world_logged_times(w, "the courier is gone"), 0);
    nothing_left(w);
    world_free(w);
}
END_TEST

START_TEST(test_courier_dies)
{
    struct world *w = begin("", yes);

    for (int i = 0; i < 30; i++) {
        world_submit(w, "s@me.example", "b@x.example");
        keeper_step(w->keeper, w->now);
        world_kill_courier(w);
        world_run(w, 2 * minute);
    }
    ck_assert_uint_ge(world_tries(w, "b@x.example", 250), 30);
    nothing_left(w);
    world_free(w);
}
END_TEST

/* More names than a window holds, all deferred, then all due. */
START_TEST(test_many)
{
    struct world *w = begin("relay r.example\n", never);

    for (int i = 0; i < 3000; i++)
        world_submit(w, i % 2 ? "s@me.example" : "t@me.example", "l@x.example");
    world_run(w, minute);
    ck_assert_uint_eq(world_count(w, "cur/x.example"), 3000);
    ck_assert_uint_eq(w->ntried, 3000);
    if (_i == 1)
        world_restart(w);
    w->script.reply = yes;
    world_run(w, 30 * minute);
    ck_assert_msg(world_tries(w, "l@x.example", 250) == 3000, "%u of 3000", world_tries(w, "l@x.example", 250));
    nothing_left(w);
    world_free(w);
}
END_TEST

START_TEST(test_once)
{
    struct world_script script = { .reply = grey };
    struct world *w = world_new("", KEEPER_ONCE, &script);

    world_submit(w, "a@me.example", "b@x.example");
    world_run(w, hour);
    ck_assert_msg(keeper_done(w->keeper), "a pass does not end");
    ck_assert_uint_eq(w->ntried, 1);
    w->now.wall.ms += 5 * minute;
    w->now.mono.ms += 5 * minute;
    world_restart(w);
    world_run(w, hour);
    ck_assert_msg(keeper_done(w->keeper), "a pass does not end");
    ck_assert_uint_eq(world_tries(w, "b@x.example", 250), 1);
    nothing_left(w);
    world_free(w);
}
END_TEST

/* A server that is slow to answer the call does not end the pass. */
START_TEST(test_once_waits)
{
    struct world_script script = { .reply = yes };
    struct world *w = world_new("relay r.example\n", KEEPER_ONCE, &script);

    world_submit(w, "a@me.example", "b@x.example");
    for (unsigned i = 0; i < 20; i++)
        keeper_step(w->keeper, w->now);
    ck_assert_msg(!keeper_done(w->keeper), "the pass ended while the host was being called");
    world_run(w, hour);
    ck_assert_uint_eq(world_tries(w, "b@x.example", 250), 1);
    ck_assert_msg(keeper_done(w->keeper), "a pass does not end");
    nothing_left(w);
    world_free(w);
}
END_TEST

static const char *never_there(struct world *w, const char *host, unsigned nth)
{
    (void)w, (void)nth;
    return strcmp(host, "dead.example") == 0 ? "refused" : "";
}

/* In passes, each of which knows the dead site by its file alone: warned, given up. */
START_TEST(test_once_dead_site)
{
    struct world_script script = { .reply = yes, .dial = never_there };
    struct world *w = world_new("relay mx.example\nroute x.example dead.example\n", KEEPER_ONCE, &script);

    world_submit(w, "a@me.example", "b@x.example");
    for (unsigned i = 0; i < 74; i++) {
        world_run(w, hour);
        ck_assert_msg(keeper_done(w->keeper), "pass %u does not end", i);
        w->now.wall.ms += hour;
        w->now.mono.ms += hour;
        world_restart(w);
    }
    ck_assert_uint_eq(world_tries(w, "a@me.example", 250), 2);
    nothing_left(w);
    world_free(w);
}
END_TEST

/* What was given up, or dropped, is no reason to call anybody. */
START_TEST(test_no_call_for_nothing)
{
    struct world_script script = { .reply = yes, .dial = never_there };
    struct world *w = world_new("relay mx.example\nroute x.example dead.example\n", KEEPER_DAEMON, &script);
    unsigned dials;

    world_submit(w, "a@me.example", "b@x.example");
    world_run(w, 73 * hour);
    ck_assert_uint_eq(world_tries(w, "a@me.example", 250), 2);
    dials = w->dials;
    world_run(w, 24 * hour);
    ck_assert_uint_eq(w->dials, dials);
    world_free(w);
}
END_TEST

START_TEST(test_until_empty)
{
    struct world_script script = { .reply = grey };
    struct world *w = world_new("", KEEPER_UNTIL_EMPTY, &script);

    world_submit(w, "a@me.example", "b@x.example");
    world_run(w, hour);
    ck_assert_msg(keeper_done(w->keeper), "it does not end");
    ck_assert_uint_eq(world_tries(w, "b@x.example", 250), 1);
    nothing_left(w);
    world_free(w);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("keeper");
    TCase *tc = tcase_create("keeper");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_delivered);
    tcase_add_test(tc, test_one_transaction);
    tcase_add_test(tc, test_mixed_fates);
    tcase_add_loop_test(tc, test_three_days, 0, 8);
    tcase_add_loop_test(tc, test_greylisted, 0, 2);
    tcase_add_test(tc, test_no_domain);
    tcase_add_test(tc, test_null_sender_is_kept);
    tcase_add_test(tc, test_local_is_held);
    tcase_add_test(tc, test_dead_site);
    tcase_add_test(tc, test_dead_for_ever);
    tcase_add_test(tc, test_own_outage);
    tcase_add_test(tc, test_next_host);
    tcase_add_test(tc, test_after_the_probe);
    tcase_add_test(tc, test_late_end);
    tcase_add_test(tc, test_courier_dies);
    tcase_add_loop_test(tc, test_many, 0, 2);
    tcase_add_test(tc, test_once);
    tcase_add_test(tc, test_once_waits);
    tcase_add_test(tc, test_once_dead_site);
    tcase_add_test(tc, test_no_call_for_nothing);
    tcase_add_test(tc, test_until_empty);
    suite_add_tcase(s, tc);
    return s;
}
