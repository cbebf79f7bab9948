/* wire: each kind comes back as it went, and no bytes from outside do harm. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/err.h"
#include "spooler/link/wire.h"
#include "tests/unit/unit.h"

static const char *const rcpts[] = { "a@example.org", "\"q s\"@example.org", "\303\266@example.org" };
static const struct wire_host hosts[] = { { 10, "mx1.example.org" }, { 65535, "mx2.example.org" } };

static const struct good {
    const char *name;
    struct wire_msg m;
} good[] = {
    { "setup", { .kind = WIRE_SETUP, .u.setup = { "me.example.org", "127.0.0.1:5353", "192.0.2.1", "", 2, 2525, { [PHASE_EOM] = 600000 } } } },
    { "lookup", { .kind = WIRE_LOOKUP, .u.lookup = { 7, "example.org", "me.example.org" } } },
    { "dial", { .kind = WIRE_DIAL, .u.dial = { 8, "mx1.example.org", "192.0.2.7 2001:db8::1", 25, true } } },
    { "send", { .kind = WIRE_SEND, .u.send = { 8, 9, "", 321, 1, 2, UINT64_MAX, true, false, 3, rcpts } } },
    { "close", { .kind = WIRE_CLOSE, .u.close = UINT32_MAX } },
    { "route", { .kind = WIRE_ROUTE, .u.route = { 7, ROUTE_OK, 3600, "", 2, hosts } } },
    { "route without hosts", { .kind = WIRE_ROUTE, .u.route = { 7, ROUTE_NO_DOMAIN, 0, "no such domain", 0, NULL } } },
    { "up", { .kind = WIRE_UP, .u.up = { 8, "192.0.2.7", true, false, true, false, true, 10240000 } } },
    { "fail", { .kind = WIRE_FAIL, .u.fail = { 8, WHY_REPLY, PHASE_BANNER, { 421, 2, "4.7.0", "busy\nvery" }, "192.0.2.7" } } },
    { "fail without reply", { .kind = WIRE_FAIL, .u.fail = { 8, WHY_TIMEOUT, PHASE_CONNECT, { 0, 0, "", "no answer in time" }, "" } } },
    { "delivered", { .kind = WIRE_RCPT, .u.rcpt = { 9, WIRE_ALL, PHASE_EOM, { 250, 1, "2.0.0", "queued as 4711" } } } },
    { "refused", { .kind = WIRE_RCPT, .u.rcpt = { 9, 99, PHASE_RCPT, { 550, 1, "5.1.1", "no such user" } } } },
    { "done", { .kind = WIRE_DONE, .u.done = { 9, ENDED_IN_DOUBT } } },
    { "closed", { .kind = WIRE_CLOSED, .u.fail = { 8, WHY_ASKED, PHASE_IDLE, { 0, 0, "", "" }, "" } } },
    { "said", { .kind = WIRE_SAID, .u.said = { 9, ">>> MAIL FROM:<a@example.org>" } } },
    { "log", { .kind = WIRE_LOG, .u.log = { 2, "a line" } } },
};

static void encode(const struct good *c, struct buf *out)
{
    ck_assert_msg(wire_put(out, &c->m), "%s: not encoded", c->name);
}

/* Encoded, decoded, encoded again: the same bytes, so nothing was lost on the way. */
START_TEST(round_trip)
{
    const struct good *c = &good[_i];
    struct buf first = BUF_INIT(WIRE_MAX), second = BUF_INIT(WIRE_MAX);
    struct wire_msg m;
    struct err e;

    encode(c, &first);
    memset(&m, 0xa5, sizeof(m));
    ck_assert_msg(wire_get(first.data, first.len, &m, &e) == 0, "%s: %s", c->name, e.text);
    ck_assert_msg(wire_put(&second, &m), "%s: not encoded again", c->name);
    ck_assert_msg(first.len == second.len && memcmp(first.data, second.data, first.len) == 0, "%s: differs", c->name);
    buf_fini(&first);
    buf_fini(&second);
}
END_TEST

