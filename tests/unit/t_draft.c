/* draft: exit 0 means whole and synced; anything else leaves no name behind, whichever call fails. The calls that matter are
 * replaced here by ones that count and can be told to fail. */
#include <config.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/spool.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

/* ---- calls that fail --------------------------------------------------- */

enum call { NONE, CREATE, FCHMOD, WRITE, PWRITE, FSYNC, CLOSE, RENAMEAT2, LINKAT, RENAMEAT, FACCESSAT, UNLINKAT, CALLS };

/* From the FIRST one on, or only that; PART: a write takes half of what it is given instead. */
struct fault { enum call call; unsigned first; bool all; int sys; bool part; };

static struct fault armed[3];
static unsigned made[CALLS];

static bool fails(enum call call)
{
    made[call]++;
    for (int i = 0; i < LENGTH(armed); i++) {
        const struct fault *f = &armed[i];

        if (f->call == call && !f->part && (made[call] == f->first || (f->all && made[call] > f->first))) {
            errno = f->sys;
            return true;
        }
    }
    return false;
}

static size_t cut(enum call call, size_t len)
{
    return armed[0].call == call && armed[0].part ? (len + 1) / 2 : len;
}

static void arm(struct fault a, struct fault b, struct fault also)
{
    armed[0] = a;
    armed[1] = b;
    armed[2] = also;
    memset(made, 0, sizeof(made));
}

static void disarm(void)
{
    memset(armed, 0, sizeof(armed));
}

/* The function that this file's own one hides. */
#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

int openat(int at, const char *name, int flags, ...)
{
    mode_t mode = 0;
    va_list ap;

    if (flags & O_CREAT) {
        va_start(ap, flags);
        mode = (mode_t)va_arg(ap, unsigned);
        va_end(ap);
        if (fails(CREATE))
            return -1;
    }
    return REAL(openat)(at, name, flags, mode);
}

int fchmod(int fd, mode_t mode) { return fails(FCHMOD) ? -1 : REAL(fchmod)(fd, mode); }
int fsync(int fd) { return fails(FSYNC) ? -1 : REAL(fsync)(fd); }
ssize_t write(int fd, const void *b, size_t len) { return fails(WRITE) ? -1 : REAL(write)(fd, b, cut(WRITE, len)); }
ssize_t pwrite(int fd, const void *b, size_t len, off_t at) { return fails(PWRITE) ? -1 : REAL(pwrite)(fd, b, cut(PWRITE, len), at); }
int linkat(int a, const char *x, int b, const char *y, int f) { return fails(LINKAT) ? -1 : REAL(linkat)(a, x, b, y, f); }
int renameat(int a, const char *x, int b, const char *y) { return fails(RENAMEAT) ? -1 : REAL(renameat)(a, x, b, y); }
int faccessat(int at, const char *x, int m, int f) { return fails(FACCESSAT) ? -1 : REAL(faccessat)(at, x, m, f); }
int unlinkat(int at, const char *name, int flags) { return fails(UNLINKAT) ? -1 : REAL(unlinkat)(at, name, flags); }

/* The descriptor is gone even if the call fails, as on Linux. */
int close(int fd)
{
    bool bad = fails(CLOSE);
    int sys = errno, r = REAL(close)(fd);

    if (!bad)
        return r;
    errno = sys;
    return -1;
}

long syscall(long number, ...)
{
    long a[5];
    va_list ap;

    va_start(ap, number);
    for (int i = 0; i < LENGTH(a); i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (number == SYS_renameat2 && fails(RENAMEAT2))
        return -1;
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4]);
}

/* ---- a message --------------------------------------------------------- */

static char dir[SCRATCH_SIZE];
static struct spool *spool;
static mode_t umask_before;

static void setup(void)
{
    umask_before = umask(077);
    scratch_make(dir);
    spool = scratch_spool(dir);
    disarm();
    memset(made, 0, sizeof(made));
}

static void teardown(void)
{
    disarm();
    spool_free(spool);
    scratch_remove(dir);
    umask(umask_before);
}

static const struct now now = { { 1795227549123 }, { 5000 } };

/* No real envelope: draft knows only where its size line is. */
static void fill(char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)('a' + i % 23);
}

