/* header: what is added, what is dropped, and that nothing else changes. */
#include <config.h>

#include <string.h>

#include "common/buf.h"
#include "common/msgid.h"
#include "sendmail/header.h"
#include "tests/unit/unit.h"

static const struct msgid id = { "1tDabc-0001Xy-2c" };

static const struct header_facts facts = {
    .id = &id, .hostname = "h.example", .user = "ann", .uid = 1000, .at = { 1795232349000 },
    .from = "ann@d.example", .full_name = "Ann B. User", .only_rcpt = NULL
};

#define RECEIVED "Received: from ann (uid 1000)\n\tby h.example (abide " PACKAGE_VERSION ") id 1tDabc-0001Xy-2c;\n" \
    "\tSat, 21 Nov 2026 03:39:09 +0000\n"
#define DATE "Date: Sat, 21 Nov 2026 03:39:09 +0000\n"
#define FROM "From: \"Ann B. User\" <ann@d.example>\n"
#define ID "Message-ID: <1tDabc-0001Xy-2c@h.example>\n"
#define RESENT_DATE "Resent-" DATE
#define RESENT_FROM "Resent-" FROM
#define RESENT_ID "Resent-Message-ID: <1tDabc-0001Xy-2c-resent@h.example>\n"
#define ALL "Date: d\nFrom: f@x\nMessage-ID: <i@x>\n"

/* Every WANT begins with RECEIVED and ends with the empty line. */
static const struct {
    const char *name, *in, *want;
} cases[] = {
    { "nothing", "", DATE FROM ID },
    { "nothing lacks", ALL, ALL },
    { "other fields, any order", "Subject: s\nTo: a@x\n", "Subject: s\nTo: a@x\n" DATE FROM ID },
    { "From lacks", "Date: d\nMessage-ID: <i@x>\n", "Date: d\nMessage-ID: <i@x>\n" FROM },
    { "Date lacks", "From: f@x\nmessage-id: <i@x>\n", "From: f@x\nmessage-id: <i@x>\n" DATE },
    { "empty ones count as lacking", "Date: \nFrom:\nMessage-ID:\n \nSubject: s\n", "Subject: s\n" DATE FROM ID },
    { "two From, one of them empty", "From: a@x\nFrom: \nDate: d\nMessage-ID: <i>\n", "From: a@x\nDate: d\nMessage-ID: <i>\n" },
    { "two From stay", "From: a@x\nFrom: b@x\nDate: d\nMessage-ID: <i>\n",
        "From: a@x\nFrom: b@x\nDate: d\nMessage-ID: <i>\n" },
    { "Bcc goes", "Bcc: a@x\n" ALL "BCC: b@x,\n c@x\n", ALL },
    { "Return-Path and Content-Length go", "Return-Path: <a@x>\ncontent-length: 7\n" ALL, ALL },
    { "what only looks like them stays", "X-Bcc: a\nBcc2: b\nReturn-Path-X: c\nStatus: RO\n" ALL,
        "X-Bcc: a\nBcc2: b\nReturn-Path-X: c\nStatus: RO\n" ALL },
    { "folding, blanks and 8 bit stay", "Subject:  a\n\t b \xfc\nX:y\n" ALL, "Subject:  a\n\t b \xfc\nX:y\n" ALL },
    { "a blank before the colon goes", "To : a@x\nCc\t:b@x,\n c@x\n" ALL, "To: a@x\nCc:b@x,\n c@x\n" ALL },
    { "resent", ALL "Resent-To: r@x\n", RESENT_DATE RESENT_FROM RESENT_ID ALL "Resent-To: r@x\n" },
    { "resent, From given", ALL "Resent-From: r@x\nResent-To: t@x\n", RESENT_DATE RESENT_ID ALL "Resent-From: r@x\nResent-To: t@x\n" },
    { "resent, Bcc goes", ALL "Resent-Bcc: r@x\nResent-Date: d\nResent-From: f\nResent-Message-ID: <i>\n",
        ALL "Resent-Date: d\nResent-From: f\nResent-Message-ID: <i>\n" },
    { "resent, and the rest lacks too", "Resent-To: r@x\n", RESENT_DATE RESENT_FROM RESENT_ID "Resent-To: r@x\n" DATE FROM ID },
};

