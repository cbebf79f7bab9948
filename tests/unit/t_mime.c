/* mime: what comes out is fit for the server, decodes to what went in, and is what went in where it was fit before. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/mime.h"
#include "tests/unit/mutate.h"
#include "tests/unit/unit.h"

#define V "MIME-Version: 1.0\n"
#define CT(x) "Content-Type: " x "\n"
#define CTE(x) "Content-Transfer-Encoding: " x "\n"
#define OE "\303\266"
#define MIXED CT("multipart/mixed; boundary=b")

static const struct { const char *name, *in, *out; } seven[] = {
    { "no need", "A: b\n\nplain\n", "A: b\n\nplain\n" },
    { "8-bit header alone", "Subject: " OE "\n\nplain\n", "Subject: " OE "\n\nplain\n" },
    { "8-bit header, signed", "DKIM-Signature: x\nSubject: " OE "\n\nplain\n", "DKIM-Signature: x\nSubject: " OE "\n\nplain\n" },
    { "nothing said, utf-8", "A: b\n\n" OE "\n", "A: b\n" V CT("text/plain; charset=utf-8") CTE("quoted-printable") "\n=C3=B6\n" },
    { "nothing said, not utf-8", "A: b\n\n\366\n", "A: b\n" V CT("text/plain; charset=unknown-8bit") CTE("quoted-printable") "\n=F6\n" },
    { "all said", V CT("text/plain; charset=utf-8") CTE("8bit") "X: y\n\n" OE "=\n",
      V CT("text/plain; charset=utf-8") "X: y\n" CTE("quoted-printable") "\n=C3=B6=3D\n" },
    { "folded encoding field goes whole", V "content-transfer-encoding :\n 8bit\n" CT("text/html") "\n" OE "\n",
      V CT("text/html") CTE("quoted-printable") "\n=C3=B6\n" },
    { "unreadable type is text", V CT("text") "\n" OE "\n", V CT("text") CTE("quoted-printable") "\n=C3=B6\n" },
    { "blanks at line ends, no final newline", CT("text/plain") V "\n" OE " \na\t\nb ", CT("text/plain") V CTE("quoted-printable") "\n=C3=B6=20\na=09\nb=20" },
    { "control bytes", CT("text/plain") V "\n\r" OE "\001\177\n", CT("text/plain") V CTE("quoted-printable") "\n=0D=C3=B6=01=7F\n" },
    { "other types in base64", V CT("image/png") CTE("binary") "\n\200\201\n\202", V CT("image/png") CTE("base64") "\ngIEKgg==" },
    { "no body", "A: b\n" CTE("8bit"), "A: b\n" CTE("8bit") },
    { "multipart: only the part that needs it", V MIXED CTE("8bit") "\npreamble\n--b\n\nascii\n--b\n" CT("text/plain") CTE("8bit") "\n" OE "\n--b--\nend\n",
      V MIXED "\npreamble\n--b\n\nascii\n--b\n" CT("text/plain") CTE("quoted-printable") "\n=C3=B6\n--b--\nend\n" },
    { "part without header", V MIXED "\n--b\n\n" OE "\n--b--\n",
      V MIXED "\n--b\n" CT("text/plain; charset=utf-8") CTE("quoted-printable") "\n=C3=B6\n--b--\n" },
    { "part without an empty line", V MIXED "\n--b\n" OE " text\n--b--\n",
      V MIXED "\n--b\n" CT("text/plain; charset=utf-8") CTE("quoted-printable") "\n=C3=B6 text\n--b--\n" },
    { "empty parts", V MIXED "\n--b\n\n--b\n--b\n" CT("x/y") "--b\n\n" OE "\n--b--",
      V MIXED "\n--b\n\n--b\n--b\n" CT("x/y") "--b\n" CT("text/plain; charset=utf-8") CTE("quoted-printable") "\n=C3=B6\n--b--" },
    { "8-bit filler goes", V MIXED "\n" OE "\n--b\n\n" OE "\n--b--\n" OE "\n",
      V MIXED "\n\n--b\n" CT("text/plain; charset=utf-8") CTE("quoted-printable") "\n=C3=B6\n--b--\n" },
    { "never closed", V MIXED "\n--b\n\n" OE "\n", V MIXED "\n--b\n" CT("text/plain; charset=utf-8") CTE("quoted-printable") "\n=C3=B6\n" },
    { "boundary in quotes, with comments and folds", V "Content-Type: (a) multipart (b)/ mixed ;\n\tx=y; boundary (c) =\n \"a \\\"b\" (d)\n\n--a \"b\n\n" OE "\n--a \"b--  \n",
      V "Content-Type: (a) multipart (b)/ mixed ;\n\tx=y; boundary (c) =\n \"a \\\"b\" (d)\n\n--a \"b\n" CT("text/plain; charset=utf-8")
      CTE("quoted-printable") "\n=C3=B6\n--a \"b--  \n" },
    { "what only begins like a boundary", V MIXED "\n--b\n" CT("text/plain") "\n--bb\n--b-\n --b\n" OE "\n--b\t--\n--b-- \n",
      V MIXED "\n--b\n" CT("text/plain") CTE("quoted-printable") "\n--bb\n--b-\n --b\n=C3=B6\n--b\t--\n--b-- \n" },
    { "outer boundary ends the inner", V MIXED "\n--b\n" CT("multipart/alternative; boundary=i") "\n--i\n\n" OE "\n--b\n" CT("text/plain") "\n" OE "\n--b--\n",
      V MIXED "\n--b\n" CT("multipart/alternative; boundary=i") "\n--i\n" CT("text/plain; charset=utf-8") CTE("quoted-printable") "\n=C3=B6\n--b\n"
      CT("text/plain") CTE("quoted-printable") "\n=C3=B6\n--b--\n" },
    { "message in a message", V CT("message/rfc822") CTE("8bit") "\nSubject: " OE "\n\n" OE "\n",
      V CT("message/rfc822") "\nSubject: " OE "\n" V CT("text/plain; charset=utf-8") CTE("quoted-printable") "\n=C3=B6\n" },
    { "digest", V CT("multipart/digest; boundary=b") "\n--b\n\nA: b\n\n" OE "\n--b--\n",
      V CT("multipart/digest; boundary=b") "\n--b\n\nA: b\n" V CT("text/plain; charset=utf-8") CTE("quoted-printable") "\n=C3=B6\n--b--\n" },
    { "8 bits in quoted-printable", V CT("text/plain") CTE("quoted-printable") "\n" OE "=3D=\n=zz =\t\nx=",
      V CT("text/plain") CTE("quoted-printable") "\n=C3=B6=3D=\n=3Dzz =\nx=" },
    { "signed part that needs nothing", V MIXED "\n--b\n" CT("multipart/signed; boundary=s") "\n--s\n" CTE("8bit") "\nx\n--s--\n--b\n\n" OE "\n--b--\n",
      V MIXED "\n--b\n" CT("multipart/signed; boundary=s") "\n--s\n" CTE("8bit") "\nx\n--s--\n--b\n" CT("text/plain; charset=utf-8")
      CTE("quoted-printable") "\n=C3=B6\n--b--\n" },
    { "label stays where nothing changes", V MIXED CTE("8bit") "\n--b\n\nx\n--b--\n", V MIXED CTE("8bit") "\n--b\n\nx\n--b--\n" },
};

static const struct { const char *name, *in, *why; } refused[] = {
    { "DKIM", "DKIM-Signature: x\n\n" OE "\n", "it is signed" },
    { "multipart/signed", V CT("multipart/signed; boundary=b") "\n--b\n\n" OE "\n--b--\n", "it is signed" },
    { "inside multipart/signed", V CT("multipart/signed; boundary=b") "\n--b\n" CT("multipart/mixed; boundary=c") "\n--c\n\n" OE "\n--c--\n--b--\n", "it is signed" },
    { "unknown encoding", V CTE("x-uue") "\n" OE "\n", "a part has an unknown encoding" },
    { "multipart without boundary", V CT("multipart/mixed") "\n" OE "\n", "a multipart has no boundary" },
    { "message/partial", V CT("message/partial") "\n" OE "\n", "a message/ part may not be encoded" },
    { "8 bits in base64", V CTE("base64") "\n" OE "\n", "there are 8-bit characters in a base64 part" },
};

/* ---- helpers ----------------------------------------------------------- */