START_TEST(values_arrive)
{
    struct buf out = BUF_INIT(WIRE_MAX);
    struct wire_msg m;

    encode(&good[3], &out);
    ck_assert(wire_get(out.data, out.len, &m, NULL) == 0);
    ck_assert(m.kind == WIRE_SEND && m.u.send.conn == 8 && m.u.send.flight == 9);
    ck_assert(m.u.send.longest_line == UINT64_MAX && m.u.send.eight_bit && !m.u.send.say);
    ck_assert_uint_eq(m.u.send.nrcpt, 3);
    ck_assert_str_eq(m.u.send.sender, "");
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(m.u.send.rcpt[i], rcpts[i]);
    encode(&good[8], &out);
    ck_assert(wire_get(out.data, out.len, &m, NULL) == 0);
    ck_assert(m.u.fail.why == WHY_REPLY && m.u.fail.phase == PHASE_BANNER && m.u.fail.reply.code == 421);
    ck_assert_str_eq(m.u.fail.reply.text, "busy\nvery");
    ck_assert_str_eq(m.u.fail.reply.enh, "4.7.0");
    buf_fini(&out);
}
END_TEST

/* In memory of its exact size, so that the sanitizer sees a byte read too far. */
static int decode_exact(const char *bytes, size_t len, struct wire_msg *m)
{
    char *copy = malloc(len + (len == 0));
    int result;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, len);
    result = wire_get(copy, len, m, NULL);
    free(copy);
    return result;
}

START_TEST(every_cut_is_refused)
{
    const struct good *c = &good[_i];
    struct buf out = BUF_INIT(WIRE_MAX);
    struct wire_msg m;

    encode(c, &out);
    for (size_t n = 0; n < out.len; n++)
        ck_assert_msg(decode_exact(out.data, n, &m) == -1, "%s: %zu of %zu bytes pass", c->name, n, out.len);
    buf_char(&out, '\0');
    ck_assert_msg(decode_exact(out.data, out.len, &m) == -1, "%s: a byte left over passes", c->name);
    buf_fini(&out);
}
END_TEST