static const struct envelope_size size = { .disk_bytes = 12345, .wire_bytes = 12399, .longest_line = 77, .eight_bit = true };

static int submit(size_t len, size_t step, struct msgid *id, struct err *e)
{
    char *bytes = malloc(len + 1);
    struct draft *d;
    int r = 0;

    fill(bytes, len);
    if (draft_new(spool, now, 1, &d, e) != 0) {
        free(bytes);
        return -1;
    }
    *id = *draft_id(d);
    for (size_t at = 0; at < len && r == 0; at += step)
        r = draft_write(d, bytes + at, len - at < step ? len - at : step, e);
    free(bytes);
    return draft_commit(d, &size, e);
}

/* new/ID holds what submit() wrote, the size line in its place. */
static void check_message(const char *what, const struct msgid *id, size_t len)
{
    char path[SCRATCH_SIZE + 60], line[ENVELOPE_SIZE_LEN + 1], *want = malloc(len + 1), *have = malloc(len + 1);
    struct stat st;
    int fd;

    fill(want, len);
    envelope_print_size(&size, line);
    memcpy(want + ENVELOPE_SIZE_AT, line, ENVELOPE_SIZE_LEN);
    (void)snprintf(path, sizeof(path), "%s/new/%s", spool_path(spool), id->s);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(fd != -1 && fstat(fd, &st) == 0, "%s: %s", what, path);
    ck_assert_msg((size_t)st.st_size == len && (st.st_mode & 07777) == 0660 && st.st_nlink == 1, "%s: size, mode, links", what);
    ck_assert_msg(read(fd, have, len + 1) == (ssize_t)len && memcmp(want, have, len) == 0, "%s: bytes", what);
    close(fd);
    free(want);
    free(have);
}

/* ---- when all goes well ------------------------------------------------ */

static const struct { const char *name; size_t len, step; unsigned writes, pwrites; } sizes[] = {
    { "no more than the size line", 58, 58, 1, 0 },
    { "small", 1000, 1000, 1, 0 },
    { "small, byte by byte", 1000, 1, 1, 0 },
    { "just the buffer", 65536, 1000, 1, 0 },
    { "a byte more", 65537, 65536, 2, 1 },
    { "odd pieces", 300001, 7777, 5, 1 },
    { "pieces as large as the buffer", 300000, 65536, 5, 1 },
    { "one piece", 300000, 300000, 1, 1 },
};

START_TEST(messages_of_all_sizes)
{
    const char *name = sizes[_i].name;
    struct err e = { 0 };
    struct msgid id;

    ck_assert_msg(submit(sizes[_i].len, sizes[_i].step, &id, &e) == 0, "%s: %s", name, e.text);
    ck_assert_msg(made[WRITE] == sizes[_i].writes && made[PWRITE] == sizes[_i].pwrites, "%s: %u writes, %u pwrites", name,
        made[WRITE], made[PWRITE]);
    ck_assert_msg(made[FSYNC] == 2 && made[RENAMEAT2] == 1 && made[UNLINKAT] == 0 && made[CLOSE] == 1, "%s: other calls", name);
    check_message(name, &id, sizes[_i].len);
    ck_assert_uint_eq(scratch_count(spool_path(spool), "tmp"), 0);
    ck_assert_uint_eq(scratch_count(spool_path(spool), "new"), 1);
}
END_TEST

START_TEST(a_dropped_one_leaves_nothing)
{
    struct draft *d;
    const char *name;
    int at;

    ck_assert_int_eq(draft_new(spool, now, 0, &d, NULL), 0);
    ck_assert_int_eq(draft_write(d, "x", 1, NULL), 0);
    draft_cleanup_name(d, &at, &name);
    ck_assert_int_eq(faccessat(at, name, F_OK, AT_SYMLINK_NOFOLLOW), 0);
    ck_assert_str_eq(name, draft_id(d)->s);
    draft_drop(d);
    draft_drop(NULL);
    ck_assert_uint_eq(scratch_count(spool_path(spool), "tmp") + scratch_count(spool_path(spool), "new"), 0);
}
END_TEST

START_TEST(no_message_without_its_envelope)
{
    struct err e = { 0 };
    struct msgid id;

    ck_assert_int_eq(submit(57, 57, &id, &e), -1);
    ck_assert_int_eq(e.class, EX_SOFTWARE);
    ck_assert_uint_eq(scratch_count(spool_path(spool), "tmp") + scratch_count(spool_path(spool), "new"), 0);
}
END_TEST

