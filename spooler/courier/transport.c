/* transport: the only file where a session meets a socket. Owns the socket, the
 * bytes it would not take yet, and one timer a connection. It knows no SMTP,
 * never blocks, and drops no report: while the link is full it stops reading.
 * Called by courier. */
#include <config.h>

#include <sys/queue.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "spooler/courier/session.h"
#include "spooler/courier/transport.h"

enum {
    WRITE_BYTES = 128 * 1024,           /* made at once */
    WRITES_PER_TURN = 4,                /* then the others have their turn */
    READ_BYTES = 16 * 1024
};

struct transport {
    TAILQ_ENTRY(transport) entry;
    TAILQ_ENTRY(transport) work;
    bool working;                       /* is in the list of work */
    struct transports *all;
    uint32_t conn;
    struct ip ip;
    int fd;
    struct session *session;
    struct event *readable, *writable, *timer;
    struct mono timer_at;               /* CLOCK_NEVER: not set */
    char *left;                         /* made, but the socket would not take it */
    size_t left_at, left_len;
    bool ready;                         /* the keeper knows it is up */
    bool paused;                        /* not reading */
    bool broken;                        /* nothing can be written; what the server said before may still be read */
    bool cut;                           /* by us */
};

struct transports {
    struct event_base *base;
    TAILQ_HEAD(transport_list, transport) list, work;
    struct event *turn;                 /* work is left for the next turn of the loop */
    bool stalled, finishing;
    transport_report_fn *report;
    void *arg;
    struct wire_msg msg;                /* the report being made */
    char bytes[WRITE_BYTES];
};

static void transport_free(struct transport *t)
{
    if (t == NULL)
        return;
    TAILQ_REMOVE(&t->all->list, t, entry);
    if (t->working)
        TAILQ_REMOVE(&t->all->work, t, work);
    if (t->readable != NULL)
        event_free(t->readable);
    if (t->writable != NULL)
        event_free(t->writable);
    if (t->timer != NULL)
        event_free(t->timer);
    session_free(t->session);
    close(t->fd);
    free(t->left);
    free(t);
}

static void work_add(struct transport *t)
{
    if (!t->working)
        TAILQ_INSERT_TAIL(&t->all->work, t, work);
    t->working = true;
}

/* What is left for the next turn waits until the others' sockets were looked
 * at: a timer, since an activated event would run before them. */
static void work_later(struct transport *t)
{
    work_add(t);
    event_add(t->all->turn, &(struct timeval){ 0, 0 });
}

static void report_up(struct transport *t, const struct session_event *ev)
{
    char address[IP_TEXT_SIZE];
    struct wire_msg *m = &t->all->msg;

    t->ready = true;
    m->kind = WIRE_UP;
    m->u.up = ev->u.up;
    m->u.up.conn = t->conn;
    m->u.up.address = ip_format(&t->ip, address);
    t->all->report(t->all->arg, m);
}

static void report_over(struct transport *t, const struct session_event *ev)
{
    char address[IP_TEXT_SIZE];
    struct wire_msg *m = &t->all->msg;

    m->kind = t->ready ? WIRE_CLOSED : WIRE_FAIL;
    m->u.fail = ev->u.fail;
    m->u.fail.conn = t->conn;
    m->u.fail.address = ip_format(&t->ip, address);
    if (t->cut)
        m->u.fail.why = WHY_ASKED;
    t->all->report(t->all->arg, m);
}

/* False: it was the last event. */
static bool report_event(struct transport *t, const struct session_event *ev)
{
    struct wire_msg *m = &t->all->msg;

    switch (ev->kind) {
    case SESSION_READY:
        report_up(t, ev);
        return true;
    case SESSION_OVER:
        report_over(t, ev);
        return false;
    case SESSION_RCPT:
        m->kind = WIRE_RCPT;
        m->u.rcpt = ev->u.rcpt;
        break;
    case SESSION_DONE:
        m->kind = WIRE_DONE;
        m->u.done = ev->u.done;
        break;
    case SESSION_SAID:
        m->kind = WIRE_SAID;
        m->u.said = ev->u.said;
        break;
    }
    t->all->report(t->all->arg, m);
    return true;
}

static void left_drop(struct transport *t)
{
    free(t->left);
    t->left = NULL;
    t->left_at = t->left_len = 0;
}

/* A write failed. What the server said before it hung up is still to be read,
 * and reading ends with the same news. */
static void write_break(struct transport *t)
{
    t->broken = true;
    left_drop(t);
    event_del(t->writable);
}

