/* mailq: prints what lies in the spool in the format of `exim -bp`, which
 * exiqgrep, exiqsumm and monitoring read by regular expressions: columns,
 * blanks and empty lines are part of it. Needs no spooler, and shows of other
 * people's mail no more than their file names tell. Called by main. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/listing.h"
#include "sendmail/mailq.h"

enum { OUT_MAX = 64 * 1024 * 1024, OUT_FULL = 60 * 1024 };

static void put_age(struct buf *out, int64_t seconds)
{
    int64_t n = seconds < 0 ? 0 : seconds / 60;
    char unit = 'm';

    if (n > 90) {
        unit = 'h';
        n = (n + 30) / 60;
        if (n > 72) {
            unit = 'd';
            n = (n + 12) / 24;
        }
    }
    (void)buf_printf(out, "%2" PRId64 "%c ", n, unit);
}

/* Five columns, whatever the size. */
static void put_size(struct buf *out, uint64_t n)
{
    if (n == 0)
        (void)buf_str(out, "     ");
    else if (n < 1024)
        (void)buf_printf(out, "%5" PRIu64, n);
    else if (n < 10 * 1024)
        (void)buf_printf(out, "%4.1fK", (double)n / 1024);
    else if (n < 1024 * 1024)
        (void)buf_printf(out, "%4" PRIu64 "K", (n + 512) / 1024);
    else if (n < 10 * 1024 * 1024)
        (void)buf_printf(out, "%4.1fM", (double)n / (1024 * 1024));
    else
        (void)buf_printf(out, "%4" PRIu64 "M", (n + 512 * 1024) / (1024 * 1024));
}

static void put_recipients(struct buf *out, const struct listing_item *item)
{
    for (size_t i = 0; i < item->envelope.nrcpt; i++)
        (void)buf_printf(out, "        %c %s\n", listing_owes(item, i) ? ' ' : 'D', item->envelope.rcpt[i]);
}

/* A sender that may not be known is not "<>", which would be a bounce. */
void mailq_item(struct buf *out, const struct listing_item *item, struct wall now)
{
    put_age(out, now.ms / 1000 - msgid_seconds(&item->id));
    put_size(out, item->bytes);
    (void)buf_printf(out, " %s <%s>%s\n", item->id.s, item->readable ? item->envelope.sender : "hidden",
        item->where == LISTED_HOLD ? " *** frozen ***" : "");
    if (item->readable)
        put_recipients(out, item);
    (void)buf_char(out, '\n');
}

static int flush(struct buf *out, int fd, struct err *e)
{
    size_t done = 0;

    if (!buf_ok(out))
        return err_set(e, EX_OSERR, "out of memory");
    while (done < out->len) {
        ssize_t n = write(fd, out->data + done, out->len - done);

        if (n == -1 && errno != EINTR)
            return errno == EPIPE ? err_set(e, 0, "nobody reads on") : err_sys(e, EX_IOERR, "write the list");
        done += n > 0 ? (size_t)n : 0;
    }
    buf_clear(out);
    return 0;
}

static bool is_asked(const struct msgid *id, char *const *asked, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(asked[i], id->s) == 0)
            return true;
    return n == 0;
}

static int print_all(struct listing *l, char *const *id, size_t nid, int fd, struct err *e)
{
    struct buf out = BUF_INIT(OUT_MAX);
    struct wall now = clock_now().wall;
    const struct listing_item *item;
    int r = 0;

    while (r == 0 && listing_next(l, &item) == 1) {
        if (is_asked(&item->id, id, nid))
            mailq_item(&out, item, now);
        if (out.len >= OUT_FULL)
            r = flush(&out, fd, e);
    }
    if (r == 0)
        r = flush(&out, fd, e);
    buf_fini(&out);
    return r;
}

int mailq(struct spool *s, char *const *id, size_t nid, int fd, struct err *e)
{
    struct listing *l;
    int r;

    for (size_t i = 0; i < nid; i++)
        if (!msgid_valid(id[i]))
            return err_set(e, EX_USAGE, "malformed message id %.40s", id[i]);
    if (listing_open(s, false, &l, e) != 0)
        return -1;
    r = print_all(l, id, nid, fd, e);
    listing_free(l);
    return r;
}
