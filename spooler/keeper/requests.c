/* The courier's reports, checked and acted on. Believes outcomes only for
 * flights it handed out, connections only of those it dialled, in order. */
#include <config.h>

#include <string.h>

#include "common/buf.h"
#include "common/err.h"
#include "spooler/keeper/context.h"
#include "spooler/keeper/flight.h"
#include "spooler/keeper/outcome.h"
#include "spooler/keeper/requests.h"
#include "spooler/keeper/ring.h"
#include "spooler/policy/judge.h"

static int bad(struct err *err, const char *what, uint32_t number)
{
    return err_set(err, EX_PROTOCOL, "the courier reported %s %u, which it was not given", what, number);
}

static int on_route(struct keeper *k, const struct wire_msg *m, struct err *err)
{
    (void)err;
    ring_routed(k, &m->u.route);        /* an answer to nothing is ignored: the configuration may have changed */
    return 0;
}

static int on_up(struct keeper *k, const struct wire_msg *m, struct err *err)
{
    struct conn *c = ring_conn(k, m->u.up.conn);
    struct ring *r;

    if (c == NULL || c->state != CONN_DIALLING)
        return bad(err, "a connection", m->u.up.conn);
    r = c->hop->ring;
    c->state = CONN_UP;
    c->idle_since = k->now.mono;
    strlcpy(c->address, m->u.up.address, sizeof c->address);
    r->load.up++;
    r->load.idle++;
    site_connected(r->site, c->host, k->now.mono);
    ring_wake(r);
    return 0;
}

/* The verdict on a connection that failed or went: its last reply's, or what the
 * failure itself says. */
static void connection_verdict(const struct keeper *k, const struct ring *r, const struct wire_fail *f, struct verdict *v)
{
    if (f->why == WHY_REPLY && f->reply.code != 0) {
        judge_reply(&f->reply, f->phase, site_provider(r->site), k->now.wall, v);
        if (!judge_blames_site(v))      /* told to a connection, it is about no message */
            v->scope = SCOPE_HOST;
        v->final = false;
        return;
    }
    *v = (struct verdict){ .cause = CAUSE_UNREACHABLE, .scope = SCOPE_HOST, .hint_ms = -1, .rule = wire_why_name(f->why) };
    if (f->why == WHY_UNREACHABLE)
        v->cause = CAUSE_LOCAL;
    else if (f->why == WHY_DNS)
        v->cause = CAUSE_DNS_TEMP;
}

static void blame(struct keeper *k, struct conn *c, const struct wire_fail *f)
{
    struct ring *r = c->hop->ring;
    struct verdict v;
    char words[REPLY_TEXT_MAX + 32];

    connection_verdict(k, r, f, &v);
    if (f->reply.code != 0)
        reply_format(&f->reply, words, sizeof words);
    else
        strlcpy(words, f->reply.text, sizeof words);
    if (v.cause != CAUSE_LOCAL)
        site_said(r->site, words);
    site_refused(r->site, &v, c->host, c->accepted, c->idle_since, &r->load, k->now.wall, k->now.mono);
    log_line(k->log, LEVEL_INFO, "site=%s host=%s%s%s phase=%s why=%s cause=%s rule=\"%s\" reply=\"%s\"", site_name(r->site), c->host,
        f->address[0] != '\0' ? " address=" : "", f->address, phase_name(f->phase), wire_why_name(f->why), cause_name(v.cause), v.rule, words);
}

static int on_fail(struct keeper *k, const struct wire_msg *m, struct err *err)
{
    struct conn *c = ring_conn(k, m->u.fail.conn);

    if (c == NULL || c->state != CONN_DIALLING)
        return bad(err, "a failed connection", m->u.fail.conn);
    blame(k, c, &m->u.fail);
    ring_conn_gone(k, c);
    return 0;
}

/* An end that is no trouble of the site's: we asked for it, a file of ours could
 * not be read, an idle connection was closed, or the last word was about a message. */
