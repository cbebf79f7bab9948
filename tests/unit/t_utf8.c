/* utf8: every character has one form, and nothing else is one. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "tests/unit/unit.h"

static const struct { const char *name, *in; size_t len, want; } cases[] = {
    { "nothing", "", 0, 0 },
    { "ASCII", "a", 1, 1 },
    { "NUL", "\0", 1, 1 },
    { "two bytes", "\303\266", 2, 2 },
    { "three bytes", "\342\202\254", 3, 3 },
    { "four bytes", "\360\237\230\200", 4, 4 },
    { "last character", "\364\217\277\277", 4, 4 },
    { "first of the next", "\303\266\303\266", 4, 2 },
    { "beyond the last", "\364\220\200\200", 4, 0 },
    { "continuation alone", "\200", 1, 0 },
    { "cut after one", "\303", 1, 0 },
    { "cut after three", "\360\237\230", 3, 0 },
    { "not continued", "\303(", 2, 0 },
    { "long form of /", "\300\257", 2, 0 },
    { "longer form of /", "\340\200\257", 3, 0 },
    { "longest form of /", "\360\200\200\257", 4, 0 },
    { "surrogate", "\355\240\200", 3, 0 },
    { "five bytes", "\370\210\200\200\200", 5, 0 },
    { "no first byte", "\377", 1, 0 },
};

START_TEST(first_character)
{
    char *exact = malloc(cases[_i].len == 0 ? 1 : cases[_i].len);

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, cases[_i].in, cases[_i].len);
    ck_assert_msg(utf8_char(exact, cases[_i].len) == cases[_i].want, "%s", cases[_i].name);
    free(exact);
}
END_TEST

START_TEST(whole_strings)
{
    ck_assert(utf8_valid("", 0));
    ck_assert(utf8_valid("a\303\266\342\202\254", 6));
    ck_assert(!utf8_valid("a\303\266\342\202\254", 5));
    ck_assert(!utf8_valid("a\366", 2));
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("utf8");
    TCase *tc = tcase_create("utf8");

    tcase_add_loop_test(tc, first_character, 0, LENGTH(cases));
    tcase_add_test(tc, whole_strings);
    suite_add_tcase(s, tc);
    return s;
}
