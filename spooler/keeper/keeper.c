/* The keeper's step: reads what came (courier, wake), files what is new, looks at
 * what is due, serves the rings, records outcomes, and says when it wants to be
 * called again. Holds the parts together; each decision is in one of them. */
#include <config.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "spooler/keeper/child.h"
#include "spooler/keeper/context.h"
#include "spooler/keeper/dispatch.h"
#include "spooler/keeper/filing.h"
#include "spooler/keeper/flight.h"
#include "spooler/keeper/forget.h"
#include "spooler/keeper/hints.h"
#include "spooler/keeper/ring.h"
#include "spooler/keeper/wake.h"
#include "spooler/link/channel.h"
#include "spooler/policy/plan.h"

enum {
    LOOKS = 500,                        /* domains looked at in one step */
    WITHOUT = 50,                       /* messages of one domain decided without a transaction */
    MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS,
    HINTS_MS = 5 * 1000,
    ONCE_MS = 50 * MINUTE_MS,           /* --once hands out nothing new after */
    JUMP_MS = MINUTE_MS,                /* a clock that runs off so far at once was set */
    STAY_S = 60,                        /* --once stays while something is due within */
    STOP_MS = 10 * 1000
};

uint32_t keeper_random(struct keeper *k)
{
    uint32_t x = k->random;             /* xorshift: jitter, not secrets */

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return k->random = x;
}

static void apply(struct keeper *k)
{
    struct queue_times times;

    if (k->config == NULL)
        return;
    identity_find(k->config, &k->identity);
    times.longest = plan_longest_ms(k->config) / 1000 * 6 / 5;
    times.warn_after = k->config->warn_after_ms / 1000;
    times.last_call = (k->config->lifetime_ms - LAST_CALL_MS) / 1000;
    queue_configure(k->queue, &times);
    if (k->identity.made_up)
        log_line(k->log, LEVEL_WARN, "nothing tells this machine's full name: using %s; set `hostname` in the configuration", k->identity.hostname);
}

static int parts(struct keeper *k, struct err *err)
{
    struct queue_options q = { .spool = k->spool };

    k->record = record_new(k->spool, k->log, err);
    q.record = k->record;
    k->queue = k->record == NULL ? NULL : queue_new(&q, err);
    k->rings = rings_new();
    k->flights = flights_new();
    if (k->queue == NULL)
        return -1;
    if (k->rings == NULL || k->flights == NULL)
        return err_sys(err, EX_OSERR, "keeper");
    record_time(k->record, k->now.mono);
    return 0;
}

static void set_times(struct keeper *k)
{
    int64_t now = k->now.mono.ms;

    clock_boot(k->boot);
    k->look_new = true;
    k->new_at.ms = now;
    k->minute_at.ms = now;
    k->sweep_at.ms = now + MINUTE_MS;
    k->hints_at.ms = now + HINTS_MS;
    k->leave_at.ms = k->opt.mode == KEEPER_ONCE ? now + ONCE_MS : CLOCK_NEVER;
}

struct keeper *keeper_new(const struct keeper_options *opt, struct config *config, struct now now, struct err *err)
{
    struct keeper *k = calloc(1, sizeof *k);

    if (k == NULL) {
        config_free(config);
        err_sys(err, EX_OSERR, "keeper");
        return NULL;
    }
    k->opt = *opt;
    k->config = config;
    k->spool = opt->spool;
    k->log = opt->log;
    k->now = now;
    k->wall_ahead = now.wall.ms - now.mono.ms;
    k->random = opt->random != 0 ? opt->random : 1;
    k->wake_fd = -1;
    if (parts(k, err) == -1 || wake_open(k, err) == -1 || queue_start(k->queue, err) == -1) {
        keeper_free(k);
        return NULL;
    }
    set_times(k);
    apply(k);
    hints_load_routes(k);
    if (config != NULL)
        filing_release(k);
    return k;
}

void keeper_free(struct keeper *k)
{
    struct flight *f;

    if (k == NULL)
        return;
    while (k->flights != NULL && (f = flight_first(k)) != NULL)
        flight_free(k, f);
    channel_free(k->channel);
    rings_free(k->rings);
    flights_free(k->flights);
    queue_free(k->queue);
    record_free(k->record);
    config_free(k->config);
    if (k->wake_fd != -1)
        close(k->wake_fd);
    if (k->new_pass != NULL)
        closedir(k->new_pass);
    free(k);
}

