/* reply: each input whole, byte by byte and in two halves gives the same. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/reply.h"
#include "tests/unit/mutate.h"
#include "tests/unit/unit.h"

static const struct { const char *name, *in; int code; unsigned lines; const char *enh, *text; } valid[] = {
    { "bare code", "250\r\n", 250, 1, "", "" },
    { "code and blank", "250 \r\n", 250, 1, "", "" },
    { "text", "250 ok\r\n", 250, 1, "", "ok" },
    { "bare LF", "250 ok\n", 250, 1, "", "ok" },
    { "lines", "250-one\r\n250-two\r\n250 three\r\n", 250, 3, "", "one\ntwo\nthree" },
    { "lines, mixed ends", "250-one\n250-two\r\n250 three\n", 250, 3, "", "one\ntwo\nthree" },
    { "empty lines", "250-\r\n250-\r\n250\r\n", 250, 3, "", "\n\n" },
    { "enhanced", "421 4.7.0 slow down\r\n", 421, 1, "4.7.0", "slow down" },
    { "enhanced, three digits", "550 5.123.456 x\r\n", 550, 1, "5.123.456", "x" },
    { "enhanced alone", "450 4.2.0\r\n", 450, 1, "4.2.0", "" },
    { "enhanced, more blanks", "450  4.2.0   x\r\n", 450, 1, "4.2.0", "x" },
    { "enhanced on each line", "421-4.7.0 a\r\n421 4.7.0 b\r\n", 421, 2, "4.7.0", "a\n4.7.0 b" },
    { "enhanced on the second line only", "421-a\r\n421 4.7.0 b\r\n", 421, 2, "", "a\n4.7.0 b" },
    { "enhanced twice", "421 4.7.0 4.7.1 a\r\n", 421, 1, "4.7.0", "4.7.1 a" },
    { "class of enhanced is another", "421 5.7.0 slow down\r\n", 421, 1, "", "5.7.0 slow down" },
    { "class 3 does not exist", "354 3.0.0 go\r\n", 354, 1, "", "3.0.0 go" },
    { "version is not enhanced", "220 2.12 ready\r\n", 220, 1, "", "2.12 ready" },
    { "address is not enhanced", "421 4.2.1.9 is listed\r\n", 421, 1, "", "4.2.1.9 is listed" },
    { "four digits are not enhanced", "421 4.1234.1 x\r\n", 421, 1, "", "4.1234.1 x" },
    { "colon behind is not enhanced", "421 4.7.0: x\r\n", 421, 1, "", "4.7.0: x" },
    { "control bytes", "250 a\tb\033[1m\177c\r\n", 250, 1, "", "a?b?[1m?c" },
    { "CR inside", "250 a\rb\r\n", 250, 1, "", "a?b" },
    { "two CR", "250 a\r\r\n", 250, 1, "", "a?" },
    { "8-bit and UTF-8", "250 \303\274\374\r\n", 250, 1, "", "\303\274\374" },
    { "lowest code", "200 x\r\n", 200, 1, "", "x" },
    { "highest code", "599 x\r\n", 599, 1, "", "x" },
};

struct run {
    enum reply_got got;
    struct reply reply;
    size_t left;
};

/* Feeds IN in pieces of at most STEP bytes, each its own allocation, until
 * something other than MORE comes. */
static struct run feed(struct reply_parser *p, const char *in, size_t len, size_t step)
{
    struct run run = { .got = REPLY_MORE, .left = len };

    while (run.left > 0 && run.got == REPLY_MORE) {
        size_t n = run.left < step ? run.left : step, rest = n;
        char *piece = malloc(n);
        const char *at = piece;

        ck_assert_ptr_nonnull(piece);
        memcpy(piece, in + len - run.left, n);
        run.got = reply_feed(p, &at, &rest, &run.reply);
        run.left -= n - rest;
        ck_assert_msg(run.got != REPLY_MORE || rest == 0, "MORE, and not all was eaten");
        free(piece);
    }
    return run;
}

static void assert_zero(const struct reply_parser *p, const char *name)
{
    static const struct reply_parser zero;

    ck_assert_msg(memcmp(p, &zero, sizeof(zero)) == 0, "%s: the parser is not zero between replies", name);
}

