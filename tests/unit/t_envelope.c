/* envelope: one spelling, there and back; nothing else is believed. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "common/buf.h"
#include "common/envelope.h"
#include "common/err.h"
#include "tests/unit/mutate.h"
#include "tests/unit/unit.h"

#define SIZE "size 000000000001234 000000000001300 8 0000000998\n"
#define TIME "time 1795227549123 98765 0123abcd\n"
#define USER "user 1000 alice local\n"
#define FROM "from <alice@example.org>\n"
#define TO "to <bob@example.net>\n"

static const struct { const char *name, *head; } good[] = {
    { "whole", "abide 1\n" SIZE TIME USER FROM TO "to <\"c d\"@[192.0.2.1]>\nto <root>\nsay\nloop 3\n\n" },
    { "least", "abide 1\n" SIZE "time 0 0 -\nuser 0 - -\nfrom <>\n" TO "\n" },
    { "say", "abide 1\n" SIZE TIME USER FROM TO "say\n\n" },
    { "loop", "abide 1\n" SIZE TIME USER FROM TO "loop 999999\n\n" },
    { "bracket in quotes", "abide 1\n" SIZE TIME USER "from <\">\"@example.org>\n" TO "\n" },
    { "8-bit", "abide 1\n" SIZE TIME "user 4294967294 \303\266 smtp\n" FROM "to <\303\266@\303\266.example>\n\n" },
    { "biggest numbers", "abide 1\nsize 999999999999999 999999999999999 7 9999999999\n"
      "time 9223372036854775807 9223372036854775807 ffffffff\n" USER FROM TO "\n" },
};

/* The exact bytes, so that a sanitizer sees any read behind them. */
static int parse(const char *bytes, size_t len, struct envelope *env, struct err *e)
{
    char *exact = malloc(len == 0 ? 1 : len);
    int rc;

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, bytes, len);
    rc = envelope_parse(exact, len, env, e);
    free(exact);
    return rc;
}

static void assert_prints(const struct envelope *env, const char *head, size_t len, const char *name)
{
    struct buf out = BUF_INIT(ENVELOPE_HEAD_MAX);
    struct err e = { 0 };

    ck_assert_msg(envelope_print(env, &out, &e) == 0, "%s: %s", name, e.text);
    ck_assert_msg(out.len == len && memcmp(out.data, head, len) == 0, "%s: printed as\n%s", name, out.data);
    buf_fini(&out);
}

START_TEST(good_ones)
{
    const char *name = good[_i].name, *head = good[_i].head;
    size_t len = strlen(head);
    struct envelope env;
    struct err e = { 0 };
    char file[1000];

    (void)snprintf(file, sizeof(file), "%sSubject: x\n\nbody\n\n", head);
    ck_assert_msg(parse(file, strlen(file), &env, &e) == 0, "%s: %s", name, e.text);
    ck_assert_msg(env.message_at == len, "%s: message at %zu", name, env.message_at);
    assert_prints(&env, head, len, name);
    envelope_fini(&env);
    ck_assert_ptr_null(env.rcpt);
    for (size_t n = 0; n < len; n++) {
        ck_assert_msg(parse(head, n, &env, &e) == 1, "%s: cut to %zu", name, n);
        envelope_fini(&env);
    }
}
END_TEST

START_TEST(values_arrive)
{
    struct envelope env;

    ck_assert_int_eq(parse(good[0].head, strlen(good[0].head), &env, NULL), 0);
    ck_assert_uint_eq(env.size.disk_bytes, 1234);
    ck_assert_uint_eq(env.size.wire_bytes, 1300);
    ck_assert_uint_eq(env.size.longest_line, 998);
    ck_assert(env.size.eight_bit && env.say);
    ck_assert_int_eq(env.accepted.ms, INT64_C(1795227549123));
    ck_assert_int_eq(env.accepted_mono.ms, 98765);
    ck_assert_str_eq(env.boot, "0123abcd");
    ck_assert_uint_eq(env.uid, 1000);
    ck_assert_str_eq(env.user, "alice");
    ck_assert_str_eq(env.protocol, "local");
    ck_assert_str_eq(env.sender, "alice@example.org");
    ck_assert_uint_eq(env.nrcpt, 3);
    ck_assert_str_eq(env.rcpt[1], "\"c d\"@[192.0.2.1]");
    ck_assert_uint_eq(env.received, 3);
    envelope_fini(&env);
    ck_assert_int_eq(parse(good[1].head, strlen(good[1].head), &env, NULL), 0);
    ck_assert_str_eq(env.user, "");
    ck_assert_str_eq(env.sender, "");
    ck_assert(!env.say && env.received == 0);
    envelope_fini(&env);
}
END_TEST

