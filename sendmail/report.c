/* report: the one mail the front writes itself. Recipients that are no
 * addresses cannot stand in an envelope, so no keeper could bounce them; the
 * good ones of the same message still go. Never about a message that is itself
 * a report. Called by submit before the message is committed: a report too
 * many is better than none. */
#include <config.h>

#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/spool.h"
#include "sendmail/recipients.h"
#include "sendmail/report.h"
#include "sendmail/text.h"

enum { REPORT_MAX = 32 * 1024 * 1024 };

static bool is_ascii(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] >= 0x80)
            return false;
    return true;
}

static const char *encoding(const struct report_facts *f)
{
    return is_ascii(f->header, f->header_len) ? "" : "Content-Transfer-Encoding: 8bit\n";
}

static void put_top(struct buf *out, const struct report_facts *f, const struct msgid *id)
{
    char date[CLOCK_DATE_SIZE];

    clock_date(f->now.wall, date);
    (void)buf_printf(out,
        "Date: %s\nFrom: Mail Delivery System <MAILER-DAEMON@%s>\nTo: %s\nMessage-ID: <%s@%s>\n"
        "Subject: Mail not sent: bad recipient address\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"=_%s\"\n%s\n",
        date, f->hostname, f->env->sender, id->s, f->hostname, id->s, encoding(f));
}

static void put_words(struct buf *out, const struct report_facts *f, const struct msgid *id)
{
    (void)buf_printf(out,
        "--=_%s\nContent-Type: text/plain; charset=us-ascii\n\n"
        "This is the mail system at host %s.\n\n"
        "Your message could not be sent to the recipients below, because they are\n"
        "not mail addresses. It goes to the others.\n\n",
        id->s, f->hostname);
    (void)buf_add(out, f->rcpt->bad.data, f->rcpt->bad.len);
}

/* RFC 3464 2.1: groups of fields, an empty line before each. */
static void put_status(struct buf *out, const struct report_facts *f, const struct msgid *id)
{
    const char *p = f->rcpt->bad.data, *end = p + f->rcpt->bad.len;

    (void)buf_printf(out, "\n--=_%s\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; %s\n", id->s, f->hostname);
    while (p < end) {
        size_t len = strcspn(p, "\n");

        (void)buf_printf(out, "\nFinal-Recipient: rfc822; %.*s\nAction: failed\nStatus: 5.1.3\n", (int)len, p);
        p += len + 1;
    }
}

static void put_header(struct buf *out, const struct report_facts *f, const struct msgid *id)
{
    (void)buf_printf(out, "\n--=_%s\nContent-Type: text/rfc822-headers\n%s\n", id->s, encoding(f));
    (void)buf_add(out, f->header, f->header_len);
    (void)buf_printf(out, "\n--=_%s--\n", id->s);
}

/* From nobody, to the sender; otherwise the message's own envelope. */
static int put_envelope(struct buf *out, const struct report_facts *f, struct err *e)
{
    char nobody[1] = "", *sender[1] = { f->env->sender };
    struct envelope env = *f->env;

    env.sender = nobody;
    env.rcpt = sender;
    env.nrcpt = 1;
    env.received = 0;
    env.say = false;
    return envelope_print(&env, out, e);
}

static int fill(struct draft *d, const struct report_facts *f, struct text *t, struct err *e)
{
    struct buf env = BUF_INIT(ENVELOPE_HEAD_MAX), out = BUF_INIT(REPORT_MAX);
    int r = put_envelope(&env, f, e);

    put_top(&out, f, draft_id(d));
    put_words(&out, f, draft_id(d));
    put_status(&out, f, draft_id(d));
    put_header(&out, f, draft_id(d));
    if (r == 0 && !buf_ok(&out))
        r = err_set(e, EX_TEMPFAIL, "a report of bad recipients does not fit into memory");
    if (r == 0)
        r = draft_write(d, env.data, env.len, e);
    if (r == 0)
        r = text_write(t, out.data, out.len, e);
    buf_fini(&env);
    buf_fini(&out);
    return r;
}

int report_bad_recipients(struct spool *s, const struct report_facts *f, struct msgid *id_r, struct err *e)
{
    struct draft *d;
    struct text t;

    if (draft_new(s, f->now, 0, &d, e) != 0)
        return -1;
    *id_r = *draft_id(d);
    t = text_to_draft(d);
    if (fill(d, f, &t, e) != 0) {
        draft_drop(d);
        return -1;
    }
    return draft_commit(d, &t.size, e);
}

void report_withdraw(struct spool *s, const struct msgid *id)
{
    int new = spool_fd(s, SPOOL_NEW, NULL);

    if (new != -1)
        (void)unlinkat(new, id->s, 0);
}
