/* The keeper on what a crash, a full disk or an administrator left in the spool:
 * states made by hand. Nobody gets a second copy, nothing is lost. */
#include <config.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/spool.h"
#include "tests/unit/unit.h"
#include "tests/unit/world.h"

enum { MANY = 30, OTHERS = 700 };

static const int64_t minute = 60 * 1000, hour = 60 * 60 * 1000;

/* p: refused for good; l: at first; all others are let in. */
static const char *by_letter(struct world *w, const char *rcpt, unsigned nth)
{
    (void)w;
    if (rcpt[0] == 'l' && nth == 0)
        return "450 4.2.0 later";
    return rcpt[0] == 'p' ? "550 5.1.1 no such user" : "250 taken";
}

static const char *nxdomain(struct world *w, const char *domain)
{
    (void)w;
    return strcmp(domain, "gone.example") == 0 ? "nxdomain" : NULL;
}

static struct world *begin(void)
{
    struct world_script script = { .reply = by_letter, .route = nxdomain };

    return world_new("", KEEPER_DAEMON, &script);
}

static void nothing_left(struct world *w)
{
    ck_assert_msg(world_count(w, "new") + world_count(w, "cur") + world_count(w, "hold") + world_count(w, "dead") == 0, "something is left:\n%s", world_log(w));
    ck_assert_msg(world_count(w, "trail") == 0, "a trail is left:\n%s", world_log(w));
}

/* The path of its first name in DOMAIN's directory, which is made. */
static char *first_name(struct world *w, const struct msgid *id, const char *domain)
{
    struct qname name = { .due = msgid_seconds(id), .id = *id, .letter = 'n' };
    char below[300], text[QNAME_SIZE];

    snprintf(below, sizeof below, "cur/%s", domain);
    mkdir(world_path(w, below), 0700);
    qname_hash_sender("s@far.example", name.sender);
    qname_format(&name, text);
    snprintf(below, sizeof below, "cur/%s/%s", domain, text);
    return strdup(world_path(w, below));
}

static char *in_new(struct world *w, const struct msgid *id)
{
    char below[100];

    snprintf(below, sizeof below, "new/%s", id->s);
    return strdup(world_path(w, below));
}

