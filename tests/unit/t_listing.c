/* listing: each message once, in the order of age, whatever names it has and whatever vanishes meanwhile. */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "common/listing.h"
#include "common/spool.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static char dir[SCRATCH_SIZE];
static struct spool *spool;

static void setup(void)
{
    scratch_make(dir);
    spool = scratch_spool(dir);
}

static void teardown(void)
{
    spool_free(spool);
    scratch_remove(dir);
}

static const char *below(const char *name)
{
    static char text[2][SCRATCH_SIZE + 300];
    static int turn;

    turn = !turn;
    (void)snprintf(text[turn], sizeof(text[turn]), "%s/%s", spool_path(spool), name);
    return text[turn];
}

/* A message under other names: NAME "cur/example.org/1795227549.ID.n000", with the ID for "ID". */
static void put(const struct msgid *id, const char *name)
{
    char from[60], to[200];
    const char *mark = strstr(name, "ID");

    (void)snprintf(from, sizeof(from), "new/%s", id->s);
    (void)snprintf(to, sizeof(to), "%.*s%s%s", (int)(mark - name), name, id->s, mark + 2);
    ck_assert_msg(link(below(from), below(to)) == 0, "%s", to);
}

static void take_away(const struct msgid *id)
{
    char name[60];

    (void)snprintf(name, sizeof(name), "new/%s", id->s);
    ck_assert_int_eq(unlink(below(name)), 0);
}

/* An ID of our own choice, so that the order is known. */
static struct msgid message(const char *id, unsigned nrcpt)
{
    struct msgid made, want;
    char from[60], to[60];

    scratch_message(spool, 7, nrcpt, "Subject: x\n\nHello.\n", &made);
    (void)strlcpy(want.s, id, sizeof(want.s));
    (void)snprintf(from, sizeof(from), "new/%s", made.s);
    (void)snprintf(to, sizeof(to), "new/%s", want.s);
    ck_assert_int_eq(rename(below(from), below(to)), 0);
    return want;
}

static void domain(const char *name)
{
    ck_assert_int_eq(mkdir(below(name), 0700), 0);
}

static struct listing *list(size_t count)
{
    struct listing *l;
    struct err e = { 0 };