static const struct { const char *name, *head; } bad[] = {
    { "a message", "Subject: x\n\n" },
    { "another version", "abide 2\n" SIZE TIME USER FROM TO "\n" },
    { "version with more digits", "abide 10\n" SIZE TIME USER FROM TO "\n" },
    { "nothing behind the version", "abide 1\n\n" },
    { "size narrow", "abide 1\nsize 1234 1300 8 998\n" TIME USER FROM TO "\n" },
    { "size signed", "abide 1\nsize -00000000001234 000000000001300 8 0000000998\n" TIME USER FROM TO "\n" },
    { "size of 9 bits", "abide 1\nsize 000000000001234 000000000001300 9 0000000998\n" TIME USER FROM TO "\n" },
    { "size too wide", "abide 1\nsize 000000000001234 000000000001300 8 00000009980\n" TIME USER FROM TO "\n" },
    { "no size", "abide 1\n" TIME USER FROM TO "\n" },
    { "no time", "abide 1\n" SIZE USER FROM TO "\n" },
    { "time overflows", "abide 1\n" SIZE "time 9223372036854775808 0 -\n" USER FROM TO "\n" },
    { "time overflows twice", "abide 1\n" SIZE "time 99999999999999999999 0 -\n" USER FROM TO "\n" },
    { "time negative", "abide 1\n" SIZE "time -1 0 -\n" USER FROM TO "\n" },
    { "time with zeros", "abide 1\n" SIZE "time 01 0 -\n" USER FROM TO "\n" },
    { "time with two blanks", "abide 1\n" SIZE "time  1 0 -\n" USER FROM TO "\n" },
    { "time without number", "abide 1\n" SIZE "time  0 -\n" USER FROM TO "\n" },
    { "boot short", "abide 1\n" SIZE "time 1 0 0123abc\n" USER FROM TO "\n" },
    { "boot long", "abide 1\n" SIZE "time 1 0 0123abcde\n" USER FROM TO "\n" },
    { "boot upper case", "abide 1\n" SIZE "time 1 0 0123ABCD\n" USER FROM TO "\n" },
    { "uid overflows", "abide 1\n" SIZE TIME "user 4294967296 a b\n" FROM TO "\n" },
    { "uid -1", "abide 1\n" SIZE TIME "user 4294967295 a b\n" FROM TO "\n" },
    { "user without protocol", "abide 1\n" SIZE TIME "user 1 a\n" FROM TO "\n" },
    { "user with one more", "abide 1\n" SIZE TIME "user 1 a b c\n" FROM TO "\n" },
    { "user with no name", "abide 1\n" SIZE TIME "user 1  b\n" FROM TO "\n" },
    { "no sender", "abide 1\n" SIZE TIME USER TO "\n" },
    { "two senders", "abide 1\n" SIZE TIME USER FROM FROM TO "\n" },
    { "sender without brackets", "abide 1\n" SIZE TIME USER "from a@example.org\n" TO "\n" },
    { "sender not canonical", "abide 1\n" SIZE TIME USER "from <a@Example.org>\n" TO "\n" },
    { "blank behind sender", "abide 1\n" SIZE TIME USER "from <a@example.org> \n" TO "\n" },
    { "no recipient", "abide 1\n" SIZE TIME USER FROM "\n" },
    { "null recipient", "abide 1\n" SIZE TIME USER FROM "to <>\n\n" },
    { "recipient not canonical", "abide 1\n" SIZE TIME USER FROM "to <a..b@example.org>\n\n" },
    { "recipient with a command", "abide 1\n" SIZE TIME USER FROM "to <a@b.example> NOTIFY=NEVER>\n\n" },
    { "recipient with a control byte", "abide 1\n" SIZE TIME USER FROM "to <a\r@b.example>\n\n" },
    { "recipient not closed", "abide 1\n" SIZE TIME USER FROM "to <a@b.example\n\n" },
    { "recipient in upper case", "abide 1\n" SIZE TIME USER FROM "TO <a@b.example>\n\n" },
    { "order", "abide 1\n" SIZE TIME USER TO FROM "\n" },
    { "recipient behind say", "abide 1\n" SIZE TIME USER FROM TO "say\n" TO "\n" },
    { "loop before say", "abide 1\n" SIZE TIME USER FROM TO "loop 1\nsay\n\n" },
    { "say twice", "abide 1\n" SIZE TIME USER FROM TO "say\nsay\n\n" },
    { "say what", "abide 1\n" SIZE TIME USER FROM TO "say x\n\n" },
    { "loop 0", "abide 1\n" SIZE TIME USER FROM TO "loop 0\n\n" },
    { "loop too much", "abide 1\n" SIZE TIME USER FROM TO "loop 1000000\n\n" },
    { "unknown name", "abide 1\n" SIZE TIME USER FROM TO "dsn never\n\n" },
    { "CRLF", "abide 1\r\n" SIZE TIME USER FROM TO "\r\n\n" },
};

