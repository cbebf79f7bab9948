/* scratch: makes, fills, counts and removes directories for tests. */
#include <config.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/envelope.h"
#include "common/err.h"
#include "common/spool.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

/* May anybody go there? Some tests become another user. */
static bool open_to_all(const char *path)
{
    char at[PATH_MAX];
    struct stat st;

    if (realpath(path, at) == NULL)
        return false;
    for (char *slash = at + strlen(at); slash != NULL; slash = strrchr(at, '/')) {
        *slash = '\0';
        if (at[0] != '\0' && (stat(at, &st) != 0 || (st.st_mode & S_IXOTH) == 0))
            return false;
    }
    return true;
}

void scratch_make(char dir[SCRATCH_SIZE])
{
    const char *top = getenv("ABIDE_TMP");

    if (top == NULL || !open_to_all(top))
        top = "/tmp";
    ck_assert_int_lt(snprintf(dir, SCRATCH_SIZE, "%s/unit.XXXXXX", top), SCRATCH_SIZE);
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void scratch_remove(const char *dir)
{
    ck_assert_int_eq(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void scratch_write(const char *dir, const char *name, const void *bytes, size_t len, unsigned mode)
{
    char path[PATH_MAX];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_msg(fd != -1, "%s", path);
    ck_assert(write(fd, bytes, len) == (ssize_t)len && fchmod(fd, (mode_t)mode) == 0 && close(fd) == 0);
}

struct spool *scratch_spool(const char *dir)
{
    char path[PATH_MAX];
    struct spool *s;
    struct err e = { 0 };

    (void)snprintf(path, sizeof(path), "%s/spool", dir);
    ck_assert_msg(spool_make(path, &e) == 0 && spool_open(path, &s, &e) == 0, "%s", e.text);
    return s;
}

void scratch_message(struct spool *s, uid_t uid, unsigned nrcpt, const char *body, struct msgid *id_r)
{
    struct now now = clock_now();
    struct envelope env = { .accepted = now.wall, .accepted_mono = now.mono, .boot = "-", .uid = uid };
    struct envelope_size size = { .disk_bytes = strlen(body), .wire_bytes = strlen(body), .longest_line = strlen(body) };
    struct buf head = BUF_INIT(ENVELOPE_HEAD_MAX);
    char rcpt[40];
    struct draft *d;
    struct err e = { 0 };

    env.user = strdup("bob");
    env.protocol = strdup("local");
    env.sender = strdup("a@example.org");
    for (unsigned i = 0; i < nrcpt; i++) {
        (void)snprintf(rcpt, sizeof(rcpt), "r%u@example.org", i);
        ck_assert_int_eq(envelope_add_rcpt(&env, rcpt, &e), 0);
    }
    ck_assert_msg(envelope_print(&env, &head, &e) == 0 && draft_new(s, now, 0, &d, &e) == 0, "%s", e.text);
    ck_assert(draft_write(d, head.data, head.len, &e) == 0 && draft_write(d, body, strlen(body), &e) == 0);
    *id_r = *draft_id(d);
    ck_assert_msg(draft_commit(d, &size, &e) == 0, "%s", e.text);
    buf_fini(&head);
    envelope_fini(&env);
}

size_t scratch_count(const char *dir, const char *name)
{
    const struct dirent *entry;
    char path[PATH_MAX];
    size_t n = 0;
    DIR *d;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    d = opendir(path);
    ck_assert_msg(d != NULL, "%s", path);
    while ((entry = readdir(d)) != NULL)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(d);
    return n;
}