    ck_assert_msg(listing_open(spool, false, &l, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(listing_count(l), count);
    return l;
}

static const struct listing_item *next(struct listing *l, const char *id, enum listing_where where, int64_t due, char letter)
{
    const struct listing_item *item;

    ck_assert_msg(listing_next(l, &item) == 1, "%s is missing", id);
    ck_assert_str_eq(item->id.s, id);
    ck_assert_msg(item->where == where && item->due == due && item->letter == letter, "%s: where %d, due %" PRId64 ", %c", id,
        (int)item->where, item->due, item->letter);
    return item;
}

static void end(struct listing *l)
{
    const struct listing_item *item;

    ck_assert(listing_next(l, &item) == 0 && item == NULL);
    ck_assert_int_eq(listing_next(l, &item), 0);
    listing_free(l);
}

#define ID1 "1tDaa1-000000-00"
#define ID2 "1tDaa2-000000-00"
#define ID3 "1tDaa3-000000-00"
#define ID4 "1tDaa4-000000-00"

/* ---- what is listed ---------------------------------------------------- */

START_TEST(nothing)
{
    struct listing *l;

    end(list(0));
    ck_assert_int_eq(listing_open(spool, true, &l, NULL), 0);
    end(l);
    listing_free(NULL);
}
END_TEST

START_TEST(each_place)
{
    struct msgid a = message(ID4, 1), b = message(ID1, 2), c = message(ID3, 1);
    const struct listing_item *item;
    struct listing *l;

    domain("cur/example.org");
    domain("hold/example.net");
    put(&b, "cur/example.org/1795227549.ID.g0aZ");
    put(&c, "hold/example.net/1795227000.ID.h0aZ");
    put(&c, "dead/ID");
    take_away(&b);
    take_away(&c);
    l = list(3);
    item = next(l, ID1, LISTED_CUR, 1795227549, 'g');
    ck_assert(item->readable && item->envelope.nrcpt == 2 && item->trail.nrcpt == 2 && item->uid == geteuid());
    ck_assert_str_eq(item->envelope.sender, "a@example.org");
    ck_assert_uint_eq(item->bytes, item->envelope.message_at + item->envelope.size.disk_bytes);
    next(l, ID3, LISTED_HOLD, 1795227000, 'h');
    next(l, a.s, LISTED_NEW, 0, 'n');
    end(l);
    ck_assert_int_eq(listing_open(spool, true, &l, NULL), 0);
    ck_assert_uint_eq(listing_count(l), 1);
    next(l, ID3, LISTED_DEAD, 0, 'n');
    end(l);
}
END_TEST

/* One message, several domains, half held, half filed: one item, the earliest due of what waits. */
START_TEST(one_item_a_message)
{
    struct msgid a = message(ID1, 3), b = message(ID2, 2), c = message(ID3, 2), d = message(ID4, 1);
    struct listing *l;

    domain("cur/a.example");
    domain("cur/b.example");
    domain("hold/c.example");
    put(&a, "cur/a.example/1795227549.ID.g0aZ");
    put(&a, "cur/b.example/1795227548.ID.r0aZ");
    put(&a, "hold/c.example/1795220000.ID.h0aZ");
    put(&b, "hold/c.example/1795220001.ID.h0aZ");
    put(&c, "cur/b.example/1795227551.ID.n0aZ");
    put(&d, "hold/c.example/1795220002.ID.o0aZ");
    take_away(&a);
    take_away(&d);
    l = list(4);
    next(l, ID1, LISTED_CUR, 1795227548, 'r');
    next(l, ID2, LISTED_NEW, 0, 'n');
    next(l, ID3, LISTED_CUR, 1795227551, 'n');
    next(l, ID4, LISTED_HOLD, 1795220002, 'o');
    end(l);
}
END_TEST

START_TEST(the_trail_is_read)
{
    static const char text[] = "1795227549000 delivered 1 mx.example.org 250 ok\n1795227549000 warned 1\n1795227549000 failed 2 ";
    struct msgid a = message(ID1, 2);
    const struct listing_item *item;
    char name[TRAIL_NAME_SIZE];
    struct listing *l;

    spool_trail_name(&a, 7, name);
    scratch_write(below("trail"), name, text, strlen(text), 0600);
    l = list(1);
    item = next(l, ID1, LISTED_NEW, 0, 'n');
    ck_assert(item->readable && item->trail.nrcpt == 2 && item->trail.rcpt[0].warned);
    ck_assert(item->trail.rcpt[0].fate == FATE_DELIVERED && item->trail.rcpt[1].fate == FATE_OWED);
    end(l);
}
END_TEST

/* mailq showed who had his copy as waiting, for a domain that is settled whole leaves no line in the trail. */
START_TEST(settled_without_a_trail)
{
    struct msgid a = message(ID1, 2), b = message(ID2, 2), c = message(ID3, 2);
    const struct listing_item *item;
    struct listing *l;

    domain("cur/example.org");
    domain("cur/a.example");
    put(&a, "cur/a.example/1795227549.ID.g0aZ");
    put(&b, "cur/a.example/1795227549.ID.g0aZ");
    put(&b, "cur/example.org/1795227549.ID.g0aZ");
    put(&c, "cur/a.example/1795227549.ID.n0aZ");        /* and it is being filed at this moment */
    take_away(&a);
    take_away(&b);
    l = list(3);
    item = next(l, ID1, LISTED_CUR, 1795227549, 'g');
    ck_assert(!listing_owes(item, 0) && !listing_owes(item, 1));
    item = next(l, ID2, LISTED_CUR, 1795227549, 'g');
    ck_assert(listing_owes(item, 0) && listing_owes(item, 1));
    item = next(l, ID3, LISTED_CUR, 1795227549, 'n');
    ck_assert(listing_owes(item, 0) && listing_owes(item, 1));
    end(l);
}
END_TEST

/* What is not ours, or no message: shown as far as it is one, and nothing waits for it. */
START_TEST(strange_things)
{
    static const char *const names[] = { "new/core", "new/.hidden", "new/" ID1 "x", "cur/file", "cur/a.example/x",
        "cur/a.example/1795227549." ID1, "hold/1795227549." ID1 ".h000" };
    const struct listing_item *item;
    struct listing *l;

    domain("cur/a.example");
    for (int i = 0; i < LENGTH(names); i++)
        scratch_write(spool_path(spool), names[i], "x", 1, 0600);
    ck_assert_int_eq(symlink("/etc", below("cur/link.example")), 0);
    scratch_write(spool_path(spool), "new/" ID1, "no message", 10, 0600);
    ck_assert_int_eq(mkfifo(below("new/" ID2), 0600), 0);
    ck_assert_int_eq(symlink("/etc/passwd", below("new/" ID3)), 0);
    l = list(3);
    item = next(l, ID1, LISTED_NEW, 0, 'n');
    ck_assert(!item->readable && item->bytes == 10);
    item = next(l, ID2, LISTED_NEW, 0, 'n');
    ck_assert(!item->readable);
    item = next(l, ID3, LISTED_NEW, 0, 'n');
    ck_assert(!item->readable);
    end(l);
}
END_TEST

START_TEST(what_vanishes_is_passed_over)
{
    struct msgid a = message(ID1, 1), b = message(ID2, 2), c = message(ID3, 1);
    struct listing *l;

    domain("cur/a.example");
    domain("cur/b.example");
    put(&b, "cur/a.example/1795227549.ID.g0aZ");
    put(&b, "cur/b.example/1795227550.ID.r0aZ");
    take_away(&b);
    put(&c, "cur/b.example/1795227549.ID.g0aZ");
    take_away(&c);
    l = list(3);
    take_away(&a);
    ck_assert_int_eq(unlink(below("cur/a.example/1795227549." ID2 ".g0aZ")), 0);
    ck_assert_int_eq(rmdir(below("cur/a.example")), 0);
    next(l, ID2, LISTED_CUR, 1795227550, 'r');
    ck_assert_int_eq(unlink(below("cur/b.example/1795227549." ID3 ".g0aZ")), 0);
    end(l);
}
END_TEST

/* ---- rights ------------------------------------------------------------ */

/* Becomes nobody, with the spool opened anew, or root again. */
static void become(bool nobody)
{
    char path[SCRATCH_SIZE + 300];

    (void)strlcpy(path, spool_path(spool), sizeof(path));
    spool_free(spool);
    if (nobody)
        ck_assert(setegid(65534) == 0 && seteuid(65534) == 0);
    else
        ck_assert(seteuid(0) == 0 && setegid(0) == 0);
    ck_assert_int_eq(spool_open(path, &spool, NULL), 0);
}

/* An ordinary user sees that others' mail is there, and reads his own. */
START_TEST(others_mail)
{
    const struct listing_item *item;
    struct listing *l;

    if (geteuid() != 0)
        return;
    (void)message(ID1, 1);
    (void)message(ID2, 1);
    ck_assert(chmod(dir, 0755) == 0 && chmod(spool_path(spool), 0711) == 0 && chmod(below("new"), 01777) == 0);
    ck_assert(chmod(below("cur"), 0755) == 0 && chmod(below("hold"), 0755) == 0);
    ck_assert_int_eq(chown(below("new/" ID2), 65534, 0), 0);
    become(true);
    l = list(2);
    item = next(l, ID1, LISTED_NEW, 0, 'n');
    ck_assert(!item->readable && item->uid == 0 && item->bytes > 0);
    item = next(l, ID2, LISTED_NEW, 0, 'n');
    ck_assert(item->readable && item->uid == 65534 && item->trail.nrcpt == 1);
    end(l);
    become(false);
}
END_TEST

START_TEST(who_may_not_list_is_told)
{
    struct listing *l;
    struct err e = { 0 };
    bool listed;

    if (geteuid() != 0)
        return;
    ck_assert(chmod(dir, 0755) == 0 && chmod(spool_path(spool), 0710) == 0 && chmod(below("new"), 01777) == 0);
    become(true);
    listed = listing_open(spool, false, &l, &e) == 0;
    become(false);
    ck_assert(!listed && l == NULL);
    ck_assert_msg(e.class == EX_NOPERM && strstr(e.text, "/spool/new: Permission denied") != NULL, "%d: %s", e.class, e.text);
}
END_TEST

START_TEST(no_spool)
{
    struct listing *l;
    struct err e = { 0 };

    ck_assert_int_eq(rmdir(below("hold")), 0);
    ck_assert(listing_open(spool, false, &l, &e) == -1 && l == NULL && e.class == EX_NOPERM);
}
END_TEST

/* ---- size -------------------------------------------------------------- */

/* Names are read at once, and fast (100,000 in a tenth of a second; here with room for a slow machine and a sanitizer). */
START_TEST(many_names)
{
    enum { N = 20000 };
    struct msgid a = message(ID1, 1);
    int failed = 0;
    struct timespec from, to;
    struct listing *l;
    char name[100];
    double seconds;

    domain("cur/a.example");
    domain("cur/b.example");
    for (int i = 0; i < N; i++) {
        (void)snprintf(name, sizeof(name), "cur/%c.example/%010d.1tDabc-%06d-00.g000", 'a' + i % 2, (i * 7919) % N, i);
        failed += symlink("x", below(name)) != 0;       /* cheap to make; an assertion each would cost more */
    }
    ck_assert_int_eq(failed, 0);
    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &from), 0);
    l = list(N + 1);
    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &to), 0);
    next(l, a.s, LISTED_NEW, 0, 'n');
    next(l, "1tDabc-000000-00", LISTED_CUR, 0, 'g');
    next(l, "1tDabc-000001-00", LISTED_CUR, 7919, 'g');
    listing_free(l);
    seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    ck_assert_msg(seconds < 2, "%.3f s", seconds);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("listing");
    TCase *tc = tcase_create("all"), *size = tcase_create("size");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, nothing);
    tcase_add_test(tc, each_place);
    tcase_add_test(tc, one_item_a_message);
    tcase_add_test(tc, the_trail_is_read);
    tcase_add_test(tc, settled_without_a_trail);
    tcase_add_test(tc, strange_things);
    tcase_add_test(tc, what_vanishes_is_passed_over);
    tcase_add_test(tc, others_mail);
    tcase_add_test(tc, who_may_not_list_is_told);
    tcase_add_test(tc, no_spool);
    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(size, setup, teardown);
    tcase_set_timeout(size, 60);
    tcase_add_test(size, many_names);
    suite_add_tcase(s, size);
    return s;
}
