/* What a settled, failed or deferred recipient means on disk, in the log and for
 * the sender. Called by dispatch and requests; the only place that removes,
 * renames or buries a queue name. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "spooler/keeper/bounce.h"
#include "spooler/keeper/context.h"
#include "spooler/keeper/flight.h"
#include "spooler/keeper/outcome.h"
#include "spooler/keeper/ring.h"
#include "spooler/policy/judge.h"
#include "spooler/policy/route.h"

enum { TRAIL_LINES_MAX = 4 * 1024 * 1024, RETRY_S = 300 };

/* ---- the log's line ------------------------------------------------------------ */

static void log_change(struct keeper *k, const struct message *m, const struct speaker *by, const struct change *c, bool first)
{
    const char *id = m->name.id.s, *rcpt = m->envelope.rcpt[c->index];
    char stamp[CLOCK_STAMP_SIZE], who[400] = "";

    if (by->host[0] != '\0')
        snprintf(who, sizeof who, " H=%s%s%s%s", by->host, by->address[0] != '\0' ? " [" : "", by->address, by->address[0] != '\0' ? "]" : "");
    if (c->to.fate == FATE_DELIVERED)
        log_line(k->log, LEVEL_INFO, "%s %s %s R=%s T=smtp%s C=\"%s\"", id, first ? "=>" : "->", rcpt, by->router, who, c->why);
    else if (c->to.fate == FATE_FAILED)
        log_line(k->log, LEVEL_INFO, "%s ** %s R=%s T=smtp%s: %s", id, rcpt, by->router, who, c->why);
    else {
        clock_stamp((struct wall){ c->to.due * 1000 }, stamp);
        log_line(k->log, LEVEL_INFO, "%s == %s R=%s T=smtp defer (0)%s: %s; cause %s, next try %s", id, rcpt, by->router, who, c->why,
            cause_name(c->to.cause), stamp);
    }
}

static void log_changes(struct keeper *k, const struct message *m, const struct speaker *by, const struct change *c, size_t n)
{
    bool first = true;

    for (size_t i = 0; i < n; i++) {
        log_change(k, m, by, &c[i], first);
        first = first && c[i].to.fate != FATE_DELIVERED;
    }
}

/* ---- reports ------------------------------------------------------------------- */

/* A report needs the text; a message in flight has its file with the courier. */
static int reopen(struct keeper *k, struct message *m, struct domain *d)
{
    struct message again;

    if (m->fd != -1)
        return 0;
    if (message_open(k, d, &m->name, &again, NULL) == -1)
        return -1;
    m->fd = again.fd;
    again.fd = -1;
    message_close(&again);
    return 0;
}

static size_t failures(const struct change *c, size_t n)
{
    size_t failed = 0;

    for (size_t i = 0; i < n; i++)
        failed += c[i].to.fate == FATE_FAILED;
    return failed;
}

/* Tells the sender. 0: done, or nothing to tell. -1: the failure may not be
 * recorded yet. */