struct text { const char *bytes; size_t len; };

static int read_text(void *arg, char *out, size_t len, uint64_t at, struct err *e)
{
    const struct text *t = arg;

    if (at + len > t->len)
        return err_set(e, EX_SOFTWARE, "read behind the end");
    memcpy(out, t->bytes + at, len);
    return 0;
}

/* -1: refused, for e. */
static int convert(const char *in, size_t len, bool seven_bit, size_t room, struct buf *out, struct err *e)
{
    struct text t = { in, len };
    struct mime_options o = { .read = read_text, .arg = &t, .bytes = len, .seven_bit = seven_bit };
    struct mime *m = mime_new(&o, e);
    char piece[4096];
    ssize_t n;

    buf_clear(out);
    if (m == NULL)
        return -1;
    while ((n = mime_pull(m, piece, room, e)) > 0)
        buf_add(out, piece, (size_t)n);
    mime_free(m);
    ck_assert_msg(n == 0, "%s", e->text);
    return 0;
}

START_TEST(to_seven_bits)
{
    static const size_t rooms[] = { 1, 2, 7, 64, 4096 };
    struct buf out = BUF_INIT(1 << 20);
    struct err e = { 0 };

    for (int i = 0; i < LENGTH(rooms); i++) {
        ck_assert_msg(convert(seven[_i].in, strlen(seven[_i].in), true, rooms[i], &out, &e) == 0, "%s: %s", seven[_i].name, e.text);
        ck_assert_msg(strcmp(out.data, seven[_i].out) == 0, "%s: '%s'", seven[_i].name, out.data);
    }
    buf_fini(&out);
}
END_TEST