START_TEST(completed)
{
    struct buf out = BUF_INIT(10000), want = BUF_INIT(10000);

    header_complete(&out, cases[_i].in, strlen(cases[_i].in), &facts);
    (void)buf_printf(&want, "%s%s\n", RECEIVED, cases[_i].want);
    ck_assert_msg(strcmp(out.data, want.data) == 0, "%s: got\n%s", cases[_i].name, out.data);
    buf_fini(&out);
    buf_fini(&want);
}
END_TEST

static const struct {
    const char *name, *full_name, *from, *want;
} froms[] = {
    { "none", "", "a@x", "From: a@x\n" },
    { "atoms", "Ann User", "a@x", "From: Ann User <a@x>\n" },
    { "quotes and comma", "Joe, \"X\" (y)", "a@x", "From: \"Joe, \\\"X\\\" (y)\" <a@x>\n" },
    { "newline", "Joe\nBcc: evil@x", "a@x", "From: \"Joe Bcc: evil@x\" <a@x>\n" },
    { "8 bit", "M\xc3\xbcller", "a@x", "From: =?utf-8?q?M=C3=BCller?= <a@x>\n" },
    { "blanks only", " \n ", "a@x", "From: a@x\n" },
    { "long", "Somebody with a name that fills the better part of a line", "somebody@example.org",
        "From: Somebody with a name that fills the better part of a line\n <somebody@example.org>\n" },
};

START_TEST(from_made)
{
    struct header_facts f = facts;
    struct buf out = BUF_INIT(10000);
    const char *from;

    f.full_name = froms[_i].full_name;
    f.from = froms[_i].from;
    header_complete(&out, "Date: d\nMessage-ID: <i>\n", 24, &f);
    from = strstr(out.data, "From:");
    ck_assert_msg(strncmp(from, froms[_i].want, strlen(froms[_i].want)) == 0, "%s: got %s", froms[_i].name, from);
    ck_assert_str_eq(from + strlen(froms[_i].want), "\n");
    buf_fini(&out);
}
END_TEST

START_TEST(received_for)
{
    struct header_facts f = facts;
    struct buf out = BUF_INIT(10000);
    char longest[1000];

    f.only_rcpt = "b@y";
    header_complete(&out, "", 0, &f);
    ck_assert_ptr_nonnull(strstr(out.data, "id 1tDabc-0001Xy-2c\n\tfor <b@y>;\n\tSat, 21"));
    buf_clear(&out);
    memset(longest, 'a', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    f.only_rcpt = longest;
    header_complete(&out, "", 0, &f);
    ck_assert_ptr_null(strstr(out.data, "for"));
    buf_fini(&out);
}
END_TEST

START_TEST(questions)
{
    static const char text[] = "Received: a\nX: b\nreceived : c\n\td\nReceivedx: e\nTo: f\n";

    ck_assert_uint_eq(header_received(text, sizeof(text) - 1), 2);
    ck_assert_uint_eq(header_received("", 0), 0);
    ck_assert(!header_resent(text, sizeof(text) - 1));
    ck_assert(header_resent("X: y\nresent-date: z\n", 20));
    ck_assert(!header_resent("Resent: x\n", 10));
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("header");
    TCase *tc = tcase_create("header");

    tcase_add_loop_test(tc, completed, 0, LENGTH(cases));
    tcase_add_loop_test(tc, from_made, 0, LENGTH(froms));
    tcase_add_test(tc, received_for);
    tcase_add_test(tc, questions);
    suite_add_tcase(s, tc);
    return s;
}
