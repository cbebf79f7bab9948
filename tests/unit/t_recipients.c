/* recipients: who gets it, from arguments and header. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "sendmail/recipients.h"
#include "tests/unit/unit.h"

enum { ARGS = 8, TEXT = 1000 };
enum how { FROM_HEADER = 1, SUBTRACT = 2, WITH_ROOT = 4, ONLY_TWO = 8 };

static int collect(unsigned how, const char *const *arg, const char *header, struct envelope *env, struct recipients *r,
    struct err *e)
{
    const struct recipients_rules rules = {
        .domain = "dom.example", .hostname = "host.example", .root = how & WITH_ROOT ? "admin@example.org" : "",
        .from_header = how & FROM_HEADER, .subtract = how & SUBTRACT, .max = how & ONLY_TWO ? 2 : 0
    };
    char *copy[ARGS];
    size_t n = 0;
    int got;

    for (; n < ARGS && arg[n] != NULL; n++)
        copy[n] = strdup(arg[n]);
    got = recipients_collect(&rules, copy, n, header, strlen(header), env, r, e);
    while (n > 0)
        free(copy[--n]);
    return got;
}

static void join(const struct envelope *env, const struct recipients *r, char out[TEXT])
{
    out[0] = '\0';
    for (size_t i = 0; i < env->nrcpt; i++) {
        strlcat(out, i > 0 ? " " : "", TEXT);
        strlcat(out, env->rcpt[i], TEXT);
    }
    if (r->nbad > 0) {
        strlcat(out, " bad: ", TEXT);
        strlcat(out, r->bad.data, TEXT);
    }
}

static const struct {
    const char *name;
    unsigned how;
    const char *arg[ARGS];
    const char *header;
    const char *want;
} good[] = {
    { "an argument", 0, { "a@x" }, "", "a@x" },
    { "the header does not count", 0, { "a@x" }, "To: b@y\n", "a@x" },
    { "a list as an argument", 0, { "a@x,b@y", "Joe <c@z>" }, "", "a@x b@y c@z" },
    { "bare names get our domain", 0, { "root", "bob" }, "", "root@dom.example bob@dom.example" },
    { "bare names go to root", WITH_ROOT, { "root", "bob", "c@z" }, "", "admin@example.org c@z" },
    { "so do our hostname and localhost", WITH_ROOT, { "a@host.example", "b@LOCALHOST", "c@dom.example" }, "",
        "admin@example.org c@dom.example" },
    { "without root they stay", 0, { "a@host.example", "b@localhost" }, "", "a@host.example b@localhost" },
    { "duplicates merge, the first stays", 0, { "a@x, b@y", "a@X", "A@x" }, "", "a@x b@y A@x" },
    { "an empty argument among others", 0, { "", "a@x" }, "", "a@x" },
    { "one bad among good ones", 0, { "a@x", "b@@y", "c@z" }, "", "a@x c@z bad: b@@y\n" },
    { "8-bit bad ones are printable", 0, { "a@x", "\xc3\xbc@@y" }, "", "a@x bad: ??@@y\n" },

    { "-t", FROM_HEADER, { NULL }, "To: a@x\nCc: b@y\nBcc: c@z\nFrom: no@x\n", "a@x b@y c@z" },
    { "-t, any case, repeated, obsolete blank", FROM_HEADER, { NULL }, "TO : a@x\nto: b@y\nCC:c@z\n", "a@x b@y c@z" },
    { "-t, folded", FROM_HEADER, { NULL }, "To: a@x,\n\tb@y\n ,c@z\nSubject: s\n", "a@x b@y c@z" },
    { "-t, folded Bcc", FROM_HEADER, { NULL }, "Bcc:\n a@x,\n b@y\n", "a@x b@y" },
    { "-t adds to arguments", FROM_HEADER, { "z@x", "a@x" }, "To: a@x, b@y\n", "z@x a@x b@y" },
    { "-t, subtracting", FROM_HEADER | SUBTRACT, { "a@X" }, "To: a@x, b@y\nBcc: c@z\n", "b@y c@z" },
    { "without -t nothing is subtracted", SUBTRACT, { "a@x" }, "To: b@y\n", "a@x" },
    { "subtracting a bare name", FROM_HEADER | SUBTRACT, { "bob" }, "To: bob, a@x\n", "a@x" },
    { "resent", FROM_HEADER, { NULL }, "To: a@x\nCc: b@y\nResent-To: r@x\nResent-Bcc: s@x\nResent-Cc: t@x\n", "r@x s@x t@x" },
    { "resent, all blocks", FROM_HEADER, { NULL }, "Resent-To: r@x\nResent-From: f@x\nResent-To: s@x\nTo: a@x\n", "r@x s@x" },
    { "resent with an argument", FROM_HEADER, { "z@x" }, "To: a@x\nResent-From: r@x\n", "z@x" },
    { "-t, bad in the middle of a line", FROM_HEADER, { NULL }, "To: a@x, @@bad, c@z\n", "a@x c@z bad: @@bad\n" },
};

START_TEST(found)
{
    struct envelope env = { .nrcpt = 0 };
    struct recipients r = RECIPIENTS_INIT;
    struct err e = { 0 };
    char got[TEXT];
    int result = collect(good[_i].how, good[_i].arg, good[_i].header, &env, &r, &e);

    join(&env, &r, got);
    ck_assert_msg(result == 0, "%s: %s", good[_i].name, e.text);
    ck_assert_msg(strcmp(got, good[_i].want) == 0, "%s: got \"%s\", want \"%s\"", good[_i].name, got, good[_i].want);
    recipients_fini(&r);
    envelope_fini(&env);
}
END_TEST

static const struct {
    const char *name;
    unsigned how;
    const char *arg[ARGS];
    const char *header;
    int class;
    const char *want;
} bad[] = {
    { "nobody", 0, { NULL }, "To: a@x\n", EX_USAGE, "no recipients" },
    { "an empty argument", 0, { "" }, "", EX_USAGE, "no recipients" },
    { "-t, nobody", FROM_HEADER, { NULL }, "Subject: s\n", EX_USAGE, "no recipients" },
    { "-t, an empty group", FROM_HEADER, { NULL }, "To: undisclosed-recipients:;\n", EX_USAGE, "no recipients" },
    { "-t, everybody subtracted", FROM_HEADER | SUBTRACT, { "a@x" }, "To: a@x\n", EX_USAGE, "no recipients" },
    { "resent to nobody", FROM_HEADER, { NULL }, "To: a@x\nResent-From: r@x\n", EX_DATAERR, "no recipients in Resent- fields" },
    { "all bad", 0, { "a@@x", "b@@y" }, "", EX_DATAERR, "bad recipient address: a@@x" },
    { "a newline", 0, { "a@x", "b@y\nto <c@z>" }, "", EX_DATAERR, "a control byte in the recipient \"b@y?to <c@z>\"" },
    { "a carriage return", 0, { "a@x\r" }, "", EX_DATAERR, "a control byte in the recipient \"a@x?\"" },
    { "too many", ONLY_TWO, { "a@x, b@y, a@x, c@z" }, "", EX_DATAERR, "more than 2 recipients (max_recipients)" },
};

START_TEST(not_found)
{
    struct envelope env = { .nrcpt = 0 };
    struct recipients r = RECIPIENTS_INIT;
    struct err e = { 0 };
    int result = collect(bad[_i].how, bad[_i].arg, bad[_i].header, &env, &r, &e);

    ck_assert_msg(result == -1 && e.class == bad[_i].class, "%s: class %d", bad[_i].name, e.class);
    ck_assert_msg(strcmp(e.text, bad[_i].want) == 0, "%s: got \"%s\"", bad[_i].name, e.text);
    recipients_fini(&r);
    envelope_fini(&env);
}
END_TEST

static const struct {
    const char *name;
    unsigned how;
    const char *arg[ARGS];
    const char *header;
    bool blind;
} blind[] = {
    { "argument", 0, { "a@x" }, "Bcc: a@x\n", false },
    { "To", FROM_HEADER, { NULL }, "To: a@x\n", false },
    { "Bcc", FROM_HEADER, { NULL }, "Bcc: a@x\n", true },
    { "Resent-Bcc", FROM_HEADER, { NULL }, "Resent-Bcc: a@x\nTo: b@y\n", true },
    { "named openly before", FROM_HEADER, { NULL }, "To: a@x\nBcc: a@x\n", false },
};

START_TEST(blind_ones)
{
    struct envelope env = { .nrcpt = 0 };
    struct recipients r = RECIPIENTS_INIT;

    ck_assert(collect(blind[_i].how, blind[_i].arg, blind[_i].header, &env, &r, NULL) == 0);
    ck_assert_uint_eq(env.nrcpt, 1);
    ck_assert_msg(r.blind == blind[_i].blind, "%s", blind[_i].name);
    recipients_fini(&r);
    envelope_fini(&env);
}
END_TEST

/* A hundred thousand, each given twice. */
START_TEST(very_many)
{
    enum { N = ENVELOPE_RCPT_MAX };
    const struct recipients_rules rules = { .domain = "d", .hostname = "h", .root = "", .from_header = true };
    struct envelope env = { .nrcpt = 0 };
    struct recipients r = RECIPIENTS_INIT;
    char *header = malloc(2 * N * 12 + 16);
    size_t len = 3;

    ck_assert_ptr_nonnull(header);
    memcpy(header, "To:", 3);
    for (int i = 0; i < 2 * N; i++)
        len += (size_t)sprintf(header + len, "u%05x@x,\n ", (unsigned)(i % N));
    ck_assert(recipients_collect(&rules, NULL, 0, header, len, &env, &r, NULL) == 0);
    ck_assert_uint_eq(env.nrcpt, N);
    ck_assert_str_eq(env.rcpt[N - 1], "u1869f@x");
    recipients_fini(&r);
    envelope_fini(&env);
    free(header);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("recipients");
    TCase *tc = tcase_create("recipients");

    tcase_add_loop_test(tc, found, 0, LENGTH(good));
    tcase_add_loop_test(tc, not_found, 0, LENGTH(bad));
    tcase_add_loop_test(tc, blind_ones, 0, LENGTH(blind));
    tcase_add_test(tc, very_many);
    suite_add_tcase(s, tc);
    return s;
}
