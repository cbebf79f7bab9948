/* wire: the records of the link as bytes. Each kind is described once, by one
 * function that serves both directions, so what is written is what is read.
 * Owns no descriptor and makes no system call; channel.c moves the bytes. It
 * must never trust a record: the courier's side may be taken over. Numbers are
 * in host order, since both ends are the same program on the same machine. */
#include <config.h>

#include <string.h>

#include "common/address.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "common/log.h"
#include "spooler/link/wire.h"

enum {
    NAME_MAX_BYTES = 255,               /* of a domain or host name */
    ADDRESSES_MAX = 1000                /* of a list of network addresses */
};

/* Bytes go to OUT or, where that is NULL, come from IN. */
struct codec {
    struct buf *out;
    const char *in;
    size_t left;
    const char *wrong;                  /* the first thing that was, or NULL */
};

static void fault(struct codec *c, const char *what)
{
    if (c->wrong == NULL)
        c->wrong = what;
}

static void raw(struct codec *c, void *value, size_t size)
{
    if (c->wrong != NULL)
        return;
    if (c->out != NULL) {
        if (!buf_add(c->out, value, size))
            fault(c, "too long");
    } else if (c->left < size) {
        fault(c, "short");
    } else {
        memcpy(value, c->in, size);
        c->in += size;
        c->left -= size;
    }
}

static void u16(struct codec *c, uint16_t *v)
{
    uint16_t x = c->out != NULL ? *v : 0;

    raw(c, &x, sizeof(x));
    if (c->out == NULL)
        *v = x;
}

static void u32(struct codec *c, uint32_t *v)
{
    uint32_t x = c->out != NULL ? *v : 0;

    raw(c, &x, sizeof(x));
    if (c->out == NULL)
        *v = x;
}

static void u64(struct codec *c, uint64_t *v)
{
    uint64_t x = c->out != NULL ? *v : 0;

    raw(c, &x, sizeof(x));
    if (c->out == NULL)
        *v = x;
}

/* A number of 0..max; what is out of range never reaches the struct. */
static unsigned ranged(struct codec *c, unsigned value, unsigned max, const char *what)
{
    uint16_t x = 0;

    if (c->out != NULL && value <= max)
        x = (uint16_t)value;
    else if (c->out != NULL)
        fault(c, what);
    u16(c, &x);
    if (x > max) {
        fault(c, what);
        x = 0;
    }
    return x;
}

static void flag(struct codec *c, bool *v)
{
    bool x = ranged(c, c->out != NULL && *v, 1, "flag") != 0;

    if (c->out == NULL)
        *v = x;
}

static void phase(struct codec *c, enum phase *v, enum phase first, enum phase last)
{
    unsigned x = ranged(c, c->out != NULL ? *v : 0, last, "phase");

    if (x < first)
        fault(c, "phase");
    if (c->out == NULL)
        *v = (enum phase)x;
}

enum charset { ONE_LINE, LINES };

static bool text_valid(const char *s, size_t len, enum charset set)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char b = (unsigned char)s[i];
        if ((b < ' ' && !(b == '\n' && set == LINES)) || b == 0x7f)
            return false;
    }
    return true;
}

static void string_get(struct codec *c, const char **v, size_t max, enum charset set)
{
    uint16_t len = 0;

    *v = "";
    u16(c, &len);
    if (c->wrong != NULL)
        return;
    if (len > max)
        fault(c, "string too long");
    else if (c->left <= len)
        fault(c, "short");
    else if (c->in[len] != '\0' || !text_valid(c->in, len, set))
        fault(c, "bad bytes in a string");
    else {
        *v = c->in;
        c->in += len + 1;
        c->left -= (size_t)len + 1;
    }
}

static void string(struct codec *c, const char **v, size_t max, enum charset set)
{
    if (c->out == NULL) {
        string_get(c, v, max, set);
        return;
    }
    size_t n = strlen(*v);
    if (n > max)
        fault(c, "string too long");
    else if (!text_valid(*v, n, set))
        fault(c, "bad bytes in a string");
    else {
        uint16_t len = (uint16_t)n;
        u16(c, &len);
        if (c->wrong == NULL && !buf_add(c->out, *v, n + 1))
            fault(c, "too long");
    }
}

/* A string that lives in an array of the struct. */
static void chars(struct codec *c, char *v, size_t size, enum charset set)
{
    const char *p = v;

    string(c, &p, size - 1, set);
    if (c->out == NULL)
        memcpy(v, p, strlen(p) + 1);
}

static void reply_fields(struct codec *c, struct reply *r)
{
    bool put = c->out != NULL;
    unsigned code = ranged(c, put ? (unsigned)r->code : 0, 599, "reply code");
    unsigned lines = ranged(c, put ? r->lines : 0, REPLY_LINES_MAX, "reply lines");

    if (code != 0 && code < 200)
        fault(c, "reply code");
    if (!put) {
        r->code = (int)code;
        r->lines = lines;
    }
    chars(c, r->enh, sizeof(r->enh), ONE_LINE);
    chars(c, r->text, sizeof(r->text), LINES);
}

