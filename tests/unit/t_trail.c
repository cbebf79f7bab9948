/* trail: the last word counts, a settled recipient stays settled, and lines
 * that are torn, absurd or of another version do no harm. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/trail.h"
#include "tests/unit/mutate.h"
#include "tests/unit/unit.h"

#define AT "1795227549123 "
#define FULL "due=1795228000 n=2 first=1000 last=2000 grey=3000:4 host=mx.example.org"

#define FULL_RCPT \
    { .cause = CAUSE_GREYLISTED, .due = 1795228000, .n = 2, .first = { 1000 }, .last = { 2000 }, .grey = { 3000 }, \
      .grey_n = 4, .host = "mx.example.org" }

static const struct trail_rcpt full = FULL_RCPT;

/* What each text says of the second recipient of three. */
static const struct { const char *name, *in; struct trail_rcpt want; } cases[] = {
    { "nothing", "", { .fate = FATE_OWED } },
    { "delivered", AT "delivered 2 mx.example.org 250 2.0.0 ok\n", { .fate = FATE_DELIVERED, .host = "mx.example.org" } },
    { "delivered by nobody", AT "delivered 2 - 250\n", { .fate = FATE_DELIVERED } },
    { "delivered, bare", AT "delivered 2\n", { .fate = FATE_DELIVERED } },
    { "failed", AT "failed 2 perm_mailbox 550 5.1.1 no\n", { .fate = FATE_FAILED, .cause = CAUSE_PERM_MAILBOX } },
    { "failed by its age", AT "failed 2 greylisted 451\n", { .fate = FATE_FAILED, .cause = CAUSE_GREYLISTED } },
    { "failed, cause of a newer version", AT "failed 2 perm_moon 550\n", { .fate = FATE_FAILED, .cause = CAUSE_PERM_OTHER } },
    { "deferred", AT "deferred 2 greylisted " FULL " 451 4.7.1 later\n", FULL_RCPT },
    { "deferred without a reply", AT "deferred 2 greylisted " FULL "\n", FULL_RCPT },
    { "the last word", AT "deferred 2 rate_limited due=1 n=1\n" AT "deferred 2 greylisted " FULL " 451\n", FULL_RCPT },
    { "keys in another order", AT "deferred 2 greylisted host=mx.example.org grey=3000:4 last=2000 first=1000 n=2 due=1795228000 x\n", FULL_RCPT },
    { "keys of a newer version", AT "deferred 2 greylisted moon=full " FULL " =odd= tide=low 451\n", FULL_RCPT },
    { "a reply that looks like keys", AT "deferred 2 greylisted " FULL " due=1 n=0 first=7 host=evil\n", FULL_RCPT },
    { "cause of a newer version", AT "deferred 2 moon_phase due=5 n=1\n", { .cause = CAUSE_UNKNOWN_TEMP, .due = 5, .n = 1 } },
    { "numbers overflow", AT "deferred 2 congestion due=9223372036854775808 n=4294967296 first=-1 last=1x grey=99999999999999999999:2\n",
      { .cause = CAUSE_CONGESTION, .grey_n = 2 } },
    { "greatest numbers", AT "deferred 2 congestion due=9223372036854775807 n=4294967295\n",
      { .cause = CAUSE_CONGESTION, .due = INT64_MAX, .n = 4294967295U } },
    { "greylisting without a count", AT "deferred 2 greylisted grey=3000\n", { .cause = CAUSE_GREYLISTED, .grey = { 3000 } } },
    { "torn behind the reply", AT "deferred 2 greylisted " FULL " x\n" AT "delivered 2 mx 250 ok", FULL_RCPT },
    { "torn in a word", AT "deliv", { .fate = FATE_OWED } },
    { "torn, then appended to", AT "deliv" AT "delivered 2 mx 250 ok\n", { .fate = FATE_OWED } },
    { "another recipient", AT "delivered 1 mx 250\n" AT "failed 3 perm_other 500\n", { .fate = FATE_OWED } },
    { "beyond the last", AT "delivered 4 mx 250\n", { .fate = FATE_OWED } },
    { "far beyond the last", AT "delivered 18446744073709551618 mx 250\n", { .fate = FATE_OWED } },
    { "number 0", AT "delivered 0 mx 250\n", { .fate = FATE_OWED } },
    { "number -2", AT "delivered -2 mx 250\n", { .fate = FATE_OWED } },
    { "no number", AT "delivered mx 250\n", { .fate = FATE_OWED } },
    { "no time", "delivered 2 mx 250\n", { .fate = FATE_OWED } },
    { "unknown verb", AT "teleported 2 mx 250\n", { .fate = FATE_OWED } },
    { "longer verb", AT "delivered! 2 mx 250\n", { .fate = FATE_OWED } },
    { "said", AT "said 0 1 delivered 2 mx 250\n", { .fate = FATE_OWED } },
    { "moved", AT "moved by root: 1 delivered 2\n", { .fate = FATE_OWED } },
    { "empty lines", "\n\n \n" AT "\n" AT "failed 2 perm_other\n\n", { .fate = FATE_FAILED, .cause = CAUSE_PERM_OTHER } },
    { "settled stays settled", AT "delivered 2 mx 250\n" AT "deferred 2 greylisted " FULL " 451\n",
      { .fate = FATE_DELIVERED, .host = "mx" } },
    { "delivered is not undone", AT "delivered 2 mx 250\n" AT "failed 2 perm_other 550\n",
      { .fate = FATE_DELIVERED, .host = "mx" } },
    { "host too long", AT "deferred 2 greylisted host=0123456789012345678901234567890123456789012345678901234567890123456789\n",
      { .cause = CAUSE_GREYLISTED, .host = "012345678901234567890123456789012345678901234567890123456789012" } },
};

