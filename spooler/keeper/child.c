/* The courier's life as the keeper sees it. Owns the link. What it says is
 * checked in requests; what it held when it died is taken back here. */
#include <config.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "spooler/keeper/child.h"
#include "spooler/keeper/context.h"
#include "spooler/keeper/flight.h"
#include "spooler/keeper/outcome.h"
#include "spooler/keeper/requests.h"
#include "spooler/keeper/ring.h"
#include "spooler/link/channel.h"

enum { RECORDS = 2000, IDLE_MS = 60 * 1000, PAUSE_MS = 1000, PAUSE_MAX_MS = 60 * 1000 };

static const char *source_of(const struct config *c, bool six)
{
    for (size_t i = 0; i < c->nsource; i++)
        if ((strchr(c->source[i], ':') != NULL) == six)
            return c->source[i];
    return "";
}

bool child_setup(struct keeper *k)
{
    struct wire_msg m = { .kind = WIRE_SETUP };
    struct wire_setup *s = &m.u.setup;

    *s = (struct wire_setup){ .helo = k->identity.made_up ? "" : k->identity.hostname, .resolver = k->config->resolver,
        .source4 = source_of(k->config, false), .source6 = source_of(k->config, true), .family = k->config->ip,
        .mx_port = (uint16_t)k->config->mx_port };
    for (unsigned i = 0; i < PHASE_COUNT; i++)
        s->timeout_ms[i] = (uint32_t)k->config->timeout_ms[i];
    return child_send(k, &m, -1);
}

static struct timespec resolv_conf(void)
{
    struct stat st;

    return stat("/etc/resolv.conf", &st) == 0 ? st.st_mtim : (struct timespec){ 0 };
}

void child_watch(struct keeper *k)
{
    struct timespec now = resolv_conf();

    if (k->channel == NULL || (now.tv_sec == k->resolv_conf.tv_sec && now.tv_nsec == k->resolv_conf.tv_nsec))
        return;
    if (ring_busy(k) || flight_first(k) != NULL)
        return;                         /* another minute */
    channel_free(k->channel);
    k->channel = NULL;
}

static bool start(struct keeper *k)
{
    struct err err = { 0 };
    int fd;

    if (k->config == NULL || k->stopping || k->courier_at.ms > k->now.mono.ms)
        return false;
    fd = k->opt.courier(k->opt.arg, &err);
    if (fd != -1)
        k->channel = channel_new(fd, &err);
    if (k->channel == NULL) {
        log_line(k->log, LEVEL_ERROR, "no courier: %s", err.text);
        k->courier_at.ms = k->now.mono.ms + PAUSE_MAX_MS;
        return false;
    }
    k->courier_idle = k->now.mono;
    k->resolv_conf = resolv_conf();
    return child_setup(k);
}

bool child_ready(struct keeper *k)
{
    return k->channel != NULL ? !channel_waiting(k->channel) : start(k);
}

bool child_send(struct keeper *k, const struct wire_msg *m, int fd)
{
    struct err err = { 0 };

    if (k->channel == NULL) {
        if (fd != -1)
            close(fd);
        return false;
    }
    if (channel_send(k->channel, m, fd, &err) == 0)
        return true;
    if (err.class == EX_SOFTWARE)
        log_line(k->log, LEVEL_ERROR, "%s", err.text);
    return false;
}

static int64_t pause_for(unsigned deaths)
{
    int64_t pause = PAUSE_MS;

    while (deaths-- > 1 && pause < PAUSE_MAX_MS)
        pause *= 2;
    return pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
}

/* Flights come back as not sent: whoever had an answer has it. */
static unsigned take_back(struct keeper *k)
{
    struct flight *f;
    unsigned n = 0;

    while ((f = flight_first(k)) != NULL) {
        ring_landed(k, f->conn);
        outcome_done(k, f, ENDED_NOT_SENT);
        n++;
    }
    return n;
}

void child_lost(struct keeper *k, const char *why)
{
    unsigned n;

    channel_free(k->channel);
    k->channel = NULL;
    n = take_back(k);
    ring_orphan(k);
    if (k->stopping)
        return;
    k->courier_at.ms = k->now.mono.ms + pause_for(++k->courier_deaths);
    log_line(k->log, LEVEL_ERROR, "the courier is gone: %s; %u transactions count as not attempted; another starts in %lld s", why, n,
        (long long)((k->courier_at.ms - k->now.mono.ms) / 1000));
}

void child_close(struct keeper *k)
{
    channel_free(k->channel);
    k->channel = NULL;
    take_back(k);
    ring_orphan(k);
}

void child_listen(struct keeper *k)
{
    const struct wire_msg *m;
    struct err err = { 0 };
    int fd, rc;

    for (unsigned i = 0; k->channel != NULL && i < RECORDS; i++) {
        rc = channel_recv(k->channel, &m, &fd, &err);
        if (rc == 0)
            break;
        if (rc == 1 && fd != -1) {
            close(fd);
            rc = err_set(&err, EX_PROTOCOL, "the courier sent a descriptor");
        } else if (rc == 1)
            rc = request_take(k, m, &err);
        if (rc == -1)
            child_lost(k, err.text);
    }
    if (k->channel != NULL && channel_waiting(k->channel) && channel_flush(k->channel, &err) == -1)
        child_lost(k, err.text);
}

void child_rest(struct keeper *k)
{
    if (k->channel == NULL || ring_busy(k) || flight_first(k) != NULL) {
        k->courier_idle = k->now.mono;
        return;
    }
    if (k->now.mono.ms - k->courier_idle.ms < IDLE_MS)
        return;
    channel_free(k->channel);           /* it ends on end of file */
    k->channel = NULL;
}

void child_finish(struct keeper *k)
{
    if (k->channel != NULL)
        channel_finish(k->channel);
}
