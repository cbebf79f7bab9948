/* The scripted world around a real keeper. */
#include <config.h>

#include "tests/unit/world.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "common/config.h"
#include "common/envelope.h"
#include "common/err.h"
#include "common/log.h"
#include "common/spool.h"
#include "spooler/link/channel.h"

enum { CONNS = 4096, PATH_SIZE = 1200, LOG_SHOWN = 4000 };

struct world_inside {
    char dir[64];
    char *conf;
    enum keeper_mode mode;
    struct spool *spool;
    struct log *log;
    struct channel *far;
    char path[PATH_SIZE];
    struct { bool up; char host[100]; } conn[CONNS];
    struct wire_msg late;               /* kind 0: nothing */
    uint32_t random;
};

static void die(const struct err *err)
{
    ck_abort_msg("%s", err->text);
}

/* ---- the courier's side ------------------------------------------------------- */

static void say(struct world *w, const struct wire_msg *m)
{
    struct err err = { 0 };

    if (w->in->far != NULL && channel_send(w->in->far, m, -1, &err) == -1 && err.class == EX_SOFTWARE)
        die(&err);
}

static void end_conn(struct world *w, uint32_t conn, enum wire_why why, enum phase phase, const char *text)
{
    struct wire_msg m = { .kind = WIRE_CLOSED };

    m.u.fail = (struct wire_fail){ .conn = conn, .why = why, .phase = phase, .address = "192.0.2.1" };
    if (why == WHY_REPLY)
        ck_assert(reply_parse(text, &m.u.fail.reply));
    else
        strlcpy(m.u.fail.reply.text, text, sizeof m.u.fail.reply.text);
    w->in->conn[conn % CONNS].up = false;
    if (w->script.late && w->in->late.kind == 0)
        w->in->late = m;
    else
        say(w, &m);
}

static void end_late(struct world *w)
{
    if (w->in->late.kind != 0)
        say(w, &w->in->late);
    w->in->late.kind = 0;
}

static void done(struct world *w, uint32_t flight, enum wire_ended ended)
{
    say(w, &(struct wire_msg){ .kind = WIRE_DONE, .u.done = { .flight = flight, .ended = ended } });
}

static void tell(struct world *w, uint32_t flight, unsigned index, enum phase phase, const char *text)
{
    struct wire_msg m = { .kind = WIRE_RCPT };

    m.u.rcpt = (struct wire_rcpt){ .flight = flight, .index = (uint16_t)index, .phase = phase };
    ck_assert_msg(reply_parse(text, &m.u.rcpt.reply), "not a reply: %s", text);
    say(w, &m);
}

static struct world_try *note_try(struct world *w, const struct wire_send *s, unsigned i)
{
    struct world_try *t = &w->tried[w->ntried++];

    ck_assert_uint_lt(w->ntried, WORLD_TRIES);
    *t = (struct world_try){ .at = w->now, .conn = s->conn };
    strlcpy(t->sender, s->sender, sizeof t->sender);
    strlcpy(t->rcpt, s->rcpt[i], sizeof t->rcpt);
    strlcpy(t->host, w->in->conn[s->conn % CONNS].host, sizeof t->host);
    return t;
}

/* Answers one transaction; a 421, a cut or a doubt ends the connection. */
static void on_send(struct world *w, const struct wire_send *s)
{
    bool over = false;

    if (!w->in->conn[s->conn % CONNS].up) {
        done(w, s->flight, ENDED_NOT_SENT);
        return;
    }
    for (unsigned i = 0; i < s->nrcpt && !over; i++) {
        const char *text = w->script.reply(w, s->rcpt[i], world_tries(w, s->rcpt[i], 0));
        struct world_try *t = note_try(w, s, i);

        over = strcmp(text, "cut") == 0 || strcmp(text, "doubt") == 0 || strncmp(text, "421", 3) == 0;
        if (!over || text[0] == '4') {
            t->code = atoi(text);
            tell(w, s->flight, i, t->code < 300 ? PHASE_EOM : PHASE_RCPT, text);
        }
        if (!over)
            continue;
        done(w, s->flight, strcmp(text, "doubt") == 0 ? ENDED_IN_DOUBT : ENDED_NOT_SENT);
        end_conn(w, s->conn, text[0] == '4' ? WHY_REPLY : WHY_DROPPED, text[0] == 'd' ? PHASE_EOM : PHASE_RCPT, text);
    }
    if (!over)
        done(w, s->flight, ENDED_ANSWERED);
}

