/* spool: its directories and their modes, what is a message and what is not, names of domains, and who is there. */
#include <config.h>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/spool.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

enum { ABIDE = 60001, ABIDE_DROP = 60002 };

/* The users of this machine, as the tests want them. */
static bool installed;

struct passwd *getpwnam(const char *name)
{
    static struct passwd pw = { .pw_uid = ABIDE, .pw_gid = ABIDE };

    return installed && strcmp(name, "abide") == 0 ? &pw : NULL;
}

struct group *getgrnam(const char *name)
{
    static struct group gr = { .gr_gid = ABIDE_DROP };

    return installed && strcmp(name, "abide-drop") == 0 ? &gr : NULL;
}

static char dir[SCRATCH_SIZE], path[SCRATCH_SIZE + 20];
static struct spool *spool;
static mode_t umask_before;

static void setup(void)
{
    umask_before = umask(077);
    installed = false;
    scratch_make(dir);
    (void)snprintf(path, sizeof(path), "%s/spool", dir);
    spool = scratch_spool(dir);
}

static void teardown(void)
{
    spool_free(spool);
    scratch_remove(dir);
    umask(umask_before);
}

static const char *below(const char *name)
{
    static char text[SCRATCH_SIZE + 300];

    (void)snprintf(text, sizeof(text), "%s/%s", path, name);
    return text;
}

/* ---- making it --------------------------------------------------------- */

static const char *const parts[] = { "", "tmp", "new", "cur", "hold", "dead", "trail", "sites", "wake" };

static void check_modes(const char *what, const mode_t *mode)
{
    struct stat st;

    for (int i = 0; i < LENGTH(parts); i++) {
        ck_assert_msg(lstat(below(parts[i]), &st) == 0, "%s: %s", what, parts[i]);
        ck_assert_msg((st.st_mode & 07777) == mode[i], "%s: %s has mode %o", what, parts[i], st.st_mode & 07777);
    }
}

static void remake(void)
{
    struct err e = { 0 };

    ck_assert_msg(spool_make(path, &e) == 0, "%s", e.text);
}

static const mode_t lone[] = { 0700, 0700, 0700, 0700, 0700, 0700, 0700, 0700, 0600 };
static const mode_t grouped[] = { 02770, 02770, 02770, 02770, 02770, 02770, 02770, 02770, 0660 };
static const mode_t shared[] = { 0710, 03773, 03777, 02775, 02775, 02770, 02770, 02770, 0620 };

START_TEST(a_private_spool)
{
    check_modes("made", lone);
    remake();
    check_modes("made again", lone);
    ck_assert(rmdir(below("sites")) == 0 && unlink(below("wake")) == 0);
    remake();
    check_modes("completed", lone);
}
END_TEST

START_TEST(what_exists_is_left_alone)
{
    struct stat st;

    ck_assert_int_eq(chmod(below("cur"), 0750), 0);
    remake();
    ck_assert(stat(below("cur"), &st) == 0 && (st.st_mode & 07777) == 0750);
}
END_TEST

START_TEST(a_spool_of_a_group)
{
    scratch_remove(path);
    ck_assert(mkdir(path, 0700) == 0 && chmod(path, 02770) == 0);
    remake();
    check_modes("group", grouped);
}
END_TEST

static void check_owner(const char *name, uid_t uid, gid_t gid)
{
    struct stat st;

    ck_assert_msg(lstat(below(name), &st) == 0 && st.st_uid == uid && st.st_gid == gid, "%s: %u:%u", name, st.st_uid, st.st_gid);
}

static void check_shared(const char *what)
{
    check_modes(what, shared);
    check_owner("", ABIDE, ABIDE_DROP);
    check_owner("wake", ABIDE, ABIDE_DROP);
    for (int i = 1; i < LENGTH(parts) - 1; i++)
        check_owner(parts[i], ABIDE, ABIDE);
}

