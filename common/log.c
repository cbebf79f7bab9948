/* log: where lines go: syslog, stderr, a file, or a buffer of a test. It
 * neutralises foreign bytes, in this one place, and never fails or aborts its
 * caller: a line that cannot be written to its file goes to syslog instead.
 * One write a line, so that lines of several processes do not mix. */
#include <config.h>

#include "common/log.h"
#include "common/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

enum log_sink { SINK_SYSLOG, SINK_STDERR, SINK_FILE, SINK_BUF };

struct log {
    enum log_sink sink;
    enum level level;
    bool at_set;
    bool looked;                        /* at the path, since it was set */
    struct wall at;
    struct buf *buf;
    char *path;
    int fd;                             /* of the file, or -1 */
    dev_t dev;
    ino_t ino;
};

static void file_close(struct log *l)
{
    if (l->fd != -1)
        (void)close(l->fd);
    l->fd = -1;
}

/* O_NONBLOCK only for the opening: a FIFO without a reader must not stop us. */
static int file_open(struct log *l, struct err *e)
{
    struct stat st;

    l->fd = open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (l->fd == -1)
        return err_sys(e, EX_CANTCREAT, "log %s", l->path);
    if (fstat(l->fd, &st) == -1 || fcntl(l->fd, F_SETFL, O_APPEND) == -1) {
        (void)err_sys(e, EX_OSERR, "log %s", l->path);
        file_close(l);
        return -1;
    }
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    return 0;
}

/* Makes sure that the descriptor is what the path names now: once for each log_time(). */
static bool file_ready(struct log *l)
{
    struct stat st;

    if (l->fd != -1 && !l->looked && (stat(l->path, &st) == -1 || st.st_dev != l->dev || st.st_ino != l->ino))
        file_close(l);
    l->looked = l->at_set;
    return l->fd != -1 || file_open(l, NULL) == 0;
}

static bool write_line(int fd, const char *line, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, line, len);

        if (n == -1 && errno != EINTR)
            return false;
        if (n > 0) {
            line += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static struct log *log_new(enum log_sink sink, enum level level)
{
    struct log *l = calloc(1, sizeof(*l));

    if (l != NULL) {
        l->sink = sink;
        l->level = level;
        l->fd = -1;
    }
    return l;
}

struct log *log_open(const char *target, enum level level, struct err *e)
{
    enum log_sink sink = SINK_FILE;
    struct log *l;

    if (strcmp(target, "syslog") == 0) {
        sink = SINK_SYSLOG;
    } else if (strcmp(target, "stderr") == 0) {
        sink = SINK_STDERR;
    } else if (target[0] != '/') {
        (void)err_set(e, EX_CONFIG, "log %s: neither syslog, stderr nor an absolute path", target);
        return NULL;
    }
    l = log_new(sink, level);
    if (l == NULL || (sink == SINK_FILE && (l->path = strdup(target)) == NULL)) {
        (void)err_sys(e, EX_OSERR, "log");
        log_free(l);
        return NULL;
    }
    if (sink == SINK_SYSLOG || sink == SINK_FILE)
        openlog("abide", LOG_PID, LOG_MAIL);
    if (sink == SINK_FILE)
        (void)file_open(l, e);
    return l;
}

struct log *log_capture(struct buf *b)
{
    struct log *l = log_new(SINK_BUF, LEVEL_DEBUG);

    if (l != NULL)
        l->buf = b;
    return l;
}

void log_free(struct log *l)
{
    if (l == NULL)
        return;
    file_close(l);
    free(l->path);
    free(l);
}

void log_time(struct log *l, struct wall at)
{
    if (l != NULL) {
        l->at = at;
        l->at_set = true;
        l->looked = false;
    }
}

/* Writes IN so that each byte is printable; never ends within an escape. */
static size_t escape(const char *in, char *out, size_t size)
{
    size_t n = 0;

    for (; *in != '\0'; in++) {
        unsigned char c = (unsigned char)*in;
        bool plain = c >= 0x20 && c < 0x7f;

        if (n + (plain ? 1 : 4) >= size)
            break;
        if (plain)
            out[n++] = *in;
        else
            n += (size_t)snprintf(out + n, 5, "\\%03o", c);
    }
    out[n] = '\0';
    return n;
}

static void to_syslog(enum level level, const char *text)
{
    static const int priorities[] = {
        [LEVEL_ERROR] = LOG_ERR, [LEVEL_WARN] = LOG_WARNING, [LEVEL_INFO] = LOG_INFO, [LEVEL_DEBUG] = LOG_DEBUG
    };

    syslog(priorities[level], "%s", text);
}

/* LINE is "STAMP TEXT\n"; syslog has a stamp of its own. */
static void log_put(struct log *l, enum level level, char *line, size_t len)
{
    switch (l->sink) {
    case SINK_BUF:
        (void)buf_add(l->buf, line, len);
        return;
    case SINK_STDERR:
        (void)write_line(STDERR_FILENO, line, len);
        return;
    case SINK_FILE:
        if (file_ready(l) && write_line(l->fd, line, len))
            return;
        break;
    case SINK_SYSLOG:
        break;
    }
    line[len - 1] = '\0';
    to_syslog(level, line + CLOCK_STAMP_SIZE);
}

void log_line(struct log *l, enum level level, const char *fmt, ...)
{
    char text[LOG_LINE_MAX], line[LOG_LINE_MAX + 2];
    int saved = errno;
    size_t len;
    va_list ap;

    if (l == NULL || level > l->level)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    clock_stamp(l->at_set ? l->at : clock_now().wall, line);
    line[CLOCK_STAMP_SIZE - 1] = ' ';
    len = CLOCK_STAMP_SIZE;
    if (level == LEVEL_ERROR)
        len += strlcpy(line + len, "error: ", sizeof(line) - len);
    len += escape(text, line + len, LOG_LINE_MAX - len);
    line[len++] = '\n';
    log_put(l, level, line, len);
    errno = saved;
}
