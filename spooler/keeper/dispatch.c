/* The choice of what to send: opens the next message of a hop, asks the plan for
 * each recipient, gathers siblings of the same site, hands the flight to the
 * courier. What cannot or need not be sent goes to outcome. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/address.h"
#include "common/err.h"
#include "spooler/keeper/child.h"
#include "spooler/keeper/context.h"
#include "spooler/keeper/dispatch.h"
#include "spooler/keeper/filing.h"
#include "spooler/keeper/flight.h"
#include "spooler/keeper/outcome.h"
#include "spooler/keeper/ring.h"
#include "spooler/policy/plan.h"
#include "spooler/policy/route.h"
#include "spooler/policy/site.h"

enum {
    LOOKS = 50,                         /* names opened in vain before others have their turn */
    FORCED_GAP_S = 300,                 /* a forced run leaves alone what was tried within that */
    CHANGES = WIRE_RCPT_MAX,
    WHY_SIZE = REPLY_TEXT_MAX + 100
};

/* What the plan says of one message at one domain. */
struct sorted {
    size_t now[CHANGES], over[CHANGES];  /* recipients to try; to give up */
    size_t nnow, nover;
    bool hold;
    int64_t wait;                       /* the earliest of those that are not due */
    bool more;                          /* there are recipients beyond these */
};

static struct plan_site_word word_of(const struct keeper *k, const struct hop *h, char *text, size_t size)
{
    const struct site *site = h->ring->site;
    struct plan_site_word w = { .paused = site_paused(site, k->now.mono, NULL, NULL) };
    const char *host[WIRE_HOST_MAX];

    w.first = site_first_refusal(site);
    w.last = site_last_refusal(site, text, size);
    for (size_t i = 0; i < h->nhost; i++)
        host[i] = h->host[i].name;
    if (!w.paused && h->nhost > 0)      /* one of many tenants may be down alone */
        w.paused = site_hosts_fail(site, host, h->nhost, k->now, &w.first, &w.last);
    return w;
}

/* When the first of those still owed at D is due by the trail's word. */
static int64_t earliest_at(const struct message *m, const struct domain *d)
{
    int64_t earliest = WINDOW_NEVER;

    for (size_t i = 0; i < m->envelope.nrcpt; i++)
        if (m->of[i] == d && m->trail.rcpt[i].fate == FATE_OWED && m->trail.rcpt[i].due < earliest)
            earliest = m->trail.rcpt[i].due;
    return earliest;
}

/* Does somebody wish this name to be tried although its recipients wait? A forced
 * run took it early, or the administrator moved it to a DUE earlier than all theirs.
 * (A DUE from before the last try is no wish: the crash came before the rename;
 * but for a try in the future, whose clock was wrong.) */
static bool wished(const struct keeper *k, const struct message *m, const struct trail_rcpt *r, int64_t earliest)
{
    if (m->name.due > keeper_seconds(k))
        return r->last.ms == 0 || r->last.ms / 1000 + FORCED_GAP_S <= keeper_seconds(k);
    return earliest > m->name.due && (m->name.due > r->last.ms / 1000 || r->last.ms / 1000 > keeper_seconds(k));
}

static void sort_one(struct keeper *k, const struct message *m, size_t i, int64_t earliest, const struct plan_site_word *word, struct sorted *s)
{
    const struct trail_rcpt *r = &m->trail.rcpt[i];
    int64_t when = 0;

    switch (plan_next(k->config, r, m->name.due, m->age, word, k->opt.mode == KEEPER_ONCE, k->now, &when)) {
    case PLAN_WAIT:
        if (wished(k, m, r, earliest))
            s->now[s->nnow++] = i;
        else if (when < s->wait)
            s->wait = when;
        break;
    case PLAN_TRY:
        s->now[s->nnow++] = i;
        break;
    case PLAN_BOUNCE:
        s->over[s->nover++] = i;
        break;
    case PLAN_HOLD:
        s->hold = true;
        break;
    }
}

/* Adds what is to be done at D to S. */
static void sort(struct keeper *k, const struct message *m, const struct domain *d, const struct plan_site_word *word, size_t most, struct sorted *s)
{
    int64_t earliest = earliest_at(m, d);

    for (size_t i = 0; i < m->envelope.nrcpt; i++) {
        if (m->of[i] != d || m->trail.rcpt[i].fate != FATE_OWED)
            continue;
        if (s->nnow >= most || s->nover >= CHANGES) {
            s->more = true;
            return;
        }
        sort_one(k, m, i, earliest, word, s);
    }
}

