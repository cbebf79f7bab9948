/* The bounded window against a naive model: what was put in is ready, or later, or
 * covered by the time at which a new pass is wanted; senders have their turns. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "spooler/keeper/window.h"
#include "tests/unit/unit.h"

enum { NAMES = 4000, STEPS = 1000000 };

static struct qname make(unsigned number, int64_t due, unsigned sender)
{
    struct qname q = { .due = due, .letter = 'n' };

    memcpy(q.id.s, "1xocE4-000000-00", MSGID_SIZE);
    for (size_t i = 12; number > 0; i--, number /= 10)
        q.id.s[i] = (char)('0' + number % 10);
    for (size_t i = QNAME_SENDER_LEN; i-- > 0; sender /= 10)
        q.sender[i] = (char)('0' + sender % 10);
    return q;
}

static unsigned number_of(const struct qname *q)
{
    return (unsigned)atoi(q->id.s + 7);
}

START_TEST(test_empty)
{
    struct window *w = window_new();
    struct qname q;

    ck_assert(!window_take(w, &q) && !window_peek(w, &q));
    ck_assert_uint_eq(window_ready(w), 0);
    ck_assert_int_eq(window_next(w), WINDOW_NEVER);
    ck_assert(!window_wants_pass(w, 1000) && !window_full(w));
    window_free(w);
    window_free(NULL);
}
END_TEST

START_TEST(test_whole_name)
{
    struct window *w = window_new();
    struct qname in = make(1234, 77, 5), out;

    in.letter = 'g';
    window_add(w, &in, 76);
    ck_assert_uint_eq(window_ready(w), 0);
    ck_assert_int_eq(window_next(w), 77);
    window_turn(w, 77);
    ck_assert(window_peek(w, &out));
    ck_assert_mem_eq(&in, &out, sizeof in);
    ck_assert(window_take(w, &out));
    ck_assert_mem_eq(&in, &out, sizeof in);
    ck_assert_uint_eq(window_ready(w), 0);
    window_free(w);
}
END_TEST

START_TEST(test_earliest_first)
{
    struct window *w = window_new();
    struct qname q;

    for (unsigned i = 0; i < 500; i++) {
        q = make(i, 1000 + (int64_t)(i * 37 % 500), 1);
        window_add(w, &q, 0);
    }
    for (unsigned i = 0; i < 500; i++) {
        ck_assert_int_eq(window_next(w), 1000 + i);
        window_turn(w, 1000 + i);
        ck_assert(window_take(w, &q));
        ck_assert_int_eq(q.due, 1000 + i);
    }
    window_free(w);
}
END_TEST

/* A flood of one sender neither keeps others out nor makes them wait behind it. */
START_TEST(test_senders_share)
{
    struct window *w = window_new();
    unsigned seen[10] = { 0 };
    struct qname q;

    for (unsigned i = 0; i < 3000; i++) {
        q = make(i, 5, 0);
        window_add(w, &q, 10);
    }
    for (unsigned i = 0; i < 90; i++) {
        q = make(3000 + i, 6, 1 + i % 9);
        window_add(w, &q, 10);
    }
    ck_assert_uint_eq(window_ready(w), WINDOW_READY);
    ck_assert(window_full(w));
    ck_assert_int_eq(window_next(w), 5);
    for (unsigned i = 0; i < 100 && window_take(w, &q); i++)
        seen[atoi(q.sender)]++;
    for (unsigned i = 0; i < 10; i++)
        ck_assert_msg(seen[i] == 10, "sender %u had %u turns of 100", i, seen[i]);
    ck_assert(!window_wants_pass(w, 10));
    while (window_ready(w) > WINDOW_READY / 4)
        window_take(w, &q);
    ck_assert(window_wants_pass(w, 10));
    window_pass(w);
    ck_assert(!window_wants_pass(w, 10));
    window_free(w);
}
END_TEST

