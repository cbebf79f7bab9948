/* Hints on disk. Reads and writes small files in sites/ by rename; whatever is
 * wrong with them is ignored. A line of sites/routes:
 * DOMAIN UNTIL WARNED SITE PORT [PREFERENCE:HOST ...] */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "spooler/keeper/context.h"
#include "spooler/keeper/hints.h"
#include "spooler/keeper/ring.h"

enum { SITE_MAX = 64 * 1024, ROUTES_MAX = 32 * 1024 * 1024 };

static bool load(struct keeper *k, const char *name, struct buf *b)
{
    int dir = spool_fd(k->spool, SPOOL_SITES, NULL), fd;
    char block[16384];
    ssize_t n = -1;

    if (dir == -1 || (fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)) == -1)
        return false;
    while ((n = read(fd, block, sizeof block)) > 0)
        if (!buf_add(b, block, (size_t)n))
            break;
    close(fd);
    return n == 0;
}

static void save(struct keeper *k, const char *name, const struct buf *b)
{
    int dir = spool_fd(k->spool, SPOOL_SITES, NULL), fd;

    if (dir == -1 || !buf_ok(b))
        return;
    unlinkat(dir, ".new", 0);
    if ((fd = openat(dir, ".new", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0660)) == -1)
        return;
    if (write(fd, b->data, b->len) == (ssize_t)b->len && close(fd) == 0)
        renameat(dir, ".new", dir, name);
    else
        unlinkat(dir, ".new", 0);
}

void hints_load_site(struct keeper *k, struct site *site)
{
    struct buf b = BUF_INIT(SITE_MAX);

    if (load(k, site_name(site), &b) && b.len > 0)
        site_parse(site, b.data, b.len, k->now);
    buf_fini(&b);
}

/* ---- routes -------------------------------------------------------------------- */

static void save_route(const struct domain *d, struct buf *b)
{
    const struct hop *h = d->hop;

    if (h == NULL || h->relay || d->refused != NULL)
        return;
    buf_printf(b, "%s %" PRId64 " %" PRId64 " %s %u", d->dir, d->route_until, d->warned, site_name(h->ring->site), h->port);
    for (size_t i = 0; i < h->nhost; i++)
        buf_printf(b, " %u:%s", h->host[i].preference, h->host[i].name);
    buf_char(b, '\n');
}

static size_t read_hosts(char *rest, struct wire_host *host)
{
    size_t n = 0;
    char *word, *colon;

    while (n < WIRE_HOST_MAX && (word = strsep(&rest, " ")) != NULL) {
        if ((colon = strchr(word, ':')) == NULL || colon[1] == '\0')
            continue;
        host[n].preference = (uint16_t)strtoul(word, NULL, 10);
        host[n++].name = colon + 1;
    }
    return n;
}

static void read_route(struct keeper *k, char *line)
{
    struct wire_host host[WIRE_HOST_MAX];
    char dir[SPOOL_DOMAIN_SIZE], site[128];
    int64_t until, warned;
    unsigned port;
    int at = 0;
    struct domain *d;
    struct ring *r;
    struct hop *h;

    if (sscanf(line, "%255s %" SCNd64 " %" SCNd64 " %127s %u%n", dir, &until, &warned, site, &port, &at) < 5 || port > 65535)
        return;
    if ((d = queue_find(k->queue, dir)) == NULL || strchr(site, '/') != NULL || site[0] == '.')
        return;
    d->warned = warned;
    r = ring_get(k, site);
    h = r == NULL ? NULL : ring_hop(r, host, read_hosts(line + at, host), port);
    if (h != NULL)
        ring_place(k, d, h, until > keeper_seconds(k) + 3600 ? 0 : until);
}

void hints_load_routes(struct keeper *k)
{
    struct buf b = BUF_INIT(ROUTES_MAX);
    char *rest, *line;

    if (k->config != NULL && load(k, "routes", &b) && b.len > 0) {
        rest = b.data;
        while ((line = strsep(&rest, "\n")) != NULL)
            read_route(k, line);
    }
    buf_fini(&b);
}

void hints_save(struct keeper *k, bool routes)
{
    struct buf b = BUF_INIT(ROUTES_MAX);
    struct ring *r;

    for (r = ring_first(k); r != NULL; r = ring_after(r)) {
        buf_clear(&b);
        if (site_changed(r->site) && site_print(r->site, &b, k->now))
            save(k, site_name(r->site), &b);
    }
    buf_clear(&b);
    for (struct domain *d = queue_first(k->queue); routes && d != NULL; d = queue_after(d))
        save_route(d, &b);
    if (routes)
        save(k, "routes", &b);
    buf_fini(&b);
}
