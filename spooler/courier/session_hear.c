/* session_hear: what a session makes of replies. What kinds there are is a
 * table; each has a handler. One place before the table has what all share: a
 * reply nobody asked for, 421, a code that makes no sense. It must never
 * believe a reply whose command has not left to its last byte. */
#include <config.h>

#include "spooler/courier/session_state.h"

#include <stdio.h>
#include <string.h>

#include "spooler/courier/ehlo.h"
#include "spooler/courier/events.h"

static reply_handler on_banner, on_ehlo, on_helo, on_rset, on_mail, on_rcpt, on_data, on_dot, on_quit;

static const struct kind kinds[EXPECT_KINDS] = {
    [EXPECT_BANNER] = { "greeting", PHASE_BANNER, 220, false, on_banner },
    [EXPECT_EHLO] = { "EHLO", PHASE_EHLO, 250, false, on_ehlo },
    [EXPECT_HELO] = { "HELO", PHASE_EHLO, 250, false, on_helo },
    [EXPECT_RSET] = { "RSET", PHASE_MAIL, 2, true, on_rset },
    [EXPECT_MAIL] = { "MAIL", PHASE_MAIL, 2, true, on_mail },
    [EXPECT_RCPT] = { "RCPT", PHASE_RCPT, 2, true, on_rcpt },
    [EXPECT_DATA] = { "DATA", PHASE_DATA, 354, false, on_data },
    [EXPECT_DOT] = { "final dot", PHASE_EOM, 2, true, on_dot },
    [EXPECT_QUIT] = { "QUIT", PHASE_QUIT, 2, false, on_quit },
};

const struct kind *session_kind(enum expect_kind kind)
{
    return &kinds[kind];
}

static void on_banner(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    (void)e;
    if (good) {
        session_command(s, EXPECT_EHLO, NULL, 0, "EHLO %s", s->helo);
        return;
    }
    session_end(s, WHY_REPLY, PHASE_BANNER, r);
    session_goodbye(s);
}

static void on_ehlo(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    if (!good && r->code >= 500) {      /* RFC 5321 3.2: an old server */
        session_command(s, EXPECT_HELO, NULL, 0, "HELO %s", s->helo);
        return;
    }
    if (good)
        ehlo_parse(r, &s->up);
    on_helo(s, e, r, good);
}

static void on_helo(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    (void)e;
    if (good) {
        s->ready = true;
        events_ready(s->events, &s->up);
        return;
    }
    session_end(s, WHY_REPLY, PHASE_EHLO, r);
    session_goodbye(s);
}

static void on_rset(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    (void)e;
    if (!good)                          /* or the next MAIL would be refused for it */
        session_end(s, WHY_REPLY, PHASE_MAIL, r);
}

static void on_mail(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    e->t->begun = good;
    if (!good) {
        session_tell(s, e->t, WIRE_ALL, PHASE_MAIL, r);
        e->t->told = true;
    }
}

static void on_rcpt(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    struct transaction *t = e->t;

    if (t->told)                        /* with MAIL */
        return;
    if (good) {
        t->accepted++;
        return;
    }
    session_tell(s, t, e->rcpt, PHASE_RCPT, r);
    t->told = ++t->refused == t->nrcpt;
}

static void on_data(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    struct transaction *t = e->t;

    if (good && t->told) {
        session_lone_dot(s, t);
    } else if (good) {
        t->step = STEP_BODY;
        t->body_at = s->made;
        session_expect(s, EXPECT_DOT, t, 0, EXPECT_UNSENT);
    } else if (!t->told) {
        session_tell(s, t, WIRE_ALL, PHASE_DATA, r);
        t->told = true;
    }
}

static void on_dot(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    (void)good;
    e->t->begun = false;
    if (!e->t->told)
        session_tell(s, e->t, WIRE_ALL, PHASE_EOM, r);
    e->t->told = true;
}

static void on_quit(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    (void)e;
    (void)good;
    session_end(s, WHY_ASKED, PHASE_QUIT, r);
}

/* 421 in place of any reply: the connection is over. Who met it is told, but
 * it is no refusal: only after the final dot it is the transaction's answer. */
static void on_closing(struct session *s, const struct expect *e, const struct reply *r)
{
    struct transaction *t = e->t;

    if (e->kind == EXPECT_DOT)
        on_dot(s, e, r, false);
    else if (e->kind == EXPECT_RCPT && !t->told)
        session_tell(s, t, e->rcpt, PHASE_RCPT, r);
    else if ((e->kind == EXPECT_MAIL || e->kind == EXPECT_DATA) && !t->told)
        session_tell(s, t, WIRE_ALL, session_kind(e->kind)->phase, r);
    session_end(s, WHY_REPLY, session_kind(e->kind)->phase, r);
}

/* A reply to nothing, or to what has not left yet. */
static void on_unasked(struct session *s, const struct reply *r)
{
    enum phase phase = session_phase(s);

    if (r->code == 421)
        session_end(s, WHY_REPLY, phase, r);
    else if (r->code >= 400)
        session_end(s, WHY_PROTOCOL, phase, r);
    else
        session_fail(s, WHY_PROTOCOL, phase, "a reply that was not asked for: %d %.200s", r->code, r->text);
}

static void say_reply(struct session *s, const struct transaction *t, const struct reply *r)
{
    char prefix[32];
    const char *line = r->text, *enh = r->enh;

    while (line != NULL) {
        const char *lf = strchr(line, '\n');
        size_t len = lf == NULL ? strlen(line) : (size_t)(lf - line);
        snprintf(prefix, sizeof(prefix), "<<< %d%c%s%s", r->code, lf == NULL ? ' ' : '-', enh, *enh != '\0' ? " " : "");
        events_said(s->events, t->flight, prefix, line, len);
        line = lf == NULL ? NULL : lf + 1;
        enh = "";
    }
}

static bool reply_good(const struct kind *k, const struct reply *r)
{
    return k->good < 10 ? r->code / 100 == k->good : r->code == k->good;
}

static void on_reply(struct session *s, const struct reply *r)
{
    const struct expect *head = expect_head(&s->waits);
    const struct kind *k;
    struct expect e;

    if (head == NULL || !expect_armed(head, s->wrote)) {
        on_unasked(s, r);
        return;
    }
    k = &kinds[head->kind];
    bool good = reply_good(k, r);
    if (!good && r->code < 400 && head->kind != EXPECT_QUIT) {
        session_fail(s, WHY_PROTOCOL, k->phase, "%d is no reply to %s: %.200s", r->code, k->name, r->text);
        return;
    }
    e = expect_pop(&s->waits);
    s->since = s->now;
    if (e.t != NULL && e.t->say)
        say_reply(s, e.t, r);
    if (e.t != NULL)
        e.t->owed--;
    if (r->code == 421 && e.kind != EXPECT_QUIT)
        on_closing(s, &e, r);
    else
        k->handler(s, &e, r, good);
    if (!s->over && e.t != NULL && e.t->told && e.t->owed == 0)
        session_finish(s, ENDED_ANSWERED);
}

void session_input(struct session *s, const void *bytes, size_t len, struct mono now)
{
    const char *in = bytes;

    s->now = now;
    while (len > 0 && !s->over) {
        enum reply_got got = reply_feed(&s->parser, &in, &len, &s->reply);
        if (got == REPLY_WHOLE)
            on_reply(s, &s->reply);
        else if (got == REPLY_BROKEN)
            session_cut(s, WHY_PROTOCOL, "what the server says is not SMTP");
    }
    session_pump(s);
}
