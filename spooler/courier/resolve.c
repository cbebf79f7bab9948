/* resolve: host name to addresses. Owns what is remembered (a bounded tree, the
 * least recently used goes first) and who waits for what. Its callers are
 * answered from its own timers only, so they may do as they like in the
 * answer. Called by mx and dial. */
#include <config.h>

#include <sys/queue.h>
#include <sys/tree.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/err.h"
#include "spooler/courier/resolve.h"

enum {
    ENTRIES_MAX = 2048,
    TEMP_TTL_S = 30,                    /* a failure is not asked again at once */
    GRACE_MS = 2000                     /* for the second family, once the first has addresses */
};

struct resolve_query;

/* What is known of one name and type, or is being asked. */
struct entry {
    RB_ENTRY(entry) node;
    TAILQ_ENTRY(entry) age;
    struct resolve *resolve;
    char name[ANSWER_NAME_SIZE];
    sa_family_t family;
    struct dns_query *asking;
    bool forget;                        /* the answer under way is not worth keeping */
    struct mono expires;
    enum dns_status status;
    const char *why;
    struct answer_ip found;
    TAILQ_HEAD(, part) waiters;
};

/* One family of a query. */
struct part {
    TAILQ_ENTRY(part) waiter;
    struct resolve_query *query;
    struct entry *entry;                /* waits for it; NULL: does not */
    enum dns_status status;
    const char *why;
    struct answer_ip found;
};

struct resolve_query {
    struct resolve *resolve;
    struct part part[2];                /* IPv6, IPv4 */
    unsigned waiting;
    struct event *timer;
    struct mono begun, deadline;
    resolve_fn *fn;
    void *arg;
};

RB_HEAD(entry_tree, entry);

struct resolve {
    struct event_base *base;
    struct dns *dns;
    struct entry_tree tree;
    TAILQ_HEAD(, entry) ages;           /* least recently used first */
    unsigned nentry;
};

static int entry_cmp(const struct entry *a, const struct entry *b)
{
    return a->family != b->family ? (a->family < b->family ? -1 : 1) : strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(entry_tree, entry, node, entry_cmp, static __attribute__((unused)))

static void entry_free(struct entry *en)
{
    RB_REMOVE(entry_tree, &en->resolve->tree, en);
    TAILQ_REMOVE(&en->resolve->ages, en, age);
    en->resolve->nentry--;
    dns_cancel(en->asking);
    free(en);
}

/* Those somebody waits for are spared; their number is that of the askers. */
static void entries_trim(struct resolve *h, unsigned max)
{
    struct entry *en, *next;

    TAILQ_FOREACH_SAFE(en, &h->ages, age, next) {
        if (h->nentry <= max)
            return;
        if (en->asking == NULL)
            entry_free(en);
    }
}

static struct entry *entry_get(struct resolve *h, const char *name, sa_family_t family)
{
    struct entry *en, key = { .family = family };

    strlcpy(key.name, name, sizeof(key.name));
    if ((en = RB_FIND(entry_tree, &h->tree, &key)) != NULL) {
        TAILQ_REMOVE(&h->ages, en, age);
        TAILQ_INSERT_TAIL(&h->ages, en, age);
        return en;
    }
    entries_trim(h, ENTRIES_MAX - 1);
    if ((en = calloc(1, sizeof(*en))) == NULL)
        return NULL;
    en->resolve = h;
    en->family = family;
    strlcpy(en->name, name, sizeof(en->name));
    TAILQ_INIT(&en->waiters);
    RB_INSERT(entry_tree, &h->tree, en);
    TAILQ_INSERT_TAIL(&h->ages, en, age);
    h->nentry++;
    return en;
}

static void timer_set(struct resolve_query *q, int64_t ms)
{
    struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000 };

    event_add(q->timer, &tv);
}

static void part_take(struct part *p, const struct entry *en)
{
    p->status = en->status;
    p->why = en->why;
    p->found = en->found;
}

/* P has its answer: the query is told by its timer, now or a little later. */
static void part_answer(struct part *p)
{
    struct resolve_query *q = p->query;
    struct entry *en = p->entry;
    int64_t left_ms = q->deadline.ms - clock_now().mono.ms;

    TAILQ_REMOVE(&en->waiters, p, waiter);
    part_take(p, en);
    p->entry = NULL;
    if (--q->waiting == 0)
        timer_set(q, 0);
    else if (p->found.nip > 0 && left_ms > GRACE_MS)
        timer_set(q, GRACE_MS);
}

static void entry_learn(struct entry *en, const struct dns_answer *a)
{
    en->status = a->status;
    en->why = a->why;
    memset(&en->found, 0, sizeof(en->found));
    if (a->status == DNS_OK && answer_ip(a->msg, a->len, en->name, en->family, &en->found) == -1) {
        en->status = DNS_TEMP;
        en->why = "the DNS answer is malformed";
    } else if (a->status == DNS_OK && en->found.nip == 0) {
        en->status = DNS_NO_DATA;
        en->why = "no usable address";
    }
    if (en->status == DNS_TEMP)
        en->found = (struct answer_ip){ .ttl_s = TEMP_TTL_S };
    else if (en->status == DNS_NO_DATA || en->status == DNS_NO_DOMAIN)
        en->found.ttl_s = a->msg != NULL ? answer_negative_ttl_s(a->msg, a->len) : ANSWER_TTL_MIN_S;
}