static int report(struct keeper *k, struct message *m, struct domain *d, const struct speaker *by, const struct change *c, size_t n)
{
    struct bounce b = { .kind = BOUNCE_FAILED, .id = &m->name.id, .envelope = &m->envelope };
    struct bounce_rcpt *rcpt;
    struct msgid id;
    struct err err = { 0 };
    int rc;

    if (failures(c, n) == 0 || m->envelope.sender[0] == '\0')
        return 0;
    if ((rcpt = calloc(n, sizeof *rcpt)) == NULL || reopen(k, m, d) == -1) {
        free(rcpt);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        if (c[i].to.fate == FATE_FAILED)
            rcpt[b.nrcpt++] = (struct bounce_rcpt){ .address = m->envelope.rcpt[c[i].index], .status = c[i].status, .host = by->host,
                .diagnostic = c[i].why, .from_remote = c[i].remote, .last_attempt = c[i].to.last };
    b.fd = m->fd;
    b.rcpt = rcpt;
    rc = bounce_send(k->spool, k->config, &k->identity, &b, k->now, &id, &err);
    free(rcpt);
    if (rc == -1) {
        log_line(k->log, LEVEL_ERROR, "%s the report to <%s> cannot be written: %s", m->name.id.s, m->envelope.sender, err.text);
        return -1;
    }
    k->look_new = true;
    return 0;
}

/* Does recipient I wait at D, or under the same name elsewhere (one site, one word)? */
static bool waits_with(struct keeper *k, const struct message *m, size_t i, const struct domain *d)
{
    char path[QUEUE_PATH_SIZE];

    if (m->of[i] == NULL || m->trail.rcpt[i].fate != FATE_OWED || m->trail.rcpt[i].warned)
        return false;
    if (m->of[i] == d)
        return true;
    queue_path(m->of[i], &m->name, path);
    return m->of[i]->hop == d->hop && faccessat(spool_fd(k->spool, SPOOL_CUR, NULL), path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void outcome_warn(struct keeper *k, struct message *m, struct domain *d, const char *why)
{
    struct bounce b = { .kind = BOUNCE_DELAYED, .id = &m->name.id, .envelope = &m->envelope, .fd = m->fd };
    struct bounce_rcpt *rcpt = calloc(m->envelope.nrcpt, sizeof *rcpt);
    struct buf lines = BUF_INIT(TRAIL_LINES_MAX);
    struct err err = { 0 };
    struct msgid id;

    for (size_t i = 0; rcpt != NULL && i < m->envelope.nrcpt; i++) {
        const struct trail_rcpt *r = &m->trail.rcpt[i];

        if (!waits_with(k, m, i, d))
            continue;
        rcpt[b.nrcpt++] = (struct bounce_rcpt){ .address = m->envelope.rcpt[i], .status = "", .host = r->host,
            .diagnostic = r->text != NULL ? r->text : why, .from_remote = r->text != NULL, .last_attempt = r->last };
        trail_print_warned(&lines, k->now.wall, i);
    }
    b.rcpt = rcpt;
    b.give_up = (struct wall){ k->now.wall.ms - m->age.ms + k->config->lifetime_ms };
    if (rcpt == NULL || bounce_send(k->spool, k->config, &k->identity, &b, k->now, &id, &err) == -1)
        log_line(k->log, LEVEL_ERROR, "%s the warning to <%s> cannot be written: %s", m->name.id.s, m->envelope.sender, err.text);
    else {
        /* A lost line costs a second warning, a line for a lost warning none at all: the report first. */
        record_trail(k->record, &m->name.id, m->envelope.uid, lines.data, lines.len, true);
        k->look_new = true;
        log_line(k->log, LEVEL_INFO, "%s delay warning to <%s> is %s", m->name.id.s, m->envelope.sender, id.s);
    }
    buf_fini(&lines);
    free(rcpt);
}

/* ---- names ------------------------------------------------------------------------ */

static bool owed_at(const struct message *m, const struct domain *d)
{
    for (size_t i = 0; i < m->envelope.nrcpt; i++)
        if (m->of[i] == d && m->trail.rcpt[i].fate == FATE_OWED)
            return true;
    return false;
}

/* The name for what is still owed at D: whoever is due first. */
static struct qname next_name(const struct message *m, const struct domain *d)
{
    struct qname name = m->name;
    int64_t best = WINDOW_NEVER;

    for (size_t i = 0; i < m->envelope.nrcpt; i++) {
        const struct trail_rcpt *r = &m->trail.rcpt[i];
        int64_t due = r->due != 0 ? r->due : m->name.due;

        if (m->of[i] != d || r->fate != FATE_OWED || due >= best)
            continue;
        best = name.due = due;
        name.letter = r->due != 0 ? cause_letter(r->cause) : m->name.letter;
    }
    return name;
}

/* True if this is the message's last name. */
static bool last_name(struct keeper *k, const struct message *m, const struct domain *d)
{
    char path[QUEUE_PATH_SIZE];
    struct stat st;
    int dir = spool_fd(k->spool, SPOOL_CUR, NULL);

    if (m->ndomain <= 1)
        return true;
    queue_path(d, &m->name, path);
    /* A copy (see filing) has no sisters to be counted: its trail is swept one day. */
    return dir != -1 && fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_nlink == 1 && (st.st_mode & S_IWGRP) != 0;
}

static int take_away(struct keeper *k, const struct domain *d, enum spool_dir where, const struct qname *name, bool bury, struct err *err)
{
    return bury ? queue_bury(k->queue, d, where, name, err) : queue_remove(k->queue, d, where, name, err);
}

/* The domain is settled: its name goes. True if the message is complete. */
static bool settle_name(struct keeper *k, struct message *m, struct domain *d, bool bury)
{
    struct err err = { 0 };
    bool last = last_name(k, m, d);
    enum spool_dir where;
    struct qname name;

    if (take_away(k, d, SPOOL_CUR, &m->name, bury, &err) == 0)
        return last;
    if (err.class == EX_NOINPUT && queue_locate(k->queue, d, &m->name, &where, &name))     /* moved by somebody meanwhile */
        return take_away(k, d, where, &name, bury, &err) == 0 && m->ndomain <= 1;
    if (err.class != EX_NOINPUT) {
        log_line(k->log, LEVEL_ERROR, "%s %s; it may be sent again", m->name.id.s, err.text);
        queue_retry(k->queue, d, keeper_seconds(k) + 60);
    }
    return false;
}

static void move_name(struct keeper *k, const struct message *m, struct domain *d)
{
    struct qname to = next_name(m, d);
    struct err err = { 0 };

    if (to.due == m->name.due && to.letter == m->name.letter)
        queue_add(k->queue, d, &to, keeper_seconds(k));
    else if (queue_rename(k->queue, d, SPOOL_CUR, &m->name, SPOOL_CUR, &to, &err) == 0)
        queue_add(k->queue, d, &to, keeper_seconds(k));
    else if (err.class != EX_NOINPUT) {
        log_line(k->log, LEVEL_ERROR, "%s %s", m->name.id.s, err.text);
        queue_retry(k->queue, d, keeper_seconds(k) + 60);
    }                                   /* moved by somebody: its new name is the truth, and he tells us */
}

/* A report that failed is kept: nobody else would hear of it. */
static bool to_be_kept(const struct message *m, const struct domain *d)
{
    for (size_t i = 0; m->envelope.sender[0] == '\0' && i < m->envelope.nrcpt; i++)
        if (m->trail.rcpt[i].fate == FATE_FAILED && m->of[i] == d)
            return true;
    return false;
}

/* Failures nobody could be told of: they are tried again, what else happened stands. */
static void postpone(const struct keeper *k, const struct message *m, struct change *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (c[i].to.fate == FATE_FAILED) {
            c[i].to = m->trail.rcpt[c[i].index];
            c[i].to.due = keeper_seconds(k) + RETRY_S;
        }
}

/* ---- all of it --------------------------------------------------------------------- */

/* The lines that must outlive this moment: of recipients whose domain still owes
 * somebody, and all of them where the caller watches (-v). */
static bool write_trail(struct keeper *k, struct message *m, const struct change *c, size_t n)
{
    struct buf lines = BUF_INIT(TRAIL_LINES_MAX);
    bool sync = false, ok = true;

    for (size_t i = 0; i < n; i++) {
        if (!m->envelope.say && !owed_at(m, m->of[c[i].index]))
            continue;
        trail_print_rcpt(&lines, k->now.wall, c[i].index, &c[i].to, c[i].why);
        sync = sync || c[i].to.fate != FATE_OWED;
    }
    if (lines.len > 0) {
        ok = record_trail(k->record, &m->name.id, m->envelope.uid, lines.data, lines.len, sync);
        m->has_trail = true;
    }
    buf_fini(&lines);
    return ok;
}

void outcome_settle(struct keeper *k, struct message *m, struct domain *const *domain, size_t ndomain,
    const struct speaker *by, struct change *c, size_t n)
{
    bool complete = false;

    if (report(k, m, domain[0], by, c, n) == -1)
        postpone(k, m, c, n);
    log_changes(k, m, by, c, n);
    for (size_t i = 0; i < n; i++)
        m->trail.rcpt[c[i].index] = c[i].to;
    write_trail(k, m, c, n);
    for (size_t i = 0; i < ndomain; i++) {
        if (owed_at(m, domain[i]))
            move_name(k, m, domain[i]);
        else if (settle_name(k, m, domain[i], to_be_kept(m, domain[i])))
            complete = true;
    }
    record_count(k->record);
    if (!complete)
        return;
    log_line(k->log, LEVEL_INFO, "%s Completed", m->name.id.s);
    if (m->has_trail || m->ndomain > 1)
        record_forget(k->record, &m->name.id, m->envelope.uid);
}

void outcome_hold(struct keeper *k, struct message *m, struct domain *d, enum cause cause, const char *why)
{
    struct qname to = m->name;
    struct err err = { 0 };

    to.letter = cause_letter(cause);
    if (queue_rename(k->queue, d, SPOOL_CUR, &m->name, SPOOL_HOLD, &to, &err) == 0)
        log_line(k->log, LEVEL_WARN, "%s *** Frozen: %s", m->name.id.s, why);
    else if (err.class != EX_NOINPUT) {
        log_line(k->log, LEVEL_ERROR, "%s %s", m->name.id.s, err.text);
        queue_retry(k->queue, d, keeper_seconds(k) + 60);
    }
}

/* ---- flights ------------------------------------------------------------------------- */

void outcome_told(struct keeper *k, struct flight *f, const struct wire_rcpt *w)
{
    (void)k;
    for (unsigned i = 0; i < f->nrcpt; i++) {
        if (w->index == WIRE_ALL ? f->told[i].told : w->index != i)
            continue;
        if (f->told[i].reply == NULL && (f->told[i].reply = malloc(sizeof w->reply)) == NULL)
            continue;                   /* not told, then: it is tried again */
        *f->told[i].reply = w->reply;
        f->told[i].phase = w->phase;
        f->told[i].told = true;
    }
}

/* A flight's story while it is decided. */
struct result {
    struct change change[WIRE_RCPT_MAX];
    char words[WIRE_RCPT_MAX][REPLY_TEXT_MAX + 32];
    size_t n;
    bool accepted;                      /* somebody was delivered to */
    bool blamed;                        /* the site was told of its trouble */
    enum { UNKNOWN, YES, NO } spared;
    uint32_t random;                    /* one for all: those deferred alike stay together */
};

static const struct verdict lost = { .cause = CAUSE_UNREACHABLE, .scope = SCOPE_MESSAGE, .hint_ms = -1, .rule = "cut again and again" };
static const struct verdict doubt = { .cause = CAUSE_IN_DOUBT, .scope = SCOPE_MESSAGE, .hint_ms = -1, .rule = "in doubt" };

static unsigned deliveries(const struct flight *f)
{
    unsigned n = 0;

    for (unsigned i = 0; i < f->nrcpt; i++)
        n += f->told[i].told && f->told[i].reply->code < 300;
    return n;
}

static struct change *change_for(struct flight *f, struct result *r, unsigned i, const char *words)
{
    struct change *c = &r->change[r->n];

    *c = (struct change){ .index = f->rcpt[i], .to = f->msg.trail.rcpt[f->rcpt[i]], .status = "" };
    strlcpy(r->words[r->n], words, sizeof r->words[r->n]);
    c->why = r->words[r->n++];
    return c;
}

static void defer(struct keeper *k, struct flight *f, struct result *r, unsigned i, const struct verdict *v, const char *words, bool remote)
{
    struct change *c = change_for(f, r, i, words);
    const struct site *site = f->hop->ring->site;

    if (v->cause == CAUSE_GREYLISTED && c->to.grey.ms != 0)
        site_greylisted(f->hop->ring->site, f->sent_wall.ms - c->to.grey.ms, false);
    plan_defer(k->config, site, v, f->host, f->msg.age, f->sent_wall, k->now, r->random, &c->to);
    c->remote = remote;
}

static void blame(struct keeper *k, struct flight *f, struct result *r, const struct verdict *v, const char *words)
{
    struct ring *ring = f->hop->ring;
    unsigned accepted = v->cause == CAUSE_TOO_MANY_RECIPIENTS ? deliveries(f) : f->conn != NULL ? f->conn->accepted : 0;

    if (r->blamed)
        return;
    r->blamed = true;
    site_said(ring->site, words);
    site_refused(ring->site, v, f->host, accepted, f->sent, &ring->load, k->now.wall, k->now.mono);
    log_line(k->log, LEVEL_INFO, "site=%s host=%s cause=%s rule=\"%s\" reply=\"%s\"", site_name(ring->site), f->host, cause_name(v->cause), v->rule, words);
}

static void delivered(struct flight *f, struct result *r, unsigned i, const char *words)
{
    struct change *c = change_for(f, r, i, words);

    if (c->to.grey.ms != 0)
        site_greylisted(f->hop->ring->site, f->sent_wall.ms - c->to.grey.ms, true);
    c->to.fate = FATE_DELIVERED;
    r->accepted = true;
}

static void failed(struct keeper *k, struct flight *f, struct result *r, unsigned i, const struct verdict *v, const struct told *t, const char *words)
{
    struct change *c = change_for(f, r, i, words);

    c->to.fate = FATE_FAILED;
    c->to.cause = v->cause;
    c->to.last = k->now.wall;
    c->remote = t->phase != PHASE_BODY;
    c->status = t->reply->enh;
}

/* May a refusal that blames the site leave this message as it was? Not for ever,
 * unless the transaction got somebody further. */
static bool spared(struct keeper *k, const struct flight *f, struct result *r)
{
    if (r->spared == UNKNOWN)
        r->spared = deliveries(f) > 0 || flight_cut(k, &f->msg.name.id, true) <= 3 ? YES : NO;
    return r->spared == YES;
}

static void judge_one(struct keeper *k, struct flight *f, struct result *r, unsigned i)
{
    const struct told *t = &f->told[i];
    char words[REPLY_TEXT_MAX + 32];
    struct verdict v;

    reply_format(t->reply, words, sizeof words);
    if (t->reply->code < 300) {
        delivered(f, r, i, words);
        return;
    }
    judge_reply(t->reply, t->phase, site_provider(f->hop->ring->site), k->now.wall, &v);
    site_review(f->hop->ring->site, &v, k->now.mono);
    if (v.cause == CAUSE_TOO_MANY_RECIPIENTS || judge_blames_site(&v))
        blame(k, f, r, &v, words);
    if (t->reply->code >= 500 && v.final)
        failed(k, f, r, i, &v, t, words);
    else if (!(judge_blames_site(&v) || v.cause == CAUSE_TOO_MANY_RECIPIENTS) || !spared(k, f, r))
        defer(k, f, r, i, &v, words, true);
}

bool outcome_all_told(const struct flight *f)
{
    for (unsigned i = 0; i < f->nrcpt; i++)
        if (!f->told[i].told)
            return false;
    return true;
}

static bool told_by(const struct flight *f)
{
    for (unsigned i = 0; i < f->nrcpt; i++)
        if (f->told[i].told)
            return true;
    return false;
}

/* The flight at hand when a connection broke without a word: a few times that is
 * the connection's fault, then perhaps the message's. */
static bool charged(struct keeper *k, struct flight *f, enum wire_ended ended)
{
    if (ended != ENDED_NOT_SENT || f->conn == NULL || f->conn->cut)
        return false;
    f->conn->cut = true;
    return !told_by(f) && flight_cut(k, &f->msg.name.id, true) >= 3;
}

static void decide(struct keeper *k, struct flight *f, enum wire_ended ended, struct result *r)
{
    bool charge = charged(k, f, ended);

    for (unsigned i = 0; i < f->nrcpt; i++) {
        if (f->told[i].told)
            judge_one(k, f, r, i);
        else if (ended == ENDED_IN_DOUBT)
            defer(k, f, r, i, &doubt, "the connection broke after the message was sent and before it was answered; it may have arrived", false);
        else if (charge)
            defer(k, f, r, i, &lost, "the connection broke three times during this message", false);
    }
}

void outcome_done(struct keeper *k, struct flight *f, enum wire_ended ended)
{
    struct result r;                    /* large: not cleared as a whole */
    struct ring *ring = f->hop->ring;
    struct speaker by = { .router = f->hop->relay ? "relay" : "mx", .host = f->host, .address = f->address };

    r.n = 0;
    r.accepted = r.blamed = false;
    r.spared = UNKNOWN;
    r.random = keeper_random(k);
    decide(k, f, ended, &r);
    if (r.accepted) {
        site_accepted(ring->site, &ring->load, k->now.mono);
        if (f->conn != NULL)
            f->conn->accepted++;
        k->courier_deaths = 0;
    } else if (ended == ENDED_ANSWERED && !r.blamed)
        site_answered(ring->site);
    /* Without a change the names are as they were: back to the window. */
    outcome_settle(k, &f->msg, f->domain, f->ndomain, &by, r.change, r.n);
    flight_free(k, f);
    ring_wake(ring);
}
