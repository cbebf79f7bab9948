/* list: prints what waits: how old, how large, why, until when, and how each
 * recipient stands. For people: programs read `mailq`. It changes nothing.
 * Called by queue. */
#include <config.h>

#include "spooler/tool/list.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/address.h"
#include "common/cause.h"
#include "common/err.h"
#include "common/listing.h"
#include "common/spool.h"
#include "spooler/tool/tool.h"
#include "spooler/tool/what.h"

enum { RCPT_SHOWN = 20, SPAN_SIZE = 24, SHOWN_SIZE = ADDRESS_MAX };

struct list {
    struct spool *spool;
    struct what *what;
    size_t nwhat;
    int64_t now;                        /* seconds */
    size_t count, held;
};

static const char *const because[CAUSE_COUNT] = {
    [CAUSE_NONE] = "not tried yet",
    [CAUSE_TOO_MANY_CONNECTIONS] = "too many connections",
    [CAUSE_RATE_LIMITED] = "too many messages at a time",
    [CAUSE_TOO_MANY_PER_CONNECTION] = "too many per connection",
    [CAUSE_TOO_MANY_RECIPIENTS] = "too many recipients",
    [CAUSE_GREYLISTED] = "greylisted",
    [CAUSE_CONGESTION] = "their server is in trouble",
    [CAUSE_REPUTATION] = "they distrust our address",
    [CAUSE_AUTH_POLICY] = "they want proof of the sender",
    [CAUSE_MAILBOX_FULL] = "mailbox full",
    [CAUSE_MAILBOX_BUSY] = "mailbox busy",
    [CAUSE_DNS_TEMP] = "DNS trouble",
    [CAUSE_CONTENT_TEMP] = "they dislike the content",
    [CAUSE_UNREACHABLE] = "cannot be reached",
    [CAUSE_LOCAL] = "trouble on this machine",
    [CAUSE_IN_DOUBT] = "no answer after sending",
    [CAUSE_UNKNOWN_TEMP] = "refused for now",
    [CAUSE_NO_ROUTE] = "local mail, no root or relay set",
    [CAUSE_FROZEN] = "by the administrator",
};

static const char *cause_words(enum cause c)
{
    return (unsigned)c < CAUSE_COUNT && because[c] != NULL ? because[c] : cause_name(c);
}

static const char *letter_words(char letter)
{
    enum cause c;

    if (!cause_from_letter(letter, &c))
        return "for a reason unknown here";
    return c == CAUSE_NONE ? "waits for its turn" : cause_words(c);
}

/* ---- numbers ----------------------------------------------------------- */

/* The two largest units: "45s", "12m", "2h14m", "3d4h". */
static const char *span(int64_t s, char out[SPAN_SIZE])
{
    if (s < 60)
        (void)snprintf(out, SPAN_SIZE, "%" PRId64 "s", s < 0 ? 0 : s);
    else if (s < 3600)
        (void)snprintf(out, SPAN_SIZE, "%" PRId64 "m", s / 60);
    else if (s < 86400)
        (void)snprintf(out, SPAN_SIZE, "%" PRId64 "h%02" PRId64 "m", s / 3600, s % 3600 / 60);
    else
        (void)snprintf(out, SPAN_SIZE, "%" PRId64 "d%" PRId64 "h", s / 86400, s % 86400 / 3600);
    return out;
}

static const char *size(uint64_t n, char out[SPAN_SIZE])
{
    static const char units[] = "BKMGT";
    double v = (double)n;
    size_t i = 0;

    for (; v >= 999.5 && i + 2 < sizeof(units); i++)
        v /= 1024;
    (void)snprintf(out, SPAN_SIZE, i > 0 && v < 9.95 ? "%.1f%c" : "%.0f%c", v, units[i]);
    return out;
}

static const char *next_try(const struct list *l, int64_t due, char out[SPAN_SIZE])
{
    char text[SPAN_SIZE];

    if (due <= l->now)
        (void)snprintf(out, SPAN_SIZE, "now");
    else
        (void)snprintf(out, SPAN_SIZE, "in %s", span(due - l->now, text));
    return out;
}

/* ---- a message --------------------------------------------------------- */

static void put_head(const struct list *l, const struct listing_item *item)
{
    char age[SPAN_SIZE], bytes[SPAN_SIZE], next[SPAN_SIZE] = "-", from[SHOWN_SIZE] = "(another user's)", state[60];
    const char *why = item->where == LISTED_NEW ? "new" : letter_words(item->letter);

    if (item->where == LISTED_CUR)
        (void)next_try(l, item->due, next);
    if (item->readable)
        (void)tool_clean(item->envelope.sender[0] == '\0' ? "<> (a report)" : item->envelope.sender, from, sizeof(from));
    (void)snprintf(state, sizeof(state), "%s%s", item->where == LISTED_HOLD ? "held: " : "", why);
    (void)printf("%6s %5s  %-16s  %-34s  %-9s  %s\n", span(l->now - msgid_seconds(&item->id), age), size(item->bytes, bytes),
        item->id.s, state, next, from);
}

