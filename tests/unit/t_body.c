/* body: the DATA stream of any message, in whatever pieces it is asked for, against the plain definition. */
#include <config.h>

#include <sys/mman.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "spooler/courier/body.h"
#include "tests/unit/mutate.h"
#include "tests/unit/unit.h"

static const struct { const char *name, *message, *wire; } cases[] = {
    { "empty", "", ".\r\n" },
    { "one line", "a\n", "a\r\n.\r\n" },
    { "no line end", "a", "a\r\n.\r\n" },
    { "only a line end", "\n", "\r\n.\r\n" },
    { "a dot", ".\n", "..\r\n.\r\n" },
    { "a dot, no line end", ".", "..\r\n.\r\n" },
    { "dots", "..\n.a\n\n.\n", "...\r\n..a\r\n\r\n..\r\n.\r\n" },
    { "dots inside", "a.\na..b\n", "a.\r\na..b\r\n.\r\n" },
    { "bare CR stays", "a\rb\n\r.\n", "a\rb\r\n\r.\r\n.\r\n" },
    { "CR before a line end stays", "a\r\n.\r\n", "a\r\r\n..\r\r\n.\r\n" },
};

static int message_fd(const char *bytes, size_t len)
{
    int fd = memfd_create("message", MFD_CLOEXEC);

    ck_assert_int_ne(fd, -1);
    ck_assert(write(fd, "envelope\n\n", 10) == 10);
    ck_assert(write(fd, bytes, len) == (ssize_t)len);
    ck_assert(write(fd, "not ours", 8) == 8);
    return fd;
}

/* All of it, ROOM bytes at a time (0: a new random room each time). */
static void fill(struct body *b, size_t room, struct mutator *m, struct buf *out)
{
    while (!b->done) {
        size_t now = room > 0 ? room : BODY_ROOM_MIN + mutator_pick(m, 100);
        char *piece = malloc(now);      /* of its exact size, for the sanitizer */
        ssize_t n = body_fill(b, piece, now, NULL);
        ck_assert(n >= 0 && (size_t)n <= now);
        buf_add(out, piece, (size_t)n);
        free(piece);
    }
}

static void check(const char *name, const char *message, size_t len, const char *wire, size_t wire_len, size_t room, struct mutator *m)
{
    struct buf out = BUF_INIT(1 << 24);
    struct body b;

    body_init(&b, message_fd(message, len), 10, len);
    fill(&b, room, m, &out);
    ck_assert_msg(out.len == wire_len && memcmp(out.data, wire, wire_len) == 0, "%s (room %zu): '%.*s'", name, room, (int)out.len, out.data);
    body_fini(&b);
    body_fini(&b);
    buf_fini(&out);
}

START_TEST(known)
{
    for (size_t room = BODY_ROOM_MIN; room < 70; room++)
        check(cases[_i].name, cases[_i].message, strlen(cases[_i].message), cases[_i].wire, strlen(cases[_i].wire), room, NULL);
    check(cases[_i].name, cases[_i].message, strlen(cases[_i].message), cases[_i].wire, strlen(cases[_i].wire), 65536, NULL);
}
END_TEST

/* RFC 5321 4.5.2, byte by byte. */
static void define(const char *in, size_t len, struct buf *out)
{
    bool start = true;

    for (size_t i = 0; i < len; i++) {
        if (start && in[i] == '.')
            buf_char(out, '.');
        start = in[i] == '\n';
        buf_add(out, start ? "\r\n" : in + i, start ? 2 : 1);
    }
    buf_str(out, start ? ".\r\n" : "\r\n.\r\n");
}

START_TEST(random_messages)
{
    static const char alphabet[] = "\n\n..a\r";
    struct mutator m = { 7 };
    struct buf wire = BUF_INIT(1 << 24);
    char message[3000];

    for (int round = 0; round < 2000; round++) {
        size_t len = mutator_pick(&m, sizeof(message));
        for (size_t i = 0; i < len; i++)
            message[i] = alphabet[mutator_pick(&m, sizeof(alphabet) - 1)];
        buf_clear(&wire);
        define(message, len, &wire);
        check("random", message, len, wire.data, wire.len, 0, &m);
    }
    buf_fini(&wire);
}
END_TEST

START_TEST(shorter_than_said)
{
    char out[4096];
    struct err e = { 0 };
    struct body b;

    body_init(&b, message_fd("abc\n", 4), 10, 4 + 8 + 1);
    ck_assert(body_fill(&b, out, sizeof(out), &e) == -1);
    ck_assert_int_eq(e.class, EX_IOERR);
    ck_assert(!b.done);
    body_fini(&b);
}
END_TEST

START_TEST(converted)
{
    static const char message[] = "Subject: x\n\n.\303\266\n";
    struct buf out = BUF_INIT(4096);
    struct body b;

    body_init(&b, message_fd(message, strlen(message)), 10, strlen(message));
    ck_assert(body_convert(&b, true, NULL) == 0);
    fill(&b, 40, NULL, &out);
    ck_assert_str_eq(out.data, "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                     "Content-Transfer-Encoding: quoted-printable\r\n\r\n..=C3=B6\r\n.\r\n");
    body_fini(&b);
    buf_fini(&out);
}
END_TEST

START_TEST(not_convertible)
{
    static const char message[] = "DKIM-Signature: v=1\n\n\303\266\n";
    struct err e = { 0 };
    struct body b;

    body_init(&b, message_fd(message, strlen(message)), 10, strlen(message));
    ck_assert(body_convert(&b, true, &e) == -1 && e.class == EX_DATAERR);
    body_fini(&b);
    body_init(&b, message_fd(message, strlen(message)), 10, strlen(message) + 9);
    ck_assert(body_convert(&b, true, &e) == -1 && e.class == EX_IOERR);
    body_fini(&b);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("body");
    TCase *tc = tcase_create("body");

    tcase_add_loop_test(tc, known, 0, LENGTH(cases));
    tcase_add_test(tc, random_messages);
    tcase_add_test(tc, shorter_than_said);
    tcase_add_test(tc, converted);
    tcase_add_test(tc, not_convertible);
    suite_add_tcase(s, tc);
    return s;
}
