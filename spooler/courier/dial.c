/* dial: connects. Owns the sockets until one of them is connected, one timer a
 * dial, and a short memory of addresses that did not answer. It never talks,
 * and never connects a foreign host's name to this machine. Called by courier. */
#include <config.h>

#include <sys/socket.h>
#include <netinet/in.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "spooler/courier/dial.h"

enum {
    STEP_MS = 500,                      /* before the next address starts beside the last */
    ADDRESS_MS = 30000,                 /* of one address, within the whole */
    DEAD_MS = 120000,                   /* how long one that failed is tried last */
    DEAD_MAX = 256
};

struct attempt {
    struct dial *dial;
    struct ip ip;
    int fd;                             /* -1: not trying */
    struct event *event;
    struct mono began;
};

struct dial {
    struct dialer *dialer;
    uint16_t port;
    bool relay;
    enum ip_family family;
    struct ip source4, source6;
    uint32_t connect_ms;
    struct resolve_query *query;          /* the addresses are being looked up */
    struct ip given[RESOLVE_IP_MAX];      /* they were given; tried once the timer fires */
    unsigned ngiven;
    bool begun;
    struct attempt attempt[DIAL_MAX];
    unsigned nattempt, next;            /* those before `next` were started */
    struct mono deadline, step;         /* of the whole; of the next start */
    struct event *timer;
    struct dial_result result;
    dial_fn *fn;
    void *arg;
};

struct dialer {
    struct event_base *base;
    struct resolve *resolve;
    const struct ip_own *own;
    struct { struct ip ip; struct mono until; } dead[DEAD_MAX];
    unsigned next_dead;                 /* the place to use next */
};

static bool dead_is(const struct dialer *dr, const struct ip *ip, struct mono now)
{
    for (unsigned i = 0; i < DEAD_MAX; i++)
        if (dr->dead[i].until.ms > now.ms && ip_equal(&dr->dead[i].ip, ip))
            return true;
    return false;
}

static void dead_forget(struct dialer *dr, const struct ip *ip)
{
    for (unsigned i = 0; i < DEAD_MAX; i++)
        if (ip_equal(&dr->dead[i].ip, ip))
            dr->dead[i].until.ms = 0;
}

static void dead_note(struct dialer *dr, const struct ip *ip, struct mono now)
{
    dead_forget(dr, ip);
    dr->dead[dr->next_dead].ip = *ip;
    dr->dead[dr->next_dead].until.ms = now.ms + DEAD_MS;
    dr->next_dead = (dr->next_dead + 1) % DEAD_MAX;
}

/* Adds those of LATE's kind, the families taking turns. */
static unsigned order_add(const struct ip in[], const bool late[], unsigned n, bool want_late, struct ip out[DIAL_MAX], unsigned nout)
{
    unsigned at6 = 0, at4 = 0;

    for (bool six = true; nout < DIAL_MAX && (at6 < n || at4 < n); six = !six) {
        unsigned *at = six ? &at6 : &at4;
        while (*at < n && (late[*at] != want_late || (in[*at].family == AF_INET6) != six))
            ++*at;
        if (*at < n)
            out[nout++] = in[(*at)++];
    }
    return nout;
}

unsigned dial_order(const struct ip in[], const bool late[], unsigned n, struct ip out[DIAL_MAX])
{
    unsigned nout = order_add(in, late, n, false, out, 0);

    return order_add(in, late, n, true, out, nout);
}

static void attempt_stop(struct attempt *a)
{
    if (a->event != NULL)
        event_free(a->event);
    if (a->fd != -1)
        close(a->fd);
    a->event = NULL;
    a->fd = -1;
}

void dial_cancel(struct dial *d)
{
    if (d == NULL)
        return;
    resolve_cancel(d->query);
    for (unsigned i = 0; i < d->nattempt; i++)
        attempt_stop(&d->attempt[i]);
    if (d->timer != NULL)
        event_free(d->timer);
    free(d);
}

/* The end: tells, and forgets D. */
static void dial_tell(struct dial *d)
{
    struct dial_result result = d->result;
    dial_fn *fn = d->fn;
    void *arg = d->arg;

    dial_cancel(d);
    fn(arg, &result);
}

static void dial_fail(struct dial *d, enum wire_why why, enum phase phase, const char *text)
{
    d->result.why = why;
    d->result.phase = phase;
    strlcpy(d->result.text, text, sizeof(d->result.text));
    dial_tell(d);
}

static enum wire_why why_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case ECONNRESET:
        return WHY_REFUSED;
    case ETIMEDOUT:
        return WHY_TIMEOUT;
    default:
        return WHY_UNREACHABLE;
    }
}

/* What says most about the host: an answer, then a silence, then nothing at all. */
static bool why_better(enum wire_why a, enum wire_why b)
{
    return a == WHY_REFUSED ? b != WHY_REFUSED : a == WHY_TIMEOUT && b == WHY_UNREACHABLE;
}