START_TEST(min_free_is_kept)
{
    struct draft *d;
    struct err e = { 0 };

    ck_assert_int_eq(draft_new(spool, now, UINT64_MAX, &d, &e), -1);
    ck_assert_int_eq(e.class, EX_TEMPFAIL);
    ck_assert_msg(strstr(e.text, "min_free") != NULL, "%s", e.text);
    ck_assert_uint_eq(made[CREATE], 0);
}
END_TEST

/* ---- when something fails ---------------------------------------------- */

enum end { KEPT, GONE, VISIBLE };      /* durable; no name left; failed, but its name could not be removed */

#define ONCE(call, sys) { call, 1, false, sys, false }
#define EVER(call, sys) { call, 1, true, sys, false }
#define SECOND(call, sys) { call, 2, false, sys, false }
#define HALF(call) { call, 0, false, 0, true }

static const struct { const char *name; struct fault a, b, also; int class; enum end end; } faults[] = {
    { "create EACCES", ONCE(CREATE, EACCES), { 0 }, { 0 }, EX_NOPERM, GONE },
    { "create EPERM", ONCE(CREATE, EPERM), { 0 }, { 0 }, EX_NOPERM, GONE },
    { "create EROFS", ONCE(CREATE, EROFS), { 0 }, { 0 }, EX_NOPERM, GONE },
    { "create ENOENT", ONCE(CREATE, ENOENT), { 0 }, { 0 }, EX_NOPERM, GONE },
    { "create ENOSPC", ONCE(CREATE, ENOSPC), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "create EDQUOT", ONCE(CREATE, EDQUOT), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "create EMFILE", ONCE(CREATE, EMFILE), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "create EIO", ONCE(CREATE, EIO), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "create EEXIST: another ID", ONCE(CREATE, EEXIST), { 0 }, { 0 }, 0, KEPT },
    { "create EINTR", ONCE(CREATE, EINTR), { 0 }, { 0 }, 0, KEPT },
    { "create EEXIST for ever", EVER(CREATE, EEXIST), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "fchmod EIO", ONCE(FCHMOD, EIO), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "write ENOSPC", ONCE(WRITE, ENOSPC), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "write EDQUOT", EVER(WRITE, EDQUOT), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "write EFBIG", EVER(WRITE, EFBIG), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "write EIO", ONCE(WRITE, EIO), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "second write ENOSPC", SECOND(WRITE, ENOSPC), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "write EINTR", ONCE(WRITE, EINTR), { 0 }, { 0 }, 0, KEPT },
    { "short writes", HALF(WRITE), { 0 }, { 0 }, 0, KEPT },
    { "pwrite EIO", ONCE(PWRITE, EIO), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "pwrite EINTR", ONCE(PWRITE, EINTR), { 0 }, { 0 }, 0, KEPT },
    { "short pwrites", HALF(PWRITE), { 0 }, { 0 }, 0, KEPT },
    { "fsync EIO", ONCE(FSYNC, EIO), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "fsync ENOSPC", ONCE(FSYNC, ENOSPC), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "fsync EDQUOT", ONCE(FSYNC, EDQUOT), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "fsync EINTR", ONCE(FSYNC, EINTR), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "fsync EINVAL: only a directory may", ONCE(FSYNC, EINVAL), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "close EIO", ONCE(CLOSE, EIO), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "close ENOSPC", ONCE(CLOSE, ENOSPC), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "close EINTR, after a good fsync", ONCE(CLOSE, EINTR), { 0 }, { 0 }, 0, KEPT },
    { "rename ENOSPC", ONCE(RENAMEAT2, ENOSPC), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "rename EIO", ONCE(RENAMEAT2, EIO), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "rename EROFS", ONCE(RENAMEAT2, EROFS), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "rename EDQUOT", ONCE(RENAMEAT2, EDQUOT), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "rename EACCES", ONCE(RENAMEAT2, EACCES), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "no renameat2: link", ONCE(RENAMEAT2, EINVAL), { 0 }, { 0 }, 0, KEPT },
    { "an old kernel: link", ONCE(RENAMEAT2, ENOSYS), { 0 }, { 0 }, 0, KEPT },
    { "link EIO", ONCE(RENAMEAT2, EINVAL), ONCE(LINKAT, EIO), { 0 }, EX_TEMPFAIL, GONE },
    { "link ENOSPC", ONCE(RENAMEAT2, EINVAL), ONCE(LINKAT, ENOSPC), { 0 }, EX_TEMPFAIL, GONE },
    { "link EEXIST", ONCE(RENAMEAT2, EINVAL), ONCE(LINKAT, EEXIST), { 0 }, EX_TEMPFAIL, GONE },
    { "no links: look, rename", ONCE(RENAMEAT2, EINVAL), ONCE(LINKAT, EPERM), { 0 }, 0, KEPT },
    { "no links (EOPNOTSUPP)", ONCE(RENAMEAT2, EINVAL), ONCE(LINKAT, EOPNOTSUPP), { 0 }, 0, KEPT },
    { "no links, look EIO", ONCE(RENAMEAT2, EINVAL), ONCE(LINKAT, EPERM), ONCE(FACCESSAT, EIO), EX_TEMPFAIL, GONE },
    { "no links, rename EIO", ONCE(RENAMEAT2, EINVAL), ONCE(LINKAT, EPERM), ONCE(RENAMEAT, EIO), EX_TEMPFAIL, GONE },
    { "fsync of new/ EIO", SECOND(FSYNC, EIO), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "fsync of new/ ENOSPC", SECOND(FSYNC, ENOSPC), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "fsync of new/ EDQUOT", SECOND(FSYNC, EDQUOT), { 0 }, { 0 }, EX_TEMPFAIL, GONE },
    { "fsync of new/ EINVAL: it cannot", SECOND(FSYNC, EINVAL), { 0 }, { 0 }, 0, KEPT },
    { "fsync of new/ and unlink EIO", SECOND(FSYNC, EIO), EVER(UNLINKAT, EIO), { 0 }, EX_TEMPFAIL, VISIBLE },
    { "link, fsync of new/ EIO", ONCE(RENAMEAT2, EINVAL), SECOND(FSYNC, EIO), { 0 }, EX_TEMPFAIL, GONE },
};

