/* down: a small table of hosts in trouble; those that work are not in it. It
 * decides nothing about how long. Called by site. */
#include <config.h>

#include "spooler/policy/down.h"

#define FORGIVE_MS (3600 * (int64_t)1000)

/* FNV-1a; 0 is kept for free places. */
static uint64_t key_of(const char *name)
{
    uint64_t h = 14695981039346656037U;

    for (; *name != '\0'; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211U;
    return h | 1;
}

static size_t index_of(const struct down *t, uint64_t key)
{
    size_t i = 0;

    while (i < DOWN_MAX && t->host[i].key != key)
        i++;
    return i;
}

const struct down_host *down_find(const struct down *t, const char *name)
{
    size_t i = index_of(t, key_of(name));

    return i < DOWN_MAX ? &t->host[i] : NULL;
}

static size_t stalest(const struct down *t)
{
    size_t best = 0;

    for (size_t i = 1; i < DOWN_MAX; i++)
        if (t->host[i].last.ms < t->host[best].last.ms)
            best = i;
    return best;
}

/* The entry of KEY, or the one that gives way to it. */
static struct down_host *place(struct down *t, uint64_t key)
{
    size_t i = index_of(t, key);

    if (i == DOWN_MAX)
        i = index_of(t, 0);
    if (i == DOWN_MAX)
        i = stalest(t);
    return &t->host[i];
}

struct down_host *down_fail(struct down *t, const char *name, struct mono now)
{
    uint64_t key = key_of(name);
    struct down_host *h = place(t, key);

    if (h->key != key || h->last.ms == 0 || now.ms - h->until.ms > FORGIVE_MS + (h->until.ms - h->last.ms))
        *h = (struct down_host){ .key = key, .since = now };
    h->last = now;
    return h;
}

void down_avoid(struct down *t, const char *name, struct mono until)
{
    uint64_t key = key_of(name);
    struct down_host *h = place(t, key);

    if (h->key != key)
        *h = (struct down_host){ .key = key };
    if (h->until.ms < until.ms)
        h->until = until;
}

bool down_forget(struct down *t, const char *name)
{
    size_t i = index_of(t, key_of(name));

    if (i == DOWN_MAX)
        return false;
    t->host[i] = (struct down_host){ .key = 0 };
    return true;
}

void down_release(struct down *t, struct mono now)
{
    for (size_t i = 0; i < DOWN_MAX; i++)
        if (t->host[i].until.ms > now.ms)
            t->host[i].until = now;
}

int down_pick(const struct down *t, const char *const *name, size_t n, struct mono now, struct mono *when_r)
{
    *when_r = (struct mono){ CLOCK_NEVER };
    for (size_t i = 0; i < n; i++) {
        const struct down_host *h = down_find(t, name[i]);

        if (h == NULL || h->until.ms <= now.ms)
            return (int)i;
        if (h->until.ms < when_r->ms)
            *when_r = h->until;
    }
    return -1;
}

bool down_all_fail(const struct down *t, const char *const *name, size_t n, struct mono *since_r, struct mono *last_r)
{
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        const struct down_host *h = down_find(t, name[i]);

        if (h == NULL)
            return false;
        if (h->last.ms == 0)
            continue;
        if (!any || h->since.ms > since_r->ms)
            *since_r = h->since;
        if (!any || h->last.ms > last_r->ms)
            *last_r = h->last;
        any = true;
    }
    return any;
}