START_TEST(bad_ones)
{
    const char *name = bad[_i].name;
    struct envelope env;
    struct err e = { 0 };

    ck_assert_msg(parse(bad[_i].head, strlen(bad[_i].head), &env, &e) == -1, "%s: accepted", name);
    ck_assert_msg(e.class == EX_DATAERR && e.text[0] != '\0', "%s: class %d", name, e.class);
    ck_assert_msg(env.rcpt == NULL && env.sender == NULL, "%s: left something", name);
}
END_TEST

START_TEST(nul_inside)
{
    static const char head[] = "abide 1\n" SIZE TIME "user 1 a\0b c\n" FROM TO "\n";
    struct envelope env;

    ck_assert_int_eq(parse(head, sizeof(head) - 1, &env, NULL), -1);
}
END_TEST

START_TEST(longest_head)
{
    char *bytes = malloc(ENVELOPE_HEAD_MAX);
    struct envelope env;
    struct err e;

    ck_assert_ptr_nonnull(bytes);
    memset(bytes, 'x', ENVELOPE_HEAD_MAX);
    memcpy(bytes, "abide 1\n", 8);
    ck_assert_int_eq(envelope_parse(bytes, ENVELOPE_HEAD_MAX - 1, &env, &e), 1);
    ck_assert_int_eq(envelope_parse(bytes, ENVELOPE_HEAD_MAX, &env, &e), -1);
    free(bytes);
}
END_TEST

static const struct { const char *name; struct envelope_size size; const char *line; } sizes[] = {
    { "zero", { 0 }, "size 000000000000000 000000000000000 7 0000000000\n" },
    { "some", { 12, 13, 5, true }, "size 000000000000012 000000000000013 8 0000000005\n" },
    { "too much", { UINT64_MAX, UINT64_MAX, UINT64_MAX, false }, "size 999999999999999 999999999999999 7 9999999999\n" },
};

START_TEST(size_line)
{
    char out[ENVELOPE_SIZE_LEN + 1];

    envelope_print_size(&sizes[_i].size, out);
    ck_assert_msg(strcmp(out, sizes[_i].line) == 0, "%s: %s", sizes[_i].name, out);
    ck_assert_uint_eq(strlen(out), ENVELOPE_SIZE_LEN);
    ck_assert_int_eq(memcmp(good[0].head + ENVELOPE_SIZE_AT, SIZE, ENVELOPE_SIZE_LEN), 0);
}
END_TEST

/* What the front hands over is made fit, or refused: never a line of another's. */
START_TEST(print_trusts_nobody)
{
    char name[] = "DOMAIN\\a b\nto <x@y>", sender[] = "a@example.org\nto <x@y>", fine[] = "a@example.org";
    struct envelope env = { .user = name, .sender = sender, .uid = 7, .accepted = { -5 }, .accepted_mono = { -5 } };
    struct buf out = BUF_INIT(10000);
    struct envelope back;
    struct err e;

    ck_assert_int_eq(envelope_print(&env, &out, &e), -1);
    ck_assert_int_eq(envelope_add_rcpt(&env, "b@example.org\nto <x@y>", &e), -1);
    ck_assert_int_eq(envelope_add_rcpt(&env, "", &e), -1);
    ck_assert_int_eq(envelope_add_rcpt(&env, "B@Example.org", &e), -1);
    ck_assert_int_eq(envelope_add_rcpt(&env, "b@example.org", &e), 0);
    ck_assert_int_eq(envelope_print(&env, &out, &e), -1);
    env.sender = NULL;
    ck_assert_int_eq(envelope_print(&env, &out, &e), -1);
    env.sender = fine;
    buf_clear(&out);
    ck_assert_int_eq(envelope_print(&env, &out, &e), 0);
    ck_assert_msg(envelope_parse(out.data, out.len, &back, &e) == 0, "%s", e.text);
    ck_assert_str_eq(back.user, "DOMAIN\\a_b_to_<x@y>");
    ck_assert_str_eq(back.protocol, "");
    ck_assert_str_eq(back.boot, "-");
    ck_assert_int_eq(back.accepted.ms, 0);
    ck_assert_uint_eq(back.nrcpt, 1);
    envelope_fini(&back);
    env.user = env.sender = NULL;
    envelope_fini(&env);
    buf_fini(&out);
}
END_TEST