START_TEST(each_call_fails)
{
    const char *name = faults[_i].name;
    size_t tmp, new;
    struct err e = { 0 };
    struct msgid id;
    int r;

    arm(faults[_i].a, faults[_i].b, faults[_i].also);
    r = submit(200000, 3000, &id, &e);
    disarm();
    tmp = scratch_count(spool_path(spool), "tmp");
    new = scratch_count(spool_path(spool), "new");
    ck_assert_msg((r == 0) == (faults[_i].end == KEPT) && e.class == faults[_i].class, "%s: %d, class %d: %s", name, r, e.class, e.text);
    ck_assert_msg(tmp == 0 && new == (faults[_i].end != GONE), "%s: %zu in tmp, %zu in new", name, tmp, new);
    if (r == 0)
        check_message(name, &id, 200000);
    if (faults[_i].a.call == CREATE)
        ck_assert_msg(made[UNLINKAT] == 0, "%s: what it did not make is not its to remove", name);
    if (faults[_i].a.call == FSYNC)
        ck_assert_msg(made[FSYNC] == (faults[_i].a.first == 1 ? 1 : 2), "%s: no sync is tried again", name);
}
END_TEST

/* A name that exists is never overwritten, however the file system renames. */
START_TEST(nothing_is_overwritten)
{
    static const struct fault ways[][2] = {
        { { 0 }, { 0 } },
        { ONCE(RENAMEAT2, EINVAL), { 0 } },
        { ONCE(RENAMEAT2, EINVAL), ONCE(LINKAT, EPERM) },
    };
    char path[SCRATCH_SIZE + 60], new[SCRATCH_SIZE + 20], bytes[100] = { 0 };
    struct err e = { 0 };
    struct draft *d;
    struct stat st;

    ck_assert_int_eq(draft_new(spool, now, 0, &d, &e), 0);
    (void)snprintf(new, sizeof(new), "%s/new", spool_path(spool));
    (void)snprintf(path, sizeof(path), "%s/%s", new, draft_id(d)->s);
    scratch_write(new, draft_id(d)->s, "other", 5, 0600);
    ck_assert_int_eq(draft_write(d, bytes, sizeof(bytes), &e), 0);
    arm(ways[_i][0], ways[_i][1], (struct fault){ 0 });
    ck_assert_int_eq(draft_commit(d, &size, &e), -1);
    disarm();
    ck_assert(e.class == EX_TEMPFAIL && e.sys == EEXIST);
    ck_assert(stat(path, &st) == 0 && st.st_size == 5);
    ck_assert_uint_eq(scratch_count(spool_path(spool), "tmp"), 0);
}
END_TEST