/* How many bytes the socket took; fewer than LEN: it is full, or broken. */
static size_t socket_write(struct transport *t, const char *bytes, size_t len, struct mono now)
{
    ssize_t n;

    do
        n = send(t->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n == -1 && errno == EINTR);
    if (n == -1) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS)
            write_break(t);
        return 0;
    }
    session_wrote(t->session, (size_t)n, now);
    return (size_t)n;
}

/* Keeps what the socket did not take. */
static void left_keep(struct transport *t, const char *bytes, size_t len)
{
    if ((t->left = malloc(len)) == NULL) {
        write_break(t);
        (void)shutdown(t->fd, SHUT_RDWR);
        return;
    }
    memcpy(t->left, bytes, len);
    t->left_len = len;
    event_add(t->writable, NULL);
}

/* True: all of it has gone. */
static bool left_write(struct transport *t, struct mono now)
{
    t->left_at += socket_write(t, t->left + t->left_at, t->left_len - t->left_at, now);
    if (t->broken || t->left_at < t->left_len)
        return false;
    left_drop(t);
    event_del(t->writable);
    return true;
}

enum wrote { WROTE_ALL, WROTE_MORE, WROTE_STUCK };

/* Writes what was left, and what the session makes at one go. */
static enum wrote transport_write(struct transport *t, struct mono now)
{
    char *bytes = t->all->bytes;
    size_t made, sent;

    if (t->broken || t->all->finishing || (t->left != NULL && !left_write(t, now)))
        return WROTE_STUCK;
    if ((made = session_output(t->session, bytes, WRITE_BYTES)) == 0)
        return WROTE_ALL;
    sent = socket_write(t, bytes, made, now);
    if (sent < made && !t->broken)
        left_keep(t, bytes + sent, made - sent);
    return sent < made ? WROTE_STUCK : WROTE_MORE;
}

/* A QUIT behind the last event goes if it can go at once. */
static void transport_farewell(struct transport *t, struct mono now)
{
    size_t made;

    if (t->broken || t->left != NULL || (made = session_output(t->session, t->all->bytes, WRITE_BYTES)) == 0)
        return;
    (void)socket_write(t, t->all->bytes, made, now);
}

/* Reports while the link takes it. False: that was the end, T is gone. */
static bool transport_drain(struct transport *t, struct mono now)
{
    struct session_event ev;

    while (!t->all->stalled && session_event(t->session, &ev))
        if (!report_event(t, &ev)) {
            transport_farewell(t, now);
            transport_free(t);
            return false;
        }
    return true;
}

/* The timer is set anew only when it would fire too late: deadlines mostly
 * move away, and one that fires early costs less than one set per command. */
static void timer_set(struct transport *t, struct mono now)
{
    struct mono deadline = session_deadline(t->session);
    int64_t ms = deadline.ms > now.ms ? deadline.ms - now.ms : 0;

    if (deadline.ms >= t->timer_at.ms)
        return;
    t->timer_at = deadline;
    event_add(t->timer, &(struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 });
}

static void transport_cut(struct transport *t, struct mono now)
{
    t->cut = true;
    session_eof(t->session, false, now);
}

/* Writes as long as it is T's turn. False: T is gone. */
static bool transport_speak(struct transport *t, struct mono now)
{
    for (unsigned i = 0; i < WRITES_PER_TURN && !t->all->stalled; i++) {
        enum wrote wrote = transport_write(t, now);
        if (!transport_drain(t, now))
            return false;
        if (wrote != WROTE_MORE)
            return true;
    }
    if (session_wants_write(t->session))
        work_later(t);
    return true;
}

/* Time and the keeper's farewell. False: T is gone. */
static bool transport_check(struct transport *t, struct mono now)
{
    if (session_deadline(t->session).ms <= now.ms)
        session_timeout(t->session, now);
    else if (t->all->finishing && !session_in_doubt(t->session))
        transport_cut(t, now);
    return transport_drain(t, now);
}

/* Everything T can do now. It may be gone afterwards. While the link is full
 * it keeps what it has to tell, and nothing more may happen to its session. */
static void transport_step(struct transport *t, struct mono now)
{
    if (!transport_drain(t, now))
        return;
    if (!t->all->stalled && (!transport_check(t, now) || (!t->all->stalled && !transport_speak(t, now))))
        return;
    if (t->all->stalled) {
        work_add(t);
        return;
    }
    if (t->paused) {
        t->paused = false;
        event_add(t->readable, NULL);
    }
    timer_set(t, now);
}