START_TEST(as_many_recipients_as_allowed)
{
    struct envelope env = { .sender = strdup("a@example.org") }, back;
    struct buf out = BUF_INIT(ENVELOPE_HEAD_MAX);
    clock_t start = clock();
    struct err e;
    char rcpt[64];

    for (int i = 0; i < ENVELOPE_RCPT_MAX; i++) {
        (void)snprintf(rcpt, sizeof(rcpt), "user%d@d%d.example.org", i, i % 7);
        ck_assert_int_eq(envelope_add_rcpt(&env, rcpt, &e), 0);
    }
    ck_assert_int_eq(envelope_add_rcpt(&env, rcpt, &e), -1);
    ck_assert_int_eq(e.class, EX_DATAERR);
    ck_assert_int_eq(envelope_print(&env, &out, &e), 0);
    ck_assert_msg(envelope_parse(out.data, out.len, &back, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(back.nrcpt, ENVELOPE_RCPT_MAX);
    ck_assert_str_eq(back.rcpt[ENVELOPE_RCPT_MAX - 1], rcpt);
    ck_assert_msg(clock() - start < 5 * CLOCKS_PER_SEC, "not in linear time");
    envelope_fini(&env);
    envelope_fini(&back);
    buf_fini(&out);
}
END_TEST

/* Few recipients, but so long that no reader would take the head. */
START_TEST(head_too_long)
{
    struct envelope env = { .sender = strdup("") };
    struct buf out = BUF_INIT(2 * ENVELOPE_HEAD_MAX);
    char rcpt[1000];
    struct err e;

    memset(rcpt, 'a', sizeof(rcpt) - 1);
    rcpt[sizeof(rcpt) - 1] = '\0';
    for (int i = 0; i < ENVELOPE_HEAD_MAX / (int)sizeof(rcpt); i++)
        ck_assert_int_eq(envelope_add_rcpt(&env, rcpt, &e), 0);
    ck_assert_int_eq(envelope_print(&env, &out, &e), -1);
    ck_assert_int_eq(e.class, EX_DATAERR);
    envelope_fini(&env);
    buf_fini(&out);
}
END_TEST

START_TEST(mutations)
{
    struct mutator m = { 1 };
    unsigned whole = 0;

    for (int i = 0; i < MUTATIONS; i++) {
        size_t len;
        const char *from = good[mutator_pick(&m, LENGTH(good))].head;
        char *in = mutate(&m, from, strlen(from), &len);
        struct envelope env;
        struct err e = { 0 };
        int rc = envelope_parse(in, len, &env, &e);

        if (rc == 0) {
            whole++;
            ck_assert_uint_le(env.message_at, len);
            assert_prints(&env, in, env.message_at, "mutated");
        } else {
            ck_assert_msg(rc == 1 || e.class == EX_DATAERR, "class %d", e.class);
            ck_assert_ptr_null(env.rcpt);
        }
        envelope_fini(&env);
        free(in);
    }
    ck_assert_msg(whole > 100 && whole < MUTATIONS, "%u were still envelopes", whole);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("envelope");
    TCase *tc = tcase_create("envelope");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, good_ones, 0, LENGTH(good));
    tcase_add_test(tc, values_arrive);
    tcase_add_loop_test(tc, bad_ones, 0, LENGTH(bad));
    tcase_add_test(tc, nul_inside);
    tcase_add_test(tc, longest_head);
    tcase_add_loop_test(tc, size_line, 0, LENGTH(sizes));
    tcase_add_test(tc, print_trusts_nobody);
    tcase_add_test(tc, as_many_recipients_as_allowed);
    tcase_add_test(tc, head_too_long);
    tcase_add_test(tc, mutations);
    suite_add_tcase(s, tc);
    return s;
}
