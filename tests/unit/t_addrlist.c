/* addrlist: what an address list means, from the standard's examples to what mailers really write. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "sendmail/addrlist.h"
#include "tests/unit/unit.h"

/* Addresses joined by '|'; what could not be read stands in square brackets. */
static void join(const char *text, size_t len, char *out, size_t size)
{
    struct addrlist a;
    enum addrlist_got got;

    out[0] = '\0';
    addrlist_init(&a, text, len);
    while ((got = addrlist_next(&a)) != ADDRLIST_END) {
        if (out[0] != '\0')
            strlcat(out, "|", size);
        if (got == ADDRLIST_ADDRESS) {
            strlcat(out, a.address, size);
        } else {
            size_t at = strlen(out);

            ck_assert_uint_lt(at + a.text_len + 3, size);
            ck_assert(a.text >= text && a.text + a.text_len <= text + len);
            out[at] = '[';
            memcpy(out + at + 1, a.text, a.text_len);
            strlcpy(out + at + 1 + a.text_len, "]", size - at - 1 - a.text_len);
        }
    }
}

static const struct {
    const char *name, *in, *out;
} cases[] = {
    { "nothing", "", "" },
    { "blanks only", " \t\n ", "" },
    { "one", "a@x.example", "a@x.example" },
    { "a bare name", "root", "root" },
    { "two", "a@x, b@y", "a@x|b@y" },
    { "no blank behind the comma", "a@x,b@y", "a@x|b@y" },
    { "folded over three lines", "a@x,\n b@y,\n\tc@z", "a@x|b@y|c@z" },
    { "a fold before the comma", "a@x\n , b@y", "a@x|b@y" },
    { "empty elements", ",, a@x,,b@y ,", "a@x|b@y" },
    { "angle brackets", "<a@x>", "a@x" },
    { "display name", "Joe Q. Public <john.q.public@example.com>", "john.q.public@example.com" },
    { "display name in quotes, with a comma", "\"Doe, Jane\" <jane@x>, b@y", "jane@x|b@y" },
    { "display name with an escaped quote", "\"J \\\"x\\\" D, E\" <j@x>", "j@x" },
    { "display name that looks like an address", "joe@x.example <joe@x.example>", "joe@x.example" },
    { "display name that looks like two", "a@x b@y <c@z>", "c@z" },
    { "encoded words", "=?utf-8?q?M=C3=BCller=2C?= <m@x>", "m@x" },
    { "8-bit display name", "M\xc3\xbcller <m@x>", "m@x" },
    { "comment behind", "a@x (Joe, Esq.)", "a@x" },
    { "comment before", "(Joe, Esq.) a@x", "a@x" },
    { "comments within", "a(1)@(2)x(3).example(4)", "a@x.example" },
    { "nested comment with escapes", "a@x (one (two \\) three) four), b@y", "a@x|b@y" },
    { "the RFC's own", "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "pete@silly.test" },
    { "blanks around dots and at (4.4)", "a . b @ x . example", "a.b@x.example" },
    { "group", "Team: a@x, Bob <b@y>;, c@z", "a@x|b@y|c@z" },
    { "empty group", "undisclosed-recipients:;", "" },
    { "empty group, then one", "undisclosed-recipients:; a@x", "a@x" },
    { "quoted group name", "\"A, B: C\": a@x;, b@y", "a@x|b@y" },
    { "group that does not end", "Team: a@x, b@y", "a@x|b@y" },
    { "semicolons separate", "a@x; b@y;", "a@x|b@y" },
    { "blanks separate", "a@x b@y\tc@z", "a@x|b@y|c@z" },
    { "blanks separate bracketed ones", "<a@x> <b@y>", "a@x|b@y" },
    { "route", "<@r.example:a@x>", "a@x" },
    { "route over two", "<@r1,@r2:a@x>, b@y", "a@x|b@y" },
    { "quoted local part", "\"a b,c\"@x", "\"a b,c\"@x" },
    { "quotes without need", "\"ab\"@x", "ab@x" },
    { "quoted local part in brackets", "<\"a b\"@x>", "\"a b\"@x" },
    { "fold in a quoted local part", "\"a\n b\"@x", "\"a b\"@x" },
    { "literal", "a@[127.0.0.1]", "a@[127.0.0.1]" },
    { "IPv6 literal", "a@[IPv6:::1], b@y", "a@[ipv6:::1]|b@y" },
    { "final dot", "a@x.example.", "a@x.example" },
    { "upper case", "A@X.Example", "A@x.example" },
    { "pipe, file: opaque", "|cmd, /file", "|cmd|/file" },
    { "plus, percent, bang", "a+b@x, a%b@x, a!b@x", "a+b@x|a%b@x|a!b@x" },
    { "hyphen alone", "-", "-" },

    { "two bare words", "Joe Smith", "[Joe Smith]" },
    { "a bare word behind an address", "a@x root", "a@x|[root]" },
    { "two at", "a@@x", "[a@@x]" },
    { "two domains", "a@x@y", "[a@x@y]" },
    { "bad among good", "a@x, b@@y, c@z", "a@x|[b@@y]|c@z" },
    { "no local part", "@x, b@y", "[@x]|b@y" },
    { "no domain", "a@, b@y", "[a@]|b@y" },
    { "null path", "<>", "[<>]" },
    { "two in one pair of brackets", "<a@x b@y>", "[<a@x b@y>]" },
    { "bracket that does not close", "<a@x, b@y", "[<a@x, b@y]" },
    { "bracket that does not open", "a@x>, b@y", "[a@x>]|b@y" },
    { "quote that does not close", "a@x, \"b@y, c@z", "a@x|[\"b@y, c@z]" },
    { "comment that does not close", "a@x, b@y (c, d", "a@x|[b@y (c, d]" },
    { "include", ":include:/etc/passwd", "[:include:/etc/passwd]" },
    { "an address is no group's name", "a@x:b, c@y", "[a@x:b]|c@y" },
    { "backslash", "a\\b@x", "[a\\b@x]" },
    { "control byte", "a\001b@x, c@y", "[a\001b@x]|c@y" },
    { "DEL", "a\177@x", "[a\177@x]" },
    { "stray parenthesis", "a@x), b@y", "[a@x)]|b@y" },
};

START_TEST(lists)
{
    char out[1000];

    join(cases[_i].in, strlen(cases[_i].in), out, sizeof(out));
    ck_assert_msg(strcmp(out, cases[_i].out) == 0, "%s: got \"%s\", want \"%s\"", cases[_i].name, out, cases[_i].out);
}
END_TEST

/* Every beginning of every case: nothing is read beyond the end. */
START_TEST(cut_anywhere)
{
    for (size_t len = strlen(cases[_i].in); len > 0; len--) {
        char *exact = malloc(len), out[1000];

        ck_assert_ptr_nonnull(exact);
        memcpy(exact, cases[_i].in, len);
        join(exact, len, out, sizeof(out));
        free(exact);
    }
}
END_TEST

START_TEST(address_too_long)
{
    char text[3000], out[4000];

    memset(text, 'a', sizeof(text));
    memcpy(text + 2000, "@x, b@y", 7);
    join(text, 2007, out, sizeof(out));
    ck_assert_str_eq(out + strlen(out) - 4, "|b@y");
    ck_assert(out[0] == '[');
}
END_TEST

static size_t count(const char *text, size_t len)
{
    struct addrlist a;
    size_t n = 0;

    addrlist_init(&a, text, len);
    while (addrlist_next(&a) != ADDRLIST_END)
        n++;
    return n;
}

/* A megabyte of what invites to look twice takes no longer than it must. */
static const struct {
    const char *name, *unit;
    size_t want;                        /* 0: not looked at */
} long_cases[] = {
    { "commas", "a@x,", 250000 },
    { "blanks", "a@x ", 250000 },
    { "open comments", "(", 1 },
    { "closed comments", "()", 0 },
    { "open quotes", "\"a", 0 },
    { "open brackets", "<", 0 },
    { "groups", "a:", 0 },
    { "empty elements", ",", 0 },
    { "escapes", "\\", 0 },
    { "dots", ".", 0 },
    { "ats", "@", 0 },
    { "angles", "a <b@c>", 0 },
};

START_TEST(linear_time)
{
    size_t len = 1000000, unit = strlen(long_cases[_i].unit), n;
    char *text = malloc(len);

    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < len; i++)
        text[i] = long_cases[_i].unit[i % unit];
    n = count(text, len);
    ck_assert_msg(long_cases[_i].want == 0 || n == long_cases[_i].want, "%s: %zu", long_cases[_i].name, n);
    free(text);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("addrlist");
    TCase *tc = tcase_create("addrlist");

    tcase_add_loop_test(tc, lists, 0, LENGTH(cases));
    tcase_add_loop_test(tc, cut_anywhere, 0, LENGTH(cases));
    tcase_add_test(tc, address_too_long);
    tcase_add_loop_test(tc, linear_time, 0, LENGTH(long_cases));
    suite_add_tcase(s, tc);
    return s;
}
