/* bounce: makes a report and puts it into the spool like any other message:
 * from nobody, to one recipient. It only tells; whether there is something to
 * tell, and what the failure means for the queue, is the caller's (outcome,
 * filing). Never about a message whose reverse-path is null. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/address.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "common/identity.h"
#include "common/spool.h"
#include "spooler/keeper/bounce.h"
#include "spooler/keeper/bounce_original.h"
#include "spooler/keeper/bounce_words.h"

enum {
    REPORT_PIECE_MAX = 1024 * 1024,     /* what is in memory at a time */
    REPORT_RCPT_FULL = 500              /* of the others only the codes: a report must stay deliverable */
};

struct report {
    const struct bounce *bounce;
    const char *hostname;
    const char *to;
    struct now now;
    struct draft *draft;
    struct bounce_original original;
    struct buf words;                   /* the first part */
    bool words_eight_bit;
    struct buf out;                     /* what is to be written next */
    struct envelope_size size;
    uint64_t line;                      /* bytes of the line not ended yet */
};

/* ---- to whom ----------------------------------------------------------- */

/* A sender that nobody outside could answer. */
static bool is_local(const struct identity *id, const char *address)
{
    const char *domain = address_domain(address);

    return domain == NULL || strcasecmp(domain, "localhost") == 0 || strcasecmp(domain, id->hostname) == 0;
}

static const char *recipient(const struct config *c, const struct identity *id, const char *sender)
{
    return c->root[0] != '\0' && is_local(id, sender) ? c->root : sender;
}

/* ---- writing ----------------------------------------------------------- */

static void count(struct report *r, const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        r->size.eight_bit = r->size.eight_bit || (unsigned char)p[i] >= 0x80;
        if (p[i] != '\n') {
            if (++r->line > r->size.longest_line)
                r->size.longest_line = r->line;
            continue;
        }
        r->line = 0;
        r->size.wire_bytes++;
    }
    r->size.disk_bytes += len;
    r->size.wire_bytes += len;
}

/* Passes on what stands in OUT. */
static int flush(struct report *r, struct err *e)
{
    int rc;

    if (!buf_ok(&r->out))
        return err_set(e, EX_OSERR, "a report does not fit into memory");
    count(r, r->out.data, r->out.len);
    rc = draft_write(r->draft, r->out.data, r->out.len, e);
    buf_clear(&r->out);
    return rc;
}

static int write_envelope(struct report *r, struct err *e)
{
    char nobody[] = "", protocol[] = "bounce", *to[] = { NULL };
    struct envelope env = {
        .accepted = r->now.wall, .accepted_mono = r->now.mono, .uid = geteuid(), .user = nobody, .protocol = protocol,
        .sender = nobody, .rcpt = to, .nrcpt = 1
    };
    struct buf head = BUF_INIT(ENVELOPE_HEAD_MAX);
    int rc = -1;

    to[0] = strdup(r->to);
    clock_boot(env.boot);
    if (to[0] == NULL)
        (void)err_sys(e, EX_OSERR, "a report");
    else if (envelope_print(&env, &head, e) == 0)
        rc = draft_write(r->draft, head.data, head.len, e);
    free(to[0]);
    buf_fini(&head);
    return rc;
}

/* ---- the message ------------------------------------------------------- */

static const char *encoding(bool eight_bit)
{
    return eight_bit ? "Content-Transfer-Encoding: 8bit\n" : "";
}

static void put_boundary(struct report *r, const char *tail)
{
    (void)buf_printf(&r->out, "\n--=_%s%s\n", draft_id(r->draft)->s, tail);
}

static void put_subject(struct report *r)
{
    struct buf subject = BUF_INIT(1000);

    (void)buf_str(&subject, r->bounce->kind == BOUNCE_FAILED ? "Mail not delivered" : "Mail delayed, still trying");
    if (r->original.subject[0] != '\0')
        (void)buf_printf(&subject, ": %s", r->original.subject);
    words_field(&r->out, "Subject", subject.data == NULL ? "" : subject.data);
    buf_fini(&subject);
}

