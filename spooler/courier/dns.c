/* dns: the only file that knows c-ares. Owns the channel, its sockets in the
 * event loop, one timer, and the questions that wait for their turn. It keeps
 * no answer and judges none. A question that nobody waits for any more goes on
 * holding its place until c-ares lets go of it. Called by resolve and mx. */
#include <config.h>

#include <sys/ioctl.h>
#include <sys/queue.h>
#include <ares.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "spooler/courier/answer.h"
#include "spooler/courier/dns.h"

enum {
    UNDER_WAY_MAX = 200,
    TRY_MS = 3000,                      /* the first try; the next takes twice as long */
    TRIES = 2,
    UDP_SIZE = 1232,                    /* EDNS size that no link on the way fragments */
    CLASS_IN = 1
};

struct dns_query {
    TAILQ_ENTRY(dns_query) entry;       /* while it waits */
    struct dns *dns;
    char name[ANSWER_NAME_SIZE];
    enum dns_type type;
    dns_fn *fn;                         /* NULL: cancelled */
    void *arg;
    bool under_way;
    bool probe;                         /* it timed out; now it asks for the root, to learn whether a resolver lives */
    struct mono asked;
};

struct sock {
    TAILQ_ENTRY(sock) entry;
    struct dns *dns;
    ares_socket_t fd;
    struct event *event;
};

struct dns {
    struct event_base *base;
    ares_channel channel;
    TAILQ_HEAD(, sock) socks;
    TAILQ_HEAD(query_list, dns_query) waiting;
    struct event *timer, *pump;
    unsigned under_way;
    struct mono heard;                  /* when a resolver last said anything */
    struct ares_addr_port_node *system; /* those of resolv.conf */
    struct ip resolver;                 /* of the configuration; no family: the system's */
    uint16_t resolver_port;
    bool servers_stale;                 /* resolver is not in force yet */
    bool closing;
};

bool dns_heard(const struct dns *d, struct mono since)
{
    return d->heard.ms >= since.ms;
}

static void timer_set(struct dns *d)
{
    struct timeval tv;

    if (ares_timeout(d->channel, NULL, &tv) != NULL)
        event_add(d->timer, &tv);
    else
        event_del(d->timer);
}

static void sock_free(struct sock *s)
{
    TAILQ_REMOVE(&s->dns->socks, s, entry);
    event_free(s->event);
    free(s);
}

static void on_sock(evutil_socket_t fd, short what, void *arg)
{
    struct dns *d = arg;
    int bytes = 0;

    /* c-ares calls a resolver that answers SERVFAIL and one that is not there
     * by the same name; bytes tell them apart. (A peek would eat the error.) */
    if ((what & EV_READ) != 0 && ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0)
        d->heard = clock_now().mono;
    ares_process_fd(d->channel, (what & EV_READ) != 0 ? fd : ARES_SOCKET_BAD, (what & EV_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
    timer_set(d);
}

static struct sock *sock_find(struct dns *d, ares_socket_t fd)
{
    struct sock *s;

    TAILQ_FOREACH(s, &d->socks, entry)
        if (s->fd == fd)
            break;
    return s;
}

static struct sock *sock_new(struct dns *d, ares_socket_t fd)
{
    struct sock *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->dns = d;
    s->fd = fd;
    if ((s->event = event_new(d->base, fd, 0, on_sock, d)) == NULL) {
        free(s);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&d->socks, s, entry);
    return s;
}

/* c-ares says what it wants to know of a socket. Without memory the question
 * ends by c-ares' own time-out. */
static void on_sock_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns *d = arg;
    struct sock *s = sock_find(d, fd);
    short what = (short)(EV_PERSIST | (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));

    if (!readable && !writable) {
        if (s != NULL)
            sock_free(s);
        return;
    }
    if (s == NULL && (s = sock_new(d, fd)) == NULL)
        return;
    event_del(s->event);
    if (event_assign(s->event, d->base, fd, what, on_sock, d) == 0)
        event_add(s->event, NULL);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct dns *d = arg;

    (void)fd;
    (void)what;
    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    timer_set(d);
}

static void pump_soon(struct dns *d)
{
    event_active(d->pump, EV_TIMEOUT, 0);
}

static enum dns_status status_of(const struct dns_query *q, int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return DNS_OK;
    case ARES_ENODATA:
        return DNS_NO_DATA;
    case ARES_ENOTFOUND:
        return DNS_NO_DOMAIN;
    default:
        return dns_heard(q->dns, q->asked) ? DNS_TEMP : DNS_LOCAL;
    }
}

static const char *why_of(enum dns_status status, int ares_status)
{
    switch (status) {
    case DNS_OK:
        return "";
    case DNS_NO_DATA:
        return "no such record";
    case DNS_NO_DOMAIN:
        return "no such domain";
    case DNS_LOCAL:
        return "no DNS server answers";
    case DNS_TEMP:
        break;
    }
    return ares_status == ARES_ETIMEOUT ? "the DNS servers have no answer in time" : "the DNS servers fail to answer";
}

/* Over a silence only. True: the question has become one for the root. */
static bool query_probe(struct dns_query *q)
{
    struct dns *d = q->dns;

    if (q->probe || dns_heard(d, q->asked))
        return false;
    q->probe = true;
    q->under_way = false;
    TAILQ_INSERT_HEAD(&d->waiting, q, entry);
    return true;
}

