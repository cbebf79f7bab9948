/* The groups of records: when they are synced, what goes only afterwards, what is
 * kept while a disk takes nothing. */
#include <config.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/log.h"
#include "spooler/keeper/record.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

struct desk {
    char dir[SCRATCH_SIZE];
    struct spool *spool;
    struct buf said;
    struct log *log;
    struct record *record;
    struct mono now;
};

static const struct msgid id = { "1xocE4-aaaaaa-bb" };

static void open_desk(struct desk *d)
{
    struct err err = { 0 };

    *d = (struct desk){ .said = BUF_INIT(1024 * 1024), .now = { 1000 } };
    scratch_make(d->dir);
    d->spool = scratch_spool(d->dir);
    d->log = log_capture(&d->said);
    d->record = record_new(d->spool, d->log, &err);
    ck_assert_ptr_nonnull(d->record);
    record_time(d->record, d->now);
}

static void close_desk(struct desk *d)
{
    record_free(d->record);
    log_free(d->log);
    buf_fini(&d->said);
    spool_free(d->spool);
    scratch_remove(d->dir);
}

static void after(struct desk *d, int64_t ms)
{
    d->now.ms += ms;
    record_time(d->record, d->now);
}

static bool say(struct desk *d, const char *lines, bool sync)
{
    return record_trail(d->record, &id, 5, lines, strlen(lines), sync);
}

static void trail_is(struct desk *d, const char *wanted)
{
    struct buf b = BUF_INIT(SPOOL_TRAIL_MAX);
    struct err err = { 0 };

    ck_assert_int_eq(spool_read_trail(d->spool, &id, 5, &b, &err), 0);
    (void)buf_char(&b, '\0');
    ck_assert_str_eq(b.data, wanted);
    buf_fini(&b);
}

static size_t trails(const struct desk *d)
{
    return scratch_count(d->dir, "spool/trail");
}

static void disk_full(bool full)
{
    struct rlimit r = { full ? 0 : RLIM_INFINITY, RLIM_INFINITY };

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
}

START_TEST(test_group)
{
    struct desk d;

    open_desk(&d);
    ck_assert_int_eq(record_next(d.record).ms, CLOCK_NEVER);
    ck_assert(say(&d, "one\n", true));
    record_count(d.record);
    ck_assert_int_eq(record_next(d.record).ms, 1050);
    after(&d, 30);
    ck_assert(say(&d, "two\n", false));
    record_count(d.record);
    ck_assert_int_eq(record_next(d.record).ms, 1050);
    ck_assert_int_eq(record_flush(d.record, false), 0);
    ck_assert_int_eq(record_next(d.record).ms, 1050);
    after(&d, 20);
    ck_assert_int_eq(record_flush(d.record, false), 0);
    ck_assert_int_eq(record_next(d.record).ms, CLOCK_NEVER);
    trail_is(&d, "one\ntwo\n");
    close_desk(&d);
}
END_TEST

START_TEST(test_two_hundred)
{
    struct desk d;

    open_desk(&d);
    for (int i = 0; i < 200; i++)
        record_count(d.record);
    ck_assert_int_eq(record_flush(d.record, false), 0);
    ck_assert_int_eq(record_next(d.record).ms, CLOCK_NEVER);
    close_desk(&d);
}
END_TEST

/* What a crash tore is ended before the next line begins. */
START_TEST(test_torn_line)
{
    struct desk d;

    open_desk(&d);
    scratch_write(d.dir, "spool/trail/1xocE4-aaaaaa-bb.5", "whole\nto", 8, 0660);
    ck_assert(say(&d, "three\n", true));
    trail_is(&d, "whole\nto\nthree\n");
    close_desk(&d);
}
END_TEST

/* A trail goes with its group, not before. */
START_TEST(test_forget)
{
    struct desk d;

    open_desk(&d);
    ck_assert(say(&d, "one\n", true));
    record_forget(d.record, &id, 5);
    ck_assert_int_eq(record_flush(d.record, false), 0);
    ck_assert_uint_eq(trails(&d), 1);
    after(&d, 50);
    ck_assert_int_eq(record_flush(d.record, false), 0);
    ck_assert_uint_eq(trails(&d), 0);
    close_desk(&d);
}
END_TEST