START_TEST(test_latest_left_out)
{
    struct window *w = window_new();
    struct qname q;

    for (unsigned i = 0; i < 2 * WINDOW_LATER; i++) {
        q = make(i, 5000 - (int64_t)i, i);
        window_add(w, &q, 0);
    }
    ck_assert_int_eq(window_next(w), 5000 - 2 * WINDOW_LATER + 1);
    window_turn(w, 5000 - WINDOW_LATER);
    ck_assert_uint_eq(window_ready(w), WINDOW_LATER);
    ck_assert_int_eq(window_next(w), 5000 - WINDOW_LATER + 1);
    window_reset(w);
    ck_assert_int_eq(window_next(w), WINDOW_NEVER);
    ck_assert_uint_eq(window_ready(w), 0);
    window_free(w);
}
END_TEST

/* ---- random operations ------------------------------------------------------------ */

struct model {
    int64_t due[NAMES];                 /* -1: not in the "directory" (any more) */
    unsigned n, left;
    unsigned pass;                      /* where a pass over it stands; n: none is under way */
    uint32_t random;
};

static uint32_t roll(struct model *m)
{
    m->random = m->random * 1664525u + 1013904223u;
    return m->random >> 8;
}

/* The queue's part: a pass goes on while there is room. */
static void pass_on(struct window *w, struct model *m, int64_t now)
{
    if (m->pass == m->n && window_wants_pass(w, now)) {
        window_pass(w);
        m->pass = 0;
    }
    for (; m->pass < m->n && !window_full(w); m->pass++)
        if (m->due[m->pass] != -1) {
            struct qname q = make(m->pass, m->due[m->pass], m->pass % 7 == 0 ? m->pass : 1);

            window_add(w, &q, now);
        }
}

static void add_one(struct window *w, struct model *m, int64_t now)
{
    struct qname q = make(m->n, now - 20 + (int64_t)(roll(m) % 400), m->n % 7 == 0 ? m->n : 1);

    m->pass += m->pass == m->n;
    m->due[m->n++] = q.due;
    m->left++;
    window_add(w, &q, now);
}

static void take_one(struct window *w, struct model *m, int64_t now)
{
    struct qname q;
    unsigned i;

    if (!window_take(w, &q))
        return;
    ck_assert_int_le(q.due, now);
    i = number_of(&q);
    m->left -= m->due[i] != -1;         /* a name may be in twice */
    m->due[i] = -1;
}

/* The earliest of what is there. */
static int64_t earliest(const struct model *m)
{
    int64_t first = WINDOW_NEVER;

    for (unsigned i = 0; i < m->n; i++)
        if (m->due[i] != -1 && m->due[i] < first)
            first = m->due[i];
    return first;
}

/* Whatever order things come in: all are handed out once they are due, and the
 * window never sleeps beyond the first that is. */
START_TEST(test_nothing_forgotten)
{
    struct model *m = calloc(1, sizeof *m);
    struct window *w = window_new();
    int64_t now = 1000;

    ck_assert_ptr_nonnull(m);
    m->random = (uint32_t)_i * 77777u + 1;
    for (unsigned step = 0; step < STEPS && (m->left > 0 || m->n < NAMES); step++) {
        unsigned kind = roll(m) % 20;

        if (kind < 10 && m->n < NAMES)
            add_one(w, m, now);
        else if (kind < 10 + (unsigned)_i)
            take_one(w, m, now);
        else if (kind == 19 && window_ready(w) == 0 && m->pass == m->n && m->left > 0) {
            int64_t next = window_next(w);

            ck_assert_msg(next <= earliest(m), "it sleeps until %lld beyond %lld", (long long)next, (long long)earliest(m));
            now = next > now ? next : now;
        }
        window_turn(w, now);
        pass_on(w, m, now);
    }
    ck_assert_msg(m->left == 0, "%u names were never handed out", m->left);
    window_free(w);
    free(m);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("window");
    TCase *tc = tcase_create("window");

    tcase_add_test(tc, test_empty);
    tcase_add_test(tc, test_whole_name);
    tcase_add_test(tc, test_earliest_first);
    tcase_add_test(tc, test_senders_share);
    tcase_add_test(tc, test_latest_left_out);
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, test_nothing_forgotten, 1, 10);
    suite_add_tcase(s, tc);
    return s;
}
