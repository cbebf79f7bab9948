/* session: the client's side of an SMTP conversation, without sockets, clock
 * or TLS: transport.c has those. Writing a command pushes what its reply will
 * mean, a reply pops the oldest of these; what kinds there are is a table. It
 * must never believe a reply that cannot be one: none is, before the last byte
 * of its command has left. Nothing here calls up; events are drained. */
#include <config.h>

#include "spooler/courier/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mime.h"
#include "spooler/courier/ehlo.h"
#include "spooler/courier/events.h"
#include "spooler/courier/expect.h"
#include "spooler/courier/transaction.h"

enum {
    HELO_SIZE = 256,
    COMMAND_MAX = 1200,                 /* an address of ADDRESS_MAX and parameters */
    COMMANDS_FULL = 4096                /* more is not made before these were taken */
};

struct session {
    char helo[HELO_SIZE];
    uint32_t timeout_ms[PHASE_COUNT];
    struct wire_up up;
    struct mono now;
    struct mono since;                  /* when the oldest expectation began to wait */
    bool ready, over;
    bool quitting;                      /* QUIT when the last transaction is over */
    bool dirty;                         /* the server still has a transaction that came to nothing */
    uint64_t made, given, wrote;        /* bytes out since the beginning */
    struct expect_ring waits;
    struct transaction *t;              /* a ring; the oldest AHEAD of them were written to the end */
    unsigned window, first, count, ahead;
    struct events *events;
    struct reply_parser parser;
    struct reply reply;
    struct { char bytes[COMMANDS_FULL + COMMAND_MAX]; size_t at, len; } commands;
};

/* GOOD: the reply was the one hoped for; otherwise it is 4yz or 5yz. */
typedef void reply_handler(struct session *, const struct expect *, const struct reply *, bool good);
static reply_handler on_banner, on_ehlo, on_helo, on_rset, on_mail, on_rcpt, on_data, on_dot, on_quit;

static const struct kind {
    const char *name;
    enum phase phase;
    int good;                           /* the code, or its first digit */
    bool pipelined;                     /* with PIPELINING, more may be written behind it (RFC 2920 3.1) */
    reply_handler *handler;
} kinds[EXPECT_KINDS] = {
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

/* ---- the end ----------------------------------------------------------- */

static struct transaction *oldest(struct session *s)
{
    return s->count > 0 ? &s->t[s->first] : NULL;
}

static void finish_oldest(struct session *s, enum wire_ended ended)
{
    struct transaction *t = oldest(s);

    s->dirty |= t->begun;
    events_done(s->events, t->flight, ended);
    transaction_fini(t);
    s->first = (s->first + 1) % s->window;
    s->count--;
    if (s->ahead > 0)
        s->ahead--;
}

bool session_in_doubt(const struct session *s)
{
    const struct expect *e = expect_head(&s->waits);

    return e != NULL && e->kind == EXPECT_DOT && expect_armed(e, s->wrote);
}

static void say_goodbye(struct session *s)
{
    bool whole = s->made == s->wrote;   /* not in the middle of a command */

    s->commands.at = s->commands.len = 0;
    if (whole) {
        memcpy(s->commands.bytes, "QUIT\r\n", 6);
        s->commands.len = 6;
    }
}

static void end(struct session *s, enum wire_why why, enum phase phase, const struct reply *r)
{
    bool doubt = session_in_doubt(s);   /* it is the oldest's dot: a group behind it has no answers yet */

    if (s->over)
        return;
    while (s->count > 0) {
        finish_oldest(s, oldest(s)->told ? ENDED_ANSWERED : doubt ? ENDED_IN_DOUBT : ENDED_NOT_SENT);
        doubt = false;
    }
    events_over(s->events, why, phase, r);
    s->over = true;
    s->waits.count = 0;
    s->commands.at = s->commands.len = 0;
}

/* The end for a reason of our own. */
__attribute__((format(printf, 4, 5)))
static void fail(struct session *s, enum wire_why why, enum phase phase, const char *fmt, ...)
{
    struct reply r = { .code = 0 };
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r.text, sizeof(r.text), fmt, ap);
    va_end(ap);
    end(s, why, phase, &r);
}