/* A directory that cannot be synced keeps the trails of its group. */
START_TEST(test_unsynced)
{
    struct desk d;

    open_desk(&d);
    ck_assert(say(&d, "one\n", true));
    scratch_write(d.dir, "spool/cur/x.example", "", 0, 0600);
    record_left(d.record, SPOOL_CUR, "x.example");
    record_forget(d.record, &id, 5);
    after(&d, 50);
    ck_assert_int_eq(record_flush(d.record, false), -1);
    ck_assert_uint_eq(trails(&d), 1);
    record_forget(d.record, &id, 5);
    ck_assert_int_eq(record_flush(d.record, true), 0);
    ck_assert_uint_eq(trails(&d), 0);
    close_desk(&d);
}
END_TEST

/* Nor does a trail that somebody made a link or a FIFO lead us astray. */
START_TEST(test_no_file)
{
    struct desk d;
    char path[SCRATCH_SIZE + 100];

    open_desk(&d);
    snprintf(path, sizeof path, "%s/spool/trail/%s.5", d.dir, id.s);
    ck_assert_int_eq(_i == 0 ? mkfifo(path, 0600) : symlink("/etc/passwd", path), 0);
    ck_assert(!say(&d, "one\n", true));
    ck_assert(record_stuck(d.record, &id));
    ck_assert_int_eq(unlink(path), 0);
    after(&d, 60 * 1000);
    ck_assert_int_eq(record_flush(d.record, false), 0);
    ck_assert(!record_stuck(d.record, &id));
    trail_is(&d, "one\n");
    close_desk(&d);
}
END_TEST

START_TEST(test_full_disk)
{
    struct desk d;

    open_desk(&d);
    disk_full(true);
    ck_assert_msg(say(&d, "hint\n", false), "a hint is never in the way");
    ck_assert(!say(&d, "one\n", true));
    ck_assert(!say(&d, "two\n", true));
    ck_assert(record_stuck(d.record, &id));
    ck_assert(!record_stuck(d.record, &(struct msgid){ "1xocE4-aaaaaa-cc" }));
    ck_assert_uint_eq(trails(&d), 0);
    ck_assert_int_eq(record_next(d.record).ms, 61000);
    after(&d, 60 * 1000);
    ck_assert_int_eq(record_flush(d.record, false), 0);
    ck_assert(record_stuck(d.record, &id));
    ck_assert_int_eq(record_next(d.record).ms, 121000);
    disk_full(false);
    after(&d, 60 * 1000);
    ck_assert_int_eq(record_flush(d.record, false), 0);
    ck_assert(!record_stuck(d.record, &id));
    trail_is(&d, "one\ntwo\n");
    close_desk(&d);
}
END_TEST

/* However many files one group has, few are open. */
START_TEST(test_descriptors)
{
    struct rlimit few = { 150, 150 };
    struct desk d;

    open_desk(&d);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (unsigned i = 0; i < 1000; i++) {
        struct msgid other = id;

        other.s[7] = (char)('a' + i % 26);
        other.s[8] = (char)('a' + i / 26 % 26);
        other.s[9] = (char)('a' + i / 676);
        ck_assert_msg(record_trail(d.record, &other, 5, "x\n", 2, true), "%.*s", (int)d.said.len, d.said.data);
        record_forget(d.record, &other, 5);
    }
    ck_assert_int_eq(record_flush(d.record, true), 0);
    ck_assert_uint_eq(trails(&d), 0);
    close_desk(&d);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("record");
    TCase *tc = tcase_create("record");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_group);
    tcase_add_test(tc, test_two_hundred);
    tcase_add_test(tc, test_torn_line);
    tcase_add_test(tc, test_forget);
    tcase_add_test(tc, test_unsynced);
    tcase_add_loop_test(tc, test_no_file, 0, 2);
    tcase_add_test(tc, test_full_disk);
    tcase_add_test(tc, test_descriptors);
    suite_add_tcase(s, tc);
    return s;
}
