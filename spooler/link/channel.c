/* channel: owns one end of the link and what waits to be written to it. Each
 * record is one datagram with at most one descriptor. It never blocks, never
 * leaks a descriptor that came with a refused record, and never grows past its
 * bounds. Called by the keeper's child and by the courier. */
#include <config.h>

#include <sys/queue.h>
#include <sys/socket.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "spooler/link/channel.h"

enum {
    SOCKET_BYTES = 1024 * 1024,         /* asked of the kernel, which may give less */
    WAITING_BYTES_MAX = 4 * 1024 * 1024,
    WAITING_MAX = 8192,                 /* records */
    FDS_MAX = 8                         /* looked for in one record, to close them */
};

struct waiting {
    STAILQ_ENTRY(waiting) next;
    int fd;
    size_t len;
    char bytes[];
};

struct channel {
    int fd;
    STAILQ_HEAD(, waiting) queue;
    size_t queued, queued_bytes;
    struct buf out;
    char in[WIRE_MAX];
    struct wire_msg msg;
};

/* The kind that travels with a descriptor; all others travel without. */
static bool carries_fd(enum wire_kind kind)
{
    return kind == WIRE_SEND;
}

static void fd_close(int fd)
{
    if (fd != -1)
        close(fd);
}

int channel_pair(int fds[2], struct err *e)
{
    int size = SOCKET_BYTES;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == -1)
        return err_sys(e, EX_OSERR, "socketpair");
    for (int i = 0; i < 2; i++) {
        (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        (void)setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    }
    return 0;
}

struct channel *channel_new(int fd, struct err *e)
{
    struct channel *ch = calloc(1, sizeof(*ch));

    if (ch == NULL) {
        err_sys(e, EX_OSERR, "link");
        close(fd);
        return NULL;
    }
    ch->fd = fd;
    STAILQ_INIT(&ch->queue);
    ch->out.max = WIRE_MAX;
    return ch;
}

static void waiting_drop(struct channel *ch)
{
    struct waiting *w = STAILQ_FIRST(&ch->queue);

    STAILQ_REMOVE_HEAD(&ch->queue, next);
    ch->queued--;
    ch->queued_bytes -= w->len;
    fd_close(w->fd);
    free(w);
}

void channel_free(struct channel *ch)
{
    if (ch == NULL)
        return;
    while (!STAILQ_EMPTY(&ch->queue))
        waiting_drop(ch);
    buf_fini(&ch->out);
    close(ch->fd);
    free(ch);
}

int channel_fd(const struct channel *ch)
{
    return ch->fd;
}

static void control_set(struct msghdr *mh, int fd)
{
    struct cmsghdr *cm = CMSG_FIRSTHDR(mh);

    cm->cmsg_level = SOL_SOCKET;
    cm->cmsg_type = SCM_RIGHTS;
    cm->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
}

/* 1: sent, 0: not now. */
static int record_send(struct channel *ch, const void *bytes, size_t len, int fd, struct err *e)
{
    union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int))]; } control = { .bytes = { 0 } };
    struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
    struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (fd != -1) {
        mh.msg_control = control.bytes;
        mh.msg_controllen = sizeof(control.bytes);
        control_set(&mh, fd);
    }
    do
        n = sendmsg(ch->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n == -1 && errno == EINTR);
    if (n != -1)
        return 1;
    /* ETOOMANYREFS: too many descriptors under way; it passes as the other side reads. */
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS)
        return 0;
    return err_sys(e, EX_UNAVAILABLE, "link: send");
}

/* Takes FD in any case. */
static int record_queue(struct channel *ch, int fd, struct err *e)
{
    size_t len = ch->out.len;
    struct waiting *w = NULL;

    if (ch->queued >= WAITING_MAX || ch->queued_bytes + len > WAITING_BYTES_MAX)
        err_set(e, EX_TEMPFAIL, "link: %zu records wait already", ch->queued);
    else if ((w = malloc(sizeof(*w) + len)) == NULL)
        err_sys(e, EX_TEMPFAIL, "link");
    if (w == NULL) {
        fd_close(fd);
        return -1;
    }
    w->fd = fd;
    w->len = len;
    memcpy(w->bytes, ch->out.data, len);
    STAILQ_INSERT_TAIL(&ch->queue, w, next);
    ch->queued++;
    ch->queued_bytes += len;
    return 0;
}

int channel_send(struct channel *ch, const struct wire_msg *msg, int fd, struct err *e)
{
    int sent = 0;

    if (carries_fd(msg->kind) != (fd != -1) || !wire_put(&ch->out, msg)) {
        fd_close(fd);
        return err_set(e, EX_SOFTWARE, "link: cannot send this %s record", wire_kind_name(msg->kind));
    }
    if (STAILQ_EMPTY(&ch->queue))
        sent = record_send(ch, ch->out.data, ch->out.len, fd, e);
    if (sent == 0)
        return record_queue(ch, fd, e);
    fd_close(fd);
    return sent == 1 ? 0 : -1;
}

bool channel_waiting(const struct channel *ch)
{
    return !STAILQ_EMPTY(&ch->queue);
}

int channel_flush(struct channel *ch, struct err *e)
{
    struct waiting *w;

    while ((w = STAILQ_FIRST(&ch->queue)) != NULL) {
        int sent = record_send(ch, w->bytes, w->len, w->fd, e);
        if (sent != 1)
            return sent;
        waiting_drop(ch);
    }
    return 0;
}

/* The one descriptor of a record, or -1; *n_r is how many came. Whatever comes beside it is closed. */
static int control_take(struct msghdr *mh, unsigned *n_r)
{
    int first = -1;

    *n_r = 0;
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm != NULL; cm = CMSG_NXTHDR(mh, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= cm->cmsg_len; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(cm) + at, sizeof(fd));
            if ((*n_r)++ == 0)
                first = fd;
            else
                close(fd);
        }
    }
    return first;
}

static int record_check(struct channel *ch, const struct msghdr *mh, size_t len, unsigned nfd, struct err *e)
{
    if ((mh->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || nfd > 1)
        return err_set(e, EX_PROTOCOL, "link: record too long, or with too many descriptors");
    if (wire_get(ch->in, len, &ch->msg, e) == -1)
        return -1;
    if (carries_fd(ch->msg.kind) != (nfd == 1))
        return err_set(e, EX_PROTOCOL, "link: %s record %s a descriptor", wire_kind_name(ch->msg.kind), nfd == 1 ? "with" : "without");
    return 0;
}

void channel_finish(struct channel *ch)
{
    (void)shutdown(ch->fd, SHUT_WR);
}

int channel_recv(struct channel *ch, const struct wire_msg **msg_r, int *fd_r, struct err *e)
{
    union { struct cmsghdr align; char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))]; } control;
    struct iovec iov = { .iov_base = ch->in, .iov_len = sizeof(ch->in) };
    struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes) };
    unsigned nfd;
    ssize_t n;

    do
        n = recvmsg(ch->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (n == -1 && errno == EINTR);
    if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n == -1)
        return err_sys(e, EX_UNAVAILABLE, "link: receive");
    int fd = control_take(&mh, &nfd);
    if (n == 0)
        err_set(e, EX_UNAVAILABLE, "link: the other side is gone");
    if (n == 0 || record_check(ch, &mh, (size_t)n, nfd, e) == -1) {
        fd_close(fd);
        return -1;
    }
    *msg_r = &ch->msg;
    *fd_r = fd;
    return 1;
}