/* Where in the conversation we are. */
static enum phase phase_now(const struct session *s)
{
    const struct expect *e = expect_head(&s->waits);

    if (e == NULL)
        return s->ready ? PHASE_IDLE : PHASE_EHLO;
    if (e->kind == EXPECT_DOT && !expect_armed(e, s->wrote))
        return PHASE_BODY;
    return kinds[e->kind].phase;
}

/* ---- commands ---------------------------------------------------------- */

static void expect(struct session *s, enum expect_kind kind, struct transaction *t, uint16_t rcpt, uint64_t at)
{
    struct expect e = { .kind = kind, .rcpt = rcpt, .t = t, .end = at };

    if (s->waits.count == 0)
        s->since = s->now;
    expect_push(&s->waits, &e);
    if (t != NULL)
        t->owed++;
}

__attribute__((format(printf, 5, 6)))
static void command(struct session *s, enum expect_kind kind, struct transaction *t, uint16_t rcpt, const char *fmt, ...)
{
    char *line = s->commands.bytes + s->commands.len;
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(line, COMMAND_MAX - 2, fmt, ap);
    va_end(ap);
    if (len < 0 || len >= COMMAND_MAX - 2) {        /* addresses are bounded; nothing may be cut */
        fail(s, WHY_IO, kinds[kind].phase, "a command of %d bytes", len);
        return;
    }
    if (t != NULL && t->say)
        events_said(s->events, t->flight, ">>> ", line, (size_t)len);
    memcpy(line + len, "\r\n", 2);
    s->commands.len += (size_t)len + 2;
    s->made += (uint64_t)len + 2;
    expect(s, kind, t, rcpt, s->made);
}

/* RFC 2920 3.1. Without PIPELINING one command waits for the other's reply. */
static bool pipe_open(const struct session *s)
{
    const struct expect *e = expect_tail(&s->waits);

    if (e == NULL)
        return true;
    return s->up.pipelining && kinds[e->kind].pipelined && expect_room(&s->waits) && e->end != EXPECT_UNSENT;
}

static void tell(struct session *s, const struct transaction *t, uint16_t index, enum phase phase, const struct reply *r)
{
    events_rcpt(s->events, t->flight, index, phase, r);
}

/* Refuses a transaction before anything of it was written. */
__attribute__((format(printf, 5, 6)))
static void refuse(struct session *s, struct transaction *t, int code, const char *enh, const char *fmt, ...)
{
    struct reply r = { .code = code, .lines = 1 };
    va_list ap;

    snprintf(r.enh, sizeof(r.enh), "%s", enh);
    va_start(ap, fmt);
    vsnprintf(r.text, sizeof(r.text), fmt, ap);
    va_end(ap);
    tell(s, t, WIRE_ALL, PHASE_BODY, &r);
    t->told = true;
    finish_oldest(s, ENDED_ANSWERED);
}

static void convert(struct session *s, struct transaction *t)
{
    struct err e = { 0 };

    if (body_convert(&t->body, !s->up.eight_bit, &e) == 0)
        t->step = STEP_MAIL;
    else if (e.class == EX_DATAERR)
        refuse(s, t, 554, "5.6.3", "%s", e.text);
    else
        fail(s, WHY_IO, PHASE_BODY, "%s", e.text);
}

/* Each writes one command of its step, if it may. False: not now. */

static bool write_check(struct session *s, struct transaction *t)
{
    bool too_large = s->up.size_limit > 0 && t->wire_bytes > s->up.size_limit;
    bool unfit = (t->eight_bit && !s->up.eight_bit) || t->longest_line > MIME_LINE_MAX;

    if (!too_large && !unfit)
        t->step = STEP_MAIL;
    else if (s->ahead > 0)
        return false;                   /* what may end here must be the oldest */
    else if (too_large)
        refuse(s, t, 552, "5.3.4", "message is %llu bytes, the server takes %llu", (unsigned long long)t->wire_bytes,
               (unsigned long long)s->up.size_limit);
    else
        convert(s, t);
    return true;
}