/* As root with the users there; also into an empty directory, and over what a crash left half made. */
START_TEST(the_shared_spool)
{
    if (geteuid() != 0)
        return;
    installed = true;
    scratch_remove(path);
    remake();
    check_shared("made");
    remake();
    check_shared("made again");
    scratch_remove(path);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    remake();
    check_shared("empty directory");
    ck_assert(rmdir(below("cur")) == 0 && mkdir(below("cur"), 0700) == 0);
    ck_assert(unlink(below("wake")) == 0 && mkfifo(below("wake"), 0600) == 0);
    remake();
    check_shared("half made");
}
END_TEST

START_TEST(roots_own_spool_stays_his)
{
    if (geteuid() != 0)
        return;
    installed = true;
    ck_assert_int_eq(rmdir(below("hold")), 0);
    remake();
    check_modes("private", lone);
    check_owner("hold", 0, getegid());
}
END_TEST

START_TEST(where_none_can_be)
{
    struct err e = { 0 };
    char long_path[3000] = "/";

    ck_assert(spool_make("spool", &e) == -1 && e.class == EX_CONFIG);
    ck_assert(spool_make(below("no/such"), &e) == -1 && e.class == EX_CANTCREAT);
    scratch_write(dir, "file", "", 0, 0600);
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    ck_assert(spool_make(path, &e) == -1 && e.class == EX_CANTCREAT);
    (void)snprintf(path, sizeof(path), "%s/spool", dir);
    memset(long_path + 1, 'x', sizeof(long_path) - 2);
    spool_free(spool);
    ck_assert(spool_open(long_path, &spool, &e) == -1 && e.class == EX_CONFIG && spool == NULL);
    ck_assert(spool_open("var", &spool, &e) == -1 && e.class == EX_CONFIG);
}
END_TEST

START_TEST(descriptors_are_kept)
{
    struct err e = { 0 };

    for (int i = 0; i < SPOOL_DIRS; i++) {
        int fd = spool_fd(spool, (enum spool_dir)i, &e);

        ck_assert_msg(fd != -1, "%s", e.text);
        ck_assert_int_eq(spool_fd(spool, (enum spool_dir)i, &e), fd);
        ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    ck_assert_str_eq(spool_path(spool), path);
    ck_assert_str_eq(spool_dir_name(SPOOL_HOLD), "hold");
}
END_TEST

/* ---- reading a message ------------------------------------------------- */

static int read_new(const char *name, struct envelope *env, uint64_t *bytes, struct err *e)
{
    int fd = spool_read(spool, spool_fd(spool, SPOOL_NEW, e), name, env, bytes, e);

    if (fd != -1)
        ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 0);
    return fd;
}

static void check_read(unsigned nrcpt)
{
    static const char body[] = "Subject: x\n\nHello.\n";
    struct envelope env;
    char text[100];
    struct err e = { 0 };
    struct msgid id;
    uint64_t bytes;
    int fd;

    scratch_message(spool, 7, nrcpt, body, &id);
    fd = read_new(id.s, &env, &bytes, &e);
    ck_assert_msg(fd != -1, "%u recipients: %s", nrcpt, e.text);
    ck_assert_uint_eq(env.nrcpt, nrcpt);
    ck_assert_uint_eq(env.uid, 7);
    ck_assert_str_eq(env.user, "bob");
    ck_assert_uint_eq(bytes, env.message_at + strlen(body));
    ck_assert_int_eq(pread(fd, text, sizeof(text), (off_t)env.message_at), (ssize_t)strlen(body));
    ck_assert_int_eq(memcmp(text, body, strlen(body)), 0);
    envelope_fini(&env);
    close(fd);
}

START_TEST(messages)
{
    check_read(1);
    check_read(200);            /* more than the first read gets */
    check_read(20000);
}
END_TEST