static void on_dns(void *arg, const struct dns_answer *a)
{
    struct entry *en = arg;
    struct part *p;

    en->asking = NULL;
    entry_learn(en, a);
    en->expires.ms = en->forget ? 0 : clock_now().mono.ms + (int64_t)en->found.ttl_s * 1000;
    while ((p = TAILQ_FIRST(&en->waiters)) != NULL)
        part_answer(p);
}

static void query_free(struct resolve_query *q)
{
    for (unsigned i = 0; i < 2; i++)
        if (q->part[i].entry != NULL)
            TAILQ_REMOVE(&q->part[i].entry->waiters, &q->part[i], waiter);
    if (q->timer != NULL)
        event_free(q->timer);
    free(q);
}

/* The better answer of two, when neither has addresses: what may still change
 * outweighs what is settled. */
static void found_status(struct resolve_found *f, const struct part *p)
{
    static const int weight[] = { [DNS_OK] = 0, [DNS_NO_DATA] = 1, [DNS_NO_DOMAIN] = 2, [DNS_TEMP] = 3, [DNS_LOCAL] = 4 };

    if (weight[p->status] > weight[f->status]) {
        f->status = p->status;
        f->why = p->why;
    }
}

static void found_add(struct resolve_found *f, const struct part *p)
{
    found_status(f, p);
    for (unsigned i = 0; i < p->found.nip; i++)
        f->ip[f->nip++] = p->found.ip[i];
    if (p->found.nip > 0 && p->found.ttl_s < f->ttl_s)
        f->ttl_s = p->found.ttl_s;
}

/* P is still being asked. */
static void part_give_up(struct part *p)
{
    bool heard = dns_heard(p->query->resolve->dns, p->query->begun);

    p->status = heard ? DNS_TEMP : DNS_LOCAL;
    p->why = heard ? "the DNS servers have no answer in time" : "no DNS server answers";
}

static void on_query_timer(evutil_socket_t fd, short what, void *arg)
{
    struct resolve_query *q = arg;
    struct resolve_found f = { .status = DNS_OK, .why = "", .ttl_s = ANSWER_TTL_MAX_S };
    resolve_fn *fn = q->fn;

    (void)fd;
    (void)what;
    for (unsigned i = 0; i < 2; i++) {
        if (q->part[i].entry != NULL)
            part_give_up(&q->part[i]);
        found_add(&f, &q->part[i]);
    }
    if (f.nip > 0) {
        f.status = DNS_OK;
        f.why = "";
    } else {
        f.ttl_s = ANSWER_TTL_MIN_S;
    }
    arg = q->arg;
    query_free(q);
    fn(arg, &f);
}

static int part_begin(struct resolve_query *q, struct part *p, const char *name, sa_family_t family)
{
    struct entry *en = entry_get(q->resolve, name, family);

    if (en == NULL)
        return -1;
    p->query = q;
    if (en->asking == NULL && en->expires.ms > clock_now().mono.ms) {
        part_take(p, en);
        return 0;
    }
    en->forget = en->forget && en->asking != NULL;
    if (en->asking == NULL && (en->asking = dns_ask(q->resolve->dns, en->name, family == AF_INET ? DNS_A : DNS_AAAA, on_dns, en)) == NULL)
        return -1;
    p->entry = en;
    TAILQ_INSERT_TAIL(&en->waiters, p, waiter);
    q->waiting++;
    return 0;
}

struct resolve_query *resolve_find(struct resolve *h, const char *name, enum ip_family family, uint32_t wait_ms, resolve_fn *fn, void *arg)
{
    struct resolve_query *q = calloc(1, sizeof(*q));

    if (q == NULL)
        return NULL;
    q->resolve = h;
    q->fn = fn;
    q->arg = arg;
    q->begun = clock_now().mono;
    q->deadline.ms = q->begun.ms + wait_ms;
    q->timer = evtimer_new(h->base, on_query_timer, q);
    if (q->timer == NULL || (family != IP_4 && part_begin(q, &q->part[0], name, AF_INET6) == -1)
        || (family != IP_6 && part_begin(q, &q->part[1], name, AF_INET) == -1)) {
        query_free(q);
        return NULL;
    }
    timer_set(q, q->waiting > 0 ? wait_ms : 0);
    return q;
}

void resolve_cancel(struct resolve_query *q)
{
    if (q != NULL)
        query_free(q);
}

void resolve_forget(struct resolve *h)
{
    struct entry *en, *next;

    TAILQ_FOREACH_SAFE(en, &h->ages, age, next) {
        en->forget = true;
        if (en->asking == NULL)
            entry_free(en);
    }
}

struct resolve *resolve_new(struct event_base *base, struct dns *dns, struct err *e)
{
    struct resolve *h = calloc(1, sizeof(*h));

    if (h == NULL) {
        err_sys(e, EX_OSERR, "resolve");
        return NULL;
    }
    h->base = base;
    h->dns = dns;
    RB_INIT(&h->tree);
    TAILQ_INIT(&h->ages);
    return h;
}

void resolve_free(struct resolve *h)
{
    struct entry *en;

    if (h == NULL)
        return;
    while ((en = TAILQ_FIRST(&h->ages)) != NULL)
        entry_free(en);
    free(h);
}
