/* message: from stdin to lines; every case also with reads of one byte, two, three ... */
#include <config.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "sendmail/message.h"
#include "sendmail/text.h"
#include "tests/unit/unit.h"

/* A descriptor that reads as BYTES. */
static int input(const void *bytes, size_t len)
{
    char name[] = "/tmp/t_message.XXXXXX";
    int fd = mkstemp(name);

    ck_assert_int_ne(fd, -1);
    ck_assert(unlink(name) == 0 && write(fd, bytes, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static int write_buf(void *arg, const void *bytes, size_t len, struct err *e)
{
    return buf_add(arg, bytes, len) ? 0 : err_set(e, EX_TEMPFAIL, "full");
}

struct result {
    struct buf header, body;
    struct envelope_size size;          /* of the body */
    bool dot;
    int class;
};

static struct result run(const void *in, size_t len, bool dot_ends, uint64_t max, size_t chunk)
{
    struct result r = { .header = BUF_INIT(4000000), .body = BUF_INIT(4000000) };
    struct message_options opt = { .fd = input(in, len), .dot_ends = dot_ends, .max_bytes = max, .chunk = chunk };
    struct message *m = message_new(&opt);
    struct text t = { .write = write_buf, .arg = &r.body };
    struct err e = { 0 };
    const char *header;
    size_t header_len;

    ck_assert_ptr_nonnull(m);
    if (message_read_header(m, &e) == 0) {
        header = message_header(m, &header_len);
        (void)buf_add(&r.header, header, header_len);
        (void)message_copy_body(m, &t, &e);
    }
    r.class = e.class;
    r.size = t.size;
    r.dot = message_dot_seen(m);
    message_free(m);
    close(opt.fd);
    return r;
}

static void result_fini(struct result *r)
{
    buf_fini(&r->header);
    buf_fini(&r->body);
}

#define TEXT(s) s, sizeof(s) - 1

static const struct {
    const char *name;
    const char *in;
    size_t len;
    bool dot_ends;
    const char *header;
    const char *body;
    size_t body_len;
    bool dot;
} cases[] = {
    { "plain", TEXT("A: b\nC: d\n\nbody\n"), false, "A: b\nC: d\n", TEXT("body\n"), false },
    { "CRLF", TEXT("A: b\r\nC: d\r\n\r\nbody\r\nx\r\n"), false, "A: b\nC: d\n", TEXT("body\nx\n"), false },
    { "CRLF header, LF body (PHP 8)", TEXT("A: b\r\nC: d\r\n\r\nbody\nx\n"), false, "A: b\nC: d\n", TEXT("body\nx\n"), false },
    { "mixed within the header", TEXT("A: b\r\nC: d\nE: f\r\n\nbody\n"), false, "A: b\nC: d\nE: f\n", TEXT("body\n"), false },
    { "CRCRLF", TEXT("A: b\r\r\n\r\r\nbody\r\r\n"), false, "A: b\n", TEXT("body\n"), false },
    { "no final newline", TEXT("A: b\n\nbody"), false, "A: b\n", TEXT("body\n"), false },
    { "final CR", TEXT("A: b\n\nbody\r"), false, "A: b\n", TEXT("body\n"), false },
    { "empty input", TEXT(""), false, "", TEXT(""), false },
    { "header only", TEXT("A: b\n"), false, "A: b\n", TEXT(""), false },
    { "header only, no newline", TEXT("A: b"), false, "A: b\n", TEXT(""), false },
    { "header and empty line", TEXT("A: b\n\n"), false, "A: b\n", TEXT(""), false },
    { "body only", TEXT("hello world\nA: b\n"), false, "", TEXT("hello world\nA: b\n"), false },
    { "body only behind an empty line", TEXT("\nA: b\n"), false, "", TEXT("A: b\n"), false },
    { "one word", TEXT("x"), false, "", TEXT("x\n"), false },
    { "folded field", TEXT("A: b\n c\n\td\nE: f\n\nx\n"), false, "A: b\n c\n\td\nE: f\n", TEXT("x\n"), false },
    { "fold of blanks only", TEXT("A: b\n \nC: d\n\nx\n"), false, "A: b\n \nC: d\n", TEXT("x\n"), false },
    { "fold first", TEXT(" a\nA: b\n\nx\n"), false, "", TEXT(" a\nA: b\n\nx\n"), false },
    { "no header line in the middle", TEXT("A: b\nthis is none\nC: d\n\nx\n"), false, "A: b\n",
        TEXT("this is none\nC: d\n\nx\n"), false },
    { "8-bit name is no field", TEXT("A: b\n\xc3\x84: d\n"), false, "A: b\n", TEXT("\xc3\x84: d\n"), false },
    { "no name", TEXT("A: b\n: d\n"), false, "A: b\n", TEXT(": d\n"), false },
    { "blank before the colon", TEXT("To : a@x\n\nx\n"), false, "To : a@x\n", TEXT("x\n"), false },
    { "From line", TEXT("From ann Sat Nov 21\nA: b\n\nFrom x\n"), false, "A: b\n", TEXT("From x\n"), false },
    { "From lines", TEXT("From a\r\n>From b\nFrom c\nA: b\n\nx\n"), false, "A: b\n", TEXT("x\n"), false },
    { "From line behind a field", TEXT("A: b\nFrom a\n\nx\n"), false, "A: b\n", TEXT("From a\n\nx\n"), false },
    { "From with a blank before its colon", TEXT("From : a@x\n\nx\n"), false, "From : a@x\n", TEXT("x\n"), false },
    { "From line and nothing else", TEXT("From a"), false, "", TEXT(""), false },
    { "bare CR in a field", TEXT("Subject: a\rBcc: z@x\n\nx\n"), false, "Subject: a Bcc: z@x\n", TEXT("x\n"), false },
    { "bare CR in the body", TEXT("A: b\n\na\rb\r\rc\n"), false, "A: b\n", TEXT("a\nb\n\nc\n"), false },
    { "bare CR in a first line of body", TEXT("a b\rc d\r\ne\n"), false, "", TEXT("a b\nc d\ne\n"), false },
    { "NUL in a field", TEXT("Su\0bject: a\0b\n\nx\n"), false, "Subject: ab\n", TEXT("x\n"), false },
    { "NUL in the body", TEXT("A: b\n\na\0b\n"), false, "A: b\n", TEXT("a\0b\n"), false },
    { "8-bit field value", TEXT("Subject: \xfc\n\n\xff\n"), false, "Subject: \xfc\n", TEXT("\xff\n"), false },

    { "dot ends", TEXT("A: b\n\nx\n.\ny\n"), true, "A: b\n", TEXT("x\n"), true },
    { "dot and CRLF", TEXT("A: b\r\n\r\nx\r\n.\r\ny\r\n"), true, "A: b\n", TEXT("x\n"), true },
    { "dot is text", TEXT("A: b\n\nx\n.\ny\n"), false, "A: b\n", TEXT("x\n.\ny\n"), false },
    { "dot first in the body", TEXT("A: b\n\n.\ny\n"), true, "A: b\n", TEXT(""), true },
    { "dot within the header", TEXT("A: b\n.\nC: d\n"), true, "A: b\n", TEXT(""), true },
    { "dot and nothing else", TEXT(".\n"), true, "", TEXT(""), true },
    { "dot at the end, no newline", TEXT("A: b\n\nx\n."), true, "A: b\n", TEXT("x\n"), true },
    { "two dots", TEXT("A: b\n\n..\nx\n"), true, "A: b\n", TEXT("..\nx\n"), false },
    { "lines of dots", TEXT("A: b\n\n..\n...\n. \n.x\n"), true, "A: b\n", TEXT("..\n...\n. \n.x\n"), false },
    { "dot in brackets of CR", TEXT("A: b\n\nx\r.\ry\n"), true, "A: b\n", TEXT("x\n.\ny\n"), false },
    { "CR dot CRLF", TEXT("A: b\n\nx\r.\r\ny\n"), true, "A: b\n", TEXT("x\n.\ny\n"), false },
    { "dot and bare CR", TEXT("A: b\n\n.\rx\n"), true, "A: b\n", TEXT(".\nx\n"), false },
    { "dot with a blank", TEXT("A: b\n\nx\n .\ny\n"), true, "A: b\n", TEXT("x\n .\ny\n"), false },
};

static void check(int i, size_t chunk)
{
    struct result r = run(cases[i].in, cases[i].len, cases[i].dot_ends, 0, chunk);
    const char *name = cases[i].name;
    size_t lines = 0;

    ck_assert_msg(r.class == 0, "%s, reads of %zu: class %d", name, chunk, r.class);
    ck_assert_msg(r.header.len == strlen(cases[i].header) && strcmp(r.header.len > 0 ? r.header.data : "", cases[i].header) == 0,
        "%s, reads of %zu: header \"%s\"", name, chunk, r.header.data);
    ck_assert_msg(r.body.len == cases[i].body_len && (r.body.len == 0 || memcmp(r.body.data, cases[i].body, r.body.len) == 0),
        "%s, reads of %zu: body \"%s\"", name, chunk, r.body.data);
    ck_assert_msg(r.dot == cases[i].dot, "%s, reads of %zu: dot", name, chunk);
    for (size_t n = 0; n < r.body.len; n++)
        lines += r.body.data[n] == '\n';
    ck_assert_uint_eq(r.size.disk_bytes, r.body.len);
    ck_assert_uint_eq(r.size.wire_bytes, r.body.len + lines);
    result_fini(&r);
}

START_TEST(lines)
{
    for (size_t chunk = 0; chunk <= cases[_i].len; chunk++)
        check(_i, chunk);
}
END_TEST

static const struct {
    const char *name, *body;
    size_t len;
    bool eight_bit;
    uint64_t longest;
} sizes[] = {
    { "empty", TEXT(""), false, 0 },
    { "ASCII", TEXT("ab\nabcd\na\n"), false, 4 },
    { "last line unfinished", TEXT("ab\nabcdefgh"), false, 8 },
    { "high byte far in", TEXT("0123456789012345678901234567890123456789\xe4\n"), true, 41 },
    { "high byte at the end", TEXT("0123456\xe4"), true, 8 },
    { "NUL", TEXT("a\0b\n"), true, 3 },
};

START_TEST(counted)
{
    for (size_t chunk = 0; chunk <= sizes[_i].len; chunk++) {
        char in[200] = "\n";
        struct result r;

        memcpy(in + 1, sizes[_i].body, sizes[_i].len);
        r = run(in, sizes[_i].len + 1, false, 0, chunk);
        ck_assert_msg(r.size.eight_bit == sizes[_i].eight_bit, "%s", sizes[_i].name);
        ck_assert_msg(r.size.longest_line == sizes[_i].longest, "%s", sizes[_i].name);
        result_fini(&r);
    }
}
END_TEST

/* Whatever comes, the reads' lengths change nothing, and no CR is left. */
START_TEST(any_bytes)
{
    static const char alphabet[] = "aA:. \r\r\n\n\n";
    uint32_t x = (uint32_t)_i;
    char in[60];

    for (size_t i = 0; i < sizeof(in); i++) {
        x = x * 1664525 + 1013904223;
        in[i] = alphabet[(x >> 16) % (sizeof(alphabet) - 1)];
    }
    for (size_t chunk = 1; chunk < 5; chunk++) {
        struct result whole = run(in, sizeof(in), _i % 2, 0, 0), parts = run(in, sizeof(in), _i % 2, 0, chunk);

        ck_assert(whole.class == 0 && parts.class == 0 && whole.dot == parts.dot);
        ck_assert(whole.header.len == parts.header.len && whole.body.len == parts.body.len);
        ck_assert(whole.header.len == 0 || memcmp(whole.header.data, parts.header.data, whole.header.len) == 0);
        ck_assert(whole.body.len == 0 || memcmp(whole.body.data, parts.body.data, whole.body.len) == 0);
        ck_assert(whole.body.len == 0 || whole.body.data[whole.body.len - 1] == '\n');
        ck_assert(whole.body.len == 0 || memchr(whole.body.data, '\r', whole.body.len) == NULL);
        ck_assert(whole.header.len == 0 || memchr(whole.header.data, '\r', whole.header.len) == NULL);
        result_fini(&whole);
        result_fini(&parts);
    }
}
END_TEST

/* A line longer than the header may be is body, whole, if it is no field. */
START_TEST(long_lines)
{
    static const struct { const char *begins; int class; } kinds[] = { { "no field", 0 }, { "Field: x", EX_DATAERR } };
    size_t len = MESSAGE_HEADER_MAX + 3 * MESSAGE_CHUNK;
    char *in = malloc(len);

    ck_assert_ptr_nonnull(in);
    for (int i = 0; i < LENGTH(kinds); i++) {
        struct result r;

        memset(in, 'x', len);
        memcpy(in, kinds[i].begins, 8);
        r = run(in, len, true, 0, 0);
        ck_assert_int_eq(r.class, kinds[i].class);
        ck_assert(r.class != 0 || (r.body.len == len + 1 && memcmp(r.body.data, in, len) == 0 && r.size.longest_line == len));
        result_fini(&r);
    }
    free(in);
}
END_TEST

START_TEST(header_too_long)
{
    size_t unit = 8, len = MESSAGE_HEADER_MAX + unit;
    char *in = malloc(len);
    struct result r;

    ck_assert_ptr_nonnull(in);
    for (size_t i = 0; i < len; i += unit)
        memcpy(in + i, "A: bbbb\n", unit);
    r = run(in, len, false, 0, 0);
    ck_assert_int_eq(r.class, EX_DATAERR);
    result_fini(&r);
    r = run(in, MESSAGE_HEADER_MAX, false, 0, 0);
    ck_assert_int_eq(r.class, 0);
    ck_assert_uint_eq(r.header.len, MESSAGE_HEADER_MAX);
    result_fini(&r);
    free(in);
}
END_TEST

START_TEST(too_big)
{
    struct result r = run(TEXT("A: b\n\nbody\n"), false, 11, 1);

    ck_assert_int_eq(r.class, 0);
    result_fini(&r);
    r = run(TEXT("A: b\n\nbody\n"), false, 10, 1);
    ck_assert_int_eq(r.class, EX_DATAERR);
    result_fini(&r);
    r = run(TEXT("A: b\n\nbody\n"), false, 3, 0);
    ck_assert_int_eq(r.class, EX_DATAERR);
    result_fini(&r);
}
END_TEST

static const struct { const char *name, *path; int flags; } unreadable[] = {
    { "closed", NULL, 0 },
    { "a directory", "/", O_RDONLY },
    { "not for reading", "/dev/null", O_WRONLY },
};

START_TEST(input_fails)
{
    struct message_options opt = { .fd = -1 };
    struct err e = { 0 };
    struct message *m;

    if (unreadable[_i].path != NULL)
        opt.fd = open(unreadable[_i].path, unreadable[_i].flags);
    m = message_new(&opt);
    ck_assert_msg(message_read_header(m, &e) == -1 && e.class == EX_IOERR, "%s", unreadable[_i].name);
    message_free(m);
    if (opt.fd != -1)
        close(opt.fd);
}
END_TEST

/* Waits for a writer although the descriptor would not. */
START_TEST(non_blocking)
{
    struct message_options opt = { .fd = -1 };
    struct message *m;
    struct err e = { 0 };
    size_t len;
    int fds[2];
    pid_t pid;

    ck_assert(pipe(fds) == 0 && fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
    pid = fork();
    ck_assert_int_ne(pid, -1);
    if (pid == 0) {
        usleep(50000);
        (void)!write(fds[1], "A: b", 4);
        usleep(50000);
        (void)!write(fds[1], "c\n", 2);
        _exit(0);
    }
    close(fds[1]);
    opt.fd = fds[0];
    m = message_new(&opt);
    ck_assert_msg(message_read_header(m, &e) == 0, "%s", e.text);
    ck_assert_str_eq(message_header(m, &len), "A: bc\n");
    message_free(m);
    close(fds[0]);
}
END_TEST

START_TEST(drained)
{
    int fd = input("0123456789", 10), fds[2];

    ck_assert_uint_eq(message_drain(fd, 1000), 10);
    close(fd);
    ck_assert(pipe(fds) == 0 && write(fds[1], "abc", 3) == 3);
    ck_assert_uint_eq(message_drain(fds[0], 10), 3);        /* nobody closes it, nobody writes */
    close(fds[0]);
    close(fds[1]);
    ck_assert_uint_eq(message_drain(-1, 10), 0);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("message");
    TCase *tc = tcase_create("message");

    tcase_add_loop_test(tc, lines, 0, LENGTH(cases));
    tcase_add_loop_test(tc, counted, 0, LENGTH(sizes));
    tcase_add_loop_test(tc, any_bytes, 0, 100);
    tcase_add_test(tc, long_lines);
    tcase_add_test(tc, header_too_long);
    tcase_add_test(tc, too_big);
    tcase_add_loop_test(tc, input_fails, 0, LENGTH(unreadable));
    tcase_add_test(tc, non_blocking);
    tcase_add_test(tc, drained);
    suite_add_tcase(s, tc);
    return s;
}