/* What a user says about himself counts only where the kernel does not know better. */
START_TEST(who_submitted)
{
    struct envelope env;
    struct msgid id;
    char name[40];
    int fd;

    if (geteuid() != 0)
        return;
    scratch_message(spool, 7, 1, "x", &id);
    (void)snprintf(name, sizeof(name), "new/%s", id.s);
    ck_assert_int_eq(chown(below(name), 4242, 0), 0);
    fd = read_new(id.s, &env, NULL, NULL);
    ck_assert(fd != -1 && env.uid == 4242 && strcmp(env.user, "") == 0);
    envelope_fini(&env);
    close(fd);
    ck_assert_int_eq(chown(below(name), 7, 0), 0);
    fd = read_new(id.s, &env, NULL, NULL);
    ck_assert(fd != -1 && env.uid == 7 && strcmp(env.user, "bob") == 0);
    envelope_fini(&env);
    close(fd);
}
END_TEST

/* Damages new/m, which is a good message. */
static void cut_short(const char *m) { ck_assert_int_eq(truncate(m, 200), 0); }
static void cut_envelope(const char *m) { ck_assert_int_eq(truncate(m, 70), 0); }
static void make_empty(const char *m) { ck_assert_int_eq(truncate(m, 0), 0); }
static void make_longer(const char *m) { ck_assert_int_eq(truncate(m, 100000), 0); }
static void make_link(const char *m) { ck_assert(unlink(m) == 0 && symlink("/etc/passwd", m) == 0); }
static void make_dangling(const char *m) { ck_assert(unlink(m) == 0 && symlink("nowhere", m) == 0); }
static void make_fifo(const char *m) { ck_assert(unlink(m) == 0 && mkfifo(m, 0600) == 0); }
static void make_dir(const char *m) { ck_assert(unlink(m) == 0 && mkdir(m, 0700) == 0); }
static void remove_it(const char *m) { ck_assert_int_eq(unlink(m), 0); }

static void make_sparse(const char *m)
{
    ck_assert(unlink(m) == 0 && close(open(m, O_WRONLY | O_CREAT, 0600)) == 0 && truncate(m, (off_t)5 << 30) == 0);
}

static const struct { const char *name; void (*damage)(const char *); int class; } damages[] = {
    { "cut in the message", cut_short, EX_DATAERR },
    { "cut in the envelope", cut_envelope, EX_DATAERR },
    { "empty", make_empty, EX_DATAERR },
    { "longer than it says", make_longer, EX_DATAERR },
    { "five gigabytes of nothing", make_sparse, EX_DATAERR },
    { "a link", make_link, EX_DATAERR },
    { "a dangling link", make_dangling, EX_DATAERR },
    { "a FIFO", make_fifo, EX_DATAERR },
    { "a directory", make_dir, EX_DATAERR },
    { "gone", remove_it, EX_NOINPUT },
};

START_TEST(what_is_no_message)
{
    char file[SCRATCH_SIZE + 60], body[500] = { 0 };
    struct envelope env;
    struct err e = { 0 };
    struct msgid id;

    memset(body, 'x', sizeof(body) - 1);
    scratch_message(spool, 7, 1, body, &id);
    (void)snprintf(file, sizeof(file), "%s/new/%s", path, id.s);
    damages[_i].damage(file);
    ck_assert_msg(read_new(id.s, &env, NULL, &e) == -1, "%s", damages[_i].name);
    ck_assert_msg(e.class == damages[_i].class, "%s: class %d: %s", damages[_i].name, e.class, e.text);
}
END_TEST

START_TEST(who_may_not_read)
{
    struct envelope env;
    struct err e = { 0 };
    struct msgid id;
    char name[40];
    bool root = geteuid() == 0;
    int fd;

    scratch_message(spool, 7, 1, "x", &id);
    (void)snprintf(name, sizeof(name), "new/%s", id.s);
    ck_assert_int_eq(chmod(below(name), 0), 0);
    ck_assert(!root || (chmod(dir, 0755) == 0 && chmod(path, 0755) == 0 && chmod(below("new"), 0755) == 0 && seteuid(65534) == 0));
    fd = read_new(id.s, &env, NULL, &e);
    ck_assert(!root || seteuid(0) == 0);
    ck_assert(fd == -1 && e.class == EX_NOPERM);
}
END_TEST

/* ---- the trail --------------------------------------------------------- */