START_TEST(valid_ones)
{
    const char *name = valid[_i].name;
    char in[200];
    size_t len = (size_t)snprintf(in, sizeof(in), "%s250 next", valid[_i].in);

    for (size_t step = 1; step <= len; step++) {
        struct reply_parser p = { 0 };
        struct run r = feed(&p, in, len, step);

        ck_assert_msg(r.got == REPLY_WHOLE, "%s, step %zu: %d", name, step, r.got);
        ck_assert_msg(r.left == 8, "%s, step %zu: %zu left", name, step, r.left);
        ck_assert_msg(r.reply.code == valid[_i].code, "%s: code %d", name, r.reply.code);
        ck_assert_msg(r.reply.lines == valid[_i].lines, "%s: %u lines", name, r.reply.lines);
        ck_assert_msg(strcmp(r.reply.enh, valid[_i].enh) == 0, "%s: enhanced %s", name, r.reply.enh);
        ck_assert_msg(strcmp(r.reply.text, valid[_i].text) == 0, "%s: text %s", name, r.reply.text);
        assert_zero(&p, name);
        ck_assert(!reply_pending(&p));
    }
}
END_TEST

static const struct { const char *name, *in; } invalid[] = {
    { "empty line", "\r\n" },
    { "code too short", "25\r\n" },
    { "code too long", "2500 ok\r\n" },
    { "100", "100 go on\r\n" },
    { "600", "600 x\r\n" },
    { "000", "000 x\r\n" },
    { "letters", "abc x\r\n" },
    { "letter in code", "2x0 ok\r\n" },
    { "underscore behind the code", "250_ok\r\n" },
    { "tab behind the code", "250\tok\r\n" },
    { "CR behind the code", "250\rok\r\n" },
    { "blank in front", " 250 ok\r\n" },
    { "codes differ", "250-ok\r\n251 ok\r\n" },
    { "codes differ late", "250-a\r\n250-b\r\n250-c\r\n550 d\r\n" },
    { "continued by text", "250-ok\r\nok\r\n" },
    { "continued by nothing", "250-ok\r\n\r\n" },
    { "another protocol", "SSH-2.0-OpenSSH_9.2\r\n" },
    { "more than a line of HTTP", "HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n" },
};

START_TEST(invalid_ones)
{
    const char *name = invalid[_i].name;
    size_t len = strlen(invalid[_i].in);

    for (size_t step = 1; step <= len; step++) {
        struct reply_parser p = { 0 };
        struct run r = feed(&p, invalid[_i].in, len, step);

        ck_assert_msg(r.got == REPLY_BROKEN, "%s, step %zu: %d", name, step, r.got);
        r = feed(&p, "250 ok\r\n", 8, 8);
        ck_assert_msg(r.got == REPLY_BROKEN, "%s: believed again", name);
    }
}
END_TEST

static const struct { const char *name, *in; bool pending; } unfinished[] = {
    { "nothing", "", false },
    { "a digit", "2", true },
    { "no line end", "250 ok", true },
    { "CR only", "250 ok\r", true },
    { "first of two lines", "250-ok\r\n", true },
};

START_TEST(unfinished_ones)
{
    struct reply_parser p = { 0 };
    size_t len = strlen(unfinished[_i].in);

    ck_assert_msg(feed(&p, unfinished[_i].in, len, 1).got == REPLY_MORE, "%s", unfinished[_i].name);
    ck_assert_msg(reply_pending(&p) == unfinished[_i].pending, "%s", unfinished[_i].name);
}
END_TEST

/* LINE_LEN counts all bytes before the LF. */
static enum reply_got feed_long(size_t line_len, bool ended, size_t step)
{
    struct reply_parser p = { 0 };
    char *in = malloc(line_len + 1);
    struct run r;

    ck_assert_ptr_nonnull(in);
    memset(in, 'a', line_len);
    memcpy(in, "250 ", 4);
    in[line_len] = '\n';
    r = feed(&p, in, line_len + (ended ? 1 : 0), step);
    if (r.got == REPLY_WHOLE)
        ck_assert_uint_eq(strlen(r.reply.text), REPLY_TEXT_MAX - 1);
    free(in);
    return r.got;
}

