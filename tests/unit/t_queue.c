/* Domains, their windows and timers, on a spool whose names are made by hand. */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/log.h"
#include "spooler/keeper/queue.h"
#include "spooler/keeper/record.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

enum { PATH_SIZE = SCRATCH_SIZE + 400 };

/* Close to what the ID 1xocE4 says. */
static const int64_t now = 1800000000;

struct desk {
    char dir[SCRATCH_SIZE];
    struct spool *spool;
    struct buf said;
    struct log *log;
    struct record *record;
    struct queue *queue;
};

static void open_desk(struct desk *d)
{
    const struct queue_times times = { .longest = 7 * 3600, .warn_after = 4 * 3600, .last_call = 72 * 3600 - 180 };
    struct err err = { 0 };

    *d = (struct desk){ .said = BUF_INIT(1024 * 1024) };
    scratch_make(d->dir);
    d->spool = scratch_spool(d->dir);
    d->log = log_capture(&d->said);
    d->record = record_new(d->spool, d->log, &err);
    d->queue = queue_new(&(struct queue_options){ .spool = d->spool, .record = d->record }, &err);
    ck_assert_ptr_nonnull(d->queue);
    queue_configure(d->queue, &times);
}

static void close_desk(struct desk *d)
{
    queue_free(d->queue);
    record_free(d->record);
    log_free(d->log);
    buf_fini(&d->said);
    spool_free(d->spool);
    scratch_remove(d->dir);
}