static void attempt_fail(struct attempt *a, int error)
{
    struct dial *d = a->dial;
    char ip[IP_TEXT_SIZE];
    size_t len = strlen(d->result.text);

    attempt_stop(a);
    dead_note(d->dialer, &a->ip, clock_now().mono);
    d->result.ip = a->ip;
    if (len == 0 || why_better(why_of(error), d->result.why))
        d->result.why = why_of(error);
    snprintf(d->result.text + len, sizeof(d->result.text) - len, "%s%s port %u: %s", len > 0 ? "; " : "", ip_format(&a->ip, ip), d->port,
        error == ETIMEDOUT ? "no answer in time" : strerror(error));
}

/* An earlier address that still has no answer while a later one has is slow. */
static void dial_win(struct dial *d, struct attempt *won)
{
    struct mono now = clock_now().mono;

    for (unsigned i = 0; i < d->next; i++)
        if (d->attempt[i].fd != -1 && won->began.ms - d->attempt[i].began.ms >= STEP_MS)
            dead_note(d->dialer, &d->attempt[i].ip, now);
    dead_forget(d->dialer, &won->ip);
    d->result.fd = won->fd;
    d->result.ip = won->ip;
    won->fd = -1;
    dial_tell(d);
}

static int source_bind(const struct dial *d, int fd, const struct ip *to)
{
    const struct ip *from = to->family == AF_INET ? &d->source4 : &d->source6;
    struct sockaddr_storage sa;

    if (from->family == 0)
        return 0;
#ifdef IP_BIND_ADDRESS_NO_PORT
    int on = 1;                         /* the port is chosen by connect: many more are free then */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
#endif
    return bind(fd, (struct sockaddr *)&sa, ip_sockaddr(from, 0, &sa));
}

static void on_connect(evutil_socket_t fd, short what, void *arg);

/* 0 or an errno. */
static int attempt_start(struct attempt *a)
{
    struct dial *d = a->dial;
    struct sockaddr_storage sa;
    socklen_t len = ip_sockaddr(&a->ip, d->port, &sa);

    a->began = clock_now().mono;
    a->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->fd == -1 || source_bind(d, a->fd, &a->ip) == -1)
        return errno;
    if (connect(a->fd, (struct sockaddr *)&sa, len) == -1 && errno != EINPROGRESS)
        return errno;
    a->event = event_new(d->dialer->base, a->fd, EV_WRITE, on_connect, a);
    return a->event == NULL || event_add(a->event, NULL) == -1 ? ENOMEM : 0;
}

static void timer_set(struct dial *d, struct mono now)
{
    int64_t at_ms = d->deadline.ms, left_ms;

    if (d->next < d->nattempt && d->step.ms < at_ms)
        at_ms = d->step.ms;
    for (unsigned i = 0; i < d->next; i++)
        if (d->attempt[i].fd != -1 && d->attempt[i].began.ms + ADDRESS_MS < at_ms)
            at_ms = d->attempt[i].began.ms + ADDRESS_MS;
    left_ms = at_ms > now.ms ? at_ms - now.ms : 0;
    event_add(d->timer, &(struct timeval){ .tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000 });
}

static bool dial_trying(const struct dial *d)
{
    for (unsigned i = 0; i < d->next; i++)
        if (d->attempt[i].fd != -1)
            return true;
    return false;
}

/* Starts the next address that can be started. The end, if there is none and
 * nothing is trying any more. */
static void dial_next(struct dial *d)
{
    struct mono now = clock_now().mono;
    int error = 1;

    while (d->next < d->nattempt && error != 0) {
        struct attempt *a = &d->attempt[d->next++];
        if ((error = attempt_start(a)) != 0)
            attempt_fail(a, error);
        d->step.ms = now.ms + STEP_MS;
    }
    if (!dial_trying(d))
        dial_tell(d);
    else
        timer_set(d, now);
}

static void on_connect(evutil_socket_t fd, short what, void *arg)
{
    struct attempt *a = arg;
    int error = 0;
    socklen_t len = sizeof(error);

    (void)what;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
        error = errno;
    if (error == 0) {
        dial_win(a->dial, a);
        return;
    }
    attempt_fail(a, error);
    dial_next(a->dial);
}

/* Closes those whose time is over. */
static void dial_expire(struct dial *d, struct mono now)
{
    for (unsigned i = 0; i < d->next; i++)
        if (d->attempt[i].fd != -1 && (now.ms >= d->deadline.ms || now.ms >= d->attempt[i].began.ms + ADDRESS_MS))
            attempt_fail(&d->attempt[i], ETIMEDOUT);
    if (now.ms >= d->deadline.ms)
        d->nattempt = d->next;
}

static void ip_shuffle(struct ip *ip, unsigned n)
{
    for (unsigned i = n; i > 1; i--) {
        unsigned j = arc4random_uniform(i);
        struct ip kept = ip[i - 1];
        ip[i - 1] = ip[j];
        ip[j] = kept;
    }
}