/* The words for giving up: what was said last, to the recipient or to all. */
static void last_words(const struct keeper *k, const struct trail_rcpt *r, const char *site_word, char *out, size_t size)
{
    const char *word = r->text != NULL ? r->text : site_word;

    snprintf(out, size, "%lld hours are over%s%s", (long long)(k->config->lifetime_ms / 3600000), word[0] != '\0' ? "; the last answer was: " : "", word);
}

static void give_up(struct keeper *k, struct message *m, struct domain *d, const struct sorted *s, const char *site_word)
{
    struct speaker by = { .router = "queue", .host = "", .address = "" };
    struct change change[CHANGES];
    char (*why)[WHY_SIZE] = calloc(s->nover, sizeof *why);

    if (why == NULL) {
        queue_retry(k->queue, d, keeper_seconds(k) + 60);
        return;
    }
    for (size_t i = 0; i < s->nover; i++) {
        const struct trail_rcpt *r = &m->trail.rcpt[s->over[i]];

        last_words(k, r, site_word, why[i], sizeof why[i]);
        change[i] = (struct change){ .index = s->over[i], .to = *r, .why = why[i], .status = "4.4.7" };
        change[i].to.fate = FATE_FAILED;
    }
    outcome_settle(k, m, &d, 1, &by, change, s->nover);
    free(why);
}

/* Nothing to send, but something to decide. True: it was dealt with. */
static bool put_aside(struct keeper *k, struct message *m, struct domain *d, const struct sorted *s, const char *word)
{
    struct speaker by = { .router = "queue", .host = "", .address = "" };
    struct qname to = m->name;
    struct err err = { 0 };

    if (s->nover > 0) {
        give_up(k, m, d, s, word);
        return true;
    }
    if (s->nnow > 0)
        return false;
    if (earliest_at(m, d) == WINDOW_NEVER) {    /* a crash lay between the last line of its trail and this name's end */
        outcome_settle(k, m, &d, 1, &by, NULL, 0);
        return true;
    }
    if (s->hold) {
        outcome_hold(k, m, d, CAUSE_LOCAL, "not one server could be asked since a day after its deadline: is the network or the resolver out of order?");
        return true;
    }
    if (m->name.due > keeper_seconds(k)) {      /* a forced run took it too early */
        queue_add(k->queue, d, &m->name, keeper_seconds(k));
        return true;
    }
    to.due = s->wait;                   /* its trail knows better than its name: a crash lay between */
    if (s->wait == WINDOW_NEVER || to.due <= m->name.due)
        queue_retry(k->queue, d, keeper_seconds(k) + 60);
    else if (queue_rename(k->queue, d, SPOOL_CUR, &m->name, SPOOL_CUR, &to, &err) == 0)
        queue_add(k->queue, d, &to, keeper_seconds(k));
    return true;
}

static void unreadable(struct keeper *k, struct domain *d, const struct qname *name, const struct err *why)
{
    struct err err = { 0 };

    if (why->class == EX_NOINPUT)
        return;                         /* gone: normal */
    if (why->class == EX_DATAERR) {
        log_line(k->log, LEVEL_ERROR, "%s is not a message: %s; moved to dead/", name->id.s, why->text);
        if (queue_bury(k->queue, d, SPOOL_CUR, name, &err) == 0)
            return;
    } else
        log_line(k->log, LEVEL_ERROR, "%s cannot be read now: %s", name->id.s, why->text);
    queue_retry(k->queue, d, keeper_seconds(k) + 60);
}

/* The next message of D that is there and not in the air. */
static bool open_next(struct keeper *k, struct domain *d, struct message *m)
{
    struct err err = { 0 };
    struct qname name;

    while (window_take(d->window, &name)) {
        if (flight_of(k, &name.id, d))
            continue;
        if (record_stuck(k->record, &name.id) || filing_has(k, &name.id)) {
            queue_retry(k->queue, d, keeper_seconds(k) + 60);
            continue;
        }
        if (message_open(k, d, &name, m, &err) == 0)
            return true;
        unreadable(k, d, &name, &err);
    }
    return false;
}

/* ---- a flight ------------------------------------------------------------------ */

/* Sibling names of the same site join: equal names in the directories of other
 * recipients' domains, which the same hosts serve. */
