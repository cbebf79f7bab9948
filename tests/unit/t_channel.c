/* channel: records and descriptors arrive in order, once, and what is refused leaks nothing. */
#include <config.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "spooler/link/channel.h"
#include "tests/unit/unit.h"

static struct channel *here, *there;
static int fds_before;

static int fds_open(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

static void setup(void)
{
    int fds[2];

    fds_before = fds_open();
    ck_assert(channel_pair(fds, NULL) == 0);
    here = channel_new(fds[0], NULL);
    there = channel_new(fds[1], NULL);
    ck_assert(here != NULL && there != NULL);
}

static void teardown(void)
{
    channel_free(here);
    channel_free(there);
    ck_assert_int_eq(fds_open(), fds_before);
}

static int null_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    ck_assert_int_ne(fd, -1);
    return fd;
}

static const char *const rcpts[] = { "a@example.org" };

static struct wire_msg send_msg(uint32_t flight)
{
    return (struct wire_msg){ .kind = WIRE_SEND, .u.send = { .flight = flight, .sender = "", .nrcpt = 1, .rcpt = rcpts } };
}

START_TEST(descriptor_travels)
{
    struct wire_msg m = send_msg(5);
    const struct wire_msg *got;
    struct stat a, b;
    int fd = null_fd(), got_fd;

    ck_assert(fstat(fd, &a) == 0);
    ck_assert(channel_recv(there, &got, &got_fd, NULL) == 0);
    ck_assert(channel_send(here, &m, fd, NULL) == 0);
    ck_assert(channel_recv(there, &got, &got_fd, NULL) == 1);
    ck_assert(got->kind == WIRE_SEND && got->u.send.flight == 5);
    ck_assert(got_fd != -1 && fstat(got_fd, &b) == 0 && a.st_ino == b.st_ino);
    ck_assert(fcntl(got_fd, F_GETFD) & FD_CLOEXEC);
    close(got_fd);
    ck_assert(channel_recv(there, &got, &got_fd, NULL) == 0);
}
END_TEST

/* Every second record has a descriptor; more than the socket takes; all arrive in order. */
START_TEST(order_through_the_queue)
{
    enum { N = 3000 };
    struct wire_msg close_msg = { .kind = WIRE_CLOSE }, m;
    const struct wire_msg *got;
    uint32_t next = 0;
    int fd;

    for (uint32_t i = 0; i < N; i++) {
        close_msg.u.close = i;
        m = i % 64 == 0 ? send_msg(i) : close_msg;
        ck_assert(channel_send(here, &m, i % 64 == 0 ? null_fd() : -1, NULL) == 0);
    }
    ck_assert(channel_waiting(here));
    while (next < N) {
        ck_assert(channel_flush(here, NULL) == 0);
        while (channel_recv(there, &got, &fd, NULL) == 1) {
            ck_assert_uint_eq(next % 64 == 0 ? got->u.send.flight : got->u.close, next);
            ck_assert((fd != -1) == (next % 64 == 0));
            if (fd != -1)
                close(fd);
            next++;
        }
    }
    ck_assert(!channel_waiting(here));
}
END_TEST

START_TEST(queue_is_bounded)
{
    struct wire_msg m = { .kind = WIRE_CLOSE, .u.close = 1 };
    struct err e = { 0 };
    int i = 0;

    while (i < 100000 && channel_send(here, &m, -1, &e) == 0)
        i++;
    ck_assert_int_lt(i, 100000);
    ck_assert_int_eq(e.class, EX_TEMPFAIL);
    m = send_msg(1);
    ck_assert(channel_send(here, &m, null_fd(), &e) == -1);     /* teardown counts descriptors */
}
END_TEST

START_TEST(what_cannot_be_sent)
{
    struct wire_msg m = { .kind = WIRE_CLOSE, .u.close = 1 };
    struct err e = { 0 };

    ck_assert(channel_send(here, &m, null_fd(), &e) == -1 && e.class == EX_SOFTWARE);
    m = send_msg(1);
    ck_assert(channel_send(here, &m, -1, &e) == -1 && e.class == EX_SOFTWARE);
    m.kind = WIRE_KIND_END;
    ck_assert(channel_send(here, &m, -1, &e) == -1 && e.class == EX_SOFTWARE);
}
END_TEST

