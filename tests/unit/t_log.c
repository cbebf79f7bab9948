/* log: one line a fact, printable to the last byte, in the file that the path
 * names at that moment; never a failure of the caller. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "tests/unit/mutate.h"
#include "tests/unit/unit.h"

#define STAMP "2026-11-21 02:19:09 "

static char dir[64], path[80], moved[80];
static const struct wall at = { INT64_C(1795227549123) };

static void setup(void)
{
    ck_assert_int_eq(setenv("TZ", "UTC0", 1), 0);
    tzset();
    (void)strlcpy(dir, "/tmp/abide-t_log.XXXXXX", sizeof(dir));
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/log", dir);
    (void)snprintf(moved, sizeof(moved), "%s/log.1", dir);
}

static void teardown(void)
{
    (void)unlink(path);
    (void)unlink(moved);
    (void)rmdir(dir);
}

static void assert_file(const char *name, const char *want)
{
    char got[2000];
    FILE *f = fopen(name, "re");
    size_t n;

    ck_assert_msg(f != NULL, "no file %s", name);
    n = fread(got, 1, sizeof(got) - 1, f);
    got[n] = '\0';
    ck_assert_str_eq(got, want);
    (void)fclose(f);
}

static const struct { const char *name; enum level level; const char *text, *want; } lines[] = {
    { "arrival", LEVEL_INFO, "1tDabc-0001Xy-2c <= a@example.org U=alice P=local S=1234",
      STAMP "1tDabc-0001Xy-2c <= a@example.org U=alice P=local S=1234\n" },
    { "debug", LEVEL_DEBUG, "x", STAMP "x\n" },
    { "warning", LEVEL_WARN, "x", STAMP "x\n" },
    { "error says so", LEVEL_ERROR, "x", STAMP "error: x\n" },
    { "empty", LEVEL_INFO, "", STAMP "\n" },
    { "second line forged", LEVEL_INFO, "a\n" STAMP "b", STAMP "a\\012" STAMP "b\n" },
    { "escape of a terminal", LEVEL_INFO, "\033[2J\177\t\r", STAMP "\\033[2J\\177\\011\\015\n" },
    { "8-bit", LEVEL_INFO, "\303\266\377", STAMP "\\303\\266\\377\n" },
};

START_TEST(captured_lines)
{
    struct buf b = BUF_INIT(10000);
    struct log *l = log_capture(&b);

    log_time(l, at);
    errno = EIO;
    log_line(l, lines[_i].level, "%s", lines[_i].text);
    ck_assert_int_eq(errno, EIO);
    ck_assert_msg(strcmp(b.data, lines[_i].want) == 0, "%s: %s", lines[_i].name, b.data);
    log_free(l);
    buf_fini(&b);
}
END_TEST

/* All of 'a' fits in part; of bytes that need four each, no escape is torn. */
START_TEST(long_lines_are_cut)
{
    char text[10000];
    struct buf b = BUF_INIT(100000);
    struct log *l = log_capture(&b);

    for (int i = 0; i < 8; i++) {
        memset(text, i < 4 ? 'a' : '\001', sizeof(text));
        memset(text, 'b', (size_t)i);
        text[sizeof(text) - 1] = '\0';
        buf_clear(&b);
        log_line(l, i % 2 == 0 ? LEVEL_INFO : LEVEL_ERROR, "%s", text);
        ck_assert_msg(b.len <= LOG_LINE_MAX && b.len > LOG_LINE_MAX - 5, "%zu bytes", b.len);
        ck_assert_str_eq(b.data + b.len - 5, i < 4 ? "aaaa\n" : "\\001\n");
    }
    log_free(l);
    buf_fini(&b);
}
END_TEST

START_TEST(file_follows_its_path)
{
    struct err e = { 0 };
    struct log *l = log_open(path, LEVEL_INFO, &e);
    struct stat st;

    ck_assert_msg(l != NULL && e.class == 0, "%s", e.text);
    log_time(l, at);
    log_line(l, LEVEL_INFO, "one");
    log_line(l, LEVEL_DEBUG, "too much");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07137, 0);
    ck_assert_int_eq(rename(path, moved), 0);
    log_time(l, at);
    log_line(l, LEVEL_INFO, "two");
    assert_file(moved, STAMP "one\n");
    assert_file(path, STAMP "two\n");
    ck_assert_int_eq(unlink(path), 0);
    log_time(l, at);
    log_line(l, LEVEL_INFO, "three");
    assert_file(path, STAMP "three\n");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rename(moved, path), 0);
    log_time(l, at);
    log_line(l, LEVEL_INFO, "four");
    assert_file(path, STAMP "one\n" STAMP "four\n");
    log_free(l);
}
END_TEST