static void on_dial(struct world *w, const struct wire_dial *d)
{
    const char *text = w->script.dial == NULL ? "" : w->script.dial(w, d->host, w->dials);
    struct wire_msg m = { .kind = WIRE_UP };

    w->dials++;
    if (text[0] == '\0') {
        ck_assert_msg(!w->in->conn[d->conn % CONNS].up, "too many connections for this world");
        w->in->conn[d->conn % CONNS].up = true;
        strlcpy(w->in->conn[d->conn % CONNS].host, d->host, sizeof w->in->conn[0].host);
        m.u.up = (struct wire_up){ .conn = d->conn, .address = "192.0.2.1", .pipelining = true, .eight_bit = true };
    } else {
        m.kind = WIRE_FAIL;
        m.u.fail = (struct wire_fail){ .conn = d->conn, .address = "192.0.2.1", .phase = PHASE_CONNECT, .why = WHY_REFUSED };
        if (strcmp(text, "unreachable") == 0)
            m.u.fail.why = WHY_UNREACHABLE;
        else if (strcmp(text, "refused") != 0) {
            m.u.fail.why = WHY_REPLY;
            m.u.fail.phase = PHASE_BANNER;
        }
        if (m.u.fail.why == WHY_REPLY)
            ck_assert(reply_parse(text, &m.u.fail.reply));
        else
            strlcpy(m.u.fail.reply.text, text, sizeof m.u.fail.reply.text);
    }
    say(w, &m);
}

static void on_lookup(struct world *w, const struct wire_lookup *l)
{
    const char *text = w->script.route == NULL ? NULL : w->script.route(w, l->domain);
    struct wire_msg m = { .kind = WIRE_ROUTE };
    struct wire_host host[8];
    char mx[200], words[500];
    unsigned n = 0;

    w->lookups++;
    m.u.route = (struct wire_route){ .query = l->query, .status = ROUTE_OK, .ttl_s = 3600, .text = "", .host = host };
    if (text == NULL) {
        snprintf(mx, sizeof mx, "mx.%s", l->domain);
        host[n++] = (struct wire_host){ .preference = 10, .name = mx };
    } else if (strcmp(text, "nxdomain") == 0 || strcmp(text, "temp") == 0) {
        m.u.route.status = text[0] == 'n' ? ROUTE_NO_DOMAIN : ROUTE_TEMP;
        m.u.route.text = text[0] == 'n' ? "no such domain" : "the name servers do not answer";
    } else {
        char *rest = words, *word;

        strlcpy(words, text, sizeof words);
        while ((word = strsep(&rest, " ")) != NULL && rest != NULL) {
            host[n].preference = (uint16_t)atoi(word);
            host[n++].name = strsep(&rest, " ");
        }
    }
    m.u.route.nhost = n;
    say(w, &m);
}