static void parse(const char *in, size_t len, size_t nrcpt, struct trail *t)
{
    char *exact = malloc(len == 0 ? 1 : len);
    struct err e;

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, in, len);
    ck_assert_int_eq(trail_parse(exact, len, nrcpt, t, &e), 0);
    free(exact);
}

static void assert_same(const struct trail_rcpt *a, const struct trail_rcpt *b, const char *name)
{
    ck_assert_msg(a->fate == b->fate, "%s: fate %d, %d", name, a->fate, b->fate);
    ck_assert_msg(a->cause == b->cause, "%s: cause %s, %s", name, cause_name(a->cause), cause_name(b->cause));
    ck_assert_msg(a->due == b->due && a->n == b->n, "%s: due %lld n %u", name, (long long)a->due, a->n);
    ck_assert_msg(a->first.ms == b->first.ms && a->last.ms == b->last.ms, "%s: first or last", name);
    ck_assert_msg(a->grey.ms == b->grey.ms && a->grey_n == b->grey_n, "%s: grey", name);
    ck_assert_msg(strcmp(a->host, b->host) == 0, "%s: host %s, %s", name, a->host, b->host);
}

START_TEST(second_of_three)
{
    struct trail t;

    parse(cases[_i].in, strlen(cases[_i].in), 3, &t);
    ck_assert_uint_eq(t.nrcpt, 3);
    assert_same(&t.rcpt[1], &cases[_i].want, cases[_i].name);
    for (size_t i = 0; i < t.nrcpt; i++)
        ck_assert_msg(!t.rcpt[i].warned, "%s: warned", cases[_i].name);
    trail_fini(&t);
    ck_assert_ptr_null(t.rcpt);
}
END_TEST

START_TEST(no_recipients)
{
    struct trail t;

    parse(cases[1].in, strlen(cases[1].in), 0, &t);
    ck_assert_uint_eq(t.nrcpt, 0);
    trail_fini(&t);
}
END_TEST

static const struct { const char *name; struct trail_rcpt rcpt; const char *reply, *line; } lines[] = {
    { "delivered", { .fate = FATE_DELIVERED, .host = "mx" }, "250 ok", "5 delivered 2 mx 250 ok\n" },
    { "delivered by nobody", { .fate = FATE_DELIVERED }, NULL, "5 delivered 2 -\n" },
    { "failed", { .fate = FATE_FAILED, .cause = CAUSE_PERM_SIZE }, "552 big", "5 failed 2 perm_size 552 big\n" },
    { "deferred", FULL_RCPT, "451-4.7.1 a\r\n451 b\r\n", "5 deferred 2 greylisted " FULL " 451-4.7.1 a / 451 b\n" },
    { "deferred at first", { .fate = FATE_OWED }, "", "5 deferred 2 new due=0 n=0 first=0 last=0 grey=0:0 host=-\n" },
    { "control bytes", { .fate = FATE_FAILED, .cause = CAUSE_PERM_OTHER }, "a\rb\tc\177", "5 failed 2 perm_other a?b?c?\n" },
    { "a host of blanks", { .fate = FATE_DELIVERED, .host = "a b\n" }, "x", "5 delivered 2 a?b? x\n" },
    { "a second line of a forged kind", { .fate = FATE_FAILED, .cause = CAUSE_PERM_OTHER }, "x\n5 delivered 1 mx",
      "5 failed 2 perm_other x / 5 delivered 1 mx\n" },
};

