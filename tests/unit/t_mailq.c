/* mailq: columns as `exim -bp` has them. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/listing.h"
#include "sendmail/mailq.h"
#include "tests/unit/unit.h"

/* "1xUbPs" in base 62 digits of the first second. */
#define ID "1xUbPs-5B8zkQ-KL"

static const struct {
    const char *name;
    int64_t age;
    uint64_t bytes;
    const char *want;                   /* the first line, up to the ID */
} columns[] = {
    { "young, empty", 0, 0, " 0m       " },
    { "from the future", -100, 1, " 0m     1 " },
    { "bytes", 59, 1023, " 0m  1023 " },
    { "a kilobyte", 60, 1024, " 1m  1.0K " },
    { "below ten", 90 * 60, 10239, "90m 10.0K " },
    { "ten kilobytes", 91 * 60, 10240, " 2h   10K " },
    { "rounded", 149 * 60, 20000, " 2h   20K " },
    { "just below a megabyte", 150 * 60, 1048575, " 3h 1024K " },
    { "a megabyte", 72 * 3600, 1048576, "72h  1.0M " },
    { "below ten megabytes", 72 * 3600 + 1800, 10485759, " 3d 10.0M " },
    { "ten megabytes", 84 * 3600, 10485760, " 4d   10M " },
    { "a gigabyte", 100 * 86400, 1073741824, "100d 1024M " },
};

START_TEST(first_columns)
{
    char sender[] = "s@x";
    struct listing_item item = {
        .id = { ID }, .where = LISTED_CUR, .bytes = columns[_i].bytes, .readable = true, .envelope = { .sender = sender }
    };
    struct wall now = { (msgid_seconds(&item.id) + columns[_i].age) * 1000 };
    struct buf out = BUF_INIT(1000);
    char want[100];

    mailq_item(&out, &item, now);
    (void)snprintf(want, sizeof(want), "%s" ID " <s@x>\n\n", columns[_i].want);
    ck_assert_msg(strcmp(out.data, want) == 0, "%s: got \"%s\"", columns[_i].name, out.data);
    buf_fini(&out);
}
END_TEST

START_TEST(recipients)
{
    char sender[] = "", one[] = "a@x", two[] = "b@y", three[] = "c@z";
    char *rcpt[] = { one, two, three };
    struct trail_rcpt fate[] = { { .fate = FATE_DELIVERED }, { .fate = FATE_OWED, .n = 3 }, { .fate = FATE_FAILED } };
    struct listing_item item = {
        .id = { ID }, .where = LISTED_HOLD, .bytes = 5, .readable = true,
        .envelope = { .sender = sender, .rcpt = rcpt, .nrcpt = 3 }, .trail = { .nrcpt = 3, .rcpt = fate }
    };
    struct wall now = { msgid_seconds(&item.id) * 1000 };
    struct buf out = BUF_INIT(1000);

    mailq_item(&out, &item, now);
    ck_assert_str_eq(out.data, " 0m     5 " ID " <> *** frozen ***\n        D a@x\n          b@y\n        D c@z\n\n");
    buf_fini(&out);
}
END_TEST

START_TEST(of_others)
{
    struct listing_item item = { .id = { ID }, .where = LISTED_NEW, .bytes = 5 };
    struct wall now = { msgid_seconds(&item.id) * 1000 };
    struct buf out = BUF_INIT(1000);

    mailq_item(&out, &item, now);
    ck_assert_str_eq(out.data, " 0m     5 " ID " <hidden>\n\n");
    buf_fini(&out);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("mailq");
    TCase *tc = tcase_create("mailq");

    tcase_add_loop_test(tc, first_columns, 0, LENGTH(columns));
    tcase_add_test(tc, recipients);
    tcase_add_test(tc, of_others);
    suite_add_tcase(s, tc);
    return s;
}
