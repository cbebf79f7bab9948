/* buf: grows, stops at its maximum, and stays failed until cleared. */
#include <config.h>

#include <stdint.h>
#include <string.h>

#include "common/buf.h"
#include "tests/unit/unit.h"

START_TEST(empty_is_valid)
{
    struct buf b = BUF_INIT(10);

    ck_assert(buf_ok(&b));
    ck_assert_ptr_null(b.data);
    ck_assert(buf_str(&b, ""));
    ck_assert_msg(b.data != NULL && b.data[0] == '\0', "an empty string added makes an empty string");
    buf_consume(&b, 0);
    buf_fini(&b);
    buf_fini(&b);
    ck_assert_uint_eq(b.max, 10);
}
END_TEST

START_TEST(bytes_follow_each_other)
{
    struct buf b = BUF_INIT(1000);

    ck_assert(buf_str(&b, "one ") && buf_char(&b, 't') && buf_add(&b, "wo\0", 3) && buf_printf(&b, " %d%s", 3, "!"));
    ck_assert_uint_eq(b.len, 11);
    ck_assert_int_eq(memcmp(b.data, "one two\0 3!", 12), 0);
    buf_consume(&b, 4);
    ck_assert_str_eq(b.data, "two");
    buf_consume(&b, b.len + 1);
    ck_assert_uint_eq(b.len, 0);
    ck_assert_str_eq(b.data, "");
    buf_fini(&b);
}
END_TEST

/* Each way of adding one byte too much leaves what was there. */
START_TEST(maximum_is_hard)
{
    struct buf b = BUF_INIT(4);

    ck_assert(buf_str(&b, "abcd"));
    if (_i == 0)
        ck_assert(!buf_char(&b, 'e'));
    else if (_i == 1)
        ck_assert(!buf_printf(&b, "%s", "e"));
    else
        ck_assert(!buf_add(&b, "e", SIZE_MAX));
    ck_assert_str_eq(b.data, "abcd");
    ck_assert_msg(!buf_ok(&b) && !buf_str(&b, ""), "failure is sticky");
    buf_clear(&b);
    ck_assert(buf_ok(&b));
    ck_assert_str_eq(b.data, "");
    ck_assert(buf_str(&b, "xyz"));
    ck_assert_str_eq(b.data, "xyz");
    buf_fini(&b);
}
END_TEST

START_TEST(no_maximum_set_holds_nothing)
{
    struct buf b = { 0 };

    ck_assert(!buf_char(&b, 'a'));
    ck_assert_uint_eq(b.len, 0);
    buf_fini(&b);
}
END_TEST

START_TEST(grows_to_the_last_byte)
{
    struct buf b = BUF_INIT(100003);

    for (int i = 0; i < 100003; i++)
        ck_assert(buf_char(&b, (char)('a' + i % 26)));
    ck_assert(!buf_char(&b, 'z'));
    ck_assert_uint_eq(strlen(b.data), 100003);
    for (int i = 0; i < 100003; i++)
        ck_assert_int_eq(b.data[i], 'a' + i % 26);
    buf_fini(&b);
}
END_TEST

START_TEST(grows_by_much_at_once)
{
    struct buf b = BUF_INIT(100000);
    char big[10000];

    memset(big, 'x', sizeof(big));
    ck_assert(buf_str(&b, "a") && buf_add(&b, big, sizeof(big)) && buf_printf(&b, "%.*s", (int)sizeof(big), big));
    ck_assert_uint_eq(strspn(b.data + 1, "x"), 2 * sizeof(big));
    buf_fini(&b);
}
END_TEST

START_TEST(maximum_of_all_there_is)
{
    struct buf b = BUF_INIT(SIZE_MAX);

    ck_assert(buf_str(&b, "abc"));
    ck_assert(!buf_add(&b, "", SIZE_MAX - 3));
    buf_fini(&b);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("buf");
    TCase *tc = tcase_create("buf");

    tcase_add_test(tc, empty_is_valid);
    tcase_add_test(tc, bytes_follow_each_other);
    tcase_add_loop_test(tc, maximum_is_hard, 0, 3);
    tcase_add_test(tc, no_maximum_set_holds_nothing);
    tcase_add_test(tc, grows_to_the_last_byte);
    tcase_add_test(tc, grows_by_much_at_once);
    tcase_add_test(tc, maximum_of_all_there_is);
    suite_add_tcase(s, tc);
    return s;
}
