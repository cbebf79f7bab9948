/* msgid: IDs sort by time and never repeat; queue names go there and back. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/msgid.h"
#include "tests/unit/mutate.h"
#include "tests/unit/unit.h"

static int by_bytes(const void *a, const void *b)
{
    return strcmp(a, b);
}

START_TEST(made_ids_are_valid_and_sort_by_time)
{
    static const int64_t ms[] = { 0, 999, 1000, INT64_C(35999999), INT64_C(1795227549123), INT64_C(56800235583000) };
    struct msgid id, last = { "" };
    struct err e;

    for (int i = 0; i < LENGTH(ms); i++) {
        ck_assert_int_eq(msgid_make((struct wall){ ms[i] }, &id, &e), 0);
        ck_assert_msg(msgid_valid(id.s), "%s", id.s);
        ck_assert_int_eq(msgid_seconds(&id), ms[i] / 1000);
        ck_assert_msg(ms[i] < 1000 || strncmp(last.s, id.s, 6) < 0, "%s after %s", id.s, last.s);
        last = id;
    }
    ck_assert_int_eq(msgid_make((struct wall){ -5 }, &id, &e), 0);
    ck_assert_int_eq(msgid_seconds(&id), 0);
}
END_TEST

START_TEST(made_ids_differ)
{
    enum { N = 20000 };
    struct msgid *ids = calloc(N, sizeof(*ids));
    struct err e;

    ck_assert_ptr_nonnull(ids);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(msgid_make((struct wall){ 1000 }, &ids[i], &e), 0);
    qsort(ids, N, sizeof(*ids), by_bytes);
    for (int i = 1; i < N; i++)
        ck_assert_str_ne(ids[i - 1].s, ids[i].s);
    free(ids);
}
END_TEST

static const struct { const char *s; bool valid; } ids[] = {
    { "1tDabc-0001Xy-2c", true },
    { "zzzzzz-zzzzzz-zz", true },
    { "", false },
    { "1tDabc-0001Xy-2", false },
    { "1tDabc-0001Xy-2cc", false },
    { "1tDabc-0001Xy-2c ", false },
    { "1tDabc_0001Xy-2c", false },
    { "1tDab.-0001Xy-2c", false },
    { "1tDabc-0001Xy-2/", false },
    { "1tDab\303-0001Xy-2c", false },
    { "../../etc/passwd", false },
};

START_TEST(id_valid)
{
    ck_assert_msg(msgid_valid(ids[_i].s) == ids[_i].valid, "%s", ids[_i].s);
}
END_TEST

static const struct { const char *name; bool valid; } names[] = {
    { "1795227549.1tDabc-0001Xy-2c.gA0z", true },
    { "0000000000.000000-000000-00.n000", true },
    { "9999999999.zzzzzz-zzzzzz-zz.qzzz", true },
    { "1795227549.1tDabc-0001Xy-2c.gA0", false },
    { "1795227549.1tDabc-0001Xy-2c.gA0zz", false },
    { "1795227549.1tDabc-0001Xy-2c.GA0z", false },
    { "1795227549.1tDabc-0001Xy-2c.1A0z", false },
    { "1795227549-1tDabc-0001Xy-2c.gA0z", false },
    { "1795227549.1tDabc-0001Xy-2c-gA0z", false },
    { "+795227549.1tDabc-0001Xy-2c.gA0z", false },
    { "1795227549.1tDabc-0001Xy.2c.gA0z", false },
    { "1795227549.1tDabc-0001Xy-2c.gA/z", false },
    { ".", false },
    { "..", false },
    { "", false },
};

START_TEST(name_there_and_back)
{
    char out[QNAME_SIZE];
    struct qname q;

    ck_assert_msg(qname_parse(names[_i].name, &q) == names[_i].valid, "%s", names[_i].name);
    if (!names[_i].valid)
        return;
    qname_format(&q, out);
    ck_assert_str_eq(out, names[_i].name);
    ck_assert(msgid_valid(q.id.s));
    ck_assert_msg(q.due == strtoll(names[_i].name, NULL, 10), "%s: due", names[_i].name);
}
END_TEST

START_TEST(due_is_kept_to_ten_digits)
{
    struct qname q = { .due = -7, .id = { "1tDabc-0001Xy-2c" }, .letter = 'n', .sender = "abc" };
    char out[QNAME_SIZE];

    qname_format(&q, out);
    ck_assert_str_eq(out, "0000000000.1tDabc-0001Xy-2c.nabc");
    q.due = INT64_MAX;
    qname_format(&q, out);
    ck_assert_str_eq(out, "9999999999.1tDabc-0001Xy-2c.nabc");
}
END_TEST

/* Names lie on disk for days: the hash may not change with a version. */
START_TEST(sender_hash)
{
    char a[QNAME_SENDER_LEN + 1], b[QNAME_SENDER_LEN + 1];
    int same = 0;

    qname_hash_sender("", a);
    ck_assert_str_eq(a, "Ter");
    qname_hash_sender("alerts@example.net", a);
    ck_assert_str_eq(a, "Cka");
    for (int i = 0; i < 1000; i++) {
        char sender[32];

        (void)snprintf(sender, sizeof(sender), "user%d@example.net", i);
        qname_hash_sender(sender, b);
        same += strcmp(a, b) == 0;
    }
    ck_assert_msg(same <= 2, "%d of 1000 senders fall together with one", same);
}
END_TEST

START_TEST(mutations)
{
    struct mutator m = { 20261121 };
    unsigned good = 0;

    for (int i = 0; i < MUTATIONS; i++) {
        char *s = mutate_string(&m, names[mutator_pick(&m, 3)].name), out[QNAME_SIZE];
        struct qname q;

        if (qname_parse(s, &q)) {
            qname_format(&q, out);
            ck_assert_str_eq(out, s);
            good++;
        }
        if (msgid_valid(s))
            ck_assert_uint_eq(strlen(s), MSGID_LEN);
        free(s);
    }
    ck_assert_msg(good > 100 && good < MUTATIONS, "%u were still names", good);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("msgid");
    TCase *tc = tcase_create("msgid");

    tcase_add_test(tc, made_ids_are_valid_and_sort_by_time);
    tcase_add_test(tc, made_ids_differ);
    tcase_add_loop_test(tc, id_valid, 0, LENGTH(ids));
    tcase_add_loop_test(tc, name_there_and_back, 0, LENGTH(names));
    tcase_add_test(tc, due_is_kept_to_ten_digits);
    tcase_add_test(tc, sender_hash);
    tcase_add_test(tc, mutations);
    suite_add_tcase(s, tc);
    return s;
}
