/* session_speak: what a session says: commands, one after the other where the
 * server allows no more, in groups where it offers PIPELINING, the next group
 * behind a final dot. It must never write behind DATA, EHLO or QUIT before
 * their reply. Called by session.c and session_hear.c. */
#include <config.h>

#include "spooler/courier/session_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/mime.h"
#include "spooler/courier/events.h"

void session_expect(struct session *s, enum expect_kind kind, struct transaction *t, uint16_t rcpt, uint64_t at)
{
    struct expect e = { .kind = kind, .rcpt = rcpt, .t = t, .end = at };

    if (s->waits.count == 0)
        s->since = s->now;
    expect_push(&s->waits, &e);
    if (t != NULL)
        t->owed++;
}

void session_command(struct session *s, enum expect_kind kind, struct transaction *t, uint16_t rcpt, const char *fmt, ...)
{
    char *line = s->commands.bytes + s->commands.len;
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(line, COMMAND_MAX - 2, fmt, ap);
    va_end(ap);
    if (len < 0 || len >= COMMAND_MAX - 2) {        /* addresses are bounded; nothing may be cut */
        session_fail(s, WHY_IO, session_kind(kind)->phase, "a command of %d bytes", len);
        return;
    }
    if (t != NULL && t->say)
        events_said(s->events, t->flight, ">>> ", line, (size_t)len);
    memcpy(line + len, "\r\n", 2);
    s->commands.len += (size_t)len + 2;
    s->made += (uint64_t)len + 2;
    session_expect(s, kind, t, rcpt, s->made);
}

/* RFC 2920 3.1. Without PIPELINING one command waits for the other's reply. */
static bool pipe_open(const struct session *s)
{
    const struct expect *e = expect_tail(&s->waits);

    if (e == NULL)
        return true;
    return s->up.pipelining && session_kind(e->kind)->pipelined && expect_room(&s->waits) && e->end != EXPECT_UNSENT;
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
    session_tell(s, t, WIRE_ALL, PHASE_BODY, &r);
    t->told = true;
    session_finish(s, ENDED_ANSWERED);
}

static void convert(struct session *s, struct transaction *t)
{
    struct err e = { 0 };

    if (body_convert(&t->body, !s->up.eight_bit, &e) == 0)
        t->step = STEP_MAIL;
    else if (e.class == EX_DATAERR)
        refuse(s, t, 554, "5.6.3", "%s", e.text);
    else
        session_fail(s, WHY_IO, PHASE_BODY, "%s", e.text);
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
        session_command(s, EXPECT_RSET, t, 0, "RSET");
        return true;
    }
    if (s->up.size_known)
        snprintf(size, sizeof(size), " SIZE=%llu", (unsigned long long)t->wire_bytes);
    t->step = STEP_RCPT;
    session_command(s, EXPECT_MAIL, t, 0, "MAIL FROM:<%s>%s%s", transaction_name(t), size,
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
    session_command(s, EXPECT_RCPT, t, index, "RCPT TO:<%s>", transaction_name(t));
    return true;
}

static bool write_data(struct session *s, struct transaction *t)
{
    if (t->told)
        return false;
    t->step = STEP_WAIT;
    session_command(s, EXPECT_DATA, t, 0, "DATA");
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

struct transaction *session_writing(const struct session *s)
{
    return s->ahead < s->count ? &s->t[(s->first + s->ahead) % s->window] : NULL;
}

static bool write_next(struct session *s)
{
    struct transaction *t = session_writing(s);

    if (t != NULL)
        return writers[t->step](s, t);
    if (!s->quitting || !s->ready || s->waits.count > 0)
        return false;
    session_command(s, EXPECT_QUIT, NULL, 0, "QUIT");
    return true;
}

void session_pump(struct session *s)
{
    while (!s->over && s->commands.len < COMMANDS_FULL && pipe_open(s) && write_next(s))
        ;
}

/* RFC 2920 3.1: 354 though nobody was accepted is to be ended by a lone dot, whose reply means nothing. */
void session_lone_dot(struct session *s, struct transaction *t)
{
    session_command(s, EXPECT_DOT, t, 0, ".");
    t->step = STEP_SENT;
    s->ahead++;
}

void session_goodbye(struct session *s)
{
    bool whole = s->made == s->wrote;   /* not in the middle of a command */

    s->commands.at = s->commands.len = 0;
    if (whole) {
        memcpy(s->commands.bytes, "QUIT\r\n", 6);
        s->commands.len = 6;
    }
}
