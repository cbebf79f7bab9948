/* err: one sentence, whole where it counts, harmless on a terminal. */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "common/err.h"
#include "tests/unit/unit.h"

START_TEST(sentence)
{
    struct err e = { .sys = 5 };

    errno = ENOENT;
    ck_assert_int_eq(err_set(&e, EX_USAGE, "no such %s", "option"), -1);
    ck_assert_str_eq(e.text, "no such option");
    ck_assert_int_eq(e.class, EX_USAGE);
    ck_assert_int_eq(e.sys, 0);
    ck_assert_int_eq(err_at(&e, "line %d", 7), -1);
    ck_assert_str_eq(e.text, "line 7: no such option");
    ck_assert_int_eq(e.class, EX_USAGE);
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(with_errno)
{
    struct err e;

    errno = ENOENT;
    ck_assert_int_eq(err_sys(&e, EX_NOINPUT, "open %s", "x"), -1);
    ck_assert_str_eq(e.text, "open x: No such file or directory");
    ck_assert_int_eq(e.sys, ENOENT);
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

/* However long the rest, errno's words are not what is cut. */
START_TEST(too_long)
{
    char name[2000];
    struct err e;

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    errno = ENOSPC;
    (void)err_sys(&e, EX_IOERR, "write %s", name);
    ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
    ck_assert_ptr_nonnull(strstr(e.text, "x: No space left on device"));
    (void)err_at(&e, "%s", name);
    ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
    (void)err_set(&e, EX_IOERR, "%s", name);
    ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
}
END_TEST

START_TEST(foreign_bytes)
{
    struct err e;

    (void)err_set(&e, EX_DATAERR, "bad %s", "a\nb\033[2J\177\303\266");
    ck_assert_str_eq(e.text, "bad a?b?[2J?\303\266");
}
END_TEST

START_TEST(not_wanted)
{
    errno = EIO;
    ck_assert_int_eq(err_set(NULL, EX_IOERR, "%s", "x"), -1);
    ck_assert_int_eq(err_sys(NULL, EX_IOERR, "%s", "x"), -1);
    ck_assert_int_eq(err_at(NULL, "%s", "x"), -1);
    ck_assert_int_eq(errno, EIO);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("err");
    TCase *tc = tcase_create("err");

    tcase_add_test(tc, sentence);
    tcase_add_test(tc, with_errno);
    tcase_add_test(tc, too_long);
    tcase_add_test(tc, foreign_bytes);
    tcase_add_test(tc, not_wanted);
    suite_add_tcase(s, tc);
    return s;
}
