/* courier: the one context: the link, what was set up, and which connection is
 * which. It hands every request to the module that does it and every result
 * back, and decides nothing. It must end rather than lose a report or believe
 * a broken record. Called by abided, alone in its process. */
#include <config.h>

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/tree.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "spooler/courier/courier.h"
#include "spooler/courier/dial.h"
#include "spooler/courier/dns.h"
#include "spooler/courier/resolve.h"
#include "spooler/courier/mx.h"
#include "spooler/courier/transport.h"
#include "spooler/link/channel.h"

enum {
    RECORDS_PER_TURN = 64,
    FINISH_S = 10,                      /* for answers to final dots, once the keeper has closed the link */
    FILES_MAX = 65536,
    HELO_SIZE = 256
};

/* What WIRE_SETUP said last. */
struct setup {
    bool known;
    char helo[HELO_SIZE];
    struct ip source4, source6;
    enum ip_family family;
    uint32_t timeout_ms[PHASE_COUNT];
};

/* One number of the keeper's: dialling, then up, never both. */
struct conn {
    RB_ENTRY(conn) node;
    struct courier *courier;
    uint32_t id;
    struct dial *dialing;
    struct transport *up;
};

RB_HEAD(conn_tree, conn);

struct courier {
    struct event_base *base;
    struct channel *channel;
    struct event *readable, *writable, *deadline;
    struct ip_own own;
    struct dns *dns;
    struct resolve *resolve;
    struct mx *mx;
    struct dialer *dialer;
    struct transports *transports;
    struct conn_tree conns;
    struct setup setup;
    bool finishing;                     /* the keeper has closed its side */
    bool deaf;                          /* and hears nothing any more */
    int status;
};

static int conn_cmp(const struct conn *a, const struct conn *b)
{
    return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(conn_tree, conn, node, conn_cmp, static __attribute__((unused)))

static struct conn *conn_find(struct courier *c, uint32_t id)
{
    struct conn key = { .id = id };

    return RB_FIND(conn_tree, &c->conns, &key);
}

static void conn_free(struct conn *k)
{
    RB_REMOVE(conn_tree, &k->courier->conns, k);
    free(k);
}

static void courier_end(struct courier *c, int status)
{
    c->status = status;
    if (c->base != NULL)
        event_base_loopbreak(c->base);
}

/* The end for a reason of our own, or a fault of the keeper's: said if it can be. */
static void courier_fail(struct courier *c, int status, const char *why)
{
    struct wire_msg m = { .kind = WIRE_LOG, .u.log = { .level = LEVEL_ERROR, .text = why } };

    if (c->channel != NULL)
        (void)channel_send(c->channel, &m, -1, NULL);
    courier_end(c, status);
}

static void courier_check_end(struct courier *c)
{
    if (c->finishing && RB_EMPTY(&c->conns) && (c->deaf || !channel_waiting(c->channel)))
        courier_end(c, EX_OK);
}

/* While the link is full nothing is begun or read that would make a report; a
 * bounded number is still under way. (The keeper always reads: this passes.) */
static void link_stall(struct courier *c)
{
    event_del(c->readable);
    event_add(c->writable, NULL);
    mx_stall(c->mx, true);
    transports_stall(c->transports, true);
}

/* A report that cannot be sent while the keeper lives would be a lie by
 * silence: the courier ends, and the keeper knows what that means. That the
 * keeper is gone is seen soon enough where it is read from. */
static void report(struct courier *c, const struct wire_msg *m)
{
    struct err e;

    if (c->deaf)
        return;
    if (channel_send(c->channel, m, -1, &e) == -1) {
        if (e.class != EX_UNAVAILABLE)
            courier_end(c, e.class);
        return;
    }
    if (channel_waiting(c->channel))
        link_stall(c);
}

static void report_fail(struct courier *c, uint32_t conn, enum wire_why why, enum phase phase, const char *text, const char *address)
{
    struct wire_msg m = { .kind = WIRE_FAIL, .u.fail = { .conn = conn, .why = why, .phase = phase, .address = address } };

    strlcpy(m.u.fail.reply.text, text, sizeof(m.u.fail.reply.text));
    report(c, &m);
}

static void on_report(void *arg, const struct wire_msg *m)
{
    struct courier *c = arg;
    struct conn *k;

    report(c, m);
    if ((m->kind != WIRE_FAIL && m->kind != WIRE_CLOSED) || (k = conn_find(c, m->u.fail.conn)) == NULL)
        return;
    conn_free(k);
    courier_check_end(c);
}

static void on_route(void *arg, const struct wire_route *r)
{
    struct wire_msg m = { .kind = WIRE_ROUTE, .u.route = *r };

    report(arg, &m);
}

/* Our name there: the one set up, else the address we come from (RFC 5321 4.1.4). */
static const char *helo_name(const struct courier *c, int fd, char literal[HELO_SIZE])
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct ip ip;

    if (c->setup.helo[0] != '\0')
        return c->setup.helo;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) == -1 || !ip_from_sockaddr((struct sockaddr *)&sa, &ip))
        ip = (struct ip){ .family = AF_INET, .byte = { 127, 0, 0, 1 } };
    return ip_format_literal(&ip, literal, HELO_SIZE);
}