static void gather(struct keeper *k, struct flight *f, const struct plan_site_word *word, size_t most, struct sorted *s)
{
    struct message *m = &f->msg;
    int cur = spool_fd(k->spool, SPOOL_CUR, NULL);

    k->mark++;
    f->domain[0]->mark = k->mark;
    for (size_t i = 0; m->ndomain > 1 && i < m->envelope.nrcpt && s->nnow < most && f->ndomain < CHANGES; i++) {
        struct domain *d = m->of[i];
        char path[QUEUE_PATH_SIZE];
        size_t before = s->nnow;

        if (d == NULL || d->mark == k->mark)
            continue;
        d->mark = k->mark;
        if (d->hop == NULL)
            ring_route(k, d);
        queue_path(d, &m->name, path);
        if (d->hop != f->hop || flight_of(k, &m->name.id, d) || faccessat(cur, path, F_OK, AT_SYMLINK_NOFOLLOW) == -1)
            continue;
        sort(k, m, d, word, most, s);
        if (s->nnow > before)
            f->domain[f->ndomain++] = d;
    }
}

/* As servers know it; a new string in *made_r where that is not ADDRESS itself. NULL: out of memory. */
static const char *spell(const char *address, char **made_r)
{
    char out[ADDRESS_MAX];

    *made_r = NULL;
    return route_address(address, out, sizeof out) ? *made_r = strdup(out) : address;
}

static bool send_off(struct keeper *k, struct flight *f, const char *sender, const char **rcpt)
{
    const struct envelope *e = &f->msg.envelope;
    struct wire_msg w = { .kind = WIRE_SEND };
    int fd = f->msg.fd;

    w.u.send = (struct wire_send){ .conn = f->conn->number, .flight = f->number, .sender = sender, .message_at = e->message_at,
        .disk_bytes = e->size.disk_bytes, .wire_bytes = e->size.wire_bytes, .longest_line = e->size.longest_line,
        .eight_bit = e->size.eight_bit, .say = e->say, .nrcpt = f->nrcpt, .rcpt = rcpt };
    f->msg.fd = -1;                     /* the channel's from here on */
    return child_send(k, &w, fd);
}

static bool hand_out(struct keeper *k, struct flight *f, struct sorted *s)
{
    const struct envelope *e = &f->msg.envelope;
    const char *rcpt[WIRE_RCPT_MAX], *sender;
    char *made[WIRE_RCPT_MAX + 1];
    bool ok;

    sender = spell(e->sender, &made[s->nnow]);
    ok = sender != NULL;
    for (size_t i = 0; i < s->nnow; i++) {
        f->rcpt[i] = s->now[i];
        rcpt[i] = spell(e->rcpt[s->now[i]], &made[i]);
        ok = ok && rcpt[i] != NULL;
    }
    f->nrcpt = (unsigned)s->nnow;
    f->sent = k->now.mono;
    f->sent_wall = k->now.wall;
    ok = ok && send_off(k, f, sender, rcpt);
    for (size_t i = 0; i <= s->nnow; i++)
        free(made[i]);
    return ok;
}

static bool take_off(struct keeper *k, struct conn *c, struct domain *d, struct flight *f, struct sorted *s, const struct plan_site_word *word)
{
    size_t most = site_transaction_rcpts(c->hop->ring->site);
    struct ring *r = c->hop->ring;

    f->hop = c->hop;
    f->host = c->host;
    strlcpy(f->address, c->address, sizeof f->address);
    f->domain[f->ndomain++] = d;
    gather(k, f, word, most == 0 || most > CHANGES ? CHANGES : most, s);
    if (!hand_out(k, f, s)) {
        for (size_t i = 0; i < f->ndomain; i++)
            queue_add(k->queue, f->domain[i], &f->msg.name, keeper_seconds(k));
        ring_wake(r);
        return false;
    }
    flight_add(k, f);
    if (c->flights++ == 0)
        r->load.idle--;
    c->sent++;
    r->load.flights++;
    site_sent(r->site, k->now.mono);
    return true;
}

/* A domain had its turn. */
static void rotate(struct keeper *k, struct domain *d)
{
    if (queue_hungry(d, keeper_seconds(k)))
        queue_touch(k->queue, d);
    ring_rotate(k, d);
}

/* 1: sent, 0: nothing came of this one, -1: the link does not take it. */
static int try_domain(struct keeper *k, struct conn *c, struct domain *d)
{
    struct flight *f = flight_new(k, c);
    struct sorted s = { .wait = WINDOW_NEVER };
    char text[REPLY_TEXT_MAX + 32] = "";
    struct plan_site_word word = word_of(k, c->hop, text, sizeof text);
    size_t most = site_transaction_rcpts(c->hop->ring->site);
    bool sent;

    word.paused = false;                /* we are in: what waits for the site waits no longer */
    if (f == NULL || !open_next(k, d, &f->msg)) {
        flight_free(k, f);
        return 0;
    }
    sort(k, &f->msg, d, &word, most == 0 || most > CHANGES ? CHANGES : most, &s);
    if (put_aside(k, &f->msg, d, &s, text)) {
        flight_free(k, f);
        return 0;
    }
    sent = take_off(k, c, d, f, &s, &word);
    if (!sent)
        flight_free(k, f);
    return sent ? 1 : -1;
}