START_TEST(trails)
{
    static const struct msgid id = { "1tDabc-0001Xy-2c" };
    struct buf text = BUF_INIT(SPOOL_TRAIL_MAX), small = BUF_INIT(100);
    char name[TRAIL_NAME_SIZE], trail[SCRATCH_SIZE + 30], line[40000];
    struct err e = { 0 };

    spool_trail_name(&id, 4294967294U, name);
    ck_assert_str_eq(name, "1tDabc-0001Xy-2c.4294967294");
    spool_trail_name(&id, 7, name);
    (void)buf_str(&text, "old");
    ck_assert_int_eq(spool_read_trail(spool, &id, 7, &text, &e), 0);
    ck_assert_uint_eq(text.len, 0);
    memset(line, 'x', sizeof(line));
    (void)snprintf(trail, sizeof(trail), "%s/trail", path);
    scratch_write(trail, name, line, sizeof(line), 0600);
    ck_assert_int_eq(spool_read_trail(spool, &id, 7, &text, &e), 0);
    ck_assert(text.len == sizeof(line) && memcmp(text.data, line, sizeof(line)) == 0);
    ck_assert_int_eq(spool_read_trail(spool, &id, 8, &text, &e), 0);
    ck_assert_uint_eq(text.len, 0);
    ck_assert(spool_read_trail(spool, &id, 7, &small, &e) == -1 && e.class == EX_TEMPFAIL);
    (void)strlcat(trail, "/1tDabc-0001Xy-2c.7", sizeof(trail));
    ck_assert_int_eq(truncate(trail, (off_t)SPOOL_TRAIL_MAX + 1), 0);
    ck_assert(spool_read_trail(spool, &id, 7, &text, &e) == -1 && e.class == EX_DATAERR);
    ck_assert(unlink(trail) == 0 && symlink("/etc/passwd", trail) == 0);
    ck_assert(spool_read_trail(spool, &id, 7, &text, &e) == -1 && e.class == EX_DATAERR);
    buf_fini(&text);
    buf_fini(&small);
}
END_TEST

/* ---- names of domains -------------------------------------------------- */

static const struct { const char *domain, *name; } domains[] = {
    { "example.org", "example.org" },
    { "xn--bcher-kva.example", "xn--bcher-kva.example" },
    { "a_b.example", "a_b.example" },
    { "[192.0.2.1]", "[192.0.2.1]" },
    { "[ipv6:2001:db8::1]", "[ipv6:2001:db8::1]" },
    { "", "%" },
    { "%", "%25" },
    { ".", "%2E" },
    { "..", "%2E." },
    { ".org", "%2Eorg" },
    { "a/../b", "a%2F..%2Fb" },
    { "/", "%2F" },
    { "Example", "%45xample" },
    { "a%2fb", "a%252fb" },
    { "a b\n", "a%20b%0A" },
    { "\303\274", "%C3%BC" },
};

START_TEST(names_of_domains)
{
    char out[SPOOL_DOMAIN_SIZE];

    spool_domain_name(domains[_i].domain, out);
    ck_assert_msg(strcmp(out, domains[_i].name) == 0, "'%s': '%s'", domains[_i].domain, out);
}
END_TEST

/* Too long for a file name: distinct, and still one, at every length around the limit. */
START_TEST(long_domains)
{
    char domain[700], out[SPOOL_DOMAIN_SIZE], last[SPOOL_DOMAIN_SIZE] = "";

    for (size_t len = 230; len < 300; len++) {
        memset(domain, 'a', len);
        domain[len] = '\0';
        spool_domain_name(domain, out);
        ck_assert_msg(strlen(out) == (len < 256 ? len : 255), "%zu: %zu", len, strlen(out));
        ck_assert_msg(strcmp(out, last) != 0, "%zu", len);
        ck_assert_msg((strstr(out, "%%") != NULL) == (len > 255), "%zu: %s", len, out);
        (void)strlcpy(last, out, sizeof(last));
    }
    for (size_t len = 70; len < 100; len++) {
        memset(domain, '/', len);
        domain[len] = '\0';
        spool_domain_name(domain, out);
        ck_assert_msg(strlen(out) <= 255 && strchr(out, '/') == NULL && (len <= 85) == (strlen(out) == len * 3), "%zu: %s", len, out);
    }
}
END_TEST

