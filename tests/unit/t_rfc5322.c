/* rfc5322: fields cover the header without gap or overlap; names in a header
 * are what a reader decodes again. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/rfc5322.h"
#include "tests/unit/mutate.h"
#include "tests/unit/unit.h"

/* Each field as "NAME=UNFOLDED;", then what is left, by its first 12 bytes. */
static const struct { const char *name, *in, *want; } headers[] = {
    { "nothing", "", "|" },
    { "empty line", "\nbody\n", "|\nbody\n" },
    { "two", "To: a\nSubject: b c\n\nbody", "To=a;Subject=b c;|\nbody" },
    { "no newline at the end", "To: a", "To=a;|" },
    { "folded", "To: a,\n b,\n\tc\nX: y\n", "To=a, b, c;X=y;|" },
    { "folded at once", "To:\n a\n", "To=a;|" },
    { "folded by blanks", "To: a\n \n b\n\nx", "To=a  b;|\nx" },
    { "empty value", "Bcc:\nTo: x\n", "Bcc=;To=x;|" },
    { "blank before the colon", "To : a\nX\t: b\n", "To=a;X=b;|" },
    { "colon in the value", "Subject: a: b\n", "Subject=a: b;|" },
    { "no blank behind the colon", "Subject:a\n", "Subject=a;|" },
    { "body at once", "hello world\nTo: a\n", "|hello world\n" },
    { "mbox line", "From alice Sat Nov 21\nTo: a\n", "|From alice S" },
    { "colon first", ": a\n", "|: a\n" },
    { "blank first", " To: a\n", "| To: a\n" },
    { "8-bit name", "T\303\266: a\n", "|T\303\266: a\n" },
    { "colon on the next line", "To\n: a\n", "|To\n: a\n" },
    { "control bytes", "Subject: a\tb\001c\177d\re\n", "Subject=a b c d e;|" },
    { "CRLF", "To: a,\r\n b\r\nX: y\r\n\r\n", "To=a, b;X=y;|\r\n" },
    { "all punctuation", "X-!#$%&'*+-./^_`{|}~(: y\n", "X-!#$%&'*+-./^_`{|}~(=y;|" },
};

static char *copy_exact(const char *in, size_t len)
{
    char *exact = malloc(len == 0 ? 1 : len);

    ck_assert_ptr_nonnull(exact);
    memcpy(exact, in, len);
    return exact;
}

START_TEST(header_in_fields)
{
    size_t len = strlen(headers[_i].in), pos = 0;
    char *in = copy_exact(headers[_i].in, len), text[100];
    struct buf got = BUF_INIT(1000);
    struct field f;

    while (field_next(in, len, &pos, &f)) {
        field_unfold(&f, text, sizeof(text));
        ck_assert(buf_printf(&got, "%.*s=%s;", (int)f.name_len, f.start, text));
        ck_assert_msg(field_blank(&f) == (text[0] == '\0'), "%s: blank", headers[_i].name);
    }
    ck_assert(buf_printf(&got, "|%.*s", len - pos < 12 ? (int)(len - pos) : 12, in + pos));
    ck_assert_msg(strcmp(got.data, headers[_i].want) == 0, "%s: %s", headers[_i].name, got.data);
    buf_fini(&got);
    free(in);
}
END_TEST

START_TEST(names_match)
{
    static const char in[] = "Message-ID : <x>\n";
    struct field f;
    size_t pos = 0;

    ck_assert(field_next(in, strlen(in), &pos, &f));
    ck_assert(field_is(&f, "message-id") && field_is(&f, "MESSAGE-ID"));
    ck_assert(!field_is(&f, "message") && !field_is(&f, "message-ids") && !field_is(&f, ""));
    ck_assert_uint_eq(f.len, strlen(in));
}
END_TEST

