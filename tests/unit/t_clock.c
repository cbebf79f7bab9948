/* clock: stamps and dates in any zone, however odd; and time that moves. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "tests/unit/unit.h"

#define FAR INT64_C(253402214399000)

static const struct { const char *name, *zone; int64_t ms; const char *stamp, *date; } cases[] = {
    { "utc", "UTC0", INT64_C(1795227549123), "2026-11-21 02:19:09", "Sat, 21 Nov 2026 02:19:09 +0000" },
    { "west", "XXX5", INT64_C(1795227549123), "2026-11-20 21:19:09", "Fri, 20 Nov 2026 21:19:09 -0500" },
    { "east and a half", "XXX-5:30", INT64_C(1795227549123), "2026-11-21 07:49:09", "Sat, 21 Nov 2026 07:49:09 +0530" },
    { "half an hour west", "XXX0:30", INT64_C(1795227549123), "2026-11-21 01:49:09", "Sat, 21 Nov 2026 01:49:09 -0030" },
    { "seconds in the zone", "XXX-1:00:40", INT64_C(1795227549123), "2026-11-21 03:19:09", "Sat, 21 Nov 2026 03:19:09 +0100" },
    { "no such zone", "Nowhere/At_All", 0, "1970-01-01 00:00:00", "Thu, 1 Jan 1970 00:00:00 +0000" },
    { "a leap day", "UTC0", INT64_C(1709208000000), "2024-02-29 12:00:00", "Thu, 29 Feb 2024 12:00:00 +0000" },
    { "before 1970", "UTC0", -1, "1970-01-01 00:00:00", "Thu, 1 Jan 1970 00:00:00 +0000" },
    { "before 1970 by its zone", "XXX5", 0, "1970-01-01 00:00:00", "Thu, 1 Jan 1970 00:00:00 -0500" },
    { "the last day", "XXX-14", FAR, "9999-12-31 13:59:59", "Fri, 31 Dec 9999 13:59:59 +1400" },
    { "never", "UTC0", CLOCK_NEVER, "9999-12-30 23:59:59", "Thu, 30 Dec 9999 23:59:59 +0000" },
};

START_TEST(stamp_and_date)
{
    char stamp[CLOCK_STAMP_SIZE], date[CLOCK_DATE_SIZE];

    ck_assert_int_eq(setenv("TZ", cases[_i].zone, 1), 0);
    tzset();
    clock_stamp((struct wall){ cases[_i].ms }, stamp);
    clock_date((struct wall){ cases[_i].ms }, date);
    ck_assert_msg(strcmp(stamp, cases[_i].stamp) == 0, "%s: %s", cases[_i].name, stamp);
    ck_assert_msg(strcmp(date, cases[_i].date) == 0, "%s: %s", cases[_i].name, date);
}
END_TEST

START_TEST(now_moves_forward)
{
    struct now a = clock_now(), b;

    do
        b = clock_now();
    while (b.mono.ms == a.mono.ms);
    ck_assert_int_gt(b.mono.ms, a.mono.ms);
    ck_assert_msg(a.wall.ms > INT64_C(1577836800000), "it is after 2020");
    ck_assert_int_gt(a.mono.ms, 0);
}
END_TEST

START_TEST(boot_has_a_name)
{
    char boot[CLOCK_BOOT_SIZE], again[CLOCK_BOOT_SIZE];

    clock_boot(boot);
    clock_boot(again);
    ck_assert_str_eq(boot, again);
    ck_assert_msg(strcmp(boot, "-") == 0 || strspn(boot, "0123456789abcdef") == 8, "boot %s", boot);
    ck_assert(strlen(boot) == 1 || strlen(boot) == 8);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("clock");
    TCase *tc = tcase_create("clock");

    tcase_add_loop_test(tc, stamp_and_date, 0, LENGTH(cases));
    tcase_add_test(tc, now_moves_forward);
    tcase_add_test(tc, boot_has_a_name);
    suite_add_tcase(s, tc);
    return s;
}
