/* courier_drive: plays the keeper to a real courier, by hand: a line on stdin
 * is a record sent, a line on stdout is one received (blank-separated words,
 * text behind " | "). For tests/system/courier.py.
 *
 *   setup [helo=NAME] [resolver=A:P] [source4=A] [source6=A] [ip=4|6|both] [PHASE=MS] [all=MS]
 *   lookup QUERY DOMAIN SELF          close CONN
 *   dial CONN HOST PORT mx|relay [ADDRESS...]
 *   send CONN FLIGHT FILE SENDER|<> RCPT... [say]
 *   flood MESSAGES FILE               on all connections that are up, two at a time; "flooded MESSAGES MS"
 *   deaf, listen                      stop reading the link, and begin again
 *   finish                            close the sending side; end: all of it
 */
#include <config.h>

#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/err.h"
#include "spooler/courier/courier.h"
#include "spooler/link/channel.h"

enum { WORDS_MAX = 300, LINE_SIZE = 65536, CONNS_MAX = 1000, FLOOD_AHEAD = 2 };

struct drive {
    struct channel *channel;
    bool deaf;
    char line[LINE_SIZE];
    size_t len;
    unsigned up[CONNS_MAX], nup;
    unsigned flood, flood_done, flood_total;
    char *flood_file;
    int64_t flood_began_ms;
    uint32_t flight;
    uint64_t bytes, wire_bytes, longest;        /* of the message file */
    bool eight_bit;
};