static bool farewell(const struct keeper *k, const struct conn *c, const struct wire_fail *f)
{
    bool idle = c->accepted > 0 && (f->phase == PHASE_IDLE || f->phase == PHASE_QUIT);
    struct verdict v;

    if (f->why == WHY_ASKED || f->why == WHY_IO)
        return true;
    if (f->why != WHY_REPLY)
        return idle && f->why == WHY_DROPPED;
    judge_reply(&f->reply, f->phase, site_provider(c->hop->ring->site), k->now.wall, &v);
    if (f->phase >= PHASE_MAIL && f->phase <= PHASE_EOM)
        return !judge_blames_site(&v);
    return idle && (v.cause == CAUSE_UNKNOWN_TEMP || v.cause == CAUSE_CONGESTION);
}

static int on_closed(struct keeper *k, const struct wire_msg *m, struct err *err)
{
    struct conn *c = ring_conn(k, m->u.fail.conn);

    if (c == NULL || c->state == CONN_DIALLING || c->over)
        return bad(err, "a closed connection", m->u.fail.conn);
    if (!farewell(k, c, &m->u.fail))
        blame(k, c, &m->u.fail);
    if (c->flights > 0)
        ring_conn_over(c);
    else
        ring_conn_gone(k, c);
    return 0;
}

static int on_rcpt(struct keeper *k, const struct wire_msg *m, struct err *err)
{
    const struct wire_rcpt *w = &m->u.rcpt;
    struct flight *f = flight_find(k, w->flight);

    if (f == NULL || (w->index != WIRE_ALL && w->index >= f->nrcpt))
        return bad(err, "an answer for flight", w->flight);
    if (w->reply.code < 200 || w->reply.code > 599 || w->phase < PHASE_MAIL || w->phase > PHASE_EOM ||
        (w->reply.code < 300 && w->phase != PHASE_EOM))
        return bad(err, "an answer out of order for flight", w->flight);
    outcome_told(k, f, w);
    return 0;
}

static int on_done(struct keeper *k, const struct wire_msg *m, struct err *err)
{
    struct flight *f = flight_find(k, m->u.done.flight);
    struct conn *c;

    if (f == NULL || (m->u.done.ended == ENDED_ANSWERED && !outcome_all_told(f)))
        return bad(err, "the end of flight", m->u.done.flight);
    c = f->conn;
    ring_landed(k, c);
    outcome_done(k, f, m->u.done.ended);
    if (c->over && c->flights == 0)
        ring_conn_gone(k, c);
    return 0;
}

static int on_said(struct keeper *k, const struct wire_msg *m, struct err *err)
{
    struct flight *f = flight_find(k, m->u.said.flight);
    struct buf line = BUF_INIT(2 * WIRE_TEXT_MAX);

    if (f == NULL || !f->msg.envelope.say)
        return bad(err, "the dialogue of flight", m->u.said.flight);
    trail_print_said(&line, k->now.wall, m->u.said.text);
    record_trail(k->record, &f->msg.name.id, f->msg.envelope.uid, line.data, line.len, false);
    f->msg.has_trail = true;
    buf_fini(&line);
    return 0;
}

static int on_log(struct keeper *k, const struct wire_msg *m, struct err *err)
{
    (void)err;
    log_line(k->log, m->u.log.level <= LEVEL_DEBUG ? (enum level)m->u.log.level : LEVEL_INFO, "courier: %s", m->u.log.text);
    return 0;
}

static int (*const request[WIRE_KIND_END])(struct keeper *, const struct wire_msg *, struct err *) = {
    [WIRE_ROUTE] = on_route,
    [WIRE_UP] = on_up,
    [WIRE_FAIL] = on_fail,
    [WIRE_RCPT] = on_rcpt,
    [WIRE_DONE] = on_done,
    [WIRE_CLOSED] = on_closed,
    [WIRE_SAID] = on_said,
    [WIRE_LOG] = on_log,
};

int request_take(struct keeper *k, const struct wire_msg *m, struct err *err)
{
    if (m->kind >= WIRE_KIND_END || request[m->kind] == NULL)
        return err_set(err, EX_PROTOCOL, "the courier sent %s, which is the keeper's to say", wire_kind_name(m->kind));
    return request[m->kind](k, m, err);
}