static unsigned random_step(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* What still parses must be encodable: every value is within its bounds. */
START_TEST(every_flip_is_harmless)
{
    const struct good *c = &good[_i];
    struct buf out = BUF_INIT(WIRE_MAX), again = BUF_INIT(WIRE_MAX);
    struct wire_msg m;
    unsigned seed = 1;

    encode(c, &out);
    for (int round = 0; round < 20000; round++) {
        char *copy = malloc(out.len);
        memcpy(copy, out.data, out.len);
        for (unsigned n = 1 + random_step(&seed) % 3; n > 0; n--)
            copy[random_step(&seed) % out.len] = (char)random_step(&seed);
        if (wire_get(copy, out.len, &m, NULL) == 0)
            ck_assert_msg(wire_put(&again, &m), "%s: round %d", c->name, round);
        free(copy);
    }
    buf_fini(&out);
    buf_fini(&again);
}
END_TEST

static char long_name[300];

static const struct bad {
    const char *name;
    struct wire_msg m;
} bad[] = {
    { "kind 0", { .kind = 0 } },
    { "kind beyond", { .kind = WIRE_KIND_END } },
    { "control byte in a sender", { .kind = WIRE_SEND, .u.send = { .sender = "a\r\nRSET", .nrcpt = 1, .rcpt = rcpts } } },
    { "no recipient", { .kind = WIRE_SEND, .u.send = { .sender = "", .nrcpt = 0, .rcpt = rcpts } } },
    { "too many recipients", { .kind = WIRE_SEND, .u.send = { .sender = "", .nrcpt = WIRE_RCPT_MAX + 1, .rcpt = rcpts } } },
    { "long host name", { .kind = WIRE_DIAL, .u.dial = { 1, long_name, "", 25, false } } },
    { "family", { .kind = WIRE_SETUP, .u.setup = { "", "", "", "", 3, 25, { 0 } } } },
    { "too many hosts", { .kind = WIRE_ROUTE, .u.route = { .text = "", .nhost = WIRE_HOST_MAX + 1, .host = hosts } } },
    { "route status", { .kind = WIRE_ROUTE, .u.route = { .text = "", .status = ROUTE_LOOP + 1 } } },
    { "why", { .kind = WIRE_FAIL, .u.fail = { .why = WHY_COUNT, .address = "" } } },
    { "phase", { .kind = WIRE_FAIL, .u.fail = { .phase = PHASE_COUNT, .address = "" } } },
    { "code 199", { .kind = WIRE_FAIL, .u.fail = { .reply = { .code = 199 }, .address = "" } } },
    { "code 600", { .kind = WIRE_FAIL, .u.fail = { .reply = { .code = 600 }, .address = "" } } },
    { "negative code", { .kind = WIRE_FAIL, .u.fail = { .reply = { .code = -250 }, .address = "" } } },
    { "delivered at RCPT", { .kind = WIRE_RCPT, .u.rcpt = { 1, 0, PHASE_RCPT, { 250, 1, "", "" } } } },
    { "354 as an answer", { .kind = WIRE_RCPT, .u.rcpt = { 1, 0, PHASE_EOM, { 354, 1, "", "" } } } },
    { "no code", { .kind = WIRE_RCPT, .u.rcpt = { 1, 0, PHASE_EOM, { 0, 0, "", "" } } } },
    { "recipient 100", { .kind = WIRE_RCPT, .u.rcpt = { 1, 100, PHASE_EOM, { 250, 1, "", "" } } } },
    { "answer before MAIL", { .kind = WIRE_RCPT, .u.rcpt = { 1, 0, PHASE_EHLO, { 450, 1, "", "" } } } },
    { "ended", { .kind = WIRE_DONE, .u.done = { 1, ENDED_IN_DOUBT + 1 } } },
    { "two lines said", { .kind = WIRE_SAID, .u.said = { 1, "a\nb" } } },
    { "log level", { .kind = WIRE_LOG, .u.log = { 4, "x" } } },
};

START_TEST(bad_is_not_encoded)
{
    struct buf out = BUF_INIT(WIRE_MAX);

    memset(long_name, 'x', sizeof(long_name) - 1);
    ck_assert_msg(!wire_put(&out, &bad[_i].m), "%s: encoded", bad[_i].name);
    buf_fini(&out);
}
END_TEST

START_TEST(bounds_of_a_record)
{
    static char text[WIRE_MAX + 1];
    const char *many[WIRE_RCPT_MAX];
    struct wire_msg m = { .kind = WIRE_SEND, .u.send = { .sender = "", .nrcpt = WIRE_RCPT_MAX, .rcpt = many } };
    struct buf out = BUF_INIT(WIRE_MAX);
    char address[1000];

    memset(address, 'a', sizeof(address));
    address[500] = '\0';
    for (int i = 0; i < WIRE_RCPT_MAX; i++)
        many[i] = address;
    ck_assert(wire_put(&out, &m));
    address[500] = 'a';
    address[999] = '\0';
    ck_assert(!wire_put(&out, &m));
    ck_assert(wire_get(text, sizeof(text), &m, NULL) == -1);
    buf_fini(&out);
}
END_TEST

START_TEST(names)
{
    for (int k = 1; k < WIRE_KIND_END; k++)
        ck_assert_str_ne(wire_kind_name((enum wire_kind)k), "unknown");
    for (int w = 0; w < WHY_COUNT; w++)
        ck_assert_str_ne(wire_why_name((enum wire_why)w), "unknown");
    ck_assert_str_eq(wire_kind_name(WIRE_KIND_END), "unknown");
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("wire");
    TCase *tc = tcase_create("wire");

    tcase_add_loop_test(tc, round_trip, 0, LENGTH(good));
    tcase_add_test(tc, values_arrive);
    tcase_add_loop_test(tc, every_cut_is_refused, 0, LENGTH(good));
    tcase_add_loop_test(tc, every_flip_is_harmless, 0, LENGTH(good));
    tcase_add_loop_test(tc, bad_is_not_encoded, 0, LENGTH(bad));
    tcase_add_test(tc, bounds_of_a_record);
    tcase_add_test(tc, names);
    suite_add_tcase(s, tc);
    return s;
}