/* To a server with 8BITMIME none of these is changed. */
START_TEST(eight_bits_stay)
{
    struct buf out = BUF_INIT(1 << 20);
    struct err e = { 0 };

    ck_assert_msg(convert(seven[_i].in, strlen(seven[_i].in), false, 100, &out, &e) == 0, "%s: %s", seven[_i].name, e.text);
    ck_assert_msg(strcmp(out.data, seven[_i].in) == 0, "%s: '%s'", seven[_i].name, out.data);
    buf_fini(&out);
}
END_TEST

START_TEST(refusals)
{
    struct buf out = BUF_INIT(1 << 20);
    struct err e = { 0 };

    ck_assert_msg(convert(refused[_i].in, strlen(refused[_i].in), true, 100, &out, &e) == -1, "%s: converted", refused[_i].name);
    ck_assert_msg(e.class == EX_DATAERR && strstr(e.text, refused[_i].why) != NULL, "%s: %s", refused[_i].name, e.text);
    ck_assert_msg(convert(refused[_i].in, strlen(refused[_i].in), false, 100, &out, &e) == 0, "%s: %s", refused[_i].name, e.text);
    buf_fini(&out);
}
END_TEST

/* ---- long lines -------------------------------------------------------- */

static size_t longest_line(const char *s, size_t len)
{
    size_t longest = 0;

    for (const char *end = s + len; s < end;) {
        const char *lf = memchr(s, '\n', (size_t)(end - s));
        size_t n = (size_t)((lf == NULL ? end : lf) - s);
        longest = n > longest ? n : longest;
        s += n + 1;
    }
    return longest;
}

static void repeat(struct buf *b, const char *s, size_t n)
{
    while (n-- > 0)
        buf_str(b, s);
}

static int convert_buf(struct buf *in, bool seven_bit, struct buf *out, struct err *e)
{
    ck_assert(buf_ok(in));
    return convert(in->data, in->len, seven_bit, 4096, out, e);
}