static bool family_wanted(const struct dial *d, const struct ip *ip)
{
    return d->family == IP_BOTH || (ip->family == AF_INET) == (d->family == IP_4);
}

/* The addresses are known: tries those that may be tried. */
static void dial_begin(struct dial *d, struct ip *ip, unsigned n)
{
    struct mono now = clock_now().mono;
    struct ip ordered[DIAL_MAX];
    bool late[RESOLVE_IP_MAX];
    unsigned kept = 0, own = 0;

    d->begun = true;
    for (unsigned i = 0; i < n; i++) {
        if (!family_wanted(d, &ip[i]))
            continue;
        if (!d->relay && ip_is_own(d->dialer->own, &ip[i]))
            own++;
        else
            ip[kept++] = ip[i];
    }
    if (kept == 0) {
        dial_fail(d, WHY_NO_ADDRESS, PHASE_CONNECT, own > 0 ? "its only addresses are our own" :
            n > 0 ? "it has no address of the family that is configured" : "neither a host name nor an address");
        return;
    }
    ip_shuffle(ip, kept);
    for (unsigned i = 0; i < kept; i++)
        late[i] = dead_is(d->dialer, &ip[i], now);
    d->nattempt = dial_order(ip, late, kept, ordered);
    for (unsigned i = 0; i < d->nattempt; i++)
        d->attempt[i] = (struct attempt){ .dial = d, .ip = ordered[i], .fd = -1 };
    d->deadline.ms = now.ms + d->connect_ms;
    d->result.phase = PHASE_CONNECT;
    dial_next(d);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct dial *d = arg;
    struct mono now = clock_now().mono;

    (void)fd;
    (void)what;
    if (!d->begun) {
        dial_begin(d, d->given, d->ngiven);
        return;
    }
    dial_expire(d, now);
    if (!dial_trying(d) || now.ms >= d->step.ms)
        dial_next(d);
    else
        timer_set(d, now);
}

static void on_hosts(void *arg, const struct resolve_found *f)
{
    struct dial *d = arg;
    struct ip ip[RESOLVE_IP_MAX];

    d->query = NULL;
    switch (f->status) {
    case DNS_OK:
        memcpy(ip, f->ip, sizeof(ip));
        dial_begin(d, ip, f->nip);
        break;
    case DNS_NO_DATA:
    case DNS_NO_DOMAIN:
        dial_fail(d, WHY_NO_ADDRESS, PHASE_DNS, f->why);
        break;
    case DNS_TEMP:
        dial_fail(d, WHY_DNS, PHASE_DNS, f->why);
        break;
    case DNS_LOCAL:
        dial_fail(d, WHY_UNREACHABLE, PHASE_DNS, f->why);
        break;
    }
}

/* What is no address among them is passed over. */
static void given_parse(struct dial *d, const char *list)
{
    char word[IP_TEXT_SIZE];

    while (d->ngiven < RESOLVE_IP_MAX && *(list += strspn(list, " ")) != '\0') {
        size_t len = strcspn(list, " ");
        if (len < sizeof(word)) {
            memcpy(word, list, len);
            word[len] = '\0';
            if (ip_parse(word, &d->given[d->ngiven]))
                d->ngiven++;
        }
        list += len;
    }
}

/* Looks the addresses up, or begins with those given once the timer fires. */
static int addresses_get(struct dial *d, const struct dial_options *o)
{
    char name[ANSWER_NAME_SIZE];

    given_parse(d, o->address[0] != '\0' ? o->address : o->host);
    if (d->ngiven == 0 && o->address[0] == '\0' && answer_name(o->host, name)) {
        d->query = resolve_find(d->dialer->resolve, name, o->family, o->dns_ms, on_hosts, d);
        return d->query == NULL ? -1 : 0;
    }
    return event_add(d->timer, &(struct timeval){ 0, 0 });
}

struct dial *dial_start(struct dialer *dr, const struct dial_options *o, dial_fn *fn, void *arg)
{
    struct dial *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return NULL;
    d->dialer = dr;
    d->port = o->port;
    d->relay = o->relay;
    d->family = o->family;
    d->source4 = o->source4;
    d->source6 = o->source6;
    d->connect_ms = o->connect_ms;
    d->result.fd = -1;
    d->fn = fn;
    d->arg = arg;
    d->timer = evtimer_new(dr->base, on_timer, d);
    if (d->timer == NULL || addresses_get(d, o) == -1) {
        dial_cancel(d);
        return NULL;
    }
    return d;
}

struct dialer *dialer_new(struct event_base *base, struct resolve *resolve, const struct ip_own *own, struct err *e)
{
    struct dialer *dr = calloc(1, sizeof(*dr));

    if (dr == NULL) {
        err_sys(e, EX_OSERR, "dial");
        return NULL;
    }
    dr->base = base;
    dr->resolve = resolve;
    dr->own = own;
    return dr;
}

void dialer_free(struct dialer *dr)
{
    free(dr);
}