START_TEST(the_other_side_gone)
{
    struct wire_msg m = { .kind = WIRE_CLOSE, .u.close = 1 };
    const struct wire_msg *got;
    struct err e = { 0 };
    int fd;

    ck_assert(channel_send(there, &m, -1, &e) == 0);
    channel_free(there);
    there = NULL;
    ck_assert(channel_recv(here, &got, &fd, &e) == 1);          /* what it said before counts */
    ck_assert(channel_recv(here, &got, &fd, &e) == -1 && e.class == EX_UNAVAILABLE);
    m = send_msg(1);
    ck_assert(channel_send(here, &m, null_fd(), &e) == -1 && e.class == EX_UNAVAILABLE);
}
END_TEST

/* Raw bytes with NFD descriptors, as a hostile courier would write them. */
static void raw_send(const void *bytes, size_t len, int nfd)
{
    union { struct cmsghdr align; char bytes[CMSG_SPACE(16 * sizeof(int))]; } control = { .bytes = { 0 } };
    struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
    struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
    int fds[16];

    for (int i = 0; i < nfd; i++)
        fds[i] = null_fd();
    if (nfd > 0) {
        mh.msg_control = control.bytes;
        mh.msg_controllen = CMSG_SPACE((size_t)nfd * sizeof(int));
        struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN((size_t)nfd * sizeof(int));
        memcpy(CMSG_DATA(cm), fds, (size_t)nfd * sizeof(int));
    }
    ck_assert(sendmsg(channel_fd(there), &mh, 0) == (ssize_t)len);
    for (int i = 0; i < nfd; i++)
        close(fds[i]);
}

enum what { GARBAGE, CLOSE_RECORD, SEND_RECORD, LONG_RECORD };
static const struct {
    const char *name;
    enum what what;
    int nfd;
} hostile[] = {
    { "garbage", GARBAGE, 0 },
    { "garbage with a descriptor", GARBAGE, 1 },
    { "a descriptor where none belongs", CLOSE_RECORD, 1 },
    { "no descriptor where one belongs", SEND_RECORD, 0 },
    { "two descriptors", SEND_RECORD, 2 },
    { "sixteen descriptors", SEND_RECORD, 16 },
    { "too long", LONG_RECORD, 0 },
    { "too long with a descriptor", LONG_RECORD, 1 },
};

START_TEST(hostile_records)
{
    static char longest[WIRE_MAX + 1];
    struct wire_msg m = hostile[_i].what == SEND_RECORD ? send_msg(1) : (struct wire_msg){ .kind = WIRE_CLOSE };
    struct buf out = BUF_INIT(WIRE_MAX);
    const struct wire_msg *got;
    struct err e = { 0 };
    int fd;

    ck_assert(wire_put(&out, &m));
    if (hostile[_i].what == GARBAGE)
        raw_send("\377\377garbage", 9, hostile[_i].nfd);
    else if (hostile[_i].what == LONG_RECORD)
        raw_send(longest, sizeof(longest), hostile[_i].nfd);
    else
        raw_send(out.data, out.len, hostile[_i].nfd);
    buf_fini(&out);
    ck_assert_msg(channel_recv(here, &got, &fd, &e) == -1, "%s: taken", hostile[_i].name);
    ck_assert_msg(e.class == EX_PROTOCOL, "%s: class %d", hostile[_i].name, e.class);
}
END_TEST

Suite *unit_suite(void)
{
    Suite *s = suite_create("channel");
    TCase *tc = tcase_create("channel");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, descriptor_travels);
    tcase_add_test(tc, order_through_the_queue);
    tcase_add_test(tc, queue_is_bounded);
    tcase_add_test(tc, what_cannot_be_sent);
    tcase_add_test(tc, the_other_side_gone);
    tcase_add_loop_test(tc, hostile_records, 0, LENGTH(hostile));
    suite_add_tcase(s, tc);
    return s;
}
