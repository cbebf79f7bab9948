/* session: the client's side of an SMTP conversation, without sockets, clock
 * or TLS: transport.c has those. Writing a command pushes what its reply will
 * mean (session_speak.c), a reply pops the oldest of these (session_hear.c);
 * here are life, end, deadlines and bytes out. Nothing calls up: events are
 * drained. Called by transport.c. */
#include <config.h>

#include "spooler/courier/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "spooler/courier/events.h"
#include "spooler/courier/session_state.h"

/* ---- the end ----------------------------------------------------------- */

void session_finish(struct session *s, enum wire_ended ended)
{
    struct transaction *t = &s->t[s->first];

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

void session_end(struct session *s, enum wire_why why, enum phase phase, const struct reply *r)
{
    bool doubt = session_in_doubt(s);   /* it is the oldest's dot: a group behind it has no answers yet */

    if (s->over)
        return;
    while (s->count > 0) {
        session_finish(s, s->t[s->first].told ? ENDED_ANSWERED : doubt ? ENDED_IN_DOUBT : ENDED_NOT_SENT);
        doubt = false;
    }
    events_over(s->events, why, phase, r);
    s->over = true;
    s->waits.count = 0;
    s->commands.at = s->commands.len = 0;
}

void session_fail(struct session *s, enum wire_why why, enum phase phase, const char *fmt, ...)
{
    struct reply r = { .code = 0 };
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r.text, sizeof(r.text), fmt, ap);
    va_end(ap);
    session_end(s, why, phase, &r);
}

enum phase session_phase(const struct session *s)
{
    const struct expect *e = expect_head(&s->waits);

    if (e == NULL)
        return s->ready ? PHASE_IDLE : PHASE_EHLO;
    if (e->kind == EXPECT_DOT && !expect_armed(e, s->wrote))
        return PHASE_BODY;
    return session_kind(e->kind)->phase;
}

void session_tell(struct session *s, const struct transaction *t, uint16_t index, enum phase phase, const struct reply *r)
{
    events_rcpt(s->events, t->flight, index, phase, r);
}

void session_cut(struct session *s, enum wire_why why, const char *text)
{
    enum phase phase = session_phase(s);

    session_fail(s, phase == PHASE_QUIT ? WHY_ASKED : why, phase, "%s", text);
}

void session_eof(struct session *s, bool reset, struct mono now)
{
    s->now = now;
    session_cut(s, WHY_DROPPED, reset ? "the server reset the connection" : "the server closed the connection");
}

void session_timeout(struct session *s, struct mono now)
{
    s->now = now;
    if (now.ms < session_deadline(s).ms)
        return;
    session_cut(s, WHY_TIMEOUT, session_phase(s) == PHASE_BODY ? "the server does not read the message" : "no reply in time");
}

struct mono session_deadline(const struct session *s)
{
    if (s->over || s->waits.count == 0)
        return (struct mono){ CLOCK_NEVER };
    return (struct mono){ s->since.ms + s->timeout_ms[session_phase(s)] };
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
    struct transaction *t = session_writing(s);
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
        session_fail(s, WHY_IO, PHASE_BODY, "%s", e.text);
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
        session_pump(s);
    } while (more > 0 && n < room);
    s->given += n;
    return n;
}

bool session_wants_write(const struct session *s)
{
    const struct transaction *t = session_writing(s);

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
    session_pump(s);
    return 0;
}

void session_quit(struct session *s, struct mono now)
{
    s->now = now;
    s->quitting = true;
    session_pump(s);
}

struct session *session_new(const struct session_options *o, struct mono now, struct err *e)
{
    struct session *s = calloc(1, sizeof(*s));

    if (s != NULL) {
        s->window = o->window < 2 ? 2 : o->window;
        s->t = calloc(s->window, sizeof(s->t[0]));
        s->events = events_new();
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
    session_expect(s, EXPECT_BANNER, NULL, 0, 0);
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