static void setup_fields(struct codec *c, struct wire_msg *m)
{
    struct wire_setup *s = &m->u.setup;
    unsigned family;

    string(c, &s->helo, NAME_MAX_BYTES, ONE_LINE);
    string(c, &s->resolver, NAME_MAX_BYTES, ONE_LINE);
    string(c, &s->source4, NAME_MAX_BYTES, ONE_LINE);
    string(c, &s->source6, NAME_MAX_BYTES, ONE_LINE);
    family = ranged(c, c->out != NULL ? s->family : 0, IP_6, "address family");
    if (c->out == NULL)
        s->family = family;
    u16(c, &s->mx_port);
    for (unsigned i = 0; i < PHASE_COUNT; i++)
        u32(c, &s->timeout_ms[i]);
}

static void lookup_fields(struct codec *c, struct wire_msg *m)
{
    u32(c, &m->u.lookup.query);
    string(c, &m->u.lookup.domain, NAME_MAX_BYTES, ONE_LINE);
    string(c, &m->u.lookup.self, NAME_MAX_BYTES, ONE_LINE);
}

static void dial_fields(struct codec *c, struct wire_msg *m)
{
    struct wire_dial *d = &m->u.dial;

    u32(c, &d->conn);
    string(c, &d->host, NAME_MAX_BYTES, ONE_LINE);
    string(c, &d->address, ADDRESSES_MAX, ONE_LINE);
    u16(c, &d->port);
    flag(c, &d->relay);
}

static void send_rcpts(struct codec *c, struct wire_msg *m)
{
    struct wire_send *s = &m->u.send;
    unsigned n = ranged(c, c->out != NULL ? s->nrcpt : 0, WIRE_RCPT_MAX, "number of recipients");

    if (n == 0)
        fault(c, "number of recipients");
    for (unsigned i = 0; i < n && c->wrong == NULL; i++) {
        const char *rcpt = c->out != NULL ? s->rcpt[i] : "";
        string(c, &rcpt, ADDRESS_MAX - 1, ONE_LINE);
        if (c->out == NULL)
            m->strings[i] = rcpt;
    }
    if (c->out == NULL) {
        s->nrcpt = n;
        s->rcpt = m->strings;
    }
}

static void send_fields(struct codec *c, struct wire_msg *m)
{
    struct wire_send *s = &m->u.send;

    u32(c, &s->conn);
    u32(c, &s->flight);
    string(c, &s->sender, ADDRESS_MAX - 1, ONE_LINE);
    u64(c, &s->message_at);
    u64(c, &s->disk_bytes);
    u64(c, &s->wire_bytes);
    u64(c, &s->longest_line);
    flag(c, &s->eight_bit);
    flag(c, &s->say);
    send_rcpts(c, m);
}

static void close_fields(struct codec *c, struct wire_msg *m)
{
    u32(c, &m->u.close);
}

static void route_hosts(struct codec *c, struct wire_msg *m)
{
    struct wire_route *r = &m->u.route;
    unsigned n = ranged(c, c->out != NULL ? r->nhost : 0, WIRE_HOST_MAX, "number of hosts");

    for (unsigned i = 0; i < n && c->wrong == NULL; i++) {
        struct wire_host host = { 0, "" };
        if (c->out != NULL)
            host = r->host[i];
        u16(c, &host.preference);
        string(c, &host.name, NAME_MAX_BYTES, ONE_LINE);
        if (c->out == NULL)
            m->hosts[i] = host;
    }
    if (c->out == NULL) {
        r->nhost = n;
        r->host = m->hosts;
    }
}

static void route_fields(struct codec *c, struct wire_msg *m)
{
    struct wire_route *r = &m->u.route;
    unsigned status;

    u32(c, &r->query);
    status = ranged(c, c->out != NULL ? r->status : 0, ROUTE_LOOP, "route status");
    if (c->out == NULL)
        r->status = (enum route_status)status;
    u32(c, &r->ttl_s);
    string(c, &r->text, WIRE_TEXT_MAX - 1, LINES);
    route_hosts(c, m);
}

static void up_fields(struct codec *c, struct wire_msg *m)
{
    struct wire_up *u = &m->u.up;

    u32(c, &u->conn);
    string(c, &u->address, NAME_MAX_BYTES, ONE_LINE);
    flag(c, &u->pipelining);
    flag(c, &u->eight_bit);
    flag(c, &u->chunking);
    flag(c, &u->dsn);
    flag(c, &u->size_known);
    u64(c, &u->size_limit);
}

static void fail_fields(struct codec *c, struct wire_msg *m)
{
    struct wire_fail *f = &m->u.fail;
    unsigned why;

    u32(c, &f->conn);
    why = ranged(c, c->out != NULL ? f->why : 0, WHY_COUNT - 1, "reason");
    if (c->out == NULL)
        f->why = (enum wire_why)why;
    phase(c, &f->phase, PHASE_DNS, PHASE_COUNT - 1);
    reply_fields(c, &f->reply);
    string(c, &f->address, NAME_MAX_BYTES, ONE_LINE);
}