void keeper_configure(struct keeper *k, struct config *config)
{
    config_free(k->config);
    k->config = config;
    apply(k);
    ring_configure(k);
    filing_release(k);
    if (k->channel != NULL)
        child_setup(k);
}

/* ---- a step ---------------------------------------------------------------------- */

static void look(struct keeper *k, struct domain *d)
{
    struct err err = { 0 };
    size_t ready = queue_look(k->queue, d, keeper_seconds(k), &err);

    if (err.class != 0)
        log_line(k->log, LEVEL_ERROR, "domain=%s %s", d->name, err.text);
    if (queue_attention(k->queue, d, keeper_seconds(k)))
        dispatch_attend(k, d);
    if (ready == 0) {
        if (d->query == 0)
            ring_leave(k, d);
        queue_tidy(k->queue, d, false, keeper_seconds(k));
        return;
    }
    switch (ring_route(k, d)) {
    case RING_ROUTED:
        ring_join(d);
        break;
    case RING_ASKED:
        break;
    case RING_NOWHERE:
    case RING_REFUSED:
        dispatch_without(k, d, WITHOUT);
        break;
    }
}

static void look_around(struct keeper *k)
{
    struct domain *d;

    for (unsigned i = 0; i < LOOKS && !keeper_resting(k) && (d = queue_due(k->queue, keeper_seconds(k))) != NULL; i++)
        look(k, d);
}

static void housekeep(struct keeper *k)
{
    int top = spool_fd(k->spool, SPOOL_TOP, NULL);

    if (k->minute_at.ms <= k->now.mono.ms) {
        k->minute_at.ms = k->now.mono.ms + MINUTE_MS;
        if (top != -1)
            utimensat(top, "lock", NULL, 0);    /* a spooler is alive: `sendmail` looks */
        child_watch(k);
    }
    if (k->hints_at.ms <= k->now.mono.ms) {
        k->hints_at.ms = k->now.mono.ms + HINTS_MS;
        hints_save(k, false);
    }
    if (k->sweep_at.ms > k->now.mono.ms)
        return;
    k->sweep_at.ms = k->now.mono.ms + HOUR_MS;
    filing_sweep(k);
    for (struct domain *d = queue_first(k->queue); d != NULL; d = queue_after(d))
        queue_tidy(k->queue, d, true, keeper_seconds(k));
    hints_save(k, true);
    forget_unused(k);
}

static void take_new(struct keeper *k)
{
    if (k->new_at.ms <= k->now.mono.ms)
        k->look_new = true;             /* in case a wake was lost */
    if (!filing_asked(k) || keeper_resting(k) || k->config == NULL)
        return;
    if (k->new_pass == NULL) {
        k->look_new = false;
        k->new_at.ms = k->now.mono.ms + k->config->queue_run_ms;
    }
    filing_take(k);
}

static bool due_soon(const struct keeper *k)
{
    struct mono soon = { k->now.mono.ms + STAY_S * 1000 };

    return queue_soon(k->queue, keeper_seconds(k) + STAY_S) || ring_hopeful(k, soon);
}

/* Is the work of a run that ends by itself done? */
static bool work_done(const struct keeper *k)
{
    if (flight_first((struct keeper *)k) != NULL || k->opt.mode == KEEPER_DAEMON)
        return false;
    if (k->config == NULL || (k->opt.mode == KEEPER_ONCE && k->leave_at.ms <= k->now.mono.ms))
        return true;
    if (filing_asked(k) || ring_asking(k))
        return false;
    return k->opt.mode == KEEPER_ONCE ? !due_soon(k) : k->new_stuck == 0 && queue_empty(k->queue);
}

/* The order of leaving: close wake, look once more, then go; whoever finds no
 * reader starts another spooler, whoever found one was seen. */