START_TEST(line_bound)
{
    static const size_t steps[] = { 1, 7, 4096, 100000 };

    for (int i = 0; i < LENGTH(steps); i++) {
        ck_assert_int_eq(feed_long(REPLY_LINE_MAX, true, steps[i]), REPLY_WHOLE);
        ck_assert_int_eq(feed_long(REPLY_LINE_MAX, false, steps[i]), REPLY_MORE);
        ck_assert_int_eq(feed_long(REPLY_LINE_MAX + 1, true, steps[i]), REPLY_BROKEN);
        ck_assert_int_eq(feed_long(REPLY_LINE_MAX + 1, false, steps[i]), REPLY_BROKEN);
        ck_assert_int_eq(feed_long(50000, false, steps[i]), REPLY_BROKEN);
    }
}
END_TEST

START_TEST(lines_bound)
{
    struct reply_parser p = { 0 };
    struct run r;

    for (int i = 1; i < REPLY_LINES_MAX; i++)
        ck_assert_int_eq(feed(&p, "250-line\r\n", 10, 10).got, REPLY_MORE);
    r = feed(&p, "250 last\r\n", 10, 10);
    ck_assert_int_eq(r.got, REPLY_WHOLE);
    ck_assert_uint_eq(r.reply.lines, REPLY_LINES_MAX);
    ck_assert_uint_eq(strlen(r.reply.text), REPLY_TEXT_MAX - 1);
    for (int i = 0; i < REPLY_LINES_MAX; i++)
        ck_assert_int_eq(feed(&p, "250-line\r\n", 10, 10).got, REPLY_MORE);
    ck_assert_int_eq(feed(&p, "250 last\r\n", 10, 10).got, REPLY_BROKEN);
}
END_TEST

static const struct { const char *name, *in; int code; unsigned lines; const char *enh, *text, *out; } texts[] = {
    { "one line", "421 4.7.0 slow down", 421, 1, "4.7.0", "slow down", "421 4.7.0 slow down" },
    { "bare", "450", 450, 1, "", "", "450" },
    { "enhanced only", "450 4.1.0", 450, 1, "4.1.0", "", "450 4.1.0" },
    { "blanks in front", " \t450 x", 450, 1, "", "x", "450 x" },
    { "marks", "421-4.7.0 a / 421-b / 421 c", 421, 3, "4.7.0", "a\nb\nc", "421 4.7.0 a / b / c" },
    { "marks without codes", "421 4.7.0 a / b / c", 421, 3, "4.7.0", "a\nb\nc", "421 4.7.0 a / b / c" },
    { "newlines", "421-a\r\n421 b\r\n", 421, 2, "", "a\nb", "421 a / b" },
    { "another code is text", "421 a / 450 b", 421, 2, "", "a\n450 b", "421 a / 450 b" },
    { "enhanced of the second stays", "421-4.7.0 a / 421 4.7.0 b", 421, 2, "4.7.0", "a\n4.7.0 b", "421 4.7.0 a / 4.7.0 b" },
    { "nothing on the first line", "421-4.7.0 / 421 b", 421, 2, "4.7.0", "\nb", "421 4.7.0 / b" },
    { "nothing on the last line", "421 a / ", 421, 2, "", "a\n", "421 a / " },
    { "control bytes", "421 a\001b", 421, 1, "", "a?b", "421 a?b" },
};

START_TEST(text_there_and_back)
{
    const char *name = texts[_i].name;
    char out[REPLY_TEXT_MAX + 64];
    struct reply r;

    ck_assert_msg(reply_parse(texts[_i].in, &r), "%s", name);
    ck_assert_msg(r.code == texts[_i].code && r.lines == texts[_i].lines, "%s: %d, %u", name, r.code, r.lines);
    ck_assert_msg(strcmp(r.enh, texts[_i].enh) == 0 && strcmp(r.text, texts[_i].text) == 0, "%s: %s", name, r.text);
    ck_assert_str_eq(reply_format(&r, out, sizeof(out)), texts[_i].out);
}
END_TEST

START_TEST(text_without_a_code)
{
    static const char *const bad[] = { "", "ok", "42", "4211 x", "199 x", "600 x", "connection refused", "421: x" };
    struct reply r;

    for (int i = 0; i < LENGTH(bad); i++)
        ck_assert_msg(!reply_parse(bad[i], &r), "%s", bad[i]);
}
END_TEST