/* No byte can be written any more, as on a full disk; or can again. */
static void disk_full(bool full)
{
    struct rlimit r = { full ? 0 : RLIM_INFINITY, RLIM_INFINITY };

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* ---- filing ----------------------------------------------------------------------- */

START_TEST(test_bad_recipient)
{
    struct world *w = begin();

    world_submit(w, "s@far.example", "b@x.example b@\xe2\x98\x83.example");
    world_run(w, 10 * minute);
    ck_assert_msg(world_tries(w, "b@x.example", 250) == 1, "%s", world_log(w));
    ck_assert_msg(world_tries(w, "s@far.example", 250) == 1, "no report:\n%s", world_log(w));
    nothing_left(w);
    world_free(w);
}
END_TEST

/* Killed in the middle of many splits; others are in front of them in new/. */
START_TEST(test_half_split)
{
    struct world *w = begin();

    for (int i = 0; i < MANY; i++) {
        struct msgid id = world_submit(w, "s@far.example", "b@x.example b@y.example");
        char *from = in_new(w, &id), *to = first_name(w, &id, "x.example");

        ck_assert_int_eq(link(from, to), 0);
        free(from);
        free(to);
    }
    for (int i = 0; i < OTHERS; i++)
        world_submit(w, "s@far.example", "b@z.example");
    world_restart(w);
    world_run(w, hour);
    ck_assert_msg(world_tries(w, "b@x.example", 250) == MANY, "%u of %d at x", world_tries(w, "b@x.example", 250), MANY);
    ck_assert_uint_eq(world_tries(w, "b@y.example", 250), MANY);
    ck_assert_uint_eq(world_tries(w, "b@z.example", 250), OTHERS);
    nothing_left(w);
    world_free(w);
}
END_TEST

/* The split cannot be finished: one of the directories cannot be made. */
START_TEST(test_split_fails)
{
    struct world *w = begin();
    FILE *f = fopen(world_path(w, "cur/y.example"), "w");

    ck_assert_ptr_nonnull(f);
    fclose(f);
    world_submit(w, "s@far.example", "b@x.example b@y.example");
    for (int i = 0; i < 5; i++) {
        world_run(w, 2 * minute);
        world_restart(w);
    }
    ck_assert_int_eq(unlink(world_path(w, "cur/y.example")), 0);
    world_run(w, 10 * minute);
    ck_assert_msg(world_tries(w, "b@x.example", 250) == 1, "%u copies\n%s", world_tries(w, "b@x.example", 250), world_log(w));
    ck_assert_uint_eq(world_tries(w, "b@y.example", 250), 1);
    nothing_left(w);
    world_free(w);
}
END_TEST

/* Where one more link is impossible (here: too many) it is copied, whole or not at all. */
START_TEST(test_copied)
{
    struct world *w = begin();
    struct msgid id = world_submit(w, "s@far.example", "o@x.example l@x.example o@y.example");
    char *from = in_new(w, &id), *name = first_name(w, &id, "x.example"), below[100];
    unsigned links = 0;
    FILE *f;

    snprintf(below, sizeof below, "cur/x.example/.%s", id.s);
    f = fopen(world_path(w, below), "w");
    ck_assert_ptr_nonnull(f);
    fputs("abide 1\nsize 0000", f);     /* a crash cut one off */
    fclose(f);
    mkdir(world_path(w, "many"), 0700);
    do {
        snprintf(below, sizeof below, "many/%u", links);
    } while (links < 70000 && link(from, world_path(w, below)) == 0 && ++links > 0);
    if (links < 70000) {
        world_run(w, minute);
        ck_assert_uint_eq(world_tries(w, "o@x.example", 250), 1);
        ck_assert_uint_eq(world_tries(w, "o@y.example", 250), 1);
        ck_assert_uint_eq(world_tries(w, "l@x.example", 0), 1);
        world_restart(w);
        world_run(w, hour);
        ck_assert_uint_eq(world_tries(w, "o@x.example", 250), 1);
        ck_assert_uint_eq(world_tries(w, "l@x.example", 250), 1);
        ck_assert_uint_eq(world_count(w, "new") + world_count(w, "cur") + world_count(w, "dead"), 0);
    }
    free(from);
    free(name);
    world_free(w);
}
END_TEST

/* An ID that is another's (forged: none is made twice) harms nobody. */
START_TEST(test_id_used_twice)
{
    struct world *w = begin();
    struct msgid id = world_submit(w, "s@far.example", "b@x.example"), other = world_submit(w, "s@far.example", "evil@x.example");
    char *mine = in_new(w, &id), *forged = in_new(w, &other), *name = first_name(w, &id, "x.example");

    ck_assert_int_eq(rename(mine, name), 0);
    ck_assert_int_eq(rename(forged, mine), 0);
    world_restart(w);
    world_run(w, 10 * minute);
    ck_assert_msg(world_tries(w, "b@x.example", 250) == 1, "%s", world_log(w));
    ck_assert_uint_eq(world_count(w, "dead"), 1);
    ck_assert_uint_eq(world_count(w, "cur") + world_count(w, "new"), 0);
    free(mine);
    free(forged);
    free(name);
    world_free(w);
}
END_TEST

/* ---- records ---------------------------------------------------------------------- */

/* A report that cannot be written must not undo what was delivered beside it. */
START_TEST(test_full_disk)
{
    struct world *w = begin();

    world_submit(w, "s@far.example", "o@x.example p@x.example");
    keeper_step(w->keeper, w->now);
    disk_full(true);
    world_run(w, 2 * hour);
    ck_assert_msg(world_tries(w, "o@x.example", 250) == 1, "%u copies\n%s", world_tries(w, "o@x.example", 250), world_log(w));
    disk_full(false);
    world_run(w, 2 * hour);
    ck_assert_uint_eq(world_tries(w, "o@x.example", 250), 1);
    ck_assert_msg(world_tries(w, "s@far.example", 250) == 1, "%s", world_log(w));
    nothing_left(w);
    world_free(w);
}
END_TEST

START_TEST(test_full_disk_all_refused)
{
    const char *const rcpt[] = { "p@x.example", "b@gone.example" };
    struct world *w = begin();

    world_submit(w, "s@far.example", rcpt[_i]);
    keeper_step(w->keeper, w->now);
    disk_full(true);
    world_run(w, 2 * hour);
    ck_assert_msg(w->ntried < 40, "%zu tries in two hours", w->ntried);
    ck_assert_msg(world_logged_times(w, "\n") < 400, "%u lines in the log", world_logged_times(w, "\n"));
    disk_full(false);
    world_run(w, hour);
    ck_assert_msg(world_tries(w, "s@far.example", 250) == 1, "%s", world_log(w));
    nothing_left(w);
    world_free(w);
}
END_TEST

/* A long story is no reason to give a message up. */
START_TEST(test_long_trail)
{
    struct world *w = begin();
    struct msgid id = world_submit(w, "s@far.example", "b@x.example");
    char below[100], name[TRAIL_NAME_SIZE];
    FILE *f;

    spool_trail_name(&id, getuid(), name);
    snprintf(below, sizeof below, "trail/%s", name);
    f = fopen(world_path(w, below), "w");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < 60000; i++)
        fprintf(f, "1800000000000 deferred 1 unknown_temp due=1800000000 n=1 first=1800000000000 last=1800000000000 grey=0:0 host=- %060d\n", i);
    fclose(f);
    world_run(w, minute);
    ck_assert_msg(world_tries(w, "b@x.example", 250) == 1, "%s", world_log(w));
    nothing_left(w);
    world_free(w);
}
END_TEST

/* Moved aside or dropped while in the air, it is recorded where it lies, or forgotten. */
START_TEST(test_moved_in_flight)
{
    const char *const to[] = { "hold/x.example", NULL };
    struct world *w = begin();
    struct msgid id = world_submit(w, "s@far.example", "o@x.example");
    char *name = first_name(w, &id, "x.example"), below[300];

    while (w->dials == 0)
        world_run(w, 0), keeper_step(w->keeper, w->now);
    if (to[_i] != NULL) {
        mkdir(world_path(w, to[_i]), 0700);
        snprintf(below, sizeof below, "%s/%s", to[_i], strrchr(name, '/') + 1);
        (void)!rename(name, world_path(w, below));
    } else
        unlink(name);
    world_run(w, 10 * minute);
    ck_assert_uint_le(world_tries(w, "o@x.example", 250), 1);
    ck_assert_uint_eq(world_count(w, "cur") + world_count(w, "new") + world_count(w, "trail"), 0);
    free(name);
    world_free(w);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("crash");
    TCase *tc = tcase_create("crash");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_bad_recipient);
    tcase_add_test(tc, test_half_split);
    tcase_add_test(tc, test_split_fails);
    tcase_add_test(tc, test_copied);
    tcase_add_test(tc, test_id_used_twice);
    tcase_add_test(tc, test_full_disk);
    tcase_add_loop_test(tc, test_full_disk_all_refused, 0, 2);
    tcase_add_test(tc, test_long_trail);
    tcase_add_loop_test(tc, test_moved_in_flight, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}