__attribute__((noreturn))
static void die(const char *what)
{
    fprintf(stderr, "courier_drive: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void emit(struct drive *d, const struct wire_msg *m, int fd)
{
    struct err e;

    if (channel_send(d->channel, m, fd, &e) == -1)
        printf("unsent %s\n", e.text);
}

static unsigned number(const char *word)
{
    return (unsigned)strtoul(word, NULL, 10);
}

static void setup_word(struct wire_setup *s, char *word)
{
    char *value = strchr(word, '=');
    enum phase phase;

    if (value == NULL)
        return;
    *value++ = '\0';
    if (strcmp(word, "helo") == 0)
        s->helo = value;
    else if (strcmp(word, "resolver") == 0)
        s->resolver = value;
    else if (strcmp(word, "source4") == 0)
        s->source4 = value;
    else if (strcmp(word, "source6") == 0)
        s->source6 = value;
    else if (strcmp(word, "ip") == 0)
        s->family = value[0] == '4' ? IP_4 : value[0] == '6' ? IP_6 : IP_BOTH;
    else
        for (phase = 0; phase < PHASE_COUNT; phase++)
            if (strcmp(word, "all") == 0 || strcmp(word, phase_name(phase)) == 0)
                s->timeout_ms[phase] = number(value);
}

static void do_setup(struct drive *d, char **word, unsigned n)
{
    struct wire_msg m = { .kind = WIRE_SETUP, .u.setup = { .helo = "", .resolver = "", .source4 = "", .source6 = "", .mx_port = 25 } };

    for (unsigned i = 0; i < PHASE_COUNT; i++)
        m.u.setup.timeout_ms[i] = 20000;
    for (unsigned i = 1; i < n; i++)
        setup_word(&m.u.setup, word[i]);
    emit(d, &m, -1);
}

static void do_lookup(struct drive *d, char **word, unsigned n)
{
    struct wire_msg m = { .kind = WIRE_LOOKUP, .u.lookup = { number(word[1]), word[2], n > 3 ? word[3] : "" } };

    emit(d, &m, -1);
}

static void do_dial(struct drive *d, char **word, unsigned n)
{
    char address[1000] = "";
    struct wire_msg m = { .kind = WIRE_DIAL, .u.dial = { .conn = number(word[1]), .host = word[2], .address = address,
        .port = (uint16_t)number(word[3]), .relay = strcmp(word[4], "relay") == 0 } };

    for (unsigned i = 5; i < n; i++) {
        strlcat(address, i > 5 ? " " : "", sizeof(address));
        strlcat(address, word[i], sizeof(address));
    }
    emit(d, &m, -1);
}

/* What the front would have written into the header. */
static void measure(struct drive *d, const char *file)
{
    FILE *f = fopen(file, "r");
    uint64_t line = 0;

    if (f == NULL)
        die(file);
    d->bytes = d->wire_bytes = d->longest = 0;
    d->eight_bit = false;
    for (int c; (c = getc(f)) != EOF; d->bytes++) {
        line = c == '\n' ? 0 : line + 1;
        d->longest = line > d->longest ? line : d->longest;
        d->wire_bytes += c == '\n' ? 2 : 1;
        d->eight_bit = d->eight_bit || c >= 0x80;
    }
    d->wire_bytes += line > 0 ? 2 : 0;
    fclose(f);
}

/* FILE is the one measured last. */
static void send_file(struct drive *d, const struct wire_send *s, const char *file)
{
    struct wire_msg m = { .kind = WIRE_SEND, .u.send = *s };
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    if (fd == -1)
        die(file);
    m.u.send.disk_bytes = d->bytes;
    m.u.send.wire_bytes = d->wire_bytes;
    m.u.send.longest_line = d->longest;
    m.u.send.eight_bit = d->eight_bit;
    emit(d, &m, fd);
}

static void do_send(struct drive *d, char **word, unsigned n)
{
    bool say = strcmp(word[n - 1], "say") == 0;
    struct wire_send s = { .conn = number(word[1]), .flight = number(word[2]), .sender = strcmp(word[4], "<>") == 0 ? "" : word[4],
        .say = say, .nrcpt = n - 5 - say, .rcpt = (const char *const *)word + 5 };

    measure(d, word[3]);
    send_file(d, &s, word[3]);
}

static void do_close(struct drive *d, char **word, unsigned n)
{
    struct wire_msg m = { .kind = WIRE_CLOSE, .u.close = number(word[1]) };

    (void)n;
    emit(d, &m, -1);
}

static void flood_one(struct drive *d, unsigned conn)
{
    static const char *const rcpt[] = { "r@example.com" };
    struct wire_send s = { .conn = conn, .flight = ++d->flight, .sender = "s@example.org", .nrcpt = 1, .rcpt = rcpt };

    if (d->flood == 0)
        return;
    d->flood--;
    /* Which connection a flight was on: the keeper knows; here its number tells. */
    s.flight = d->flight = (d->flight / CONNS_MAX + 1) * CONNS_MAX + conn;
    send_file(d, &s, d->flood_file);
}

static void do_flood(struct drive *d, char **word, unsigned n)
{
    (void)n;
    d->flood = d->flood_total = number(word[1]);
    free(d->flood_file);
    d->flood_file = strdup(word[2]);
    measure(d, word[2]);
    d->flood_done = 0;
    d->flood_began_ms = clock_now().mono.ms;
    for (unsigned ahead = 0; ahead < FLOOD_AHEAD; ahead++)
        for (unsigned i = 0; i < d->nup; i++)
            flood_one(d, d->up[i]);
}

static void do_deaf(struct drive *d, char **word, unsigned n)
{
    (void)n;
    d->deaf = strcmp(word[0], "deaf") == 0;
}

static void do_finish(struct drive *d, char **word, unsigned n)
{
    (void)word;
    (void)n;
    channel_finish(d->channel);
}

static void do_end(struct drive *d, char **word, unsigned n)
{
    (void)word;
    (void)n;
    channel_free(d->channel);
    d->channel = NULL;
}

static const struct {
    const char *name;
    unsigned words;
    void (*fn)(struct drive *, char **word, unsigned n);
} commands[] = {
    { "setup", 1, do_setup }, { "lookup", 3, do_lookup }, { "dial", 5, do_dial }, { "send", 6, do_send }, { "close", 2, do_close },
    { "flood", 3, do_flood }, { "deaf", 1, do_deaf }, { "listen", 1, do_deaf }, { "finish", 1, do_finish }, { "end", 1, do_end },
};

static void command(struct drive *d, char *line)
{
    char *word[WORDS_MAX];
    unsigned n = 0;

    for (char *w; n < WORDS_MAX && (w = strsep(&line, " ")) != NULL;)
        if (*w != '\0')
            word[n++] = w;
    for (size_t i = 0; n > 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(word[0], commands[i].name) == 0 && n >= commands[i].words) {
            commands[i].fn(d, word, n);
            return;
        }
    printf("what? %s\n", n > 0 ? word[0] : "");
}

/* False: end of input. */
static bool input(struct drive *d)
{
    ssize_t n = read(STDIN_FILENO, d->line + d->len, sizeof(d->line) - d->len - 1);
    char *end, *at = d->line;

    if (n <= 0)
        return false;
    d->len += (size_t)n;
    d->line[d->len] = '\0';
    while (d->channel != NULL && (end = strchr(at, '\n')) != NULL) {
        *end = '\0';
        command(d, at);
        at = end + 1;
    }
    d->len -= (size_t)(at - d->line);
    memmove(d->line, at, d->len);
    return true;
}

static void show_route(const struct wire_route *r)
{
    static const char *const names[] = { "ok", "temp", "local", "no_domain", "no_host", "null_mx", "loop" };

    printf("route %u %s %u", r->query, names[r->status], r->ttl_s);
    for (unsigned i = 0; i < r->nhost; i++)
        printf(" %u:%s", r->host[i].preference, r->host[i].name);
    printf(" | %s\n", r->text);
}

static void show_text(const struct reply *r)
{
    char line[2 * REPLY_TEXT_MAX];

    printf(" %d | %s\n", r->code, r->code != 0 ? reply_format(r, line, sizeof(line)) : r->text);
}

static void show_fail(struct drive *d, const char *what, const struct wire_fail *f)
{
    for (unsigned i = 0; i < d->nup; i++)
        if (d->up[i] == f->conn)
            d->up[i--] = d->up[--d->nup];
    printf("%s %u %s %s %s", what, f->conn, wire_why_name(f->why), phase_name(f->phase), f->address[0] != '\0' ? f->address : "-");
    show_text(&f->reply);
}

static void show_up(struct drive *d, const struct wire_up *u)
{
    if (d->nup < CONNS_MAX)
        d->up[d->nup++] = u->conn;
    printf("up %u %s%s%s%s%s%s %llu\n", u->conn, u->address, u->pipelining ? " pipelining" : "", u->eight_bit ? " 8bit" : "",
        u->chunking ? " chunking" : "", u->dsn ? " dsn" : "", u->size_known ? " size" : "", (unsigned long long)u->size_limit);
}

static void show_done(struct drive *d, const struct wire_done *f)
{
    static const char *const names[] = { "answered", "not_sent", "in_doubt" };

    if (d->flood_total == 0) {
        printf("done %u %s\n", f->flight, names[f->ended]);
        return;
    }
    flood_one(d, f->flight % CONNS_MAX);
    if (++d->flood_done < d->flood_total)
        return;
    printf("flooded %u %lld\n", d->flood_total, (long long)(clock_now().mono.ms - d->flood_began_ms));
    d->flood_total = 0;
}

static void show(struct drive *d, const struct wire_msg *m)
{
    switch (m->kind) {
    case WIRE_ROUTE:
        show_route(&m->u.route);
        break;
    case WIRE_UP:
        show_up(d, &m->u.up);
        break;
    case WIRE_FAIL:
    case WIRE_CLOSED:
        show_fail(d, wire_kind_name(m->kind), &m->u.fail);
        break;
    case WIRE_RCPT:
        if (d->flood_total != 0 && m->u.rcpt.reply.code / 100 == 2)
            break;
        printf("rcpt %u %d %s", m->u.rcpt.flight, m->u.rcpt.index == WIRE_ALL ? -1 : m->u.rcpt.index, phase_name(m->u.rcpt.phase));
        show_text(&m->u.rcpt.reply);
        break;
    case WIRE_DONE:
        show_done(d, &m->u.done);
        break;
    case WIRE_SAID:
        printf("said %u | %s\n", m->u.said.flight, m->u.said.text);
        break;
    case WIRE_LOG:
        printf("log %u | %s\n", m->u.log.level, m->u.log.text);
        break;
    default:
        printf("%s?\n", wire_kind_name(m->kind));
        break;
    }
}

static void receive(struct drive *d)
{
    const struct wire_msg *m;
    struct err e;
    int fd, got = 1;

    for (unsigned i = 0; i < 1000 && d->channel != NULL && (got = channel_recv(d->channel, &m, &fd, &e)) == 1; i++)
        show(d, m);
    if (got == -1) {
        printf("lost | %s\n", e.text);
        channel_free(d->channel);
        d->channel = NULL;
    }
    if (d->channel != NULL && channel_waiting(d->channel))
        (void)channel_flush(d->channel, &e);
    fflush(stdout);
}

static void run(struct drive *d)
{
    while (d->channel != NULL) {
        short link = (short)((d->deaf ? 0 : POLLIN) | (channel_waiting(d->channel) ? POLLOUT : 0));
        struct pollfd p[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = link != 0 ? channel_fd(d->channel) : -1, .events = link } };
        if (poll(p, 2, 60000) <= 0 || (p[0].revents != 0 && !input(d)))
            break;
        if (p[1].revents != 0 && d->channel != NULL)
            receive(d);
        fflush(stdout);
    }
}

int main(void)
{
    static struct drive d;
    struct err e;
    int fds[2], status;
    pid_t pid;

    if (channel_pair(fds, &e) == -1 || (pid = fork()) == -1)
        die("start");
    if (pid == 0) {
        close(fds[0]);
        close(STDIN_FILENO);
        exit(courier_main(fds[1]));
    }
    close(fds[1]);
    if ((d.channel = channel_new(fds[0], &e)) == NULL)
        die("link");
    printf("pid %d\n", (int)pid);
    fflush(stdout);
    run(&d);
    channel_free(d.channel);
    if (waitpid(pid, &status, 0) == -1)
        die("wait");
    if (WIFEXITED(status))
        printf("exit %d\n", WEXITSTATUS(status));
    else
        printf("signal %d\n", WTERMSIG(status));
    free(d.flood_file);
    return 0;
}