static void on_dialed(void *arg, const struct dial_result *r)
{
    struct conn *k = arg;
    struct courier *c = k->courier;
    char literal[HELO_SIZE], address[IP_TEXT_SIZE];
    struct transport_options o = { .fd = r->fd, .conn = k->id, .ip = r->ip, .timeout_ms = c->setup.timeout_ms };
    struct err e = { 0 };

    k->dialing = NULL;
    if (r->fd != -1) {
        o.helo = helo_name(c, r->fd, literal);
        if ((k->up = transport_new(c->transports, &o, &e)) != NULL)
            return;
    }
    report_fail(c, k->id, r->fd != -1 ? WHY_UNREACHABLE : r->why, r->phase, r->fd != -1 ? e.text : r->text, ip_format(&r->ip, address));
    conn_free(k);
    courier_check_end(c);
}

static bool source_parse(const char *text, sa_family_t family, struct ip *ip)
{
    *ip = (struct ip){ 0 };
    return text[0] == '\0' || (ip_parse(text, ip) && ip->family == family);
}

static void on_setup(struct courier *c, const struct wire_msg *m, int fd)
{
    const struct wire_setup *w = &m->u.setup;
    struct setup s = { .known = true, .family = (enum ip_family)w->family };
    bool changed;

    (void)fd;
    if (!source_parse(w->source4, AF_INET, &s.source4) || !source_parse(w->source6, AF_INET6, &s.source6)
        || dns_use(c->dns, w->resolver, &changed, NULL) == -1) {
        courier_fail(c, EX_PROTOCOL, "a set-up with a source or resolver that is no address");
        return;
    }
    if (changed)
        resolve_forget(c->resolve);
    strlcpy(s.helo, w->helo, sizeof(s.helo));
    memcpy(s.timeout_ms, w->timeout_ms, sizeof(s.timeout_ms));
    c->setup = s;
}

static void on_lookup(struct courier *c, const struct wire_msg *m, int fd)
{
    (void)fd;
    mx_lookup(c->mx, &m->u.lookup, c->setup.family, c->setup.timeout_ms[PHASE_DNS]);
}

static void on_dial(struct courier *c, const struct wire_msg *m, int fd)
{
    const struct wire_dial *w = &m->u.dial;
    struct dial_options o = {
        .host = w->host, .address = w->address, .port = w->port, .relay = w->relay,
        .family = c->setup.family, .source4 = c->setup.source4, .source6 = c->setup.source6,
        .dns_ms = c->setup.timeout_ms[PHASE_DNS], .connect_ms = c->setup.timeout_ms[PHASE_CONNECT],
    };
    struct conn *k = calloc(1, sizeof(*k));

    (void)fd;
    if (k != NULL) {
        k->courier = c;
        k->id = w->conn;
        if (RB_INSERT(conn_tree, &c->conns, k) != NULL) {
            free(k);
            courier_fail(c, EX_PROTOCOL, "the number of a connection was used twice");
            return;
        }
        if ((k->dialing = dial_start(c->dialer, &o, on_dialed, k)) != NULL)
            return;
        conn_free(k);
    }
    report_fail(c, w->conn, WHY_UNREACHABLE, PHASE_CONNECT, "out of memory", "");
}

static void on_send(struct courier *c, const struct wire_msg *m, int fd)
{
    struct conn *k = conn_find(c, m->u.send.conn);
    struct wire_msg done = { .kind = WIRE_DONE, .u.done = { .flight = m->u.send.flight, .ended = ENDED_NOT_SENT } };

    if (k != NULL && k->up != NULL) {
        transport_send(k->up, &m->u.send, fd);
        return;
    }
    close(fd);                          /* it ended while the record was on its way */
    report(c, &done);
}

static void on_close(struct courier *c, const struct wire_msg *m, int fd)
{
    struct conn *k = conn_find(c, m->u.close);

    (void)fd;
    if (k == NULL)
        return;
    if (k->up != NULL) {
        transport_quit(k->up);
        return;
    }
    dial_cancel(k->dialing);
    report_fail(c, k->id, WHY_ASKED, PHASE_CONNECT, "", "");
    conn_free(k);
}

static void (*const requests[WIRE_KIND_END])(struct courier *, const struct wire_msg *, int fd) = {
    [WIRE_SETUP] = on_setup,
    [WIRE_LOOKUP] = on_lookup,
    [WIRE_DIAL] = on_dial,
    [WIRE_SEND] = on_send,
    [WIRE_CLOSE] = on_close,
};

/* The keeper has closed its side. What still dials is given up. */
static void courier_finish(struct courier *c)
{
    struct conn *k, *next;

    c->finishing = true;
    event_del(c->readable);
    event_add(c->deadline, &(struct timeval){ .tv_sec = FINISH_S });
    RB_FOREACH_SAFE(k, conn_tree, &c->conns, next) {
        if (k->dialing == NULL)
            continue;
        dial_cancel(k->dialing);
        report_fail(c, k->id, WHY_ASKED, PHASE_CONNECT, "", "");
        conn_free(k);
    }
    transports_finish(c->transports);
    courier_check_end(c);
}

