/* The keeper where work could come to a stand, or never come to rest: floods behind
 * a pause, acts that fail, clocks that jump, more domains than one step looks at. */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spooler/keeper/context.h"
#include "spooler/keeper/ring.h"
#include "tests/unit/unit.h"
#include "tests/unit/world.h"

static const int64_t minute = 60 * 1000, hour = 60 * 60 * 1000, day = 24 * 60 * 60 * 1000;

static const char *yes(struct world *w, const char *rcpt, unsigned nth)
{
    (void)w, (void)rcpt, (void)nth;
    return "250 2.0.0 taken";
}

static const char *later(struct world *w, const char *rcpt, unsigned nth)
{
    (void)w, (void)rcpt, (void)nth;
    return "450 4.2.0 mailbox cannot be reached, try again later";
}

static const char *down(struct world *w, const char *host, unsigned nth)
{
    (void)host, (void)nth;
    return w->script.arg != NULL ? "refused" : "";
}

static struct world *begin(const char *conf, enum keeper_mode mode)
{
    struct world_script script = { .reply = yes };

    return world_new(conf, mode, &script);
}

static void put_file(struct world *w, const char *below)
{
    int fd = open(world_path(w, below), O_WRONLY | O_CREAT | O_EXCL, 0600);

    ck_assert_int_ne(fd, -1);
    close(fd);
}

static unsigned log_lines(const struct world *w)
{
    return world_logged_times(w, "\n");
}

/* "u@d0.example u@d1.example ..." */
static char *many_domains(unsigned n)
{
    char *all = malloc(n * 20 + 1), *at = all;

    ck_assert_ptr_nonnull(all);
    for (unsigned i = 0; i < n; i++)
        at += snprintf(at, 20, "%su@d%u.example", i == 0 ? "" : " ", i);
    return all;
}

/* What a full window keeps from being read grows old all the same. */
START_TEST(test_flood_behind_a_pause)
{
    struct world_script script = { .reply = yes, .dial = down, .arg = &script };
    struct world *w = world_new("relay r.example\n", KEEPER_DAEMON, &script);

    for (int i = 0; i < 1200; i++)
        world_submit(w, "", "b@x.example");
    world_submit(w, "s@far.example", "b@x.example");
    world_run(w, minute);
    if (_i == 1)
        world_restart(w);
    world_run(w, 5 * hour);
    ck_assert_msg(world_logged_times(w, "delay warning") == 1, "%u warnings", world_logged_times(w, "delay warning"));
    world_run(w, 69 * hour);
    ck_assert_msg(world_count(w, "dead") == 1200, "%u of 1200 given up\n%s", world_count(w, "dead"), world_log(w));
    world_free(w);
}
END_TEST

/* A clock that was ten days ahead made the names; it is right now. */
START_TEST(test_clock_was_ahead)
{
    struct world_script script = { .reply = later };
    struct world *w = world_new("", KEEPER_DAEMON, &script);

    w->now.wall.ms += 10 * day;
    world_submit(w, "s@me.example", "b@x.example");
    world_run(w, minute);
    ck_assert_uint_eq(w->ntried, 1);
    w->script.reply = yes;
    w->now.wall.ms -= 10 * day;
    if (_i == 1)
        world_restart(w);
    world_run(w, hour);
    ck_assert_msg(world_tries(w, "b@x.example", 250) == 1, "it waits for a day in ten days\n%s", world_log(w));
    ck_assert_uint_eq(world_count(w, "cur"), 0);
    world_free(w);
}
END_TEST

START_TEST(test_until_empty_ends)
{
    struct world *w = begin("relay r.example\n", KEEPER_UNTIL_EMPTY);
    char *all = many_domains(1300);

    world_submit(w, "s@me.example", all);
    world_run(w, hour);
    ck_assert_msg(keeper_done(w->keeper), "it does not end");
    ck_assert_uint_eq(w->ntried, 1300);
    free(all);
    world_free(w);
}
END_TEST

START_TEST(test_hold_fails)
{
    struct world *w = begin("", KEEPER_DAEMON);

    put_file(w, "hold/me.example");
    world_submit(w, "s@far.example", "root@me.example");
    world_run(w, hour);
    ck_assert_msg(log_lines(w) < 200, "%u lines in the log", log_lines(w));
    ck_assert_uint_eq(world_count(w, "cur/me.example"), 1);
    ck_assert_int_eq(unlink(world_path(w, "hold/me.example")), 0);
    world_run(w, 10 * minute);
    ck_assert_uint_eq(world_count(w, "hold/me.example"), 1);
    world_free(w);
}
END_TEST

/* Many that cannot be filed neither keep it busy nor keep others out. */
START_TEST(test_filing_fails)
{
    struct world *w = begin("", KEEPER_DAEMON);

    put_file(w, "cur/x.example");
    for (int i = 0; i < 450; i++)
        world_submit(w, "s@far.example", "b@x.example");
    for (int i = 0; i < 50; i++)
        world_submit(w, "s@far.example", "b@y.example");
    world_run(w, 5 * minute);
    ck_assert_msg(world_tries(w, "b@y.example", 250) == 50, "%u of 50 passed", world_tries(w, "b@y.example", 250));
    ck_assert_msg(log_lines(w) < 450 * 8, "%u lines in the log", log_lines(w));
    ck_assert_int_eq(unlink(world_path(w, "cur/x.example")), 0);
    world_run(w, 5 * minute);
    ck_assert_uint_eq(world_tries(w, "b@x.example", 250), 450);
    ck_assert_uint_eq(world_count(w, "new") + world_count(w, "cur"), 0);
    world_free(w);
}
END_TEST