/* ---- is anybody there -------------------------------------------------- */

START_TEST(waking)
{
    char line[40], filler[4096] = { 0 };
    struct err e = { 0 };
    struct stat st;
    int fd;

    ck_assert_int_eq(spool_wake(spool, "n\n", &e), 0);
    fd = open(below("wake"), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ne(fd, -1);
    ck_assert_int_eq(spool_wake(spool, "n\n", &e), 1);
    ck_assert_int_eq(spool_wake(spool, "c example.org\n", &e), 1);
    ck_assert_int_eq(read(fd, line, sizeof(line)), 16);
    ck_assert_int_eq(memcmp(line, "n\nc example.org\n", 16), 0);
    while (write(fd, filler, sizeof(filler)) > 0)
        ;
    ck_assert_int_eq(spool_wake(spool, "n\n", &e), 1);      /* full: no wait, no failure */
    close(fd);
    ck_assert_int_eq(spool_wake(spool, "n\n", &e), 0);

    ck_assert_int_eq(unlink(below("wake")), 0);
    ck_assert_int_eq(spool_wake(spool, "n\n", &e), 0);
    scratch_write(path, "wake", "", 0, 0600);
    ck_assert_int_eq(spool_wake(spool, "n\n", &e), -1);
    ck_assert(stat(below("wake"), &st) == 0 && st.st_size == 0);
    scratch_write(dir, "canary", "", 0, 0600);
    ck_assert(unlink(below("wake")) == 0 && symlink("../canary", below("wake")) == 0);
    ck_assert_int_eq(spool_wake(spool, "n\n", &e), -1);
    ck_assert(stat(below("../canary"), &st) == 0 && st.st_size == 0);
}
END_TEST

START_TEST(the_lock)
{
    struct timespec t[2] = { { .tv_sec = 5 }, { .tv_sec = 1795227549, .tv_nsec = 123000000 } };
    char who[SPOOL_WHO_SIZE];
    int fd;

    ck_assert_int_eq(spool_held(spool, who), 0);
    ck_assert_int_eq(spool_last_pass(spool).ms, 0);
    scratch_write(path, "lock", "pid 77, daemon\nmore\n", 20, 0600);
    ck_assert_int_eq(utimensat(AT_FDCWD, below("lock"), t, 0), 0);
    ck_assert_int_eq(spool_last_pass(spool).ms, INT64_C(1795227549123));
    ck_assert_int_eq(spool_held(spool, who), 0);
    ck_assert_str_eq(who, "");
    fd = open(below("lock"), O_RDWR | O_CLOEXEC);
    ck_assert(fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == 0);
    ck_assert_int_eq(spool_held(spool, who), 1);
    ck_assert_str_eq(who, "pid 77, daemon");
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq(spool_held(spool, who), 1);
    ck_assert_str_eq(who, "");
    close(fd);
    ck_assert_int_eq(spool_held(spool, who), 0);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("spool");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_private_spool);
    tcase_add_test(tc, what_exists_is_left_alone);
    tcase_add_test(tc, a_spool_of_a_group);
    tcase_add_test(tc, the_shared_spool);
    tcase_add_test(tc, roots_own_spool_stays_his);
    tcase_add_test(tc, where_none_can_be);
    tcase_add_test(tc, descriptors_are_kept);
    tcase_add_test(tc, messages);
    tcase_add_test(tc, who_submitted);
    tcase_add_loop_test(tc, what_is_no_message, 0, LENGTH(damages));
    tcase_add_test(tc, who_may_not_read);
    tcase_add_test(tc, trails);
    tcase_add_loop_test(tc, names_of_domains, 0, LENGTH(domains));
    tcase_add_test(tc, long_domains);
    tcase_add_test(tc, waking);
    tcase_add_test(tc, the_lock);
    suite_add_tcase(s, tc);
    return s;
}