/* A recipient's own time, but where the name says earlier than any of them: then
 * somebody asked for it. */
static int64_t due_of(const struct listing_item *item, const struct trail_rcpt *r)
{
    int64_t earliest = INT64_MAX;

    for (size_t i = 0; i < item->trail.nrcpt; i++)
        if (item->trail.rcpt[i].fate == FATE_OWED && item->trail.rcpt[i].due < earliest)
            earliest = item->trail.rcpt[i].due;
    return r->due == 0 || item->due < earliest ? item->due : r->due;
}

static void put_owed(const struct list *l, const struct listing_item *item, const struct trail_rcpt *r)
{
    unsigned tries = r->n + r->grey_n;  /* greylistings are counted apart */
    char next[SPAN_SIZE];

    (void)printf("%s", cause_words(r->cause));
    if (tries > 0)
        (void)printf(", tried %u time%s", tries, tries == 1 ? "" : "s");
    if (item->where == LISTED_CUR)
        (void)printf(", next %s", next_try(l, due_of(item, r), next));
    (void)printf("\n");
}

static void put_rcpts(const struct list *l, const struct listing_item *item)
{
    size_t most = l->nwhat > 0 ? item->envelope.nrcpt : RCPT_SHOWN;
    char to[SHOWN_SIZE];

    for (size_t i = 0; i < item->envelope.nrcpt && i < most; i++) {
        const struct trail_rcpt *r = &item->trail.rcpt[i];

        (void)printf("               %s: ", tool_clean(item->envelope.rcpt[i], to, sizeof(to)));
        if (listing_owes(item, i))
            put_owed(l, item, r);
        else
            (void)printf("%s\n", r->fate == FATE_OWED ? "done" : r->fate == FATE_DELIVERED ? "delivered" : "failed");
    }
    if (item->envelope.nrcpt > most)
        (void)printf("               and %zu more: abide queue list %s\n", item->envelope.nrcpt - most, item->id.s);
}

/* ---- all of them ------------------------------------------------------- */

static bool is_recipient(const struct listing_item *item, const struct what *w)
{
    for (size_t i = 0; item->readable && i < item->envelope.nrcpt; i++)
        if (what_is_recipient(w, item->envelope.rcpt[i]))
            return true;
    return false;
}

static bool is_meant(const struct list *l, const struct listing_item *item)
{
    bool meant = l->nwhat == 0;

    for (size_t i = 0; i < l->nwhat; i++) {
        bool this = what_is_id(&l->what[i], &item->id) || is_recipient(item, &l->what[i]);

        l->what[i].met |= this;
        meant |= this;
    }
    return meant;
}

static void put_item(struct list *l, const struct listing_item *item)
{
    if (l->count++ == 0)
        (void)printf("%6s %5s  %-16s  %-34s  %-9s  %s\n", "AGE", "SIZE", "ID", "WHY IT WAITS", "NEXT TRY", "SENDER");
    l->held += item->where == LISTED_HOLD;
    put_head(l, item);
    if (item->readable)
        put_rcpts(l, item);
}

/* dead/ is nobody's queue, but nobody shall forget it. */
static void put_dead(const struct list *l)
{
    struct listing *dead;

    if (l->nwhat > 0 || listing_open(l->spool, true, &dead, NULL) != 0)
        return;
    if (listing_count(dead) > 0)
        (void)printf("%zu in %s/dead: undeliverable reports, or no messages; kept there\n", listing_count(dead), spool_path(l->spool));
    listing_free(dead);
}

static void put_end(const struct list *l)
{
    int top = spool_fd(l->spool, SPOOL_TOP, NULL);
    char who[SPOOL_WHO_SIZE];

    if (l->count > 0)
        (void)printf("\n%zu message%s", l->count, l->count == 1 ? "" : "s");
    else if (l->nwhat == 0)
        (void)printf("The queue is empty");
    if (l->held > 0)
        (void)printf(", %zu held", l->held);
    if (l->count > 0 || l->nwhat == 0)
        (void)printf("\n");
    put_dead(l);
    if (l->count > l->held && top != -1 && faccessat(top, "cur", W_OK, AT_EACCESS) == 0 && !spool_held(l->spool, who))
        (void)printf("No spooler is running: nothing is sent until abided starts\n");
}

static int unmet(const struct list *l)
{
    int status = TOOL_DONE;

    for (size_t i = 0; i < l->nwhat; i++) {
        if (l->what[i].met)
            continue;
        tool_say("nothing in the queue for %s", l->what[i].text);
        status = TOOL_NOTHING;
    }
    return status;
}

int list_run(struct spool *s, struct what *w, size_t nwhat)
{
    struct list l = { .spool = s, .what = w, .nwhat = nwhat, .now = clock_now().wall.ms / 1000 };
    const struct listing_item *item;
    struct listing *names;
    struct err e = { 0 };

    if (listing_open(s, false, &names, &e) != 0)
        return tool_fail(&e);
    while (listing_next(names, &item) == 1)
        if (is_meant(&l, item))
            put_item(&l, item);
    listing_free(names);
    put_end(&l);
    return unmet(&l);
}