/* Decodes quoted-printable text as RFC 2045 6.7 says; for bodies of ours, which have no trailing blanks. */
static void qp_decode(const char *s, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (c == '=' && i + 1 < len && s[i + 1] == '\n') {
            i++;
            continue;
        }
        if (c == '=') {
            char hex[3] = { s[i + 1], s[i + 2], '\0' };
            c = (char)strtoul(hex, NULL, 16);
            i += 2;
        }
        buf_add(out, &c, 1);
    }
}

START_TEST(long_text)
{
    static const size_t lengths[] = { 998, 999, 5000, 70000, 300000 };
    struct buf in = BUF_INIT(1 << 22), out = BUF_INIT(1 << 22), back = BUF_INIT(1 << 22);
    struct err e = { 0 };

    for (int i = 0; i < LENGTH(lengths); i++) {
        const char *body;
        buf_clear(&in);
        buf_str(&in, "A: b\n\n");
        repeat(&in, "x", lengths[i]);
        buf_str(&in, "\nlast =\n");
        ck_assert(convert_buf(&in, false, &out, &e) == 0);
        if (lengths[i] == 998) {
            ck_assert_str_eq(in.data, out.data);
            continue;
        }
        ck_assert_uint_le(longest_line(out.data, out.len), 76);
        ck_assert_ptr_nonnull(strstr(out.data, V CT("text/plain; charset=us-ascii") CTE("quoted-printable") "\n"));
        body = strstr(out.data, "\n\n") + 2;
        buf_clear(&back);
        qp_decode(body, strlen(body), &back);
        ck_assert_str_eq(back.data, in.data + 6);
    }
    buf_fini(&in);
    buf_fini(&out);
    buf_fini(&back);
}
END_TEST

START_TEST(long_base64)
{
    struct buf in = BUF_INIT(1 << 22), out = BUF_INIT(1 << 22);
    struct err e = { 0 };
    size_t letters = 0;

    buf_str(&in, V CT("image/png") CTE("base64") "\n");
    repeat(&in, "QUJD", 60000);
    buf_str(&in, "\n");
    ck_assert(convert_buf(&in, false, &out, &e) == 0);
    ck_assert_uint_le(longest_line(out.data, out.len), 76);
    ck_assert(strncmp(in.data, out.data, strcspn(in.data, "Q")) == 0);
    for (size_t i = 0; i < out.len; i++)
        letters += strchr("QUJD", out.data[i]) != NULL;
    for (size_t i = 0; i < in.len; i++)
        letters -= strchr("QUJD", in.data[i]) != NULL;
    ck_assert_uint_eq(letters, 0);
    buf_fini(&in);
    buf_fini(&out);
}
END_TEST

START_TEST(long_headers)
{
    struct buf in = BUF_INIT(1 << 22), out = BUF_INIT(1 << 22), back = BUF_INIT(1 << 22);
    struct err e = { 0 };

    buf_str(&in, "To: ");
    repeat(&in, "someone@example.org, ", 20000);
    buf_str(&in, "x@y\nSubject: z\n\nbody\n");
    ck_assert_msg(convert_buf(&in, false, &out, &e) == 0, "%s", e.text);
    ck_assert_uint_le(longest_line(out.data, out.len), MIME_LINE_MAX);
    for (size_t i = 0; i < out.len; i++)                /* unfolded (RFC 5322 2.2.3) it is the same */
        if (out.data[i] != '\n' || out.data[i + 1] != ' ')
            buf_char(&back, out.data[i]);
    ck_assert_str_eq(back.data, in.data);

    buf_clear(&in);
    buf_str(&in, "X: ");
    repeat(&in, "y", 1500);
    buf_str(&in, "\n\nbody\n");
    ck_assert(convert_buf(&in, false, &out, &e) == -1);
    ck_assert_ptr_nonnull(strstr(e.text, "a header line is too long"));
    buf_clear(&in);
    buf_str(&in, "X: y");
    repeat(&in, " ", 1500);
    buf_str(&in, "\n\nbody\n");
    ck_assert(convert_buf(&in, false, &out, &e) == -1);
    buf_fini(&in);
    buf_fini(&out);
    buf_fini(&back);
}
END_TEST