START_TEST(printed_lines)
{
    struct buf out = BUF_INIT(10000);
    struct trail t;

    ck_assert(trail_print_rcpt(&out, (struct wall){ 5 }, 1, &lines[_i].rcpt, lines[_i].reply));
    ck_assert_msg(strcmp(out.data, lines[_i].line) == 0, "%s: %s", lines[_i].name, out.data);
    parse(out.data, out.len, 2, &t);
    if (strchr(lines[_i].rcpt.host, ' ') == NULL)
        assert_same(&t.rcpt[1], &lines[_i].rcpt, lines[_i].name);
    assert_same(&t.rcpt[0], &(struct trail_rcpt){ 0 }, lines[_i].name);
    trail_fini(&t);
    buf_fini(&out);
}
END_TEST

START_TEST(other_lines)
{
    struct buf out = BUF_INIT(10000);
    struct trail t;

    ck_assert(trail_print_moved(&out, (struct wall){ 5 }, "held by root"));
    ck_assert(trail_print_said(&out, (struct wall){ -6 }, ">>> QUIT\r\n"));
    ck_assert(trail_print_warned(&out, (struct wall){ 7 }, 1));
    ck_assert_str_eq(out.data, "5 moved held by root\n0 said 0 >>> QUIT\n7 warned 2\n");
    parse(out.data, out.len, 2, &t);
    ck_assert(t.rcpt[1].warned && !t.rcpt[0].warned);
    trail_fini(&t);
    parse(out.data, out.len - 1, 2, &t);
    ck_assert_msg(!t.rcpt[1].warned, "torn");
    trail_fini(&t);
    buf_fini(&out);
}
END_TEST

START_TEST(long_reply_is_cut)
{
    struct buf out = BUF_INIT(10000);
    char *reply = malloc(100001);

    ck_assert_ptr_nonnull(reply);
    memset(reply, 'a', 100000);
    reply[100000] = '\0';
    ck_assert(trail_print_rcpt(&out, (struct wall){ 5 }, 0, &full, reply));
    ck_assert_uint_lt(out.len, 4200);
    free(reply);
    buf_fini(&out);
}
END_TEST

START_TEST(full_buffer_says_so)
{
    struct buf out = BUF_INIT(20);

    ck_assert(!trail_print_rcpt(&out, (struct wall){ 5 }, 0, &full, "451 later"));
    buf_fini(&out);
}
END_TEST

START_TEST(mutations)
{
    struct mutator m = { 72 };

    for (int i = 0; i < MUTATIONS; i++) {
        size_t len;
        const char *from = cases[mutator_pick(&m, LENGTH(cases))].in;
        char *in = mutate(&m, from, strlen(from), &len);
        struct buf out = BUF_INIT(100000);
        struct trail a, b;

        ck_assert_int_eq(trail_parse(in, len, 3, &a, NULL), 0);
        for (size_t r = 0; r < 3; r++)
            ck_assert(trail_print_rcpt(&out, (struct wall){ 1 }, r, &a.rcpt[r], "250 due=3"));
        parse(out.data, out.len, 3, &b);
        for (size_t r = 0; r < 3; r++) {
            struct trail_rcpt want = a.rcpt[r];

            /* Of a settled one the earlier deferrals are not told again. */
            if (want.fate != FATE_OWED)
                want = (struct trail_rcpt){ .fate = want.fate, .cause = want.cause };
            if (want.fate == FATE_DELIVERED)
                memcpy(want.host, a.rcpt[r].host, sizeof(want.host));
            for (char *p = want.host; *p != '\0'; p++)
                if ((unsigned char)*p <= ' ' || *p == 0x7f)
                    *p = '?';
            assert_same(&b.rcpt[r], &want, out.data);
        }
        trail_fini(&a);
        trail_fini(&b);
        buf_fini(&out);
        free(in);
    }
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("trail");
    TCase *tc = tcase_create("trail");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, second_of_three, 0, LENGTH(cases));
    tcase_add_test(tc, no_recipients);
    tcase_add_loop_test(tc, printed_lines, 0, LENGTH(lines));
    tcase_add_test(tc, other_lines);
    tcase_add_test(tc, long_reply_is_cut);
    tcase_add_test(tc, full_buffer_says_so);
    tcase_add_test(tc, mutations);
    suite_add_tcase(s, tc);
    return s;
}
