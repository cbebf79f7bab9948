/* address: what users write comes out in one spelling, or not at all. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/address.h"
#include "common/err.h"
#include "tests/unit/mutate.h"
#include "tests/unit/unit.h"

static const struct { const char *name, *in, *out; } valid[] = {
    { "plain", "user@example.org", "user@example.org" },
    { "in brackets", "<user@example.org>", "user@example.org" },
    { "null reverse-path", "<>", "" },
    { "null with blanks", " < > ", "" },
    { "without a domain", "root", "root" },
    { "without a domain, in brackets", "<root>", "root" },
    { "domain in lower case", "User@EXAMPLE.Org", "User@example.org" },
    { "trailing dot", "user@example.org.", "user@example.org" },
    { "source route", "<@a.example,@b.example:user@example.org>", "user@example.org" },
    { "source route without brackets", "@a.example:user@example.org", "user@example.org" },
    { "blanks around", "  \tuser@example.org\t ", "user@example.org" },
    { "comments around", "(one) user@example.org (t(w)o \\) )", "user@example.org" },
    { "comments inside", "user (me) @ (at) example (dot) . org", "user@example.org" },
    { "needless quotes", "\"user\"@example.org", "user@example.org" },
    { "needed quotes", "\"q s\"@d.example", "\"q s\"@d.example" },
    { "at in quotes", "\"a@b\"@d.example", "\"a@b\"@d.example" },
    { "greater in quotes", "<\"a>b\"@d.example>", "\"a>b\"@d.example" },
    { "escapes in quotes", "\"a\\\"b\\\\c\\d\"@d.example", "\"a\\\"b\\\\cd\"@d.example" },
    { "quoted without a domain", "\"a@b\"", "\"a@b\"" },
    { "quoted words with dots", "\"a\".\"b c\".d@d.example", "\"a.b c.d\"@d.example" },
    { "backslash of RFC 821", "Joe\\@home@d.example", "\"Joe@home\"@d.example" },
    { "two dots", "a..b@docomo.example", "\"a..b\"@docomo.example" },
    { "dot at the end", "a.@docomo.example", "\"a.\"@docomo.example" },
    { "dot in front", ".a@d.example", "\".a\"@d.example" },
    { "all of atext", "!#$%&'*+-/=?^_`{|}~@d.example", "!#$%&'*+-/=?^_`{|}~@d.example" },
    { "uucp and percent", "host!user%other@d.example", "host!user%other@d.example" },
    { "verp", "list-bounces+user=example.org@lists.example", "list-bounces+user=example.org@lists.example" },
    { "IPv4 literal", "u@[192.0.2.1]", "u@[192.0.2.1]" },
    { "IPv6 literal", "u@[IPv6:2001:DB8::1]", "u@[ipv6:2001:db8::1]" },
    { "UTF-8", "\303\266@b\303\274cher.example", "\303\266@b\303\274cher.example" },
    { "8-bit local part", "\374@example.org", "\374@example.org" },
    { "underscore in domain", "u@a_b.example.org", "u@a_b.example.org" },
    { "one label", "u@localhost", "u@localhost" },
};

static int parse(const char *in, size_t len, char out[ADDRESS_MAX], struct err *e)
{
    char *exact = malloc(len == 0 ? 1 : len);
    int rc;

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, in, len);
    rc = address_parse(exact, len, out, e);
    free(exact);
    return rc;
}

START_TEST(valid_ones)
{
    char out[ADDRESS_MAX], again[ADDRESS_MAX];
    const char *name = valid[_i].name;
    struct err e = { 0 };

    ck_assert_msg(parse(valid[_i].in, strlen(valid[_i].in), out, &e) == 0, "%s: %s", name, e.text);
    ck_assert_msg(strcmp(out, valid[_i].out) == 0, "%s: %s", name, out);
    if (out[0] == '\0')
        return;
    ck_assert_msg(parse(out, strlen(out), again, &e) == 0 && strcmp(out, again) == 0, "%s: not canonical", name);
}
END_TEST

static const struct { const char *name, *in; size_t len; } invalid[] = {
    { "empty", "", 0 },
    { "blank", "  ", 2 },
    { "comment only", "(x)", 3 },
    { "empty local part", "@example.org", 12 },
    { "empty local part in brackets", "<@example.org>", 14 },
    { "empty quotes", "\"\"@example.org", 14 },
    { "empty domain", "u@", 2 },
    { "two addresses", "a@b.example c@d.example", 23 },
    { "two addresses, comma", "a@b.example,c@d.example", 23 },
    { "two in brackets", "<a@b.example><c@d.example>", 26 },
    { "two at", "a@b@c.example", 13 },
    { "two words", "john doe@example.org", 20 },
    { "display name", "John <a@b.example>", 18 },
    { "bracket not closed", "<a@b.example", 12 },
    { "bracket not opened", "a@b.example>", 12 },
    { "behind the bracket", "<a@b.example> SIZE=1", 20 },
    { "newline", "a@b.example\nRCPT", 16 },
    { "newline in quotes", "\"a\nb\"@b.example", 15 },
    { "carriage return", "a@b.example\r", 12 },
    { "tab in quotes", "\"a\tb\"@b.example", 15 },
    { "NUL", "a\0b@b.example", 13 },
    { "NUL in a comment", "(\0)a@b.example", 14 },
    { "delete", "a\177@b.example", 12 },
    { "quote not closed", "\"a@b.example", 12 },
    { "backslash at the end", "a\\", 2 },
    { "quote and backslash at the end", "\"a\\", 3 },
    { "comment not closed", "a@b.example (x", 14 },
    { "comment ends in a backslash", "a@b.example (\\", 14 },
    { "special in local part", "a;b@c.example", 13 },
    { "atom beside quotes", "a\"b\"@c.example", 14 },
    { "two dots in domain", "u@a..b", 6 },
    { "dot begins domain", "u@.a", 4 },
    { "hyphen begins label", "u@-a.b", 6 },
    { "hyphen ends label", "u@a-.b", 6 },
    { "slash in domain", "u@../../etc", 11 },
    { "colon in domain", "u@a:b", 5 },
    { "literal not closed", "u@[192.0.2.1", 12 },
    { "literal of five", "u@[192.0.2.1.5]", 15 },
    { "literal of letters", "u@[example]", 11 },
    { "literal empty", "u@[]", 4 },
    { "IPv6 literal wrong", "u@[IPv6:1::2::3]", 16 },
    { "IPv6 literal without a tag", "u@[2001:db8::1]", 15 },
    { "bad UTF-8 in domain", "u@\303(.example", 13 },
    { "route only", "<@a.example:>", 13 },
    { "route to null", "<@a.example:@b.example>", 23 },
};

START_TEST(invalid_ones)
{
    char out[ADDRESS_MAX] = "x";
    struct err e = { 0 };

    ck_assert_msg(parse(invalid[_i].in, invalid[_i].len, out, &e) == -1, "%s: gives %s", invalid[_i].name, out);
    ck_assert_msg(e.class == EX_DATAERR && e.text[0] != '\0', "%s: class %d", invalid[_i].name, e.class);
    ck_assert_msg(out[0] == '\0', "%s: leaves %s", invalid[_i].name, out);
}
END_TEST

START_TEST(lengths)
{
    char in[2 * ADDRESS_MAX], out[ADDRESS_MAX];

    memset(in, 'a', sizeof(in));
    ck_assert_int_eq(parse(in, ADDRESS_MAX - 1, out, NULL), 0);
    ck_assert_uint_eq(strlen(out), ADDRESS_MAX - 1);
    ck_assert_int_eq(parse(in, ADDRESS_MAX, out, NULL), -1);
    memset(in, '"', sizeof(in));
    ck_assert_int_eq(parse(in, sizeof(in), out, NULL), -1);
    memset(in, '(', sizeof(in));
    ck_assert_int_eq(parse(in, sizeof(in), out, NULL), -1);
    memcpy(in, "u@", 2);
    memset(in + 2, 'a', sizeof(in) - 2);
    ck_assert_int_eq(parse(in, 2 + 63, out, NULL), 0);
    ck_assert_int_eq(parse(in, 2 + 64, out, NULL), -1);
    for (size_t i = 2 + 63; i < sizeof(in); i += 64)
        in[i] = '.';
    ck_assert_int_eq(parse(in, 2 + 255, out, NULL), 0);
    ck_assert_int_eq(parse(in, 2 + 255 + 2, out, NULL), -1);
}
END_TEST

static const struct { const char *address, *domain; } domains[] = {
    { "u@d.example", "d.example" },
    { "u", NULL },
    { "", NULL },
    { "\"a@b\"", NULL },
    { "\"a@b\\\"@c\"@d.example", "d.example" },
    { "u@[192.0.2.1]", "[192.0.2.1]" },
};

START_TEST(domain_of)
{
    const char *d = address_domain(domains[_i].address), *want = domains[_i].domain;

    ck_assert_msg(d == NULL || want == NULL ? d == want : strcmp(d, want) == 0, "%s", domains[_i].address);
}
END_TEST

static const struct { const char *a, *b; bool equal; } pairs[] = {
    { "u@d.example", "u@D.Example", true },
    { "u@d.example", "U@d.example", false },
    { "u@d.example", "u@e.example", false },
    { "u@d.example", "u", false },
    { "u", "u", true },
    { "u", "U", false },
    { "", "", true },
    { "uu@d", "u@du", false },
};

START_TEST(equal_ones)
{
    ck_assert_msg(address_equal(pairs[_i].a, pairs[_i].b) == pairs[_i].equal, "%s %s", pairs[_i].a, pairs[_i].b);
    ck_assert_msg(address_equal(pairs[_i].b, pairs[_i].a) == pairs[_i].equal, "%s %s", pairs[_i].b, pairs[_i].a);
}
END_TEST

/* 63 characters of two bytes are one label; one more is too many. */
START_TEST(utf8_label)
{
    char label[2 * 64 + 1];

    for (int i = 0; i < 64; i++)
        memcpy(label + 2 * i, "\303\274", 2);
    label[2 * 64] = '\0';
    ck_assert(!address_domain_valid(label));
    label[2 * 63] = '\0';
    ck_assert(address_domain_valid(label));
    ck_assert(!address_domain_valid("a b") && !address_domain_valid("a."));
}
END_TEST