static bool write_mail(struct session *s, struct transaction *t)
{
    char size[32] = "";

    if (s->dirty) {
        s->dirty = false;
        command(s, EXPECT_RSET, t, 0, "RSET");
        return true;
    }
    if (s->up.size_known)
        snprintf(size, sizeof(size), " SIZE=%llu", (unsigned long long)t->wire_bytes);
    t->step = STEP_RCPT;
    command(s, EXPECT_MAIL, t, 0, "MAIL FROM:<%s>%s%s", transaction_name(t), size,
            t->eight_bit && s->up.eight_bit ? " BODY=8BITMIME" : "");
    return true;
}

static bool write_rcpt(struct session *s, struct transaction *t)
{
    uint16_t index = (uint16_t)t->asked;

    if (t->told)
        return false;                   /* MAIL was refused meanwhile */
    if (++t->asked == t->nrcpt)
        t->step = STEP_DATA;
    command(s, EXPECT_RCPT, t, index, "RCPT TO:<%s>", transaction_name(t));
    return true;
}

static bool write_data(struct session *s, struct transaction *t)
{
    if (t->told)
        return false;
    t->step = STEP_WAIT;
    command(s, EXPECT_DATA, t, 0, "DATA");
    return true;
}

static bool write_nothing(struct session *s, struct transaction *t)
{
    (void)s;
    (void)t;
    return false;
}

static bool (*const writers[])(struct session *, struct transaction *) = {
    [STEP_CHECK] = write_check, [STEP_MAIL] = write_mail, [STEP_RCPT] = write_rcpt, [STEP_DATA] = write_data,
    [STEP_WAIT] = write_nothing, [STEP_BODY] = write_nothing, [STEP_SENT] = write_nothing,
};

/* The transaction to be written now. */
static struct transaction *writing(const struct session *s)
{
    return s->ahead < s->count ? &s->t[(s->first + s->ahead) % s->window] : NULL;
}

static bool write_next(struct session *s)
{
    struct transaction *t = writing(s);

    if (t != NULL)
        return writers[t->step](s, t);
    if (!s->quitting || !s->ready || s->waits.count > 0)
        return false;
    command(s, EXPECT_QUIT, NULL, 0, "QUIT");
    return true;
}

/* Makes all commands that may be written by now. */
static void pump(struct session *s)
{
    while (!s->over && s->commands.len < COMMANDS_FULL && pipe_open(s) && write_next(s))
        ;
}

/* ---- replies ----------------------------------------------------------- */

static void on_banner(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    (void)e;
    if (good) {
        command(s, EXPECT_EHLO, NULL, 0, "EHLO %s", s->helo);
        return;
    }
    end(s, WHY_REPLY, PHASE_BANNER, r);
    say_goodbye(s);
}

