/* what: words that name mail, and what they name; tool_clean: nothing of a stranger's reaches the terminal but text. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "spooler/tool/tool.h"
#include "spooler/tool/what.h"
#include "tests/unit/mutate.h"
#include "tests/unit/unit.h"

static const struct { const char *name, *text; int kind; const char *dir; } cases[] = {
    { "all", "all", WHAT_ALL, "" },
    { "an ID", "1tDabc-0001Xy-2c", WHAT_ID, "" },
    { "nearly an ID", "1tDabc-0001Xy-2", WHAT_DOMAIN, "1tdabc-0001xy-2" },
    { "a domain", "Example.NET", WHAT_DOMAIN, "example.net" },
    { "a domain with its dot", "example.net.", WHAT_DOMAIN, "example.net" },
    { "a U-label", "b\xc3\xbc" "cher.example", WHAT_DOMAIN, "xn--bcher-kva.example" },
    { "an address literal", "[192.0.2.1]", WHAT_DOMAIN, "[192.0.2.1]" },
    { "one label", "localhost", WHAT_DOMAIN, "localhost" },
    { "an address", "Bob@Example.NET", WHAT_ADDRESS, "example.net" },
    { "a path", "<bob@example.net>", WHAT_ADDRESS, "example.net" },
    { "a quoted one", "\"a@b\"@example.net", WHAT_ADDRESS, "example.net" },
    { "nothing", "", -1, "" },
    { "a blank", "a b", -1, "" },
    { "a path upwards", "..", -1, "" },
    { "a slash", "a/b", -1, "" },
    { "no domain", "bob@", -1, "" },
    { "no local part", "@example.net", -1, "" },
    { "the null sender", "<>", -1, "" },
    { "a line end", "example.net\n", -1, "" },
    { "two", "a@example.net,b@example.net", -1, "" },
};

START_TEST(parsed)
{
    struct err e = { 0 };
    struct what w;
    int r = what_parse(cases[_i].text, &w, &e);

    ck_assert_msg((r == 0) == (cases[_i].kind != -1), "%s: %d %s", cases[_i].name, r, e.text);
    ck_assert_msg(r == 0 || e.class == EX_USAGE, "%s: class %d", cases[_i].name, e.class);
    ck_assert_msg(r != 0 || ((int)w.kind == cases[_i].kind && strcmp(w.dir, cases[_i].dir) == 0), "%s: %d %s", cases[_i].name, (int)w.kind, w.dir);
}
END_TEST

static const struct { const char *name, *what, *rcpt; bool want; } matches[] = {
    { "domain", "example.net", "bob@example.net", true },
    { "domain in capitals", "example.net", "bob@EXAMPLE.net", true },
    { "a domain below", "example.net", "bob@a.example.net", false },
    { "the other spelling", "xn--bcher-kva.example", "a@b\xc3\xbc" "cher.example", true },
    { "address", "bob@example.net", "bob@example.net", true },
    { "local parts have cases", "bob@example.net", "Bob@example.net", false },
    { "longer local part", "bob@example.net", "bobby@example.net", false },
    { "quotes that are not needed", "\"bob\"@example.net", "bob@example.net", true },
    { "no domain", "bob@example.net", "bob", false },
    { "all is no recipient", "all", "bob@example.net", false },
    { "nor is an ID", "1tDabc-0001Xy-2c", "bob@example.net", false },
    { "no valid domain", "example.net", "bob@-", false },
};

START_TEST(recipients)
{
    struct what w;

    ck_assert_int_eq(what_parse(matches[_i].what, &w, NULL), 0);
    ck_assert_msg(what_is_recipient(&w, matches[_i].rcpt) == matches[_i].want, "%s", matches[_i].name);
}
END_TEST

START_TEST(directories)
{
    struct msgid id = { "1tDabc-0001Xy-2c" }, other = { "1tDabc-0001Xy-2d" };
    struct what all, one, domain;

    ck_assert(what_parse("all", &all, NULL) == 0 && what_parse(id.s, &one, NULL) == 0 && what_parse("example.net", &domain, NULL) == 0);
    ck_assert(what_in_dir(&all, "example.net") && what_in_dir(&one, "example.net") && what_in_dir(&domain, "example.net"));
    ck_assert(what_in_dir(&all, "example.org") && what_in_dir(&one, "%") && !what_in_dir(&domain, "example.org"));
    ck_assert(what_is_id(&all, &other) && what_is_id(&one, &id) && !what_is_id(&one, &other) && !what_is_id(&domain, &id));
}
END_TEST

static const struct { const char *name, *in, *want; } texts[] = {
    { "plain", "bob@example.net", "bob@example.net" },
    { "UTF-8", "b\xc3\xa4@\xe2\x82\xac", "b\xc3\xa4@\xe2\x82\xac" },
    { "escape", "a\033[2Jb\n\t\177", "a?[2Jb???" },
    { "C1 in UTF-8", "a\xc2\x9b" "2Jb\xc2\xa0", "a?2Jb\xc2\xa0" },
    { "Latin-1", "a\xe4\x9b", "a??" },
    { "cut", "0123456789abcdefgh", "0123456789abcde" },
    { "cut before a character", "0123456789abcd\xc3\xa4", "0123456789abcd" },
};

START_TEST(cleaned)
{
    char out[16];

    ck_assert_msg(strcmp(tool_clean(texts[_i].in, out, sizeof(out)), texts[_i].want) == 0, "%s: %s", texts[_i].name, out);
}
END_TEST

START_TEST(mutations)
{
    struct mutator m = { 7 };

    for (int i = 0; i < MUTATIONS; i++) {
        char *in = mutate_string(&m, cases[mutator_pick(&m, LENGTH(cases))].text);
        struct what w;

        if (what_parse(in, &w, NULL) == 0)
            ck_assert_msg(strchr(w.dir, '/') == NULL && w.dir[0] != '.', "%s", in);
        free(in);
    }
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("what");
    TCase *tc = tcase_create("what");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, parsed, 0, LENGTH(cases));
    tcase_add_loop_test(tc, recipients, 0, LENGTH(matches));
    tcase_add_test(tc, directories);
    tcase_add_loop_test(tc, cleaned, 0, LENGTH(texts));
    tcase_add_test(tc, mutations);
    suite_add_tcase(s, tc);
    return s;
}