START_TEST(unfold_keeps_to_its_room)
{
    static const char in[] = "S:   one\n two \n";
    struct field f;
    size_t pos = 0;
    char out[20];

    ck_assert(field_next(in, strlen(in), &pos, &f));
    for (size_t size = 1; size < sizeof(out); size++) {
        memset(out, 'x', sizeof(out));
        field_unfold(&f, out, size);
        ck_assert_msg(strlen(out) < size && strncmp(out, "one two", strlen(out)) == 0, "size %zu: %s", size, out);
    }
    ck_assert_str_eq(out, "one two");
    memset(out, 'x', sizeof(out));
    field_unfold(&f, out, 0);
    ck_assert_int_eq(out[0], 'x');
}
END_TEST

START_TEST(hostile_headers_in_linear_time)
{
    static const char *const units[] = { "a:\n", "a: b\n c\n", "a ", "a", ":", " ", "a:\n ", "\n" };
    const size_t len = 8 * 1024 * 1024;
    char *in = malloc(len);
    clock_t start = clock();

    ck_assert_ptr_nonnull(in);
    for (int u = 0; u < LENGTH(units); u++) {
        size_t pos = 0, n = strlen(units[u]);
        struct field f;

        for (size_t i = 0; i < len; i++)
            in[i] = units[u][i % n];
        while (field_next(in, len, &pos, &f))
            (void)field_blank(&f);
    }
    ck_assert_msg(clock() - start < 20 * CLOCKS_PER_SEC, "not in linear time");
    free(in);
}
END_TEST

START_TEST(mutated_headers)
{
    struct mutator m = { 5322 };

    for (int i = 0; i < MUTATIONS; i++) {
        size_t len, pos = 0, last = 0;
        const char *from = headers[mutator_pick(&m, LENGTH(headers))].in;
        char *in = mutate(&m, from, strlen(from), &len), text[64];
        struct field f;

        for (; field_next(in, len, &pos, &f); last = pos) {
            ck_assert(f.start == in + last && f.len == pos - last && f.name_len > 0 && f.name_len < f.len);
            ck_assert(f.value > f.start + f.name_len && f.value + f.value_len <= in + pos);
            ck_assert_msg(pos == len || in[pos - 1] == '\n', "a field ends within a line");
            field_unfold(&f, text, 1 + mutator_pick(&m, sizeof(text)));
            for (const char *p = text; *p != '\0'; p++)
                ck_assert((unsigned char)*p >= ' ' && *p != 0x7f);
        }
        ck_assert_uint_eq(pos, last);
        free(in);
    }
}
END_TEST

/* ---- display names ----------------------------------------------------- */

static const struct { const char *name, *in, *out; } phrases[] = {
    { "empty", "", "" },
    { "blank", " \t ", "" },
    { "atom", "root", "root" },
    { "atoms", "John Doe", "John Doe" },
    { "dot", "John Q. Public", "\"John Q. Public\"" },
    { "comma", "Doe, John", "\"Doe, John\"" },
    { "two blanks", "John  Doe", "\"John  Doe\"" },
    { "blanks around", "  John Doe ", "John Doe" },
    { "quote and backslash", "a \"b\\c\"", "\"a \\\"b\\\\c\\\"\"" },
    { "header injection", "a\nBcc: x@y", "\"a Bcc: x@y\"" },
    { "tab", "John\tDoe", "John Doe" },
    { "looks encoded", "=?utf-8?q?x?=", "\"=?utf-8?q?x?=\"" },
    { "UTF-8", "J\303\266rg M.", "=?utf-8?q?J=C3=B6rg_M=2E?=" },
    { "Latin-1", "J\366rg", "=?unknown-8bit?q?J=F6rg?=" },
    { "UTF-8 with controls", "\303\266\n=_?", "=?utf-8?q?=C3=B6_=3D=5F=3F?=" },
};

START_TEST(phrase_of_name)
{
    struct buf out = BUF_INIT(1000);

    ck_assert(buf_str(&out, ""));
    rfc5322_phrase(&out, phrases[_i].in);
    ck_assert_msg(strcmp(out.data, phrases[_i].out) == 0, "%s: %s", phrases[_i].name, out.data);
    buf_fini(&out);
}
END_TEST

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c - 'A' + 10;
}