/* The first reason stays, and a sync that would now succeed is not made. */
START_TEST(a_failure_sticks)
{
    static char bytes[70000];
    struct err e = { 0 }, again = { 0 }, last = { 0 };
    struct draft *d;

    ck_assert_int_eq(draft_new(spool, now, 0, &d, &e), 0);
    arm((struct fault)ONCE(WRITE, ENOSPC), (struct fault){ 0 }, (struct fault){ 0 });
    ck_assert_int_eq(draft_write(d, bytes, sizeof(bytes), &e), -1);
    disarm();
    ck_assert_int_eq(draft_write(d, "x", 1, &again), -1);
    ck_assert_int_eq(draft_commit(d, &size, &last), -1);
    ck_assert(e.sys == ENOSPC && e.class == EX_TEMPFAIL);
    ck_assert_str_eq(again.text, e.text);
    ck_assert_str_eq(last.text, e.text);
    ck_assert_uint_eq(made[FSYNC], 0);
    ck_assert_uint_eq(scratch_count(spool_path(spool), "tmp"), 0);
}
END_TEST

START_TEST(limit_on_file_size)
{
    struct rlimit before, small;
    struct err e = { 0 };
    struct msgid id;
    int r;

    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100000;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    r = submit(200000, 3000, &id, &e);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    ck_assert(r == -1 && e.class == EX_TEMPFAIL && e.sys == EFBIG);
    ck_assert_uint_eq(scratch_count(spool_path(spool), "tmp") + scratch_count(spool_path(spool), "new"), 0);
}
END_TEST

/* ---- where there is no spool ------------------------------------------- */

static void check_door(const char *what, const char *path, int class)
{
    struct spool *s;
    struct draft *d;
    struct err e = { 0 };

    ck_assert_int_eq(spool_open(path, &s, &e), 0);
    ck_assert_msg(draft_new(s, now, 0, &d, &e) == -1 && e.class == class, "%s: class %d: %s", what, e.class, e.text);
    ck_assert_msg(strstr(e.text, path) != NULL, "%s: %s", what, e.text);
    spool_free(s);
}

START_TEST(doors_that_are_shut)
{
    char path[SCRATCH_SIZE + 20], part[SCRATCH_SIZE + 40];

    (void)snprintf(path, sizeof(path), "%s/none", dir);
    check_door("no spool", path, EX_NOPERM);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    check_door("no tmp/", path, EX_NOPERM);
    (void)snprintf(part, sizeof(part), "%s/tmp", path);
    ck_assert_int_eq(symlink("/tmp", part), 0);
    check_door("tmp is a link", path, EX_CONFIG);
    ck_assert(unlink(part) == 0 && mkdir(part, 0700) == 0);
    check_door("no new/", path, EX_NOPERM);
    ck_assert_uint_eq(scratch_count(path, "tmp"), 0);
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    scratch_write(dir, "file", "", 0, 0600);
    check_door("a file", path, EX_CONFIG);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("draft");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, messages_of_all_sizes, 0, LENGTH(sizes));
    tcase_add_test(tc, a_dropped_one_leaves_nothing);
    tcase_add_test(tc, no_message_without_its_envelope);
    tcase_add_test(tc, min_free_is_kept);
    tcase_add_loop_test(tc, each_call_fails, 0, LENGTH(faults));
    tcase_add_loop_test(tc, nothing_is_overwritten, 0, 3);
    tcase_add_test(tc, a_failure_sticks);
    tcase_add_test(tc, limit_on_file_size);
    tcase_add_test(tc, doors_that_are_shut);
    suite_add_tcase(s, tc);
    return s;
}