/* Plays the courier until it has nothing to say. */
static bool pump(struct world *w)
{
    bool any = false;

    const struct wire_msg *m;
    struct err err = { 0 };
    int fd, rc;

    end_late(w);
    while (w->in->far != NULL && (rc = channel_recv(w->in->far, &m, &fd, &err)) != 0) {
        if (rc == -1) {
            ck_assert_msg(err.class == EX_UNAVAILABLE, "the keeper said what it may not: %s", err.text);
            channel_free(w->in->far);
            w->in->far = NULL;
            return true;
        }
        any = true;
        if (m->kind == WIRE_LOOKUP)
            on_lookup(w, &m->u.lookup);
        else if (m->kind == WIRE_DIAL)
            on_dial(w, &m->u.dial);
        else if (m->kind == WIRE_SEND)
            on_send(w, &m->u.send);
        else if (m->kind == WIRE_CLOSE && w->in->conn[m->u.close % CONNS].up)
            end_conn(w, m->u.close, WHY_ASKED, PHASE_QUIT, "");
        if (fd != -1)
            close(fd);
    }
    if (w->in->far != NULL && channel_waiting(w->in->far))
        channel_flush(w->in->far, NULL);
    return any || w->in->late.kind != 0;
}

static int start_courier(void *arg, struct err *err)
{
    struct world *w = arg;
    int fds[2];

    channel_free(w->in->far);
    memset(w->in->conn, 0, sizeof w->in->conn);
    w->in->late.kind = 0;
    if (channel_pair(fds, err) == -1 || (w->in->far = channel_new(fds[1], err)) == NULL)
        return -1;
    return fds[0];
}

void world_kill_courier(struct world *w)
{
    channel_free(w->in->far);
    w->in->far = NULL;
}

/* ---- the world -------------------------------------------------------------------- */

static void start_keeper(struct world *w)
{
    struct keeper_options opt = { .mode = w->in->mode, .spool = w->in->spool, .log = w->in->log, .random = ++w->in->random,
        .courier = start_courier, .arg = w };
    struct config *config = NULL;
    struct err err = { 0 };

    if (config_parse("test.conf", w->in->conf, strlen(w->in->conf), &config, &err) == -1)
        die(&err);
    if ((w->keeper = keeper_new(&opt, config, w->now, &err)) == NULL)
        die(&err);
}

struct world *world_new(const char *conf, enum keeper_mode mode, const struct world_script *script)
{
    struct world *w = calloc(1, sizeof *w);
    struct err err = { 0 };
    char spool[100];

    ck_assert_ptr_nonnull(w);
    w->in = calloc(1, sizeof *w->in);
    w->tried = calloc(WORLD_TRIES, sizeof *w->tried);
    ck_assert(w->in != NULL && w->tried != NULL);
    w->script = *script;
    w->log.max = 64 * 1024 * 1024;
    w->now = (struct now){ .wall = { 1800000000000 }, .mono = { 5000000 } };
    strlcpy(w->in->dir, "/tmp/abide-world-XXXXXX", sizeof w->in->dir);
    ck_assert_ptr_nonnull(mkdtemp(w->in->dir));
    snprintf(spool, sizeof spool, "%s/spool", w->in->dir);
    ck_assert_int_gt(asprintf(&w->in->conf, "hostname me.example\nspool %s\n%s", spool, conf), 0);
    w->in->mode = mode;
    w->in->random = 41;
    if (spool_make(spool, &err) == -1 || spool_open(spool, &w->in->spool, &err) == -1)
        die(&err);
    w->in->log = log_capture(&w->log);
    start_keeper(w);
    return w;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void world_free(struct world *w)
{
    keeper_free(w->keeper);
    channel_free(w->in->far);
    log_free(w->in->log);
    spool_free(w->in->spool);
    nftw(w->in->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w->in->conf);
    free(w->in);
    free(w->tried);
    buf_fini(&w->log);
    free(w);
}

void world_restart(struct world *w)
{
    keeper_free(w->keeper);
    channel_free(w->in->far);
    w->in->far = NULL;
    start_keeper(w);
}

struct msgid world_submit(struct world *w, const char *sender, const char *rcpts)
{
    struct envelope e = { .accepted = w->now.wall, .accepted_mono = w->now.mono, .uid = getuid() };
    struct buf head = BUF_INIT(1024 * 1024);
    char *words = strdup(rcpts), *rest = words, *word;
    const char text[] = "From: a@me.example\nSubject: test\n\nhello\n";
    struct draft *d = NULL;
    struct err err = { 0 };
    struct msgid id;