static void request(struct courier *c, const struct wire_msg *m, int fd)
{
    if (requests[m->kind] != NULL && (c->setup.known || m->kind == WIRE_SETUP)) {
        requests[m->kind](c, m, fd);
        return;
    }
    if (fd != -1)
        close(fd);
    courier_fail(c, EX_PROTOCOL, "a record that is no request, or came before the set-up");
}

static void on_readable(evutil_socket_t link, short what, void *arg)
{
    struct courier *c = arg;
    const struct wire_msg *m;
    struct err e;
    int fd, got = 1;

    (void)link;
    (void)what;
    for (int i = 0; i < RECORDS_PER_TURN && got == 1 && !channel_waiting(c->channel) && !event_base_got_break(c->base); i++)
        if ((got = channel_recv(c->channel, &m, &fd, &e)) == 1)
            request(c, m, fd);
    if (got == -1 && e.class == EX_UNAVAILABLE)
        courier_finish(c);
    else if (got == -1)
        courier_fail(c, e.class, e.text);
    else
        transports_run(c->transports);
}

/* The link is free again, or dead: then nobody waits for reports. */
static void on_writable(evutil_socket_t link, short what, void *arg)
{
    struct courier *c = arg;

    (void)link;
    (void)what;
    if (channel_flush(c->channel, NULL) == -1)
        c->deaf = true;
    else if (channel_waiting(c->channel))
        return;
    event_del(c->writable);
    if (!c->finishing && !c->deaf)
        event_add(c->readable, NULL);
    mx_stall(c->mx, false);
    transports_stall(c->transports, false);
    if (!c->finishing && c->deaf)
        courier_finish(c);
    else
        courier_check_end(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    courier_end(arg, EX_OK);
}

static int base_init(struct courier *c, struct err *e)
{
    struct event_config *config = event_config_new();

    if (config != NULL && event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NOLOCK) == 0)
        c->base = event_base_new_with_config(config);
    if (config != NULL)
        event_config_free(config);
    return c->base != NULL ? 0 : err_set(e, EX_OSERR, "event loop");
}

static int events_init(struct courier *c, struct err *e)
{
    int fd = channel_fd(c->channel);

    c->readable = event_new(c->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(c->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    c->deadline = evtimer_new(c->base, on_deadline, c);
    if (c->readable == NULL || c->writable == NULL || c->deadline == NULL || event_add(c->readable, NULL) == -1)
        return err_set(e, EX_OSERR, "event loop");
    return 0;
}

static int courier_init(struct courier *c, int link_fd, struct err *e)
{
    RB_INIT(&c->conns);
    if ((c->channel = channel_new(link_fd, e)) == NULL || base_init(c, e) == -1 || events_init(c, e) == -1
        || ip_own_load(&c->own, e) == -1
        || (c->dns = dns_new(c->base, e)) == NULL
        || (c->resolve = resolve_new(c->base, c->dns, e)) == NULL
        || (c->mx = mx_new(c->base, c->dns, c->resolve, &c->own, on_route, c, e)) == NULL
        || (c->dialer = dialer_new(c->base, c->resolve, &c->own, e)) == NULL
        || (c->transports = transports_new(c->base, on_report, c, e)) == NULL)
        return -1;
    return 0;
}

static void event_drop(struct event *ev)
{
    if (ev != NULL)
        event_free(ev);
}

static void courier_fini(struct courier *c)
{
    struct conn *k;

    while ((k = RB_ROOT(&c->conns)) != NULL) {
        dial_cancel(k->dialing);
        conn_free(k);
    }
    transports_free(c->transports);
    dialer_free(c->dialer);
    mx_free(c->mx);
    resolve_free(c->resolve);
    dns_free(c->dns);
    ip_own_fini(&c->own);
    event_drop(c->readable);
    event_drop(c->writable);
    event_drop(c->deadline);
    if (c->base != NULL)
        event_base_free(c->base);
    channel_free(c->channel);
}

/* The keeper decides when it ends, by closing the link. */
static void signals_ignore(void)
{
    static const int ignored[] = { SIGPIPE, SIGTERM, SIGINT, SIGHUP };

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        (void)signal(ignored[i], SIG_IGN);
}

/* A connection and its messages are descriptors each. */
static void files_raise(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == -1 || r.rlim_cur >= FILES_MAX)
        return;
    r.rlim_cur = r.rlim_max < FILES_MAX ? r.rlim_max : FILES_MAX;
    (void)setrlimit(RLIMIT_NOFILE, &r);
}

int courier_main(int link_fd)
{
    struct courier c = { .status = EX_OK };
    struct err e = { 0 };

    signals_ignore();
    files_raise();
    if (courier_init(&c, link_fd, &e) == -1)
        courier_fail(&c, e.class, e.text);
    else if (event_base_dispatch(c.base) == -1)
        c.status = EX_OSERR;
    courier_fini(&c);
    return c.status;
}