static const char *below(struct desk *d, const char *name, char out[PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s/spool/%s", d->dir, name);
    return out;
}

static struct qname put(struct desk *d, const char *domain, unsigned number, int64_t due)
{
    struct qname q = { .due = due, .letter = 'n', .sender = "abc" };
    char path[PATH_SIZE], text[QNAME_SIZE], name[300];

    memcpy(q.id.s, "1xocE4-000000-00", MSGID_SIZE);
    for (size_t i = 12; number > 0; i--, number /= 10)
        q.id.s[i] = (char)('0' + number % 10);
    qname_format(&q, text);
    snprintf(name, sizeof name, "cur/%s", domain);
    mkdir(below(d, name, path), 0700);
    snprintf(name, sizeof name, "spool/cur/%s/%s", domain, text);
    scratch_write(d->dir, name, "", 0, 0660);
    return q;
}

static struct domain *look(struct desk *d, int64_t when, size_t ready)
{
    struct domain *x = queue_due(d->queue, when);
    struct err err = { 0 };

    ck_assert_ptr_nonnull(x);
    ck_assert_uint_eq(queue_look(d->queue, x, when, &err), ready);
    ck_assert_msg(err.class == 0, "%s", err.text);
    return x;
}

static void start(struct desk *d)
{
    struct err err = { 0 };

    ck_assert_msg(queue_start(d->queue, &err) == 0, "%s", err.text);
}

START_TEST(test_start)
{
    struct desk d;
    struct domain *x;
    struct qname q;
    char path[PATH_SIZE];

    open_desk(&d);
    put(&d, "x.example", 1, now - 5);
    put(&d, "x.example", 2, now + 100);
    scratch_write(d.dir, "spool/cur/x.example/.hidden", "", 0, 0600);
    scratch_write(d.dir, "spool/cur/x.example/not one of ours", "", 0, 0600);
    scratch_write(d.dir, "spool/cur/no-directory", "", 0, 0600);
    mkdir(below(&d, "cur/empty.example", path), 0700);
    start(&d);
    ck_assert(!queue_empty(d.queue));
    ck_assert_uint_eq(queue_domains(d.queue), 2);
    while ((x = queue_due(d.queue, now)) != NULL)
        ck_assert_uint_eq(queue_look(d.queue, x, now, NULL), strcmp(x->name, "x.example") == 0);
    x = queue_find(d.queue, "x.example");
    ck_assert_int_eq(queue_next(d.queue), now + 100);
    ck_assert(window_take(x->window, &q));
    ck_assert_int_eq(q.due, now - 5);
    ck_assert_ptr_eq(look(&d, now + 100, 1), x);
    close_desk(&d);
}
END_TEST

START_TEST(test_names_come_and_go)
{
    struct desk d;
    struct domain *x;
    struct qname q, to;
    enum spool_dir where;
    struct err err = { 0 };

    open_desk(&d);
    start(&d);
    ck_assert(queue_empty(d.queue));
    x = queue_domain(d.queue, "x.example", &err);
    ck_assert_ptr_eq(queue_find(d.queue, "x.example"), x);
    ck_assert_int_eq(queue_make_dir(d.queue, x, SPOOL_CUR, &err), 1);
    ck_assert_int_eq(queue_make_dir(d.queue, x, SPOOL_CUR, &err), 0);
    q = to = put(&d, "x.example", 1, now);
    to.due = now + 50;
    queue_add(d.queue, x, &q, now);
    ck_assert_ptr_eq(look(&d, now, 1), x);
    ck_assert_int_eq(queue_rename(d.queue, x, SPOOL_CUR, &q, SPOOL_HOLD, &to, &err), 0);
    ck_assert(!queue_holds(d.queue, x));
    ck_assert(queue_locate(d.queue, x, &q, &where, &to));
    ck_assert(where == SPOOL_HOLD && to.due == now + 50);
    ck_assert_int_eq(queue_remove(d.queue, x, SPOOL_CUR, &q, &err), -1);
    ck_assert_int_eq(err.class, EX_NOINPUT);
    ck_assert_int_eq(queue_bury(d.queue, x, SPOOL_HOLD, &to, &err), 0);
    ck_assert_uint_eq(scratch_count(d.dir, "spool/dead"), 1);
    ck_assert(!queue_locate(d.queue, x, &q, &where, &to));
    ck_assert(queue_empty(d.queue));
    queue_tidy(d.queue, x, true, now);
    ck_assert_uint_eq(scratch_count(d.dir, "spool/cur"), 0);
    close_desk(&d);
}
END_TEST

/* What cannot be dealt with now is left alone until then, however often somebody looks. */
START_TEST(test_retry)
{
    struct desk d;
    struct domain *x;
    struct qname q;

    open_desk(&d);
    put(&d, "x.example", 1, now);
    start(&d);
    x = look(&d, now, 1);
    ck_assert(window_take(x->window, &q));
    queue_retry(d.queue, x, now + 60);
    for (int i = 0; i < 3; i++) {
        queue_touch(d.queue, x);
        look(&d, now + i, 0);
        ck_assert(!queue_empty(d.queue));
        ck_assert_int_eq(queue_next(d.queue), now + 60);
    }
    look(&d, now + 60, 1);
    close_desk(&d);
}
END_TEST

/* A DUE that no rule could have made is pulled in, on disk too. */
START_TEST(test_pull_in)
{
    struct desk d;
    struct domain *x;
    struct qname q;

    open_desk(&d);
    put(&d, "x.example", 1, now + 8 * 3600);
    put(&d, "x.example", 2, now + 6 * 3600);
    start(&d);
    look(&d, now, 0);
    ck_assert_int_le(queue_next(d.queue), now + 600);
    x = look(&d, now + 600, 1);
    ck_assert(queue_holds(d.queue, x) && window_take(x->window, &q));
    ck_assert_int_eq(queue_next(d.queue), now + 4 * 3600);      /* a warning comes before the other is due */
    close_desk(&d);
}
END_TEST

/* Large directories are read in steps, the window full or not; nothing comes twice
 * for it, and nothing is left out. */
START_TEST(test_streamed)
{
    struct desk d;
    struct domain *x = NULL, *next;
    unsigned taken = 0, before;
    struct qname q;

    open_desk(&d);
    for (unsigned i = 0; i < 5000; i++)
        put(&d, "x.example", i, i < 2600 ? now - 10 : now + 1000 + i);
    start(&d);
    while ((next = queue_due(d.queue, now)) != NULL) {
        x = next;
        queue_look(d.queue, x, now, NULL);
        ck_assert_uint_le(window_ready(x->window), WINDOW_READY);
        before = taken;
        while (taken < before + 100 && window_take(x->window, &q))
            taken++;
        if (taken > before)             /* whoever takes some looks again */
            queue_touch(d.queue, x);
    }
    ck_assert_uint_eq(taken, 2600);
    ck_assert_int_eq(queue_next(d.queue), now + 3600);
    ck_assert_ptr_nonnull(x);
    ck_assert_ptr_null(x->pass);
    close_desk(&d);
}
END_TEST

START_TEST(test_forced)
{
    struct desk d;
    struct domain *x;

    open_desk(&d);
    for (unsigned i = 0; i < 2500; i++)
        put(&d, "x.example", i, now + 1000);
    start(&d);
    while ((x = queue_due(d.queue, now)) != NULL)
        ck_assert_uint_eq(queue_look(d.queue, x, now, NULL), 0);
    queue_rescan_all(d.queue, true);
    x = look(&d, now, WINDOW_READY);
    queue_rescan_all(d.queue, true);    /* asked for again: it goes on */
    ck_assert_uint_eq(window_ready(x->window), WINDOW_READY);
    ck_assert_ptr_nonnull(x->pass);
    close_desk(&d);
}
END_TEST

/* Old ones are shown once for their warning, and from the last call on each time. */
START_TEST(test_attention)
{
    struct desk d;
    struct domain *x;
    struct qname q;

    open_desk(&d);
    put(&d, "x.example", 1, now + 100000);
    put(&d, "x.example", 2, now + 20000);
    start(&d);
    x = look(&d, now, 0);
    ck_assert(!queue_attention(d.queue, x, now + 3 * 3600));
    ck_assert(queue_attention(d.queue, x, now + 5 * 3600));
    ck_assert(queue_attend(d.queue, x, now + 5 * 3600, &q));
    ck_assert(queue_attend(d.queue, x, now + 5 * 3600, &q));
    ck_assert(!queue_attend(d.queue, x, now + 5 * 3600, &q));
    ck_assert(!queue_attention(d.queue, x, now + 70 * 3600));
    for (int i = 0; i < 2; i++) {
        ck_assert(queue_attention(d.queue, x, now + 72 * 3600 + i * 60));
        ck_assert(queue_attend(d.queue, x, now + 72 * 3600 + i * 60, &q));
        ck_assert(queue_attend(d.queue, x, now + 72 * 3600 + i * 60, &q));
        ck_assert(!queue_attend(d.queue, x, now + 72 * 3600 + i * 60, &q));
        ck_assert(!queue_attention(d.queue, x, now + 72 * 3600 + i * 60 + 30));
    }
    close_desk(&d);
}
END_TEST

/* Whoever may write to `wake` may write anything. */
START_TEST(test_changed)
{
    static const char *const strange[] = { "", ".", "..", "../new", "x.example/..", "no.example", "/etc" };
    struct desk d;
    struct domain *x;

    open_desk(&d);
    start(&d);
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++)
        queue_changed(d.queue, strange[i]);
    ck_assert_uint_eq(queue_domains(d.queue), 0);
    put(&d, "x.example", 1, now);
    queue_changed(d.queue, "x.example");
    x = look(&d, now, 1);
    put(&d, "x.example", 2, now);
    queue_changed(d.queue, "x.example");
    ck_assert_ptr_eq(look(&d, now, 2), x);
    close_desk(&d);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("queue");
    TCase *tc = tcase_create("queue");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_start);
    tcase_add_test(tc, test_names_come_and_go);
    tcase_add_test(tc, test_retry);
    tcase_add_test(tc, test_pull_in);
    tcase_add_test(tc, test_streamed);
    tcase_add_test(tc, test_forced);
    tcase_add_test(tc, test_attention);
    tcase_add_test(tc, test_changed);
    suite_add_tcase(s, tc);
    return s;
}