static void leave(struct keeper *k)
{
    struct err err = { 0 };

    if (k->leaving && queue_next(k->queue) == 0)
        return;                         /* that look takes more than one step */
    if (!work_done(k)) {
        if (k->leaving && wake_open(k, &err) == -1)
            log_line(k->log, LEVEL_ERROR, "%s", err.text);
        k->leaving = false;
    } else if (k->leaving)
        k->left = true;
    else {
        close(k->wake_fd);
        k->wake_fd = -1;
        k->leaving = true;
        k->look_new = true;
        if (k->opt.mode == KEEPER_UNTIL_EMPTY)
            queue_rescan_all(k->queue, false);
    }
}

/* Ages follow the boot clock; due times were names by the clock that is wrong now. */
static void notice_jump(struct keeper *k)
{
    int64_t ahead = k->now.wall.ms - k->now.mono.ms, jump = ahead - k->wall_ahead;

    k->wall_ahead = ahead;
    if (jump > -JUMP_MS && jump < JUMP_MS)
        return;
    log_line(k->log, LEVEL_WARN, "the clock was set by %lld s", (long long)(jump / 1000));
    queue_clock_set(k->queue);
}

void keeper_step(struct keeper *k, struct now now)
{
    k->now = now;
    log_time(k->log, now.wall);
    record_time(k->record, now.mono);
    notice_jump(k);
    child_listen(k);
    if (k->wake_fd != -1)
        wake_read(k);
    take_new(k);
    if (k->config != NULL) {
        look_around(k);
        ring_ask(k);
        ring_serve(k);
    }
    record_flush(k->record, false);
    child_rest(k);
    housekeep(k);
    if (k->opt.mode != KEEPER_DAEMON && !k->stopping)
        leave(k);
}

/* ---- outside ------------------------------------------------------------------------ */

static void earlier(struct mono *next, int64_t ms)
{
    if (ms < next->ms)
        next->ms = ms;
}

static int64_t from_wall(const struct keeper *k, int64_t seconds)
{
    int64_t wait = seconds == WINDOW_NEVER ? MINUTE_MS : seconds * 1000 - k->now.wall.ms;

    return k->now.mono.ms + (wait > 0 ? wait : 0);
}

/* When the rings can be served: not before there is a courier whose link has room. */
static int64_t when_served(const struct keeper *k)
{
    int64_t when = ring_asking(k) && !ring_asked(k) ? k->now.mono.ms : ring_next(k).ms;

    if (when > k->now.mono.ms || k->config == NULL)
        return when;
    if (k->channel == NULL)
        return k->courier_at.ms > k->now.mono.ms ? k->courier_at.ms : k->now.mono.ms;
    return channel_waiting(k->channel) ? CLOCK_NEVER : k->now.mono.ms;
}

struct mono keeper_next(const struct keeper *k)
{
    struct mono next = { k->now.mono.ms + MINUTE_MS };

    if (k->stopping)
        earlier(&next, k->stop_at.ms);
    else if (!keeper_resting(k) && k->config != NULL) {
        earlier(&next, filing_asked(k) ? k->now.mono.ms : k->new_at.ms);
        earlier(&next, from_wall(k, queue_next(k->queue)));
    }
    earlier(&next, when_served(k));
    earlier(&next, record_next(k->record).ms);
    earlier(&next, k->minute_at.ms);
    if (k->leaving)
        earlier(&next, k->now.mono.ms);
    return next;
}

nfds_t keeper_fds(const struct keeper *k, struct pollfd *fds)
{
    nfds_t n = 0;

    if (k->wake_fd != -1)
        fds[n++] = (struct pollfd){ .fd = k->wake_fd, .events = POLLIN };
    if (k->channel != NULL)
        fds[n++] = (struct pollfd){ .fd = channel_fd(k->channel), .events = (short)(POLLIN | (channel_waiting(k->channel) ? POLLOUT : 0)) };
    return n;
}

void keeper_stop(struct keeper *k, struct now now)
{
    if (k->stopping && k->stop_at.ms != 0)
        return;
    k->stopping = true;
    k->stop_at.ms = now.mono.ms + STOP_MS;
    child_finish(k);
}

bool keeper_done(const struct keeper *k)
{
    if (k->left)
        return true;
    if (k->stopping && k->stop_at.ms != 0)
        return flight_first((struct keeper *)k) == NULL || k->channel == NULL || k->stop_at.ms <= k->now.mono.ms;
    return false;
}

void keeper_close(struct keeper *k)
{
    child_close(k);
    record_flush(k->record, true);
    hints_save(k, true);
}