/* RFC 3834 5; RFC 5322 3.6.4. */
static int write_header(struct report *r, struct err *e)
{
    const char *id = draft_id(r->draft)->s;
    char date[CLOCK_DATE_SIZE];

    clock_date(r->now.wall, date);
    (void)buf_printf(&r->out, "Date: %s\nFrom: Mail Delivery System <MAILER-DAEMON@%s>\n", date, r->hostname);
    if (!words_address(&r->out, "To", r->to))
        (void)buf_str(&r->out, "To: undisclosed-recipients:;\n");
    put_subject(r);
    (void)buf_printf(&r->out, "Message-ID: <%s@%s>\n", id, r->hostname);
    if (r->original.message_id[0] != '\0')
        (void)buf_printf(&r->out, "In-Reply-To: %s\nReferences: %s\n", r->original.message_id, r->original.message_id);
    /* RFC 3834 5.1: no report on delivery is auto-generated. */
    (void)buf_printf(&r->out, "Auto-Submitted: auto-replied\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"=_%s\"\n%s", id,
        encoding(r->words_eight_bit || r->original.eight_bit));
    return flush(r, e);
}

static int write_words(struct report *r, struct err *e)
{
    put_boundary(r, "");
    (void)buf_printf(&r->out, "Content-Description: Notification\nContent-Type: text/plain; charset=%s\n%s\n",
        r->words_eight_bit ? "utf-8" : "us-ascii", encoding(r->words_eight_bit));
    (void)buf_add(&r->out, r->words.data, r->words.len);
    return flush(r, e);
}

/* RFC 3464 2.1: first of the message, then of each recipient. */
static int write_status(struct report *r, struct err *e)
{
    const struct bounce *b = r->bounce;
    char date[CLOCK_DATE_SIZE];
    int rc = 0;

    clock_date(b->envelope->accepted, date);
    put_boundary(r, "");
    (void)buf_printf(&r->out, "Content-Description: Delivery report\nContent-Type: message/delivery-status\n\n"
        "Reporting-MTA: dns; %s\nX-Abide-ID: %s\nArrival-Date: %s\n", r->hostname, b->id->s, date);
    for (size_t i = 0; rc == 0 && i < b->nrcpt; i++) {
        words_for_programs(&r->out, b, &b->rcpt[i], i >= REPORT_RCPT_FULL);
        rc = flush(r, e);
    }
    return rc;
}

static int write_original(struct report *r, struct err *e)
{
    const struct bounce_original *o = &r->original;

    if (o->bytes.len > 0) {
        put_boundary(r, "");
        (void)buf_printf(&r->out, "Content-Description: %s\nContent-Type: %s\n%s\n", o->whole ? "Your message" : "Header of your message",
            o->whole ? "message/rfc822" : "text/rfc822-headers", encoding(o->eight_bit));
        (void)buf_add(&r->out, o->bytes.data, o->bytes.len);
    }
    put_boundary(r, "--");
    return flush(r, e);
}

static bool has_eight_bit(const struct buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if ((unsigned char)b->data[i] >= 0x80)
            return true;
    return false;
}

static int prepare(struct report *r, bool whole, struct err *e)
{
    bounce_original_read(r->bounce, whole, &r->original);
    words_for_people(&r->words, r->bounce, &r->original, r->hostname);
    if (!buf_ok(&r->words))
        return err_set(e, EX_OSERR, "a report does not fit into memory");
    r->words_eight_bit = has_eight_bit(&r->words);
    return 0;
}

static int write_all(struct report *r, struct err *e)
{
    if (write_envelope(r, e) != 0 || write_header(r, e) != 0 || write_words(r, e) != 0 || write_status(r, e) != 0)
        return -1;
    return write_original(r, e);
}

int bounce_send(struct spool *s, const struct config *c, const struct identity *id, const struct bounce *b, struct now now,
    struct msgid *id_r, struct err *e)
{
    struct report r = {
        .bounce = b, .hostname = id->hostname, .to = recipient(c, id, b->envelope->sender), .now = now,
        .words = BUF_INIT(REPORT_PIECE_MAX), .out = BUF_INIT(REPORT_PIECE_MAX)
    };
    int rc = prepare(&r, c->bounce_whole && b->kind == BOUNCE_FAILED, e);

    if (rc == 0)
        rc = draft_new(s, now, 0, &r.draft, e);
    if (rc == 0 && (rc = write_all(&r, e)) != 0) {
        draft_drop(r.draft);
    } else if (rc == 0) {
        *id_r = *draft_id(r.draft);
        rc = draft_commit(r.draft, &r.size, e);
    }
    bounce_original_fini(&r.original);
    buf_fini(&r.words);
    buf_fini(&r.out);
    return rc;
}