void transports_run(struct transports *all)
{
    struct mono now = clock_now().mono;
    struct transport *last = TAILQ_LAST(&all->work, transport_list), *t = NULL;

    while (t != last) {                 /* what is added meanwhile has its turn later */
        t = TAILQ_FIRST(&all->work);
        TAILQ_REMOVE(&all->work, t, work);
        t->working = false;
        transport_step(t, now);
    }
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    transports_run(arg);
}

static void transport_read(struct transport *t, struct mono now)
{
    char bytes[READ_BYTES];
    ssize_t n;

    do
        n = recv(t->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    while (n == -1 && errno == EINTR);
    if (n > 0) {
        session_input(t->session, bytes, (size_t)n, now);
    } else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        event_del(t->readable);
        session_eof(t->session, n != 0, now);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct transport *t = arg;
    struct mono now = clock_now().mono;

    (void)fd;
    (void)what;
    if (t->all->stalled) {
        t->paused = true;
        event_del(t->readable);
        work_add(t);
        return;
    }
    transport_read(t, now);
    transport_step(t, now);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    transport_step(arg, clock_now().mono);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct transport *t = arg;

    (void)fd;
    (void)what;
    t->timer_at.ms = CLOCK_NEVER;
    transport_step(t, clock_now().mono);
}

static int transport_events(struct transport *t)
{
    struct event_base *base = t->all->base;

    t->readable = event_new(base, t->fd, EV_READ | EV_PERSIST, on_readable, t);
    t->writable = event_new(base, t->fd, EV_WRITE | EV_PERSIST, on_writable, t);
    t->timer = evtimer_new(base, on_timer, t);
    if (t->readable == NULL || t->writable == NULL || t->timer == NULL)
        return -1;
    return event_add(t->readable, NULL);
}

struct transport *transport_new(struct transports *all, const struct transport_options *o, struct err *e)
{
    struct session_options so = { .helo = o->helo, .timeout_ms = o->timeout_ms, .window = WIRE_FLIGHTS };
    struct transport *t = calloc(1, sizeof(*t));
    int on = 1;

    if (t == NULL) {
        err_sys(e, EX_OSERR, "connection");
        close(o->fd);
        return NULL;
    }
    t->all = all;
    t->fd = o->fd;
    t->conn = o->conn;
    t->ip = o->ip;
    t->timer_at.ms = CLOCK_NEVER;
    TAILQ_INSERT_TAIL(&all->list, t, entry);
    (void)setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    t->session = session_new(&so, clock_now().mono, e);
    if (t->session == NULL || transport_events(t) == -1) {
        err_set(e, EX_OSERR, "connection: out of memory");
        transport_free(t);
        return NULL;
    }
    work_later(t);
    return t;
}

static void report_not_sent(struct transports *all, uint32_t flight)
{
    all->msg.kind = WIRE_DONE;
    all->msg.u.done = (struct wire_done){ .flight = flight, .ended = ENDED_NOT_SENT };
    all->report(all->arg, &all->msg);
}

void transport_send(struct transport *t, const struct wire_send *w, int fd)
{
    struct mono now = clock_now().mono;

    if (t->all->finishing || !session_room(t->session)) {
        close(fd);
        report_not_sent(t->all, w->flight);
        return;
    }
    if (session_send(t->session, w, fd, now, NULL) == -1)
        report_not_sent(t->all, w->flight);
    work_add(t);
    (void)transport_drain(t, now);
}

void transport_quit(struct transport *t)
{
    struct mono now = clock_now().mono;

    if (t->ready)
        session_quit(t->session, now);
    else
        transport_cut(t, now);
    work_add(t);
    (void)transport_drain(t, now);
}

void transports_stall(struct transports *all, bool stalled)
{
    all->stalled = stalled;
    if (!stalled)
        transports_run(all);
}

void transports_finish(struct transports *all)
{
    struct transport *t;

    all->finishing = true;
    TAILQ_FOREACH(t, &all->list, entry)
        work_add(t);
    transports_run(all);
}

struct transports *transports_new(struct event_base *base, transport_report_fn *report, void *arg, struct err *e)
{
    struct transports *all = calloc(1, sizeof(*all));

    if (all == NULL || (all->turn = evtimer_new(base, on_turn, all)) == NULL) {
        err_set(e, EX_OSERR, "connections: out of memory");
        free(all);
        return NULL;
    }
    all->base = base;
    all->report = report;
    all->arg = arg;
    TAILQ_INIT(&all->list);
    TAILQ_INIT(&all->work);
    return all;
}

void transports_free(struct transports *all)
{
    if (all == NULL)
        return;
    while (!TAILQ_EMPTY(&all->list))
        transport_free(TAILQ_FIRST(&all->list));
    event_free(all->turn);
    free(all);
}