static void on_ehlo(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    if (!good && r->code >= 500) {      /* RFC 5321 3.2: an old server */
        command(s, EXPECT_HELO, NULL, 0, "HELO %s", s->helo);
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
    end(s, WHY_REPLY, PHASE_EHLO, r);
    say_goodbye(s);
}

static void on_rset(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    (void)e;
    if (!good)                          /* or the next MAIL would be refused for it */
        end(s, WHY_REPLY, PHASE_MAIL, r);
}

static void on_mail(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    e->t->begun = good;
    if (!good) {
        tell(s, e->t, WIRE_ALL, PHASE_MAIL, r);
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
    tell(s, t, e->rcpt, PHASE_RCPT, r);
    t->told = ++t->refused == t->nrcpt;
}

/* RFC 2920 3.1: 354 though nobody was accepted is to be ended by a lone dot, whose reply means nothing. */
static void lone_dot(struct session *s, struct transaction *t)
{
    command(s, EXPECT_DOT, t, 0, ".");
    t->step = STEP_SENT;
    s->ahead++;
}

static void on_data(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    struct transaction *t = e->t;

    if (good && t->told) {
        lone_dot(s, t);
    } else if (good) {
        t->step = STEP_BODY;
        t->body_at = s->made;
        expect(s, EXPECT_DOT, t, 0, EXPECT_UNSENT);
    } else if (!t->told) {
        tell(s, t, WIRE_ALL, PHASE_DATA, r);
        t->told = true;
    }
}

static void on_dot(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    (void)good;
    e->t->begun = false;
    if (!e->t->told)
        tell(s, e->t, WIRE_ALL, PHASE_EOM, r);
    e->t->told = true;
}

static void on_quit(struct session *s, const struct expect *e, const struct reply *r, bool good)
{
    (void)e;
    (void)good;
    end(s, WHY_ASKED, PHASE_QUIT, r);
}

/* 421 in place of any reply: the connection is over. Who met it is told, but
 * it is no refusal: only after the final dot it is the transaction's answer. */
static void on_closing(struct session *s, const struct expect *e, const struct reply *r)
{
    struct transaction *t = e->t;

    if (e->kind == EXPECT_DOT)
        on_dot(s, e, r, false);
    else if (e->kind == EXPECT_RCPT && !t->told)
        tell(s, t, e->rcpt, PHASE_RCPT, r);
    else if ((e->kind == EXPECT_MAIL || e->kind == EXPECT_DATA) && !t->told)
        tell(s, t, WIRE_ALL, kinds[e->kind].phase, r);
    end(s, WHY_REPLY, kinds[e->kind].phase, r);
}

/* A reply to nothing, or to what has not left yet. */
static void on_unasked(struct session *s, const struct reply *r)
{
    enum phase phase = phase_now(s);

    if (r->code == 421)
        end(s, WHY_REPLY, phase, r);
    else if (r->code >= 400)
        end(s, WHY_PROTOCOL, phase, r);
    else
        fail(s, WHY_PROTOCOL, phase, "a reply that was not asked for: %d %.200s", r->code, r->text);
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
        fail(s, WHY_PROTOCOL, k->phase, "%d is no reply to %s: %.200s", r->code, k->name, r->text);
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
        finish_oldest(s, ENDED_ANSWERED);
}

/* What befalls a connection that only waits for the answer to QUIT is of no interest. */
static void cut(struct session *s, enum wire_why why, const char *text)
{
    enum phase phase = phase_now(s);

    fail(s, phase == PHASE_QUIT ? WHY_ASKED : why, phase, "%s", text);
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
            cut(s, WHY_PROTOCOL, "what the server says is not SMTP");
    }
    pump(s);
}

void session_eof(struct session *s, bool reset, struct mono now)
{
    s->now = now;
    cut(s, WHY_DROPPED, reset ? "the server reset the connection" : "the server closed the connection");
}

void session_timeout(struct session *s, struct mono now)
{
    s->now = now;
    if (now.ms < session_deadline(s).ms)
        return;
    cut(s, WHY_TIMEOUT, phase_now(s) == PHASE_BODY ? "the server does not read the message" : "no reply in time");
}

struct mono session_deadline(const struct session *s)
{
    if (s->over || s->waits.count == 0)
        return (struct mono){ CLOCK_NEVER };
    return (struct mono){ s->since.ms + s->timeout_ms[phase_now(s)] };
}

/* ---- bytes out --------------------------------------------------------- */

static size_t take_commands(struct session *s, char *out, size_t room)
{
    size_t n = s->commands.len - s->commands.at;

    if (n > room)
        n = room;
    memcpy(out, s->commands.bytes + s->commands.at, n);
    s->commands.at += n;
    if (s->commands.at == s->commands.len)
        s->commands.at = s->commands.len = 0;
    return n;
}

static void body_sent(struct session *s, struct transaction *t)
{
    char line[40];
    int n = snprintf(line, sizeof(line), "(%llu bytes)", (unsigned long long)(s->made - t->body_at));

    if (t->say)
        events_said(s->events, t->flight, ">>> ", line, (size_t)n);
    expect_sent(&s->waits, s->made);                /* it is the only one: nothing is written behind an unfinished body */
    t->step = STEP_SENT;
    body_fini(&t->body);
    s->ahead++;
}

/* Only while no command waits to be taken. */
static size_t take_body(struct session *s, char *out, size_t room)
{
    struct transaction *t = writing(s);
    struct err e = { 0 };
    ssize_t n;

    if (s->over || t == NULL || t->step != STEP_BODY)
        return 0;
    if (room < BODY_ROOM_MIN) {                     /* by way of the commands' buffer */
        s->commands.len = take_body(s, s->commands.bytes, BODY_ROOM_MIN);
        return take_commands(s, out, room);
    }
    n = body_fill(&t->body, out, room, &e);
    if (n == -1) {
        fail(s, WHY_IO, PHASE_BODY, "%s", e.text);
        return 0;
    }
    s->made += (uint64_t)n;
    if (t->body.done)
        body_sent(s, t);
    return (size_t)n;
}

size_t session_output(struct session *s, void *out, size_t room)
{
    char *to = out;
    size_t n = 0, more;

    do {
        more = take_commands(s, to + n, room - n);
        if (more == 0 && n < room)
            more = take_body(s, to + n, room - n);
        n += more;
        pump(s);
    } while (more > 0 && n < room);
    s->given += n;
    return n;
}

bool session_wants_write(const struct session *s)
{
    const struct transaction *t = writing(s);

    return s->commands.len > 0 || (!s->over && t != NULL && t->step == STEP_BODY);
}

void session_wrote(struct session *s, size_t n, struct mono now)
{
    const struct expect *head = expect_head(&s->waits);

    s->now = now;
    if (head != NULL && n > 0 && !expect_armed(head, s->wrote))
        s->since = now;
    s->wrote += n < s->given - s->wrote ? n : s->given - s->wrote;
}

/* ---- life -------------------------------------------------------------- */

bool session_room(const struct session *s)
{
    return s->ready && !s->over && !s->quitting && s->count < s->window;
}

int session_send(struct session *s, const struct wire_send *w, int fd, struct mono now, struct err *e)
{
    struct transaction *t = &s->t[(s->first + s->count) % s->window];

    s->now = now;
    if (!session_room(s)) {
        struct body unwanted = { .fd = fd };
        body_fini(&unwanted);
        return err_set(e, EX_UNAVAILABLE, "the session has no room for a message");
    }
    if (transaction_init(t, w, fd, e) == -1)
        return -1;
    s->count++;
    pump(s);
    return 0;
}

void session_quit(struct session *s, struct mono now)
{
    s->now = now;
    s->quitting = true;
    pump(s);
}

/* The most that one call can tell: a reply for each expectation, two events for each flight, READY, OVER. */
static unsigned events_needed(unsigned window)
{
    return EXPECT_MAX + 2 * window + 2;
}

struct session *session_new(const struct session_options *o, struct mono now, struct err *e)
{
    struct session *s = calloc(1, sizeof(*s));

    if (s != NULL) {
        s->window = o->window < 2 ? 2 : o->window;
        s->t = calloc(s->window, sizeof(s->t[0]));
        s->events = events_new(events_needed(s->window));
    }
    for (unsigned i = 0; s != NULL && s->t != NULL && i < s->window; i++)
        s->t[i].body.fd = -1;
    if (s == NULL || s->t == NULL || s->events == NULL) {
        err_sys(e, EX_OSERR, "no memory for a session");
        session_free(s);
        return NULL;
    }
    snprintf(s->helo, sizeof(s->helo), "%s", o->helo);
    memcpy(s->timeout_ms, o->timeout_ms, sizeof(s->timeout_ms));
    s->up.address = "";
    s->now = now;
    expect(s, EXPECT_BANNER, NULL, 0, 0);
    return s;
}

void session_free(struct session *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; s->t != NULL && i < s->window; i++)
        transaction_free(&s->t[i]);
    free(s->t);
    events_free(s->events);
    free(s);
}

bool session_event(struct session *s, struct session_event *event)
{
    return events_next(s->events, event);
}