START_TEST(format_keeps_to_its_room)
{
    struct reply r;
    char whole[100], out[100];

    ck_assert(reply_parse("421-4.7.0 one / two / three", &r));
    (void)reply_format(&r, whole, sizeof(whole));
    for (size_t size = 1; size < sizeof(out); size++) {
        memset(out, 'x', sizeof(out));
        (void)reply_format(&r, out, size);
        ck_assert_msg(strlen(out) == (strlen(whole) < size ? strlen(whole) : size - 1), "size %zu: %s", size, out);
        ck_assert_int_eq(strncmp(whole, out, strlen(out)), 0);
        ck_assert_msg(size == sizeof(out) - 1 || out[size] == 'x', "size %zu", size);
    }
}
END_TEST

static void assert_sane(const struct reply *r)
{
    ck_assert_int_ge(r->code, 200);
    ck_assert_int_le(r->code, 599);
    ck_assert_msg(r->lines >= 1 && r->lines <= REPLY_LINES_MAX, "%u lines", r->lines);
    ck_assert_msg(r->enh[0] == '\0' || r->enh[0] - '0' == r->code / 100, "%d %s", r->code, r->enh);
    for (const char *p = r->text; *p != '\0'; p++)
        ck_assert_msg((unsigned char)*p >= ' ' || *p == '\n', "a control byte in %s", r->text);
}

START_TEST(mutated_streams)
{
    struct mutator m = { 5321 };
    unsigned good = 0;

    for (int i = 0; i < MUTATIONS; i++) {
        size_t len;
        const char *from = valid[mutator_pick(&m, LENGTH(valid))].in;
        char *in = mutate(&m, from, strlen(from), &len);
        struct reply_parser a = { 0 }, b = { 0 };
        struct run whole = feed(&a, in, len, len + 1), bytes = feed(&b, in, len, 1);

        ck_assert_msg(whole.got == bytes.got, "%d whole, %d by bytes", whole.got, bytes.got);
        if (whole.got == REPLY_WHOLE) {
            ck_assert_uint_eq(whole.left, bytes.left);
            ck_assert_int_eq(memcmp(&whole.reply, &bytes.reply, sizeof(whole.reply)), 0);
            assert_sane(&whole.reply);
            good++;
        }
        free(in);
    }
    ck_assert_msg(good > MUTATIONS / 10 && good < MUTATIONS, "%u were still replies", good);
}
END_TEST

/* Lines that hold a '/' of their own may be divided anew; all others come back. */
START_TEST(mutated_texts)
{
    struct mutator m = { 2821 };

    for (int i = 0; i < MUTATIONS; i++) {
        char *in = mutate_string(&m, texts[mutator_pick(&m, LENGTH(texts))].in), out[2 * REPLY_TEXT_MAX];
        struct reply a, b;

        if (reply_parse(in, &a)) {
            assert_sane(&a);
            ck_assert_msg(reply_parse(reply_format(&a, out, sizeof(out)), &b), "%s", out);
            ck_assert_msg(a.code == b.code && strcmp(a.enh, b.enh) == 0, "%s", out);
            if (strchr(a.text, '/') == NULL)
                ck_assert_msg(a.lines == b.lines && strcmp(a.text, b.text) == 0, "%s: %s", in, out);
        }
        free(in);
    }
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("reply");
    TCase *tc = tcase_create("reply");

    tcase_add_loop_test(tc, valid_ones, 0, LENGTH(valid));
    tcase_add_loop_test(tc, invalid_ones, 0, LENGTH(invalid));
    tcase_add_loop_test(tc, unfinished_ones, 0, LENGTH(unfinished));
    tcase_add_test(tc, line_bound);
    tcase_add_test(tc, lines_bound);
    tcase_add_loop_test(tc, text_there_and_back, 0, LENGTH(texts));
    tcase_add_test(tc, text_without_a_code);
    tcase_add_test(tc, format_keeps_to_its_room);
    tcase_add_test(tc, mutated_streams);
    tcase_add_test(tc, mutated_texts);
    suite_add_tcase(s, tc);
    return s;
}