/* ---- bounds ------------------------------------------------------------ */

static void nest(struct buf *in, int depth)
{
    for (int i = 0; i < depth; i++)
        buf_printf(in, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i);
    buf_str(in, "Content-Type: text/plain\n\n" OE "\n");
}

START_TEST(bounds)
{
    struct buf in = BUF_INIT(1 << 22), out = BUF_INIT(1 << 22);
    struct err e = { 0 };

    nest(&in, MIME_DEPTH_MAX);
    ck_assert_msg(convert_buf(&in, true, &out, &e) == 0, "%s", e.text);
    ck_assert_ptr_nonnull(strstr(out.data, "=C3=B6"));
    buf_clear(&in);
    nest(&in, MIME_DEPTH_MAX + 1);
    ck_assert(convert_buf(&in, true, &out, &e) == -1 && strstr(e.text, "nested too deep") != NULL);

    buf_clear(&in);
    buf_str(&in, V MIXED "\n");
    repeat(&in, "--b\n\n" OE "\n", MIME_PARTS_MAX);
    ck_assert_msg(convert_buf(&in, true, &out, &e) == 0, "%s", e.text);
    repeat(&in, "--b\n\n" OE "\n", 1);
    ck_assert(convert_buf(&in, true, &out, &e) == -1 && strstr(e.text, "too many parts") != NULL);

    buf_clear(&in);
    repeat(&in, "Content-Type: message/rfc822\n\n", 1000);
    buf_str(&in, OE "\n");
    ck_assert(convert_buf(&in, true, &out, &e) == -1 && strstr(e.text, "nested too deep") != NULL);
    buf_fini(&in);
    buf_fini(&out);
}
END_TEST

static bool eight_bits_in_body(const char *s, size_t len)
{
    const char *body = len > 0 && *s == '\n' ? s : memmem(s, len, "\n\n", 2);

    for (; body != NULL && body < s + len; body++)
        if ((unsigned char)*body >= 0x80)
            return true;
    return false;
}

/* Whatever comes in: what comes out needs no further conversion, and its lines are short. */
START_TEST(any_message)
{
    struct buf out = BUF_INIT(1 << 20), again = BUF_INIT(1 << 20);
    struct mutator m = { 11 };
    struct err e = { 0 };
    unsigned converted = 0, multipart;

    for (int round = 0; round < MUTATIONS; round++) {
        size_t len;
        const char *seed = seven[round % LENGTH(seven)].in;
        char *in = mutate(&m, seed, strlen(seed), &len);
        if (convert(in, len, true, 1 + mutator_pick(&m, 100), &out, &e) == 0) {
            multipart = memmem(in, len, "ipart", 5) != NULL || memmem(in, len, "822", 3) != NULL || memmem(in, len, "digest", 6) != NULL;
            converted += out.len != len;
            ck_assert_msg(convert(out.len > 0 ? out.data : "", out.len, true, 4096, &again, &e) == 0, "round %d: %s", round, e.text);
            ck_assert_msg(again.len == out.len && (out.len == 0 || memcmp(again.data, out.data, out.len) == 0), "round %d", round);
            ck_assert_msg(multipart || !eight_bits_in_body(out.data, out.len), "round %d: %s", round, out.data);
        } else {
            ck_assert_msg(e.class == EX_DATAERR, "round %d: %s", round, e.text);
        }
        free(in);
    }
    ck_assert_uint_gt(converted, MUTATIONS / 4);
    buf_fini(&out);
    buf_fini(&again);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("mime");
    TCase *tc = tcase_create("mime");

    tcase_add_loop_test(tc, to_seven_bits, 0, LENGTH(seven));
    tcase_add_loop_test(tc, eight_bits_stay, 0, LENGTH(seven));
    tcase_add_loop_test(tc, refusals, 0, LENGTH(refused));
    tcase_add_test(tc, long_text);
    tcase_add_test(tc, long_base64);
    tcase_add_test(tc, long_headers);
    tcase_add_test(tc, bounds);
    tcase_add_test(tc, any_message);
    suite_add_tcase(s, tc);
    return s;
}