/* A run asked for again and again gets beyond the first names of a large directory. */
START_TEST(test_storm_of_runs)
{
    struct world_script script = { .reply = later };
    struct world *w = world_new("relay r.example\n", KEEPER_DAEMON, &script);
    int fd;

    for (int i = 0; i < 2500; i++)
        world_submit(w, "s@me.example", "b@x.example");
    world_run(w, minute);
    ck_assert_uint_eq(w->ntried, 2500);
    world_run(w, 14 * minute);
    w->script.reply = yes;
    w->ntried = 0;
    fd = open(world_path(w, "wake"), O_WRONLY | O_NONBLOCK);
    ck_assert_int_ne(fd, -1);
    for (int i = 0; i < 400; i++) {
        ck_assert_int_eq(write(fd, "q\nq\nq\nq\n", 8), 8);
        keeper_step(w->keeper, w->now);
        world_run(w, 0);
    }
    close(fd);
    ck_assert_msg(world_logged_times(w, "queue run") <= 400, "%u runs", world_logged_times(w, "queue run"));
    world_run(w, minute);
    ck_assert_msg(world_tries(w, "b@x.example", 250) == 2500, "%u of 2500", world_tries(w, "b@x.example", 250));
    world_free(w);
}
END_TEST

/* One group of records does not take all descriptors there are. */
START_TEST(test_few_descriptors)
{
    struct rlimit few = { 200, 200 };
    struct world *w = begin("relay r.example\n", KEEPER_DAEMON);
    char *all = many_domains(1500);

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    world_submit(w, "s@me.example", all);
    world_run(w, minute);
    ck_assert_msg(!world_logged(w, "Too many open files"), "%s", world_log(w));
    ck_assert_uint_eq(w->ntried, 1500);
    ck_assert_uint_eq(world_count(w, "cur") + world_count(w, "trail"), 0);
    free(all);
    world_free(w);
}
END_TEST

/* What ends while the next transactions are on their way to it ends nothing else. */
static const char *tired(struct world *w, const char *rcpt, unsigned nth)
{
    (void)rcpt, (void)nth;
    return w->ntried % 7 == 5 ? "421 4.3.2 that is enough" : "250 taken";
}

START_TEST(test_end_and_send_cross)
{
    struct world_script script = { .reply = tired };
    struct world *w = world_new("relay r.example\n", KEEPER_DAEMON, &script);

    for (int i = 0; i < 60; i++)
        world_submit(w, "s@me.example", "b@x.example");
    world_run(w, 5 * hour);
    ck_assert_msg(!world_logged(w, "the courier is gone"), "%s", world_log(w));
    ck_assert_uint_eq(world_tries(w, "b@x.example", 250), 60);
    ck_assert_uint_eq(world_count(w, "cur") + world_count(w, "trail"), 0);
    world_free(w);
}
END_TEST

/* Memory holds what the spool holds, however many places mail went to. */
START_TEST(test_forgotten)
{
    struct world *w = begin("", KEEPER_DAEMON);
    unsigned rings = 0;

    for (int i = 0; i < 300; i++) {
        char rcpt[40];

        snprintf(rcpt, sizeof rcpt, "b@d%d.example%d", i, i);
        world_submit(w, "s@me.example", rcpt);
    }
    world_run(w, minute);
    ck_assert_uint_eq(w->ntried, 300);
    w->script.reply = later;
    world_submit(w, "s@me.example", "b@d7.example7 b@new.example");
    world_run(w, 5 * hour);
    ck_assert_msg(queue_domains(w->keeper->queue) == 2, "%zu domains", queue_domains(w->keeper->queue));
    for (struct ring *r = ring_first(w->keeper); r != NULL; r = ring_after(r))
        rings++;
    ck_assert_msg(rings == 2, "%u rings", rings);
    w->script.reply = yes;
    world_submit(w, "s@me.example", "b@d5.example5");
    world_run(w, 5 * hour);
    ck_assert_uint_eq(world_count(w, "cur") + world_count(w, "new") + world_count(w, "trail"), 0);
    ck_assert_uint_eq(world_tries(w, "b@d5.example5", 250), 2);
    world_free(w);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("stall");
    TCase *tc = tcase_create("stall");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_flood_behind_a_pause, 0, 2);
    tcase_add_loop_test(tc, test_clock_was_ahead, 0, 2);
    tcase_add_test(tc, test_until_empty_ends);
    tcase_add_test(tc, test_hold_fails);
    tcase_add_test(tc, test_filing_fails);
    tcase_add_test(tc, test_storm_of_runs);
    tcase_add_test(tc, test_few_descriptors);
    tcase_add_test(tc, test_end_and_send_cross);
    tcase_add_test(tc, test_forgotten);
    suite_add_tcase(s, tc);
    return s;
}