    clock_boot(e.boot);
    e.user = strdup("tester");
    e.protocol = strdup("local");
    e.sender = strdup(sender);
    while ((word = strsep(&rest, " ")) != NULL)
        envelope_add_rcpt(&e, word, &err);
    if (envelope_print(&e, &head, &err) == -1 || draft_new(w->in->spool, w->now, 0, &d, &err) == -1)
        die(&err);
    id = *draft_id(d);
    e.size = (struct envelope_size){ .disk_bytes = sizeof text - 1, .wire_bytes = sizeof text + 3, .longest_line = 18 };
    if (draft_write(d, head.data, head.len, &err) == -1 || draft_write(d, text, sizeof text - 1, &err) == -1 || draft_commit(d, &e.size, &err) == -1)
        die(&err);
    spool_wake(w->in->spool, "n\n", NULL);
    envelope_fini(&e);
    buf_fini(&head);
    free(words);
    return id;
}

void world_run(struct world *w, int64_t ms)
{
    int64_t end = w->now.mono.ms + ms;
    unsigned idle = 0;

    while (!keeper_done(w->keeper)) {
        int64_t next;

        keeper_step(w->keeper, w->now);
        if (pump(w)) {
            idle = 0;
            continue;
        }
        next = keeper_next(w->keeper).ms;
        if (next <= w->now.mono.ms) {
            ck_assert_msg(++idle < 10000, "the keeper spins at one moment");
            continue;
        }
        idle = 0;
        if (next > end)
            break;
        w->now.wall.ms += next - w->now.mono.ms;
        w->now.mono.ms = next;
    }
    if (keeper_done(w->keeper))
        keeper_close(w->keeper);
    else {
        w->now.wall.ms += end - w->now.mono.ms;
        w->now.mono.ms = end;
    }
}

/* ---- what is seen -------------------------------------------------------------------- */

static unsigned walk(const char *path, char last[256])
{
    DIR *dir = opendir(path);
    struct dirent *e;
    unsigned n = 0;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char below[PATH_SIZE];

        if (e->d_name[0] == '.')
            continue;
        snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        if (e->d_type == DT_DIR)
            n += walk(below, last);
        else {
            strlcpy(last, e->d_name, 256);
            n++;
        }
    }
    if (dir != NULL)
        closedir(dir);
    return n;
}

const char *world_path(struct world *w, const char *below)
{
    snprintf(w->in->path, sizeof w->in->path, "%s/spool/%s", w->in->dir, below);
    return w->in->path;
}

unsigned world_count(struct world *w, const char *folder)
{
    char path[PATH_SIZE], last[256];

    snprintf(path, sizeof path, "%s/spool/%s", w->in->dir, folder);
    return walk(path, last);
}

struct qname world_name(struct world *w, const char *folder)
{
    char path[PATH_SIZE], last[256] = "";
    struct qname q = { 0 };

    snprintf(path, sizeof path, "%s/spool/%s", w->in->dir, folder);
    ck_assert_uint_eq(walk(path, last), 1);
    ck_assert_msg(qname_parse(last, &q), "not a queue name: %s", last);
    return q;
}

const char *world_log(const struct world *w)
{
    return w->log.len > LOG_SHOWN ? w->log.data + w->log.len - LOG_SHOWN : w->log.data;
}

unsigned world_tries(const struct world *w, const char *rcpt, int code)
{
    unsigned n = 0;

    for (size_t i = 0; i < w->ntried; i++)
        n += strcmp(w->tried[i].rcpt, rcpt) == 0 && (code == 0 || w->tried[i].code == code);
    return n;
}

unsigned world_logged_times(const struct world *w, const char *text)
{
    unsigned n = 0;

    for (const char *at = w->log.data; at != NULL && (at = strstr(at, text)) != NULL; at += strlen(text))
        n++;
    return n;
}

bool world_logged(const struct world *w, const char *text)
{
    return world_logged_times(w, text) > 0;
}