/* What may be said of a recipient: refused anywhere, delivered only at the end. */
static bool rcpt_answer_valid(const struct wire_rcpt *r)
{
    int class = r->reply.code / 100;

    return class == 4 || class == 5 || (class == 2 && r->phase == PHASE_EOM);
}

static void rcpt_fields(struct codec *c, struct wire_msg *m)
{
    struct wire_rcpt *r = &m->u.rcpt;

    u32(c, &r->flight);
    u16(c, &r->index);
    phase(c, &r->phase, PHASE_MAIL, PHASE_EOM);
    reply_fields(c, &r->reply);
    if (r->index >= WIRE_RCPT_MAX && r->index != WIRE_ALL)
        fault(c, "index of a recipient");
    if (!rcpt_answer_valid(r))
        fault(c, "no answer of a recipient");
}

static void done_fields(struct codec *c, struct wire_msg *m)
{
    unsigned ended;

    u32(c, &m->u.done.flight);
    ended = ranged(c, c->out != NULL ? m->u.done.ended : 0, ENDED_IN_DOUBT, "end of a flight");
    if (c->out == NULL)
        m->u.done.ended = (enum wire_ended)ended;
}

static void said_fields(struct codec *c, struct wire_msg *m)
{
    u32(c, &m->u.said.flight);
    string(c, &m->u.said.text, WIRE_TEXT_MAX - 1, ONE_LINE);
}

static void log_fields(struct codec *c, struct wire_msg *m)
{
    unsigned level = ranged(c, c->out != NULL ? m->u.log.level : 0, LEVEL_DEBUG, "log level");

    if (c->out == NULL)
        m->u.log.level = level;
    string(c, &m->u.log.text, WIRE_TEXT_MAX - 1, ONE_LINE);
}

static const struct {
    const char *name;
    void (*fields)(struct codec *, struct wire_msg *);
} kinds[WIRE_KIND_END] = {
    [WIRE_SETUP] = { "setup", setup_fields },
    [WIRE_LOOKUP] = { "lookup", lookup_fields },
    [WIRE_DIAL] = { "dial", dial_fields },
    [WIRE_SEND] = { "send", send_fields },
    [WIRE_CLOSE] = { "close", close_fields },
    [WIRE_ROUTE] = { "route", route_fields },
    [WIRE_UP] = { "up", up_fields },
    [WIRE_FAIL] = { "fail", fail_fields },
    [WIRE_RCPT] = { "rcpt", rcpt_fields },
    [WIRE_DONE] = { "done", done_fields },
    [WIRE_CLOSED] = { "closed", fail_fields },
    [WIRE_SAID] = { "said", said_fields },
    [WIRE_LOG] = { "log", log_fields },
};

static bool kind_known(unsigned kind)
{
    return kind < WIRE_KIND_END && kinds[kind].fields != NULL;
}

bool wire_put(struct buf *out, const struct wire_msg *msg)
{
    struct codec c = { .out = out };

    buf_clear(out);
    if (!kind_known(msg->kind))
        return false;
    uint16_t kind = (uint16_t)msg->kind;
    u16(&c, &kind);
    kinds[kind].fields(&c, (struct wire_msg *)msg);     /* only read while OUT is set */
    return c.wrong == NULL && out->len <= WIRE_MAX;
}

int wire_get(const void *rec, size_t len, struct wire_msg *msg_r, struct err *e)
{
    struct codec c = { .in = rec, .left = len };
    uint16_t kind = 0;

    if (len > WIRE_MAX)
        fault(&c, "too long");
    u16(&c, &kind);
    if (c.wrong == NULL && !kind_known(kind))
        return err_set(e, EX_PROTOCOL, "link: record of unknown kind %u", kind);
    if (c.wrong == NULL) {
        msg_r->kind = (enum wire_kind)kind;
        kinds[kind].fields(&c, msg_r);
    }
    if (c.wrong == NULL && c.left > 0)
        fault(&c, "bytes left over");
    if (c.wrong != NULL)
        return err_set(e, EX_PROTOCOL, "link: bad %s record: %s", wire_kind_name((enum wire_kind)kind), c.wrong);
    return 0;
}

const char *wire_kind_name(enum wire_kind kind)
{
    return kind_known(kind) ? kinds[kind].name : "unknown";
}

const char *wire_why_name(enum wire_why why)
{
    static const char *const names[WHY_COUNT] = {
        [WHY_ASKED] = "asked", [WHY_REPLY] = "reply", [WHY_REFUSED] = "refused", [WHY_TIMEOUT] = "timeout",
        [WHY_DROPPED] = "dropped", [WHY_PROTOCOL] = "protocol", [WHY_UNREACHABLE] = "unreachable", [WHY_DNS] = "dns",
        [WHY_NO_ADDRESS] = "no_address", [WHY_IO] = "io",
    };

    return (unsigned)why < WHY_COUNT ? names[why] : "unknown";
}