bool dispatch_next(struct keeper *k, struct conn *c)
{
    struct domain *d;

    for (unsigned looks = 0; looks < LOOKS && (d = TAILQ_FIRST(&c->hop->due)) != NULL; looks++) {
        int sent = try_domain(k, c, d);

        rotate(k, d);
        if (sent != 0)
            return sent > 0;
    }
    if (!TAILQ_EMPTY(&c->hop->due))
        ring_wake(c->hop->ring);        /* others first */
    return false;
}

/* ---- without a transaction ------------------------------------------------------- */

static void refuse(struct keeper *k, struct message *m, struct domain *d)
{
    struct speaker by = { .router = "mx", .host = "", .address = "" };
    struct change change[CHANGES];
    size_t n = 0;

    for (size_t i = 0; i < m->envelope.nrcpt && n < CHANGES; i++) {
        if (m->of[i] != d || m->trail.rcpt[i].fate != FATE_OWED)
            continue;
        change[n] = (struct change){ .index = i, .to = m->trail.rcpt[i], .why = d->refused, .status = d->status };
        change[n].to.fate = FATE_FAILED;
        change[n++].to.cause = CAUSE_PERM_OTHER;
    }
    outcome_settle(k, m, &d, 1, &by, change, n);
}

void dispatch_without(struct keeper *k, struct domain *d, size_t most)
{
    struct message m;
    char why[700];

    snprintf(why, sizeof why, "no route for local mail to \"%s\": set `root` or `relay` in %s", d->name,
        k->config->path[0] != '\0' ? k->config->path : "abide.conf");
    while (most-- > 0 && open_next(k, d, &m)) {
        if (d->refused != NULL)
            refuse(k, &m, d);
        else
            outcome_hold(k, &m, d, CAUSE_NO_ROUTE, why);
        message_close(&m);
    }
    queue_touch(k->queue, d);
}

static const struct trail_rcpt *first_owed(const struct message *m, const struct domain *d)
{
    for (size_t i = 0; i < m->envelope.nrcpt; i++)
        if (m->of[i] == d && m->trail.rcpt[i].fate == FATE_OWED)
            return &m->trail.rcpt[i];
    return NULL;
}

static void attend_one(struct keeper *k, struct domain *d, struct message *m)
{
    struct sorted s = { .wait = WINDOW_NEVER };
    struct plan_site_word word = { 0 };
    char text[REPLY_TEXT_MAX + 32] = "";

    if (first_owed(m, d) == NULL)
        return;
    if (d->hop != NULL)
        word = word_of(k, d->hop, text, sizeof text);
    if (plan_warns(k->config, m->age, first_owed(m, d)->warned, m->envelope.sender[0] != '\0', first_owed(m, d), &word))
        outcome_warn(k, m, d, text);
    if (m->age.ms + LAST_CALL_MS < k->config->lifetime_ms)
        return;
    sort(k, m, d, &word, CHANGES, &s);
    if ((s.nover > 0 || s.hold) && put_aside(k, m, d, &s, text))
        queue_rescan(k->queue, d, false);       /* its name may lie in the window */
    else if (s.nnow > 0 && word.paused && site_last_call(d->hop->ring->site, false, k->now.mono))
        ring_wake(d->hop->ring);
}

void dispatch_attend(struct keeper *k, struct domain *d)
{
    struct message m;
    struct qname name;

    if (d->hop == NULL)                 /* its site's word counts, also for what nobody has tried in this run */
        (void)ring_route(k, d);
    for (unsigned looks = 0; looks < LOOKS; looks++) {
        if (!queue_attend(k->queue, d, keeper_seconds(k), &name)) {
            queue_touch(k->queue, d);   /* its timer is set anew */
            return;
        }
        if (flight_of(k, &name.id, d) || record_stuck(k->record, &name.id) || filing_has(k, &name.id) || message_open(k, d, &name, &m, NULL) == -1)
            continue;
        attend_one(k, d, &m);
        message_close(&m);
    }
    queue_touch(k->queue, d);
}