/* One byte of the Q encoding; *P is left at its last. */
static char decode_q(const char **p)
{
    if (**p == '_')
        return ' ';
    if (**p != '=')
        return **p;
    *p += 2;
    return (char)(hex((*p)[-1]) << 4 | hex((*p)[0]));
}

/* A reader's view: quotes taken off, encoded words decoded and joined. Each
 * encoded word is checked to be at most 75 long, and whole in its characters. */
static void decode(const char *p, char *out)
{
    bool quoted = *p == '"';
    char *word;

    if (strncmp(p, "=?", 2) != 0) {
        for (p += quoted; *p != '\0' && !(quoted && *p == '"'); p++)
            *out++ = *p == '\\' ? *++p : *p;
        *out = '\0';
        return;
    }
    for (;;) {
        const char *end = strstr(strstr(p, "?q?") + 3, "?=");

        ck_assert_msg(end != NULL && end + 2 - p <= 75, "word of %s", p);
        for (word = out, p = strstr(p, "?q?") + 3; p < end; p++) {
            ck_assert_msg(*p > ' ' && *p < 0x7f, "byte in %s", p);
            *out++ = decode_q(&p);
        }
        ck_assert_msg(out > word && ((unsigned char)*word & 0xc0) != 0x80, "a word begins inside a character");
        p = end + 2;
        if (*p == '\0')
            break;
        ck_assert_msg(strncmp(p, "\n =?", 4) == 0, "between words: %s", p);
        p += 2;
    }
    *out = '\0';
}

/* Characters of four, two and three bytes, met by the words' ends at each of their bytes. */
START_TEST(long_names_in_words)
{
    char name[400], back[2000];
    struct buf out = BUF_INIT(4000);

    for (size_t skip = 0; skip < 21; skip++) {
        memset(name, 'a', skip);
        name[skip] = '\0';
        for (int i = 0; i < 40; i++)
            (void)strlcat(name, "\360\237\230\200\303\274\342\202\254", sizeof(name));
        buf_clear(&out);
        rfc5322_phrase(&out, name);
        decode(out.data, back);
        ck_assert_str_eq(back, name);
    }
    buf_fini(&out);
}
END_TEST

/* What is no UTF-8 is not read back here: decode() asks for whole characters. */
START_TEST(mutated_names)
{
    struct mutator m = { 2047 };

    for (int i = 0; i < MUTATIONS; i++) {
        char *name = mutate_string(&m, phrases[mutator_pick(&m, LENGTH(phrases))].in), back[2000];
        struct buf out = BUF_INIT(4000);
        size_t from = 0, n = strlen(name);

        rfc5322_phrase(&out, name);
        ck_assert(buf_ok(&out));
        for (char *p = name; *p != '\0'; p++)
            if ((unsigned char)*p < ' ' || *p == 0x7f)
                *p = ' ';
        from = strspn(name, " ");
        while (n > from && name[n - 1] == ' ')
            n--;
        name[n] = '\0';
        if (n > from && strstr(out.data, "unknown-8bit") != out.data + 2) {
            decode(out.data, back);
            ck_assert_str_eq(back, name + from);
        }
        ck_assert(n > from || out.len == 0);
        buf_fini(&out);
        free(name);
    }
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("rfc5322");
    TCase *tc = tcase_create("rfc5322");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, header_in_fields, 0, LENGTH(headers));
    tcase_add_test(tc, names_match);
    tcase_add_test(tc, unfold_keeps_to_its_room);
    tcase_add_test(tc, hostile_headers_in_linear_time);
    tcase_add_test(tc, mutated_headers);
    tcase_add_loop_test(tc, phrase_of_name, 0, LENGTH(phrases));
    tcase_add_test(tc, long_names_in_words);
    tcase_add_test(tc, mutated_names);
    suite_add_tcase(s, tc);
    return s;
}
