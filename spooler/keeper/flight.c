/* Messages opened for a decision, and flights. Owns the set of flights and the
 * short memory of transactions that were cut. Decides nothing. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "spooler/keeper/context.h"
#include "spooler/keeper/flight.h"
#include "spooler/policy/route.h"

enum { BUCKETS = 512, CUTS = 1024 };

LIST_HEAD(flight_list, flight);

struct cut { char id[MSGID_LEN]; unsigned times; };

struct flights {
    struct flight_list number[BUCKETS], id[BUCKETS];
    TAILQ_HEAD(, flight) all;
    uint32_t next;
    struct cut cut[CUTS];               /* a ring, the oldest gives way */
    unsigned cut_at;
};

struct flights *flights_new(void)
{
    struct flights *f = calloc(1, sizeof *f);

    if (f == NULL)
        return NULL;
    for (unsigned i = 0; i < BUCKETS; i++) {
        LIST_INIT(&f->number[i]);
        LIST_INIT(&f->id[i]);
    }
    TAILQ_INIT(&f->all);
    return f;
}

void flights_free(struct flights *f)
{
    free(f);
}

/* ---- messages ---------------------------------------------------------------- */

static struct plan_age age_of(const struct keeper *k, const struct envelope *e)
{
    int64_t mono = k->now.mono.ms - e->accepted_mono.ms, wall = k->now.wall.ms - e->accepted.ms;

    /* Within one boot the boot clock tells, whatever was done to the wall clock. */
    if (e->boot[0] != '-' && strcmp(e->boot, k->boot) == 0 && mono >= 0)
        return (struct plan_age){ mono };
    return (struct plan_age){ wall > 0 ? wall : 0 };
}

static int find_domains(struct keeper *k, struct message *m, struct err *err)
{
    m->of = calloc(m->envelope.nrcpt, sizeof *m->of);
    if (m->of == NULL)
        return err_sys(err, EX_OSERR, "recipients of %s", m->name.id.s);
    k->mark++;
    for (size_t i = 0; i < m->envelope.nrcpt; i++) {
        char name[ROUTE_DOMAIN_MAX];

        if (i > 0 && m->of[i - 1] != NULL && route_domain(m->envelope.rcpt[i], name, NULL) == 0 && strcmp(m->of[i - 1]->name, name) == 0) {
            m->of[i] = m->of[i - 1];    /* the usual case, cheaply */
            continue;
        }
        if (route_domain(m->envelope.rcpt[i], name, NULL) == -1)
            continue;
        if ((m->of[i] = queue_domain(k->queue, name, err)) == NULL)
            return -1;
        m->ndomain += m->of[i]->mark != k->mark;
        m->of[i]->mark = k->mark;
    }
    return 0;
}

static int read_trail(struct keeper *k, struct message *m, struct err *err)
{
    struct buf lines = BUF_INIT(SPOOL_TRAIL_MAX);
    int rc = spool_read_trail(k->spool, &m->name.id, m->envelope.uid, &lines, err);

    m->has_trail = lines.len > 0;
    if (rc == 0)
        rc = trail_parse(lines.data, lines.len, m->envelope.nrcpt, &m->trail, err);
    buf_fini(&lines);
    return rc;
}

int message_open(struct keeper *k, struct domain *d, const struct qname *name, struct message *m, struct err *err)
{
    char path[QUEUE_PATH_SIZE];
    int dir = spool_fd(k->spool, SPOOL_CUR, err);

    *m = (struct message){ .fd = -1, .name = *name };
    if (dir == -1)
        return -1;
    queue_path(d, name, path);
    m->fd = spool_read(k->spool, dir, path, &m->envelope, &m->bytes, err);
    if (m->fd == -1)
        return -1;
    m->age = age_of(k, &m->envelope);
    if (find_domains(k, m, err) == -1 || read_trail(k, m, err) == -1) {
        message_close(m);
        return -1;
    }
    return 0;
}

void message_close(struct message *m)
{
    if (m->fd > 0)
        close(m->fd);
    envelope_fini(&m->envelope);
    trail_fini(&m->trail);
    free(m->of);
    *m = (struct message){ .fd = -1 };
}

/* ---- flights ------------------------------------------------------------------ */

static unsigned hash_id(const struct msgid *id)
{
    unsigned h = 5381;

    for (const char *p = id->s + 6; *p != '\0'; p++)    /* the random part */
        h = h * 33 ^ (unsigned char)*p;
    return h % BUCKETS;
}

struct flight *flight_new(struct keeper *k, struct conn *c)
{
    struct flight *f = calloc(1, sizeof *f);

    if (f == NULL)
        return NULL;
    f->number = ++k->flights->next;
    f->conn = c;
    f->msg.fd = -1;
    return f;
}

void flight_add(struct keeper *k, struct flight *f)
{
    LIST_INSERT_HEAD(&k->flights->number[f->number % BUCKETS], f, by_number);
    LIST_INSERT_HEAD(&k->flights->id[hash_id(&f->msg.name.id)], f, by_id);
    TAILQ_INSERT_TAIL(&k->flights->all, f, link);
}

void flight_free(struct keeper *k, struct flight *f)
{
    if (f == NULL)
        return;
    if (f->link.tqe_prev != NULL) {
        LIST_REMOVE(f, by_number);
        LIST_REMOVE(f, by_id);
        TAILQ_REMOVE(&k->flights->all, f, link);
    }
    for (unsigned i = 0; i < f->nrcpt; i++)
        free(f->told[i].reply);
    message_close(&f->msg);
    free(f);
}

struct flight *flight_find(struct keeper *k, uint32_t number)
{
    struct flight *f;

    LIST_FOREACH(f, &k->flights->number[number % BUCKETS], by_number)
        if (f->number == number)
            return f;
    return NULL;
}

bool flight_of(struct keeper *k, const struct msgid *id, const struct domain *d)
{
    struct flight *f;

    LIST_FOREACH(f, &k->flights->id[hash_id(id)], by_id) {
        if (memcmp(f->msg.name.id.s, id->s, MSGID_LEN) != 0)
            continue;
        for (size_t i = 0; i < f->ndomain; i++)
            if (f->domain[i] == d)
                return true;
    }
    return false;
}

struct flight *flight_first(struct keeper *k)
{
    return TAILQ_FIRST(&k->flights->all);
}

unsigned flight_cut(struct keeper *k, const struct msgid *id, bool count)
{
    struct flights *f = k->flights;
    struct cut *c;

    for (unsigned i = 0; i < CUTS; i++)
        if (memcmp(f->cut[i].id, id->s, MSGID_LEN) == 0)
            return count ? ++f->cut[i].times : f->cut[i].times;
    if (!count)
        return 0;
    c = &f->cut[f->cut_at++ % CUTS];
    memcpy(c->id, id->s, MSGID_LEN);
    return c->times = 1;
}
