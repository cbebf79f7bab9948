/* events: the way out of a session. A line of dialogue may be lost where too
 * many wait, a fate never: without memory for one the process ends, and the
 * keeper draws its conclusions from that. Called by the session alone. */
#include <config.h>

#include "spooler/courier/events.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

enum {
    EVENTS_FIRST = 16,
    EVENTS_MAX = 65536,                 /* the owner drains after every call; a call makes some hundred at most */
    SAID_MAX = 300,                     /* a group of 100 recipients, and its replies */
    TEXT_MAX = 512 * 1024
};

struct event {
    enum session_kind kind;
    enum phase phase;
    unsigned detail;                    /* wire_why, wire_ended, or index of a recipient */
    uint32_t flight;
    const struct wire_up *up;
    int code;
    unsigned lines;
    char enh[REPLY_ENH_MAX];
    size_t text;                        /* where in the text; NO_TEXT: there was no memory for it */
};
#define NO_TEXT SIZE_MAX

struct events {
    struct buf text;                    /* each with its NUL */
    unsigned first, count, room, said;
    struct event *at;
};

struct events *events_new(void)
{
    struct events *ev = calloc(1, sizeof(*ev));

    if (ev != NULL)
        ev->text.max = TEXT_MAX;
    return ev;
}

void events_free(struct events *ev)
{
    if (ev == NULL)
        return;
    buf_fini(&ev->text);
    free(ev->at);
    free(ev);
}

static void grow(struct events *ev)
{
    unsigned room = ev->room == 0 ? EVENTS_FIRST : ev->room * 2;
    struct event *at = room > EVENTS_MAX ? NULL : realloc(ev->at, room * sizeof(*at));

    if (at == NULL)
        abort();
    ev->at = at;
    ev->room = room;
}

static struct event *add(struct events *ev, enum session_kind kind, uint32_t flight)
{
    struct event *e;

    if (ev->first == ev->count) {       /* not before: the text of the last one may still be looked at */
        buf_clear(&ev->text);
        ev->first = ev->count = ev->said = 0;
    }
    if (ev->count == ev->room)
        grow(ev);
    e = &ev->at[ev->count++];
    *e = (struct event){ .kind = kind, .flight = flight, .text = NO_TEXT };
    return e;
}

static void reply_keep(struct events *ev, struct event *e, const struct reply *r)
{
    size_t at = ev->text.len;

    e->code = r->code;
    e->lines = r->lines;
    memcpy(e->enh, r->enh, sizeof(e->enh));
    if (buf_add(&ev->text, r->text, strlen(r->text) + 1))
        e->text = at;
}

void events_ready(struct events *ev, const struct wire_up *up)
{
    add(ev, SESSION_READY, 0)->up = up;
}

void events_rcpt(struct events *ev, uint32_t flight, uint16_t index, enum phase phase, const struct reply *r)
{
    struct event *e = add(ev, SESSION_RCPT, flight);

    e->detail = index;
    e->phase = phase;
    reply_keep(ev, e, r);
}

void events_done(struct events *ev, uint32_t flight, enum wire_ended ended)
{
    add(ev, SESSION_DONE, flight)->detail = ended;
}

void events_over(struct events *ev, enum wire_why why, enum phase phase, const struct reply *r)
{
    struct event *e = add(ev, SESSION_OVER, 0);

    e->detail = why;
    e->phase = phase;
    reply_keep(ev, e, r);
}

void events_said(struct events *ev, uint32_t flight, const char *prefix, const char *text, size_t len)
{
    size_t at, prefix_len = strlen(prefix);
    struct event *e;

    if (ev->first == ev->count)
        ev->said = 0;
    if (ev->said == SAID_MAX)
        return;
    e = add(ev, SESSION_SAID, flight);
    ev->said++;
    if (len > WIRE_TEXT_MAX - 1 - prefix_len)
        len = WIRE_TEXT_MAX - 1 - prefix_len;
    at = ev->text.len;
    if (buf_str(&ev->text, prefix) && buf_add(&ev->text, text, len) && buf_char(&ev->text, '\0'))
        e->text = at;
}

static const char *text_of(const struct events *ev, const struct event *e)
{
    return e->text == NO_TEXT ? "" : ev->text.data + e->text;
}

static void reply_give(const struct events *ev, const struct event *e, struct reply *r)
{
    const char *text = text_of(ev, e);

    r->code = e->code;
    r->lines = e->lines;
    memcpy(r->enh, e->enh, sizeof(r->enh));
    memcpy(r->text, text, strlen(text) + 1);
}

bool events_next(struct events *ev, struct session_event *out)
{
    const struct event *e;

    if (ev->first == ev->count)
        return false;
    e = &ev->at[ev->first++];
    out->kind = e->kind;
    switch (e->kind) {
    case SESSION_READY:
        out->u.up = *e->up;
        break;
    case SESSION_RCPT:
        out->u.rcpt.flight = e->flight;
        out->u.rcpt.index = (uint16_t)e->detail;
        out->u.rcpt.phase = e->phase;
        reply_give(ev, e, &out->u.rcpt.reply);
        break;
    case SESSION_DONE:
        out->u.done = (struct wire_done){ e->flight, (enum wire_ended)e->detail };
        break;
    case SESSION_SAID:
        out->u.said = (struct wire_said){ e->flight, text_of(ev, e) };
        break;
    case SESSION_OVER:
        out->u.fail.conn = 0;
        out->u.fail.why = (enum wire_why)e->detail;
        out->u.fail.phase = e->phase;
        out->u.fail.address = "";
        reply_give(ev, e, &out->u.fail.reply);
        break;
    }
    return true;
}