START_TEST(file_comes_later)
{
    struct err e = { 0 };
    struct log *l;

    ck_assert_int_eq(rmdir(dir), 0);
    l = log_open(path, LEVEL_INFO, &e);
    ck_assert_msg(l != NULL && e.class != 0 && e.sys == ENOENT, "told, and there: %s", e.text);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    log_time(l, at);
    log_line(l, LEVEL_INFO, "one");
    assert_file(path, STAMP "one\n");
    log_free(l);
}
END_TEST

START_TEST(fifo_without_a_reader)
{
    struct err e = { 0 };
    struct log *l;

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    l = log_open(path, LEVEL_INFO, &e);
    ck_assert_msg(l != NULL && e.sys == ENXIO, "does not wait: %s", e.text);
    log_free(l);
}
END_TEST

/* What the log writes to stderr meanwhile goes to the file MOVED. */
static void log_line_elsewhere(struct log *l)
{
    int saved = dup(STDERR_FILENO), fd = open(moved, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_ptr_nonnull(l);
    ck_assert(saved != -1 && fd != -1 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    log_time(l, at);
    log_line(l, LEVEL_ERROR, "%d bottles", 99);
    log_line(l, LEVEL_DEBUG, "too much");
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    (void)close(fd);
    log_free(l);
}

START_TEST(to_stderr)
{
    log_line_elsewhere(log_open("stderr", LEVEL_ERROR, NULL));
    assert_file(moved, STAMP "error: 99 bottles\n");
}
END_TEST

/* What goes to syslog by itself, and what because it can go nowhere else. */
static const char *const unwritable[] = { "syslog", "/nowhere/at/all", "/dev/full" };

START_TEST(to_syslog)
{
    struct log *l = log_open(unwritable[_i], LEVEL_ERROR, NULL);

    openlog("abide-test", LOG_PERROR, LOG_MAIL);    /* shows what syslog was given */
    log_line_elsewhere(l);
    assert_file(moved, "abide-test: error: 99 bottles\n");
}
END_TEST

START_TEST(targets)
{
    struct err e = { 0 };

    ck_assert_ptr_null(log_open("main.log", LEVEL_INFO, &e));
    ck_assert_int_eq(e.class, EX_CONFIG);
    ck_assert_ptr_null(log_open("", LEVEL_INFO, NULL));
    log_line(NULL, LEVEL_ERROR, "swallowed");
    log_time(NULL, at);
    log_free(NULL);
}
END_TEST

START_TEST(time_of_the_clock)
{
    struct buf b = BUF_INIT(1000);
    struct log *l = log_capture(&b);
    char before[CLOCK_STAMP_SIZE], after[CLOCK_STAMP_SIZE];

    clock_stamp(clock_now().wall, before);
    log_line(l, LEVEL_INFO, "x");
    clock_stamp(clock_now().wall, after);
    ck_assert_uint_eq(b.len, CLOCK_STAMP_SIZE + 2);
    ck_assert_int_ge(strncmp(b.data, before, strlen(before)), 0);
    ck_assert_int_le(strncmp(b.data, after, strlen(after)), 0);
    log_free(l);
    buf_fini(&b);
}
END_TEST

START_TEST(mutations)
{
    struct mutator m = { 514 };
    struct buf b = BUF_INIT(10000);
    struct log *l = log_capture(&b);

    for (int i = 0; i < MUTATIONS; i++) {
        char *text = mutate_string(&m, lines[mutator_pick(&m, LENGTH(lines))].text);

        buf_clear(&b);
        log_line(l, LEVEL_INFO, "%s", text);
        ck_assert_msg(strchr(b.data, '\n') == b.data + b.len - 1, "not one line: %s", b.data);
        for (size_t n = 0; n + 1 < b.len; n++)
            ck_assert(b.data[n] >= ' ' && b.data[n] < 0x7f);
        free(text);
    }
    log_free(l);
    buf_fini(&b);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("log");
    TCase *tc = tcase_create("log");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, captured_lines, 0, LENGTH(lines));
    tcase_add_test(tc, long_lines_are_cut);
    tcase_add_test(tc, file_follows_its_path);
    tcase_add_test(tc, file_comes_later);
    tcase_add_test(tc, fifo_without_a_reader);
    tcase_add_test(tc, to_stderr);
    tcase_add_loop_test(tc, to_syslog, 0, LENGTH(unwritable));
    tcase_add_test(tc, targets);
    tcase_add_test(tc, time_of_the_clock);
    tcase_add_test(tc, mutations);
    suite_add_tcase(s, tc);
    return s;
}