START_TEST(long_input_in_linear_time)
{
    const size_t len = 4 * 1024 * 1024;
    char *in = malloc(len), out[ADDRESS_MAX];

    ck_assert_ptr_nonnull(in);
    for (const char *c = "( <@\"\\.a"; *c != '\0'; c++) {
        memset(in, *c, len);
        (void)address_parse(in, len, out, NULL);
    }
    free(in);
}
END_TEST

START_TEST(mutations)
{
    struct mutator m = { 821 };
    unsigned good = 0;

    for (int i = 0; i < MUTATIONS; i++) {
        size_t len;
        char out[ADDRESS_MAX], again[ADDRESS_MAX];
        const char *from = valid[mutator_pick(&m, LENGTH(valid))].in;
        char *in = mutate(&m, from, strlen(from), &len);

        if (address_parse(in, len, out, NULL) == 0 && out[0] != '\0') {
            const char *d = address_domain(out);

            good++;
            for (const char *p = out; *p != '\0'; p++)
                ck_assert_msg((unsigned char)*p >= ' ' && *p != 0x7f, "a control byte in %s", out);
            ck_assert_msg(parse(out, strlen(out), again, NULL) == 0, "not read again: %s", out);
            ck_assert_str_eq(out, again);
            ck_assert_msg(d == NULL || address_domain_valid(d), "domain of %s", out);
            ck_assert(address_equal(out, again));
        }
        free(in);
    }
    ck_assert_msg(good > MUTATIONS / 10 && good < MUTATIONS, "%u were still addresses", good);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("address");
    TCase *tc = tcase_create("address");

    tcase_add_loop_test(tc, valid_ones, 0, LENGTH(valid));
    tcase_add_loop_test(tc, invalid_ones, 0, LENGTH(invalid));
    tcase_add_test(tc, lengths);
    tcase_add_loop_test(tc, domain_of, 0, LENGTH(domains));
    tcase_add_loop_test(tc, equal_ones, 0, LENGTH(pairs));
    tcase_add_test(tc, utf8_label);
    tcase_add_test(tc, long_input_in_linear_time);
    tcase_add_test(tc, mutations);
    suite_add_tcase(s, tc);
    return s;
}
