/* mark: appends to trails, as the spooler does; both may do it at once, since
 * each writes whole lines at the end. Called by act. */
#include <config.h>

#include "spooler/tool/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/envelope.h"
#include "common/err.h"
#include "common/spool.h"
#include "common/trail.h"
#include "spooler/tool/what.h"

enum { LINES_MAX = 8 * 1024 * 1024 };

static int append(int fd, const struct buf *lines)
{
    off_t end = lseek(fd, 0, SEEK_END);
    char last = '\n';

    /* A torn last line is ended first, so that it does not spoil ours. */
    if (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n' && write(fd, "\n", 1) != 1)
        return -1;
    return write(fd, lines->data, lines->len) == (ssize_t)lines->len ? 0 : -1;
}

static int add_lines(struct spool *s, const char *name, const struct buf *lines, bool sync, struct err *e)
{
    int at = spool_fd(s, SPOOL_TRAIL, e), fd, rc = 0;

    if (at == -1)
        return -1;
    fd = openat(at, name, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0660);
    if (fd == -1)
        return err_sys(e, EX_IOERR, "open trail/%s", name);
    if (!buf_ok(lines) || append(fd, lines) != 0 || (sync && fsync(fd) != 0))
        rc = err_sys(e, EX_IOERR, "write trail/%s", name);
    (void)close(fd);
    if (rc == 0 && sync && fsync(at) != 0 && errno != EINVAL)
        rc = err_sys(e, EX_IOERR, "sync trail");
    return rc;
}

int mark_moved(struct spool *s, const struct msgid *id, uid_t uid, struct wall at, const char *text, struct err *e)
{
    struct buf lines = BUF_INIT(LINES_MAX);
    char name[TRAIL_NAME_SIZE];
    int rc;

    spool_trail_name(id, uid, name);
    (void)trail_print_moved(&lines, at, text);
    rc = add_lines(s, name, &lines, false, e);
    buf_fini(&lines);
    return rc;
}

int mark_dropped(struct spool *s, const struct msgid *id, const struct envelope *env, const struct trail *trail, const char *dir,
    struct wall at, const char *text, struct err *e)
{
    struct buf lines = BUF_INIT(LINES_MAX);
    char own[SPOOL_DOMAIN_SIZE], name[TRAIL_NAME_SIZE];
    int rc = 0;

    for (size_t i = 0; i < env->nrcpt; i++) {
        struct trail_rcpt to = trail->rcpt[i];

        if (to.fate != FATE_OWED || !what_dir(env->rcpt[i], own) || strcmp(own, dir) != 0)
            continue;
        to.fate = FATE_FAILED;
        to.cause = CAUSE_PERM_OTHER;
        (void)trail_print_rcpt(&lines, at, i, &to, text);
    }
    spool_trail_name(id, env->uid, name);
    if (lines.len > 0)
        rc = add_lines(s, name, &lines, true, e);
    buf_fini(&lines);
    return rc;
}