static void query_answer(struct dns_query *q, int status, const unsigned char *msg, size_t len)
{
    struct dns_answer a = { .status = status_of(q, status) };

    if (a.status <= DNS_NO_DOMAIN && q->probe)
        a.status = DNS_TEMP;
    if (a.status <= DNS_NO_DOMAIN && msg != NULL) {
        a.msg = msg;
        a.len = len;
    }
    a.why = why_of(a.status, q->probe ? ARES_ETIMEOUT : status);
    q->fn(q->arg, &a);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *msg, int len)
{
    struct dns_query *q = arg;
    struct dns *d = q->dns;

    (void)timeouts;
    d->under_way--;
    if (d->closing) {
        free(q);
        return;
    }
    pump_soon(d);
    if (q->fn != NULL && status == ARES_ETIMEOUT && query_probe(q))
        return;
    if (q->fn != NULL)
        query_answer(q, status, msg, len > 0 ? (size_t)len : 0);
    free(q);
}

static void servers_apply(struct dns *d)
{
    struct ares_addr_port_node one = { .family = d->resolver.family, .udp_port = d->resolver_port, .tcp_port = d->resolver_port };

    memcpy(&one.addr, d->resolver.byte, sizeof(d->resolver.byte));
    if (ares_set_servers_ports(d->channel, d->resolver.family == 0 ? d->system : &one) == ARES_SUCCESS)
        d->servers_stale = false;
}

static void query_start(struct dns_query *q)
{
    struct dns *d = q->dns;

    TAILQ_REMOVE(&d->waiting, q, entry);
    q->under_way = true;
    d->under_way++;
    if (!q->probe)
        q->asked = clock_now().mono;
    ares_query(d->channel, q->probe ? "." : q->name, CLASS_IN, q->probe ? DNS_NS : (int)q->type, on_answer, q);
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    struct dns *d = arg;

    (void)fd;
    (void)what;
    if (d->servers_stale && d->under_way == 0)
        servers_apply(d);
    while (!d->servers_stale && d->under_way < UNDER_WAY_MAX && !TAILQ_EMPTY(&d->waiting))
        query_start(TAILQ_FIRST(&d->waiting));
    timer_set(d);
}

static int channel_init(struct dns *d)
{
    char lookups[] = "b";               /* never the hosts file: it could not be opened */
    struct ares_options options = {
        .flags = ARES_FLAG_EDNS,
        .ednspsz = UDP_SIZE,
        .lookups = lookups,
        .timeout = TRY_MS,
        .tries = TRIES,
        .sock_state_cb = on_sock_state,
        .sock_state_cb_data = d,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_LOOKUPS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    int status = ares_library_init(ARES_LIB_INIT_ALL);

    if (status == ARES_SUCCESS)
        status = ares_init_options(&d->channel, &options, mask);
    if (status == ARES_SUCCESS)
        status = ares_get_servers_ports(d->channel, &d->system);
    return status;
}

struct dns *dns_new(struct event_base *base, struct err *e)
{
    struct dns *d = calloc(1, sizeof(*d));
    int status = ARES_ENOMEM;

    if (d != NULL) {
        d->base = base;
        d->heard.ms = -1;
        TAILQ_INIT(&d->socks);
        TAILQ_INIT(&d->waiting);
        d->timer = evtimer_new(base, on_timer, d);
        d->pump = evtimer_new(base, on_pump, d);
        if (d->timer != NULL && d->pump != NULL)
            status = channel_init(d);
    }
    if (status != ARES_SUCCESS) {
        err_set(e, EX_OSERR, "resolver: %s", ares_strerror(status));
        dns_free(d);
        return NULL;
    }
    return d;
}

void dns_free(struct dns *d)
{
    struct dns_query *q;

    if (d == NULL)
        return;
    d->closing = true;
    while ((q = TAILQ_FIRST(&d->waiting)) != NULL) {
        TAILQ_REMOVE(&d->waiting, q, entry);
        free(q);
    }
    if (d->channel != NULL)
        ares_destroy(d->channel);
    ares_free_data(d->system);
    while (!TAILQ_EMPTY(&d->socks))
        sock_free(TAILQ_FIRST(&d->socks));
    if (d->timer != NULL)
        event_free(d->timer);
    if (d->pump != NULL)
        event_free(d->pump);
    free(d);
    ares_library_cleanup();
}

int dns_use(struct dns *d, const char *resolver, bool *changed_r, struct err *e)
{
    struct ip ip = { 0 };
    uint16_t port = 0;

    if (resolver[0] != '\0' && !ip_parse_port(resolver, &ip, &port))
        return err_set(e, EX_CONFIG, "resolver %s is not ADDRESS:PORT", resolver);
    *changed_r = !ip_equal(&ip, &d->resolver) || port != d->resolver_port;
    if (*changed_r) {
        d->resolver = ip;
        d->resolver_port = port;
        d->servers_stale = true;
        pump_soon(d);
    }
    return 0;
}

struct dns_query *dns_ask(struct dns *d, const char *name, enum dns_type type, dns_fn *fn, void *arg)
{
    struct dns_query *q = calloc(1, sizeof(*q));

    if (q == NULL)
        return NULL;
    q->dns = d;
    strlcpy(q->name, name, sizeof(q->name));
    q->type = type;
    q->fn = fn;
    q->arg = arg;
    TAILQ_INSERT_TAIL(&d->waiting, q, entry);
    pump_soon(d);
    return q;
}

void dns_cancel(struct dns_query *q)
{
    if (q == NULL)
        return;
    if (q->under_way) {
        q->fn = NULL;
        return;
    }
    TAILQ_REMOVE(&q->dns->waiting, q, entry);
    free(q);
}
